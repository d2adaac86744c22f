//! Points of the precision-recall curve at equally spaced recalls: [recall, precision].

use super::SplitFunction;
use super::curve::{OPERANDS, steps, total};

pub struct PrecisionRecallPoints;

impl SplitFunction for PrecisionRecallPoints {
    fn name(&self) -> &'static str {
        "precision_recall_points"
    }

    fn operands(&self) -> &'static [&'static str] {
        OPERANDS
    }

    fn axes(&self, points: usize) -> Vec<usize> {
        vec![points, 2]
    }

    fn takes_points(&self) -> bool {
        true
    }

    /// The precision of the first step, from the highest score on, whose recall is at least the point's.
    fn compute(&self, columns: &[&[f64]], points: usize) -> Vec<f64> {
        let steps = steps(columns[0], columns[1], columns[2]);
        let all = total(&steps);
        let mut values = Vec::with_capacity(2 * points);
        let mut at = 1;
        for point in 0..points {
            let recall = point as f64 / (points - 1) as f64;
            while at + 1 < steps.len() && steps[at].positive < recall * all.positive {
                at += 1;
            }
            let precision = steps
                .get(at)
                .map_or(f64::NAN, |s| s.positive / (s.positive + s.negative));
            values.extend([recall, precision]);
        }
        values
    }
}
