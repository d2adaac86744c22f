//! A sort → element-wise work and reductions: an element's rank is the number of those before it, and at each rank
//! stands the element that has it. Quadratic in the length of the axis, without a branch, and wide in every lane.

use super::normalise::Normal;
use crate::ir::affine::Position;
use crate::ir::graph::{Element, MapFunction, Node, NodeId, Op, ReduceFunction};

impl Normal {
    /// Rewrites `node`, a sort along an axis.
    pub(super) fn add_sort(&mut self, node: Node, origin: NodeId, axis: usize) -> NodeId {
        let rank = node.shape.len();
        let size = node.shape[axis];
        // One more axis at the end, for the element that each one is compared with.
        let wide = [&node.shape[..], &[size]].concat();
        let new = |op, operands, shape: &[usize], element| Node {
            op,
            operands,
            shape: shape.to_vec(),
            element,
            span: node.span,
            caller: node.caller,
        };
        let view = |along: usize| Op::View {
            positions: (0..rank)
                .map(|a| Position::axis(if a == axis { along } else { a }))
                .collect(),
            guards: vec![],
            fill: 0.0,
        };
        let map = |function| Op::Map(function);
        let x = node.operands[0];
        let this = self.add(new(view(axis), vec![x], &wide, Element::Real), origin);
        let other = self.add(new(view(rank), vec![x], &wide, Element::Real), origin);
        let at = self.add(new(Op::Index { axis }, vec![], &wide, Element::Real), origin);
        let other_at = self.add(new(Op::Index { axis: rank }, vec![], &wide, Element::Real), origin);
        let condition = Element::Condition;
        let less = self.add(new(map(MapFunction::Less), vec![other, this], &wide, condition), origin);
        let equal = self.add(
            new(map(MapFunction::Equal), vec![other, this], &wide, condition),
            origin,
        );
        let earlier = self.add(
            new(map(MapFunction::Less), vec![other_at, at], &wide, condition),
            origin,
        );
        let tied = self.add(
            new(map(MapFunction::And), vec![equal, earlier], &wide, condition),
            origin,
        );
        let before = self.add(new(map(MapFunction::Or), vec![less, tied], &wide, condition), origin);
        let one = self.add(new(Op::Constant(1.0), vec![], &wide, Element::Real), origin);
        let zero = self.add(new(Op::Constant(0.0), vec![], &wide, Element::Real), origin);
        let choose = map(MapFunction::Where);
        let counted = self.add(
            new(choose.clone(), vec![before, one, zero], &wide, Element::Real),
            origin,
        );
        let last = |function| Op::Reduce {
            function,
            axes: vec![rank],
        };
        let ranks = self.add(
            new(last(ReduceFunction::Sum), vec![counted], &node.shape, Element::Real),
            origin,
        );
        // Now the last axis runs over the elements, and `axis` over the ranks. The greatest of the indices that have
        // the rank stays inside, even where elements that are no numbers make ranks occur twice or never.
        let of_element = self.add(new(view(rank), vec![ranks], &wide, Element::Real), origin);
        let found = self.add(
            new(map(MapFunction::Equal), vec![of_element, at], &wide, condition),
            origin,
        );
        let index = self.add(new(choose, vec![found, other_at, zero], &wide, Element::Real), origin);
        let order = self.add(
            new(last(ReduceFunction::Maximum), vec![index], &node.shape, Element::Real),
            origin,
        );
        let nothing = self.add(new(Op::Constant(0.0), vec![], &node.shape, Element::Real), origin);
        let op = map(MapFunction::Maximum);
        self.add(new(op, vec![order, nothing], &node.shape, node.element), origin)
    }
}
