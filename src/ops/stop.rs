//! The operand, without its gradient.

use super::{Primitive, ShapeError, TensorType, exactly};
use crate::ir::graph::Graph;

/// [`crate::ir::graph::Op::Stop`].
pub struct Stop;

impl Primitive for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let [operand] = exactly(operands)?;
        Ok(operand.clone())
    }
}
