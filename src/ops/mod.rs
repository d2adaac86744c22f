//! The catalog of primitives: one file for each, with its shape rule, float64 meaning, gradient, cost and samples.
//! A primitive knows nothing of layers, kernels or machine code. `ir::graph::Op` holds a primitive's data;
//! [`with`] is the one place where it meets its rules.

mod constant;
pub mod construct;
#[cfg(test)]
mod construct_test;
mod contract;
mod gather;
mod index;
mod leaf;
mod map;
mod random;
mod reduce;
mod scatter_add;
mod stop;
pub mod verify;
mod view;

use crate::ir::graph::{Element, Graph, Op};
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
}

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
