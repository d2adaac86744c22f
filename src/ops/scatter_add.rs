//! The transpose of a gather: adds into a table of zeros at ids, in the order of the source.

use super::gather::{Gather, check_positions, table_index};
use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, demand};
use crate::ir::graph::{Element, GatherPosition, Graph, Op, elements};

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

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let mut table = Tensor64::from_index(&result.shape, |_| 0.0);
        let source = operands[0];
        let mut element = 0;
        Tensor64::from_index(&source.shape, |index| {
            let offset = table.offset(&table_index(self.positions, operands, index));
            table.data[offset] += source.data[element];
            element += 1;
            0.0
        });
        table
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        let shape = backward.builder.shape(backward.operands[0]).to_vec();
        let ids = &backward.operands[1..];
        let dsource = backward
            .builder
            .gather(backward.gradient, self.positions.to_vec(), ids, &shape);
        let mut grads = vec![None; backward.operands.len()];
        grads[0] = Some(dsource);
        Grads::Operands(grads)
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(elements(&operands[0].shape), operands, result)
    }

    fn samples() -> Vec<Sample> {
        // A gather's table is the scatter's result, and its result the scatter's source.
        let transposed = |sample: Sample| {
            let Op::Gather { positions } = sample.op else {
                unreachable!("a gather's sample is a gather")
            };
            let mut operands = sample.operands;
            let result = std::mem::replace(&mut operands[0].0, sample.result);
            Sample::new(Op::ScatterAdd { positions }, operands, result).tolerance(1e-6, "sums of a few rounded numbers")
        };
        Gather::samples().into_iter().map(transposed).collect()
    }
}
