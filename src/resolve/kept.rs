//! What a schedule keeps from evaluation to evaluation: `state best = inf`, `best <- min(best, watched)`.

use super::elaborator::{Checked, Elaborator};
use super::evaluate::Position;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{Expr, ExprKind, Name, StateDeclaration};
use crate::ir::number::{KeptNumber, Number, StepVariable};
use crate::text::{Code, Diagnostic};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// `state best = inf` in a schedule: a number that the trainer keeps.
    pub(super) fn keep_numbers(&mut self, list: &'a [StateDeclaration], scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        for declaration in list {
            if declaration.indices.is_some() {
                let message = "what a schedule keeps is a number, without axes";
                return self.error(Code::WrongRank, declaration.span, message);
            }
            let initial = self.quantity(&declaration.value, scope)?.value.real();
            let at = self.program.kept.len() as u32;
            let same = Number::Variable(StepVariable::Kept(at));
            self.program.kept.push(KeptNumber {
                initial,
                update: same.clone(),
            });
            let name = &declaration.name;
            let path = format!("{KEPT}{at}");
            if let Some(earlier) = scope.define_state(&name.text, Value::Step(same), name.span, path) {
                return self.twice(name, earlier);
            }
        }
        Ok(Value::Condition(true))
    }

    /// `best <- …` in a schedule: done behind each evaluation.
    pub(super) fn keep_number(
        &mut self,
        name: &'a Name,
        path: &str,
        value: &'a Expr,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let new = self.evaluate(value, scope, Position::Value)?;
        let (Some(number), Some(at)) = (new.as_number(), kept_place(path)) else {
            let message = format!("expected a number, found {}", new.describe());
            return self.error(Code::WrongKind, value.span, message);
        };
        // The trainer updates it behind an evaluation, for which steps have no place in a phase.
        if number.reads(StepVariable::Step) {
            let mut place = None;
            value.each_expr(&mut |e| {
                let is_step = matches!(&*e.kind, ExprKind::Name(name) if name == "step" || name == "progress");
                place = place.or(is_step.then_some(e.span));
            });
            let message = format!(
                "`{}` changes at evaluations alone, so it can't depend on the step",
                name.text
            );
            let diagnostic = Diagnostic::new(Code::WrongKind, place.unwrap_or(value.span), message);
            return self.wrong(diagnostic.help("count evaluations instead: `state seen = 0`, `seen <- seen + 1`"));
        }
        self.program.kept[at as usize].update = number.clone();
        scope.update(&name.text, Value::Step(number));
        Ok(new)
    }
}

/// What the path of a kept number starts with, before its place.
const KEPT: &str = "kept ";

pub(super) fn kept_place(path: &str) -> Option<u32> {
    path.strip_prefix(KEPT)?.parse().ok()
}
