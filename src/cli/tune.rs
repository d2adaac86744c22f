//! `mspec tune FILE` and `mspec tune --resume [DIR]`: trains every trial of a search, one after the other.

use super::failure::Failure;
use super::progress::Progress as Bar;
use super::ranking::{Ranking, number};
use super::session::{self, Session};
use super::training::{self, Asked, Prepared, Training, check_data};
use super::{diagnostics, search, streams, threads};
use crate::train::checkpoint;
use crate::train::run::Outcome;
use crate::train::run_folder::{Resolved, RunFolder};
use crate::train::{Stop, TrainError};
use crate::tune::{self, Plan, Record, SearchFolder, Unit};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mspec tune specs/wine-tune.ms
  mspec tune specs/wine-tune.ms --set tune.folds=3 --out runs/try --threads 2
  mspec tune --resume runs/try")]
pub struct Arguments {
    /// The spec, with a `tune` section
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    spec: Option<PathBuf>,
    /// Changes a value of the spec, as train.steps=100 or tune.folds=3
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = super::parse_override, conflicts_with = "resume")]
    overrides: Vec<(String, String)>,
    /// The search's folder, instead of runs/NAME/UTC-HASH
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Threads of a step; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Continues a search where it stopped; without a folder the newest one
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Prints the result as JSON, and nothing while it trains
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = threads(arguments.threads.map(usize::from));
    match (&arguments.resume, &arguments.spec) {
        (Some(_), Some(_)) => {
            let message = "--resume continues the spec that the search has; leave FILE out";
            Err(Failure::Usage(message.into()))
        }
        (Some(folder), None) => resume(arguments, folder.as_deref(), threads),
        (None, spec) => begin(arguments, spec.as_deref().unwrap_or(Path::new("-")), threads),
    }
}

/// A new search.
fn begin(arguments: &Arguments, spec: &Path, threads: usize) -> Result<(), Failure> {
    let session = session::open(session::load(spec, &arguments.overrides)?, None)?;
    let experiment = &session.experiment;
    let plan = search::plan(experiment, Some(&session.dataset), &session.folder)?;
    let plan = plan.ok_or_else(|| search::missing(experiment))?;
    diagnostics::print(&experiment.spec.sources, &experiment.lint()?);
    let path = arguments.out.clone().unwrap_or_else(|| {
        let mut content = session.texts[0].bytes.clone();
        content.extend(format!("{:?} {}", arguments.overrides, std::process::id()).bytes());
        RunFolder::default_path(&experiment.name, &content)
    });
    let folder = SearchFolder::create(&path)?;
    let _held = folder.hold()?;
    let asked = Asked {
        spec,
        overrides: &arguments.overrides,
        threads,
    };
    let settings = json!({
        "trials": plan.trials.iter().map(|t| t.words()).collect::<Vec<_>>(),
        "rounds": plan.rounds,
        "folds": plan.folds.map(|f| f.count),
        "seeds": plan.seeds,
        "best": plan.best,
    });
    let write = |name: &str, text: &str| folder.write_text(name, text);
    let resolved = training::resolved(&session, &asked, 0, settings, &write)?;
    folder.begin(&resolved)?;
    go_on(&session, &plan, &resolved, &folder, threads, arguments.json)
}

/// A search that exists.
fn resume(arguments: &Arguments, folder: Option<&Path>, threads: usize) -> Result<(), Failure> {
    let folder = folder.map_or_else(SearchFolder::newest, SearchFolder::open)?;
    let _held = folder.hold()?;
    let resolved = folder.asked()?;
    let session = session::open(session::load_run(folder.path(), &resolved)?, None)?;
    check_data(&session, &resolved.fingerprints)?;
    let plan = Plan::of(&session.experiment)?.ok_or_else(|| search::missing(&session.experiment))?;
    go_on(&session, &plan, &resolved, &folder, threads, arguments.json)
}

/// Trains what is left and tells the result.
fn go_on(
    session: &Session,
    plan: &Plan,
    resolved: &Resolved,
    folder: &SearchFolder,
    threads: usize,
    json: bool,
) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(|e| TrainError::file("listen to signals for", folder.path(), &e))?;
    let (mut file, mut records) = folder.records()?;
    let ranking = Ranking {
        plan,
        spec: &resolved.spec,
        overrides: &resolved.overrides,
    };
    if !json {
        streams::say(format_args!(
            "{}: {}, in {}",
            session.experiment.name,
            ranking.intent(),
            folder.path().display()
        ));
        if !records.is_empty() {
            streams::say(format_args!("continuing behind {} trainings", records.len()));
        }
    }
    let trainer = Trainer {
        plan,
        resolved,
        folder,
        stop: &stop,
        threads,
        json,
    };
    let mut keep = |record: &Record| file.add(record).map_err(Failure::from);
    tune::search(plan, &mut records, &mut |unit| trainer.train(unit), &mut keep)?;
    let standings = tune::standings(plan, &records);
    folder.end(&ranking.as_json(&standings))?;
    match json {
        true => {
            let mut value = ranking.as_json(&standings);
            value["search"] = json!(folder.path());
            streams::result_line(value)?;
        }
        false => streams::result(ranking.as_text(&standings, folder.path()))?,
    }
    match standings.iter().all(|s| s.diverged.is_some()) {
        true => Err(Failure::AllDiverged),
        false => Ok(()),
    }
}

/// What trains one unit after the other.
struct Trainer<'a> {
    plan: &'a Plan,
    resolved: &'a Resolved,
    folder: &'a SearchFolder,
    stop: &'a Stop,
    threads: usize,
    json: bool,
}

impl Trainer<'_> {
    /// Trains a unit to the end of its round, from where its run stands.
    fn train(&self, unit: &Unit) -> Result<Record, Failure> {
        let path = self.folder.trial(&unit.name());
        let name = self.name(unit);
        if let Some(signal) = self.stop.requested() {
            return Err(self.stopped(signal, &format!("before {name}")));
        }
        let mut training = match checkpoint::list(&path.join("ckpt")).is_empty() {
            true => self.begin(unit, &path)?,
            false => Training::resume(RunFolder::open(&path)?, self.threads)?,
        };
        let steps = training.steps()?;
        let share = self.plan.rounds[unit.round];
        let budget = ((steps as f64 * share - 1e-9).ceil() as u64).clamp(1, steps);
        let mut bar = Bar::of_many(budget, training.step(), training.units(), self.json);
        let outcome = training.run(Some(budget), self.stop, &mut bar);
        bar.finish();
        let mut record = Record {
            trial: unit.trial.number,
            fold: unit.fold,
            seed: unit.seed,
            round: unit.round,
            step: 0,
            loss: None,
            metrics: Default::default(),
            diverged: None,
        };
        let scores = match outcome {
            Ok(Outcome::Finished(summary)) => {
                training.keep_weights(&summary)?;
                record.step = summary.step;
                summary.scores
            }
            Ok(Outcome::Rested { step, scores }) => {
                record.step = step;
                scores
            }
            Ok(Outcome::Interrupted { signal, step }) => {
                return Err(self.stopped(signal, &format!("in {name}, behind step {step},")));
            }
            Err(Failure::Train(TrainError::Diverged { what, step, .. }, _)) => {
                record.step = step;
                record.diverged = Some(what);
                None
            }
            Err(failure) => return Err(failure),
        };
        if let Some(scores) = &scores {
            record.score(scores);
        }
        if !self.json {
            streams::say(format_args!("{name}: {}", self.told(&record)));
        }
        Ok(record)
    }

    /// A run that has no checkpoint yet.
    fn begin(&self, unit: &Unit, path: &Path) -> Result<Training, Failure> {
        let mut overrides = self.resolved.overrides.clone();
        overrides.extend(unit.overrides(self.plan.folds.as_ref()));
        let resolved = Resolved {
            overrides,
            ..self.resolved.clone()
        };
        let session = session::open(session::load_run(self.folder.path(), &resolved)?, None)?;
        let asked = Asked {
            spec: &resolved.spec,
            overrides: &resolved.overrides,
            threads: self.threads,
        };
        let prepared = Prepared::new(session, self.threads, |built, seed| {
            built.initialise_parameters(seed);
            Ok(())
        })?;
        prepared.begin(path, &asked)
    }

    fn stopped(&self, signal: i32, place: &str) -> Failure {
        let continues = format!("mspec tune --resume {}", self.folder.path().display());
        streams::say(format_args!("stopped {place} and saved; `{continues}` goes on"));
        Failure::Interrupted(signal)
    }

    /// `trial 3 of 12 (model.width=64), fold 2 of 5`.
    fn name(&self, unit: &Unit) -> String {
        let mut name = format!("trial {} of {}", unit.trial.number, self.plan.trials.len());
        let words = unit.trial.words();
        if !words.is_empty() {
            name += &format!(" ({words})");
        }
        if let (Some(fold), Some(folds)) = (unit.fold, &self.plan.folds) {
            name += &format!(", fold {fold} of {}", folds.count);
        }
        if let Some(seed) = unit.seed {
            name += &format!(", seed {seed}");
        }
        name
    }

    /// `accuracy 0.9600, loss 0.1234 at step 150`.
    fn told(&self, record: &Record) -> String {
        if let Some(what) = &record.diverged {
            return format!("diverged, {what} in step {}", record.step);
        }
        let number = |name: &str| format!("{name} {}", number(record.get(name)));
        let numbers = match self.plan.best.as_str() {
            "loss" => number("loss"),
            best => format!("{}, {}", number(best), number("loss")),
        };
        format!("{numbers} at step {}", record.step)
    }
}
