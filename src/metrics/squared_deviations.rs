//! The sum of squared deviations from the mean, in two passes: what the deviation of a target is, exact however far
//! from 0 it lies.

use super::SplitFunction;

pub struct SquaredDeviations;

impl SplitFunction for SquaredDeviations {
    fn name(&self) -> &'static str {
        "squared_deviations"
    }

    fn operands(&self) -> &'static [&'static str] {
        &["value", "weight"]
    }

    fn axes(&self, _: usize) -> Vec<usize> {
        vec![]
    }

    fn compute(&self, columns: &[&[f64]], _: usize) -> Vec<f64> {
        let [value, weight] = columns else {
            unreachable!("as many columns as operands")
        };
        let counted = || value.iter().zip(*weight).filter(|(_, w)| **w != 0.0);
        let total: f64 = weight.iter().sum();
        let mean = counted().map(|(v, w)| v * w).sum::<f64>() / total.max(f64::MIN_POSITIVE);
        vec![counted().map(|(v, w)| w * (v - mean) * (v - mean)).sum()]
    }
}
