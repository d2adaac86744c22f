//! The oracle: evaluates a graph node by node in float64, sums in plain order. Slow and obviously right; every fast
//! kernel is compared with it.

use super::tensor64::{Environment, Tensor64};
use super::verify::type_of;
use super::with;
use crate::ir::graph::{Graph, NodeId};

/// The values of all nodes, by their ids.
pub fn interpret(graph: &Graph, environment: &Environment) -> Vec<Tensor64> {
    let mut values: Vec<Tensor64> = Vec::with_capacity(graph.len());
    for id in graph.ids() {
        let node = graph.node(id);
        let operands: Vec<&Tensor64> = node.operands.iter().map(|o| &values[o.0 as usize]).collect();
        let value = with(&node.op, |p| p.reference(environment, &operands, &type_of(graph, id)));
        assert_eq!(value.shape, node.shape, "{}", graph.line(id));
        values.push(value);
    }
    values
}

/// The values of the outputs, in their order.
pub fn interpret_outputs(graph: &Graph, environment: &Environment) -> Vec<Tensor64> {
    let values = interpret(graph, environment);
    let value = |node: NodeId| values[node.0 as usize].clone();
    graph.outputs.iter().map(|o| value(o.node)).collect()
}
