//! What the `train` section says, once checked, and what opening the data tells the compiler; with what the `data`
//! section says, and the programs that come of it all, an experiment.

use super::graph::Element;
use crate::text::{Code, Span};
use serde::{Deserialize, Serialize};

pub use super::accumulation::{Accumulation, Accumulator, BEFORE, Computed, EMA, Evaluation, OVERFLOW, SUM, TOTAL};
pub use super::source::{
    Augment, ColumnName, DataPath, DataSettings, Fold, ImageSettings, Longer, Missing, Pairs, RowSettings, Series,
    Source, Split, StatedBound, StatedTensor, TokenizerKind, Tokens,
};

/// A tensor that a sample has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SchemaTensor {
    /// What the model calls it.
    pub name: String,
    /// Label and size of each axis, without the batch.
    pub axes: Vec<(String, usize)>,
    /// What its elements are.
    pub element: Element,
    /// For ids, the name of the bound, as `vocab` or `classes`.
    pub bound_name: Option<String>,
    /// One of several category columns, for `each category`.
    pub category: bool,
}

/// What opening the data tells: names and sizes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Schema {
    /// What a sample has.
    pub tensors: Vec<SchemaTensor>,
    /// Sizes that the model may name: `vocab`, `classes`, `time`, `columns`, …
    pub sizes: Vec<(String, usize)>,
    /// Samples of the training part that make an epoch; `None` for text, where windows are drawn at random.
    pub epoch_samples: Option<usize>,
    /// Numbered batches have a fixed size.
    pub batch: Option<usize>,
    /// Tensors of real numbers that were normalised, and how many of the data's units one of theirs is.
    #[serde(default)]
    pub units: Vec<(String, f64)>,
    /// Of several targets, along the last axis of their tensor, what each is called and how many of its units one of the
    /// tensor's is; empty where they were not normalised.
    #[serde(default)]
    pub target_units: Vec<(String, f64)>,
    /// Weights of the classes with which all count alike, for `weight = balanced`; empty where there are no classes.
    #[serde(default)]
    pub balanced: Vec<f64>,
    /// Tensors of real numbers whose least and greatest value is known, as the model sees them.
    #[serde(default)]
    pub ranges: Vec<(String, (f64, f64))>,
}

impl Schema {
    /// Tokens of a sample; 1 where samples have no time.
    pub fn tokens(&self) -> usize {
        let time = self.sizes.iter().find(|(name, _)| name == "time");
        time.map_or(1, |(_, tokens)| *tokens)
    }
}

/// A distance in training.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Interval {
    /// Updates.
    Steps(u64),
    /// Passes over the training part.
    Epochs(f64),
    /// Tokens of the training batches.
    Tokens(u64),
}

/// What contractions read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Precision {
    /// bfloat16.
    Bf16,
    /// binary16.
    F16,
}

/// What the objective is multiplied by, so that small gradients are not lost in 16 bits.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub enum LossScale {
    /// Always the same.
    Static(f64),
    /// Doubled when it has held for long, halved when a gradient is not finite.
    Dynamic,
}

/// Stops when a number no longer improves.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EarlyStop {
    /// `loss` or a metric's name.
    pub metric: String,
    /// Evaluations without improvement.
    pub patience: u32,
    /// What counts as one.
    pub minimum_change: f64,
}

/// The `train` section, but for what is compiled (loss, optimizer, schedule, clipping).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrainSettings {
    /// Samples in a step.
    pub batch: usize,
    /// Where that is said, if it is.
    #[serde(skip)]
    pub batch_span: Option<Span>,
    /// Parts that a step's batch is computed in.
    pub parts: usize,
    /// The radius of sharpness-aware minimisation.
    pub sharpness: Option<f64>,
    /// Of what contractions read; `None` is binary32.
    pub precision: Option<Precision>,
    /// Of the objective, with a precision.
    pub loss_scale: LossScale,
    /// When it ends.
    pub duration: Interval,
    /// How often the validation part is evaluated; always at the end.
    pub evaluate_every: Option<Interval>,
    /// How often a checkpoint is written; always before step 1 and at the end.
    pub checkpoint_every: Option<Interval>,
    /// How many checkpoints are kept besides the first and the best.
    pub keep: usize,
    /// Of everything random.
    pub seed: u64,
    /// When to stop early.
    pub early_stop: Option<EarlyStop>,
    /// Minutes of steps and evaluations after which the run ends.
    pub minutes: Option<f64>,
    /// Warnings that are not given.
    #[serde(skip)]
    pub allowed: Vec<Code>,
    /// The section.
    #[serde(skip)]
    pub span: Span,
}

impl TrainSettings {
    /// Samples that a program of the step takes at once.
    pub fn part(&self) -> usize {
        self.batch / self.parts
    }

    /// Whether a step whose gradient is not finite is skipped: where the objective is scaled for 16 bits, as it always is
    /// for binary16. bfloat16 has the range of binary32, so a step in it that has no scale is one like in binary32.
    pub fn skips(&self) -> bool {
        match self.precision {
            None => false,
            Some(Precision::F16) => true,
            Some(Precision::Bf16) => self.loss_scale != LossScale::Static(1.0),
        }
    }

    /// Whether the gradient has a program of its own.
    pub fn goes_by_parts(&self) -> bool {
        self.parts > 1 || self.sharpness.is_some() || self.skips()
    }
}
