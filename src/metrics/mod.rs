//! Numbers of a whole split that no sums over its batches give, such as the area under a curve: from the values of
//! every sample, in float64 and in the order of the data, so that they do not depend on threads or batches.
//! A catalog, one function a file; definitions in `src/std/metrics.ms` call them by name. Knows no model and no data.

mod curve;
mod precision_recall_points;
mod ranked_area;
mod ranked_precision;
mod roc_points;
mod squared_deviations;
#[cfg(test)]
mod tests;

/// A function of the values that all samples of a split have.
pub trait SplitFunction: Sync {
    /// What definitions call it.
    fn name(&self) -> &'static str;

    /// What its tensors are, in order: of one shape, samples first, the last axis kept.
    fn operands(&self) -> &'static [&'static str];

    /// The axes of the result behind the kept one; `points` is the number that a call may give.
    fn axes(&self, points: usize) -> Vec<usize>;

    /// Whether a call says how many points it wants.
    fn takes_points(&self) -> bool {
        false
    }

    /// One element of the kept axis: an equally long column for each operand in, as many values as the axes have out.
    fn compute(&self, columns: &[&[f64]], points: usize) -> Vec<f64>;
}

/// Every function, in the order of the names.
const CATALOG: [&dyn SplitFunction; 5] = [
    &precision_recall_points::PrecisionRecallPoints,
    &ranked_area::RankedArea,
    &ranked_precision::RankedPrecision,
    &roc_points::RocPoints,
    &squared_deviations::SquaredDeviations,
];

/// The function of a name.
pub fn find(name: &str) -> Option<&'static dyn SplitFunction> {
    CATALOG.into_iter().find(|f| f.name() == name)
}

/// All names, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.into_iter().map(SplitFunction::name)
}

/// Applies a function to whole operands, row by row of `kept` elements, and joins the results.
pub fn apply(function: &dyn SplitFunction, operands: &[&[f64]], kept: usize, points: usize) -> Vec<f64> {
    let column = |operand: &&[f64], at: usize| operand.iter().copied().skip(at).step_by(kept).collect();
    let each = |at: usize| {
        let columns: Vec<Vec<f64>> = operands.iter().map(|o| column(o, at)).collect();
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        function.compute(&columns, points)
    };
    (0..kept).flat_map(each).collect()
}
