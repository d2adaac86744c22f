//! Records → how trials stand: mean and spread of what decides over folds and seeds, the best first.

use super::plan::Plan;
use super::record::Record;
use crate::ir::model::Better;
use std::cmp::Ordering;

/// How a trial stands, by the last round that it was in.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// Its number.
    pub trial: usize,
    /// From 0.
    pub round: usize,
    /// Steps that its trainings have done, at most.
    pub step: u64,
    /// What decides, of each training; none where it is undefined.
    pub values: Vec<Option<f64>>,
    /// Its mean; none if one of them is undefined or has diverged.
    pub mean: Option<f64>,
    /// Its standard deviation over the trainings (n - 1), if there are several.
    pub deviation: Option<f64>,
    /// The mean loss.
    pub loss: Option<f64>,
    /// Why it could not go on.
    pub diverged: Option<String>,
}

/// How all trials that have records stand: those of a later round before those of an earlier one, in a round the best
/// first, then those of which nothing is known, and at the end those that diverged. Of equals the first trial is first.
pub fn standings(plan: &Plan, records: &[Record]) -> Vec<Standing> {
    let of_trial = |number: usize| -> Option<Standing> {
        let of_trial = || records.iter().filter(move |r| r.trial == number);
        let round = of_trial().map(|r| r.round).max()?;
        Some(standing(plan, number, round, of_trial().filter(|r| r.round == round)))
    };
    let mut all: Vec<Standing> = plan.trials.iter().filter_map(|t| of_trial(t.number)).collect();
    all.sort_by(|a, b| order(a, b, plan.better));
    all
}

/// The trials that go on behind a round: the best of it.
pub fn survivors(plan: &Plan, records: &[Record], round: usize) -> Vec<usize> {
    let mut of_round: Vec<Standing> = plan
        .trials
        .iter()
        .filter_map(|t| {
            let mut of_trial = records
                .iter()
                .filter(|r| r.trial == t.number && r.round == round)
                .peekable();
            of_trial.peek()?;
            Some(standing(plan, t.number, round, of_trial))
        })
        .filter(|s| s.diverged.is_none())
        .collect();
    of_round.sort_by(|a, b| order(a, b, plan.better));
    of_round.truncate(plan.trials_of(round + 1));
    of_round.iter().map(|s| s.trial).collect()
}

fn standing<'r>(plan: &Plan, trial: usize, round: usize, records: impl Iterator<Item = &'r Record>) -> Standing {
    let records: Vec<&Record> = records.collect();
    let values: Vec<Option<f64>> = records.iter().map(|r| r.get(&plan.best)).collect();
    let diverged = records.iter().find_map(|r| {
        let why = r.diverged.as_ref()?;
        Some(format!("{why} in step {}", r.step))
    });
    let all = |values: Vec<Option<f64>>| {
        values
            .into_iter()
            .collect::<Option<Vec<f64>>>()
            .filter(|_| diverged.is_none())
    };
    let known = all(values.clone());
    let losses = all(records.iter().map(|r| r.loss).collect());
    Standing {
        trial,
        round,
        step: records.iter().map(|r| r.step).max().unwrap_or(0),
        mean: known.as_deref().and_then(mean),
        deviation: known.as_deref().and_then(deviation),
        loss: losses.as_deref().and_then(mean),
        values,
        diverged,
    }
}

fn order(a: &Standing, b: &Standing, better: Better) -> Ordering {
    let by_value = match (a.mean, b.mean) {
        (Some(a), Some(b)) if better == Better::Higher => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    let diverged = a.diverged.is_some().cmp(&b.diverged.is_some());
    diverged
        .then(b.round.cmp(&a.round))
        .then(by_value)
        .then(a.trial.cmp(&b.trial))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    Some((squares / (values.len() - 1) as f64).sqrt())
}
