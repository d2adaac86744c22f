//! The transpose of a gather: adds into a table of zeros at ids, in the order of the source.

use super::gather::check_positions;
use super::{Primitive, ShapeError, TensorType, demand};
use crate::ir::graph::{Element, GatherPosition, Graph};

/// [`crate::ir::graph::Op::ScatterAdd`].
pub struct ScatterAdd<'a> {
    /// For each axis of the table; axes of operand 0.
    pub positions: &'a [GatherPosition],
}

impl Primitive for ScatterAdd<'_> {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        let Some(source) = operands.first() else {
            return Err(ShapeError("expected a source, found no operand".into()));
        };
        demand(source.element == Element::Real, || {
            format!("expected reals, found {source}")
        })?;
        check_positions(self.positions, &stated.shape, operands, &source.shape)?;
        Ok(TensorType::real(&stated.shape))
    }
}
