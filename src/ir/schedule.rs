//! What a step does: calls of kernels in order, the tensors that they work on, and what is repeated or cut into bands.

use super::graph::{InputId, NodeId, OutputKind, ParamId, StateId};
use super::kernel::{Kernel, Storage};
use crate::text::Span;
use std::fmt;

/// A tensor of a [`Schedule`]; prints as `t5`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TensorId(pub u32);

impl fmt::Display for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// What holds a tensor's memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TensorKind {
    /// Written by the trainer before a step.
    Input(InputId),
    /// Kept over steps.
    Param(ParamId),
    /// Kept over steps.
    State(StateId),
    /// All step numbers, f32, in the order of their ids.
    Numbers,
    /// Two i32: the key of the step's random draws, from (seed, step).
    RandomKey,
    /// Lives inside a step.
    Temporary,
}

/// A contiguous row-major tensor in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// What holds it.
    pub kind: TensorKind,
    /// How its elements are stored.
    pub storage: Storage,
    /// How many.
    pub elements: usize,
    /// The graph's node whose value it is, where there is one.
    pub node: Option<NodeId>,
}

/// The part of a tensor that a call works on: `first + n · step` is its first element in the `n`th round of a loop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Slice {
    /// An element.
    pub first: i64,
    /// Elements; 0 outside of loops.
    pub step: i64,
}

/// Neighbouring calls that are made again and again, their slices moving on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loop {
    /// Numbers of calls.
    pub calls: std::ops::Range<usize>,
    /// How many times.
    pub rounds: usize,
}

/// Neighbouring calls that are made band by band: the first part of each one's tasks, then the second part of each, and so
/// on. A band reads of what another call of them writes only its own part, so bands may run in any order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Band {
    /// Numbers of calls.
    pub calls: std::ops::Range<usize>,
    /// How many bands; it divides the tasks of every call.
    pub count: usize,
    /// What nobody needs once a band is done: each thread needs room for the part of one band alone.
    pub passing: Vec<Passing>,
}

/// A tensor that only the calls of a band touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passing {
    /// Which.
    pub tensor: TensorId,
    /// Elements from the part of one band to that of the next.
    pub stride: usize,
}

/// One call of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Index into [`Schedule::kernels`].
    pub kernel: usize,
    /// The tensor of each buffer.
    pub tensors: Vec<TensorId>,
    /// The part of each tensor; empty if all are whole.
    pub slices: Vec<Slice>,
    /// The graph's nodes that it computes.
    pub nodes: Vec<NodeId>,
    /// The place that most of it comes from: in the spec or in a definition that it uses.
    pub span: Span,
    /// The place in the spec itself, as of [`crate::ir::graph::Node::caller`].
    pub caller: Span,
    /// What it is, in words: `layer_norm`, `linear + gelu`.
    pub name: String,
}

impl Call {
    /// The part of a buffer's tensor.
    pub fn slice(&self, buffer: usize) -> Slice {
        self.slices.get(buffer).copied().unwrap_or_default()
    }
}

impl Schedule {
    /// The loop that a call stands in.
    pub fn loop_of(&self, call: usize) -> Option<&Loop> {
        self.loops.iter().find(|l| l.calls.contains(&call))
    }

    /// Of each tensor, if it is needed within one band alone: the place of that in the list of bands, and what it is there.
    pub fn passing(&self) -> Vec<Option<(usize, Passing)>> {
        let mut result = vec![None; self.tensors.len()];
        for (place, band) in self.bands.iter().enumerate() {
            for passing in &band.passing {
                result[passing.tensor.0 as usize] = Some((place, *passing));
            }
        }
        result
    }

    /// The calls among which what a call touches must stay: those of its loop or bands, or itself.
    pub fn together(&self, call: usize) -> std::ops::Range<usize> {
        let bands = self.bands.iter().map(|b| &b.calls);
        let found = self
            .loops
            .iter()
            .map(|l| &l.calls)
            .chain(bands)
            .find(|c| c.contains(&call));
        found.cloned().unwrap_or(call..call + 1)
    }
}

/// Why something was fused or was not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What was decided on.
    pub node: NodeId,
    /// One of a fixed list of reasons.
    pub reason: &'static str,
}

/// What a step does: kernels in an order that respects every dependence (including that a parameter or state is
/// written only after its last reader).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Schedule {
    /// Distinct kernels.
    pub kernels: Vec<Kernel>,
    /// In order.
    pub calls: Vec<Call>,
    /// In order; they do not overlap.
    pub loops: Vec<Loop>,
    /// In order; they overlap neither each other nor loops.
    pub bands: Vec<Band>,
    /// What they work on. `Input`, `Param` and `State` tensors are here even if nothing reads them.
    pub tensors: Vec<Tensor>,
    /// Where the outputs are. Updates are written into their `Param` or `State` tensor.
    pub outputs: Vec<(OutputKind, TensorId)>,
    /// For `--emit kernels`.
    pub decisions: Vec<Decision>,
}
