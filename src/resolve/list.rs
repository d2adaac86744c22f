//! Reductions over the elements of a list of numbers, `sum[i] where(at[i] < step, 1, 0)`: written out when compiling.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::fraction::Known;
use super::number;
use super::scope::Scope;
use super::value::{Quantity, Value};
use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index, ReductionOperator};
use crate::text::Code;
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// The number of elements, if this is a reduction over one index that reads a list.
    pub(super) fn over_list(&self, expr: &Expr, scope: &Rc<Scope<'a>>) -> Option<usize> {
        let ExprKind::Reduce {
            indices,
            condition: None,
            operand: Some(operand),
            ..
        } = &*expr.kind
        else {
            return None;
        };
        match &indices[..] {
            [Index::Named { name, bound: None }] if scope.range(&name.text).is_none() => {
                self.list_read(operand, &name.text, scope)
            }
            _ => None,
        }
    }

    /// The length of a list that an expression reads at an index.
    fn list_read(&self, expr: &Expr, index: &str, scope: &Rc<Scope<'a>>) -> Option<usize> {
        match &*expr.kind {
            ExprKind::Element { base, indices } => match (&*base.kind, &indices[..]) {
                (ExprKind::Name(list), [Index::Named { name, bound: None }]) if name.text == index => {
                    match scope.find(list)?.value {
                        Value::List(list) => Some(list.len()),
                        _ => None,
                    }
                }
                _ => None,
            },
            ExprKind::Unary { operand, .. } => self.list_read(operand, index, scope),
            ExprKind::Binary { left, right, .. } => self
                .list_read(left, index, scope)
                .or_else(|| self.list_read(right, index, scope)),
            ExprKind::Call { arguments, .. } => arguments.iter().find_map(|a| self.list_read(&a.value, index, scope)),
            _ => None,
        }
    }

    /// The reduction of so many elements.
    pub(super) fn reduce_list(&mut self, expr: &'a Expr, count: usize, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let ExprKind::Reduce {
            operator,
            indices,
            operand: Some(operand),
            ..
        } = &*expr.kind
        else {
            return Err(Wrong);
        };
        let [Index::Named { name, .. }] = &indices[..] else {
            return Err(Wrong);
        };
        let quantity = |value: Known| {
            Value::Number(Quantity {
                value,
                origin: expr.span,
                label: name.text.clone(),
            })
        };
        let mut result: Option<Value<'a>> = None;
        for at in 0..count {
            let inner = scope.inner(scope.path.clone());
            inner.define(&name.text, quantity(Known::whole(at as i128)), name.span);
            let element = self.evaluate(operand, &inner, Position::Value)?;
            result = Some(match result {
                None => element,
                Some(before) => match operator {
                    ReductionOperator::Sum | ReductionOperator::Mean => {
                        number::combine(self, BinaryOperator::Add, &before, &element, expr.span)?
                    }
                    ReductionOperator::Product => {
                        number::combine(self, BinaryOperator::Multiply, &before, &element, expr.span)?
                    }
                    ReductionOperator::Max => number::apply(self, "max", &[before, element], expr.span)?,
                    ReductionOperator::Min => number::apply(self, "min", &[before, element], expr.span)?,
                    _ => return self.error(Code::NotSupported, expr.span, "this reduction does not apply to a list"),
                },
            });
        }
        match (operator, result) {
            (ReductionOperator::Mean, Some(sum)) => {
                let count = quantity(Known::whole(count as i128));
                number::combine(self, BinaryOperator::Divide, &sum, &count, expr.span)
            }
            (_, Some(value)) => Ok(value),
            (ReductionOperator::Product, None) => Ok(quantity(Known::whole(1))),
            (ReductionOperator::Sum | ReductionOperator::Mean, None) => Ok(quantity(Known::whole(0))),
            _ => self.error(
                Code::WrongValue,
                expr.span,
                "an empty list has no greatest or least element",
            ),
        }
    }
}
