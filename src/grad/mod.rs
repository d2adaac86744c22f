//! Turns a graph with placeholders for gradients into one that computes them: reverse-mode differentiation of the
//! objective. Each primitive brings its own rule (`ops`); this stage orders them and adds what meets.
//!
//! It never differentiates an update, an output that is not the objective, or what `stop` cuts off, and it never
//! duplicates forward work: every forward node is used where it stands, so the graph grows linearly.

#[cfg(test)]
mod grad_test;

use crate::ir::graph::*;
use crate::ops::construct::GraphBuilder;
use crate::ops::verify::type_of;
use crate::ops::{Backward, Grads, with};

/// The graph with every [`Op::Gradient`] replaced by the gradient of the objective by that parameter; zero where the
/// objective does not depend on it. A graph without placeholders stays as it is.
pub fn grad(graph: &Graph) -> Graph {
    let placeholders: Vec<ParamId> = graph.ids().filter_map(|id| as_placeholder(graph, id)).collect();
    if placeholders.is_empty() {
        return graph.clone();
    }
    let objective = graph.output(&OutputKind::Objective);
    let objective = objective.expect("a graph with gradients has an objective");
    let mut after_gradients = vec![false; graph.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        let inherits = node.operands.iter().any(|o| after_gradients[o.0 as usize]);
        after_gradients[id.0 as usize] = inherits || as_placeholder(graph, id).is_some();
    }
    assert!(
        !after_gradients[objective.0 as usize],
        "the objective uses its own gradient"
    );

    let mut copy = Copy {
        graph,
        builder: GraphBuilder::new(Graph::with_declarations_of(graph)),
        new: vec![None; graph.len()],
    };
    for id in graph.ids().filter(|id| !after_gradients[id.0 as usize]) {
        copy.node(id);
    }
    let objective = copy.mapped(objective);
    let gradients = differentiate(&mut copy.builder, objective, &placeholders);
    for id in graph.ids().filter(|id| after_gradients[id.0 as usize]) {
        match as_placeholder(graph, id) {
            Some(param) => {
                let zero_shape = &graph.params[param.0 as usize].shape;
                let gradient = gradients[param.0 as usize];
                let gradient = gradient.unwrap_or_else(|| copy.builder.constant(zero_shape, 0.0));
                copy.new[id.0 as usize] = Some(gradient);
            }
            None => copy.node(id),
        }
    }
    for output in &graph.outputs {
        let node = copy.mapped(output.node);
        copy.builder.output(output.kind.clone(), node);
    }
    copy.builder.finish()
}

/// A graph that is copied into a builder.
struct Copy<'a> {
    graph: &'a Graph,
    builder: GraphBuilder,
    new: Vec<Option<NodeId>>,
}

impl Copy<'_> {
    fn mapped(&self, id: NodeId) -> NodeId {
        self.new[id.0 as usize].expect("operands are copied before their users")
    }

    fn node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.mapped(o)).collect();
        self.builder.span = node.span;
        let new = self.builder.push(node.op.clone(), &operands, type_of(self.graph, id));
        self.new[id.0 as usize] = Some(new);
    }
}

fn as_placeholder(graph: &Graph, id: NodeId) -> Option<ParamId> {
    match graph.node(id).op {
        Op::Gradient(param) => Some(param),
        _ => None,
    }
}

/// The gradient by each parameter, where the objective depends on it.
fn differentiate(builder: &mut GraphBuilder, objective: NodeId, wanted: &[ParamId]) -> Vec<Option<NodeId>> {
    let mut gradients = vec![None; builder.graph().params.len()];
    let active = active(builder.graph(), objective, wanted);
    // What has reached each node so far, in the order of its users from the last to the first.
    let mut reached: Vec<Vec<NodeId>> = vec![vec![]; objective.0 as usize + 1];
    reached[objective.0 as usize].push(builder.constant(&[], 1.0));
    for id in (0..=objective.0).rev().map(NodeId) {
        let contributions = std::mem::take(&mut reached[id.0 as usize]);
        if contributions.is_empty() || !active[id.0 as usize] {
            continue;
        }
        let node = builder.graph().node(id).clone();
        builder.span = node.span;
        let sum = contributions.into_iter().reduce(|sum, next| builder.add(sum, next));
        let gradient = sum.expect("there is a contribution");
        if let Op::Param(param) = node.op {
            gradients[param.0 as usize] = Some(gradient);
            continue;
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

/// For each node up to the objective, whether a wanted parameter's gradient passes through it.
fn active(graph: &Graph, objective: NodeId, wanted: &[ParamId]) -> Vec<bool> {
    let mut active: Vec<bool> = Vec::with_capacity(objective.0 as usize + 1);
    for id in (0..=objective.0).map(NodeId) {
        let node = graph.node(id);
        active.push(match node.op {
            Op::Param(param) => wanted.contains(&param),
            Op::Stop => false,
            _ => node.element == Element::Real && node.operands.iter().any(|o| active[o.0 as usize]),
        });
    }
    active
}
