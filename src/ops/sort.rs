//! The order of the elements along an axis: at each rank the index of the element that has it.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, Op, elements};

/// [`crate::ir::graph::Op::Sort`].
pub struct Sort {
    /// Which axis.
    pub axis: usize,
}

impl Primitive for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let [operand] = exactly(operands)?;
        demand(operand.element == Element::Real, || {
            format!("expected reals, found {operand}")
        })?;
        demand(self.axis < operand.shape.len(), || {
            format!("axis {} is not there", self.axis)
        })?;
        Ok(TensorType {
            shape: operand.shape.clone(),
            element: Element::Id {
                bound: operand.shape[self.axis],
            },
        })
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let size = result.shape[self.axis];
        Tensor64::from_index(&result.shape, |index| {
            let mut at = index.to_vec();
            let mut value = |i: usize| {
                at[self.axis] = i;
                operands[0].at(&at)
            };
            let values: Vec<f64> = (0..size).map(&mut value).collect();
            let mut order: Vec<usize> = (0..size).collect();
            order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
            order[index[self.axis]] as f64
        })
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("an index does not change with what it is the index of, but for jumps")
    }

    /// Every element is compared with every other one of its line.
    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(2 * elements(&result.shape) * result.shape[self.axis], operands, result)
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], axis: usize, domain| {
            let result = TensorType {
                shape: shape.to_vec(),
                element: Element::Id { bound: shape[axis] },
            };
            Sample::new(Op::Sort { axis }, vec![(TensorType::real(shape), domain)], result)
        };
        vec![
            sample(&[3, 7], 1, Domain::Distinct(-1.0, 1.0)),
            sample(&[5, 2, 3], 0, Domain::Distinct(-1.0, 1.0)),
            // Equal elements keep their order.
            sample(&[2, 4], 1, Domain::Between(0.5, 0.5)),
        ]
    }
}
