//! Samples of primitives: uses with operands' types and domains, on which the automatic tests check shapes, meaning,
//! gradients and, elsewhere, kernels against the oracle.

use super::random::{uniform, unit};
use super::tensor64::Tensor64;
use super::{TensorType, random};
use crate::ir::graph::{Element, Op, elements};

/// What an operand's reals are drawn from. Ids and conditions are drawn from all that their element allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Domain {
    /// Uniform between two numbers.
    Between(f64, f64),
    /// Uniform between two numbers, no two nearer than a hundredth of an even spacing: where ties matter.
    Distinct(f64, f64),
}

/// One use of a primitive.
#[derive(Clone, Debug)]
pub struct Sample {
    /// With its data.
    pub op: Op,
    /// The operands' types and domains.
    pub operands: Vec<(TensorType, Domain)>,
    /// The result's type.
    pub result: TensorType,
    /// The greatest error of a binary32 kernel, relative to the greatest element of the result.
    pub tolerance: f64,
    /// Why this tolerance.
    pub reason: &'static str,
}

impl Sample {
    /// A sample whose kernel moves elements or rounds once.
    pub fn new(op: Op, operands: Vec<(TensorType, Domain)>, result: TensorType) -> Sample {
        Sample {
            op,
            operands,
            result,
            tolerance: 1.2e-7,
            reason: "inputs and result are rounded to 24 bits",
        }
    }

    /// A sample of reals without operands.
    pub fn leaf(op: Op, shape: &[usize]) -> Sample {
        Sample::new(op, vec![], TensorType::real(shape))
    }

    /// The same with another tolerance.
    pub fn tolerance(mut self, tolerance: f64, reason: &'static str) -> Sample {
        (self.tolerance, self.reason) = (tolerance, reason);
        self
    }
}

/// Deterministic elements of a type.
pub fn draw(kind: &TensorType, domain: Domain, stream: u32) -> Tensor64 {
    let count = elements(&kind.shape);
    let key = [0x5eed, 0];
    let whole = |bound: usize, i: usize| (unit(random::draw(key, stream, i as u32)) * bound as f64).floor();
    let data = match (kind.element, domain) {
        (Element::Id { bound }, _) => (0..count).map(|i| whole(bound, i)).collect(),
        (Element::Condition, _) => (0..count).map(|i| whole(2, i)).collect(),
        (Element::Real, Domain::Between(low, high)) => (0..count)
            .map(|i| low + (high - low) * uniform(key, stream, i as u32))
            .collect(),
        (Element::Real, Domain::Distinct(low, high)) => {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by_key(|&i| random::draw(key, stream, i as u32));
            let mut data = vec![0.0; count];
            for (rank, &i) in order.iter().enumerate() {
                let jitter = 0.98 * uniform(key, stream + 1, i as u32);
                data[i] = low + (high - low) * (rank as f64 + jitter) / count as f64;
            }
            data
        }
    };
    Tensor64::new(&kind.shape, data)
}
