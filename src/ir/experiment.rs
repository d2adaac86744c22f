//! What the `data` and `train` sections say, once checked, and what opening the data tells the compiler.
//! Paths are as written; whoever opens them resolves them against the file that named them.

use super::graph::{Element, Graph, ReduceFunction};
use crate::text::{Code, Span};
use serde::{Deserialize, Serialize};

/// A path of the spec with the place that names it, for errors about the file behind it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DataPath {
    /// As written.
    pub path: String,
    /// Where.
    #[serde(skip)]
    pub span: Span,
}

/// How text becomes ids.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Tokens {
    /// The distinct characters of the whole file, sorted by code point.
    Characters,
    /// 256 byte values.
    Bytes,
    /// A `tokenizer.json` in Hugging Face's format.
    Tokenizer {
        /// What the spec says that it is.
        kind: TokenizerKind,
        /// The file.
        path: DataPath,
    },
}

/// Kinds of tokenizers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TokenizerKind {
    /// Byte pair encoding (Sennrich et al. 2016).
    Bpe,
    /// The longest known piece first (Wu et al. 2016).
    WordPiece,
}

/// What becomes of a sample that its window is too short for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Longer {
    /// It is an error.
    Refuse,
    /// Its end is left out.
    Cut,
    /// It is left out.
    Drop,
}

/// Where samples come from.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Source {
    /// `text`: gives `tokens[time]` and `next[time]`, both below `vocab`.
    Text {
        /// A UTF-8 file.
        path: DataPath,
        /// How it becomes ids.
        tokens: Tokens,
        /// What ids are below, if it is said; else what the tokens need.
        vocab: Option<StatedBound>,
        /// Ids in a sample.
        window: usize,
        /// The share of tokens to be found again: gives `tokens`, `original` and `chosen[time]`, and no `next`.
        masked: Option<f64>,
    },
    /// `pairs`: gives `source[source_time]`, `source_mask`, `tokens[time]`, `next[time]` and `mask[time]`.
    Pairs(Pairs),
    /// `images`: gives `image[rows, columns, channels]` and `label` below `classes`; with masks
    /// `label[rows, columns]`; with mixed samples also `second_label` and `share`.
    Images(ImageSettings),
    /// `csv`: gives `features[columns]`, each category column by its name as ids, and the target by its name.
    Csv {
        /// A file with a head line.
        path: DataPath,
        /// The target column.
        target: ColumnName,
        /// Whether the target is a number (regression); else a class.
        regression: bool,
        /// Category columns; columns of words are categories without being named.
        categories: Vec<ColumnName>,
        /// Columns that are left out.
        ignored: Vec<ColumnName>,
        /// What becomes of missing cells.
        missing: Missing,
        /// What is said of its tensors: of all of them, or nothing.
        stated: Vec<StatedTensor>,
    },
    /// `rows`: gives `features[time, columns]`, each category column by its name `[time]`, the target by its name, and
    /// `mask[time]`.
    Rows(RowSettings),
    /// `series`: gives `past[time, columns]` and `future[horizon]`, or `future[horizon, targets]`.
    Series(Series),
    /// `tensors`: a safetensors file. Gives its tensors by name; with numbered batches `inputs.0`, `targets.0`, …
    /// the names before the number, and each step takes the next whole batch.
    Tensors {
        /// The file.
        path: DataPath,
        /// What is said of its tensors.
        stated: Vec<StatedTensor>,
        /// A target value that does not count (`ignore -100`): its id becomes 0 and `NAME_counted` is false there.
        ignore: Option<i64>,
    },
}

/// What ids are below, as `vocab 50257` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct StatedBound {
    /// One beyond the greatest.
    pub bound: usize,
    /// Where it is said.
    #[serde(skip)]
    pub span: Span,
}

/// What is said of a tensor: `ids inputs < 65`, or with the sizes of a sample `ids inputs[128] < 65`,
/// `real pixels[784]`, `condition mask[128]`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StatedTensor {
    /// What the model calls it.
    pub name: String,
    /// What its elements are; the bound of ids is one beyond the greatest.
    pub element: Element,
    /// The sizes of its axes behind that of the samples, if they are said.
    pub sizes: Option<Vec<usize>>,
    /// Where it is said.
    #[serde(skip)]
    pub span: Span,
}

impl StatedTensor {
    /// The sizes of its axes; where some tensor's are said, one without has one element for each sample.
    pub fn sizes(&self, all: &[StatedTensor]) -> Option<Vec<usize>> {
        let said = all.iter().any(|s| s.sizes.is_some());
        self.sizes.clone().or_else(|| said.then(Vec::new))
    }
}

/// What a `pairs` source says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Pairs {
    /// A file with an object on each line.
    pub path: DataPath,
    /// The field of the text that is read.
    pub source: String,
    /// The field of the text that is written.
    pub target: String,
    /// How both become ids.
    pub tokens: Tokens,
    /// What ids are below, if it is said; else what the tokens need.
    pub vocab: Option<StatedBound>,
    /// Ids that each is padded to.
    pub window: usize,
    /// What becomes of longer ones.
    pub longer: Longer,
}

/// What a `rows` source says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RowSettings {
    /// A file with a row for each step; columns are separated by tabs if its name ends in `.tsv`, else by commas.
    pub path: DataPath,
    /// Rows that follow each other and agree here are a sequence; without it blank lines end one.
    pub grouped: Option<ColumnName>,
    /// The names of the columns, if the file has no head line.
    pub head: Vec<String>,
    /// The column to predict.
    pub target: ColumnName,
    /// Whether the target is a number; else a class.
    pub real: bool,
    /// Whether a sequence has one target; else each step has its own.
    pub per_sequence: bool,
    /// Category columns; columns of words are categories without being named.
    pub categories: Vec<ColumnName>,
    /// Columns that are left out.
    pub ignored: Vec<ColumnName>,
    /// What becomes of missing cells.
    pub missing: Missing,
    /// Steps that sequences are padded to; without it those of the longest.
    pub window: Option<usize>,
    /// What becomes of longer ones.
    pub longer: Longer,
    /// A word that training rows have less often is as good as unknown.
    pub minimum_count: usize,
    /// What is said of its tensors: of all of them, or nothing.
    pub stated: Vec<StatedTensor>,
}

/// What a `series` source says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Series {
    /// A table with a row for each step, in the order of time.
    pub path: DataPath,
    /// The column that says when; rows are checked to ascend by it.
    pub time: Option<ColumnName>,
    /// The columns to predict.
    pub targets: Vec<ColumnName>,
    /// Columns that are left out.
    pub ignored: Vec<ColumnName>,
    /// What becomes of missing cells.
    pub missing: Missing,
    /// Steps that the model sees.
    pub past: usize,
    /// Steps that it tells.
    pub future: usize,
    /// What is said of its tensors.
    pub stated: Vec<StatedTensor>,
}

/// What an `images` source says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ImageSettings {
    /// A folder of IDX files, of CIFAR's binary files, of class folders, or, with masks, of pictures.
    pub path: DataPath,
    /// Rows and columns that every picture is brought to.
    pub size: Option<usize>,
    /// Channels that a folder's pictures are brought to: 1 or 3.
    pub channels: Option<usize>,
    /// What labels are below, if it is said; else how many classes there are.
    pub classes: Option<StatedBound>,
    /// A folder with a mask for each picture, whose pixels are classes.
    pub masks: Option<DataPath>,
    /// A pixel of a mask that does not count: its id becomes 0 and `label_counted` is false there.
    pub ignore: Option<u8>,
    /// How training samples are changed, in this order.
    pub augment: Vec<Augment>,
}

/// One line of `augment`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Augment {
    /// A name of the catalog of augmentations.
    pub name: &'static str,
    /// The value of each of its parameters, in its order; angles in degrees, shares from 0 to 1.
    pub values: Vec<f64>,
    /// Where it is said.
    #[serde(skip)]
    pub span: Span,
}

/// A column, and what it is called in the model.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ColumnName {
    /// In the file.
    pub column: String,
    /// In the model.
    pub name: String,
    /// Where it is named.
    #[serde(skip)]
    pub span: Span,
}

/// What becomes of missing cells of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Missing {
    /// They are an error.
    Refuse,
    /// Numbers: the mean of the training rows; categories: a category of their own.
    Fill,
    /// The row is left out.
    Drop,
    /// In a series: on the straight line between the steps before and after.
    Interpolate,
}

/// How samples are divided.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Split {
    /// Share of the training part, in (0, 1].
    pub train: f64,
    /// Share of the validation part.
    pub validation: f64,
    /// Share of the test part; sources with a test file of their own keep it.
    pub test: f64,
    /// Each class is divided in the same way.
    pub stratified: bool,
    /// The fold that takes the place of the validation part.
    pub fold: Option<Fold>,
    /// Where it is said.
    #[serde(skip)]
    pub span: Span,
}

/// One of the equal folds of the training and validation part: it is evaluated, the others are trained on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fold {
    /// Which, from 1.
    pub number: usize,
    /// How many there are, at least 2.
    pub of: usize,
    /// Each class has its share in each fold.
    pub stratified: bool,
    /// Where it is said.
    #[serde(skip)]
    pub span: Span,
}

impl Split {
    /// Where the spec asks for parts or folds with the classes' proportions, if it does.
    pub fn stratified_at(&self) -> Option<Span> {
        let fold = self.fold.as_ref().filter(|f| f.stratified);
        match self.stratified {
            true => Some(self.span),
            false => fold.map(|f| f.span),
        }
    }
}

/// The `data` section.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DataSettings {
    /// Where samples come from.
    pub source: Source,
    /// How they are divided.
    pub split: Split,
    /// Numbers are brought to mean 0 and variance 1, fitted on the training part.
    pub normalise: bool,
    /// Samples are drawn in a new order each epoch (text: at random offsets); else in file order.
    pub shuffle: bool,
    /// The section.
    #[serde(skip)]
    pub span: Span,
}

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

/// What follows a parameter's path in the path of its running mean.
pub const EMA: &str = "/ema";
/// In that of its gradient's sum over the parts of a batch.
pub const SUM: &str = "/sum";
/// In that of the value that it had before the gradient was looked up aside.
pub const BEFORE: &str = "/before";
/// What the name of a total over the parts of a batch begins with; no tensor of the data is called so.
pub const TOTAL: &str = "total ";

/// The result of a gradient's program that is finite if all gradients are.
pub const OVERFLOW: &str = "overflow";

/// A step whose batch goes part by part: the gradient's sum first, then the update from it.
#[derive(Clone, Debug)]
pub struct Accumulation {
    /// How many parts.
    pub parts: usize,
    /// Finds the totals of one part, if there are any.
    pub counts: Option<Graph>,
    /// Its outputs, inputs of the gradient's programs.
    pub totals: Vec<Accumulator>,
    /// Adds the gradient of one part to the sum.
    pub gradient: Graph,
    /// Moves the parameters uphill, for sharpness-aware minimisation.
    pub aside: Option<Graph>,
    /// The gradient there; the model's states stay.
    pub again: Option<Graph>,
    /// Moves them back where that gradient may turn out not to be finite.
    pub back: Option<Graph>,
    /// Updates from the sum.
    pub update: Graph,
}

/// What becomes of one of a program's numbers over a whole split: the batches' values are combined, then
/// [`Evaluation::computed`] and [`Evaluation::finish`] give the report.
#[derive(Clone, PartialEq, Debug)]
pub struct Accumulator {
    /// The output's name in the batch program (`OutputKind::Value`) and the input's name in the finish graph.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// How two batches' values are combined, in float64.
    pub function: ReduceFunction,
}

/// An input of the finish graph that the host computes from the values of all samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Computed {
    /// The input's name in the finish graph.
    pub name: String,
    /// The function's name in the catalog of [`crate::metrics`].
    pub function: &'static str,
    /// Its operands, as places in [`Evaluation::samples`].
    pub operands: Vec<usize>,
    /// The size of the axis that is kept.
    pub kept: usize,
    /// How many points it gives, where it takes such a number.
    pub points: usize,
}

/// The evaluation of a split: a program for each batch, whose sums are accumulated, and a last small graph
/// over the accumulated sums, run once in float64, whose `Loss` and `Metric` outputs are the report.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// For one batch.
    pub batch: Graph,
    /// Its outputs that are combined.
    pub accumulators: Vec<Accumulator>,
    /// Its outputs whose values are kept one behind the other, by name.
    pub samples: Vec<String>,
    /// What the host makes of these.
    pub computed: Vec<Computed>,
    /// Inputs: the accumulators, and what is computed.
    pub finish: Graph,
}
