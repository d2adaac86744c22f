//! Syntax tree → resolved programs: every name bound, every definition expanded, every size solved, every mistake
//! a diagnostic. Does no IO and knows nothing of graphs or kernels.
//!
//! `data`, `train` and `tune` read sections; `elaborator` holds the state, `inputs` what the data give; `evaluate`, `call`,
//! `arguments` and `body` treat values and layers; `indices`, `ranges`, `equation`, `element` and `places` treat indexed
//! equations; `objective` makes the loss, `optimizer` the gradients and updates, `schedule` and `kept` what changes in a run.

mod arguments;
pub mod body;
mod call;
pub mod data;
mod declare;
pub mod elaborator;
mod element;
mod element_call;
mod equation;
mod evaluate;
mod fold;
pub mod fraction;
mod gradient;
mod heads;
mod indices;
mod initialise;
mod inputs;
mod kept;
pub mod library;
pub mod limits;
mod list;
mod number;
mod objective;
mod operators;
mod optimizer;
mod pattern;
mod places;
mod ranges;
mod reduction;
mod report;
mod scan;
pub mod schedule;
mod scope;
mod settings;
mod signature;
mod states;
pub mod targets;
#[cfg(test)]
mod tests;
pub mod train;
pub mod tune;
pub mod unused;
mod update;
mod value;
mod watch;

use crate::ir::ast::{File, Item, Model, Section};
use crate::ir::experiment::{Interval, Schema, TrainSettings};
use crate::ir::graph::{OutputKind, StateId};
use crate::ir::model::{Definition, MetricDeclaration, Output, Program, TensorId};
use crate::text::{Code, Diagnostic, Diagnostics, Sources, Span};
use elaborator::{Checked, Elaborator, Wrong};
use library::Library;
use schedule::RunLength;
use scope::{PathScope, Scope};
use std::collections::HashMap;
use value::Value;

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Loss, gradients, updates.
    Training,
    /// Loss and metrics.
    Evaluation,
    /// The model's values.
    Prediction,
}

/// The items of a spec, each found once.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The model.
    pub model: &'a Model,
    /// The data section.
    pub data: &'a Section,
    /// The train section, if there is one.
    pub train: Option<&'a Section>,
    /// The tune section, if there is one.
    pub tune: Option<&'a Section>,
}

/// Finds model and sections of a spec.
pub fn parts<'a>(file: &'a File, end: Span, diagnostics: &mut Diagnostics) -> Option<Parts<'a>> {
    let mut model: Option<&Model> = None;
    let (mut data, mut train, mut tune): (Option<&Section>, Option<&Section>, Option<&Section>) = (None, None, None);
    for item in &file.items {
        match item {
            Item::Model(found) => match model {
                None => model = Some(found),
                Some(first) => twice("model", first.name.span, found.name.span, diagnostics),
            },
            Item::Section(found) => {
                let slot = match found.name.text.as_str() {
                    "data" => &mut data,
                    "train" => &mut train,
                    _ => &mut tune,
                };
                match slot {
                    None => *slot = Some(found),
                    Some(first) => twice(&found.name.text, first.name.span, found.name.span, diagnostics),
                }
            }
            _ => {}
        }
    }
    for (missing, what, help) in [
        (model.is_none(), "model", "a spec describes a model: `model NAME { … }`"),
        (data.is_none(), "data section", "a spec names its data: `data { … }`"),
    ] {
        if missing {
            let diagnostic = Diagnostic::new(Code::MissingSection, end, format!("this spec has no {what}"));
            diagnostics.push(diagnostic.help(help));
        }
    }
    Some(Parts {
        model: model?,
        data: data?,
        train,
        tune,
    })
}

fn twice(what: &str, first: Span, second: Span, diagnostics: &mut Diagnostics) {
    let message = format!("a spec has one {what}; this is a second one");
    diagnostics.push(Diagnostic::new(Code::DuplicateName, second, message).note(first, "the first one"));
}

/// What resolving needs besides the text.
pub struct Context<'a> {
    /// All texts.
    pub sources: &'a Sources,
    /// All definitions.
    pub library: &'a Library<'a>,
    /// What the data gives.
    pub schema: &'a Schema,
    /// The train section's settings.
    pub settings: Option<&'a TrainSettings>,
    /// Samples of a batch.
    pub batch: usize,
    /// Whether gradient norms of single parameters are results, for comparisons with other programs.
    pub probe: bool,
}

/// Stack of the thread that resolves: calls, blocks and expressions nest in each other up to their limits.
const STACK_BYTES: usize = 256 << 20;

/// Resolves one program of a spec.
pub fn resolve(parts: &Parts<'_>, context: &Context<'_>, mode: Mode) -> (Option<Program>, Diagnostics) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder
            .spawn_scoped(scope, || resolve_here(parts, context, mode))
            .expect("a thread can be made");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn resolve_here(parts: &Parts<'_>, context: &Context<'_>, mode: Mode) -> (Option<Program>, Diagnostics) {
    let training = mode == Mode::Training;
    let mut elaborator = Elaborator::new(
        context.sources,
        context.library,
        context.schema,
        context.batch,
        training,
    );
    elaborator.probe = context.probe;
    let result = program(&mut elaborator, parts, context, mode);
    let Elaborator {
        program, diagnostics, ..
    } = elaborator;
    let good = result.is_ok() && !diagnostics.has_errors();
    (good.then_some(program), diagnostics)
}

fn program<'a>(e: &mut Elaborator<'a>, parts: &Parts<'a>, context: &Context<'_>, mode: Mode) -> Checked<()> {
    let scope = Scope::body(PathScope::new(parts.model.name.text.clone()));
    e.model_scope = Some(scope.clone());
    if let (Some(train), Some(settings)) = (parts.train, context.settings) {
        e.train = Some((train, run_length(settings, context.schema)));
        e.train_parts = settings.parts;
    }
    e.signature_inputs(parts.model, &scope)?;
    let value = e.flow(&parts.model.body, None, &scope);
    // Losses and metrics are checked even if the model is wrong: their mistakes have other causes.
    let value = value.unwrap_or(Value::Wrong);
    e.signature_outputs(parts.model, &value, &scope)?;
    if let (Value::Tensor(_) | Value::Wrong, _) = (&value, ()) {
    } else {
        let message = format!("the model's last line gives {}, not a tensor", value.describe());
        return e.error(Code::WrongKind, parts.model.name.span, message);
    }
    let outer = scope.inner(scope.path.clone());
    let wrong_before = e.diagnostics.has_errors();
    let mut failed = wrong_before;
    if mode == Mode::Prediction {
        if parts.model.outputs.is_empty()
            && let Value::Tensor(id) = value
        {
            e.program.outputs.push(Output {
                kind: OutputKind::Value("output".into()),
                tensor: id,
            });
        }
    } else if let Some(train) = parts.train {
        e.program.loss_from = e.program.tensors.len();
        if mode == Mode::Training {
            e.parts = context.settings.map_or(1, |s| s.parts);
        }
        let loss = e.loss(train, &value, &outer);
        e.parts = 1;
        match loss {
            Ok(loss) => e.program.outputs.push(Output {
                kind: OutputKind::Loss,
                tensor: loss,
            }),
            Err(Wrong) => failed = true,
        }
        let outputs = std::mem::take(&mut e.program.outputs);
        let metrics = e.metrics(train, &value, &outer);
        e.program.outputs = outputs;
        let (declared, tensors): (Vec<MetricDeclaration>, Vec<_>) = metrics.into_iter().unzip();
        failed |= watch::early_stop(e, train, context, &declared).is_err();
        if mode == Mode::Evaluation {
            for (metric, tensor) in declared.iter().zip(tensors) {
                e.program.outputs.push(Output {
                    kind: OutputKind::Metric(metric.name.clone()),
                    tensor,
                });
            }
        }
        e.program.metrics = declared;
        if wrong_before {
            e.check_optimizers(train, &outer);
            return Err(Wrong);
        }
        e.settle_initialisers();
        e.parameter_lines(train, &outer)?;
        if mode == Mode::Training {
            let Some(settings) = context.settings else {
                return Err(Wrong);
            };
            let run = run_length(settings, context.schema);
            failed |= objective(e, train, &outer).is_err();
            failed |= e.updates(train, &outer, run).is_err();
        }
    }
    e.settle_initialisers();
    for (name, span) in scope.unused() {
        let message = format!("`{name}` is never used");
        e.diagnostics
            .push(Diagnostic::new(Code::Unused, span, message).help("remove it, or use it"));
    }
    // Where each state's own value is; what is newer than that is an update.
    let mut old: HashMap<StateId, TensorId> = HashMap::new();
    for (number, tensor) in (0..).zip(&e.program.tensors) {
        if let Definition::State(state) = tensor.definition {
            old.entry(state).or_insert(TensorId(number));
        }
    }
    let states: Vec<_> = e.states.values().copied().collect();
    for (state, newest) in states {
        if old.get(&state) != Some(&newest) && mode == Mode::Training {
            e.program.outputs.push(Output {
                kind: OutputKind::StateUpdate(state),
                tensor: newest,
            });
        }
    }
    // The map of states has no order of its own.
    e.program.outputs.sort_by_key(|o| match o.kind {
        OutputKind::StateUpdate(state) => (1, state.0),
        _ => (0, 0),
    });
    if failed {
        return Err(Wrong);
    }
    states::drop_unread(&mut e.program);
    Ok(())
}

/// Loss plus penalties.
fn objective<'a>(e: &mut Elaborator<'a>, train: &'a Section, scope: &std::rc::Rc<Scope<'a>>) -> Checked<()> {
    e.section_penalties(train, scope)?;
    let loss = e
        .program
        .outputs
        .iter()
        .find(|o| o.kind == OutputKind::Loss)
        .map(|o| o.tensor);
    let Some(mut total) = loss.map(Value::Tensor) else {
        return Err(Wrong);
    };
    let parts = e.train_parts;
    for penalty in std::mem::take(&mut e.penalties) {
        let mut penalty = Value::Tensor(penalty);
        if parts > 1 {
            let share = Elaborator::whole_value(parts, train.name.span, "parts");
            penalty = e.map(
                crate::ir::graph::MapFunction::Divide,
                &[penalty, share],
                train.name.span,
            )?;
        }
        total = e.map(crate::ir::graph::MapFunction::Add, &[total, penalty], train.name.span)?;
    }
    let Value::Tensor(tensor) = total else {
        return Err(Wrong);
    };
    e.program.outputs.push(Output {
        kind: OutputKind::Objective,
        tensor,
    });
    Ok(())
}

/// How many updates a run has.
pub fn run_length(settings: &TrainSettings, schema: &Schema) -> RunLength {
    let steps_per_epoch = schema
        .epoch_samples
        .map(|samples| (samples / settings.batch).max(1) as u64);
    let steps = match (settings.duration, steps_per_epoch) {
        (Interval::Steps(steps), _) => steps,
        (Interval::Tokens(tokens), _) => tokens.div_ceil((settings.batch * schema.tokens()) as u64),
        (Interval::Epochs(epochs), Some(per_epoch)) => (epochs * per_epoch as f64).round().max(1.0) as u64,
        (Interval::Epochs(epochs), None) => epochs.round().max(1.0) as u64,
    };
    RunLength { steps, steps_per_epoch }
}
