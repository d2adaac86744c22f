//! Sums of products of two operands: every matrix product, batched or not.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph, NodeId, Op, elements};

/// [`crate::ir::graph::Op::Contract`].
pub struct Contract<'a> {
    /// The label of each axis of the first operand.
    pub a: &'a [u8],
    /// Of the second.
    pub b: &'a [u8],
    /// Of the result.
    pub out: &'a [u8],
}

impl Contract<'_> {
    /// The size of a label, if it occurs.
    pub fn size(&self, label: u8, a: &[usize], b: &[usize]) -> Option<usize> {
        let of = |labels: &[u8], shape: &[usize]| labels.iter().position(|&l| l == label).map(|at| shape[at]);
        of(self.a, a).or_else(|| of(self.b, b))
    }

    /// The labels that are summed, in the order of the operands.
    pub fn summed(&self) -> Vec<u8> {
        let mut summed: Vec<u8> = vec![];
        for &label in self.a.iter().chain(self.b) {
            if !self.out.contains(&label) && !summed.contains(&label) {
                summed.push(label);
            }
        }
        summed
    }
}

impl Primitive for Contract<'_> {
    fn name(&self) -> &'static str {
        "contract"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let [a, b] = exactly(operands)?;
        for (labels, operand) in [(self.a, a), (self.b, b)] {
            demand(operand.element != Element::Condition, || {
                "a condition is no number".into()
            })?;
            demand(labels.len() == operand.shape.len(), || {
                format!("{} labels for shape {:?}", labels.len(), operand.shape)
            })?;
            for (&label, &size) in labels.iter().zip(&operand.shape) {
                let other = self.size(label, &a.shape, &b.shape);
                demand(other == Some(size), || {
                    format!("label {label} has sizes {size} and {other:?}")
                })?;
            }
        }
        for labels in [self.a, self.b, self.out] {
            let twice = (1..labels.len()).find(|&i| labels[..i].contains(&labels[i]));
            demand(twice.is_none(), || format!("a label occurs twice in {labels:?}"))?;
        }
        let size = |&label: &u8| {
            let size = self.size(label, &a.shape, &b.shape);
            size.ok_or_else(|| ShapeError(format!("label {label} of the result is in no operand")))
        };
        let shape: Vec<usize> = self.out.iter().map(size).collect::<Result<_, _>>()?;
        Ok(TensorType::real(&shape))
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let [a, b] = [operands[0], operands[1]];
        let summed = self.summed();
        let size = |&label: &u8| self.size(label, &a.shape, &b.shape).expect("the label is an operand's");
        let sizes: Vec<usize> = summed.iter().map(size).collect();
        let labels = [self.out, &summed].concat();
        let at = |of: &[u8], index: &[usize]| -> Vec<usize> {
            let place = |label: &u8| labels.iter().position(|l| l == label).expect("every label runs");
            of.iter().map(|label| index[place(label)]).collect()
        };
        Tensor64::from_index(&result.shape, |out| {
            let products = Tensor64::from_index(&sizes, |inner| {
                let index = [out, inner].concat();
                a.at(&at(self.a, &index)) * b.at(&at(self.b, &index))
            });
            products.data.iter().sum()
        })
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        let [a, b] = [backward.operands[0], backward.operands[1]];
        let da = backward.wanted[0].then(|| side(backward, self.out, (a, self.a), (b, self.b)));
        let db = backward.wanted[1].then(|| side(backward, self.out, (b, self.b), (a, self.a)));
        Grads::Operands(vec![da, db])
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        let size = |&label: &u8| self.size(label, &operands[0].shape, &operands[1].shape).unwrap_or(1);
        let length: usize = self.summed().iter().map(size).product();
        Cost::once(2 * length * elements(&result.shape), operands, result)
    }

    fn samples() -> Vec<Sample> {
        let sample = |a: &[u8], a_shape: &[usize], b: &[u8], b_shape: &[usize], out: &[u8], shape: &[usize]| {
            let op = Op::Contract {
                a: a.to_vec(),
                b: b.to_vec(),
                out: out.to_vec(),
            };
            let operand = |shape| (TensorType::real(shape), Domain::Between(-1.0, 1.0));
            Sample::new(op, vec![operand(a_shape), operand(b_shape)], TensorType::real(shape))
                .tolerance(1e-6, "sums of a few tens of rounded products")
        };
        vec![
            sample(&[0, 1], &[5, 7], &[1, 2], &[7, 3], &[0, 2], &[5, 3]),
            sample(&[0, 1], &[5, 7], &[2, 1], &[3, 7], &[2, 0], &[3, 5]),
            sample(
                &[0, 1, 2, 3],
                &[2, 3, 4, 5],
                &[0, 1, 4, 3],
                &[2, 3, 6, 5],
                &[0, 1, 2, 4],
                &[2, 3, 4, 6],
            ),
            sample(&[0, 1], &[3, 4], &[0, 1], &[3, 4], &[], &[]),
            sample(&[0], &[3], &[1], &[4], &[1, 0], &[4, 3]),
            sample(&[0, 1, 2], &[3, 4, 2], &[0], &[3], &[0, 1], &[3, 4]),
        ]
    }
}

/// out = Σ x·y, so dx = Σ dout·y over the labels that x lacks; along a label that x alone has and that was summed,
/// every element gets the same.
fn side(backward: &mut Backward, out: &[u8], (x, x_labels): (NodeId, &[u8]), (y, y_labels): (NodeId, &[u8])) -> NodeId {
    let b = &mut *backward.builder;
    let reached = |label: &u8| out.contains(label) || y_labels.contains(label);
    let kept: Vec<u8> = x_labels.iter().copied().filter(reached).collect();
    let dx = b.contract(backward.gradient, out, y, y_labels, &kept);
    let shape = b.shape(x).to_vec();
    let axes: Vec<usize> = (0..shape.len())
        .filter(|&axis| kept.contains(&x_labels[axis]))
        .collect();
    b.broadcast(dx, &shape, &axes)
}
