//! Views of values: any of their positions, and the usual ones by name. A view of a view becomes one view where one can
//! say it, a view that reads everything in its place is the value itself, and a view of a constant is one.

use super::TensorType;
use super::construct::GraphBuilder;
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::*;
use crate::ir::position::simplified_guards;
use crate::ir::scan::Scan;

impl GraphBuilder {
    /// Reads a value elsewhere. Positions and guards are brought to their canonical form, and a view of a view becomes
    /// one view where one can say it.
    pub fn view(
        &mut self,
        x: NodeId,
        shape: &[usize],
        positions: Vec<Position>,
        guards: Vec<Guard>,
        fill: f64,
    ) -> NodeId {
        let stated = TensorType {
            shape: shape.to_vec(),
            element: self.graph().node(x).element,
        };
        if elements(shape) == 0 {
            return self.constant_of(stated, 0.0);
        }
        let Some(guards) = simplified_guards(&guards, shape) else {
            return self.constant_of(stated, fill);
        };
        let fill = if guards.is_empty() { 0.0 } else { fill };
        let positions: Vec<Position> = positions.iter().map(|p| p.simplified(shape)).collect();
        let own_shape = self.shape(x).to_vec();
        let axes: Vec<Position> = (0..shape.len())
            .map(|axis| Position::axis(axis).simplified(shape))
            .collect();
        if own_shape == shape && guards.is_empty() && positions == axes {
            return x;
        }
        match &self.graph().node(x).op {
            Op::Constant(value) if guards.is_empty() || value.to_bits() == fill.to_bits() => {
                let value = *value;
                self.constant_of(stated, value)
            }
            Op::View { .. } => match self.composed(x, shape, &positions, &guards, fill) {
                Some((inner, positions, guards, fill)) => self.view(inner, shape, positions, guards, fill),
                None => self.push_view(x, positions, guards, fill, stated),
            },
            _ => self.push_view(x, positions, guards, fill, stated),
        }
    }

    fn push_view(
        &mut self,
        x: NodeId,
        positions: Vec<Position>,
        guards: Vec<Guard>,
        fill: f64,
        stated: TensorType,
    ) -> NodeId {
        let op = Op::View {
            positions,
            guards,
            fill,
        };
        self.push(op, &[x], stated)
    }

    /// What a view of the view `x` reads from that one's operand.
    fn composed(
        &self,
        x: NodeId,
        shape: &[usize],
        positions: &[Position],
        guards: &[Guard],
        fill: f64,
    ) -> Option<(NodeId, Vec<Position>, Vec<Guard>, f64)> {
        let node = self.graph().node(x);
        let Op::View {
            positions: inner,
            guards: inner_guards,
            fill: inner_fill,
        } = &node.op
        else {
            return None;
        };
        let both_guarded = !guards.is_empty() && !inner_guards.is_empty();
        if both_guarded && fill.to_bits() != inner_fill.to_bits() {
            return None;
        }
        let fill = if inner_guards.is_empty() { fill } else { *inner_fill };
        let positions_composed: Option<Vec<Position>> = inner.iter().map(|p| p.substitute(positions, shape)).collect();
        let inner_guards: Option<Vec<Guard>> = inner_guards.iter().map(|g| g.substitute(positions, shape)).collect();
        let guards = [guards, &inner_guards?].concat();
        Some((node.operands[0], positions_composed?, guards, fill))
    }

    /// Repeats a value: its axis `k` becomes the result's axis `axes[k]`, the other axes are new.
    pub fn broadcast(&mut self, x: NodeId, shape: &[usize], axes: &[usize]) -> NodeId {
        let positions = axes.iter().map(|&axis| Position::axis(axis)).collect();
        self.view(x, shape, positions, vec![], 0.0)
    }

    /// Repeats one number.
    pub fn fill(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        self.broadcast(x, shape, &[])
    }

    /// Reorders axes: the result's axis `k` is the operand's axis `order[k]`.
    pub fn permute(&mut self, x: NodeId, order: &[usize]) -> NodeId {
        let own = self.shape(x).to_vec();
        let shape: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
        let at = |axis: usize| {
            order
                .iter()
                .position(|&o| o == axis)
                .expect("an order names each axis once")
        };
        let positions = (0..own.len()).map(|axis| Position::axis(at(axis))).collect();
        self.view(x, &shape, positions, vec![], 0.0)
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        let own = self.shape(x).to_vec();
        assert_eq!(elements(&own), elements(shape), "a reshape keeps all elements");
        let mut flat = Affine::default();
        let mut stride = 1;
        for axis in (0..shape.len()).rev() {
            flat = flat.plus(&Affine::axis(axis).times(stride));
            stride *= shape[axis] as i64;
        }
        let mut positions = vec![];
        let mut divide = 1;
        for &size in own.iter().rev() {
            positions.push(Position::digit(Digit {
                coefficient: 1,
                of: flat.clone(),
                divide,
                modulo: Some(size as i64),
            }));
            divide *= size as i64;
        }
        positions.reverse();
        self.view(x, shape, positions, vec![], 0.0)
    }

    /// Reads one axis as several, the last running fastest.
    pub fn split(&mut self, x: NodeId, axis: usize, sizes: &[usize]) -> NodeId {
        let mut shape = self.shape(x).to_vec();
        shape.splice(axis..=axis, sizes.iter().copied());
        self.reshape(x, &shape)
    }

    /// Reads several neighbouring axes as one.
    pub fn join(&mut self, x: NodeId, axes: std::ops::Range<usize>) -> NodeId {
        let mut shape = self.shape(x).to_vec();
        let size = elements(&shape[axes.clone()]);
        shape.splice(axes, [size]);
        self.reshape(x, &shape)
    }

    /// A part of one axis.
    pub fn slice(&mut self, x: NodeId, axis: usize, start: usize, length: usize) -> NodeId {
        let mut shape = self.shape(x).to_vec();
        shape[axis] = length;
        let mut positions: Vec<Position> = (0..shape.len()).map(Position::axis).collect();
        positions[axis].affine.constant = start as i64;
        self.view(x, &shape, positions, vec![], 0.0)
    }

    /// One axis with `fill` before and behind it.
    pub fn pad(&mut self, x: NodeId, axis: usize, before: usize, behind: usize, fill: f64) -> NodeId {
        let mut shape = self.shape(x).to_vec();
        let size = shape[axis] as i64;
        shape[axis] += before + behind;
        let mut positions: Vec<Position> = (0..shape.len()).map(Position::axis).collect();
        positions[axis].affine.constant = -(before as i64);
        let guard = Guard::Within {
            of: positions[axis].clone(),
            low: 0,
            high: size,
        };
        self.view(x, &shape, positions, vec![guard], fill)
    }

    /// Reads an output of a scan's body, the steps in the sequence's order as the first axis. Of a carry it is the value
    /// behind each step, or with `before` the one that the step began with.
    pub fn scanned(&mut self, result: NodeId, scan: &Scan, output: usize, before: bool) -> NodeId {
        let stack = &scan.stacks().0[output];
        let carried = output < scan.carries;
        assert!(carried || !before, "only what is carried has a value before the step");
        let steps = scan.steps as i64;
        let slot = match carried && scan.backwards {
            true => Affine::constant(steps - 1).plus(&Affine::axis(0).times(-1)),
            false => Affine::axis(0),
        };
        let slot = slot.plus(&Affine::constant(i64::from(carried && !before)));
        let mut at = Affine::constant(stack.offset as i64).plus(&slot.times(stack.stride as i64));
        let mut stride = 1;
        for (axis, &size) in stack.shape.iter().enumerate().rev() {
            at = at.plus(&Affine::axis(axis + 1).times(stride));
            stride *= size as i64;
        }
        let shape = [&[scan.steps], &stack.shape[..]].concat();
        self.view(result, &shape, vec![at.into()], vec![], 0.0)
    }

    /// A view with some of its axes where they lie in its operand, as far as the others keep their order, and the new
    /// numbers of these axes; the node itself if it is no plain view.
    pub(super) fn in_memory_order(&mut self, x: NodeId, axes: &[usize]) -> (NodeId, Vec<usize>) {
        let node = self.graph().node(x);
        let Op::View { positions, guards, .. } = &node.op else {
            return (x, axes.to_vec());
        };
        let affine: Option<Vec<&Affine>> = positions.iter().map(Position::as_affine).collect();
        let (Some(affine), true) = (affine, guards.is_empty()) else {
            return (x, axes.to_vec());
        };
        // The operand's first axis that an axis moves along, and the largest steps first.
        let place = |&axis: &usize| {
            let steps = affine.iter().map(|a| a.coefficient(axis));
            let mut moves = steps.enumerate().filter(|(_, step)| *step != 0);
            moves.next().map(|(at, step)| (at, -step))
        };
        let mut order: Vec<usize> = (0..node.shape.len()).collect();
        order.sort_by_key(place);
        let kept: Vec<usize> = order.iter().copied().filter(|axis| !axes.contains(axis)).collect();
        if !kept.is_sorted() {
            let mut to = axes.to_vec();
            to.sort_unstable();
            let from: Vec<usize> = order.iter().copied().filter(|axis| axes.contains(axis)).collect();
            order = (0..node.shape.len()).collect();
            to.iter().zip(&from).for_each(|(&to, &from)| order[to] = from);
        }
        let summed = (0..order.len()).filter(|&new| axes.contains(&order[new])).collect();
        (self.permute(x, &order), summed)
    }

    /// What a node permutes, with the labels in that one's order; the node itself if it does not only permute.
    pub(super) fn unpermuted(&self, x: NodeId, labels: &[u8]) -> (NodeId, Vec<u8>) {
        let node = self.graph().node(x);
        if let Op::View { positions, guards, .. } = &node.op
            && guards.is_empty()
        {
            let axes: Option<Vec<usize>> = positions.iter().map(Position::as_axis).collect();
            let source = node.operands[0];
            if let Some(axes) = axes
                && axes.len() == labels.len()
                && (0..labels.len()).all(|axis| axes.contains(&axis))
                && axes
                    .iter()
                    .zip(self.shape(source))
                    .all(|(a, size)| node.shape[*a] == *size)
            {
                return (source, axes.iter().map(|axis| labels[*axis]).collect());
            }
        }
        (x, labels.to_vec())
    }
}
