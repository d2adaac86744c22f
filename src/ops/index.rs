//! The index along one axis, as a number or as an id.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, Op};

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

    fn reference(&self, _: &Environment, _: &[&Tensor64], result: &TensorType) -> Tensor64 {
        Tensor64::from_index(&result.shape, |index| index[self.axis] as f64)
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        let id = TensorType {
            shape: vec![3, 5],
            element: Element::Id { bound: 6 },
        };
        vec![
            Sample::leaf(Op::Index { axis: 0 }, &[3, 4]),
            Sample::leaf(Op::Index { axis: 1 }, &[3, 4]),
            Sample::new(Op::Index { axis: 1 }, vec![], id),
        ]
    }
}
