//! Trials, folds, seeds and budgets → what is trained next. Successive halving as Li et al. (2018) have it: of n trials
//! the best n / eta^i are trained for the share eta^(i - s) of the run in round i, the last one for the whole run.
//!
//! It is not the asynchronous form (Li et al. 2020), which promotes a trial before its round is complete so that no worker
//! waits for the others: a search trains one trial at a time, with all threads, and nothing waits. Promoting early would
//! only choose by fewer results.

use super::record::Record;
use super::standing::survivors;
use super::trials::{Trial, trials};
use crate::ir::ast::{Expr, ExprKind};
use crate::ir::model::Better;
use crate::ir::tune::Folds;
use crate::overrides::Value;
use crate::pipeline::{Experiment, Failure};
use crate::resolve::tune::share;

/// All that a search may train.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order.
    pub trials: Vec<Trial>,
    /// For each round the share of a run that it trains for, the last 1.
    pub rounds: Vec<f64>,
    /// By how much a round has fewer trials than the one before.
    pub factor: f64,
    /// Whether each trial is trained once for each fold.
    pub folds: Option<Folds>,
    /// Of each trial, if there are several; else the spec says it.
    pub seeds: Vec<u64>,
    /// What decides: `loss` or a metric.
    pub best: String,
    /// Which values of it are better.
    pub better: Better,
}

/// One training of one trial, to the end of a round.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'p> {
    /// What is set.
    pub trial: &'p Trial,
    /// From 1, if there are folds.
    pub fold: Option<usize>,
    /// If there are several seeds.
    pub seed: Option<u64>,
    /// From 0.
    pub round: usize,
}

impl Plan {
    /// The plan of a spec that has no mistakes; none if it has no `tune` section.
    pub fn of(experiment: &Experiment) -> Result<Option<Plan>, Failure> {
        let (Some(tune), Some(train)) = (experiment.tune()?, &experiment.train) else {
            return Ok(None);
        };
        let least = tune.halving.as_ref().and_then(|h| Some((share(h, train)?, h.factor)));
        let metrics = experiment.declarations()?.metrics;
        let plain = tune.best.name.strip_prefix("ema_").unwrap_or(&tune.best.name);
        let declared = metrics.iter().find(|m| m.name == plain).and_then(|m| m.better);
        Ok(Some(Plan {
            trials: trials(&tune.search, train.seed, &experiment.spec.sources),
            rounds: least.map_or(vec![1.0], |(share, factor)| Plan::rounds(share, factor)),
            factor: least.map_or(1.0, |l| l.1),
            folds: tune.folds,
            seeds: match tune.seeds {
                1 => vec![],
                n => (train.seed..train.seed.saturating_add(n)).collect(),
            },
            best: tune.best.name.clone(),
            better: declared.unwrap_or(Better::Lower),
        }))
    }

    /// The shares of successive halving: the whole run, and parts of it that are shorter by a factor each, down to the least.
    pub fn rounds(least: f64, factor: f64) -> Vec<f64> {
        // A share that is a power of the factor counts, though its logarithm is not quite whole.
        let shorter = libm::floor(libm::log(1.0 / least) / libm::log(factor) + 1e-9) as i32;
        (0..=shorter).rev().map(|i| libm::pow(factor, -f64::from(i))).collect()
    }

    /// The folds and seeds of a trial, in the order in which they are trained.
    pub fn repeats(&self) -> Vec<(Option<usize>, Option<u64>)> {
        let folds: Vec<Option<usize>> = match &self.folds {
            Some(folds) => (1..=folds.count).map(Some).collect(),
            None => vec![None],
        };
        let seeds: Vec<Option<u64>> = match &self.seeds[..] {
            [] => vec![None],
            seeds => seeds.iter().copied().map(Some).collect(),
        };
        let of_fold = |fold| seeds.iter().map(move |seed| (fold, *seed));
        folds.into_iter().flat_map(of_fold).collect()
    }

    /// How many trials a round has.
    pub fn trials_of(&self, round: usize) -> usize {
        let count = self.trials.len() as f64 / libm::pow(self.factor, round as f64);
        (libm::floor(count + 1e-9) as usize).max(1)
    }
}

impl Unit<'_> {
    /// The name of its run's folder: `trial-012-fold-3-seed-1`. A round goes on where the one before has stopped.
    pub fn name(&self) -> String {
        let fold = self.fold.map(|fold| format!("-fold-{fold}")).unwrap_or_default();
        let seed = self.seed.map(|seed| format!("-seed-{seed}")).unwrap_or_default();
        format!("trial-{:03}{fold}{seed}", self.trial.number)
    }

    /// What its run is asked for beyond what the search is.
    pub fn overrides(&self, folds: Option<&Folds>) -> Vec<(String, String)> {
        let mut overrides: Vec<(String, String)> = self.trial.overrides().collect();
        if let (Some(number), Some(folds)) = (self.fold, folds) {
            overrides.push(("data.fold".into(), fold(number, folds)));
        }
        overrides.extend(self.seed.map(|seed| ("train.seed".to_string(), seed.to_string())));
        overrides
    }

    /// Whether a record is its.
    pub fn is_of(&self, record: &Record) -> bool {
        let same = (record.trial, record.fold, record.seed) == (self.trial.number, self.fold, self.seed);
        same && record.round == self.round
    }
}

/// `2 of 5 stratified`.
fn fold(number: usize, folds: &Folds) -> String {
    let stratified = if folds.stratified { " stratified" } else { "" };
    format!("{number} of {}{stratified}", folds.count)
}

/// The first fold as a change of the spec, placed where the folds are asked for.
pub(super) fn first_fold(folds: &Folds) -> Value {
    let word = |kind| Expr {
        kind: Box::new(kind),
        span: folds.span,
    };
    let number = |n: usize| {
        word(ExprKind::Number {
            text: n.to_string(),
            unit: None,
        })
    };
    let name = |name: &str| word(ExprKind::Name(name.into()));
    let mut items = vec![number(1), name("of"), number(folds.count)];
    items.extend(folds.stratified.then(|| name("stratified")));
    Value::Items(items, folds.span)
}

/// Trains all that a plan asks for and that has no record yet; `train` gives the record of a unit, and `keep` takes it.
pub fn search<E>(
    plan: &Plan,
    records: &mut Vec<Record>,
    train: &mut dyn FnMut(&Unit) -> Result<Record, E>,
    keep: &mut dyn FnMut(&Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut going: Vec<usize> = plan.trials.iter().map(|t| t.number).collect();
    for round in 0..plan.rounds.len() {
        for trial in plan.trials.iter().filter(|t| going.contains(&t.number)) {
            for (fold, seed) in plan.repeats() {
                let unit = Unit {
                    trial,
                    fold,
                    seed,
                    round,
                };
                let known = records.iter().find(|record| unit.is_of(record));
                let diverged = match known {
                    Some(record) => record.diverged.is_some(),
                    None => {
                        let record = train(&unit)?;
                        keep(&record)?;
                        records.push(record);
                        records.last().is_some_and(|r| r.diverged.is_some())
                    }
                };
                // One that diverged can't be the best: its other folds would tell nothing more.
                if diverged {
                    break;
                }
            }
        }
        going = survivors(plan, records, round);
    }
    Ok(())
}
