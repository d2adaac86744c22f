//! Turns a graph with placeholders for gradients into one that computes them: reverse-mode differentiation of the
//! objective. Each primitive brings its own rule (`ops`); this stage orders them and adds what meets.
//!
//! It never differentiates an update, an output that is not the objective, or what `stop` cuts off, and it never
//! duplicates forward work: every forward node is used where it stands, so the graph grows linearly.

#[cfg(test)]
mod grad_test;

use crate::ir::graph::*;
use crate::ops::construct::GraphBuilder;
use crate::ops::reverse::differentiate;
use crate::ops::scan_memory::remembering;
use crate::ops::verify::type_of;

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
    let params: Vec<NodeId> = placeholders.iter().map(|&p| copy.builder.param(p)).collect();
    let one = copy.builder.constant(&[], 1.0);
    let gradients = differentiate(&mut copy.builder, &[(objective, one)], &params);
    for id in graph.ids().filter(|id| after_gradients[id.0 as usize]) {
        match as_placeholder(graph, id) {
            Some(param) => {
                let zero_shape = &graph.params[param.0 as usize].shape;
                let at = placeholders
                    .iter()
                    .position(|&p| p == param)
                    .expect("it is one of them");
                let gradient = gradients[at].unwrap_or_else(|| copy.builder.constant(zero_shape, 0.0));
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
        self.builder.follow(node);
        let new = match &node.op {
            Op::Scan(scan) => self.builder.scan(&remembering(scan), &operands),
            op => self.builder.push(op.clone(), &operands, type_of(self.graph, id)),
        };
        self.new[id.0 as usize] = Some(new);
    }
}

fn as_placeholder(graph: &Graph, id: NodeId) -> Option<ParamId> {
    match graph.node(id).op {
        Op::Gradient(param) => Some(param),
        _ => None,
    }
}
