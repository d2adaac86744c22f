//! The operand, without its gradient.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, exactly};
use crate::ir::graph::{Graph, Op};

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

    fn reference(&self, _: &Environment, operands: &[&Tensor64], _: &TensorType) -> Tensor64 {
        operands[0].clone()
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("stopping the gradient is what it is for")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        let real = TensorType::real(&[3, 4]);
        vec![Sample::new(
            Op::Stop,
            vec![(real.clone(), Domain::Between(-1.0, 1.0))],
            real,
        )]
    }
}
