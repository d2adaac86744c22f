//! Checks a graph after every rewrite. What [`verify`] demands:
//!
//! 1. Operands come before their users, and petgraph's edges are exactly the operands.
//! 2. Every node has the type that its primitive's rule gives; positions of views are inside wherever their guards
//!    hold; ids are below the size of the axis they read.
//! 3. Every leaf names a declaration.
//! 4. Objective, loss, metrics and norms are single reals; an update has its target's shape; no two outputs are of
//!    one kind.
//! 5. No shape has more elements than an i64 position can address.

use super::{ShapeError, TensorType, declared, with};
use crate::ir::graph::{Graph, NodeId, OutputKind};
use petgraph::Direction;
use petgraph::graph::NodeIndex;

/// A graph that breaks an invariant: a bug of the stage before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct InvalidGraph {
    /// The node's line, or the output.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

/// Checks the invariants listed above.
pub fn verify(graph: &Graph) -> Result<(), InvalidGraph> {
    for id in graph.ids() {
        check_node(graph, id).map_err(|error| InvalidGraph {
            place: graph.line(id),
            problem: error.0,
        })?;
    }
    for (i, output) in graph.outputs.iter().enumerate() {
        let twice = graph.outputs[..i].iter().any(|o| o.kind == output.kind);
        let found = match twice {
            true => Err(ShapeError("this kind of output occurs twice".into())),
            false => check_output(graph, &output.kind, output.node),
        };
        found.map_err(|error| InvalidGraph {
            place: format!("{:?} = {}", output.kind, output.node),
            problem: error.0,
        })?;
    }
    Ok(())
}

/// The type of a node's result.
pub fn type_of(graph: &Graph, id: NodeId) -> TensorType {
    let node = graph.node(id);
    TensorType {
        shape: node.shape.clone(),
        element: node.element,
    }
}

fn check_node(graph: &Graph, id: NodeId) -> Result<(), ShapeError> {
    let node = graph.node(id);
    let error = |message: String| Err(ShapeError(message));
    if node.operands.iter().any(|o| *o >= id) {
        return error("an operand does not come before its user".into());
    }
    let at = NodeIndex::new(id.0 as usize);
    let edges = graph.petgraph().neighbors_directed(at, Direction::Incoming);
    let mut edges: Vec<u32> = edges.map(|n| n.index() as u32).collect();
    let mut operands: Vec<u32> = node.operands.iter().map(|o| o.0).collect();
    edges.sort_unstable();
    operands.sort_unstable();
    if edges != operands {
        return error(format!("edges from {edges:?}, operands {operands:?}"));
    }
    let size = node.shape.iter().try_fold(1i64, |product, &size| {
        i64::try_from(size).ok().and_then(|size| product.checked_mul(size))
    });
    if size.is_none() {
        return error("too many elements".into());
    }
    let operands: Vec<TensorType> = node.operands.iter().map(|&o| type_of(graph, o)).collect();
    let stated = type_of(graph, id);
    let result = with(&node.op, |p| p.result(graph, &operands, &stated))?;
    if result != stated {
        return error(format!("the rule gives {result}"));
    }
    Ok(())
}

fn check_output(graph: &Graph, kind: &OutputKind, node: NodeId) -> Result<(), ShapeError> {
    if node.0 as usize >= graph.len() {
        return Err(ShapeError("no such node".into()));
    }
    let expected = match kind {
        OutputKind::Objective | OutputKind::Loss | OutputKind::Metric(_) | OutputKind::GradientNorm => {
            TensorType::real(&[])
        }
        OutputKind::ParamGradient(id) => {
            declared(&graph.params, id.0)?;
            TensorType::real(&[])
        }
        OutputKind::ParamUpdate(id) => TensorType::real(&declared(&graph.params, id.0)?.shape),
        OutputKind::StateUpdate(id) => TensorType::real(&declared(&graph.states, id.0)?.shape),
        OutputKind::Value(_) => return Ok(()),
    };
    let found = type_of(graph, node);
    if found != expected {
        return Err(ShapeError(format!("expected {expected}, found {found}")));
    }
    Ok(())
}
