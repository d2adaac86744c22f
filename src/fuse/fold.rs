//! Constants that became known only behind the last split of a program, such as the number of samples that a mean divides
//! by: so the gradient of a loss need not wait for a sum over all samples. Folded numbers have the bits that kernels give.

use crate::ir::graph::{Graph, MapFunction, Node, Op, ReduceFunction, elements};
use crate::ops::map;

/// Sums of whole numbers up to this one are exact in every order.
const EXACT: f64 = (1 << 24) as f64;

/// The number that a node of constant operands is everywhere, if that is known without computing anything but basic
/// arithmetic, which rounds alike everywhere.
pub fn folded(graph: &Graph, node: &Node) -> Option<f64> {
    let constant = |id| match graph.node(id).op {
        Op::Constant(value) => Some(value),
        _ => None,
    };
    let values: Option<Vec<f64>> = node.operands.iter().map(|&id| constant(id)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    match &node.op {
        Op::Map(
            function @ (MapFunction::Add
            | MapFunction::Subtract
            | MapFunction::Multiply
            | MapFunction::Divide
            | MapFunction::Negate
            | MapFunction::Maximum
            | MapFunction::Minimum),
        ) => {
            // Twice the digits and more: rounding to 64 bits before changes nothing.
            let rounded: Vec<f64> = values.iter().map(|&v| f64::from(v as f32)).collect();
            Some(f64::from(map::value(*function, &rounded) as f32))
        }
        Op::Reduce { function, axes } => {
            let shape = &graph.node(node.operands[0]).shape;
            let count = axes.iter().map(|&axis| shape[axis]).product::<usize>() as f64;
            match function {
                ReduceFunction::Sum => {
                    let sum = values[0] * count;
                    (values[0].fract() == 0.0 && sum.abs() <= EXACT && values[0].is_sign_positive()).then_some(sum)
                }
                ReduceFunction::Maximum | ReduceFunction::Minimum => (!values[0].is_nan()).then_some(values[0]),
                ReduceFunction::Product => None,
            }
        }
        Op::View { guards, .. } if guards.is_empty() && elements(&node.shape) > 0 => Some(values[0]),
        _ => None,
    }
}
