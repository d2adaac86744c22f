//! The same number everywhere.

use super::{Primitive, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph};

/// [`crate::ir::graph::Op::Constant`].
pub struct Constant(pub f64);

impl Primitive for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        let value = self.0;
        let fits = match stated.element {
            Element::Real => true,
            Element::Condition => value == 0.0 || value == 1.0,
            Element::Id { bound } => value >= 0.0 && value < bound as f64 && value.fract() == 0.0,
        };
        demand(fits, || format!("{value} is no {}", stated.element))?;
        Ok(stated.clone())
    }
}
