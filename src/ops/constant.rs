//! The same number everywhere.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, Op};

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

    fn reference(&self, _: &Environment, _: &[&Tensor64], result: &TensorType) -> Tensor64 {
        Tensor64::from_index(&result.shape, |_| self.0)
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        let condition = TensorType {
            shape: vec![2],
            element: Element::Condition,
        };
        vec![
            Sample::leaf(Op::Constant(-0.1), &[3, 2]),
            Sample::leaf(Op::Constant(f64::NEG_INFINITY), &[]),
            Sample::new(Op::Constant(1.0), vec![], condition),
        ]
    }
}
