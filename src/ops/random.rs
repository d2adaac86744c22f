//! Independent uniform draws.

use super::{Primitive, ShapeError, TensorType, exactly};
use crate::ir::graph::Graph;

/// [`crate::ir::graph::Op::Random`].
pub struct Random {
    /// Tells the draws of one step apart.
    pub stream: u32,
}

impl Primitive for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        Ok(TensorType::real(&stated.shape))
    }
}
