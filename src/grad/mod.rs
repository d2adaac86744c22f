//! Graph → graph with gradients: reverse-mode differentiation of the objective by every parameter whose gradient
//! is asked for. One rule for each primitive, in `rules` and `view`; nothing here knows a layer or a loss.

mod map;
mod rules;
mod view;

use crate::ir::graph::{Element, Graph, NodeId, Op, OutputKind, ParamId};
use crate::ops::TensorType;
use crate::ops::construct::GraphBuilder;
use std::collections::HashMap;

/// Replaces every gradient placeholder by what computes it. A parameter that the objective does not depend on has a
/// gradient of zeros.
pub fn grad(graph: &Graph) -> Graph {
    let mut builder = GraphBuilder::new(Graph::with_declarations_of(graph));
    let mut copied: Vec<Option<NodeId>> = vec![None; graph.len()];
    let objective = graph.output(&OutputKind::Objective);
    let wanted: Vec<ParamId> = graph.ids().filter_map(|id| placeholder(graph, id)).collect();
    let mut gradients = HashMap::new();
    if let Some(objective) = objective {
        for id in ancestors(graph, objective) {
            copy(graph, id, &mut copied, &mut builder);
        }
        let root = copied[objective.0 as usize].expect("the objective was copied");
        gradients = backward(root, &wanted, &mut builder);
    }
    for id in graph.ids() {
        match placeholder(graph, id) {
            Some(param) => {
                let shape = &graph.node(id).shape;
                builder.span = graph.node(id).span;
                copied[id.0 as usize] = Some(
                    gradients
                        .get(&param)
                        .copied()
                        .unwrap_or_else(|| builder.constant(shape, 0.0)),
                );
            }
            None => copy(graph, id, &mut copied, &mut builder),
        }
    }
    for output in &graph.outputs {
        let node = copied[output.node.0 as usize].expect("every node was copied");
        builder.output(output.kind.clone(), node);
    }
    builder.finish()
}

fn placeholder(graph: &Graph, id: NodeId) -> Option<ParamId> {
    match graph.node(id).op {
        Op::Gradient(param) => Some(param),
        _ => None,
    }
}

fn copy(graph: &Graph, id: NodeId, copied: &mut [Option<NodeId>], builder: &mut GraphBuilder) {
    if copied[id.0 as usize].is_some() {
        return;
    }
    let node = graph.node(id);
    let operands: Vec<NodeId> = node
        .operands
        .iter()
        .map(|o| copied[o.0 as usize].expect("operands come first"))
        .collect();
    builder.span = node.span;
    let stated = TensorType {
        shape: node.shape.clone(),
        element: node.element,
    };
    copied[id.0 as usize] = Some(builder.push(node.op.clone(), &operands, stated));
}

/// A node and all that it depends on, operands first.
fn ancestors(graph: &Graph, of: NodeId) -> Vec<NodeId> {
    let mut needed = vec![false; graph.len()];
    needed[of.0 as usize] = true;
    for id in graph.ids().rev().filter(|id| *id <= of) {
        if needed[id.0 as usize] {
            graph.node(id).operands.iter().for_each(|o| needed[o.0 as usize] = true);
        }
    }
    graph.ids().filter(|id| needed[id.0 as usize]).collect()
}

/// Walks from the root to its operands and adds up what each node receives, in the order of the walk.
fn backward(root: NodeId, wanted: &[ParamId], builder: &mut GraphBuilder) -> HashMap<ParamId, NodeId> {
    let count = builder.graph().len();
    let leads_to_param = leads_to_params(builder.graph(), wanted);
    let mut received: Vec<Option<NodeId>> = vec![None; count];
    received[root.0 as usize] = Some(builder.constant(&[], 1.0));
    let mut gradients = HashMap::new();
    for at in (0..count).rev() {
        let id = NodeId(at as u32);
        let Some(gradient) = received[at] else { continue };
        let node = builder.graph().node(id).clone();
        if let Op::Param(param) = node.op {
            gradients.insert(param, gradient);
            continue;
        }
        let takes: Vec<bool> = node
            .operands
            .iter()
            .map(|o| leads_to_param[o.0 as usize] && builder.graph().node(*o).element == Element::Real)
            .collect();
        if !takes.contains(&true) {
            continue;
        }
        builder.span = node.span;
        for (operand, contribution) in rules::contributions(builder, id, &node, gradient, &takes) {
            let slot = &mut received[node.operands[operand].0 as usize];
            *slot = Some(match *slot {
                None => contribution,
                Some(sum) => builder.add(sum, contribution),
            });
        }
    }
    gradients
}

/// Which nodes depend on a wanted parameter by a path that carries gradients.
fn leads_to_params(graph: &Graph, wanted: &[ParamId]) -> Vec<bool> {
    let mut leads = vec![false; graph.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        leads[id.0 as usize] = match &node.op {
            Op::Param(param) => wanted.contains(param),
            Op::Stop => false,
            _ => node.element == Element::Real && node.operands.iter().any(|o| leads[o.0 as usize]),
        };
    }
    leads
}
