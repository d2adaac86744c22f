//! Points of the ROC curve at equally spaced false positive rates: [false positive rate, true positive rate].

use super::SplitFunction;
use super::curve::{OPERANDS, steps, total};

pub struct RocPoints;

impl SplitFunction for RocPoints {
    fn name(&self) -> &'static str {
        "roc_points"
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

    /// Between two steps the curve is a straight line; where it rises upright, the upper end counts. Not a number
    /// where positives or negatives are missing.
    fn compute(&self, columns: &[&[f64]], points: usize) -> Vec<f64> {
        let steps = steps(columns[0], columns[1], columns[2]);
        let all = total(&steps);
        let mut values = Vec::with_capacity(2 * points);
        let mut at = 0;
        for point in 0..points {
            let rate = point as f64 / (points - 1) as f64;
            let wanted = rate * all.negative;
            while at + 1 < steps.len() && steps[at + 1].negative <= wanted {
                at += 1;
            }
            let mut positive = steps[at].positive;
            if let Some(next) = steps.get(at + 1) {
                let share = (wanted - steps[at].negative) / (next.negative - steps[at].negative);
                positive += share * (next.positive - positive);
            }
            let defined = all.positive > 0.0 && all.negative > 0.0;
            values.extend([rate, if defined { positive / all.positive } else { f64::NAN }]);
        }
        values
    }
}
