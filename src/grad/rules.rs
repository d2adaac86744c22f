//! The gradient rule of each primitive but maps and views. `d` is the gradient by the node's own value.

use super::{map, view};
use crate::ir::graph::{GatherPosition, MapFunction, Node, NodeId, Op, ReduceFunction};
use crate::ops::construct::GraphBuilder;

/// What each operand that takes a gradient receives: the operand's number and the contribution.
pub fn contributions(b: &mut GraphBuilder, id: NodeId, node: &Node, d: NodeId, takes: &[bool]) -> Vec<(usize, NodeId)> {
    match &node.op {
        Op::Map(function) => map::contributions(b, *function, id, node, d, takes),
        Op::Reduce { function, axes } => vec![(0, reduce(b, *function, axes, id, node.operands[0], d))],
        Op::Contract { a, b: other, out } => {
            let mut list = vec![];
            if takes[0] {
                list.push((0, contract(b, d, out, node.operands[1], other, node.operands[0], a)));
            }
            if takes[1] {
                list.push((1, contract(b, d, out, node.operands[0], a, node.operands[1], other)));
            }
            list
        }
        Op::View { positions, guards, .. } => {
            let shape = b.shape(node.operands[0]).to_vec();
            vec![(0, view::transpose(b, d, &node.shape, positions, guards, &shape))]
        }
        Op::Gather { positions } => vec![(0, gather(b, positions, node, d))],
        Op::ScatterAdd { positions } => {
            let shape = b.shape(node.operands[0]).to_vec();
            vec![(0, b.gather(d, positions.clone(), &node.operands[1..], &shape))]
        }
        // Leaves have no operands; a stop ends the way; conditions, ids and draws carry no gradient.
        Op::Input(_) | Op::Param(_) | Op::State(_) | Op::StepNumber(_) | Op::Constant(_) | Op::Index { .. } => vec![],
        Op::Random { .. } | Op::Stop | Op::Gradient(_) => vec![],
    }
}

/// Repeats a reduced value along the axes that were reduced away.
fn spread(b: &mut GraphBuilder, reduced: NodeId, axes: &[usize], shape: &[usize]) -> NodeId {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    b.broadcast(reduced, shape, &kept)
}

fn reduce(b: &mut GraphBuilder, function: ReduceFunction, axes: &[usize], y: NodeId, x: NodeId, d: NodeId) -> NodeId {
    let shape = b.shape(x).to_vec();
    let d = spread(b, d, axes, &shape);
    match function {
        ReduceFunction::Sum => d,
        ReduceFunction::Product => {
            // ∂(Π x)/∂xᵢ = (Π x) / xᵢ.
            let y = spread(b, y, axes, &shape);
            let others = b.divide(y, x);
            b.multiply(d, others)
        }
        ReduceFunction::Maximum | ReduceFunction::Minimum => {
            // To the first of equals: the least position among those that reach the extreme.
            let extreme = spread(b, y, axes, &shape);
            let reaches = b.map(MapFunction::Equal, &[x, extreme]);
            let at = linear_index(b, axes, &shape);
            let beyond = b.constant(&shape, axes.iter().map(|&a| shape[a]).product::<usize>() as f64);
            let candidates = b.select(reaches, at, beyond);
            let first = b.reduce(ReduceFunction::Minimum, candidates, axes);
            let first = spread(b, first, axes, &shape);
            let chosen = b.map(MapFunction::Equal, &[at, first]);
            let zero = b.constant(&shape, 0.0);
            b.select(chosen, d, zero)
        }
    }
}

/// The row-major position along some axes, as a number.
fn linear_index(b: &mut GraphBuilder, axes: &[usize], shape: &[usize]) -> NodeId {
    let mut stride = 1.0;
    let mut sum = b.constant(shape, 0.0);
    for &axis in axes.iter().rev() {
        let index = b.index(shape, axis);
        let scaled = if stride == 1.0 {
            index
        } else {
            b.map_constant(MapFunction::Multiply, index, stride)
        };
        sum = if b.as_constant(sum) == Some(0.0) {
            scaled
        } else {
            b.add(sum, scaled)
        };
        stride *= shape[axis] as f64;
    }
    sum
}

/// The gradient by one operand of a contraction: the contraction of `d` with the other one; labels that only this
/// operand has were summed, so the gradient repeats along them.
fn contract(
    b: &mut GraphBuilder,
    d: NodeId,
    out: &[u8],
    other: NodeId,
    other_labels: &[u8],
    own: NodeId,
    own_labels: &[u8],
) -> NodeId {
    let shared: Vec<u8> = own_labels
        .iter()
        .copied()
        .filter(|l| out.contains(l) || other_labels.contains(l))
        .collect();
    let gradient = b.contract(d, out, other, other_labels, &shared);
    if shared.len() == own_labels.len() {
        return gradient;
    }
    let shape = b.shape(own).to_vec();
    let axes: Vec<usize> = (0..own_labels.len())
        .filter(|&a| shared.contains(&own_labels[a]))
        .collect();
    b.broadcast(gradient, &shape, &axes)
}

/// Where every axis of the result is an axis of the table, each element of the table is read at most once for each id:
/// the gradient is dense and needs no scatter.
fn gather(b: &mut GraphBuilder, positions: &[GatherPosition], node: &Node, d: NodeId) -> NodeId {
    let table_shape = b.shape(node.operands[0]).to_vec();
    let table_axis = |out: usize| positions.iter().position(|p| *p == GatherPosition::Axis(out));
    let all: Option<Vec<usize>> = (0..node.shape.len()).map(table_axis).collect();
    let Some(axes) = all else {
        return b.scatter_add(d, positions.to_vec(), &node.operands[1..], &table_shape);
    };
    let mut gradient = b.broadcast(d, &table_shape, &axes);
    let zero = b.constant(&table_shape, 0.0);
    for (axis, position) in positions.iter().enumerate() {
        let GatherPosition::Ids { operand, axes: id_axes } = position else {
            continue;
        };
        let follows: Vec<usize> = id_axes.iter().map(|&out| axes[out]).collect();
        let ids = b.broadcast(node.operands[*operand], &table_shape, &follows);
        let index = b.index(&table_shape, axis);
        let hit = b.map(MapFunction::Equal, &[index, ids]);
        gradient = b.select(hit, gradient, zero);
    }
    gradient
}
