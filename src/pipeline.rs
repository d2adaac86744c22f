//! Every stage once, in order. Only this file knows them all; it does no IO.

use crate::ir::ast::Section;
use crate::ir::experiment::{Accumulation, DataSettings, Evaluation, Schema, TrainSettings};
use crate::ir::graph::{Graph, ParamDeclaration, StateDeclaration};
use crate::ir::kernel::Schedule;
use crate::ir::kernel_verify::MOST_ELEMENTS;
use crate::ir::model::{MetricDeclaration, Program};
use crate::ir::number::{KeptNumber, Number};
use crate::ir::plan::{PersistentLayout, Plan};
use crate::ir::tune::TuneSettings;
use crate::resolve::library::Library;
use crate::resolve::schedule::RunLength;
use crate::resolve::{Context, Mode, Parts};
use crate::text::{Code, Diagnostic, Diagnostics, Span};
use crate::{build, fuse, grad, lint, plan, precision, resolve};
use std::borrow::Cow;

pub use crate::spec::{Failure, ReadFile, Spec, load};

impl Spec {
    fn library<'a>(&'a self, diagnostics: &mut Diagnostics) -> Library<'a> {
        Library::new(&self.files(), diagnostics)
    }

    fn parts(&self, diagnostics: &mut Diagnostics) -> Option<Parts<'_>> {
        resolve::parts(&self.file, self.end, diagnostics)
    }

    /// Refuses what is too large to be stored, where it is known what is.
    pub fn storable(&self, compiled: &Compiled) -> Result<(), Failure> {
        let large = compiled.schedule.tensors.iter().filter(|t| t.elements > MOST_ELEMENTS);
        let Some((tensor, node)) = large.filter_map(|t| Some((t, t.node?))).next() else {
            return Ok(());
        };
        let message = format!(
            "this needs a tensor of {} elements in memory, where one has at most {MOST_ELEMENTS}",
            tensor.elements
        );
        let mut diagnostics = Diagnostics::default();
        let diagnostic = Diagnostic::new(Code::SizeTooLarge, compiled.graph.node(node).caller, message);
        diagnostics.push(diagnostic.help("make the batch smaller, or what it is computed with"));
        Err(self.failure(diagnostics))
    }

    /// What the data section says.
    pub fn data(&self) -> Result<DataSettings, Failure> {
        let mut diagnostics = Diagnostics::default();
        let settings = self
            .parts(&mut diagnostics)
            .and_then(|parts| resolve::data::data_settings(parts.data, &mut diagnostics));
        match settings {
            Some(settings) if !diagnostics.has_errors() => Ok(settings),
            _ => Err(self.failure(diagnostics)),
        }
    }

    /// Resolves the spec against its data: every mistake is found here.
    pub fn resolve(self, schema: Schema) -> Result<Experiment, Failure> {
        let mut diagnostics = self.warnings.clone();
        let library = self.library(&mut diagnostics);
        resolve::unused::warn(&self.file, &self.files()[1..], &mut diagnostics);
        let Some(parts) = self.parts(&mut diagnostics) else {
            return Err(self.failure(diagnostics));
        };
        let data = resolve::data::data_settings(parts.data, &mut diagnostics);
        let train = parts
            .train
            .and_then(|section| resolve::train::train_settings(section, &mut diagnostics));
        let tune = parts.tune.and_then(|section| tune(section, &parts, &mut diagnostics));
        let name = parts.model.name.text.clone();
        let mode = own_mode(train.as_ref());
        let batch = schema.batch.or(train.as_ref().map(|t| t.batch)).unwrap_or(1);
        let settings = match train.map(|t| with_batch(t, batch)).transpose() {
            Ok(settings) => settings,
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                return Err(self.failure(diagnostics));
            }
        };
        let batch = settings.as_ref().map_or(batch, TrainSettings::part);
        let context = Context {
            sources: &self.sources,
            library: &library,
            schema: &schema,
            settings: settings.as_ref(),
            batch,
            probe: false,
        };
        let mut checked = None;
        if !diagnostics.has_errors() || settings.is_some() {
            let (program, said) = resolve::resolve(&parts, &context, mode);
            checked = program.map(|program| Checked { mode, batch, program });
            diagnostics.extend(said);
        }
        let (Some(data), false) = (data, diagnostics.has_errors()) else {
            return Err(self.failure(diagnostics));
        };
        let experiment = Experiment {
            spec: self,
            name,
            data,
            train: settings,
            tune,
            schema,
            warnings: diagnostics,
            probe: false,
            checked,
        };
        experiment.parted()?;
        Ok(experiment)
    }
}

/// The program that a spec is about: a spec without a `train` section only predicts.
fn own_mode(train: Option<&TrainSettings>) -> Mode {
    match train {
        Some(_) => Mode::Training,
        None => Mode::Prediction,
    }
}

/// The train section with the batch of the data: what it says of that must fit.
fn with_batch(train: TrainSettings, batch: usize) -> Result<TrainSettings, Diagnostic> {
    if let Some(span) = train.batch_span.filter(|_| train.batch != batch) {
        let message = format!("the data's batches have {batch} samples, the spec says {}", train.batch);
        let help = format!("write `batch {batch}`, or leave it out");
        return Err(Diagnostic::new(Code::WrongValue, span, message).help(help));
    }
    if !batch.is_multiple_of(train.parts) {
        let message = format!(
            "the data's batches of {batch} can't be computed in {} equal parts",
            train.parts
        );
        return Err(Diagnostic::new(Code::WrongValue, train.span, message));
    }
    Ok(TrainSettings { batch, ..train })
}

/// Checks the tune section.
fn tune(section: &Section, parts: &Parts<'_>, diagnostics: &mut Diagnostics) -> Option<TuneSettings> {
    if parts.train.is_none() {
        let message = "`tune` compares trainings, and this spec has no `train` section";
        diagnostics.push(Diagnostic::new(Code::MissingSection, section.name.span, message));
    }
    resolve::tune::tune_settings(section, diagnostics)
}

/// A spec that has no mistakes, bound to its data.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The texts.
    pub spec: Spec,
    /// The model's name.
    pub name: String,
    /// The data section.
    pub data: DataSettings,
    /// The train section; its batch is the numbered batches' where the data has such.
    pub train: Option<TrainSettings>,
    /// The tune section, by what it says alone.
    tune: Option<TuneSettings>,
    /// What the data gives.
    pub schema: Schema,
    /// What is suspicious.
    pub warnings: Diagnostics,
    /// Whether the training program gives the gradient norm of each parameter.
    pub probe: bool,
    checked: Option<Checked>,
}

/// The program that the spec was checked with, so that it is not resolved again.
#[derive(Clone, Debug)]
struct Checked {
    mode: Mode,
    batch: usize,
    program: Program,
}

impl Experiment {
    /// Frees the program that the spec was checked with. Who asks for it later has it resolved again.
    pub fn forget_program(&mut self) {
        self.checked = None;
    }

    /// The resolved program of a mode.
    pub fn program(&self, mode: Mode, batch: usize) -> Result<Cow<'_, Program>, Failure> {
        match &self.checked {
            Some(c) if c.mode == mode && c.batch == batch && !self.probe => Ok(Cow::Borrowed(&c.program)),
            _ => Ok(Cow::Owned(self.resolved(mode, batch)?)),
        }
    }

    fn resolved(&self, mode: Mode, batch: usize) -> Result<Program, Failure> {
        let mut diagnostics = Diagnostics::default();
        let library = self.spec.library(&mut diagnostics);
        let parts = self.spec.parts(&mut diagnostics);
        let Some(parts) = parts else {
            return Err(self.spec.failure(diagnostics));
        };
        let context = Context {
            sources: &self.spec.sources,
            library: &library,
            schema: &self.schema,
            settings: self.train.as_ref(),
            batch,
            probe: self.probe,
        };
        let (program, said) = resolve::resolve(&parts, &context, mode);
        program.ok_or_else(|| self.spec.failure(said))
    }

    /// What is suspicious: what was found on the way, and what the rules of [`crate::lint`] say, but for what the spec
    /// allows.
    pub fn lint(&self) -> Result<Diagnostics, Failure> {
        let mode = own_mode(self.train.as_ref());
        let program = self.program(mode, self.part())?;
        let evaluation = match self.train {
            Some(_) => Some(self.program(Mode::Evaluation, self.part())?),
            None => None,
        };
        let (graph, made_for) = build::build_traced(&program);
        let parts = self.spec.parts(&mut Diagnostics::default());
        let section = parts.and_then(|p| p.train);
        let length = self.run_length();
        let run = self.train.as_ref().zip(section).map(|(settings, section)| lint::Run {
            settings,
            section,
            steps: length.steps,
            steps_per_epoch: length.steps_per_epoch,
        });
        let programs = (&*program, evaluation.as_deref());
        let traced = (&graph, &made_for[..]);
        let subject = lint::Subject::new(&self.spec.files(), &self.data, &self.schema, programs, traced, run);
        let mut said = Diagnostics::default();
        let allowed = self.train.iter().flat_map(|t| &t.allowed);
        let allowed: Vec<Code> = allowed.copied().collect();
        for diagnostic in self.warnings.iter().chain(lint::lint(&subject).iter()) {
            if !allowed.contains(&diagnostic.code) && !self.told_before(diagnostic, &said) {
                said.push(diagnostic.clone());
            }
        }
        Ok(said)
    }

    /// Whether a parameter without a gradient is one whose layer's name was found to be unused, on the same line.
    fn told_before(&self, diagnostic: &Diagnostic, said: &Diagnostics) -> bool {
        let line = |d: &Diagnostic| (d.primary.span.file, self.spec.sources.position(d.primary.span).0);
        let mut unused = said.iter().filter(|d| d.code == Code::Unused);
        diagnostic.code == Code::NoGradient && unused.any(|d| line(d) == line(diagnostic))
    }

    /// What `tune` asks for, if it fits the rest of the spec. Only who tries settings needs to know.
    pub fn tune(&self) -> Result<Option<&TuneSettings>, Failure> {
        let (Some(tune), Some(train)) = (&self.tune, &self.train) else {
            return Ok(None);
        };
        let metrics = self.declarations()?.metrics;
        let mut diagnostics = Diagnostics::default();
        let library = self.spec.library(&mut diagnostics);
        let parts = self.spec.parts(&mut diagnostics);
        let lines = parts.iter().flat_map(|p| p.train).flat_map(|section| &section.settings);
        let averaged = lines.flat_map(|line| line.key.first()).any(|key| key.text == "ema");
        let others = resolve::tune::Others {
            data: &self.data,
            train,
            metrics: &metrics,
            averaged,
            library: &library,
        };
        resolve::tune::fit(tune, &others, &mut diagnostics);
        match diagnostics.has_errors() {
            true => Err(self.spec.failure(diagnostics)),
            false => Ok(Some(tune)),
        }
    }

    /// The training program as a graph with gradients: not yet simplified. Where a step's batch goes part by part, the
    /// program that adds up the gradient.
    pub fn training_graph(&self) -> Result<Graph, Failure> {
        match self.accumulation()? {
            Some(accumulation) => Ok(accumulation.gradient),
            None => Ok(self.differentiated(&build::build(&*self.program(Mode::Training, self.part())?))),
        }
    }

    /// With gradients, in the precision of training.
    fn differentiated(&self, graph: &Graph) -> Graph {
        let graph = grad::grad(graph);
        match self.train.as_ref().and_then(|t| t.precision) {
            Some(precision) => precision::rounded(&graph, precision),
            None => graph,
        }
    }

    /// Samples that a training program takes at once.
    fn part(&self) -> usize {
        self.train.as_ref().map_or(1, TrainSettings::part)
    }

    /// The programs of a step whose batch goes part by part, with gradients; `None` where one program does it all.
    pub fn accumulation(&self) -> Result<Option<Accumulation>, Failure> {
        Ok(self.parted()?.map(|parted| Accumulation {
            gradient: self.differentiated(&parted.gradient),
            again: parted.again.as_ref().map(|again| self.differentiated(again)),
            ..parted
        }))
    }

    /// The same, with placeholders for gradients.
    fn parted(&self) -> Result<Option<Accumulation>, Failure> {
        let Some(train) = self.train.as_ref().filter(|t| t.goes_by_parts()) else {
            return Ok(None);
        };
        let program = self.program(Mode::Training, train.part())?;
        match build::accumulation(&program, train.parts, train.sharpness, train.skips()) {
            Ok(accumulation) => Ok(Some(accumulation)),
            Err(message) => {
                let mut diagnostics = Diagnostics::default();
                let message = format!("this loss can't be added up part by part: {message}");
                let help = "give the batch in one part, or write the loss as a mean over the samples";
                let diagnostic = Diagnostic::new(Code::NotSupported, self.loss_line().unwrap_or(train.span), message);
                diagnostics.push(diagnostic.help(help));
                Err(self.spec.failure(diagnostics))
            }
        }
    }

    /// Where the spec says its loss.
    fn loss_line(&self) -> Option<Span> {
        let parts = self.spec.parts(&mut Diagnostics::default())?;
        let lines = &parts.train?.settings;
        let line = lines.iter().find(|s| s.key.first().is_some_and(|k| k.text == "loss"))?;
        Some(line.span)
    }

    /// The evaluation of a split in batches of a size.
    pub fn evaluation(&self, batch: usize) -> Result<Evaluation, Failure> {
        let program = self.program(Mode::Evaluation, batch)?;
        build::evaluation(&program).map_err(|message| {
            let mut diagnostics = Diagnostics::default();
            let place = self.train.as_ref().map_or(Span::NOWHERE, |t| t.span);
            diagnostics.push(Diagnostic::new(
                Code::NotSupported,
                place,
                format!("a metric can't be evaluated batch by batch: {message}"),
            ));
            self.spec.failure(diagnostics)
        })
    }

    /// The model alone, for prediction and generation.
    pub fn prediction(&self, batch: usize) -> Result<Graph, Failure> {
        Ok(build::build(&*self.program(Mode::Prediction, batch)?))
    }

    /// How many updates a run has.
    pub fn run_length(&self) -> RunLength {
        match &self.train {
            Some(train) => resolve::run_length(train, &self.schema),
            None => RunLength {
                steps: 0,
                steps_per_epoch: None,
            },
        }
    }

    /// Parameters, states and the learning rate, as the training program declares them.
    pub fn declarations(&self) -> Result<Declarations, Failure> {
        let program = self.program(own_mode(self.train.as_ref()), self.part())?;
        Ok(Declarations {
            params: program.params.clone(),
            states: program.states.clone(),
            rate: program.rate.clone(),
            kept: program.kept.clone(),
            penalised: program.penalised.clone(),
            metrics: program.metrics.clone(),
        })
    }
}

/// What an experiment keeps from step to step, its learning rate and its metrics.
#[derive(Clone, Debug)]
pub struct Declarations {
    /// What is trained.
    pub params: Vec<ParamDeclaration>,
    /// What is kept.
    pub states: Vec<StateDeclaration>,
    /// The learning rate of the first parameter, where the spec gives it.
    pub rate: Option<Number>,
    /// What schedules keep from evaluation to evaluation.
    pub kept: Vec<KeptNumber>,
    /// Paths of the parameters that a `penalty` line names.
    pub penalised: Vec<String>,
    /// The metrics of its reports.
    pub metrics: Vec<MetricDeclaration>,
}

/// A graph on its way to the machine, with what each stage made.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// After simplification.
    pub graph: Graph,
    /// After fusion.
    pub schedule: Schedule,
    /// With addresses.
    pub plan: Plan,
}

/// Simplifies, fuses and plans a graph. `layout` is the training program's, for programs that share its parameters.
pub fn compile(graph: &Graph, layout: Option<&PersistentLayout>) -> Compiled {
    let graph = graph.clone();
    let schedule = fuse::fuse(&graph);
    let plan = plan::plan(&schedule, &graph, layout);
    Compiled { graph, schedule, plan }
}
