//! Takes out of a sum what is the same for all of its terms: `Σ a·xᵢ = a·Σ xᵢ`. What is left is less to compute for each
//! term, and often the same for several sums, as in the gradient of a norm, so that it is summed once. And the
//! deviations from a mean add up to zero.

use super::normalise::Normal;
use super::position::composed;
use super::program::weight;
use crate::ir::affine::Position;
use crate::ir::graph::{MapFunction, Node, NodeId, Op};

/// How many operands of operands are looked at.
const DEPTH: usize = 8;
/// Factors that a term has at most, or it is taken as it is.
const MOST_FACTORS: usize = 8;
/// Instructions from which on a function takes long.
const TAKES_LONG: u32 = 4;

/// What is multiplied in a term.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Summed {
    /// Factors that differ from term to term, ascending.
    factors: Vec<NodeId>,
    axes: Vec<usize>,
}

/// A term as a product.
struct Term {
    constant: f64,
    /// The same for all terms.
    same: Vec<NodeId>,
    /// Not the same.
    factors: Vec<NodeId>,
}

impl Normal {
    /// Adds a sum without what is the same for all terms, and multiplies by that.
    pub(super) fn add_sum(&mut self, node: Node, origin: NodeId, axes: &[usize]) -> NodeId {
        let operand = node.operands[0];
        let mut term = Term {
            constant: 1.0,
            same: vec![],
            factors: vec![],
        };
        match self.is_quick(operand, axes, 1) {
            true => self.take_apart(operand, axes, DEPTH, &mut term),
            false => term.factors.push(operand),
        }
        let several = 1..=MOST_FACTORS;
        if !several.contains(&term.factors.len()) || term.same.len() > MOST_FACTORS {
            return self.add_plain_sum(node, origin, axes);
        }
        term.factors.sort_unstable();
        if let [only] = term.factors[..]
            && self.deviates_from_mean(only, axes)
        {
            let (op, operands) = (Op::Constant(0.0), vec![]);
            return self.push(Node { op, operands, ..node }, origin);
        }
        let summed = Summed {
            factors: term.factors.clone(),
            axes: axes.to_vec(),
        };
        let known = self.sums.get(&summed).copied();
        let mut sum = known.unwrap_or_else(|| {
            let as_it_is = term.same.is_empty() && term.constant == 1.0;
            let product = match as_it_is {
                true => operand,
                false => self.product(&term.factors, operand, origin),
            };
            let mut of_factors = node.clone();
            of_factors.operands = vec![product];
            let sum = self.add_plain_sum(of_factors, origin, axes);
            self.sums.insert(summed.clone(), sum);
            self.summed.insert(sum, summed);
            sum
        });
        for &factor in &term.same {
            let factor = self.lifted(factor, axes, origin);
            sum = self.product(&[sum, factor], sum, origin);
        }
        if term.constant != 1.0 {
            let (op, operands) = (Op::Constant(term.constant), vec![]);
            let constant = self.push(Node { op, operands, ..node }, origin);
            sum = self.product(&[sum, constant], sum, origin);
        }
        sum
    }

    fn take_apart(&self, id: NodeId, axes: &[usize], depth: usize, term: &mut Term) {
        if term.factors.len() > MOST_FACTORS {
            return;
        }
        let node = self.graph.node(id);
        let deeper = depth.checked_sub(1);
        match (&node.op, deeper) {
            (Op::Constant(value), _) => term.constant *= value,
            _ if self.is_same(id, axes, DEPTH) => term.same.push(id),
            (Op::Map(MapFunction::Multiply), Some(depth)) => {
                for &operand in &node.operands {
                    match self.is_quick(operand, axes, DEPTH) {
                        true => self.take_apart(operand, axes, depth, term),
                        false => term.factors.push(operand),
                    }
                }
            }
            (Op::Map(MapFunction::Negate), Some(depth)) => {
                term.constant = -term.constant;
                self.take_apart(node.operands[0], axes, depth, term);
            }
            (Op::Map(MapFunction::Add), Some(depth)) if node.operands[0] == node.operands[1] => {
                term.constant *= 2.0;
                self.take_apart(node.operands[0], axes, depth, term);
            }
            _ => term.factors.push(id),
        }
    }

    /// Whether no function that takes long, as e^x, is among what so many operands of operands compute for each term: else
    /// the value may be stored, and its parts would be computed again.
    fn is_quick(&self, id: NodeId, axes: &[usize], depth: usize) -> bool {
        let node = self.graph.node(id);
        let deeper = |depth| node.operands.iter().all(|&o| self.is_quick(o, axes, depth));
        match (&node.op, depth.checked_sub(1)) {
            _ if self.is_same(id, axes, DEPTH) => true,
            (Op::Map(_), below) => weight(&self.graph, node) < TAKES_LONG && below.is_none_or(deeper),
            _ => true,
        }
    }

    /// Whether a value does not change along axes.
    fn is_same(&self, id: NodeId, axes: &[usize], depth: usize) -> bool {
        let node = self.graph.node(id);
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        match &node.op {
            Op::Constant(_) => true,
            Op::View { positions, guards, .. } => {
                guards.is_empty() && !axes.iter().any(|&axis| positions.iter().any(|p| p.uses(axis)))
            }
            Op::Map(_) => node.operands.iter().all(|&o| self.is_same(o, axes, depth)),
            _ => false,
        }
    }

    /// A value that does not change along axes, without them.
    fn lifted(&mut self, id: NodeId, axes: &[usize], origin: NodeId) -> NodeId {
        let mut node = self.graph.node(id).clone();
        let kept: Vec<usize> = (0..node.shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let shape: Vec<usize> = kept.iter().map(|&axis| node.shape[axis]).collect();
        if let Op::View { positions, .. } = &mut node.op {
            let place = |axis| {
                kept.iter()
                    .position(|&k| k == axis)
                    .map(Position::axis)
                    .unwrap_or_default()
            };
            let index: Vec<Position> = (0..node.shape.len()).map(place).collect();
            for position in positions {
                *position = composed(position, &index, &shape).expect("an axis takes the place of another");
            }
        } else {
            node.operands = node.operands.iter().map(|&o| self.lifted(o, axes, origin)).collect();
        }
        self.add(Node { shape, ..node }, origin)
    }

    /// The product of values, at the place and of the shape of another one.
    fn product(&mut self, factors: &[NodeId], like: NodeId, origin: NodeId) -> NodeId {
        let mut product = factors[0];
        for &factor in &factors[1..] {
            let node = Node {
                op: Op::Map(MapFunction::Multiply),
                operands: vec![product, factor],
                ..self.graph.node(like).clone()
            };
            product = self.push(node, origin);
        }
        product
    }

    /// Whether a value is `x - mean x`, with the mean over these axes.
    fn deviates_from_mean(&self, id: NodeId, axes: &[usize]) -> bool {
        let node = self.graph.node(id);
        let [x, mean] = match (&node.op, &node.operands[..]) {
            (Op::Map(MapFunction::Subtract), &[x, mean]) => [x, mean],
            _ => return false,
        };
        let repeated = self.graph.node(mean);
        let Op::View { positions, guards, .. } = &repeated.op else {
            return false;
        };
        let kept = (0..node.shape.len()).filter(|axis| !axes.contains(axis));
        let repeats = guards.is_empty() && kept.map(Some).eq(positions.iter().map(Position::as_axis));
        let mean = self.graph.node(repeated.operands[0]);
        let terms: usize = axes.iter().map(|&axis| node.shape[axis]).product();
        let of_all = |sum: NodeId| {
            self.summed
                .get(&sum)
                .is_some_and(|s| s.factors == [x] && s.axes == axes)
        };
        let share = |id: NodeId| matches!(self.graph.node(id).op, Op::Constant(share) if share == 1.0 / terms as f64);
        repeats
            && matches!(mean.op, Op::Map(MapFunction::Multiply))
            && of_all(mean.operands[0])
            && share(mean.operands[1])
    }
}
