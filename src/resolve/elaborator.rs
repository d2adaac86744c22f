//! The state of an elaboration: what has been produced so far, and how mistakes are reported.

use super::library::Library;
use super::limits;
use super::scan::Walking;
use super::value::Quantity;
use crate::ir::ast;
use crate::ir::experiment::Schema;
use crate::ir::graph::{Element, MapFunction, NumberId, ParamId, StateId};
use crate::ir::model::{Axis, Definition, Equation, Expr, Place, Program, Tensor, TensorId};
use crate::ir::number::Number;
use crate::text::{Code, Diagnostic, Diagnostics, Label, Severity, Sources, Span, suggest};
use std::collections::HashMap;

/// A mistake was reported; go on with something else.
#[derive(Clone, Copy, Debug)]
pub struct Wrong;

/// The result of elaborating something.
pub type Checked<T> = Result<T, Wrong>;

/// A parameter's first value, worked out once its uses are known.
pub struct DeferredInitialiser<'a> {
    /// Whose.
    pub param: ParamId,
    /// What follows `~`.
    pub text: &'a ast::Expr,
    /// Where it stands.
    pub scope: std::rc::Rc<super::scope::Scope<'a>>,
}

/// Everything that elaboration knows and makes.
pub struct Elaborator<'a> {
    /// All texts.
    pub sources: &'a Sources,
    /// All definitions.
    pub library: &'a Library<'a>,
    /// What the data gives.
    pub schema: &'a Schema,
    /// Samples in a step.
    pub batch: usize,
    /// Whether this is the training program.
    pub training: bool,
    /// What has been made.
    pub program: Program,
    /// What has been said.
    pub diagnostics: Diagnostics,
    /// Parameters by path.
    pub params: HashMap<String, TensorId>,
    /// States by path: their tensor, and the newest value.
    pub states: HashMap<String, (StateId, TensorId)>,
    /// Terms of the objective besides the loss.
    pub penalties: Vec<TensorId>,
    /// Initialisers to be worked out at the end.
    pub initialisers: Vec<DeferredInitialiser<'a>>,
    /// Calls that led here, outermost first.
    pub calls: Vec<Span>,
    /// Bodies of definitions that led here, outermost first.
    pub bodies: Vec<super::heads::Body<'a>>,
    /// Whether gradient norms of single parameters are results.
    pub probe: bool,
    /// Whether a metric is elaborated: it may see whole splits, and the data's units.
    pub reporting: bool,
    /// Of several targets, while a metric is elaborated.
    pub units: super::targets::Units,
    /// The scan at hand.
    pub walking: Option<Walking>,
    /// Parts of a batch, while the loss is elaborated: its means are over all of them. Else 1.
    pub parts: usize,
    /// The model's own scope: numbers defined there can be scheduled.
    pub model_scope: Option<std::rc::Rc<super::scope::Scope<'a>>>,
    /// The train section, and how long the run is.
    pub train: Option<(&'a ast::Section, super::schedule::RunLength)>,
    /// Parts of a step's batch.
    pub train_parts: usize,
    /// Whether a `state` is a number that the trainer keeps: in a schedule.
    pub keeps_numbers: bool,
    /// Whether a number may be one of steps or epochs: as an argument that stands for steps.
    pub timed: bool,
    /// Whether a number may be an angle in degrees: under a sine or a cosine.
    pub angular: bool,
    /// Numbers of the model that follow a schedule.
    pub scheduled: Vec<String>,
    /// Tensors of the batch that were asked for, by name.
    pub inputs: HashMap<String, TensorId>,
    streams: u32,
    work: usize,
}

impl<'a> Elaborator<'a> {
    /// Nothing elaborated yet.
    pub fn new(
        sources: &'a Sources,
        library: &'a Library<'a>,
        schema: &'a Schema,
        batch: usize,
        training: bool,
    ) -> Self {
        Elaborator {
            sources,
            library,
            schema,
            batch,
            training,
            program: Program::default(),
            diagnostics: Diagnostics::default(),
            params: HashMap::new(),
            states: HashMap::new(),
            penalties: vec![],
            initialisers: vec![],
            calls: vec![],
            bodies: vec![],
            probe: false,
            reporting: false,
            units: super::targets::Units::default(),
            walking: None,
            parts: 1,
            model_scope: None,
            train: None,
            train_parts: 1,
            keeps_numbers: false,
            timed: false,
            angular: false,
            scheduled: vec![],
            inputs: HashMap::new(),
            streams: 0,
            work: 0,
        }
    }

    /// The place itself, or where it lies in the standard library, the user's call that led there.
    fn caller(&self, place: Span) -> Span {
        let library = |span: Span| self.sources.file(span.file).is_none_or(|f| f.library);
        match self.calls.iter().rev().find(|c| !library(**c)) {
            Some(&call) if library(place) => call,
            _ => place,
        }
    }

    /// Reports a mistake; where it lies in the standard library, the user's call is shown and the library as a note.
    pub fn wrong<T>(&mut self, mut diagnostic: Diagnostic) -> Checked<T> {
        let library = |span: Span| self.sources.file(span.file).is_none_or(|f| f.library);
        if library(diagnostic.primary.span)
            && let Some(&call) = self.calls.iter().rev().find(|c| !library(**c))
        {
            let text = "in this call".into();
            let mut inside = std::mem::replace(&mut diagnostic.primary, Label { span: call, text });
            if inside.text.is_empty() {
                inside.text = "here".into();
            }
            diagnostic.fix = None;
            diagnostic.secondary.push(inside);
        }
        let primary = diagnostic.primary.span;
        for label in std::mem::take(&mut diagnostic.secondary) {
            if self.sources.file(label.span.file).is_none() {
                // The data's sizes stand in no text.
                diagnostic
                    .help
                    .push(label.text.replace("comes from here", "comes from the data"));
            } else if label.span != primary && !diagnostic.secondary.contains(&label) {
                diagnostic.secondary.push(label);
            }
        }
        self.diagnostics.push(diagnostic);
        Err(Wrong)
    }

    /// Reports an error of a code at a place.
    pub fn error<T>(&mut self, code: Code, span: Span, message: impl Into<String>) -> Checked<T> {
        self.wrong(Diagnostic::new(code, span, message))
    }

    /// Reports an unknown name with the nearest known ones.
    pub fn unknown<T>(&mut self, what: &str, name: &str, span: Span, known: &[String]) -> Checked<T> {
        let mut diagnostic = Diagnostic::new(Code::UnknownName, span, format!("unknown {what} `{name}`"));
        if self.diagnostics.is_full(Severity::Error) {
            return self.wrong(diagnostic);
        }
        if let Some(help) = suggest::did_you_mean(name, known.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(help);
        }
        if let [only] = suggest::nearest(name, known.iter().map(String::as_str))[..] {
            diagnostic = diagnostic.fix(span, only);
        }
        if let Some(kind) = self.library.kind(name) {
            diagnostic = diagnostic.help(format!("`{name}` is {kind}, which can't stand here"));
        }
        self.wrong(diagnostic)
    }

    /// Counts a unit of work, so that a spec that doubles sixty times ends in an error.
    pub fn spend(&mut self, span: Span) -> Checked<()> {
        self.work += 1;
        if self.work == limits::WORK {
            let message = format!("this spec expands to more than {} steps", limits::WORK);
            let help = "definitions that call each other multiply; look for a `repeat` inside a `repeat`";
            return self.wrong(Diagnostic::new(Code::TooMuchWork, span, message).help(help));
        }
        if self.work > limits::WORK { Err(Wrong) } else { Ok(()) }
    }

    /// Checks a number that is to be a size.
    pub fn size(&mut self, quantity: &Quantity, span: Span) -> Checked<usize> {
        if quantity.value.real() > limits::AXIS as f64 {
            let message = format!(
                "a size of {:e} is beyond the limit of {}",
                quantity.value.real(),
                limits::AXIS
            );
            let diagnostic = Diagnostic::new(Code::SizeTooLarge, span, message);
            return self.wrong(diagnostic.note(quantity.origin, "it comes from here"));
        }
        let Some(whole) = quantity.value.as_whole() else {
            let message = format!("a size must be whole, this is {}", quantity.value);
            return self
                .wrong(Diagnostic::new(Code::SizeNotWhole, span, message).note(quantity.origin, "it comes from here"));
        };
        if whole < 1 {
            let message = format!("a size must be at least 1, this is {whole}");
            return self
                .wrong(Diagnostic::new(Code::SizeNotWhole, span, message).note(quantity.origin, "it comes from here"));
        }
        if whole > limits::AXIS as i128 {
            let message = format!("a size of {whole} is beyond the limit of {}", limits::AXIS);
            return self
                .wrong(Diagnostic::new(Code::SizeTooLarge, span, message).note(quantity.origin, "it comes from here"));
        }
        Ok(whole as usize)
    }

    /// Adds a tensor after checking that it can exist.
    pub fn tensor(&mut self, tensor: Tensor) -> Checked<TensorId> {
        let elements = tensor.axes.iter().try_fold(1usize, |n, a| n.checked_mul(a.size));
        let most = match tensor.definition {
            Definition::Param(_) | Definition::State(_) => limits::STORED,
            _ => limits::ELEMENTS,
        };
        if elements.is_none_or(|n| n > most) {
            let shape = crate::ir::model::shape_text(&tensor.axes);
            let message = format!("a tensor of {shape} has more than {most} elements");
            let mut diagnostic = Diagnostic::new(Code::SizeTooLarge, tensor.span, message);
            if let Some(largest) = tensor.axes.iter().max_by_key(|a| a.size) {
                diagnostic = diagnostic.note(largest.origin, format!("the size {} comes from here", largest.size));
            }
            return self.wrong(diagnostic);
        }
        self.spend(tensor.span)?;
        let caller = self.caller(tensor.span);
        let id = self.program.add(tensor);
        self.program.callers[id.0 as usize] = caller;
        self.note_inside(id);
        Ok(id)
    }

    /// The axes of a tensor.
    pub fn axes(&self, id: TensorId) -> &[Axis] {
        &self.program.tensor(id).axes
    }

    /// The slot of a number that changes from step to step.
    pub fn number(&mut self, number: Number) -> NumberId {
        if let Some(at) = self.program.numbers.iter().position(|n| *n == number) {
            return NumberId(at as u32);
        }
        self.program.numbers.push(number);
        NumberId(self.program.numbers.len() as u32 - 1)
    }

    /// A stream of random draws of its own.
    pub fn stream(&mut self) -> u32 {
        self.streams += 1;
        self.streams - 1
    }

    /// Adds a tensor whose every element is the same function of the operands' elements at the same place.
    /// Operands have these axes or none.
    pub fn elementwise(&mut self, axes: Vec<Axis>, element: Element, body: Expr, span: Span) -> Checked<TensorId> {
        let indices = axes
            .iter()
            .enumerate()
            .map(|(i, a)| (index_name(a, i), a.size))
            .collect();
        let left = (0..axes.len()).map(|i| vec![i]).collect();
        let definition = Definition::Equation(Equation {
            indices,
            left,
            body,
            walked: None,
        });
        self.tensor(Tensor {
            name: String::new(),
            axes,
            element,
            definition,
            span,
        })
    }

    /// Reads a tensor at all its axes, index by index; one number has none.
    pub fn read_whole(&self, id: TensorId) -> Expr {
        let places = (0..self.axes(id).len()).map(read_at).collect();
        Expr::Read {
            tensor: id,
            places,
            otherwise: None,
        }
    }

    /// A one-number tensor.
    pub fn scalar(&mut self, name: &str, body: Expr, span: Span) -> Checked<TensorId> {
        let id = self.elementwise(vec![], Element::Real, body, span)?;
        self.program.tensors[id.0 as usize].name = name.into();
        Ok(id)
    }

    /// The sum of the squares of all elements.
    pub fn sum_of_squares(&mut self, id: TensorId, span: Span) -> Checked<TensorId> {
        let axes = self.axes(id).to_vec();
        let indices: Vec<(String, usize)> = axes
            .iter()
            .enumerate()
            .map(|(i, a)| (index_name(a, i), a.size))
            .collect();
        let read = self.read_whole(id);
        let square = Expr::Apply(MapFunction::Multiply, vec![read.clone(), read]);
        let all = (0..axes.len()).collect();
        let body = if axes.is_empty() {
            square
        } else {
            Expr::Reduce(crate::ir::graph::ReduceFunction::Sum, all, Box::new(square))
        };
        let definition = Definition::Equation(Equation {
            indices,
            left: vec![],
            body,
            walked: None,
        });
        self.tensor(Tensor {
            name: "squares".into(),
            axes: vec![],
            element: Element::Real,
            definition,
            span,
        })
    }
}

/// A place that is an index alone.
pub fn read_at(index: usize) -> Place {
    Place::At {
        position: crate::ir::affine::Position::axis(index),
        exact: None,
    }
}

fn index_name(axis: &Axis, at: usize) -> String {
    let plain = axis.label.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain {
        format!("{}_{at}", axis.label)
    } else {
        format!("i_{at}")
    }
}
