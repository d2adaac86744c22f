//! Dropout where the model is only evaluated: a layer that draws while training alone does nothing there.

use super::super::{Rule, Subject};
use crate::ir::ast::{Block, Definition, Expr, ExprKind, Item, UnaryOperator};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::InertDropout,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    for item in &subject.file.items {
        let body = match item {
            Item::Definition(definition) => &definition.body,
            Item::Model(model) => &model.body,
            _ => continue,
        };
        body.each_expr(&mut |expr| {
            if let Some(evaluated) = outside_of_training(expr) {
                evaluated.each_expr(&mut |inner| tell(subject, inner, said));
            }
        });
    }
}

fn tell(subject: &Subject<'_>, expr: &Expr, said: &mut Diagnostics) {
    let ExprKind::Name(name) = &*expr.kind else { return };
    let Some(definition) = subject.definition(name) else {
        return;
    };
    if draws_while_training(definition) {
        let message = format!("`{name}` acts while training, but this is what the model does when it does not train");
        let help = "put it into the other branch, or leave it out";
        said.push(Diagnostic::new(RULE.code, expr.span, message).help(help));
    }
}

/// The branch of an `if training` that is taken otherwise.
fn outside_of_training(expr: &Expr) -> Option<&Block> {
    let ExprKind::If {
        condition,
        then,
        otherwise,
    } = &*expr.kind
    else {
        return None;
    };
    match &*condition.kind {
        ExprKind::Name(name) if name == TRAINING => otherwise.as_ref(),
        ExprKind::Unary {
            operator: UnaryOperator::Not,
            operand,
        } if is(operand, TRAINING) => Some(then),
        _ => None,
    }
}

/// Words of the language.
const TRAINING: &str = "training";
const RANDOM: &str = "random";

fn is(expr: &Expr, word: &str) -> bool {
    matches!(&*expr.kind, ExprKind::Name(name) if name == word)
}

/// Whether a definition draws random numbers if it trains, and nowhere else.
fn draws_while_training(definition: &Definition) -> bool {
    let (mut draws, mut guarded) = (0, 0);
    definition.each_expr(&mut |expr| {
        draws += usize::from(is(expr, RANDOM));
        if let ExprKind::If { condition, then, .. } = &*expr.kind {
            let mut trains = false;
            condition.each_expr(&mut |part| trains |= is(part, TRAINING));
            if trains {
                then.each_expr(&mut |inner| guarded += usize::from(is(inner, RANDOM)));
            }
        }
    });
    draws > 0 && draws == guarded
}
