//! A part of the data and compiled evaluation programs in, loss and metrics of the whole part out. The batches'
//! sums are added in float64, in file order; the short last batch runs through a program of its own size.

use super::feed::Feed;
use super::{Machine, TrainError};
use crate::data::{Batch, Dataset, Part};
use crate::ir::experiment::Accumulator;
use crate::ir::graph::{OutputKind, ReduceFunction, elements};
use crate::ir::number::{Number, StepVariable};
use crate::machine::ProgramId;

/// The report of a split.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scores {
    /// The loss, without penalties.
    pub loss: f64,
    /// By name, in the order of the spec.
    pub metrics: Vec<(String, f64)>,
}

impl Scores {
    /// `loss` or the metric of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => Some(self.loss),
            _ => self.metrics.iter().find(|m| m.0 == name).map(|m| m.1),
        }
    }
}

/// The accumulated sums and what the step's numbers are computed from in, the report's numbers out.
pub type Finish<'a> = dyn Fn(&[(String, Vec<f64>)], &dyn Fn(StepVariable) -> f64) -> Vec<(OutputKind, f64)> + 'a;

/// What evaluates a part.
pub struct Evaluator<'a> {
    /// Which part.
    pub part: Part,
    /// For each batch size of [`batch_sizes`], the program.
    pub programs: Vec<(usize, ProgramId)>,
    /// The step's numbers that the programs read, in the order of their ids.
    pub numbers: &'a [Number],
    /// What a batch gives and how two are combined.
    pub accumulators: &'a [Accumulator],
    /// What makes the report of the sums.
    pub finish: &'a Finish<'a>,
}

/// The sizes of the batches that a part is evaluated in: the full one and that of the short last batch.
pub fn batch_sizes(samples: usize, batch: usize) -> Vec<usize> {
    let mut sizes = vec![];
    if samples >= batch {
        sizes.push(batch);
    }
    if !samples.is_multiple_of(batch) {
        sizes.push(samples % batch);
    }
    sizes
}

/// Evaluates a part as it stands after a step, of which `variable` tells.
pub fn evaluate(
    evaluator: &Evaluator,
    dataset: &Dataset,
    machine: &mut dyn Machine,
    variable: &dyn Fn(StepVariable) -> f64,
) -> Result<Scores, TrainError> {
    let mut sums: Vec<(String, Vec<f64>)> = evaluator
        .accumulators
        .iter()
        .map(|a| (a.name.clone(), vec![nothing(a.function); elements(&a.shape)]))
        .collect();
    let numbers: Vec<f32> = evaluator.numbers.iter().map(|n| n.at(variable) as f32).collect();
    let samples = dataset.samples(evaluator.part);
    let mut first = 0;
    for &(size, program) in &evaluator.programs {
        let mut batch = Batch::new(dataset.schema(), size);
        let feed = Feed::new(machine, program, &batch, 1);
        let outputs = output_indices(machine, program, evaluator.accumulators);
        while first + size <= samples {
            dataset.read(evaluator.part, first, size, &mut batch)?;
            feed.write(machine, &batch, 0);
            // Nothing is drawn outside of training.
            machine.prepare(program, &numbers, [0, 0]);
            machine.run(program);
            for ((accumulator, output), (_, sum)) in evaluator.accumulators.iter().zip(&outputs).zip(&mut sums) {
                let values = machine.output(program, *output);
                for (total, value) in sum.iter_mut().zip(values) {
                    *total = combine(accumulator.function, *total, f64::from(*value));
                }
            }
            first += size;
        }
    }
    assert_eq!(first, samples, "every sample is evaluated once");
    let mut scores = Scores::default();
    for (kind, value) in (evaluator.finish)(&sums, variable) {
        match kind {
            OutputKind::Loss => scores.loss = value,
            OutputKind::Metric(name) => scores.metrics.push((name, value)),
            _ => {}
        }
    }
    Ok(scores)
}

fn output_indices(machine: &dyn Machine, program: ProgramId, accumulators: &[Accumulator]) -> Vec<usize> {
    let index = |a: &Accumulator| {
        let wanted = OutputKind::Value(a.name.clone());
        let found = machine.outputs(program).iter().position(|o| o.kind == wanted);
        found.unwrap_or_else(|| panic!("the evaluation program has no output `{}`", a.name))
    };
    accumulators.iter().map(index).collect()
}

fn nothing(function: ReduceFunction) -> f64 {
    match function {
        ReduceFunction::Sum => 0.0,
        ReduceFunction::Maximum => f64::NEG_INFINITY,
        ReduceFunction::Minimum => f64::INFINITY,
        ReduceFunction::Product => 1.0,
    }
}

fn combine(function: ReduceFunction, a: f64, b: f64) -> f64 {
    match function {
        ReduceFunction::Sum => a + b,
        ReduceFunction::Maximum => a.max(b),
        ReduceFunction::Minimum => a.min(b),
        ReduceFunction::Product => a * b,
    }
}
