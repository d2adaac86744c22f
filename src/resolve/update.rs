//! The update of one parameter: its optimizer's definition expanded, then what `constrain` and `ema` lines say.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::optimizer::{Arguments, OptimizerLine};
use super::scope::{PathScope, Scope};
use super::value::{Layer, Value};
use crate::ir::ast::{Argument, Definition, Expr, Section};
use crate::ir::experiment::EMA;
use crate::ir::graph::{Element, MapFunction, OutputKind, ParamId, StateDeclaration, StateId};
use crate::ir::model::{self, Expr as Element_, Output, TensorId};
use crate::ir::number::{Number, NumberFunction, StepVariable};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// What becomes of a parameter behind its optimizer.
pub(super) struct AfterUpdates<'a> {
    constraints: Vec<(&'a Expr, Vec<bool>)>,
    scope: Rc<Scope<'a>>,
    /// The decay of the running mean of weights.
    ema: Option<(f64, Span)>,
}

impl<'a> Elaborator<'a> {
    /// Reads the `constrain` and `ema` lines.
    pub(super) fn after_updates(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>) -> Checked<AfterUpdates<'a>> {
        let mut constraints = vec![];
        for line in Self::lines(section, "constrain") {
            let expr = match &line.groups[..] {
                [group] if group.len() == 1 => &group[0],
                _ => {
                    let message = "expected one constraint, as `constrain max_norm(3) on \"*.w\"`";
                    return self.error(Code::WrongSetting, line.span, message);
                }
            };
            constraints.push((expr, self.matching(&line.on)?));
        }
        let ema = match Self::lines(section, "ema").next() {
            None => None,
            Some(line) => match &line.groups[..] {
                [group] if group.len() == 1 => Some((self.plain_number(&group[0], scope)?, group[0].span)),
                _ => return self.error(Code::WrongSetting, line.span, "expected the decay, as `ema 0.999`"),
            },
        };
        if let Some((decay, span)) = ema
            && !(0.0..1.0).contains(&decay)
        {
            let message = format!("the decay must be at least 0 and below 1, this is {decay}");
            return self.error(Code::WrongValue, span, message);
        }
        Ok(AfterUpdates {
            constraints,
            scope: scope.clone(),
            ema,
        })
    }

    pub(super) fn update_parameter(
        &mut self,
        at: usize,
        gradient: TensorId,
        scale: Option<TensorId>,
        line: &OptimizerLine<'a>,
        bound: Arguments<'a>,
        after: &AfterUpdates<'a>,
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
        let step = Value::Step(Number::Variable(StepVariable::Step));
        let place = format!("{path}/{}", line.definition.name.text);
        let operands = [Value::Tensor(param), gradient];
        let mut new = self.run_optimizer(line.definition, &bound, operands, place, step, line.span)?;
        for (constraint, chosen) in &after.constraints {
            if chosen[at] {
                new = self.constrained(new, constraint, &after.scope)?;
            }
        }
        if let Some((decay, span)) = after.ema {
            self.running_mean(&path, new, decay, span)?;
        }
        self.program.outputs.push(Output {
            kind: OutputKind::ParamUpdate(ParamId(at as u32)),
            tensor: new,
        });
        Ok(())
    }

    /// Expands an optimizer's definition for a parameter and its gradient; gives the new parameter.
    fn run_optimizer(
        &mut self,
        definition: &'a Definition,
        bound: &Arguments<'a>,
        [param, gradient]: [Value<'a>; 2],
        path: String,
        step: Value<'a>,
        span: Span,
    ) -> Checked<TensorId> {
        let mut bound = bound.clone();
        bound.retain(|(b, _)| *b > 1);
        let Value::Tensor(old) = param else { return Err(Wrong) };
        bound.push((0, param));
        bound.push((1, gradient));
        let scope = Scope::body(PathScope::new(path.as_str()));
        scope.define("step", step, span);
        let own = &definition.parameters[0].name.text;
        self.calls.push(span);
        let result = self.bind_parameters(definition, &bound, &scope).and_then(|()| {
            scope.make_updatable(own, &format!("param {path}"));
            self.statements(&definition.body.statements, &scope)
        });
        self.calls.pop();
        result?;
        match scope.find(own).map(|b| b.value) {
            Some(Value::Tensor(new)) if new != old => Ok(new),
            _ => {
                let message = format!("the optimizer `{}` never updates its parameter", definition.name.text);
                self.error(Code::NotUpdatable, definition.name.span, message)
            }
        }
    }

    /// An optimizer as an argument of another one, `lookahead(adamw(lr = 1e-3))`.
    pub(super) fn optimizer_argument(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let (definition, arguments, span) = self.named_optimizer(expr, scope)?;
        let path = definition.name.text.clone();
        Ok(Value::Layer(Rc::new(Layer::Call {
            definition,
            arguments,
            path,
            span,
        })))
    }

    /// `inner(param, grad)` in an optimizer's body: what the inner optimizer would make of the parameter.
    pub(super) fn inner_optimizer(
        &mut self,
        layer: &Layer<'a>,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let Layer::Call {
            definition,
            arguments: bound,
            path,
            span: given,
        } = layer
        else {
            return Err(Wrong);
        };
        let [param, gradient] = arguments else {
            let message = "an optimizer is called with a parameter and its gradient";
            return self.error(Code::WrongArguments, span, message);
        };
        let param = self.evaluate(&param.value, scope, Position::Value)?;
        let gradient = self.evaluate(&gradient.value, scope, Position::Value)?;
        let Some(step) = scope.find("step").map(|b| b.value) else {
            return self.error(Code::WrongKind, span, "only an optimizer can call an optimizer");
        };
        let path = scope.path.join(path);
        let new = self.run_optimizer(definition, bound, [param, gradient], path, step, *given)?;
        Ok(Value::Tensor(new))
    }

    /// The parameter as a constraint wants it.
    fn constrained(&mut self, new: TensorId, constraint: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<TensorId> {
        let Value::Layer(layer) = self.evaluate(constraint, scope, Position::Layer)? else {
            let message = "expected what a parameter is brought to, as `max_norm(3)`";
            return self.error(Code::WrongKind, constraint.span, message);
        };
        let sizes = |e: &Self, id| e.axes(id).iter().map(|a| a.size).collect::<Vec<_>>();
        match self.apply(&Value::Layer(layer), Value::Tensor(new), constraint.span)? {
            Value::Tensor(id) if sizes(self, id) == sizes(self, new) => Ok(id),
            _ => {
                let message = "a constraint gives a tensor of the parameter's shape";
                self.wrong(Diagnostic::new(Code::ShapeMismatch, constraint.span, message))
            }
        }
    }

    /// Keeps a running mean of a parameter; the first update begins it.
    fn running_mean(&mut self, path: &str, new: TensorId, decay: f64, span: Span) -> Checked<()> {
        let axes = self.axes(new).to_vec();
        let path = format!("{path}{EMA}");
        let state = StateId(self.program.states.len() as u32);
        self.program.states.push(StateDeclaration {
            path: path.clone(),
            shape: axes.iter().map(|a| a.size).collect(),
            initial: 0.0,
            optimizer: true,
        });
        let mean = self.tensor(model::Tensor {
            name: "ema".into(),
            axes: axes.clone(),
            element: Element::Real,
            definition: model::Definition::State(state),
            span,
        })?;
        let first = Number::apply(
            NumberFunction::Equal,
            vec![Number::Variable(StepVariable::Step), Number::Constant(1.0)],
        );
        let (first, _) = self.constant(&Value::StepCondition(first), span)?;
        let part =
            |share: f64, of: Element_| Element_::Apply(MapFunction::Multiply, vec![Element_::Constant(share), of]);
        let (old, now) = (self.read_whole(mean), self.read_whole(new));
        let mixed = Element_::Apply(MapFunction::Add, vec![part(decay, old), part(1.0 - decay, now.clone())]);
        let body = Element_::Apply(MapFunction::Where, vec![first, now, mixed]);
        let newest = self.elementwise(axes, Element::Real, body, span)?;
        self.states.insert(path, (state, newest));
        Ok(())
    }
}
