//! The index along one axis, as a number or as an id.

use super::{Primitive, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph};

/// [`crate::ir::graph::Op::Index`].
pub struct Index {
    /// Which axis of the result.
    pub axis: usize,
}

impl Primitive for Index {
    fn name(&self) -> &'static str {
        "index"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        demand(self.axis < stated.shape.len(), || {
            format!("axis {} is not there", self.axis)
        })?;
        let size = stated.shape[self.axis];
        let fits = match stated.element {
            Element::Real => true,
            Element::Condition => false,
            Element::Id { bound } => size <= bound,
        };
        demand(fits, || format!("an index below {size} is no {}", stated.element))?;
        Ok(stated.clone())
    }
}
