//! Which optimizer serves which parameter, with which values of its own parameters.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::schedule::RunLength;
use super::scope::Scope;
use super::settings::slipped;
use super::value::{Layer, Quantity, Value};
use crate::ir::ast::{Argument, Definition, DefinitionKind, Expr, ExprKind, Section, Setting};
use crate::ir::number::{Number, NumberFunction};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Adds gradients, clipping and the optimizer's updates.
    pub fn updates(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>, run: RunLength) -> Checked<()> {
        let trained: Vec<usize> = (0..self.program.params.len())
            .filter(|&i| !self.program.params[i].frozen)
            .collect();
        if let (true, Some(line)) = (trained.is_empty(), Self::lines(section, "freeze").next()) {
            let message = "all parameters of the model are frozen, so nothing is trained";
            let diagnostic = Diagnostic::new(Code::WrongSetting, line.span, message);
            return self.wrong(diagnostic.help("a spec without `train` only predicts"));
        }
        let gradients = self.gradients(section, &trained, scope)?;
        let scale = self.clipping(section, &trained, &gradients, scope)?;
        let lines = self.optimizer_lines(section, scope)?;
        let factors = self.factors(section, scope, run, &lines)?;
        let overrides = self.overrides(section, scope, &lines)?;
        let after = self.after_updates(section, scope)?;
        let mut unserved = None;
        for (&at, &gradient) in trained.iter().zip(&gradients) {
            let Some(line) = lines.iter().find(|l| l.chosen[at]) else {
                unserved = Some(at);
                continue;
            };
            let mut bound = line.bound.clone();
            for o in overrides.iter().filter(|o| o.chosen[at]) {
                bound = replaced(line.definition, &bound, &o.name, &mut |_| Some(o.value.clone()));
            }
            for (name, factor) in &factors {
                bound = replaced(line.definition, &bound, name, &mut |value| {
                    let number = value.as_number()?;
                    let scheduled = Number::apply(NumberFunction::Multiply, vec![number, factor.clone()]);
                    Some(Value::Step(scheduled))
                });
            }
            let mut rate = None;
            replaced(line.definition, &bound, "lr", &mut |value| {
                rate = rate.take().or(value.as_number());
                None
            });
            self.program.rate = self.program.rate.take().or(rate);
            self.update_parameter(at, gradient, scale, line, bound, &after)?;
        }
        if let Some(at) = unserved {
            let path = self.program.params[at].path.clone();
            let diagnostic = Diagnostic::new(
                Code::NoOptimizer,
                section.name.span,
                format!("no optimizer serves `{path}`"),
            );
            return self.wrong(diagnostic.help("add a last `optimizer` line without `on`, or freeze the parameter"));
        }
        Ok(())
    }

    /// The factor that each `schedule` line gives, and the parameter that it multiplies.
    fn factors(
        &mut self,
        section: &'a Section,
        scope: &Rc<Scope<'a>>,
        run: RunLength,
        lines: &[OptimizerLine<'a>],
    ) -> Checked<Vec<(String, Number)>> {
        let mut factors: Vec<(String, Number)> = vec![];
        for line in Self::lines(section, "schedule") {
            let group = match &line.groups[..] {
                [group] => &group[..],
                _ => &[],
            };
            let (name, span, chain) = match group {
                [chain] => ("lr".to_string(), line.span, chain),
                [name, chain] => match &*name.kind {
                    ExprKind::Name(text) => (text.clone(), name.span, chain),
                    _ => {
                        let message = "expected the name of a number, then its schedule";
                        return self.error(Code::WrongSetting, name.span, message);
                    }
                },
                _ => return self.error(Code::WrongSetting, line.span, "expected one chain of schedules"),
            };
            if self.scheduled.contains(&name) {
                continue;
            }
            let known = parameters_of(lines);
            if !known.contains(&name) {
                return self.no_parameter(&name, span, &known);
            }
            if factors.iter().any(|f| f.0 == name) {
                let message = format!("`{name}` has two schedules");
                return self.error(Code::DuplicateSetting, span, message);
            }
            factors.push((name, self.schedule(chain, scope, run)?));
        }
        Ok(factors)
    }

    /// Reports that no optimizer has a parameter of a name.
    fn no_parameter<T>(&mut self, name: &str, span: Span, known: &[String]) -> Checked<T> {
        let message = format!("no optimizer of this run has a parameter `{name}`");
        let mut diagnostic = Diagnostic::new(Code::UnknownParameter, span, message);
        if let Some(help) = crate::text::suggest::did_you_mean(name, known.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(help);
        }
        self.wrong(diagnostic)
    }

    fn optimizer_lines(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>) -> Checked<Vec<OptimizerLine<'a>>> {
        let mut lines = vec![];
        let mut served = vec![false; self.program.params.len()];
        for line in Self::lines(section, "optimizer") {
            let (definition, bound, span) = self.optimizer(line, scope)?;
            let chosen = self.matching(&line.on)?;
            let chosen = self.not_yet(chosen, &mut served, line)?;
            lines.push(OptimizerLine {
                definition,
                bound,
                chosen,
                span,
            });
        }
        if lines.is_empty() && slipped(section, "optimizer") {
            return Err(Wrong);
        }
        if lines.is_empty() {
            let diagnostic = Diagnostic::new(Code::MissingSetting, section.name.span, "nothing says how to train");
            return self.wrong(diagnostic.help("add an optimizer, as `optimizer adamw(lr = 1e-3)`"));
        }
        Ok(lines)
    }

    /// The definition that a line names, and its arguments.
    fn optimizer(
        &mut self,
        line: &'a Setting,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<(&'a Definition, Arguments<'a>, Span)> {
        match &line.groups[..] {
            [group] if group.len() == 1 => self.named_optimizer(&group[0], scope),
            _ => self.error(Code::WrongSetting, line.span, "expected one optimizer"),
        }
    }

    /// `adamw(lr = 1e-3)`: the definition, its arguments with the defaults of those that are not given.
    pub(super) fn named_optimizer(
        &mut self,
        expr: &'a Expr,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<(&'a Definition, Arguments<'a>, Span)> {
        let (name, place, arguments): (&'a str, Span, &'a [Argument]) = match &*expr.kind {
            ExprKind::Name(name) => (name, expr.span, &[]),
            ExprKind::Call { callee, arguments } => match &*callee.kind {
                ExprKind::Name(name) => (name, callee.span, arguments),
                _ => return self.error(Code::WrongKind, callee.span, "expected the name of an optimizer"),
            },
            _ => {
                let message = "expected an optimizer, as `adamw(lr = 1e-3)`";
                return self.error(Code::WrongKind, expr.span, message);
            }
        };
        let Some(definition) = self.library.find(name, &[DefinitionKind::Optimizer]) else {
            let known = self.library.names(&[DefinitionKind::Optimizer]);
            return self.unknown("optimizer", name, place, &known);
        };
        let mut bound = self.bind(definition, arguments, 2, None, expr.span, scope)?;
        // Schedules and overrides reach what is not given as well.
        for (at, parameter) in definition.parameters.iter().enumerate().skip(2) {
            if let Some(default) = &parameter.default
                && matches!(&*default.kind, ExprKind::Number { .. })
                && !bound.iter().any(|(b, _)| *b == at)
            {
                let mut value = self.evaluate(default, scope, Position::Value)?;
                if let Value::Number(quantity) = &mut value {
                    quantity.label = parameter.name.text.clone();
                }
                bound.push((at, value));
            }
        }
        Ok((definition, bound, expr.span))
    }

    /// Checks what can be checked of the optimizer lines while the model is wrong.
    pub fn check_optimizers(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>) {
        for line in Self::lines(section, "optimizer") {
            let _ = self.optimizer(line, scope);
        }
    }

    /// `weight_decay = 0 on vectors`: the first line that matches counts.
    fn overrides(
        &mut self,
        section: &'a Section,
        scope: &Rc<Scope<'a>>,
        lines: &[OptimizerLine<'a>],
    ) -> Checked<Vec<Override<'a>>> {
        let mut overrides: Vec<Override<'a>> = vec![];
        for line in section
            .settings
            .iter()
            .filter(|s| s.assigned && !s.on.is_empty() && s.key.len() == 1)
        {
            let key = &line.key[0];
            let known = parameters_of(lines);
            if !known.contains(&key.text) {
                return self.no_parameter(&key.text, key.span, &known);
            }
            let expr = match &line.groups[..] {
                [group] if group.len() == 1 => &group[0],
                _ => {
                    return self.error(
                        Code::WrongSetting,
                        line.span,
                        "expected one value, then `on` and a pattern",
                    );
                }
            };
            let value = self.evaluate(expr, scope, Position::Value)?;
            let chosen = self.matching(&line.on)?;
            let mut served = vec![false; chosen.len()];
            for earlier in overrides.iter().filter(|o| o.name == key.text) {
                served.iter_mut().zip(&earlier.chosen).for_each(|(s, e)| *s |= e);
            }
            let chosen = self.not_yet(chosen, &mut served, line)?;
            overrides.push(Override {
                name: key.text.clone(),
                value,
                chosen,
            });
        }
        Ok(overrides)
    }

    /// A whole number as a value with an origin.
    pub fn whole_value(value: usize, origin: Span, label: &str) -> Value<'a> {
        let value = super::fraction::Known::whole(value as i128);
        Value::Number(Quantity {
            value,
            origin,
            label: label.into(),
        })
    }
}

/// Values by the parameter's position.
pub(super) type Arguments<'a> = Vec<(usize, Value<'a>)>;

/// One `optimizer` line.
pub(super) struct OptimizerLine<'a> {
    pub(super) definition: &'a Definition,
    bound: Arguments<'a>,
    chosen: Vec<bool>,
    pub(super) span: Span,
}

/// The names of what the optimizers of a run, and those inside of them, can be told.
fn parameters_of(lines: &[OptimizerLine<'_>]) -> Vec<String> {
    let mut names = vec![];
    for line in lines {
        names_of(line.definition, &line.bound, &mut names);
    }
    names
}

fn names_of(definition: &Definition, bound: &Arguments<'_>, names: &mut Vec<String>) {
    names.extend(definition.parameters.iter().skip(2).map(|p| p.name.text.clone()));
    for (_, value) in bound {
        if let Value::Layer(layer) = value
            && let Layer::Call {
                definition, arguments, ..
            } = &**layer
        {
            names_of(definition, arguments, names);
        }
    }
}

/// The arguments with another value for a parameter, also in optimizers inside of this one; `None` leaves it.
fn replaced<'a>(
    definition: &'a Definition,
    bound: &Arguments<'a>,
    name: &str,
    change: &mut dyn FnMut(&Value<'a>) -> Option<Value<'a>>,
) -> Arguments<'a> {
    let new = |(at, value): &(usize, Value<'a>)| {
        let value = match value {
            _ if definition.parameters[*at].name.text == name => change(value).unwrap_or_else(|| value.clone()),
            Value::Layer(layer) => match &**layer {
                Layer::Call {
                    definition,
                    arguments,
                    path,
                    span,
                } => Value::Layer(Rc::new(Layer::Call {
                    definition,
                    arguments: replaced(definition, arguments, name, change),
                    path: path.clone(),
                    span: *span,
                })),
                _ => value.clone(),
            },
            other => other.clone(),
        };
        (*at, value)
    };
    bound.iter().map(new).collect()
}

/// One `NAME = value on PATTERN` line.
struct Override<'a> {
    name: String,
    value: Value<'a>,
    chosen: Vec<bool>,
}
