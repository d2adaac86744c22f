//! The area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half
//! (Hanley and McNeil 1982).

use super::SplitFunction;
use super::curve::{OPERANDS, steps, total};

pub struct RankedArea;

impl SplitFunction for RankedArea {
    fn name(&self) -> &'static str {
        "ranked_area"
    }

    fn operands(&self) -> &'static [&'static str] {
        OPERANDS
    }

    fn axes(&self, _: usize) -> Vec<usize> {
        vec![]
    }

    /// Not a number where positives or negatives are missing.
    fn compute(&self, columns: &[&[f64]], _: usize) -> Vec<f64> {
        let steps = steps(columns[0], columns[1], columns[2]);
        let trapezoid = |pair: &[super::curve::Step]| {
            (pair[1].negative - pair[0].negative) * (pair[0].positive + pair[1].positive) / 2.0
        };
        let area: f64 = steps.windows(2).map(trapezoid).sum();
        let all = total(&steps);
        let pairs = all.positive * all.negative;
        vec![if pairs > 0.0 { area / pairs } else { f64::NAN }]
    }
}
