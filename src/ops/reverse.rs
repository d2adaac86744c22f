//! Reverse-mode differentiation inside a graph that is being built: orders the primitives' rules and adds what meets.
//! It never duplicates forward work: every forward node is used where it stands, so the graph grows linearly.

use super::construct::GraphBuilder;
use super::{Backward, Grads, with};
use crate::ir::graph::{Element, Graph, NodeId, Op};

/// The gradient by each wanted node, `None` where no seeded node depends on it. Each seed is a node and the gradient
/// that reaches it from outside.
pub fn differentiate(builder: &mut GraphBuilder, seeds: &[(NodeId, NodeId)], wanted: &[NodeId]) -> Vec<Option<NodeId>> {
    let Some(last) = seeds.iter().map(|s| s.0).max() else {
        return vec![None; wanted.len()];
    };
    let mut gradients = vec![None; wanted.len()];
    let active = active(builder.graph(), last, wanted);
    // What has reached each node so far, in the order of its users from the last to the first.
    let mut reached: Vec<Vec<NodeId>> = vec![vec![]; last.0 as usize + 1];
    for &(node, seed) in seeds {
        reached[node.0 as usize].push(seed);
    }
    for id in (0..=last.0).rev().map(NodeId) {
        let contributions = std::mem::take(&mut reached[id.0 as usize]);
        if contributions.is_empty() || !active[id.0 as usize] {
            continue;
        }
        let node = builder.graph().node(id).clone();
        builder.follow(&node);
        let sum = contributions.into_iter().reduce(|sum, next| builder.add(sum, next));
        let gradient = sum.expect("there is a contribution");
        if let Some(at) = wanted.iter().position(|&w| w == id) {
            gradients[at] = Some(gradient);
        }
        let wanted: Vec<bool> = node.operands.iter().map(|o| active[o.0 as usize]).collect();
        let mut backward = Backward {
            builder,
            node: id,
            operands: &node.operands,
            gradient,
            wanted: &wanted,
        };
        let Grads::Operands(grads) = with(&node.op, |p| p.grad(&mut backward)) else {
            continue;
        };
        for ((operand, grad), wanted) in node.operands.iter().zip(grads).zip(wanted) {
            let grad = grad.filter(|&g| wanted && builder.as_constant(g) != Some(0.0));
            reached[operand.0 as usize].extend(grad);
        }
    }
    gradients
}

/// For each node up to the last, whether a wanted node's gradient passes through it.
fn active(graph: &Graph, last: NodeId, wanted: &[NodeId]) -> Vec<bool> {
    let mut active: Vec<bool> = Vec::with_capacity(last.0 as usize + 1);
    for id in (0..=last.0).map(NodeId) {
        let node = graph.node(id);
        active.push(match node.op {
            _ if wanted.contains(&id) => true,
            Op::Stop => false,
            _ => node.element == Element::Real && node.operands.iter().any(|o| active[o.0 as usize]),
        });
    }
    active
}
