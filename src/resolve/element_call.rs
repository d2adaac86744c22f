//! Calls inside an equation: functions of elements, and definitions applied to an element.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::element::free_indices;
use super::evaluate::Position as Place_;
use super::indices::Indices;
use super::scope::Scope;
use super::value::Value;
use super::{fold, number};
use crate::ir::ast::{self, Expr as Syntax, ExprKind};
use crate::ir::graph::{Element, MapFunction};
use crate::ir::model::{Axis, Definition, Equation, Expr, IndexId, Tensor, TensorId};
use crate::text::{Code, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    pub(super) fn lower_call(
        &mut self,
        callee: &'a Syntax,
        arguments: &'a [ast::Argument],
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        if !self.mentions_index(expr, scope) && !self.is_indexed(expr, scope) {
            let value = self.evaluate(expr, scope, Place_::Value)?;
            return self.whole(value, expr.span);
        }
        let ExprKind::Name(name) = &*callee.kind else {
            return self.error(Code::WrongKind, callee.span, "expected the name of a function");
        };
        let known = scope.find(name).is_none();
        if known && matches!(name.as_str(), "stop" | "real") && arguments.len() == 1 {
            let (body, element) = self.lower(&arguments[0].value, scope, indices)?;
            let body = if name == "stop" {
                Expr::Stop(Box::new(body))
            } else {
                body
            };
            return Ok((body, if name == "stop" { element } else { Element::Real }));
        }
        if known && let Some((count, function, _)) = number::function(name) {
            if arguments.len() != count {
                let message = format!(
                    "`{name}` takes {count} argument{}, found {}",
                    if count == 1 { "" } else { "s" },
                    arguments.len()
                );
                return self.error(Code::WrongArguments, expr.span, message);
            }
            let angular = std::mem::replace(&mut self.angular, number::takes_an_angle(name));
            let lowered: Vec<_> = arguments.iter().map(|a| self.lower(&a.value, scope, indices)).collect();
            self.angular = angular;
            let lowered = lowered.into_iter().collect::<Checked<Vec<_>>>()?;
            if function == MapFunction::Where && lowered[0].1 != Element::Condition {
                return self.error(
                    Code::WrongKind,
                    arguments[0].value.span,
                    "the first argument of `where` is a condition",
                );
            }
            return Ok(fold::apply(function, lowered));
        }
        self.lower_definition_call(callee, arguments, expr, scope, indices)
    }

    /// A definition called on an element, `sigmoid(a[.., 1, j])`: the argument becomes a tensor over its free indices.
    pub fn lower_definition_call(
        &mut self,
        callee: &'a Syntax,
        arguments: &'a [ast::Argument],
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        let Some((first, others)) = arguments.split_first() else {
            return self.error(
                Code::WrongArguments,
                expr.span,
                "this call needs the element that it applies to",
            );
        };
        let layer = match scope.find(match &*callee.kind {
            ExprKind::Name(name) => name,
            _ => "",
        }) {
            Some(binding) => binding.value,
            None => self.call(callee, others, expr.span, scope, Place_::Layer)?,
        };
        let (body, element) = self.lower(&first.value, scope, indices)?;
        let (argument, free) = self.element_tensor((body, element), first.value.span, scope, indices)?;
        let axes = self.axes(argument).to_vec();
        let Value::Tensor(result) = self.apply(&layer, Value::Tensor(argument), expr.span)? else {
            return Err(Wrong);
        };
        let same = self.axes(result).iter().map(|a| a.size).eq(axes.iter().map(|a| a.size));
        if !same {
            let message = "a definition called on an element must be element-wise";
            return self.error(Code::WrongRank, expr.span, message);
        }
        let places = free.iter().map(|&i| super::elaborator::read_at(i)).collect();
        Ok((
            Expr::Read {
                tensor: result,
                places,
                otherwise: None,
            },
            self.program.tensor(result).element,
        ))
    }

    /// An element as a tensor over its free indices, which are given too; in a scan what the step makes has no axis of
    /// steps, all else may be made for all of them.
    pub(super) fn element_tensor(
        &mut self,
        (body, element): (Expr, Element),
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &Indices,
    ) -> Checked<(TensorId, Vec<IndexId>)> {
        let mut free = vec![];
        free_indices(&body, &mut vec![], &mut free);
        free.sort_unstable();
        let walked = scope.walked().filter(|_| self.reads_inside(&body));
        let walked = walked.and_then(|(walk, name)| Some((walk, indices.known(&name)?)));
        free.retain(|index| walked.is_none_or(|(_, step)| step != *index));
        if let Some((_, step)) = walked {
            self.check_step(&body, step, span)?;
        }
        let axes: Vec<Axis> = free.iter().map(|&i| indices.axes[i].clone()).collect();
        let definition = Definition::Equation(Equation {
            indices: indices.sizes(),
            left: free.iter().map(|&i| vec![i]).collect(),
            body,
            walked,
        });
        let id = self.tensor(Tensor {
            name: String::new(),
            axes,
            element,
            definition,
            span,
        })?;
        Ok((id, free))
    }
}
