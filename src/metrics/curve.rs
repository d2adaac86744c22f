//! Scores and truths → how many positives and negatives score at least each distinct score, from the highest on.
//! Equal scores are one step, so that nothing depends on how ties are ordered.

/// The operands of what looks at a ranking, as [`steps`] takes them.
pub const OPERANDS: &[&str] = &["score", "truth", "weight"];

/// What the samples down to a score weigh.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Step {
    /// Of the positives.
    pub positive: f64,
    /// Of the negatives.
    pub negative: f64,
}

/// The steps of a ranking, from nothing to everything. A sample of weight 0 does not count.
pub fn steps(score: &[f64], truth: &[f64], weight: &[f64]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..score.len()).filter(|&i| weight[i] != 0.0).collect();
    order.sort_by(|&a, &b| score[b].total_cmp(&score[a]));
    let mut steps = vec![Step::default()];
    let mut now = Step::default();
    for (at, &i) in order.iter().enumerate() {
        now.positive += weight[i] * truth[i];
        now.negative += weight[i] * (1.0 - truth[i]);
        // -0 and 0 are one score.
        let last_of_equals = order.get(at + 1).is_none_or(|&next| score[next] != score[i]);
        if last_of_equals {
            steps.push(now);
        }
    }
    steps
}

/// The weight of all samples.
pub fn total(steps: &[Step]) -> Step {
    steps.last().copied().unwrap_or_default()
}
