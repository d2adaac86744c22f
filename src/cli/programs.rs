//! From an experiment to a machine with all programs that a command needs.

use super::failure::Failure;
use super::session::Session;
use crate::data::Part;
use crate::ir::experiment::{Evaluation, TrainSettings};
use crate::ir::flops;
use crate::ir::graph::Graph;
use crate::ir::number::StepVariable;
use crate::ir::plan::PersistentLayout;
use crate::machine::{Machine, Program, ProgramId, return_freed_memory};
use crate::pipeline::{self, Compiled, Declarations, Experiment, Spec};
use crate::train::evaluate::{Evaluator, batch_sizes};
use crate::train::finish::{Gathered, finish};
use crate::train::initialise::initial_values;
use crate::train::update::{Aside, Parted, Stage};
use crate::train::weights::{WeightTensor, Weights};
use crate::train::{TrainError, checkpoint};

/// A machine with the programs of a command.
pub struct Built {
    /// The machine.
    pub machine: Machine,
    /// The training program.
    pub training: Option<TrainingPrograms>,
    /// The evaluation of each part that was asked for and has samples.
    pub evaluations: Vec<(Part, PartEvaluation)>,
    /// Parameters, states and the learning rate.
    pub declarations: Declarations,
}

/// The training programs.
pub struct TrainingPrograms {
    /// Loss, gradient and update, or of a batch that goes part by part the gradient of one part.
    pub main: Stage,
    /// The other programs of such a batch.
    pub parted: Option<Parted>,
    /// Of the main program.
    pub contract_flops: u64,
}

/// Programs that evaluate one part.
pub struct PartEvaluation {
    programs: Vec<(usize, ProgramId)>,
    evaluation: Evaluation,
}

/// Compiles the training program, if asked for, and the evaluation of some parts. The resolved program has done its
/// service then.
pub fn build(session: &mut Session, training: bool, parts: &[Part], threads: usize) -> Result<Built, Failure> {
    let experiment = &session.experiment;
    let samples = |part| session.dataset.samples(part);
    let Programs {
        list,
        training,
        evaluations,
        ..
    } = programs(experiment, &samples, training, parts, threads)?;
    let declarations = experiment.declarations()?;
    session.experiment.forget_program();
    Ok(Built {
        machine: Machine::new(list, threads)?,
        training,
        evaluations,
        declarations,
    })
}

/// The same without memory; `samples` tells how many samples a part has.
pub fn programs<'e>(
    experiment: &'e Experiment,
    samples: &dyn Fn(Part) -> usize,
    training: bool,
    parts: &[Part],
    threads: usize,
) -> Result<Programs<'e>, Failure> {
    let mut programs = Programs {
        spec: &experiment.spec,
        list: vec![],
        training: None,
        evaluations: vec![],
        layout: None,
        threads,
    };
    if training {
        programs.training = Some(programs.of_training(experiment)?);
    }
    let mut sizes: Vec<(usize, ProgramId)> = vec![];
    let batch = experiment.train.as_ref().map_or(1, TrainSettings::part);
    for &part in parts.iter().filter(|&&p| samples(p) > 0) {
        let mut evaluation = None;
        let mut of_part = vec![];
        for size in batch_sizes(samples(part), batch) {
            let this = experiment.evaluation(size)?;
            let known = sizes.iter().find(|s| s.0 == size).map(|s| s.1);
            let program = match known {
                Some(program) => program,
                None => programs.add(&pipeline::compile(&this.batch, programs.layout.as_ref()))?,
            };
            sizes.push((size, program));
            of_part.push((size, program));
            evaluation.get_or_insert(this);
        }
        if let Some(evaluation) = evaluation {
            let of_part = PartEvaluation {
                programs: of_part,
                evaluation,
            };
            programs.evaluations.push((part, of_part));
        }
    }
    Ok(programs)
}

/// The programs of a command, over one persistent layout.
pub struct Programs<'a> {
    spec: &'a Spec,
    /// By their ids.
    pub list: Vec<Program>,
    training: Option<TrainingPrograms>,
    evaluations: Vec<(Part, PartEvaluation)>,
    layout: Option<PersistentLayout>,
    threads: usize,
}

impl Programs<'_> {
    /// The programs of a training step.
    fn of_training(&mut self, experiment: &Experiment) -> Result<TrainingPrograms, Failure> {
        let Some(accumulation) = experiment.accumulation()? else {
            let graph = experiment.training_graph()?;
            return Ok(TrainingPrograms {
                main: self.stage(&graph)?,
                parted: None,
                contract_flops: flops::of_products(&graph),
            });
        };
        let main = self.stage(&accumulation.gradient)?;
        let counts = match &accumulation.counts {
            Some(graph) => Some((self.stage(graph)?, accumulation.totals.clone())),
            None => None,
        };
        let aside = match (&accumulation.aside, &accumulation.again) {
            (Some(aside), Some(again)) => Some(Aside {
                there: self.stage(aside)?,
                again: self.stage(again)?,
                back: match &accumulation.back {
                    Some(back) => Some(self.stage(back)?),
                    None => None,
                },
            }),
            _ => None,
        };
        let parted = Parted {
            parts: accumulation.parts,
            counts,
            aside,
            update: self.stage(&accumulation.update)?,
        };
        Ok(TrainingPrograms {
            main,
            parted: Some(parted),
            contract_flops: flops::of_products(&accumulation.gradient),
        })
    }

    fn stage(&mut self, graph: &Graph) -> Result<Stage, Failure> {
        let compiled = pipeline::compile(graph, self.layout.as_ref());
        Ok(Stage {
            program: self.add(&compiled)?,
            numbers: compiled.graph.numbers,
        })
    }

    fn add(&mut self, compiled: &Compiled) -> Result<ProgramId, Failure> {
        self.spec.storable(compiled)?;
        self.list.push(Program::compile(&compiled.plan, self.threads)?);
        self.layout.get_or_insert_with(|| compiled.plan.persistent.clone());
        Ok(ProgramId(self.list.len() - 1))
    }
}

impl Built {
    /// Writes every parameter's first value.
    pub fn initialise_parameters(&mut self, seed: u64) {
        for slot in 0..self.machine.layout().slots.len() {
            let name = &self.machine.layout().slots[slot].name;
            if let Some(param) = self.declarations.params.iter().find(|p| p.path == *name) {
                let values = initial_values(param, seed);
                let memory = train_machine(&mut self.machine).persistent_mut(slot);
                memory.copy_from_slice(&values);
            }
        }
    }

    /// Writes every state's first value: behind the parameters, since weights from a file stand in memory more than once
    /// while they are read. What that and compiling have freed goes back to the system before more memory is touched.
    pub fn initialise_states(&mut self) {
        return_freed_memory();
        for slot in 0..self.machine.layout().slots.len() {
            let name = &self.machine.layout().slots[slot].name;
            if let Some(state) = self.declarations.states.iter().find(|s| s.path == *name) {
                let memory = train_machine(&mut self.machine).persistent_mut(slot);
                memory.fill(state.initial as f32);
            }
        }
    }

    /// Writes weights into the slots of their names.
    pub fn restore(&mut self, weights: &Weights, slots: &[usize], origin: &str) -> Result<(), TrainError> {
        checkpoint::restore(weights, &mut self.machine, slots, origin)
    }

    /// Name and shape of every slot of some.
    pub fn wanted(&self, slots: &[usize]) -> Vec<(String, Vec<usize>)> {
        let layout = self.machine.layout();
        slots
            .iter()
            .map(|&s| (layout.slots[s].name.clone(), layout.slots[s].shape.clone()))
            .collect()
    }

    /// The values of some slots.
    pub fn weights(&mut self, slots: &[usize]) -> Weights {
        let machine = train_machine(&mut self.machine);
        let tensor = |&s: &usize| {
            let slot = &machine.layout().slots[s];
            let tensor = WeightTensor {
                shape: slot.shape.clone(),
                values: machine.persistent(s).to_vec(),
            };
            (slot.name.clone(), tensor)
        };
        slots.iter().map(tensor).collect()
    }
}

/// The machine as training sees it.
pub fn train_machine(machine: &mut Machine) -> &mut dyn crate::train::Machine {
    machine
}

impl PartEvaluation {
    /// Hands the evaluator of a part to `f`.
    pub fn with<R>(&self, part: Part, f: impl FnOnce(Evaluator) -> R) -> R {
        let finish =
            |gathered: &Gathered, variable: &dyn Fn(StepVariable) -> f64| finish(&self.evaluation, gathered, variable);
        f(Evaluator {
            part,
            programs: self.programs.clone(),
            numbers: &self.evaluation.batch.numbers,
            accumulators: &self.evaluation.accumulators,
            samples: &self.evaluation.samples,
            finish: &finish,
        })
    }
}
