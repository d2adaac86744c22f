//! Sums of products of two operands: every matrix product, batched or not.

use super::{Primitive, ShapeError, TensorType, demand, exactly};
use crate::ir::graph::{Element, Graph};

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
}
