//! Windows that slide over an operand of a contraction, as a convolution's: products read them where they lie, so that
//! no tensor with every window side by side is ever stored. What lies outside is made part of the source: a view that
//! asks whether it is inside becomes a copy with a margin, and a view of that which need not ask. And a sum over windows
//! of a contraction, as the gradient by a convolution's input, becomes a contraction that reads windows itself.

use super::contract::{Obstacle, arranged, groups, size_of};
use super::normalise::Normal;
use super::phase::Phases;
use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::graph::{Graph, Node, NodeId, Op, elements};

/// So many times the elements of the source with its margin must windows have to be worth the copy.
const WINDOWS_WORTH: usize = 2;

impl Normal {
    /// Lets a contraction read windows in sources with a margin, where it is a matrix product so.
    pub(super) fn pad_windows(&mut self, node: &mut Node, origin: NodeId) {
        let Op::Contract { a, b, out } = &node.op else {
            unreachable!("a contraction")
        };
        let summed = [a, b].map(|labels| labels.iter().map(|l| !out.contains(l)).collect::<Vec<bool>>());
        for (which, obstacle) in [Obstacle::First, Obstacle::Second].into_iter().enumerate() {
            let Some((padded, view)) = self.padded(node.operands[which], &summed[which], origin) else {
                continue;
            };
            let guarded = std::mem::replace(&mut node.operands[which], view);
            let known = self.copies.contains(&padded);
            if !known {
                self.copies.push(padded);
            }
            let trial = self.push(node.clone(), origin);
            if matches!(arranged(&self.graph, trial, &|n| self.copies.contains(&n)), Err(o) if o == obstacle) {
                node.operands[which] = guarded;
                if !known {
                    self.copies.pop();
                }
            }
        }
    }

    /// The source of a guarded view with a margin, and the view of that without guards; which axes of the view are `summed`
    /// decides the order of the source's axes.
    fn padded(&mut self, view: NodeId, summed: &[bool], origin: NodeId) -> Option<(NodeId, NodeId)> {
        if let Some(&known) = self.padded.get(&view) {
            return Some(known);
        }
        let node = self.graph.node(view).clone();
        let Op::View {
            positions,
            guards,
            fill,
        } = &node.op
        else {
            return None;
        };
        let mut shape = self.graph.node(node.operands[0]).shape.clone();
        let (mut inner, mut outer) = (
            (0..shape.len()).map(Position::axis).collect::<Vec<_>>(),
            positions.clone(),
        );
        let mut margins = vec![];
        for guard in guards {
            let Guard::Within { of, low, high } = guard else {
                return None;
            };
            let axis = positions.iter().position(|p| p == of && p.digits.is_empty())?;
            let (least, greatest) = of.range(&node.shape);
            let moved = Position::from(Affine::axis(axis).plus(&Affine::constant(least)));
            shape[axis] = usize::try_from(greatest - least + 1).ok()?;
            outer[axis] = of.plus(&Affine::constant(-least).into());
            margins.push(Guard::Within {
                of: moved.clone(),
                low: *low,
                high: *high,
            });
            inner[axis] = moved;
        }
        if guards.is_empty() || elements(&shape) * WINDOWS_WORTH > elements(&node.shape) {
            return None;
        }
        // Axes that are summed whole, as channels, go last: so all channels of neighbours lie side by side.
        let whole = |axis: &usize| positions[*axis].as_axis().is_some_and(|of| summed[of]);
        let (channels, mut order): (Vec<usize>, Vec<usize>) = (0..shape.len()).partition(whole);
        order.extend(channels);
        let place: Vec<Affine> = (0..shape.len())
            .map(|axis| Affine::axis(order.iter().position(|&o| o == axis).expect("a permutation")))
            .collect();
        let moved = |position: &Position| Position::from(position.affine.substitute(&place));
        for margin in &mut margins {
            if let Guard::Within { of, .. } = margin {
                *of = moved(of);
            }
        }
        let padded = Node {
            op: Op::View {
                positions: inner.iter().map(moved).collect(),
                guards: margins,
                fill: *fill,
            },
            shape: order.iter().map(|&axis| shape[axis]).collect(),
            ..node.clone()
        };
        let padded = self.push(self.composed_view(padded), origin);
        let windows = Node {
            op: Op::View {
                positions: order.iter().map(|&axis| outer[axis].clone()).collect(),
                guards: vec![],
                fill: 0.0,
            },
            operands: vec![padded],
            ..node
        };
        let windows = self.push(windows, origin);
        self.padded.insert(view, (padded, windows));
        Some((padded, windows))
    }

    /// A sum over axes of a view of a contraction, as one contraction. Only where that takes about as many products.
    pub(super) fn sum_over_windows(&self, sum: &Node, axes: &[usize]) -> Option<Windowed> {
        let view = self.graph.node(sum.operands[0]);
        match Phases::of(view, axes) {
            None => {
                let (contract, sides) = self.windowed(sum, view, axes, [3, 2])?;
                Some(Windowed {
                    contract,
                    sides,
                    together: None,
                })
            }
            Some(phases) => {
                let phased = phases.view(view)?;
                let (mut contract, sides) = self.windowed(sum, &phased, &phases.summed, [2, 1])?;
                let together = phases.together(&mut contract, &phased, sum);
                Some(Windowed {
                    contract,
                    sides,
                    together: Some(together),
                })
            }
        }
    }

    /// The contraction (with operands still to be added) and the views of its operands; it may take so many products for
    /// so many of the contraction that the view reads.
    fn windowed(&self, sum: &Node, view: &Node, axes: &[usize], [most, of]: [usize; 2]) -> Option<(Node, [Node; 2])> {
        let Op::View {
            positions,
            guards,
            fill,
        } = &view.op
        else {
            return None;
        };
        let contract = self.graph.node(view.operands[0]);
        let Op::Contract { a, b, out } = &contract.op else {
            return None;
        };
        if *fill != 0.0 || guards.is_empty() || of * elements(&view.shape) > most * elements(&contract.shape) {
            return None;
        }
        let windows = Windows {
            graph: &self.graph,
            view,
            positions,
            contract,
            summed: a.iter().copied().filter(|l| !out.contains(l)).collect(),
            axes,
        };
        let uses = [a, b].map(|labels| windows.uses(labels, out));
        let mut of_side: [Vec<Guard>; 2] = [vec![], vec![]];
        for guard in guards {
            let Guard::Within { of, .. } = guard else {
                return None;
            };
            let side = uses
                .iter()
                .position(|uses| (0..view.shape.len()).all(|axis| !of.uses(axis) || uses.contains(&axis)))?;
            of_side[side].push(guard.clone());
        }
        // The operand that is read through guards is read forwards.
        let larger = usize::from(of_side[0].is_empty());
        let flipped = windows.backwards([a, b][larger], out);
        let mut labels = [vec![], vec![]];
        let mut sides = vec![];
        for (side, of) in [a, b].into_iter().enumerate() {
            let (its_labels, node) = windows.side(side, of, out, &uses[side], &of_side[side], &flipped)?;
            labels[side] = its_labels;
            sides.push(node);
        }
        let out: Vec<u8> = (0..view.shape.len() as u8)
            .filter(|axis| !axes.contains(&(*axis as usize)))
            .collect();
        let [a, b] = labels;
        let sorted = groups(&a, &b, &out);
        let every_axis = (0..view.shape.len() as u8).all(|axis| a.contains(&axis) || b.contains(&axis));
        if sorted.odd || !every_axis {
            return None;
        }
        let [first, second] = <[Node; 2]>::try_from(sides).ok()?;
        let shape = out.iter().map(|&axis| view.shape[axis as usize]).collect();
        let op = Op::Contract { a, b, out };
        Some((
            Node {
                op,
                shape,
                ..sum.clone()
            },
            [first, second],
        ))
    }

    /// Adds what [`sum_over_windows`](Normal::sum_over_windows) has found.
    pub(super) fn add_over_windows(&mut self, windowed: Windowed, origin: NodeId) -> NodeId {
        let Windowed {
            mut contract,
            sides,
            together,
        } = windowed;
        contract.operands = sides.into_iter().map(|side| self.add(side, origin)).collect();
        let contract = self.add(contract, origin);
        match together {
            None => contract,
            Some(mut view) => {
                view.operands = vec![contract];
                self.add(view, origin)
            }
        }
    }
}

/// A sum over windows of a contraction as a contraction that reads windows: its nodes, operands still to be added.
pub(super) struct Windowed {
    contract: Node,
    sides: [Node; 2],
    /// What puts the phases of the result together, where it has any.
    together: Option<Node>,
}

/// A view of a contraction, some axes of which are summed. The labels of what comes of it are the view's axes, then
/// the labels that the contraction sums.
struct Windows<'g> {
    graph: &'g Graph,
    view: &'g Node,
    positions: &'g [Position],
    contract: &'g Node,
    /// Labels that the contraction sums.
    summed: Vec<u8>,
    /// The view's axes that are summed.
    axes: &'g [usize],
}

impl Windows<'_> {
    /// Where an operand is read along its axis of a label: a function of the view's axes; none if that is summed.
    fn position(&self, label: u8, out: &[u8]) -> Option<&Position> {
        out.iter().position(|&l| l == label).map(|axis| &self.positions[axis])
    }

    /// The view's axes that tell where an operand is read.
    fn uses(&self, labels: &[u8], out: &[u8]) -> Vec<usize> {
        let read: Vec<&Position> = labels.iter().filter_map(|&l| self.position(l, out)).collect();
        (0..self.view.shape.len())
            .filter(|&axis| read.iter().any(|p| p.uses(axis)))
            .collect()
    }

    /// The summed axes along which an operand is read from its end to its beginning.
    fn backwards(&self, labels: &[u8], out: &[u8]) -> Vec<usize> {
        let read: Vec<&Position> = labels.iter().filter_map(|&l| self.position(l, out)).collect();
        let mut axes = self.axes.to_vec();
        axes.retain(|&axis| read.iter().any(|p| p.affine.coefficient(axis) < 0));
        axes
    }

    /// The labels and the view of an operand.
    fn side(
        &self,
        side: usize,
        labels: &[u8],
        out: &[u8],
        uses: &[usize],
        guards: &[Guard],
        flipped: &[usize],
    ) -> Option<(Vec<u8>, Node)> {
        let rank = self.view.shape.len();
        let operand = self.graph.node(self.contract.operands[side]);
        let contracted = |label: u8| self.summed.iter().position(|&l| l == label);
        let of: (&[u8], &[usize]) = (labels, &operand.shape);
        let shape: Vec<usize> = uses
            .iter()
            .map(|&axis| self.view.shape[axis])
            .chain(self.summed.iter().map(|&label| size_of(label, of, of)))
            .collect();
        // The view's axes as functions of the side's.
        let replacement: Vec<Position> = (0..rank)
            .map(|axis| match uses.iter().position(|&u| u == axis) {
                None => Position::default(),
                Some(at) if flipped.contains(&axis) => {
                    let last = Affine::constant(self.view.shape[axis] as i64 - 1);
                    Affine::axis(at).times(-1).plus(&last).into()
                }
                Some(at) => Position::axis(at),
            })
            .collect();
        let positions = labels.iter().map(|&label| match self.position(label, out) {
            Some(position) => position.substitute(&replacement, &shape),
            None => Some(Position::axis(
                uses.len() + contracted(label).expect("summed, as it is not in the result"),
            )),
        });
        let op = Op::View {
            positions: positions.collect::<Option<_>>()?,
            guards: guards
                .iter()
                .map(|guard| guard.substitute(&replacement, &shape))
                .collect::<Option<_>>()?,
            fill: 0.0,
        };
        let all = uses.iter().map(|&axis| axis as u8);
        let labels = all.chain((0..self.summed.len()).map(|at| (rank + at) as u8)).collect();
        let node = Node {
            op,
            operands: vec![self.contract.operands[side]],
            shape,
            ..operand.clone()
        };
        Some((labels, node))
    }
}
