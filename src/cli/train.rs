//! `mspec train FILE` and `mspec train --resume [DIR]`.

use super::failure::Failure;
use super::outcome::{self, Ending, Sparsity};
use super::programs::{self, Built};
use super::progress::Progress as Bar;
use super::session::{self, Session};
use super::training::{Asked, Prepared, Training};
use super::{diagnostics, streams, threads};
use crate::ir::graph::elements;
use crate::train::fit;
use crate::train::name_map::NameMap;
use crate::train::run::Outcome;
use crate::train::run_folder::RunFolder;
use crate::train::weights::read_safetensors;
use crate::train::{Stop, TrainError};
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
    session.settings()?;
    diagnostics::print(&session.experiment.spec.sources, &session.experiment.lint()?);
    let folder = match &arguments.run {
        Some(path) => path.clone(),
        None => RunFolder::default_path(&session.experiment.name, &run_content(&session, arguments)),
    };
    let prepared = Prepared::new(session, threads, |built, seed| match &arguments.init {
        Some(file) => {
            let map = arguments.name_map.as_deref();
            let map = map.map_or(Ok(NameMap::identity()), NameMap::read)?;
            load_init(built, file, &map)
        }
        None => {
            built.initialise_parameters(seed);
            Ok(())
        }
    })?;
    let asked = Asked {
        spec,
        overrides: &arguments.overrides,
        threads,
    };
    go_on(prepared.begin(&folder, &asked)?, arguments.json)
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
    let training = Training::resume(folder, threads)?;
    if !arguments.json {
        streams::say(format_args!(
            "continuing {} behind step {}",
            training.folder.path().display(),
            training.step()
        ));
    }
    go_on(training, arguments.json)
}

/// Trains to the end and tells the result.
fn go_on(mut training: Training, json: bool) -> Result<(), Failure> {
    let path = training.folder.path().to_path_buf();
    let stop = Stop::on_signals().map_err(|e| TrainError::file("listen to signals for", &path, &e))?;
    let steps = training.steps()?;
    let settings = training.session.settings()?.clone();
    let mut bar = Bar::new(steps, training.step(), training.units(), json);
    let params = &training.built.declarations.params;
    let count: usize = params.iter().map(|p| elements(&p.shape)).sum();
    bar.say(&format!(
        "{}: {count} parameters, {steps} steps of {}{}, seed {}, {} threads, in {}",
        training.session.experiment.name,
        settings.batch,
        match settings.parts {
            1 => String::new(),
            parts => format!(" in {parts}"),
        },
        settings.seed,
        training.built.machine.threads(),
        path.display()
    ));
    let result = training.run(None, &stop, &mut bar);
    bar.finish();
    // What was saved before is there, whatever can't be written now.
    let result = result.map_err(|failure| match failure {
        Failure::Train(error @ TrainError::File { .. }, sources) if training.is_kept() => {
            let continues = format!(
                "then `mspec train --resume {}` goes on from the last checkpoint",
                path.display()
            );
            Failure::Train(error.help(continues), sources)
        }
        other => other,
    });
    match result? {
        Outcome::Finished(summary) => {
            training.keep_weights(&summary)?;
            let points = fit::curves(&training.folder.places().metrics);
            let penalised = &training.built.declarations.penalised;
            let ending = Ending {
                summary: &summary,
                settings: &settings,
                steps,
                verdict: fit::verdict(&points),
                points,
                sparsity: Sparsity::of(programs::train_machine(&mut training.built.machine), penalised),
            };
            outcome::tell(&ending, &training.folder, json)
        }
        Outcome::Rested { .. } => unreachable!("this training has no budget"),
        Outcome::Interrupted { signal, step } => {
            let continues = format!("mspec train --resume {}", path.display());
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
