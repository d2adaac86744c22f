//! The model, resolved: every definition expanded, every name bound, every size known. What is left are
//! tensors, each a source or an indexed equation, as on paper. No graph, no order of computation beyond the list's.

use super::affine::{Affine, Position};
use super::graph::{
    Element, InputDeclaration, InputId, MapFunction, NumberId, OutputKind, ParamDeclaration, ParamId, ReduceFunction,
    StateDeclaration, StateId,
};
use super::number::{KeptNumber, Number};
use crate::text::Span;

/// A tensor of a [`Program`]; prints as `t7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TensorId(pub u32);

/// An index of one equation: an entry of [`Equation::indices`].
pub type IndexId = usize;

/// An axis of a tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// How many elements.
    pub size: usize,
    /// The expression that made it, `4 * width`.
    pub label: String,
    /// Where the size comes from.
    pub origin: Span,
}

/// The label of the batch axis.
pub const BATCH: &str = "batch";

impl Axis {
    /// Whether it counts the samples of the batch.
    pub fn is_batch(&self) -> bool {
        self.label == BATCH
    }
}

/// A tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// What it is called in its definition; empty for an unnamed step of an expression.
    pub name: String,
    /// Its axes; none for one number.
    pub axes: Vec<Axis>,
    /// What its elements are.
    pub element: Element,
    /// What it is.
    pub definition: Definition,
    /// The place in the spec.
    pub span: Span,
}

/// What a tensor is.
#[derive(Clone, PartialEq, Debug)]
pub enum Definition {
    /// From the batch.
    Input(InputId),
    /// Trained.
    Param(ParamId),
    /// Kept.
    State(StateId),
    /// The objective's gradient by a parameter.
    Gradient(ParamId),
    /// Computed.
    Equation(Equation),
    /// At each rank along an axis, the index of the element of another tensor that has it.
    Sorted {
        /// What is sorted.
        of: TensorId,
        /// Along which axis.
        axis: usize,
    },
    /// What goes from step to step of a scan, as a step begins: an entry of [`Walk::carries`].
    Carry {
        /// Which scan.
        walk: WalkId,
        /// Which of its carries.
        number: usize,
    },
    /// A value of every step of a scan, side by side along one axis.
    Walked {
        /// Which scan.
        walk: WalkId,
        /// The value of a step.
        value: TensorId,
        /// The axis of the steps.
        axis: usize,
    },
    /// Computed by the host from the values of every sample of a split, in an evaluation.
    WholeSplit(WholeSplit),
}

/// A function of the catalog of [`crate::metrics`] and what it is applied to.
#[derive(Clone, PartialEq, Debug)]
pub struct WholeSplit {
    /// Its name in the catalog.
    pub function: &'static str,
    /// Tensors of one shape, samples first; the last axis is kept.
    pub operands: Vec<TensorId>,
    /// How many points the result has, where the function takes such a number.
    pub points: usize,
}

/// A scan of a [`Program`]; prints as `walk 0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WalkId(pub u32);

/// A loop along an axis. What it computes in each step are the equations that read a carry of it or its index.
#[derive(Clone, PartialEq, Debug)]
pub struct Walk {
    /// How many steps.
    pub steps: usize,
    /// From the last to the first.
    pub backwards: bool,
    /// What goes from step to step.
    pub carries: Vec<Carried>,
}

/// One value that goes from step to step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried {
    /// As a step begins.
    pub carry: TensorId,
    /// Before the first step.
    pub initial: TensorId,
    /// As a step ends.
    pub next: TensorId,
}

/// `y[left] = body`.
#[derive(Clone, PartialEq, Debug)]
pub struct Equation {
    /// Name and size of every index that occurs.
    pub indices: Vec<(String, usize)>,
    /// For each axis of the result, the indices that it joins, the last running fastest.
    pub left: Vec<Vec<IndexId>>,
    /// Each element.
    pub body: Expr,
    /// In a step of a scan, the index that is the step's number.
    pub walked: Option<(WalkId, IndexId)>,
}

/// Where one axis of a tensor is read.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// At a position that indices tell.
    At {
        /// The position.
        position: Position,
        /// `Some((of, by))`: it is `of / by`, outside where that is not whole.
        exact: Option<(Affine, i64)>,
    },
    /// At an id.
    Id(Expr),
}

/// One element, as a function of indices.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// A constant.
    Constant(f64),
    /// A number that the host computes each step.
    Number(NumberId),
    /// An index as a number.
    Index(IndexId),
    /// A position as a number.
    Position(Position),
    /// An element of a tensor.
    Read {
        /// Which.
        tensor: TensorId,
        /// One for each axis.
        places: Vec<Place>,
        /// What is read outside, where that can be.
        otherwise: Option<Box<Expr>>,
    },
    /// An element-wise function.
    Apply(MapFunction, Vec<Expr>),
    /// A reduction.
    Reduce(ReduceFunction, Vec<IndexId>, Box<Expr>),
    /// A draw of its own for each element of the expression it stands in.
    Random(u32),
    /// Without gradient.
    Stop(Box<Expr>),
}

impl Expr {
    /// Calls `f` for every tensor that it reads.
    pub fn reads(&self, f: &mut dyn FnMut(TensorId)) {
        match self {
            Expr::Constant(_) | Expr::Number(_) | Expr::Index(_) | Expr::Position(_) | Expr::Random(_) => {}
            Expr::Read {
                tensor,
                places,
                otherwise,
            } => {
                f(*tensor);
                for place in places {
                    if let Place::Id(id) = place {
                        id.reads(f);
                    }
                }
                if let Some(otherwise) = otherwise {
                    otherwise.reads(f);
                }
            }
            Expr::Apply(_, list) => list.iter().for_each(|e| e.reads(f)),
            Expr::Reduce(_, _, body) | Expr::Stop(body) => body.reads(f),
        }
    }

    /// Lets `f` change every tensor that it reads.
    fn renumber(&mut self, f: &mut dyn FnMut(&mut TensorId)) {
        match self {
            Expr::Constant(_) | Expr::Number(_) | Expr::Index(_) | Expr::Position(_) | Expr::Random(_) => {}
            Expr::Read {
                tensor,
                places,
                otherwise,
            } => {
                f(tensor);
                for place in places {
                    if let Place::Id(id) = place {
                        id.renumber(f);
                    }
                }
                if let Some(otherwise) = otherwise {
                    otherwise.renumber(f);
                }
            }
            Expr::Apply(_, list) => list.iter_mut().for_each(|e| e.renumber(f)),
            Expr::Reduce(_, _, body) | Expr::Stop(body) => body.renumber(f),
        }
    }
}

/// What becomes of a tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Output {
    /// What it is for.
    pub kind: OutputKind,
    /// Which.
    pub tensor: TensorId,
}

/// A metric of a spec.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricDeclaration {
    /// As in the report.
    pub name: String,
    /// Sizes of its axes: none for one number, one for a value of each class, two for a table.
    pub shape: Vec<usize>,
    /// Which values are better, if its definition tells.
    pub better: Option<Better>,
}

/// Which values of a number are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// As of a `loss`.
    Lower,
    /// As of a `metric`.
    Higher,
}

/// A resolved program: for training, evaluation or prediction.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Program {
    /// In the order of definition: an equation reads only tensors above it.
    pub tensors: Vec<Tensor>,
    /// For each tensor, the place in the user's own files that led to it: a call, where a definition of the library made it.
    pub callers: Vec<Span>,
    /// What a batch brings.
    pub inputs: Vec<InputDeclaration>,
    /// What is trained.
    pub params: Vec<ParamDeclaration>,
    /// What is kept.
    pub states: Vec<StateDeclaration>,
    /// What the host computes each step.
    pub numbers: Vec<Number>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// Loops along axes.
    pub walks: Vec<Walk>,
    /// The place of the loss's first tensor; what is before is the model.
    pub loss_from: usize,
    /// Paths of the parameters that a `penalty` line names.
    pub penalised: Vec<String>,
    /// What the trainer keeps from evaluation to evaluation.
    pub kept: Vec<KeptNumber>,
    /// The learning rate of the first parameter, for the log; `None` where the optimizer's default holds.
    pub rate: Option<Number>,
    /// The metrics that the spec asks for, also where the program does not compute them.
    pub metrics: Vec<MetricDeclaration>,
}

impl Program {
    /// One tensor.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// Calls `f` for every tensor that a tensor is made of; of a carry nothing, since its scan tells.
    pub fn reads(&self, id: TensorId, f: &mut dyn FnMut(TensorId)) {
        match &self.tensor(id).definition {
            Definition::Equation(equation) => equation.body.reads(f),
            Definition::Sorted { of, .. } => f(*of),
            Definition::WholeSplit(whole) => whole.operands.iter().copied().for_each(f),
            Definition::Walked { walk, value, .. } => {
                f(*value);
                for carried in &self.walks[walk.0 as usize].carries {
                    [carried.carry, carried.initial, carried.next]
                        .into_iter()
                        .for_each(&mut *f);
                }
            }
            Definition::Input(_)
            | Definition::Param(_)
            | Definition::State(_)
            | Definition::Gradient(_)
            | Definition::Carry { .. } => {}
        }
    }

    /// As ids, places in a list that is yet to be inserted.
    pub const INSERTED: u32 = 1 << 30;

    /// Inserts tensors in front of a place. What reads the first of them has the id [`Program::INSERTED`], and so on.
    pub fn insert(&mut self, at: usize, tensors: Vec<Tensor>) {
        let count = tensors.len() as u32;
        if count == 0 {
            return;
        }
        let mut renumber = |id: &mut TensorId| {
            id.0 = match id.0 {
                inserted if inserted >= Program::INSERTED => inserted - Program::INSERTED + at as u32,
                before if before < at as u32 => before,
                behind => behind + count,
            }
        };
        for tensor in &mut self.tensors {
            match &mut tensor.definition {
                Definition::Equation(equation) => equation.body.renumber(&mut renumber),
                Definition::Sorted { of, .. } => renumber(of),
                Definition::Walked { value, .. } => renumber(value),
                Definition::WholeSplit(whole) => whole.operands.iter_mut().for_each(&mut renumber),
                Definition::Input(_)
                | Definition::Param(_)
                | Definition::State(_)
                | Definition::Gradient(_)
                | Definition::Carry { .. } => {}
            }
        }
        for walk in &mut self.walks {
            for carried in &mut walk.carries {
                [&mut carried.carry, &mut carried.initial, &mut carried.next]
                    .into_iter()
                    .for_each(&mut renumber);
            }
        }
        self.outputs.iter_mut().for_each(|o| renumber(&mut o.tensor));
        self.callers.splice(at..at, tensors.iter().map(|t| t.span));
        self.tensors.splice(at..at, tensors);
    }

    /// Adds a tensor.
    pub fn add(&mut self, tensor: Tensor) -> TensorId {
        self.callers.push(tensor.span);
        self.tensors.push(tensor);
        TensorId(self.tensors.len() as u32 - 1)
    }
}

/// `[batch 12, time 64, 4 * width 512]`.
pub fn shape_text(axes: &[Axis]) -> String {
    let parts: Vec<String> = axes
        .iter()
        .map(|a| {
            if a.label == a.size.to_string() {
                a.label.clone()
            } else {
                format!("{} {}", a.label, a.size)
            }
        })
        .collect();
    format!("[{}]", parts.join(", "))
}
