//! `mspec eval RUN`: a run's loss and metrics on one part of its data.

use super::failure::Failure;
use super::training::check_fitted;
use super::{programs, report, session, streams, threads};
use crate::data::Part;
use crate::ir::experiment::EMA;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Memory, Progress};
use crate::train::evaluate::evaluate;
use crate::train::run::step_variables;
use crate::train::run_folder::{RESULT, Resolved, RunFolder, RunResult};
use crate::train::weights::{Weights, read_safetensors};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  mspec eval runs/mlp/20261123T185726Z-1c2d3e4f --split test")]
pub struct Arguments {
    /// The run's folder
    run: PathBuf,
    /// Which part
    #[arg(long, value_enum, default_value = "test")]
    split: Split,
    /// Threads of a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The running means of the weights, where the spec has `ema`
    #[arg(long)]
    ema: bool,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Split {
    Train,
    Validation,
    Test,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let resolved: Resolved = folder.read_json("resolved.json")?;
    let mut session = session::open(session::load_run(folder.path(), &resolved)?, None)?;
    check_fitted(&session, &resolved, &folder.read_json("data.json")?)?;
    let part = match arguments.split {
        Split::Train => Part::Train,
        Split::Validation => Part::Validation,
        Split::Test => Part::Test,
    };
    let mut built = programs::build(
        &mut session,
        false,
        &[part],
        threads(arguments.threads.map(usize::from)),
    )?;
    let Some(evaluation) = built.evaluations.pop() else {
        let error = crate::data::DataError::new(
            session.experiment.data.split.span,
            format!("the data has no {part} part"),
        );
        let parts = [
            (Part::Test, "test"),
            (Part::Validation, "validation"),
            (Part::Train, "train"),
        ];
        let given = parts.into_iter().filter(|(p, _)| session.dataset.samples(*p) > 0);
        let given: Vec<String> = given.map(|(_, word)| format!("`--split {word}`")).collect();
        let help = format!("say {}, or give it a share in the spec's `split`", given.join(" or "));
        return Err(session.failure(error.help(help)));
    };
    let memory = Memory::of(&built.machine, &built.declarations.states);
    let (weights, origin, progress) = match arguments.ema {
        true => averaged(&folder)?,
        false => weights(&folder)?,
    };
    built.restore(&weights, &memory.model, &origin)?;
    let machine = programs::train_machine(&mut built.machine);
    let variable = step_variables(progress.step, 0.0, &progress.kept);
    let scores = evaluation
        .1
        .with(part, |evaluator| {
            evaluate(&evaluator, &session.dataset, machine, &variable)
        })
        .map_err(|e| session.failure(e))?;
    if arguments.json {
        let value = json!({
            "split": part.to_string(),
            "samples": session.dataset.samples(part),
            "loss": scores.loss,
            "metrics": report::metrics(&scores),
            "weights": origin,
        });
        streams::result_line(value)
    } else {
        let head = format!("{part} part, {} samples, {origin}", session.dataset.samples(part));
        streams::result(format_args!(
            "{head}\n{}",
            report::text(&scores, &session.class_names())
        ))
    }
}

/// The running means of a run's weights, at its end or else of its newest checkpoint.
fn averaged(folder: &RunFolder) -> Result<(Weights, String, Progress), TrainError> {
    let path = folder.averaged();
    let newest = checkpoint::newest(&folder.checkpoints())?;
    if path.exists() {
        return Ok((read_safetensors(&path)?, path.display().to_string(), newest.progress));
    }
    let mut weights = newest.weights;
    let means: Vec<String> = weights.keys().filter(|k| k.ends_with(EMA)).cloned().collect();
    if means.is_empty() {
        let error = TrainError::does_not_fit("this run keeps no running means of its weights");
        return Err(error.help("the spec asks for them by `ema 0.999` in `train`"));
    }
    for name in means {
        if let Some(mean) = weights.remove(&name) {
            weights.insert(name.trim_end_matches(EMA).to_string(), mean);
        }
    }
    Ok((weights, newest.path.display().to_string(), newest.progress))
}

/// A run's final weights, or else those of its newest checkpoint, with where they come from and where the run stood.
pub fn weights(folder: &RunFolder) -> Result<(Weights, String, Progress), TrainError> {
    let model = folder.model();
    let newest = checkpoint::newest(&folder.checkpoints())?;
    if !model.exists() {
        return Ok((newest.weights, newest.path.display().to_string(), newest.progress));
    }
    let mut progress = newest.progress;
    if let Ok(result) = folder.read_json::<RunResult>(RESULT) {
        progress.step = result.weights_step;
    }
    Ok((read_safetensors(&model)?, model.display().to_string(), progress))
}
