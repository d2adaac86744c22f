//! A graph with gradients → one whose matrix products and other contractions read numbers of 16 bits, and add them up in 32:
//! mixed precision. Everything else, and with it parameters, norms, softmax and losses, stays as it is. It only says where
//! numbers are rounded, never how they are stored, so that storing what is rounded in 16 bits changes no bit.

use crate::ir::experiment::Precision;
use crate::ir::graph::{Graph, MapFunction, NodeId, Op, elements};
use crate::ops::construct::GraphBuilder;
use crate::ops::verify::type_of;
use std::sync::Arc;

/// Rounds what contractions read, also in the steps of scans.
pub fn rounded(graph: &Graph, precision: Precision) -> Graph {
    let function = match precision {
        Precision::Bf16 => MapFunction::RoundBf16,
        Precision::F16 => MapFunction::RoundF16,
    };
    let mut builder = GraphBuilder::new(Graph::with_declarations_of(graph));
    let mut new: Vec<NodeId> = Vec::with_capacity(graph.len());
    for id in graph.ids() {
        let node = graph.node(id);
        builder.follow(node);
        let mut operands: Vec<NodeId> = node.operands.iter().map(|o| new[o.0 as usize]).collect();
        let op = match &node.op {
            Op::Contract { .. } => {
                operands = operands
                    .iter()
                    .map(|&o| rounded_operand(&mut builder, function, o))
                    .collect();
                node.op.clone()
            }
            Op::Scan(scan) => {
                let mut scan = (**scan).clone();
                scan.body = rounded(&scan.body, precision);
                Op::Scan(Arc::new(scan))
            }
            other => other.clone(),
        };
        new.push(builder.push(op, &operands, type_of(graph, id)));
    }
    for output in &graph.outputs {
        builder.output(output.kind.clone(), new[output.node.0 as usize]);
    }
    builder.finish()
}

/// Views at most so much smaller than what they read are of rounded numbers: a slice of a few is one of several.
const SLICES: usize = 4;

/// An operand's numbers rounded, below its views: contractions that view a tensor in several ways read one rounded tensor,
/// which lies as the tensor itself does.
fn rounded_operand(builder: &mut GraphBuilder, function: MapFunction, operand: NodeId) -> NodeId {
    let node = builder.graph().node(operand);
    if let Op::View { guards, fill, .. } = &node.op
        && (guards.is_empty() || *fill == 0.0)
        && elements(builder.shape(node.operands[0])) <= SLICES * elements(&node.shape)
    {
        let (op, below) = (node.op.clone(), node.operands[0]);
        let below = rounded_operand(builder, function, below);
        let stated = type_of(builder.graph(), operand);
        return builder.push(op, &[below], stated);
    }
    builder.map(function, &[operand])
}
