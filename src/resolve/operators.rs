//! Operators and element-wise functions on whole values: numbers, conditions, layers, tensors of one shape.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::number;
use super::value::{Layer, Quantity, Value};
use crate::ir::ast::{BinaryOperator, UnaryOperator};
use crate::ir::graph::{Element, MapFunction};
use crate::ir::model::{self, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    pub(super) fn unary(&mut self, operator: UnaryOperator, value: Value<'a>, span: Span) -> Checked<Value<'a>> {
        match (operator, value) {
            (_, Value::Wrong) => Err(Wrong),
            (UnaryOperator::Negate, Value::Number(q)) => {
                let label = self.sources.text(span).to_string();
                Ok(Value::Number(Quantity {
                    value: q.value.negative(),
                    origin: span,
                    label,
                }))
            }
            (UnaryOperator::Negate, Value::Step(n)) => Ok(Value::Step(crate::ir::number::Number::apply(
                crate::ir::number::NumberFunction::Negate,
                vec![n],
            ))),
            (UnaryOperator::Not, Value::Condition(c)) => Ok(Value::Condition(!c)),
            (UnaryOperator::Negate, Value::Tensor(id)) => self.map(MapFunction::Negate, &[Value::Tensor(id)], span),
            (UnaryOperator::Not, Value::Tensor(id)) => self.map(MapFunction::Not, &[Value::Tensor(id)], span),
            (operator, other) => {
                let sign = if operator == UnaryOperator::Negate {
                    "`-`"
                } else {
                    "`not`"
                };
                self.error(
                    Code::WrongKind,
                    span,
                    format!("{sign} does not apply to {}", other.describe()),
                )
            }
        }
    }

    /// Combines two values by an operator.
    pub fn binary(
        &mut self,
        operator: BinaryOperator,
        left: Value<'a>,
        right: Value<'a>,
        span: Span,
        operator_span: Span,
    ) -> Checked<Value<'a>> {
        match (&left, &right) {
            (Value::Wrong, _) | (_, Value::Wrong) => Err(Wrong),
            (Value::Layer(_), _) | (_, Value::Layer(_)) => match operator {
                BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply | BinaryOperator::Divide => {
                    Ok(Value::Layer(Rc::new(Layer::Combine(operator, left, right, span))))
                }
                _ => self.error(
                    Code::WrongKind,
                    operator_span,
                    "layers can be added, subtracted, multiplied and divided only",
                ),
            },
            (Value::Tensor(_), _) | (_, Value::Tensor(_)) => self.combine_tensors(operator, left, right, span),
            _ => number::combine(self, operator, &left, &right, span),
        }
    }

    pub(super) fn combine_tensors(
        &mut self,
        operator: BinaryOperator,
        left: Value<'a>,
        right: Value<'a>,
        span: Span,
    ) -> Checked<Value<'a>> {
        use BinaryOperator::*;
        let (function, swap, negate) = match operator {
            Add => (MapFunction::Add, false, false),
            Subtract => (MapFunction::Subtract, false, false),
            Multiply => (MapFunction::Multiply, false, false),
            Divide => (MapFunction::Divide, false, false),
            Power => (MapFunction::Power, false, false),
            And => (MapFunction::And, false, false),
            Or => (MapFunction::Or, false, false),
            Equal => (MapFunction::Equal, false, false),
            NotEqual => (MapFunction::Equal, false, true),
            Less => (MapFunction::Less, false, false),
            LessEqual => (MapFunction::LessEqual, false, false),
            Greater => (MapFunction::Less, true, false),
            GreaterEqual => (MapFunction::LessEqual, true, false),
            WholeDivide | Modulo => {
                return self.error(
                    Code::WrongKind,
                    span,
                    "`div` and `mod` are for whole numbers, not for tensors",
                );
            }
        };
        if matches!(operator, Add | Subtract | Multiply | Divide | Power) {
            for side in [&left, &right] {
                if let Value::Tensor(id) = side
                    && matches!(self.program.tensor(*id).element, Element::Id { .. })
                {
                    return self.ids_as_numbers(span);
                }
            }
        }
        let operands = if swap { [right, left] } else { [left, right] };
        let value = self.map(function, &operands, span)?;
        if negate {
            self.map(MapFunction::Not, &[value], span)
        } else {
            Ok(value)
        }
    }

    /// Applies an element-wise function to tensors of one shape and numbers.
    pub fn map(&mut self, function: MapFunction, operands: &[Value<'a>], span: Span) -> Checked<Value<'a>> {
        let mut shape: Option<TensorId> = None;
        for operand in operands {
            let Value::Tensor(id) = operand else { continue };
            let Some(first) = shape else {
                shape = Some(*id);
                continue;
            };
            if self.axes(first).is_empty() {
                shape = Some(*id);
            } else if !self.axes(*id).is_empty() {
                self.same_shape(first, *id, span)?;
            }
        }
        let mut arguments = vec![];
        for operand in operands {
            let expr = match operand {
                Value::Tensor(id) => (self.read_whole(*id), self.program.tensor(*id).element),
                other => self.constant(other, span)?,
            };
            arguments.push(expr);
        }
        let (body, element) = super::fold::apply(function, arguments);
        let axes = shape.map(|id| self.axes(id).to_vec()).unwrap_or_default();
        Ok(Value::Tensor(self.elementwise(axes, element, body, span)?))
    }

    /// A value that is no tensor, as the element of an equation.
    pub fn constant(&mut self, value: &Value<'a>, span: Span) -> Checked<(model::Expr, Element)> {
        match value {
            Value::Number(q) => Ok((model::Expr::Constant(number::stored(self, q, span)?), Element::Real)),
            Value::Step(n) => match n.as_constant() {
                Some(constant) => Ok((model::Expr::Constant(constant), Element::Real)),
                None => Ok((model::Expr::Number(self.number(n.clone())), Element::Real)),
            },
            Value::Condition(c) => Ok((model::Expr::Constant(if *c { 1.0 } else { 0.0 }), Element::Condition)),
            Value::StepCondition(n) => {
                if let Some(constant) = n.as_constant() {
                    return Ok((model::Expr::Constant(constant), Element::Condition));
                }
                // The host writes conditions as 0 and 1.
                let number = model::Expr::Number(self.number(n.clone()));
                let body = model::Expr::Apply(MapFunction::Less, vec![model::Expr::Constant(0.5), number]);
                Ok((body, Element::Condition))
            }
            Value::Wrong => Err(Wrong),
            other => self.error(
                Code::WrongKind,
                span,
                format!("expected a number or a tensor, found {}", other.describe()),
            ),
        }
    }

    pub(super) fn same_shape(&mut self, a: TensorId, b: TensorId, span: Span) -> Checked<()> {
        let (first, second) = (self.axes(a).to_vec(), self.axes(b).to_vec());
        let sizes = |axes: &[model::Axis]| axes.iter().map(|a| a.size).collect::<Vec<_>>();
        if sizes(&first) == sizes(&second) {
            return Ok(());
        }
        let message = format!(
            "these shapes must be equal: {} and {}",
            model::shape_text(&first),
            model::shape_text(&second)
        );
        let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, span, message);
        if first.len() == second.len() {
            for (x, y) in first.iter().zip(&second).filter(|(x, y)| x.size != y.size) {
                diagnostic = diagnostic
                    .note(x.origin, format!("this {} comes from here", x.size))
                    .note(y.origin, format!("this {} comes from here", y.size));
            }
        } else {
            diagnostic = diagnostic.help("give both the same axes, or write the equation with indices");
        }
        for id in [a, b] {
            let tensor = self.program.tensor(id);
            let library = self.sources.file(tensor.span.file).is_some_and(|f| f.library);
            if library && first.len() == second.len() {
                continue;
            }
            let what = format!(
                "{} has {}",
                if tensor.name.is_empty() { "this" } else { &tensor.name },
                model::shape_text(&tensor.axes)
            );
            diagnostic = diagnostic.note(tensor.span, what);
        }
        self.wrong(diagnostic)
    }
}
