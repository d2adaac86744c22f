//! A training in its folder, begun or continued: what `train` does once, and `tune` for each setting.

use super::failure::Failure;
use super::outcome;
use super::programs::{self, Built};
use super::session::{self, KeptData, Session};
use super::streams;
use crate::data::{Fingerprint, Part};
use crate::ir::graph::elements;
use crate::machine::return_freed_memory;
use crate::train::checkpoint::{self, Memory, Progress};
use crate::train::evaluate::Evaluator;
use crate::train::run::{Outcome, Schedule, Summary, Task, Watch, run as run_training};
use crate::train::run_folder::{KeptFile, Resolved, RunFolder};
use crate::train::{Stop, TrainError};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A session that is compiled for training, with first values.
pub struct Prepared {
    session: Session,
    built: Built,
    memory: Memory,
}

/// What a run was asked for.
pub struct Asked<'a> {
    /// The spec's path.
    pub spec: &'a Path,
    /// `--set path=value`, in order.
    pub overrides: &'a [(String, String)],
    /// Of a step.
    pub threads: usize,
}

impl Prepared {
    /// Compiles, and writes first values: of parameters as `first` does, given the seed.
    pub fn new(
        mut session: Session,
        threads: usize,
        first: impl FnOnce(&mut Built, u64) -> Result<(), Failure>,
    ) -> Result<Prepared, Failure> {
        let seed = session.settings()?.seed;
        let mut built = programs::build(&mut session, true, &[Part::Validation], threads)?;
        let memory = Memory::of(&built.machine, &built.declarations.states);
        first(&mut built, seed)?;
        built.initialise_states();
        Ok(Prepared { session, built, memory })
    }

    /// Begins a run in a folder. Data that can't make a batch are found before it is made.
    pub fn begin(self, folder: &Path, asked: &Asked) -> Result<Training, Failure> {
        let Prepared { session, built, memory } = self;
        let settings = session.settings()?;
        let progress = Progress {
            step: 0,
            seed: settings.seed,
            best: None,
            stale: 0,
            kept: vec![],
            seconds: 0.0,
            scale: Default::default(),
            metrics_bytes: 0,
        };
        session
            .dataset
            .sampler(settings.seed, settings.batch)
            .map_err(|e| session.failure(e))?;
        let folder = RunFolder::create(folder)?;
        let held = folder.hold()?;
        keep(&folder, &session, &built, asked)?;
        Ok(Training {
            session,
            built,
            memory,
            folder,
            progress,
            _held: held,
        })
    }
}

/// A training that stands somewhere between its first and its last step.
pub struct Training {
    /// What is trained.
    pub session: Session,
    /// The machine.
    pub built: Built,
    /// Where it keeps what it does.
    pub folder: RunFolder,
    memory: Memory,
    progress: Progress,
    /// Keeps other processes away.
    _held: File,
}

impl Training {
    /// Takes up a run at its newest checkpoint.
    pub fn resume(folder: RunFolder, threads: usize) -> Result<Training, Failure> {
        let held = folder.hold()?;
        folder.sweep()?;
        let resolved: Resolved = folder.read_json("resolved.json")?;
        let mut session = session::open(session::load_run(folder.path(), &resolved)?, None)?;
        check_data(&session, &resolved.fingerprints)?;
        let mut built = programs::build(&mut session, true, &[Part::Validation], threads)?;
        let memory = Memory::of(&built.machine, &built.declarations.states);
        let loaded = checkpoint::newest(&folder.checkpoints())?;
        for reason in &loaded.damaged {
            streams::say(format_args!("warning: passed over a damaged checkpoint, {reason}"));
        }
        let origin = loaded.path.display().to_string();
        built.restore(&loaded.weights, &memory.model, &origin)?;
        built.restore(&loaded.weights, &memory.optimizer, &origin)?;
        drop(loaded.weights);
        return_freed_memory();
        Ok(Training {
            session,
            built,
            memory,
            folder,
            progress: loaded.progress,
            _held: held,
        })
    }

    /// Whether there is a checkpoint to go on from.
    pub fn is_kept(&self) -> bool {
        checkpoint::newest(&self.folder.checkpoints()).is_ok()
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Steps that the spec asks for.
    pub fn steps(&self) -> Result<u64, Failure> {
        let settings = self.session.settings()?;
        let schedule = Schedule::new(&self.session.dataset, settings, self.validates());
        Ok(schedule.map_err(|e| self.session.failure(e))?.steps)
    }

    /// What its speed is counted in.
    pub fn units(&self) -> &'static str {
        let sizes = &self.session.experiment.schema.sizes;
        match sizes.iter().any(|(name, _)| name == "time") {
            true => "tokens",
            false => "samples",
        }
    }

    fn validates(&self) -> bool {
        self.built.evaluations.iter().any(|e| e.0 == Part::Validation)
    }

    /// Trains to the end, or to a budget of steps.
    pub fn run(&mut self, budget: Option<u64>, stop: &Stop, watch: &mut dyn Watch) -> Result<Outcome, Failure> {
        let Training {
            session,
            built,
            memory,
            folder,
            progress,
            ..
        } = self;
        let mut settings = session.settings()?.clone();
        if budget.is_some() {
            // A search has many runs: of each the newest checkpoint and the best are enough.
            settings.keep = 1;
        }
        let training = built.training.as_ref().expect("a training session has its program");
        let validation = built.evaluations.iter().find(|e| e.0 == Part::Validation);
        let machine = programs::train_machine(&mut built.machine);
        let places = folder.places();
        let mut train = |validation: Option<Evaluator>| {
            let task = Task {
                dataset: &session.dataset,
                settings: &settings,
                rate: built.declarations.rate.as_ref(),
                metrics: &built.declarations.metrics,
                kept: &built.declarations.kept,
                main: &training.main,
                parted: training.parted.as_ref(),
                memory: memory.clone(),
                validation,
                budget,
            };
            run_training(&task, machine, &places, progress.clone(), stop, watch)
        };
        let result = match validation {
            Some((part, evaluation)) => evaluation.with(*part, |evaluator| train(Some(evaluator))),
            None => train(None),
        };
        result.map_err(|e| session.failure(e))
    }

    /// Keeps the weights that a finished training left.
    pub fn keep_weights(&mut self, summary: &Summary) -> Result<(), TrainError> {
        let machine = programs::train_machine(&mut self.built.machine);
        outcome::keep_weights(machine, &self.memory, &self.folder, summary)
    }
}

/// The data are those that a run began with.
pub fn check_data(session: &Session, then: &[Fingerprint]) -> Result<(), Failure> {
    match changed(session, then) {
        Some(file) => Err(Failure::from(
            TrainError::does_not_fit(format!("{} has changed since the run began", file.path.display()))
                .help("restore the file, or start a new run with `mspec train FILE`"),
        )),
        None => Ok(()),
    }
}

/// What was fitted on the training part is as a run's weights know it, though the data may be others: of another mean or
/// another order of classes an evaluation would tell nothing. Says that they are others.
pub fn check_fitted(session: &Session, resolved: &Resolved, kept: &KeptData) -> Result<(), Failure> {
    let Some(file) = changed(session, &resolved.fingerprints) else {
        return Ok(());
    };
    let message = format!("{} has changed since the run began", file.path.display());
    if session.dataset.fitted() != kept.fitted {
        let message = format!("{message}, and with it the means or classes that are fitted on its training part");
        let help = "the weights know them as they were: restore the file, or train anew";
        return Err(TrainError::does_not_fit(message).help(help).into());
    }
    streams::say(format_args!("warning: {message}"));
    Ok(())
}

/// The first file of the data that is another than then.
fn changed<'s>(session: &'s Session, then: &[Fingerprint]) -> Option<&'s Fingerprint> {
    session.dataset.fingerprints().iter().find(|f| {
        let then = then.iter().find(|r| r.path == f.path);
        then.is_none_or(|r| r.sha256 != f.sha256)
    })
}

/// Writes what the run needs to be continued, evaluated and repeated.
fn keep(folder: &RunFolder, session: &Session, built: &Built, asked: &Asked) -> Result<(), Failure> {
    let parameters = built.declarations.params.iter().map(|p| elements(&p.shape)).sum();
    let settings = json!({ "data": session.experiment.data, "train": session.settings()? });
    let write = |name: &str, text: &str| folder.write_text(name, text);
    let resolved = resolved(session, asked, parameters, settings, &write)?;
    folder.write_json("resolved.json", &resolved)?;
    let environment = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "threads": asked.threads,
        "seed": resolved.seed,
    });
    folder.write_json("env.json", &environment)?;
    let data = KeptData {
        schema: session.dataset.schema().clone(),
        fitted: session.dataset.fitted(),
    };
    folder.write_json("data.json", &data)?;
    Ok(())
}

/// What was asked for; the spec's texts are kept by `write`.
pub fn resolved(
    session: &Session,
    asked: &Asked,
    parameters: usize,
    settings: serde_json::Value,
    write: &dyn Fn(&str, &str) -> Result<(), TrainError>,
) -> Result<Resolved, Failure> {
    let mut files = vec![];
    for (number, text) in session.texts.iter().enumerate() {
        let kept = match number {
            0 => PathBuf::from("spec.ms"),
            n => PathBuf::from(format!("imports/{n}.ms")),
        };
        write(&kept.display().to_string(), &String::from_utf8_lossy(&text.bytes))?;
        files.push(KeptFile {
            path: text.path.clone(),
            kept,
        });
    }
    let here = match session.folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => &session.folder,
    };
    let absolute = std::path::absolute(here).map_err(|e| TrainError::file("find", here, &e))?;
    let fingerprints = session.dataset.fingerprints().iter().cloned().map(|f| Fingerprint {
        path: std::path::absolute(&f.path).unwrap_or(f.path),
        ..f
    });
    Ok(Resolved {
        name: session.experiment.name.clone(),
        spec: asked.spec.to_path_buf(),
        folder: absolute,
        overrides: asked.overrides.to_vec(),
        files,
        seed: session.settings()?.seed,
        parameters,
        settings,
        fingerprints: fingerprints.collect(),
    })
}
