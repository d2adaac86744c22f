//! A chain of schedules → the factor of a number, as an expression of the step.

use super::elaborator::{Checked, Elaborator};
use super::evaluate::Position;
use super::fraction::Known;
use super::scope::{PathScope, Scope};
use super::value::{Quantity, Value};
use crate::ir::ast::{Argument, DefinitionKind, Expr, ExprKind, Unit};
use crate::ir::number::{Number, NumberFunction, StepVariable};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// What a run lasts, for schedules.
#[derive(Clone, Copy, Debug)]
pub struct RunLength {
    /// Updates in all.
    pub steps: u64,
    /// Updates of an epoch, where the data has epochs.
    pub steps_per_epoch: Option<u64>,
}

impl<'a> Elaborator<'a> {
    /// The factor that a chain of phases gives at each step.
    pub fn schedule(&mut self, chain: &'a Expr, scope: &Rc<Scope<'a>>, run: RunLength) -> Checked<Number> {
        let mut phases = vec![];
        let mut rest = chain;
        while let ExprKind::Flow { value, layer } = &*rest.kind {
            phases.push(layer);
            rest = value;
        }
        phases.push(rest);
        phases.reverse();
        let mut start = 0u64;
        let mut factors: Vec<(u64, Number)> = vec![];
        for (i, phase) in phases.iter().enumerate() {
            let last = i + 1 == phases.len();
            let left = run.steps.saturating_sub(start).max(1);
            let (factor, length) = self.phase(phase, scope, run, start, left, last)?;
            if !last && start + length >= run.steps {
                let message = format!(
                    "this phase ends at step {}, but the run has {} steps",
                    start + length,
                    run.steps
                );
                let diagnostic = Diagnostic::new(Code::ScheduleLength, phase.span, message);
                self.diagnostics
                    .push(diagnostic.help("what follows it is never reached; shorten it or train longer"));
            }
            start += length;
            factors.push((start, factor));
        }
        let step = Number::Variable(StepVariable::Step);
        let Some((_, mut result)) = factors.pop() else {
            return Ok(Number::Constant(1.0));
        };
        for (end, factor) in factors.into_iter().rev() {
            let inside = Number::apply(
                NumberFunction::LessEqual,
                vec![step.clone(), Number::Constant(end as f64)],
            );
            result = Number::apply(NumberFunction::Where, vec![inside, factor, result]);
        }
        Ok(result)
    }

    fn phase(
        &mut self,
        phase: &'a Expr,
        scope: &Rc<Scope<'a>>,
        run: RunLength,
        start: u64,
        left: u64,
        last: bool,
    ) -> Checked<(Number, u64)> {
        let (name, place, arguments): (&'a str, Span, &'a [Argument]) = match &*phase.kind {
            ExprKind::Name(name) => (name, phase.span, &[]),
            ExprKind::Call { callee, arguments } => match &*callee.kind {
                ExprKind::Name(name) => (name, callee.span, arguments),
                _ => return self.error(Code::WrongKind, callee.span, "expected the name of a schedule"),
            },
            _ => {
                return self.error(
                    Code::WrongKind,
                    phase.span,
                    "expected a schedule, as `warmup(100) -> cosine(floor = 10%)`",
                );
            }
        };
        let Some(definition) = self.library.find(name, &[DefinitionKind::Schedule]) else {
            let known = self.library.names(&[DefinitionKind::Schedule]);
            return self.unknown("schedule", name, place, &known);
        };
        let mut bound = self.bind(definition, arguments, 0, None, phase.span, scope)?;
        let length_at = definition.parameters.iter().position(|p| p.name.text == "length");
        let mut length = left;
        if let Some(at) = length_at
            && let Some((_, Value::Number(quantity))) = bound.iter_mut().find(|(b, _)| *b == at)
        {
            let unit = arguments.iter().enumerate().find_map(|(i, a)| {
                let named = a.name.as_ref().is_some_and(|n| n.text == "length");
                (named || a.name.is_none() && i == at)
                    .then(|| super::settings::literal(&a.value))
                    .flatten()
            });
            let steps = match unit.and_then(|(_, unit)| unit) {
                Some(Unit::Percent) => quantity.value.real() * run.steps as f64,
                Some(Unit::Epochs) => match run.steps_per_epoch {
                    Some(steps) => quantity.value.real() * steps as f64,
                    None => {
                        return self.error(
                            Code::WrongValue,
                            phase.span,
                            "this data has no epochs: give the length in steps",
                        );
                    }
                },
                _ => quantity.value.real(),
            };
            if !(1.0..=1e15).contains(&steps.round()) {
                return self.error(
                    Code::WrongValue,
                    phase.span,
                    format!("a phase lasts at least 1 step, this is {steps}"),
                );
            }
            length = steps.round() as u64;
            quantity.value = Known::whole(length as i128);
        } else if !last {
            let message = format!("only the last phase may be without a length: say `{name}(length = …)`");
            return self.error(Code::WrongArguments, phase.span, message);
        }
        let inner = Scope::body(PathScope::new(""));
        let own = Number::apply(
            NumberFunction::Subtract,
            vec![Number::Variable(StepVariable::Step), Number::Constant(start as f64)],
        );
        // The last phase lasts the rest of the run; one with a length of its own then stays as it ended.
        let own = if last && length < left {
            Number::apply(NumberFunction::Minimum, vec![own, Number::Constant(length as f64)])
        } else {
            own
        };
        let before = Number::apply(NumberFunction::Subtract, vec![own.clone(), Number::Constant(1.0)]);
        let progress = Number::apply(NumberFunction::Divide, vec![before, Number::Constant(length as f64)]);
        inner.define("step", Value::Step(own), phase.span);
        inner.define("progress", Value::Step(progress), phase.span);
        if length_at.is_none() {
            let quantity = Quantity {
                value: Known::whole(length as i128),
                origin: phase.span,
                label: "length".into(),
            };
            inner.define("length", Value::Number(quantity), phase.span);
        }
        self.calls.push(phase.span);
        let result = self
            .bind_parameters(definition, &bound, &inner)
            .and_then(|()| self.statements(&definition.body.statements, &inner));
        self.calls.pop();
        match result?.as_number() {
            Some(number) => Ok((number, length)),
            None => self.error(
                Code::WrongKind,
                phase.span,
                format!("the schedule `{name}` gives no number"),
            ),
        }
    }

    /// A number of the train section that may be scheduled.
    pub fn plain_number(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<f64> {
        match self.evaluate(expr, scope, Position::Value)? {
            Value::Number(q) => Ok(q.value.real()),
            other => self.error(
                Code::WrongKind,
                expr.span,
                format!("expected a number, found {}", other.describe()),
            ),
        }
    }
}
