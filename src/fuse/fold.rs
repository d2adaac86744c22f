//! Constants that became known only behind the last split of a program, such as the number of samples that a mean divides
//! by: so the gradient of a loss need not wait for a sum over all samples. The graph builder folds functions of constants in
//! the same way; it can't fold these sums, which an evaluation must add up over its batches.

use crate::ir::graph::{Graph, Node, Op, ReduceFunction};
use crate::ops::map;

/// Sums of whole numbers up to this one are exact in every order.
const EXACT: f64 = (1 << 24) as f64;

/// The number that a node of constant operands is everywhere; sums only where they are exact.
pub fn folded(graph: &Graph, node: &Node) -> Option<f64> {
    let constant = |id| match graph.node(id).op {
        Op::Constant(value) => Some(value),
        _ => None,
    };
    let values: Option<Vec<f64>> = node.operands.iter().map(|&id| constant(id)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    match &node.op {
        Op::Map(function) => Some(map::value(*function, &values)),
        Op::Reduce { function, axes } => {
            let shape = &graph.node(node.operands[0]).shape;
            let count = axes.iter().map(|&axis| shape[axis]).product::<usize>() as f64;
            match function {
                ReduceFunction::Sum => {
                    let sum = values[0] * count;
                    (values[0].fract() == 0.0 && (0.0..=EXACT).contains(&sum)).then_some(sum.abs())
                }
                ReduceFunction::Maximum | ReduceFunction::Minimum => (!values[0].is_nan()).then_some(values[0]),
                ReduceFunction::Product => None,
            }
        }
        Op::View { guards, .. } if guards.is_empty() => Some(values[0]),
        _ => None,
    }
}
