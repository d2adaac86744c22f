//! The catalog of primitives: one file for each, with its shape rule, float64 meaning, gradient, cost and samples.
//! A primitive knows nothing of layers, kernels or machine code. `ir::graph::Op` holds a primitive's data;
//! [`with`] is the one place where it meets its rules.

#[cfg(test)]
mod catalog_test;
mod constant;
pub mod construct;
#[cfg(test)]
mod construct_test;
mod contract;
mod gather;
mod gathered_rows;
#[cfg(test)]
pub mod generate;
mod index;
pub mod interpret;
mod leaf;
pub(crate) mod map;
mod map_gradient;
pub mod random;
mod reduce;
pub mod reverse;
pub mod sample;
pub mod scan;
mod scan_gradient;
pub mod scan_memory;
#[cfg(test)]
mod scan_memory_test;
mod scan_whole;
mod scatter_add;
mod sort;
mod stop;
pub mod tensor64;
pub mod verify;
mod view;
mod view_construct;
mod view_gradient;
mod view_samples;
mod view_transpose;

pub use sample::{Domain, Sample};

use construct::GraphBuilder;
use tensor64::{Environment, Tensor64};

use crate::ir::graph::{Element, Graph, NodeId, Op, elements};
use crate::ir::graph_print::type_text;
use std::fmt;

/// Sizes of a tensor's axes and what its elements are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// Empty for one number.
    pub shape: Vec<usize>,
    /// What the elements are.
    pub element: Element,
}

impl TensorType {
    /// Of reals.
    pub fn real(shape: &[usize]) -> TensorType {
        TensorType {
            shape: shape.to_vec(),
            element: Element::Real,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&type_text(&self.shape, self.element))
    }
}

/// Why operands do not fit a primitive. A bug of the stage that made the node: specs are checked before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ShapeError(pub String);

/// What a primitive means to every stage. No default methods: a missing gradient does not compile.
pub trait Primitive {
    /// As it is printed.
    fn name(&self) -> &'static str;

    /// The result's type. Primitives that repeat or read elsewhere (a constant, a view, a gather, …) can't know their
    /// own shape: they check the stated one and give it back.
    fn result(
        &self,
        declarations: &Graph,
        operands: &[TensorType],
        stated: &TensorType,
    ) -> Result<TensorType, ShapeError>;

    /// The meaning, in float64, with sums in plain order.
    fn reference(&self, environment: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64;

    /// What each operand gets of the result's gradient.
    fn grad(&self, backward: &mut Backward) -> Grads;

    /// What it takes at least.
    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost;

    /// Uses to test every property of the primitive on.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// A node that is being differentiated.
pub struct Backward<'a> {
    /// Where gradients are built; the forward nodes are in it.
    pub builder: &'a mut GraphBuilder,
    /// The forward node.
    pub node: NodeId,
    /// Its operands.
    pub operands: &'a [NodeId],
    /// The gradient by the node's value: same shape.
    pub gradient: NodeId,
    /// For each operand, whether its gradient is asked for.
    pub wanted: &'a [bool],
}

/// The gradients by a node's operands.
#[derive(Clone, PartialEq, Debug)]
pub enum Grads {
    /// No operand has a gradient, and why.
    None(&'static str),
    /// For each operand; `None` where it has none or it was not asked for.
    Operands(Vec<Option<NodeId>>),
}

impl Grads {
    /// No operand has a gradient.
    pub fn none(why: &'static str) -> Grads {
        Grads::None(why)
    }
}

/// What a node takes at least, whatever computes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Additions, multiplications and functions.
    pub flops: u64,
    /// Read and written if nothing is fused, 4 for each element.
    pub bytes: u64,
}

impl Cost {
    /// Of a node that reads each operand and writes its result once.
    fn once(flops: usize, operands: &[TensorType], result: &TensorType) -> Cost {
        let moved: usize = operands.iter().chain([result]).map(|t| elements(&t.shape)).sum();
        Cost {
            flops: flops as u64,
            bytes: 4 * moved as u64,
        }
    }
}

/// The samples of every primitive, in the order of `ir::graph::Op`.
pub const CATALOG: &[fn() -> Vec<Sample>] = &[
    leaf::Input::samples,
    leaf::Param::samples,
    leaf::State::samples,
    leaf::StepNumber::samples,
    constant::Constant::samples,
    index::Index::samples,
    map::Map::samples,
    reduce::Reduce::samples,
    contract::Contract::samples,
    view::View::samples,
    gather::Gather::samples,
    scatter_add::ScatterAdd::samples,
    random::Random::samples,
    stop::Stop::samples,
    sort::Sort::samples,
    scan::Loop::samples,
    leaf::Gradient::samples,
];

/// Hands the rules of a primitive to `f`.
pub fn with<R>(op: &Op, f: impl FnOnce(&dyn Primitive) -> R) -> R {
    match op {
        Op::Input(id) => f(&leaf::Input(*id)),
        Op::Param(id) => f(&leaf::Param(*id)),
        Op::State(id) => f(&leaf::State(*id)),
        Op::StepNumber(id) => f(&leaf::StepNumber(*id)),
        Op::Gradient(id) => f(&leaf::Gradient(*id)),
        Op::Constant(value) => f(&constant::Constant(*value)),
        Op::Index { axis } => f(&index::Index { axis: *axis }),
        Op::Map(function) => f(&map::Map(*function)),
        Op::Reduce { function, axes } => f(&reduce::Reduce {
            function: *function,
            axes,
        }),
        Op::Contract { a, b, out } => f(&contract::Contract { a, b, out }),
        Op::View {
            positions,
            guards,
            fill,
        } => f(&view::View {
            positions,
            guards,
            fill: *fill,
        }),
        Op::Gather { positions } => f(&gather::Gather { positions }),
        Op::ScatterAdd { positions } => f(&scatter_add::ScatterAdd { positions }),
        Op::Random { stream } => f(&random::Random { stream: *stream }),
        Op::Stop => f(&stop::Stop),
        Op::Sort { axis } => f(&sort::Sort { axis: *axis }),
        Op::Scan(scan) => f(&scan::Loop(scan)),
    }
}

/// An error unless a rule holds.
fn demand(holds: bool, message: impl FnOnce() -> String) -> Result<(), ShapeError> {
    if holds { Ok(()) } else { Err(ShapeError(message())) }
}

/// The operands of a primitive that takes exactly `N`.
fn exactly<const N: usize>(operands: &[TensorType]) -> Result<[&TensorType; N], ShapeError> {
    let list: Vec<&TensorType> = operands.iter().collect();
    list.try_into()
        .map_err(|list: Vec<&TensorType>| ShapeError(format!("expected {N} operands, found {}", list.len())))
}

/// A declaration by its number.
fn declared<T>(list: &[T], number: u32) -> Result<&T, ShapeError> {
    list.get(number as usize)
        .ok_or_else(|| ShapeError(format!("entry {number} is not declared")))
}
