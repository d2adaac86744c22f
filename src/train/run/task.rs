//! What is trained, who is told how it goes, and how it ended.

use super::super::checkpoint::{Best, Memory};
use super::super::evaluate::{Evaluator, Scores};
use super::super::update::{Parted, Stage};
use crate::data::Dataset;
use crate::ir::experiment::TrainSettings;
use crate::ir::model::MetricDeclaration;
use crate::ir::number::{KeptNumber, Number};
use std::path::{Path, PathBuf};

/// What is trained.
pub struct Task<'a> {
    /// Where batches come from.
    pub dataset: &'a Dataset,
    /// The `train` section.
    pub settings: &'a TrainSettings,
    /// The learning rate, for the log.
    pub rate: Option<&'a Number>,
    /// The spec's metrics.
    pub metrics: &'a [MetricDeclaration],
    /// What schedules keep from evaluation to evaluation.
    pub kept: &'a [KeptNumber],
    /// The compiled training step, or the gradient of a part of its batch.
    pub main: &'a Stage,
    /// The other programs of a step that goes part by part.
    pub parted: Option<&'a Parted>,
    /// What goes into checkpoints.
    pub memory: Memory,
    /// What evaluates the validation part, if there is one.
    pub validation: Option<Evaluator<'a>>,
    /// Behind which step a search lets the training rest. Wherever it ends, its weights are evaluated then.
    pub budget: Option<u64>,
}

/// What a step gave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepReport {
    /// From 1.
    pub step: u64,
    /// The last one.
    pub steps: u64,
    /// Without penalties.
    pub loss: f32,
    /// Tokens or samples a second.
    pub speed: f64,
}

/// Who is told how it goes.
pub trait Watch {
    /// After each step.
    fn stepped(&mut self, report: &StepReport);
    /// After an evaluation.
    fn evaluated(&mut self, step: u64, scores: &Scores);
    /// After a checkpoint.
    fn saved(&mut self, step: u64, path: &Path);
}

/// How a training ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// All steps are done, or early stopping ended it.
    Finished(Summary),
    /// The budget is used up; everything is saved, so that the training can go on to a larger one.
    Rested {
        /// The last step that was done.
        step: u64,
        /// Of the validation part, behind that step.
        scores: Option<Scores>,
    },
    /// A signal came; everything is saved.
    Interrupted {
        /// Its number.
        signal: i32,
        /// The last step that was done.
        step: u64,
    },
}

/// The last numbers of a training.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// Steps done.
    pub step: u64,
    /// The loss of the last step's batch, if this process did any step.
    pub train_loss: Option<f32>,
    /// The last evaluation of the validation part.
    pub validation: Option<Scores>,
    /// The validation part's scores with the weights that the training left, if it had a budget.
    pub scores: Option<Scores>,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Whether early stopping or the time ended it.
    pub early: bool,
    /// Whether it was early stopping.
    pub out_of_patience: bool,
    /// The step whose weights were taken back, as the best.
    pub restored: Option<u64>,
    /// Steps that were skipped, as their gradient was not finite.
    pub skipped: u64,
    /// Time spent in steps.
    pub seconds: f64,
}

/// Files of a run.
pub struct Places {
    /// `metrics.jsonl`.
    pub metrics: PathBuf,
    /// The folder of checkpoints.
    pub checkpoints: PathBuf,
}
