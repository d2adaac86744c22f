//! Scatters, as an embedding's gradient: rows that are added to those of a table.

use super::contract::below_views;
use super::emit::Memory;
use super::lower::Lowered;
use super::position::{composed, strides};
use super::program::{Program, scatters};
use crate::ir::affine::{Affine, Position};
use crate::ir::graph::{GatherPosition, NodeId, Op};
use crate::ir::kernel::*;

/// Columns of a scatter's task: a cache line's worth several times over.
const SCATTER_COLUMNS: usize = 4 * LANES;

/// Whether the node is a scatter with a kernel of its own.
pub fn is_scatter(program: &Program, id: NodeId) -> bool {
    let node = program.node(id);
    matches!(&node.op, Op::ScatterAdd { positions } if scatters(positions, &program.graph, node))
}

/// Its kernel: outer axes are those of the table, items the rest, the vector axis the last one if the table has it.
pub fn scattered(program: &Program, id: NodeId, memory: &dyn Memory) -> Lowered {
    let node = program.node(id);
    let Op::ScatterAdd { positions } = &node.op else {
        unreachable!("a scatter group holds a scatter")
    };
    let stored = |n| program.is_stored(n);
    let (root, source_at) = below_views(&program.graph, node.operands[0], &stored);
    let source = &program.node(node.operands[0]).shape;
    let table_axis = |axis: usize| positions.iter().position(|p| *p == GatherPosition::Axis(axis));
    let strides = strides(&node.shape);
    let last = source
        .len()
        .checked_sub(1)
        .filter(|&l| table_axis(l) == Some(node.shape.len() - 1));
    let outer: Vec<usize> = (0..source.len())
        .filter(|&a| Some(a) != last && source[a] > 1 && table_axis(a).is_some())
        .collect();
    let items: Vec<usize> = (0..source.len())
        .filter(|&a| source[a] > 1 && table_axis(a).is_none())
        .collect();
    let mut place = vec![Position::default(); source.len()];
    for (number, &axis) in outer.iter().chain(&items).enumerate() {
        place[axis] = Position::axis(number + 1);
    }
    if let Some(last) = last {
        place[last] = Position::axis(VECTOR_AXIS);
    }
    let vector = last.map_or(1, |l| source[l]);
    let mut sizes = vec![vector];
    sizes.extend(outer.iter().chain(&items).map(|&a| source[a]));
    let mut tensors = vec![memory.tensor(root)];
    let mut buffer = |tensor: TensorId| {
        let at = tensors.iter().position(|&t| t == tensor).unwrap_or_else(|| {
            tensors.push(tensor);
            tensors.len() - 1
        });
        BufferId(at as u32)
    };
    let mut ids = vec![];
    let mut table_at = Affine::default();
    for (position, stride) in positions.iter().zip(strides) {
        match position {
            GatherPosition::Axis(axis) => {
                let at = place[*axis].as_affine().expect("a plain axis").times(stride);
                table_at = table_at.plus(&at);
            }
            GatherPosition::Ids { operand, axes } => {
                let (root, at) = below_views(&program.graph, node.operands[*operand], &stored);
                let there: Vec<Position> = axes.iter().map(|&a| place[a].clone()).collect();
                let at = composed(&at, &there, &sizes).expect("a chain of views was composed");
                ids.push((buffer(memory.tensor(root)), at, stride));
            }
        }
    }
    let body = Scatter {
        outer: outer.iter().map(|&a| source[a]).collect(),
        items: items.iter().map(|&a| source[a]).collect(),
        vector,
        source: BufferId(0),
        source_at: composed(&source_at, &place, &sizes).expect("a chain of views was composed"),
        ids,
        table: buffer(memory.tensor(id)),
        table_at: table_at.into(),
        vector_per_task: vector.min(SCATTER_COLUMNS),
    };
    Lowered {
        body: KernelBody::Scatter(body),
        tensors,
    }
}
