//! Gradients, clipping, and the optimizer of each parameter.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::fold;
use super::schedule::RunLength;
use super::scope::{PathScope, Scope};
use super::settings::slipped;
use super::value::{Quantity, Value};
use crate::ir::ast::{Argument, Definition, DefinitionKind, ExprKind, Section, Setting};
use crate::ir::graph::{Element, MapFunction, OutputKind, ParamId};
use crate::ir::model::{self, Expr as Element_, Output, TensorId};
use crate::ir::number::{Number, NumberFunction, StepVariable};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// PyTorch's guard against a norm of zero in `clip_grad_norm_`.
const CLIP_EPSILON: f64 = 1e-6;

impl<'a> Elaborator<'a> {
    /// Adds gradients, clipping and the optimizer's updates.
    pub fn updates(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>, run: RunLength) -> Checked<()> {
        let trained: Vec<usize> = (0..self.program.params.len())
            .filter(|&i| !self.program.params[i].frozen)
            .collect();
        let gradients = self.gradients(&trained, section.name.span)?;
        let scale = self.clipping(section, &trained, &gradients, scope)?;
        let lines = self.optimizer_lines(section, scope, run)?;
        let overrides = self.overrides(section, scope, &lines)?;
        let mut unserved = None;
        for (&at, &gradient) in trained.iter().zip(&gradients) {
            let Some(line) = lines.iter().find(|l| l.chosen[at]) else {
                unserved = Some(at);
                continue;
            };
            let mut bound = line.bound.clone();
            for o in overrides.iter().filter(|o| o.chosen[at]) {
                let Some(position) = line.definition.parameters.iter().position(|p| p.name.text == o.name) else {
                    continue;
                };
                bound.retain(|(b, _)| *b != position);
                bound.push((position, o.value.clone()));
            }
            for (name, factor) in &line.factors {
                let Some(position) = line.definition.parameters.iter().position(|p| p.name.text == *name) else {
                    continue;
                };
                if let Some((_, value)) = bound.iter_mut().find(|(b, _)| *b == position)
                    && let Some(number) = value.as_number()
                {
                    *value = Value::Step(Number::apply(NumberFunction::Multiply, vec![number, factor.clone()]));
                }
            }
            let rate = line.definition.parameters.iter().position(|p| p.name.text == "lr");
            let rate = bound
                .iter()
                .find(|(b, _)| Some(*b) == rate)
                .and_then(|(_, v)| v.as_number());
            self.program.rate = self.program.rate.take().or(rate);
            self.update_parameter(at, gradient, scale, line, bound)?;
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

    fn gradients(&mut self, trained: &[usize], span: Span) -> Checked<Vec<TensorId>> {
        let mut gradients = vec![];
        for &at in trained {
            let param = &self.program.params[at];
            let axes = self.axes(self.params[&param.path]).to_vec();
            let name = format!("d {}", param.path);
            let definition = model::Definition::Gradient(ParamId(at as u32));
            gradients.push(self.tensor(model::Tensor {
                name,
                axes,
                element: Element::Real,
                definition,
                span,
            })?);
        }
        Ok(gradients)
    }

    /// Adds the gradient's global norm, and gives the factor that `clip_norm` multiplies gradients by.
    fn clipping(
        &mut self,
        section: &'a Section,
        trained: &[usize],
        gradients: &[TensorId],
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Option<TensorId>> {
        let span = section.name.span;
        let read = |id| Element_::Read {
            tensor: id,
            places: vec![],
            otherwise: None,
        };
        let mut total: Option<Element_> = None;
        for (&at, &gradient) in trained.iter().zip(gradients) {
            let squares = self.sum_of_squares(gradient, span)?;
            if self.probe {
                let root = Element_::Apply(MapFunction::SquareRoot, vec![read(squares)]);
                let norm = self.scalar("gradient_norm", root, span)?;
                self.program.outputs.push(Output {
                    kind: OutputKind::ParamGradient(ParamId(at as u32)),
                    tensor: norm,
                });
            }
            total = Some(match total {
                None => read(squares),
                Some(sum) => {
                    let sum = self.scalar(
                        "squares",
                        Element_::Apply(MapFunction::Add, vec![sum, read(squares)]),
                        span,
                    )?;
                    read(sum)
                }
            });
        }
        let Some(total) = total else { return Ok(None) };
        let norm = self.scalar(
            "gradient_norm",
            Element_::Apply(MapFunction::SquareRoot, vec![total]),
            span,
        )?;
        self.program.outputs.push(Output {
            kind: OutputKind::GradientNorm,
            tensor: norm,
        });
        let Some(line) = Self::lines(section, "clip_norm").next() else {
            return Ok(None);
        };
        let expr = match &line.groups[..] {
            [group] if group.len() == 1 => &group[0],
            _ => return self.error(Code::WrongSetting, line.span, "expected one number, as `clip_norm 1.0`"),
        };
        let most = self.plain_number(expr, scope)?;
        if most.is_nan() || most <= 0.0 {
            return self.error(
                Code::WrongValue,
                expr.span,
                format!("the greatest norm must be above 0, this is {most}"),
            );
        }
        let real = |e| (e, Element::Real);
        let guarded = fold::apply(
            MapFunction::Add,
            vec![real(read(norm)), real(Element_::Constant(CLIP_EPSILON))],
        );
        let ratio = fold::apply(MapFunction::Divide, vec![real(Element_::Constant(most)), guarded]);
        let factor = fold::apply(MapFunction::Minimum, vec![ratio, real(Element_::Constant(1.0))]);
        Ok(Some(self.scalar("clip", factor.0, line.span)?))
    }

    fn optimizer_lines(
        &mut self,
        section: &'a Section,
        scope: &Rc<Scope<'a>>,
        run: RunLength,
    ) -> Checked<Vec<OptimizerLine<'a>>> {
        let mut factors = vec![];
        for line in section
            .settings
            .iter()
            .filter(|s| s.key.len() == 1 && s.key[0].text == "schedule")
        {
            let [group] = &line.groups[..] else {
                return self.error(Code::WrongSetting, line.span, "expected one chain of schedules");
            };
            let (name, chain) = match &group[..] {
                [chain] => ("lr".to_string(), chain),
                [name, chain] => match &*name.kind {
                    ExprKind::Name(name) => (name.clone(), chain),
                    _ => {
                        return self.error(
                            Code::WrongSetting,
                            name.span,
                            "expected the name of a number, then its schedule",
                        );
                    }
                },
                _ => return self.error(Code::WrongSetting, line.span, "expected one chain of schedules"),
            };
            factors.push((name, self.schedule(chain, scope, run)?));
        }
        let mut lines = vec![];
        for line in Self::lines(section, "optimizer") {
            let (definition, bound, span) = self.optimizer(line, scope)?;
            let chosen = self.matching(&line.on)?;
            lines.push(OptimizerLine {
                definition,
                bound,
                chosen,
                span,
                factors: factors.clone(),
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
        let [group] = &line.groups[..] else {
            return self.error(Code::WrongSetting, line.span, "expected one optimizer");
        };
        let [expr] = &group[..] else {
            return self.error(Code::WrongSetting, line.span, "expected one optimizer");
        };
        let (name, place, arguments): (&'a str, Span, &'a [Argument]) = match &*expr.kind {
            ExprKind::Name(name) => (name, expr.span, &[]),
            ExprKind::Call { callee, arguments } => match &*callee.kind {
                ExprKind::Name(name) => (name, callee.span, arguments),
                _ => return self.error(Code::WrongKind, callee.span, "expected the name of an optimizer"),
            },
            _ => {
                return self.error(
                    Code::WrongKind,
                    expr.span,
                    "expected an optimizer, as `adamw(lr = 1e-3)`",
                );
            }
        };
        let Some(definition) = self.library.find(name, &[DefinitionKind::Optimizer]) else {
            let known = self.library.names(&[DefinitionKind::Optimizer]);
            return self.unknown("optimizer", name, place, &known);
        };
        Ok((
            definition,
            self.bind(definition, arguments, 2, None, expr.span, scope)?,
            expr.span,
        ))
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
            let known: Vec<String> = lines
                .iter()
                .flat_map(|l| l.definition.parameters.iter().skip(2))
                .map(|p| p.name.text.clone())
                .collect();
            if !known.contains(&key.text) {
                let message = format!("no optimizer of this run has a parameter `{}`", key.text);
                let mut diagnostic = Diagnostic::new(Code::UnknownParameter, key.span, message);
                if let Some(help) = crate::text::suggest::did_you_mean(&key.text, known.iter().map(String::as_str)) {
                    diagnostic = diagnostic.help(help);
                }
                return self.wrong(diagnostic);
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
            let mut chosen = self.matching(&line.on)?;
            for earlier in overrides.iter().filter(|o| o.name == key.text) {
                chosen.iter_mut().zip(&earlier.chosen).for_each(|(c, e)| *c &= !e);
            }
            overrides.push(Override {
                name: key.text.clone(),
                value,
                chosen,
            });
        }
        Ok(overrides)
    }

    fn update_parameter(
        &mut self,
        at: usize,
        gradient: TensorId,
        scale: Option<TensorId>,
        line: &OptimizerLine<'a>,
        mut bound: Vec<(usize, Value<'a>)>,
    ) -> Checked<()> {
        let path = self.program.params[at].path.clone();
        let param = self.params[&path];
        let gradient = match scale {
            None => Value::Tensor(gradient),
            Some(scale) => self.map(
                MapFunction::Multiply,
                &[Value::Tensor(gradient), Value::Tensor(scale)],
                line.span,
            )?,
        };
        bound.retain(|(b, _)| *b > 1);
        bound.push((0, Value::Tensor(param)));
        bound.push((1, gradient));
        let scope = Scope::body(PathScope::new(format!("{path}/{}", line.definition.name.text)));
        scope.define("step", Value::Step(Number::Variable(StepVariable::Step)), line.span);
        self.calls.push(line.span);
        let result = self.bind_parameters(line.definition, &bound, &scope).and_then(|()| {
            scope.make_updatable(&line.definition.parameters[0].name.text, &format!("param {path}"));
            self.statements(&line.definition.body.statements, &scope)
        });
        self.calls.pop();
        result?;
        match scope.find(&line.definition.parameters[0].name.text).map(|b| b.value) {
            Some(Value::Tensor(new)) if new != param => {
                self.program.outputs.push(Output {
                    kind: OutputKind::ParamUpdate(ParamId(at as u32)),
                    tensor: new,
                });
                Ok(())
            }
            _ => {
                let message = format!(
                    "the optimizer `{}` never updates its parameter",
                    line.definition.name.text
                );
                self.error(Code::NotUpdatable, line.definition.name.span, message)
            }
        }
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
type Arguments<'a> = Vec<(usize, Value<'a>)>;

/// One `optimizer` line.
struct OptimizerLine<'a> {
    definition: &'a Definition,
    bound: Arguments<'a>,
    chosen: Vec<bool>,
    span: Span,
    factors: Vec<(String, Number)>,
}

/// One `NAME = value on PATTERN` line.
struct Override<'a> {
    name: String,
    value: Value<'a>,
    chosen: Vec<bool>,
}
