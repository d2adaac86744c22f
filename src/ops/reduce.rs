//! Sums, extrema and products over some axes.

use super::{Primitive, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, ReduceFunction};
use crate::ir::graph_print::reduce_name;

/// [`crate::ir::graph::Op::Reduce`].
pub struct Reduce<'a> {
    /// How.
    pub function: ReduceFunction,
    /// Which axes of the operand, ascending.
    pub axes: &'a [usize],
}

impl Primitive for Reduce<'_> {
    fn name(&self) -> &'static str {
        reduce_name(self.function)
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let [operand] = exactly(operands)?;
        demand(operand.element != Element::Condition, || {
            "a condition is no number".into()
        })?;
        demand(self.axes.is_sorted_by(|x, y| x < y), || {
            format!("axes {:?} do not ascend", self.axes)
        })?;
        let rank = operand.shape.len();
        demand(self.axes.last().is_none_or(|&last| last < rank), || {
            format!("axes {:?} of a tensor with {rank} axes", self.axes)
        })?;
        let kept = (0..rank).filter(|axis| !self.axes.contains(axis));
        Ok(TensorType::real(
            &kept.map(|axis| operand.shape[axis]).collect::<Vec<_>>(),
        ))
    }
}
