//! Fusion: the tensor graph → kernels and the order of their calls. It decides what is stored and what is computed again
//! where it is used, groups what runs over the same elements or rows, and writes kernel bodies. There is no list of
//! patterns: softmax, layer norm or an optimizer become one kernel because of what they read. It never sees addresses,
//! threads or machine code.
//!
//! In the order of processing: `normalise` with `fold`, `factor`, `readers` and `window` → `again` → `program` (what may
//! be stored) → `walk` and `group` with `place` and `merge` (which kernels) → `lower` with `layout`, `emit`, `body`,
//! `mathematics`, `narrow`, `power`, `random`, `product` and `scatter` (their bodies) → `partition` → `tidy` → `schedule`
//! with `overwrite`, `order`, `scan` and `pack` → `join` → `rounds` with `row_part`, `sum_part` and `reorder` → `band` with
//! `reorder` → `beyond` with `diagonal`.

mod again;
mod band;
mod beyond;
mod body;
mod contract;
mod corner;
mod diagonal;
mod emit;
mod factor;
mod fold;
mod group;
mod join;
mod layout;
mod lower;
mod mathematics;
#[cfg(test)]
mod mathematics_test;
mod merge;
mod narrow;
mod normalise;
mod order;
mod overwrite;
mod pack;
mod partition;
mod phase;
mod place;
mod position;
mod power;
mod product;
mod program;
mod random;
mod readers;
mod reason;
mod reorder;
mod rounds;
mod row_part;
mod scan;
mod scatter;
mod schedule;
mod sort;
mod sum_part;
#[cfg(test)]
mod tests;
mod tidy;
pub mod verify;
mod walk;
mod window;

use crate::ir::graph::Graph;
use crate::ir::kernel::Schedule;

/// The schedule that computes all outputs of a graph without placeholders of gradients.
pub fn fuse(graph: &Graph) -> Schedule {
    fused(graph, true, again::KEPT_MIN)
}

/// The same; rounded numbers are stored `in_16_bits` or in 32, and the gradient computes again what is cheap where at
/// least `kept_min` elements are kept for it: neither changes a result.
fn fused(graph: &Graph, in_16_bits: bool, kept_min: usize) -> Schedule {
    let normal = normalise::normalised(graph).computed_again(in_16_bits, kept_min);
    let mut program = program::Program::new(normal, in_16_bits);
    let groups = group::grouped(&mut program);
    let mut schedule = schedule::scheduled(&program, &groups);
    join::joined(&mut schedule);
    rounds::in_rounds(&mut schedule);
    band::banded(&mut schedule);
    beyond::bounded(&mut schedule);
    debug_assert_eq!(verify::verify(&schedule), Ok(()));
    schedule
}
