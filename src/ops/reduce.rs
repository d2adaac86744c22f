//! Sums, extrema and products over some axes.

use super::map::value;
use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, MapFunction, NodeId, Op, ReduceFunction, elements};
use crate::ir::graph_print::reduce_name;

/// [`crate::ir::graph::Op::Reduce`].
pub struct Reduce<'a> {
    /// How.
    pub function: ReduceFunction,
    /// Which axes of the operand, ascending.
    pub axes: &'a [usize],
}

impl Primitive for Reduce<'_> {
    fn name(&self) -> &'static str {
        reduce_name(self.function)
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let [operand] = exactly(operands)?;
        demand(operand.element != Element::Condition, || {
            "a condition is no number".into()
        })?;
        demand(self.axes.is_sorted_by(|x, y| x < y), || {
            format!("axes {:?} do not ascend", self.axes)
        })?;
        let rank = operand.shape.len();
        demand(self.axes.last().is_none_or(|&last| last < rank), || {
            format!("axes {:?} of a tensor with {rank} axes", self.axes)
        })?;
        let kept = (0..rank).filter(|axis| !self.axes.contains(axis));
        Ok(TensorType::real(
            &kept.map(|axis| operand.shape[axis]).collect::<Vec<_>>(),
        ))
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let operand = operands[0];
        let mut reduced = Tensor64::from_index(&result.shape, |_| neutral(self.function));
        let kept: Vec<usize> = (0..operand.shape.len())
            .filter(|axis| !self.axes.contains(axis))
            .collect();
        let mut element = 0;
        Tensor64::from_index(&operand.shape, |index| {
            let at: Vec<usize> = kept.iter().map(|&axis| index[axis]).collect();
            let offset = reduced.offset(&at);
            let so_far = reduced.data[offset];
            reduced.data[offset] = value(step(self.function), &[so_far, operand.data[element]]);
            element += 1;
            0.0
        });
        reduced
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        let operand = backward.operands[0];
        let d = self.repeated(backward, backward.gradient);
        let dx = match self.function {
            ReduceFunction::Sum => d,
            ReduceFunction::Product => self.product_gradient(backward, d),
            ReduceFunction::Maximum | ReduceFunction::Minimum => {
                let first = self.is_first_extremum(backward);
                let zero = backward.builder.constant_like(operand, 0.0);
                backward.builder.select(first, d, zero)
            }
        };
        Grads::Operands(vec![Some(dx)])
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(elements(&operands[0].shape), operands, result)
    }

    fn samples() -> Vec<Sample> {
        let sample = |function, shape: &[usize], axes: &[usize]| {
            let kept: Vec<usize> = (0..shape.len())
                .filter(|a| !axes.contains(a))
                .map(|a| shape[a])
                .collect();
            let axes = axes.to_vec();
            let operand = (TensorType::real(shape), Domain::Distinct(-1.5, 1.5));
            Sample::new(Op::Reduce { function, axes }, vec![operand], TensorType::real(&kept))
                .tolerance(1e-6, "a few tens of additions or multiplications, each rounded")
        };
        let functions = [
            ReduceFunction::Sum,
            ReduceFunction::Maximum,
            ReduceFunction::Minimum,
            ReduceFunction::Product,
        ];
        let shapes: [(&[usize], &[usize]); 4] =
            [(&[3, 17], &[1]), (&[4, 3], &[0]), (&[2, 3, 5], &[0, 2]), (&[7], &[0])];
        let of = |function| shapes.map(|(shape, axes)| sample(function, shape, axes));
        functions.into_iter().flat_map(of).collect()
    }
}

impl Reduce<'_> {
    /// A value of the result's shape at every element of the operand.
    fn repeated(&self, backward: &mut Backward, x: NodeId) -> NodeId {
        let shape = backward.builder.shape(backward.operands[0]).to_vec();
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !self.axes.contains(axis)).collect();
        backward.builder.broadcast(x, &shape, &kept)
    }

    /// Where the operand is the extremum and no element before it (in row-major order) is. The number of an element
    /// is exact in binary32 up to 2^24, so longer reductions are told apart one axis after the other.
    fn is_first_extremum(&self, backward: &mut Backward) -> NodeId {
        let operand = backward.operands[0];
        let extremum = self.repeated(backward, backward.node);
        let mut is_first = backward.builder.map(MapFunction::Equal, &[operand, extremum]);
        let shape = backward.builder.shape(operand).to_vec();
        let reduced: Vec<usize> = self.axes.iter().map(|&axis| shape[axis]).collect();
        let groups: Vec<Vec<usize>> = match elements(&reduced) < 1 << 24 {
            true => vec![self.axes.to_vec()],
            false => self.axes.iter().map(|&axis| vec![axis]).collect(),
        };
        for axes in groups {
            let b = &mut *backward.builder;
            let mut number = b.constant(&shape, 0.0);
            for &axis in &axes {
                let size = b.constant(&shape, shape[axis] as f64);
                let index = b.index(&shape, axis);
                let scaled = b.multiply(number, size);
                // The first number is zero: index alone says the same without arithmetic.
                number = if b.as_constant(scaled).is_some() {
                    index
                } else {
                    b.add(scaled, index)
                };
            }
            let never = b.constant(&shape, f64::INFINITY);
            let candidate = b.select(is_first, number, never);
            // The least number in the group; over the other reduced axes as well, since they come later in the order.
            let later: Vec<usize> = self.axes.iter().copied().filter(|axis| *axis >= axes[0]).collect();
            let least = b.reduce(ReduceFunction::Minimum, candidate, &later);
            let kept: Vec<usize> = (0..shape.len()).filter(|axis| !later.contains(axis)).collect();
            let least = b.broadcast(least, &shape, &kept);
            is_first = b.map(MapFunction::Equal, &[candidate, least]);
            let exists = b.map(MapFunction::Less, &[candidate, never]);
            is_first = b.map(MapFunction::And, &[is_first, exists]);
        }
        is_first
    }

    /// ∂(Π x)/∂x = Π of the others, also where elements are 0: the product of those that are not, if x is the only
    /// zero; that product over x, if there is no zero.
    fn product_gradient(&self, backward: &mut Backward, d: NodeId) -> NodeId {
        let x = backward.operands[0];
        let b = &mut *backward.builder;
        let (zero, one) = (b.constant_like(x, 0.0), b.constant_like(x, 1.0));
        let is_zero = b.map(MapFunction::Equal, &[x, zero]);
        let counted = b.select(is_zero, one, zero);
        let zeros = b.sum(counted, self.axes);
        let nonzero = b.select(is_zero, one, x);
        let product = b.reduce(ReduceFunction::Product, nonzero, self.axes);
        let zeros = self.repeated(backward, zeros);
        let product = self.repeated(backward, product);
        let b = &mut *backward.builder;
        let none = b.map(MapFunction::Equal, &[zeros, zero]);
        let single = b.map(MapFunction::Equal, &[zeros, one]);
        let quotient = b.divide(product, nonzero);
        let at_zero = b.select(single, product, zero);
        let elsewhere = b.select(none, quotient, zero);
        let others = b.select(is_zero, at_zero, elsewhere);
        b.multiply(d, others)
    }
}

/// What a reduction of nothing gives.
pub fn neutral(function: ReduceFunction) -> f64 {
    match function {
        ReduceFunction::Sum => 0.0,
        ReduceFunction::Maximum => f64::NEG_INFINITY,
        ReduceFunction::Minimum => f64::INFINITY,
        ReduceFunction::Product => 1.0,
    }
}

/// The function of two that a reduction repeats.
pub fn step(function: ReduceFunction) -> MapFunction {
    match function {
        ReduceFunction::Sum => MapFunction::Add,
        ReduceFunction::Maximum => MapFunction::Maximum,
        ReduceFunction::Minimum => MapFunction::Minimum,
        ReduceFunction::Product => MapFunction::Multiply,
    }
}
