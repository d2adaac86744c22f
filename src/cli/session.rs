//! From a path to an experiment with its data, and from there to a machine with all programs that a command needs.

use super::failure::Failure;
use super::streams;
use crate::data::file::plain;
use crate::data::{self, DataError, Dataset, Part};
use crate::ir::experiment::{Evaluation, Schema, Source, TrainSettings};
use crate::ir::graph::Graph;
use crate::ir::number::StepVariable;
use crate::ir::plan::PersistentLayout;
use crate::machine::{Machine, Program, ProgramId};
use crate::parse::limits;
use crate::pipeline::{self, Compiled, Declarations, Experiment, Spec};
use crate::text::Span;
use crate::train::evaluate::{Evaluator, batch_sizes};
use crate::train::finish::{Gathered, finish};
use crate::train::initialise::initial_values;
use crate::train::run_folder::Resolved;
use crate::train::update::{Aside, Parted, Stage};
use crate::train::weights::Weights;
use crate::train::{TrainError, checkpoint};
use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that the compiler read.
pub struct ReadText {
    /// As it was asked for.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A parsed spec with the texts that it was made of.
pub struct Loaded {
    /// The spec.
    pub spec: Spec,
    /// In the order of reading; the spec itself is the first.
    pub texts: Vec<ReadText>,
    /// What its paths are relative to.
    pub folder: PathBuf,
}

/// Loads a spec from a file, or from standard input if the path is `-`.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Loaded, Failure> {
    // That the spec itself can't be read is no mistake in it.
    let spec = RefCell::new(Some(read_text(path).map_err(|e| TrainError::file("read", path, &e))?));
    let texts = RefCell::new(vec![]);
    let read = |asked: &Path| {
        let bytes = match spec.take() {
            Some(bytes) => bytes,
            None => read_text(asked).map_err(|e| plain(&e))?,
        };
        texts.borrow_mut().push(ReadText {
            path: asked.to_path_buf(),
            bytes: bytes.clone(),
        });
        Ok(bytes)
    };
    let spec = pipeline::load(path, overrides, &read)?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Loaded {
        spec,
        texts: texts.into_inner(),
        folder,
    })
}

/// A text, from standard input if the path is `-`: one byte more than it may have is enough to refuse it.
pub fn read_text(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    let most = limits::FILE_BYTES as u64 + 1;
    match path == Path::new("-") {
        true => std::io::stdin().lock().take(most).read_to_end(&mut bytes)?,
        false => std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// Loads the spec of a run as it was when the run began.
pub fn load_run(run: &Path, resolved: &Resolved) -> Result<Loaded, Failure> {
    let texts = RefCell::new(vec![]);
    let read = |asked: &Path| {
        let kept = resolved.files.iter().find(|f| f.path == asked);
        let kept = kept.ok_or_else(|| "the run has no copy of this file".to_string())?;
        let bytes = read_text(&run.join(&kept.kept)).map_err(|e| plain(&e))?;
        texts.borrow_mut().push(ReadText {
            path: asked.to_path_buf(),
            bytes: bytes.clone(),
        });
        Ok(bytes)
    };
    let spec = pipeline::load(&resolved.spec, &resolved.overrides, &read)?;
    Ok(Loaded {
        spec,
        texts: texts.into_inner(),
        folder: resolved.folder.clone(),
    })
}

/// An experiment with its data.
pub struct Session {
    /// What was resolved.
    pub experiment: Experiment,
    /// What it learns from.
    pub dataset: Dataset,
    /// What was read.
    pub texts: Vec<ReadText>,
    /// What the spec's paths are relative to.
    pub folder: PathBuf,
    /// How long opening the data took.
    pub data_took: Duration,
}

/// Opens the data and resolves the spec. `tensors` replaces the file of a `tensors` source.
pub fn open(loaded: Loaded, tensors: Option<&Path>) -> Result<Session, Failure> {
    let mut settings = loaded.spec.data()?;
    let mut folder = loaded.folder.clone();
    if let Some(file) = tensors {
        let Source::Tensors { path, .. } = &mut settings.source else {
            let message = "--data needs a spec whose data is `tensors`".to_string();
            return Err(Failure::Usage(message));
        };
        path.path = file.display().to_string();
        folder = PathBuf::new();
    }
    let begin = Instant::now();
    let dataset =
        data::open(&settings, &folder).map_err(|error| Failure::Train(error.into(), loaded.spec.sources.clone()))?;
    with_data(loaded, dataset, begin.elapsed())
}

/// The same for timing steps: where the data are not there, they are drawn at random, of the sizes that the spec states.
pub fn open_or_draw(loaded: Loaded, tensors: Option<&Path>) -> Result<Session, Failure> {
    let settings = loaded.spec.data()?;
    let missing = data::missing(&settings, &loaded.folder).filter(|_| tensors.is_none());
    match missing.zip(data::stated(&settings)) {
        Some((at, schema)) => {
            streams::say(format_args!(
                "{} is not there: samples are drawn at random, of the sizes that the spec states",
                at.display()
            ));
            with_data(loaded, data::drawn(&settings, schema), Duration::ZERO)
        }
        None => open(loaded, tensors),
    }
}

fn with_data(loaded: Loaded, dataset: Dataset, data_took: Duration) -> Result<Session, Failure> {
    let experiment = loaded.spec.resolve(dataset.schema().clone())?;
    Ok(Session {
        experiment,
        dataset,
        texts: loaded.texts,
        folder: loaded.folder,
        data_took,
    })
}

/// An experiment to look at, and its data. Where these are not there, it has the sizes that the spec states.
pub fn examine(loaded: Loaded) -> Result<(Experiment, Option<Dataset>), Failure> {
    let settings = loaded.spec.data()?;
    let missing = data::missing(&settings, &loaded.folder);
    match missing.zip(data::stated(&settings)) {
        Some((at, schema)) => {
            streams::say(format_args!(
                "{} is not there: sizes are as the spec states them",
                at.display()
            ));
            Ok((loaded.spec.resolve(schema)?, None))
        }
        None => {
            let session = open(loaded, None)?;
            Ok((session.experiment, Some(session.dataset)))
        }
    }
}

impl Session {
    /// A training error with the spec's texts, for places.
    pub fn failure(&self, error: impl Into<TrainError>) -> Failure {
        Failure::Train(error.into(), self.experiment.spec.sources.clone())
    }

    /// What the target's classes are called, if the data tells.
    pub fn class_names(&self) -> Vec<String> {
        let fitted = self.dataset.fitted();
        let names = fitted["target"]["classes"].as_array();
        let name = |n: &serde_json::Value| n.as_str().unwrap_or_default().to_string();
        names.map(|n| n.iter().map(name).collect()).unwrap_or_default()
    }

    /// The `train` section, which a command that needs it can't do without.
    pub fn settings(&self) -> Result<&crate::ir::experiment::TrainSettings, Failure> {
        self.experiment.train.as_ref().ok_or_else(|| {
            let error = DataError::new(Span::NOWHERE, "the spec has no `train` section");
            self.failure(error.help("`train` says the loss, the optimizer and the duration"))
        })
    }
}

/// A machine with the programs of a command.
pub struct Built {
    /// The machine.
    pub machine: Machine,
    /// The training program.
    pub training: Option<Training>,
    /// The evaluation of each part that was asked for and has samples.
    pub evaluations: Vec<(Part, PartEvaluation)>,
    /// Parameters, states and the learning rate.
    pub declarations: Declarations,
}

/// The training programs.
pub struct Training {
    /// Loss, gradient and update, or of a batch that goes part by part the gradient of one part.
    pub main: Stage,
    /// The other programs of such a batch.
    pub parted: Option<Parted>,
}

/// Programs that evaluate one part.
pub struct PartEvaluation {
    programs: Vec<(usize, ProgramId)>,
    evaluation: Evaluation,
}

/// Compiles the training program, if asked for, and the evaluation of some parts.
pub fn build(session: &Session, training: bool, parts: &[Part], threads: usize) -> Result<Built, Failure> {
    let experiment = &session.experiment;
    let mut programs = Programs {
        list: vec![],
        layout: None,
        threads,
    };
    let training = if training {
        Some(programs.training(experiment)?)
    } else {
        None
    };
    let mut sizes: Vec<(usize, ProgramId)> = vec![];
    let mut evaluations = vec![];
    let batch = experiment.train.as_ref().map_or(1, TrainSettings::part);
    for &part in parts.iter().filter(|&&p| session.dataset.samples(p) > 0) {
        let mut evaluation = None;
        let mut of_part = vec![];
        for size in batch_sizes(session.dataset.samples(part), batch) {
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
            let programs = of_part;
            evaluations.push((part, PartEvaluation { programs, evaluation }));
        }
    }
    Ok(Built {
        machine: Machine::new(programs.list, threads)?,
        training,
        evaluations,
        declarations: experiment.declarations()?,
    })
}

/// Programs over one persistent layout.
struct Programs {
    list: Vec<Program>,
    layout: Option<PersistentLayout>,
    threads: usize,
}

impl Programs {
    /// The programs of a training step.
    fn training(&mut self, experiment: &Experiment) -> Result<Training, Failure> {
        let Some(accumulation) = experiment.accumulation()? else {
            return Ok(Training {
                main: self.stage(&experiment.training_graph()?)?,
                parted: None,
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
        Ok(Training {
            main,
            parted: Some(parted),
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
    /// while they are read.
    pub fn initialise_states(&mut self) {
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
            let tensor = crate::train::weights::WeightTensor {
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

/// What a run keeps of its data: enough to predict without it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct KeptData {
    /// Names and sizes.
    pub schema: Schema,
    /// What was fitted on the training part.
    pub fitted: serde_json::Value,
}
