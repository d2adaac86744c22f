//! One update: the batch through the compiled program, or part by part through those that add up the gradient and then
//! update from the sum. Nothing is allocated while it runs.

use super::Machine;
use super::feed::Feed;
use crate::data::random::Stream;
use crate::data::{Batch, Values};
use crate::ir::experiment::{Accumulator, OVERFLOW};
use crate::ir::graph::{OutputKind, ReduceFunction, elements};
use crate::ir::number::{Number, StepVariable};
use crate::machine::ProgramId;

/// A program and what the host computes for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    /// Which.
    pub program: ProgramId,
    /// In the order of their ids.
    pub numbers: Vec<Number>,
}

/// The programs of an update whose batch goes part by part; the first program is the gradient's.
#[derive(Clone, PartialEq, Debug)]
pub struct Parted {
    /// How many parts.
    pub parts: usize,
    /// What finds a part's totals, if the loss has any that follow from the data, and how two parts' are combined.
    pub counts: Option<(Stage, Vec<Accumulator>)>,
    /// For sharpness-aware minimisation.
    pub aside: Option<Aside<Stage>>,
    /// What updates from the gradients' sums.
    pub update: Stage,
}

/// What looks for the gradient beside the parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Aside<S> {
    /// Moves the parameters there.
    pub there: S,
    /// Gives the gradient there.
    pub again: S,
    /// Moves them back where that gradient may not be finite; else the update starts from what they were before.
    pub back: Option<S>,
}

/// Runs updates.
pub struct Updater {
    main: Running,
    parted: Option<RunningParts>,
    loss: usize,
    /// The program and output of the gradient's norm.
    norm: Option<(ProgramId, usize)>,
}

/// What an update gave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Updated {
    /// Of the batch.
    pub loss: f32,
    /// The gradient was not finite, and no parameter has changed.
    pub skipped: bool,
}

struct RunningParts {
    /// For the gradient's programs, the output that is finite if the gradient is.
    guards: Vec<(ProgramId, usize)>,
    parts: usize,
    counts: Option<Counting>,
    aside: Option<Aside<Running>>,
    update: Running,
}

struct Counting {
    stage: Running,
    /// Output of the counting program, and how it is combined.
    outputs: Vec<(usize, ReduceFunction)>,
    sums: Vec<Vec<f64>>,
    /// The sums as the gradient's program takes them.
    values: Vec<Values>,
    /// For the program of the gradient and the one that gives it aside, the input of each total.
    inputs: Vec<(ProgramId, Vec<usize>)>,
}

/// A program with what it reads from a batch and a place for its numbers.
struct Running {
    stage: Stage,
    feed: Feed,
    numbers: Vec<f32>,
}

impl Running {
    fn new(machine: &dyn Machine, stage: &Stage, batch: &Batch, parts: usize) -> Running {
        Running {
            stage: stage.clone(),
            feed: Feed::new(machine, stage.program, batch, parts),
            numbers: vec![0.0; stage.numbers.len()],
        }
    }

    /// Writes what the program reads of a part, from 0.
    fn prepare(&mut self, machine: &mut dyn Machine, batch: &Batch, part: usize, moment: &Moment) {
        self.feed.write(machine, batch, part);
        let variable = |variable| match variable {
            StepVariable::Part => part as f64 + 1.0,
            other => (moment.variable)(other),
        };
        for (slot, number) in self.numbers.iter_mut().zip(&self.stage.numbers) {
            *slot = number.at(&variable) as f32;
        }
        let round = (moment.step - 1) * moment.parts as u64 + part as u64 + 1;
        let [a, b, _, _] = moment.keys.words(round);
        machine.prepare(self.stage.program, &self.numbers, [a, b]);
    }

    fn run(&mut self, machine: &mut dyn Machine, batch: &Batch, part: usize, moment: &Moment) {
        self.prepare(machine, batch, part, moment);
        machine.run(self.stage.program);
    }
}

/// When an update takes place.
pub struct Moment<'m> {
    /// From 1.
    pub step: u64,
    /// What numbers are computed from.
    pub variable: &'m dyn Fn(StepVariable) -> f64,
    /// Of random draws.
    pub keys: &'m Stream,
    parts: usize,
}

impl<'m> Moment<'m> {
    /// The update of a step.
    pub fn new(step: u64, variable: &'m dyn Fn(StepVariable) -> f64, keys: &'m Stream) -> Moment<'m> {
        Moment {
            step,
            variable,
            keys,
            parts: 1,
        }
    }
}

impl Updater {
    /// Finds inputs and outputs; `batch` is as large as those that will come.
    pub fn new(machine: &dyn Machine, main: &Stage, parted: Option<&Parted>, batch: &Batch) -> Updater {
        let parts = parted.map_or(1, |p| p.parts);
        let find = |program: ProgramId, kind: OutputKind| machine.outputs(program).iter().position(|o| o.kind == kind);
        let last = parted.map_or(main.program, |p| p.update.program);
        let running = |stage: &Stage| Running::new(machine, stage, batch, parts);
        let counting = |(stage, totals): &(Stage, Vec<Accumulator>), readers: Vec<ProgramId>| Counting {
            outputs: totals
                .iter()
                .map(|t| {
                    let output = find(stage.program, OutputKind::Value(t.name.clone()));
                    (output.expect("every total is a result"), t.function)
                })
                .collect(),
            sums: totals.iter().map(|t| vec![0.0; elements(&t.shape)]).collect(),
            values: totals
                .iter()
                .map(|t| Values::Real(vec![0.0; elements(&t.shape)]))
                .collect(),
            inputs: readers
                .into_iter()
                .map(|program| {
                    let input = |t: &Accumulator| machine.inputs(program).iter().position(|i| i.name == t.name);
                    (program, totals.iter().filter_map(input).collect())
                })
                .collect(),
            stage: running(stage),
        };
        Updater {
            main: running(main),
            loss: find(main.program, OutputKind::Loss).expect("a training program gives its loss"),
            norm: find(last, OutputKind::GradientNorm).map(|output| (last, output)),
            parted: parted.map(|p| {
                let again = p.aside.as_ref().map(|aside| aside.again.program);
                let of_gradient = std::iter::once(main.program).chain(again);
                let guard = |program| Some((program, find(program, OutputKind::Value(OVERFLOW.into()))?));
                RunningParts {
                    guards: of_gradient.filter_map(guard).collect(),
                    parts,
                    counts: p
                        .counts
                        .as_ref()
                        .map(|c| counting(c, std::iter::once(main.program).chain(again).collect())),
                    aside: p.aside.as_ref().map(|aside| Aside {
                        there: running(&aside.there),
                        again: running(&aside.again),
                        back: aside.back.as_ref().map(running),
                    }),
                    update: running(&p.update),
                }
            }),
        }
    }

    /// Writes what the first program reads, of the first part.
    pub fn prepare(&mut self, machine: &mut dyn Machine, batch: &Batch, moment: &Moment) -> ProgramId {
        self.main.prepare(machine, batch, 0, moment);
        self.main.stage.program
    }

    /// Updates from a batch, unless its gradient is not finite where a precision of 16 bits may be the cause.
    pub fn run(&mut self, machine: &mut dyn Machine, batch: &Batch, moment: &Moment) -> Updated {
        let Some(parted) = &mut self.parted else {
            self.main.run(machine, batch, 0, moment);
            return Updated {
                loss: machine.output(self.main.stage.program, self.loss)[0],
                skipped: false,
            };
        };
        let moment = Moment {
            parts: parted.parts,
            ..*moment
        };
        if let Some(counts) = &mut parted.counts {
            counts.run(machine, batch, &moment);
        }
        let mut loss = 0.0;
        for part in 0..parted.parts {
            if let Some(counts) = &parted.counts {
                counts.write(machine, self.main.stage.program);
            }
            self.main.run(machine, batch, part, &moment);
            loss += f64::from(machine.output(self.main.stage.program, self.loss)[0]);
        }
        let overflow = |machine: &dyn Machine, guards: &[(ProgramId, usize)], program| {
            let guard = guards.iter().find(|g| g.0 == program);
            guard.is_some_and(|&(program, output)| !machine.output(program, output)[0].is_finite())
        };
        let loss = loss as f32;
        if overflow(machine, &parted.guards, self.main.stage.program) {
            return Updated { loss, skipped: true };
        }
        if let Some(Aside { there, again, back }) = &mut parted.aside {
            there.run(machine, batch, 0, &moment);
            for part in 0..parted.parts {
                if let Some(counts) = &parted.counts {
                    counts.write(machine, again.stage.program);
                }
                again.run(machine, batch, part, &moment);
            }
            if overflow(machine, &parted.guards, again.stage.program) {
                if let Some(back) = back {
                    back.run(machine, batch, 0, &moment);
                }
                return Updated { loss, skipped: true };
            }
        }
        parted.update.run(machine, batch, 0, &moment);
        Updated { loss, skipped: false }
    }

    /// The norm of the last update's gradient, before clipping.
    pub fn gradient_norm(&self, machine: &dyn Machine) -> Option<f32> {
        self.norm.map(|(program, output)| machine.output(program, output)[0])
    }
}

impl Counting {
    /// Goes over all parts; the totals are added up in float64, in order.
    fn run(&mut self, machine: &mut dyn Machine, batch: &Batch, moment: &Moment) {
        for part in 0..moment.parts {
            self.stage.run(machine, batch, part, moment);
            for ((output, function), sum) in self.outputs.iter().zip(&mut self.sums) {
                let values = machine.output(self.stage.stage.program, *output);
                for (total, value) in sum.iter_mut().zip(values) {
                    let value = f64::from(*value);
                    *total = match function {
                        _ if part == 0 => value,
                        ReduceFunction::Sum => *total + value,
                        ReduceFunction::Maximum => total.max(value),
                        ReduceFunction::Minimum => total.min(value),
                        ReduceFunction::Product => *total * value,
                    };
                }
            }
        }
        for (sum, values) in self.sums.iter().zip(&mut self.values) {
            if let Values::Real(values) = values {
                values.iter_mut().zip(sum).for_each(|(value, sum)| *value = *sum as f32);
            }
        }
    }

    /// Hands the totals to a program.
    fn write(&self, machine: &mut dyn Machine, program: ProgramId) {
        for (_, inputs) in self.inputs.iter().filter(|(p, _)| *p == program) {
            for (&input, values) in inputs.iter().zip(&self.values) {
                machine.write_input(program, input, values, 0);
            }
        }
    }
}
