//! A part of the data and compiled evaluation programs in, loss and metrics of the whole part out. The batches'
//! sums are added in float64, in file order, and values of samples are kept one behind the other; the short last
//! batch runs through a program of its own size.

use super::feed::Feed;
use super::finish::Gathered;
use super::{Machine, TrainError};
use crate::data::{Batch, Dataset, Part};
use crate::ir::experiment::Accumulator;
use crate::ir::graph::{OutputKind, ReduceFunction, elements};
use crate::ir::number::{Number, StepVariable};
use crate::machine::ProgramId;
use crate::ops::tensor64::Tensor64;

/// The report of a split.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scores {
    /// The loss, without penalties.
    pub loss: f64,
    /// Those that are one number, by name, in the order of the spec.
    pub metrics: Vec<(String, f64)>,
    /// Those that are a value of each class, or a table.
    pub tables: Vec<(String, Tensor64)>,
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

/// What the batches gave and what the step's numbers are computed from in, the report out.
pub type Finish<'a> = dyn Fn(&Gathered, &dyn Fn(StepVariable) -> f64) -> Vec<(OutputKind, Tensor64)> + 'a;

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
    /// The outputs whose values are kept for all samples.
    pub samples: &'a [String],
    /// What makes the report of all this.
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
    let mut gathered = Gathered {
        totals: evaluator.accumulators.iter().map(nothing).collect(),
        samples: vec![vec![]; evaluator.samples.len()],
    };
    let numbers: Vec<f32> = evaluator.numbers.iter().map(|n| n.at(variable) as f32).collect();
    let samples = dataset.samples(evaluator.part);
    let mut first = 0;
    for &(size, program) in &evaluator.programs {
        let mut batch = Batch::new(dataset.schema(), size);
        let feed = Feed::new(machine, program, &batch, 1);
        let output = |name: &String| output_index(machine, program, name);
        let totals: Vec<usize> = evaluator.accumulators.iter().map(|a| output(&a.name)).collect();
        let kept: Vec<usize> = evaluator.samples.iter().map(output).collect();
        while first + size <= samples {
            dataset.read(evaluator.part, first, size, &mut batch)?;
            feed.write(machine, &batch, 0);
            // Nothing is drawn outside of training.
            machine.prepare(program, &numbers, [0, 0]);
            machine.run(program);
            for ((accumulator, output), totals) in evaluator.accumulators.iter().zip(&totals).zip(&mut gathered.totals)
            {
                for (total, value) in totals.iter_mut().zip(machine.output(program, *output)) {
                    *total = combine(accumulator.function, *total, f64::from(*value));
                }
            }
            for (output, values) in kept.iter().zip(&mut gathered.samples) {
                values.extend(machine.output(program, *output).iter().map(|v| f64::from(*v)));
            }
            first += size;
        }
    }
    assert_eq!(first, samples, "every sample is evaluated once");
    let mut scores = Scores::default();
    for (kind, value) in (evaluator.finish)(&gathered, variable) {
        match kind {
            OutputKind::Loss => scores.loss = value.data[0],
            OutputKind::Metric(name) if value.shape.is_empty() => scores.metrics.push((name, value.data[0])),
            OutputKind::Metric(name) => scores.tables.push((name, value)),
            _ => {}
        }
    }
    Ok(scores)
}

fn output_index(machine: &dyn Machine, program: ProgramId, name: &str) -> usize {
    let wanted = OutputKind::Value(name.into());
    let found = machine.outputs(program).iter().position(|o| o.kind == wanted);
    found.unwrap_or_else(|| panic!("the evaluation program has no output `{name}`"))
}

fn nothing(accumulator: &Accumulator) -> Vec<f64> {
    let value = match accumulator.function {
        ReduceFunction::Sum => 0.0,
        ReduceFunction::Maximum => f64::NEG_INFINITY,
        ReduceFunction::Minimum => f64::INFINITY,
        ReduceFunction::Product => 1.0,
    };
    vec![value; elements(&accumulator.shape)]
}

fn combine(function: ReduceFunction, a: f64, b: f64) -> f64 {
    match function {
        ReduceFunction::Sum => a + b,
        ReduceFunction::Maximum => a.max(b),
        ReduceFunction::Minimum => a.min(b),
        ReduceFunction::Product => a * b,
    }
}
