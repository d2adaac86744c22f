//! `mspec train FILE` and `mspec train --resume [DIR]`.

use super::failure::Failure;
use super::outcome::{self, Ending, Sparsity};
use super::progress::Progress as Bar;
use super::session::{self, Built, KeptData, Session};
use super::{diagnostics, streams, threads};
use crate::data::Part;
use crate::ir::graph::elements;
use crate::train::checkpoint::{self, Memory, Progress};
use crate::train::evaluate::Evaluator;
use crate::train::fit;
use crate::train::name_map::NameMap;
use crate::train::run::{Outcome, Schedule, Task, run as run_training};
use crate::train::run_folder::{KeptFile, Resolved, RunFolder};
use crate::train::weights::read_safetensors;
use crate::train::{Stop, TrainError};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mspec train specs/wine.ms
  mspec train specs/shakespeare-gpt.ms --set train.steps=200 --run runs/try --threads 2
  mspec train --resume")]
pub struct Arguments {
    /// The spec
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    spec: Option<PathBuf>,
    /// Changes a value of the spec, as train.steps=100, train.optimizer.lr=1e-4 or model.width=64
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = super::parse_override, conflicts_with = "resume")]
    overrides: Vec<(String, String)>,
    /// The run's folder, instead of runs/NAME/UTC-HASH
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Threads of a step; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Starts from these weights, a safetensors file
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// How the names of --init become ours
    #[arg(long, value_name = "FILE", requires = "init")]
    name_map: Option<PathBuf>,
    /// Continues a run from its last checkpoint, bit for bit; without a folder the newest run
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Prints the result as JSON, and nothing while it trains
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = threads(arguments.threads.map(usize::from));
    match &arguments.resume {
        Some(folder) => {
            if arguments.spec.is_some() {
                return Err(Failure::Usage(
                    "--resume continues the spec that the run has; leave FILE out".into(),
                ));
            }
            resume(arguments, folder.as_deref(), threads)
        }
        None => {
            let spec = arguments.spec.as_deref().unwrap_or(Path::new("-"));
            begin(arguments, spec, threads)
        }
    }
}

/// A new run.
fn begin(arguments: &Arguments, spec: &Path, threads: usize) -> Result<(), Failure> {
    let session = session::open(session::load(spec, &arguments.overrides)?, None)?;
    let settings = session.settings()?.clone();
    diagnostics::print(&session.experiment.spec.sources, &session.experiment.lint()?);
    let mut built = session::build(&session, true, &[Part::Validation], threads)?;
    let memory = Memory::of(&built.machine, &built.declarations.states);
    match &arguments.init {
        Some(file) => {
            let map = arguments.name_map.as_deref();
            let map = map.map_or(Ok(NameMap::identity()), NameMap::read)?;
            load_init(&mut built, file, &map)?;
        }
        None => built.initialise_parameters(settings.seed),
    }
    built.initialise_states();
    // Data that can't make a batch is found before a folder is made.
    session
        .dataset
        .sampler(settings.seed, settings.batch)
        .map_err(|e| session.failure(e))?;
    let folder = match &arguments.run {
        Some(path) => path.clone(),
        None => RunFolder::default_path(&session.experiment.name, &run_content(&session, arguments)),
    };
    let folder = RunFolder::create(&folder)?;
    let _held = folder.hold()?;
    keep(&folder, &session, &built, spec, arguments, threads)?;
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
    go_on(&session, built, memory, &folder, progress, arguments.json)
}

/// Weights from another program, for all parameters.
pub fn load_init(built: &mut Built, file: &Path, map: &NameMap) -> Result<(), Failure> {
    let theirs = read_safetensors(file)?;
    let slots: Vec<usize> = (0..built.machine.layout().slots.len())
        .filter(|&s| {
            built
                .declarations
                .params
                .iter()
                .any(|p| p.path == built.machine.layout().slots[s].name)
        })
        .collect();
    let wanted = built.wanted(&slots);
    let wanted: Vec<(&str, &[usize])> = wanted.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
    let ours = map.import(&theirs, &wanted)?;
    drop(theirs);
    built.restore(&ours, &slots, &file.display().to_string())?;
    Ok(())
}

/// A run that exists.
fn resume(arguments: &Arguments, folder: Option<&Path>, threads: usize) -> Result<(), Failure> {
    let folder = folder.map_or_else(RunFolder::newest, RunFolder::open)?;
    let _held = folder.hold()?;
    folder.sweep()?;
    let resolved: Resolved = folder.read_json("resolved.json")?;
    let session = session::open(session::load_run(&folder, &resolved)?, None)?;
    check_data(&session, &resolved)?;
    let mut built = session::build(&session, true, &[Part::Validation], threads)?;
    let memory = Memory::of(&built.machine, &built.declarations.states);
    let loaded = checkpoint::newest(&folder.checkpoints())?;
    for reason in &loaded.damaged {
        streams::say(format_args!("warning: passed over a damaged checkpoint, {reason}"));
    }
    let origin = loaded.path.display().to_string();
    built.restore(&loaded.weights, &memory.model, &origin)?;
    built.restore(&loaded.weights, &memory.optimizer, &origin)?;
    if !arguments.json {
        streams::say(format_args!(
            "continuing {} behind step {}",
            folder.path().display(),
            loaded.progress.step
        ));
    }
    go_on(&session, built, memory, &folder, loaded.progress, arguments.json)
}

fn check_data(session: &Session, resolved: &Resolved) -> Result<(), Failure> {
    let changed = session.dataset.fingerprints().iter().find(|f| {
        let then = resolved.fingerprints.iter().find(|r| r.path == f.path);
        then.is_none_or(|r| r.sha256 != f.sha256)
    });
    match changed {
        Some(file) => Err(Failure::from(
            TrainError::does_not_fit(format!("{} has changed since the run began", file.path.display()))
                .help("restore the file, or start a new run with `mspec train FILE`"),
        )),
        None => Ok(()),
    }
}

/// Trains to the end and tells the result.
fn go_on(
    session: &Session,
    mut built: Built,
    memory: Memory,
    folder: &RunFolder,
    progress: Progress,
    json: bool,
) -> Result<(), Failure> {
    let settings = session.settings()?;
    let training = built.training.take().expect("a training session has its program");
    let validation = built.evaluations.iter().find(|e| e.0 == Part::Validation);
    let stop = Stop::on_signals().map_err(|e| TrainError::file("listen to signals for", folder.path(), &e))?;
    let schedule = Schedule::new(&session.dataset, settings, validation.is_some());
    let steps = schedule.map_err(|e| session.failure(e))?.steps;
    let sizes = &session.experiment.schema.sizes;
    let units = if sizes.iter().any(|(name, _)| name == "time") {
        "tokens"
    } else {
        "samples"
    };
    let mut bar = Bar::new(steps, progress.step, units, json);
    let count: usize = built.declarations.params.iter().map(|p| elements(&p.shape)).sum();
    bar.say(&format!(
        "{}: {count} parameters, {steps} steps of {}{}, seed {}, {} threads, in {}",
        session.experiment.name,
        settings.batch,
        match settings.parts {
            1 => String::new(),
            parts => format!(" in {parts}"),
        },
        settings.seed,
        built.machine.threads(),
        folder.path().display()
    ));
    let machine = session::train_machine(&mut built.machine);
    let places = folder.places();
    let mut train = |validation: Option<Evaluator>| {
        let task = Task {
            dataset: &session.dataset,
            settings,
            rate: built.declarations.rate.as_ref(),
            metrics: &built.declarations.metrics,
            kept: &built.declarations.kept,
            main: &training.main,
            parted: training.parted.as_ref(),
            memory: memory.clone(),
            validation,
        };
        run_training(&task, machine, &places, progress.clone(), &stop, &mut bar)
    };
    let result = match validation {
        Some((part, evaluation)) => evaluation.with(*part, |evaluator| train(Some(evaluator))),
        None => train(None),
    };
    bar.finish();
    match result.map_err(|e| session.failure(e))? {
        Outcome::Finished(summary) => {
            outcome::keep_weights(machine, &memory, folder, &summary)?;
            let points = fit::curves(&folder.places().metrics);
            let ending = Ending {
                summary: &summary,
                settings,
                steps,
                verdict: fit::verdict(&points),
                points,
                sparsity: Sparsity::of(machine, &built.declarations.penalised),
            };
            outcome::tell(&ending, folder, json)
        }
        Outcome::Interrupted { signal, step } => {
            let continues = format!("mspec train --resume {}", folder.path().display());
            streams::say(format_args!(
                "stopped behind step {step} and saved; `{continues}` goes on"
            ));
            Err(Failure::Interrupted(signal))
        }
    }
}

/// What tells one run from another of the same second.
fn run_content(session: &Session, arguments: &Arguments) -> Vec<u8> {
    let mut content = session.texts[0].bytes.clone();
    content.extend(format!("{:?} {}", arguments.overrides, std::process::id()).bytes());
    content
}

/// Writes what the run needs to be continued, evaluated and repeated.
fn keep(
    folder: &RunFolder,
    session: &Session,
    built: &Built,
    spec: &Path,
    arguments: &Arguments,
    threads: usize,
) -> Result<(), Failure> {
    let mut files = vec![];
    for (number, text) in session.texts.iter().enumerate() {
        let kept = match number {
            0 => PathBuf::from("spec.ms"),
            n => PathBuf::from(format!("imports/{n}.ms")),
        };
        folder.write_text(&kept.display().to_string(), &String::from_utf8_lossy(&text.bytes))?;
        files.push(KeptFile {
            path: text.path.clone(),
            kept,
        });
    }
    let settings = session.settings()?;
    let here = match session.folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => &session.folder,
    };
    let absolute = std::path::absolute(here).map_err(|e| TrainError::file("find", here, &e))?;
    let fingerprints = session
        .dataset
        .fingerprints()
        .iter()
        .cloned()
        .map(|f| crate::data::Fingerprint {
            path: std::path::absolute(&f.path).unwrap_or(f.path),
            ..f
        });
    let resolved = Resolved {
        name: session.experiment.name.clone(),
        spec: spec.to_path_buf(),
        folder: absolute,
        overrides: arguments.overrides.clone(),
        files,
        seed: settings.seed,
        parameters: built.declarations.params.iter().map(|p| elements(&p.shape)).sum(),
        settings: json!({ "data": session.experiment.data, "train": settings }),
        fingerprints: fingerprints.collect(),
    };
    folder.write_json("resolved.json", &resolved)?;
    let environment = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "threads": threads,
        "seed": settings.seed,
    });
    folder.write_json("env.json", &environment)?;
    let data = KeptData {
        schema: session.dataset.schema().clone(),
        fitted: session.dataset.fitted(),
    };
    folder.write_json("data.json", &data)?;
    Ok(())
}
