//! The area under the precision-recall curve as a sum of steps: each gain of recall times the precision there.

use super::SplitFunction;
use super::curve::{OPERANDS, steps, total};

pub struct RankedPrecision;

impl SplitFunction for RankedPrecision {
    fn name(&self) -> &'static str {
        "ranked_precision"
    }

    fn operands(&self) -> &'static [&'static str] {
        OPERANDS
    }

    fn axes(&self, _: usize) -> Vec<usize> {
        vec![]
    }

    /// 0 where there are no positives.
    fn compute(&self, columns: &[&[f64]], _: usize) -> Vec<f64> {
        let steps = steps(columns[0], columns[1], columns[2]);
        let all = total(&steps).positive;
        let gain = |pair: &[super::curve::Step]| {
            let taken = pair[1].positive + pair[1].negative;
            (pair[1].positive - pair[0].positive) * pair[1].positive / taken
        };
        let sum: f64 = steps.windows(2).map(gain).sum();
        vec![if all > 0.0 { sum / all } else { 0.0 }]
    }
}
