//! What the `tune` section says, once checked: which settings are tried, on which folds and seeds, and what decides.

use super::ast::Expr;
use super::experiment::Interval;
use crate::text::Span;

/// The `tune` section.
#[derive(Clone, PartialEq, Debug)]
pub struct TuneSettings {
    /// Which settings are tried; all combinations of nothing are the spec as it is.
    pub search: Search,
    /// Whether short runs decide which settings are trained on.
    pub halving: Option<Halving>,
    /// Whether each setting is trained once for each fold.
    pub folds: Option<Folds>,
    /// How often each is trained, with seeds from the spec's on.
    pub seeds: u64,
    /// What decides.
    pub best: Watched,
    /// The section's name.
    pub span: Span,
}

/// Which settings are tried.
#[derive(Clone, PartialEq, Debug)]
pub enum Search {
    /// `grid { … }`: every combination.
    Grid(Vec<Range>),
    /// `random { … }`: so many, each value drawn by itself.
    Random {
        /// What is drawn.
        ranges: Vec<Range>,
        /// How many.
        trials: usize,
    },
}

impl Search {
    /// What is varied.
    pub fn ranges(&self) -> &[Range] {
        match self {
            Search::Grid(ranges) | Search::Random { ranges, .. } => ranges,
        }
    }
}

/// The values of one setting.
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    /// As `--set` takes it.
    pub path: String,
    /// Where the path stands.
    pub span: Span,
    /// The values.
    pub values: Values,
}

/// What a setting may be.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// One of these.
    List(Vec<Expr>),
    /// A number in between.
    Interval {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// Equal factors are equally likely, not equal differences.
        logarithmic: bool,
        /// Only whole numbers.
        whole: bool,
        /// Where it is said.
        span: Span,
    },
}

/// Successive halving (Jamieson and Talwalkar 2016): all settings are trained for a share of the run, the best of them
/// for `factor` times as long, and so on to the whole run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Halving {
    /// The least part of a run that decides.
    pub from: Budget,
    /// Of the parts, and of how many settings stay.
    pub factor: f64,
    /// Where the least part is said.
    pub span: Span,
}

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Budget {
    /// In (0, 1).
    Share(f64),
    /// In the unit that the run's own duration must have.
    Length(Interval),
}

/// Cross-validation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Folds {
    /// How many, at least 2.
    pub count: usize,
    /// Each has the classes' proportions.
    pub stratified: bool,
    /// Where it is said.
    pub span: Span,
}

/// A number of the validation part.
#[derive(Clone, PartialEq, Debug)]
pub struct Watched {
    /// `loss` or a metric's name.
    pub name: String,
    /// Where it is said.
    pub span: Span,
}
