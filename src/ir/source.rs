//! What the `data` section says, once checked: where samples come from, and how they are divided.
//! Paths are as written; whoever opens them resolves them against the file that named them.

use super::graph::Element;
use crate::text::Span;
use serde::Serialize;

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
