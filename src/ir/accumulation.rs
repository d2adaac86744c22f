//! Programs whose results are added up: over the parts of a step's batch, and over the batches of an evaluated split.

use super::graph::{Graph, ReduceFunction};

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
