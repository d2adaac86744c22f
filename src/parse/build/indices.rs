//! Matched brackets → [`Index`]: of a head, a declaration, a read, the left of an equation, or under a reduction.

use super::Builder;
use super::expressions::{expression, only_expression};
use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index, Name};
use crate::parse::grammar::{Pair, Rule, part, parts};

/// The bracket of a reduction: what it goes over, and what counts.
pub fn reduced(b: &mut Builder, pair: &Pair) -> (Vec<Index>, Option<Expr>) {
    let reduced = part(pair, Rule::reduced).expect("a reduction has a bracket");
    let indices = parts(&reduced)
        .filter(|p| p.as_rule() == Rule::index)
        .map(|p| index(b, &p))
        .collect();
    let condition = part(&reduced, Rule::condition).map(|c| only_expression(b, &c));
    (indices, condition)
}

/// The bracket of `indices`.
pub fn indices(b: &mut Builder, pair: &Pair) -> Vec<Index> {
    parts(pair).map(|p| index(b, &p)).collect()
}

fn index(b: &mut Builder, pair: &Pair) -> Index {
    let inner = parts(pair).next().expect("an index is something");
    if inner.as_rule() == Rule::rest {
        return Index::Rest(b.span(&inner));
    }
    match lone_group(&inner) {
        Some(group) => joined(b, &group),
        None => plain_index(expression(b, &inner)),
    }
}

/// The parentheses that are the whole of an expression, unless they hold an `else`.
fn lone_group<'a>(expression: &Pair<'a>) -> Option<Pair<'a>> {
    let mut group = expression.clone();
    for rule in [Rule::operand, Rule::applied, Rule::chain, Rule::group] {
        let mut pieces = group.into_inner();
        group = pieces.next().filter(|p| p.as_rule() == rule)?;
        if pieces.next().is_some() {
            return None;
        }
    }
    part(&group, Rule::otherwise).is_none().then_some(group)
}

fn joined(b: &mut Builder, group: &Pair) -> Index {
    let mut members: Vec<Index> = parts(group).map(|p| index(b, &p)).collect();
    match members.as_slice() {
        [Index::Named { .. } | Index::Computed(_) | Index::Joined { .. }] => members.remove(0),
        _ => Index::Joined {
            parts: members,
            span: b.span(group),
        },
    }
}

fn plain_index(value: Expr) -> Index {
    match *value.kind {
        ExprKind::Name(text) => Index::Named {
            name: Name { text, span: value.span },
            bound: None,
        },
        ExprKind::Binary {
            operator: BinaryOperator::Less,
            left,
            right,
            operator_span,
        } => match *left.kind {
            ExprKind::Name(text) => Index::Named {
                name: Name { text, span: left.span },
                bound: Some(right),
            },
            kind => {
                let left = Expr {
                    kind: Box::new(kind),
                    span: left.span,
                };
                let kind = ExprKind::Binary {
                    operator: BinaryOperator::Less,
                    left,
                    right,
                    operator_span,
                };
                Index::Computed(Expr {
                    kind: Box::new(kind),
                    span: value.span,
                })
            }
        },
        kind => Index::Computed(Expr {
            kind: Box::new(kind),
            span: value.span,
        }),
    }
}
