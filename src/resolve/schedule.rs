//! A chain of schedules → the factor of a number, as an expression of the step.

use super::arguments::takes_steps;
use super::elaborator::{Checked, Elaborator};
use super::evaluate::Position;
use super::fraction::Known;
use super::scope::{PathScope, Scope};
use super::value::{Quantity, Value};
use crate::ir::ast::{Argument, Definition, DefinitionKind, Expr, ExprKind, Setting, StatementKind, Unit};
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
            if last {
                self.compare_lengths(phase, &factor, (start, length), run);
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

    /// Warns of a last phase with a length of its own that falls for a shorter time than the run lasts, or that the run
    /// does not let come to its end.
    fn compare_lengths(&mut self, phase: &'a Expr, factor: &Number, (start, length): (u64, u64), run: RunLength) {
        let at = |step: u64| {
            factor.at(&|v| match v {
                StepVariable::Step => step as f64,
                StepVariable::StepsPerEpoch => run.steps_per_epoch.unwrap_or(0) as f64,
                _ => 1.0,
            })
        };
        let end = start + length;
        let (first, last) = (at(start + 1), at(end + 1));
        let (message, help) = match () {
            () if end < run.steps && last < first => (
                format!("this phase ends at step {end}, but the run has {} steps", run.steps),
                format!(
                    "the rate stays at {:.2} % of the optimizer's: leave the length out, or say it by `-> constant(…)`",
                    100.0 * last
                ),
            ),
            () if end > run.steps && (at(run.steps) - last).abs() > 0.01 => (
                format!("this phase ends at step {end}, but the run has {} steps", run.steps),
                "it does not come to its end: shorten it, or train longer".to_string(),
            ),
            () => return,
        };
        let diagnostic = Diagnostic::new(Code::ScheduleLength, phase.span, message);
        self.diagnostics.push(diagnostic.help(help));
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
        let mut next = 0;
        for argument in arguments {
            let at = match &argument.name {
                Some(name) => definition.parameters.iter().position(|p| p.name.text == name.text),
                None => {
                    next += 1;
                    Some(next - 1)
                }
            };
            let Some((_, value)) = bound.iter_mut().find(|(b, _)| Some(*b) == at) else {
                continue;
            };
            let timed = at.is_some_and(|at| takes_steps(definition, &definition.parameters[at]));
            if timed {
                self.in_steps(&argument.value, value, run, phase.span)?;
            }
        }
        let given = bound.iter_mut().find(|(b, _)| Some(*b) == length_at);
        if let Some((_, Value::Number(quantity))) = given {
            let steps = quantity.value.real().round();
            if !(1.0..=1e15).contains(&steps) {
                let message = format!("a phase lasts at least 1 step, this is {steps}");
                return self.error(Code::WrongValue, phase.span, message);
            }
            length = steps as u64;
            quantity.value = Known::whole(length as i128);
        } else if !last {
            let message = format!("only the last phase may be without a length: say `{name}(length = …)`");
            return self.error(Code::WrongArguments, phase.span, message);
        }
        let whole = Value::Number(Quantity {
            value: Known::whole(length as i128),
            origin: phase.span,
            label: "length".into(),
        });
        let inner = Scope::body(PathScope::new(""));
        match length_at {
            Some(at) => {
                bound.retain(|(b, _)| *b != at);
                bound.push((at, whole));
            }
            None => {
                inner.define("length", whole, phase.span);
            }
        }
        let own = Number::apply(
            NumberFunction::Subtract,
            vec![Number::Variable(StepVariable::Step), Number::Constant(start as f64)],
        );
        let before = Number::apply(NumberFunction::Subtract, vec![own.clone(), Number::Constant(1.0)]);
        // The last phase lasts the rest of the run; one with a length of its own then stays as it ended.
        let ends = |number: Number, at: u64| match last && length < left {
            true => Number::apply(NumberFunction::Minimum, vec![number, Number::Constant(at as f64)]),
            false => number,
        };
        let progress = vec![ends(before, length), Number::Constant(length as f64)];
        let progress = Number::apply(NumberFunction::Divide, progress);
        inner.define("step", Value::Step(ends(own, length + 1)), phase.span);
        inner.define("progress", Value::Step(progress), phase.span);
        inner.define(
            WATCHED,
            Value::Step(Number::Variable(StepVariable::Watched)),
            phase.span,
        );
        let number = self.factor(definition, &bound, &inner, phase.span)?;
        Ok((number, length))
    }

    /// What a schedule's definition gives.
    fn factor(
        &mut self,
        definition: &'a Definition,
        bound: &[(usize, Value<'a>)],
        inner: &Rc<Scope<'a>>,
        span: Span,
    ) -> Checked<Number> {
        let keeps = std::mem::replace(&mut self.keeps_numbers, true);
        let kept_before = self.program.kept.len();
        self.calls.push(span);
        let result = self
            .bind_parameters(definition, bound, inner)
            .and_then(|()| self.statements(&definition.body.statements, inner));
        self.calls.pop();
        self.keeps_numbers = keeps;
        let result = result?;
        let name = &definition.name.text;
        if self.program.kept.len() > kept_before {
            // Between evaluations the factor is the state as the last one left it.
            let last = definition.body.statements.last().map(|s| &s.kind);
            let state = match last {
                Some(StatementKind::Value(Expr { kind, .. })) => match &**kind {
                    ExprKind::Name(name) => inner.find(name).and_then(|b| super::kept::kept_place(&b.updates?)),
                    _ => None,
                },
                _ => None,
            };
            return match state {
                Some(at) => {
                    self.is_evaluated(name, span)?;
                    Ok(Number::Variable(StepVariable::Kept(at)))
                }
                None => {
                    let message = format!("the last line of the schedule `{name}` must be one of its states");
                    self.error(Code::WrongKind, definition.name.span, message)
                }
            };
        }
        let Some(number) = result.as_number() else {
            return self.error(Code::WrongKind, span, format!("the schedule `{name}` gives no number"));
        };
        if number.reads(StepVariable::Watched) {
            let mut place = definition.name.span;
            definition.each_expr(&mut |e| {
                if matches!(&*e.kind, ExprKind::Name(name) if name == WATCHED) {
                    place = e.span;
                }
            });
            let message = format!("`{WATCHED}` is known behind an evaluation alone, not at each step");
            let help =
                format!("keep what follows from it: `state last = 1`, then `last <- …` of `{WATCHED}`, then `last`");
            let diagnostic = Diagnostic::new(Code::WrongKind, place, message).help(help);
            return self.wrong(diagnostic);
        }
        Ok(number)
    }

    /// What changes behind evaluations needs some.
    fn is_evaluated(&mut self, name: &str, span: Span) -> Checked<()> {
        let evaluated = |line: &Setting| line.key.first().is_some_and(|key| key.text == "evaluate");
        match self.train {
            Some((section, _))
                if !section.settings.iter().any(evaluated) && !super::settings::slipped(section, "evaluate") =>
            {
                let message = format!("`{name}` changes behind evaluations, but nothing says when there is one");
                let diagnostic = Diagnostic::new(Code::MissingSetting, span, message);
                self.wrong(diagnostic.help("add `evaluate every 100 steps`"))
            }
            _ => Ok(()),
        }
    }

    /// Brings an argument that stands for steps to them: epochs, and shares of the run.
    fn in_steps(&mut self, written: &Expr, value: &mut Value<'a>, run: RunLength, span: Span) -> Checked<()> {
        match (value, &*written.kind) {
            (Value::List(values), ExprKind::List(written)) => {
                for (value, written) in values.iter_mut().zip(written) {
                    self.in_steps(written, value, run, span)?;
                }
            }
            (Value::Number(quantity), _) => {
                let steps = match super::settings::literal(written).and_then(|(_, unit)| unit) {
                    Some(Unit::Percent) => quantity.value.real() * run.steps as f64,
                    Some(Unit::Epochs) => match run.steps_per_epoch {
                        Some(steps) => quantity.value.real() * steps as f64,
                        None => {
                            let message = "this data has no epochs: say it in steps";
                            return self.error(Code::WrongValue, span, message);
                        }
                    },
                    _ => return Ok(()),
                };
                let whole = steps.fract() == 0.0 && steps.abs() < 1e15;
                quantity.value = if whole {
                    Known::whole(steps as i128)
                } else {
                    Known::Real(steps)
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// A number that the model defines, times the factor that a line `schedule NAME …` gives; `None` without such a line.
    pub fn scheduled_number(
        &mut self,
        name: &str,
        quantity: &Quantity,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Option<Value<'a>>> {
        let (Some(model), Some((section, run))) = (&self.model_scope, self.train) else {
            return Ok(None);
        };
        if !Rc::ptr_eq(model, scope) {
            return Ok(None);
        }
        for line in Self::lines(section, "schedule") {
            if let [group] = &line.groups[..]
                && let [named, chain] = &group[..]
                && matches!(&*named.kind, ExprKind::Name(n) if n == name)
            {
                self.scheduled.push(name.to_string());
                let factor = self.schedule(chain, &scope.clone(), run)?;
                let number = Number::Constant(quantity.value.real());
                let number = Number::apply(NumberFunction::Multiply, vec![number, factor]);
                return Ok(Some(Value::Step(number)));
            }
        }
        Ok(None)
    }

    /// A number of the train section.
    pub fn plain_number(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<f64> {
        match self.evaluate(expr, scope, Position::Value)? {
            Value::Number(q) => super::number::stored(self, &q, expr.span),
            other => self.error(
                Code::WrongKind,
                expr.span,
                format!("expected a number, found {}", other.describe()),
            ),
        }
    }
}

/// What a schedule calls the number that the last evaluation gave.
const WATCHED: &str = "watched";
