//! The gradient of a value that every step of a scan sees whole: a sum over all steps, taken behind the loop. Where a
//! step's part is a sum of products, `Σ_k a b`, the steps keep `a` and `b`, and one contraction behind the loop sums over
//! steps and `k` at once: the gradient of a recurrent weight is one matrix product for the whole sequence (and not one
//! for each step that is added to memory).

use super::construct::GraphBuilder;
use super::scan_gradient::{Source, Step};
use crate::ir::affine::Position;
use crate::ir::graph::{MapFunction, Node, NodeId, Op, ReduceFunction};
use crate::ir::scan::Scan;

/// A part of a whole value's gradient, as it is summed outside.
pub enum Part {
    /// A contraction of two factors with their labels.
    Product {
        /// The factors.
        sides: [(Side, Vec<u8>); 2],
        /// The labels that are kept.
        out: Vec<u8>,
    },
    /// A value whose axes are summed, if any.
    Sum {
        /// The value.
        value: Side,
        /// In a step.
        axes: Vec<usize>,
    },
}

/// A factor, as it is known outside.
#[derive(Clone, Copy)]
pub enum Side {
    /// An output of the backward step.
    Kept(usize),
    /// What lies in memory already.
    Outside(Source),
}

impl Step {
    fn side(&mut self, node: NodeId) -> Side {
        match self.sources.get(&node) {
            Some(&source @ (Source::Sequence(_) | Source::Whole(_))) => Side::Outside(source),
            _ => Side::Kept(self.keep(node)),
        }
    }

    /// What a step adds to a whole value's gradient, as sums that can be taken outside.
    pub(super) fn parts(&mut self, gradient: NodeId, parts: &mut Vec<Part>) {
        let node = self.builder.graph().node(gradient).clone();
        if let Op::Map(MapFunction::Add) = node.op {
            for operand in node.operands {
                self.parts(operand, parts);
            }
            return;
        }
        parts.push(match self.contraction(&node) {
            Some((contraction, out)) => self.product(&contraction, out),
            None => match &node.op {
                Op::Reduce {
                    function: ReduceFunction::Sum,
                    axes,
                } => Part::Sum {
                    value: self.side(node.operands[0]),
                    axes: axes.clone(),
                },
                _ => Part::Sum {
                    value: self.side(gradient),
                    axes: vec![],
                },
            },
        });
    }

    /// The contraction that a node is, or whose axes it reorders, with the labels of the node's axes.
    fn contraction(&self, node: &Node) -> Option<(Node, Vec<u8>)> {
        match &node.op {
            Op::Contract { out, .. } => Some((node.clone(), out.clone())),
            Op::View { positions, guards, .. } if guards.is_empty() => {
                let below = self.builder.graph().node(node.operands[0]);
                let Op::Contract { out, .. } = &below.op else {
                    return None;
                };
                let order = permuted(positions, &node.shape)?;
                Some((below.clone(), order.iter().map(|&axis| out[axis]).collect()))
            }
            _ => None,
        }
    }

    fn product(&mut self, node: &Node, out: Vec<u8>) -> Part {
        let Op::Contract { a, b, .. } = &node.op else {
            unreachable!("a product is a contraction")
        };
        let sides = [
            (self.side(node.operands[0]), a.clone()),
            (self.side(node.operands[1]), b.clone()),
        ];
        Part::Product { sides, out }
    }
}

/// For each axis of a view that only reorders axes, the operand's axis.
fn permuted(positions: &[Position], shape: &[usize]) -> Option<Vec<usize>> {
    let axes: Vec<usize> = positions.iter().map(Position::as_axis).collect::<Option<_>>()?;
    (0..shape.len())
        .map(|axis| axes.iter().position(|&a| a == axis))
        .collect::<Option<Vec<usize>>>()
        .filter(|order| order.len() == axes.len())
}

/// The sum of all parts over all steps.
pub fn summed(parts: Vec<Part>, adjoint: &Scan, result: NodeId, builder: &mut GraphBuilder) -> Option<NodeId> {
    let mut sum = None;
    let steps = adjoint.steps;
    for part in parts {
        let outside = |builder: &mut GraphBuilder, side: Side| match side {
            Side::Kept(output) => (builder.scanned(result, adjoint, output, false), true),
            Side::Outside(Source::Whole(node)) => (node, false),
            Side::Outside(Source::Sequence(node)) => (node, true),
            Side::Outside(Source::Gradient(_)) => unreachable!("a carried gradient is kept"),
        };
        let term = match part {
            Part::Product { sides, out } => {
                let step = sides.iter().flat_map(|s| &s.1).max().map_or(0, |&l| l + 1);
                let [(a, mut a_labels), (b, mut b_labels)] = sides;
                let (a, a_steps) = outside(builder, a);
                let (b, b_steps) = outside(builder, b);
                if a_steps {
                    a_labels.insert(0, step);
                }
                if b_steps {
                    b_labels.insert(0, step);
                }
                let product = builder.contract(a, &a_labels, b, &b_labels, &out);
                match a_steps || b_steps {
                    true => product,
                    false => builder.map_constant(MapFunction::Multiply, product, steps as f64),
                }
            }
            Part::Sum { value, axes } => {
                let (value, of_steps) = outside(builder, value);
                let shift = usize::from(of_steps);
                let mut axes: Vec<usize> = axes.iter().map(|a| a + shift).collect();
                if of_steps {
                    axes.insert(0, 0);
                }
                let total = builder.sum(value, &axes);
                match of_steps {
                    true => total,
                    false => builder.map_constant(MapFunction::Multiply, total, steps as f64),
                }
            }
        };
        sum = Some(match sum {
            None => term,
            Some(sum) => builder.add(sum, term),
        });
    }
    sum
}
