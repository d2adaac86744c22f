//! How parameters start: what follows `~`, once fan-in and fan-out can be read off the parameter's uses.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::fraction::Known;
use super::scope::Scope;
use super::value::{Layer, Quantity, Value};
use crate::ir::ast::{Argument, DefinitionKind, Expr, ExprKind};
use crate::ir::graph::{Initialiser, ParamId, ReduceFunction};
use crate::ir::model::{Definition, Expr as Element, IndexId, Place, TensorId};
use crate::text::{Code, Span};
use std::rc::Rc;

/// The initialisers that are primitives: name and number of arguments.
const PRIMITIVES: &[(&str, usize)] = &[
    ("normal", 1),
    ("uniform", 1),
    ("truncated_normal", 1),
    ("orthogonal", 1),
    ("constant", 1),
];

impl<'a> Elaborator<'a> {
    /// Works out the first value of every parameter.
    pub fn settle_initialisers(&mut self) {
        for deferred in std::mem::take(&mut self.initialisers) {
            if let Ok(initialiser) = self.initialiser(deferred.text, &deferred.scope, deferred.param) {
                self.program.params[deferred.param.0 as usize].initialiser = initialiser;
            }
        }
    }

    /// Evaluates an initialiser for a parameter.
    pub fn initialiser(&mut self, text: &'a Expr, scope: &Rc<Scope<'a>>, param: ParamId) -> Checked<Initialiser> {
        let (name, place, arguments): (&'a str, Span, &'a [Argument]) = match &*text.kind {
            ExprKind::Name(name) => (name, text.span, &[]),
            ExprKind::Call { callee, arguments } => match &*callee.kind {
                ExprKind::Name(name) => (name, callee.span, arguments),
                _ => return self.error(Code::WrongKind, callee.span, "expected the name of an initialiser"),
            },
            _ => ("", text.span, &[]),
        };
        let is_value = scope.find(name).is_some() || name.is_empty() || matches!(name, "inf" | "pi");
        if !is_value && let Some((_, count)) = PRIMITIVES.iter().find(|p| p.0 == name) {
            return self.primitive(name, *count, arguments, text.span, scope);
        }
        if !is_value && let Some(definition) = self.library.find(name, &[DefinitionKind::Initialiser]) {
            if self.library.is_recursive(definition) {
                return Err(Wrong);
            }
            let inner = Scope::body(scope.path.clone());
            let (fan_in, fan_out) = self.fans(param);
            for (name, value) in [("fan_in", fan_in), ("fan_out", fan_out)] {
                let quantity = Quantity {
                    value: Known::whole(value as i128),
                    origin: text.span,
                    label: name.into(),
                };
                inner.define(name, Value::Number(quantity), text.span);
            }
            let bound = self.bind(
                definition,
                arguments,
                super::call::has_leading_tensor(definition) as usize,
                None,
                text.span,
                scope,
            )?;
            for (at, parameter) in definition.parameters.iter().enumerate() {
                if let Some((_, value)) = bound.iter().find(|(b, _)| *b == at) {
                    inner.define(&parameter.name.text, value.clone(), parameter.name.span);
                } else if let Some(default) = &parameter.default {
                    let value = self.evaluate(default, &inner, Position::Value)?;
                    inner.define(&parameter.name.text, value, parameter.name.span);
                }
            }
            let Some(last) = definition.body.statements.last() else {
                return Err(Wrong);
            };
            let crate::ir::ast::StatementKind::Value(value) = &last.kind else {
                return self.error(Code::WrongKind, last.span, "an initialiser's last line is its value");
            };
            self.calls.push(text.span);
            let rest = &definition.body.statements[..definition.body.statements.len() - 1];
            let _ = self.statements(rest, &inner);
            let result = self.initialiser(value, &inner, param);
            self.calls.pop();
            return result;
        }
        if !is_value && matches!(&*text.kind, ExprKind::Call { .. }) && crate::resolve::number::function(name).is_none()
        {
            let mut known = self.library.names(&[DefinitionKind::Initialiser]);
            known.extend(PRIMITIVES.iter().map(|p| p.0.to_string()));
            return self.unknown("initialiser", name, place, &known);
        }
        match self.evaluate(text, scope, Position::Value)? {
            Value::Number(q) => Ok(Initialiser::Constant(super::number::stored(self, &q, text.span)?)),
            Value::Layer(layer) => {
                let name = match &*layer {
                    Layer::Call { definition, .. } => definition.name.text.clone(),
                    _ => "this".into(),
                };
                self.error(Code::WrongKind, text.span, format!("`{name}` is no initialiser"))
            }
            other => self.error(
                Code::WrongKind,
                text.span,
                format!("expected an initialiser or a number, found {}", other.describe()),
            ),
        }
    }

    fn primitive(
        &mut self,
        name: &str,
        count: usize,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Initialiser> {
        if arguments.len() > count || name != "orthogonal" && arguments.len() != count {
            let message = format!("`{name}` takes {count} argument, found {}", arguments.len());
            return self.error(Code::WrongArguments, span, message);
        }
        let value = match arguments.first() {
            Some(argument) => {
                let quantity = self.quantity(&argument.value, scope)?;
                super::number::stored(self, &quantity, span)?
            }
            None => 1.0,
        };
        if name != "constant" && (value.is_nan() || value < 0.0 || value.is_infinite()) {
            let place = arguments.first().map_or(span, |a| a.value.span);
            return self.error(
                Code::WrongValue,
                place,
                format!("the spread of `{name}` must be at least 0 and finite, this is {value}"),
            );
        }
        Ok(match name {
            "normal" => Initialiser::Normal(value),
            "uniform" => Initialiser::Uniform(value),
            "truncated_normal" => Initialiser::TruncatedNormal(value),
            "orthogonal" => Initialiser::Orthogonal(value),
            _ => Initialiser::Constant(value),
        })
    }

    /// Fan-in and fan-out, read off the first contraction that uses the parameter: fan-in are its axes that are summed,
    /// fan-out the others, times the window that a convolution slides (PyTorch's numbers).
    pub fn fans(&self, param: ParamId) -> (usize, usize) {
        let declared = &self.program.params[param.0 as usize];
        let all: usize = declared.shape.iter().product();
        let Some(id) = self.params.get(&declared.path) else {
            return (all, all);
        };
        // What reads a tensor comes behind it.
        for tensor in &self.program.tensors[id.0 as usize..] {
            let Definition::Equation(equation) = &tensor.definition else {
                continue;
            };
            if let Some((summed, window)) = summed_axes(&equation.body, *id, &mut vec![]) {
                let fan_in: usize = summed.iter().map(|&i| equation.indices[i].1).product();
                let window: usize = window.iter().map(|&i| equation.indices[i].1).product();
                return (fan_in.max(1), (all / fan_in.max(1) * window).max(1));
            }
        }
        match declared.shape.as_slice() {
            [] => (1, 1),
            [n] => (*n, *n),
            [first, rest @ ..] => (*first, rest.iter().product()),
        }
    }
}

/// The summed indices that read a tensor alone in a sum, and which of them slide along another tensor.
fn summed_axes(expr: &Element, id: TensorId, sums: &mut Vec<IndexId>) -> Option<(Vec<IndexId>, Vec<IndexId>)> {
    match expr {
        Element::Reduce(ReduceFunction::Sum, over, body) => {
            let before = sums.len();
            sums.extend(over);
            let found = reads(body, id).map(|places| {
                let alone = |p: &Place| match p {
                    Place::At { position, .. } => position.as_axis(),
                    Place::Id(_) => None,
                };
                let summed: Vec<IndexId> = places.iter().filter_map(alone).filter(|i| sums.contains(i)).collect();
                let mut sliding = vec![];
                sliding_indices(body, &mut sliding);
                let window = summed.iter().copied().filter(|i| sliding.contains(i)).collect();
                (summed, window)
            });
            let found = found.or_else(|| summed_axes(body, id, sums));
            sums.truncate(before);
            found
        }
        Element::Reduce(_, _, body) | Element::Stop(body) => summed_axes(body, id, sums),
        Element::Apply(_, list) => list.iter().find_map(|e| summed_axes(e, id, sums)),
        _ => None,
    }
}

fn reads(expr: &Element, id: TensorId) -> Option<&Vec<Place>> {
    match expr {
        Element::Read { tensor, places, .. } if *tensor == id => Some(places),
        Element::Apply(_, list) => list.iter().find_map(|e| reads(e, id)),
        Element::Stop(body) => reads(body, id),
        _ => None,
    }
}

fn sliding_indices(expr: &Element, sliding: &mut Vec<IndexId>) {
    match expr {
        Element::Read { places, .. } => {
            for place in places {
                let Place::At { position, exact } = place else { continue };
                if position.as_axis().is_none() && position.affine.terms.len() > 1 {
                    sliding.extend(position.affine.terms.iter().map(|t| t.0));
                }
                if let Some((of, _)) = exact {
                    sliding.extend(of.terms.iter().map(|t| t.0));
                }
            }
        }
        Element::Apply(_, list) => list.iter().for_each(|e| sliding_indices(e, sliding)),
        Element::Reduce(_, _, body) | Element::Stop(body) => sliding_indices(body, sliding),
        _ => {}
    }
}
