//! Matched statements → [`Statement`], and the left sides of equations, which the grammar reads as expressions.

use super::Builder;
use super::expressions::{expression, only_expression, text};
use super::indices::indices;
use crate::ir::ast::{
    Block, Expr, ExprKind, Index, Name, ParameterDeclaration, StateDeclaration, Statement, StatementKind,
};
use crate::parse::grammar::{Pair, Rule, part, parts};
use crate::text::Span;

/// `{ … }`.
pub fn block(b: &mut Builder, pair: &Pair) -> Block {
    let statements = parts(pair).map(|p| statement(b, &p)).collect();
    Block {
        statements,
        span: b.span(pair),
    }
}

fn statement(b: &mut Builder, pair: &Pair) -> Statement {
    let kind = match pair.as_rule() {
        Rule::params => StatementKind::Param(parts(pair).map(|p| parameter(b, &p)).collect()),
        Rule::states => StatementKind::State(parts(pair).map(|p| state(b, &p)).collect()),
        Rule::carries => StatementKind::Carry(parts(pair).map(|p| state(b, &p)).collect()),
        Rule::require => {
            let message = text(b, &part(pair, Rule::text).expect("a `require` has a message"));
            StatementKind::Require {
                condition: only_expression(b, pair),
                message,
            }
        }
        Rule::penalty => StatementKind::Penalty(only_expression(b, pair)),
        Rule::yielded => StatementKind::Yield(only_expression(b, pair)),
        _ => equation(b, pair),
    };
    Statement {
        kind,
        span: b.span(pair),
    }
}

fn parameter(b: &mut Builder, pair: &Pair) -> ParameterDeclaration {
    let (name, indices) = declared(b, &part(pair, Rule::declared).expect("a parameter has a name"));
    let initialiser = only_expression(b, pair);
    ParameterDeclaration {
        name,
        indices: indices.unwrap_or_default(),
        initialiser,
        span: b.span(pair),
    }
}

fn state(b: &mut Builder, pair: &Pair) -> StateDeclaration {
    let (name, indices) = declared(b, &part(pair, Rule::declared).expect("a state has a name"));
    StateDeclaration {
        name,
        indices,
        value: only_expression(b, pair),
        span: b.span(pair),
    }
}

/// A name with or without a bracket of indices.
pub fn declared(b: &mut Builder, pair: &Pair) -> (Name, Option<Vec<Index>>) {
    let name = b.name(&part(pair, Rule::name).expect("what is declared has a name"));
    (name, part(pair, Rule::indices).map(|bracket| indices(b, &bracket)))
}

fn equation(b: &mut Builder, pair: &Pair) -> StatementKind {
    let mut pieces = parts(pair);
    let left = expression(b, &pieces.next().expect("a statement starts with an expression"));
    let (Some(sign), Some(right)) = (pieces.next(), pieces.next()) else {
        return StatementKind::Value(left);
    };
    let value = expression(b, &right);
    let Some((name, indices)) = left_side(left, b) else {
        return StatementKind::Value(value);
    };
    match sign.as_rule() {
        Rule::update => StatementKind::Update { name, indices, value },
        _ => StatementKind::Equation { name, indices, value },
    }
}

/// The name and the bracket that an equation defines; anything else is reported.
fn left_side(left: Expr, b: &mut Builder) -> Option<(Name, Option<Vec<Index>>)> {
    let name = |text: String, span: Span| Name { text, span };
    match *left.kind {
        ExprKind::Name(text) => return Some((name(text, left.span), None)),
        ExprKind::Element { base, indices } => {
            if let ExprKind::Name(text) = *base.kind {
                return Some((name(text, base.span), Some(indices)));
            }
        }
        ExprKind::Wrong => return None,
        _ => {}
    }
    b.refuse(
        left.span,
        "the left side of an equation is a name, with or without indices",
        "write `h = …` or `y[.., o] = …`; a comparison is `==`",
    );
    None
}
