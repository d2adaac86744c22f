//! A model's stated inputs and outputs, held against what the data and the body give.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::fraction::Known;
use super::scope::Scope;
use super::value::{Quantity, Value};
use crate::ir::ast::{ElementType, Expr, ExprKind, Model};
use crate::ir::graph::{Element, OutputKind};
use crate::ir::model::{self, Output, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Checks the inputs; sizes that are new names are bound by the data.
    pub fn signature_inputs(&mut self, model: &'a Model, scope: &Rc<Scope<'a>>) -> Checked<()> {
        let mut failed = false;
        for input in model.inputs.iter().flatten() {
            let Some(Value::Tensor(id)) = self.data_name(&input.name.text) else {
                let known: Vec<String> = self.schema.tensors.iter().map(|t| t.name.clone()).collect();
                failed |= self
                    .unknown::<()>("input of the data", &input.name.text, input.name.span, &known)
                    .is_err();
                continue;
            };
            let element = self.program.tensor(id).element;
            let fits = match input.element {
                ElementType::Ids => matches!(element, Element::Id { .. }),
                ElementType::Real => element == Element::Real,
                ElementType::Condition => element == Element::Condition,
            };
            if !fits {
                let message = format!(
                    "the data's `{}` holds {}, not {}",
                    input.name.text,
                    super::arguments::describe(element),
                    match input.element {
                        ElementType::Ids => "ids",
                        ElementType::Real => "real numbers",
                        ElementType::Condition => "conditions",
                    }
                );
                failed |= self.error::<()>(Code::WrongKind, input.span, message).is_err();
                continue;
            }
            failed |= self.match_axes(&input.axes, id, input.span, scope).is_err();
            if let (Some(below), Element::Id { bound }) = (&input.below, element) {
                failed |= self
                    .match_size(below, bound, "ids below", Span::NOWHERE, scope)
                    .is_err();
            }
        }
        if failed { Err(Wrong) } else { Ok(()) }
    }

    /// Checks the outputs and names them.
    pub fn signature_outputs(&mut self, model: &'a Model, last: &Value<'a>, scope: &Rc<Scope<'a>>) -> Checked<()> {
        let mut failed = false;
        for output in &model.outputs {
            let value = match scope.find(&output.name.text) {
                Some(binding) => {
                    binding.used.set(true);
                    binding.value
                }
                None => last.clone(),
            };
            let Value::Tensor(id) = value else { continue };
            failed |= self.match_axes(&output.axes, id, output.span, scope).is_err();
            self.program.outputs.push(Output {
                kind: OutputKind::Value(output.name.text.clone()),
                tensor: id,
            });
        }
        if failed { Err(Wrong) } else { Ok(()) }
    }

    fn match_axes(&mut self, stated: &'a [Expr], id: TensorId, span: Span, scope: &Rc<Scope<'a>>) -> Checked<()> {
        let axes: Vec<model::Axis> = self.axes(id).iter().filter(|a| !a.is_batch()).cloned().collect();
        if stated.len() != axes.len() {
            let message = format!(
                "the signature states {} axes, but there are {}: {}",
                stated.len(),
                axes.len(),
                model::shape_text(&axes)
            );
            return self.error(Code::WrongRank, span, message);
        }
        for (expr, axis) in stated.iter().zip(&axes) {
            self.match_size(expr, axis.size, &axis.label, axis.origin, scope)?;
        }
        Ok(())
    }

    fn match_size(
        &mut self,
        expr: &'a Expr,
        size: usize,
        label: &str,
        origin: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<()> {
        if let ExprKind::Name(name) = &*expr.kind
            && scope.find(name).is_none()
            && !self.schema.sizes.iter().any(|(n, _)| n == name)
        {
            let quantity = Quantity {
                value: Known::whole(size as i128),
                origin: expr.span,
                label: name.clone(),
            };
            scope.define(name, Value::Number(quantity), expr.span);
            if let Some(binding) = scope.find(name) {
                binding.used.set(true);
            }
            return Ok(());
        }
        let quantity = self.quantity(expr, scope)?;
        if quantity.value.as_whole() == Some(size as i128) {
            return Ok(());
        }
        let message = format!("the signature says {}, but this is {size} ({label})", quantity.value);
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, expr.span, message)
            .note(origin, format!("this {size} comes from here"));
        self.wrong(diagnostic)
    }
}
