//! Rewrites the graph into the form that fusion works on: no `Stop`, no view of a view, no node without use;
//! contractions that are matrix products in memory (operands copied into shape where they must be; windows: see `window`)
//! or else products and sums. Never decides what is stored.

use super::contract::{Obstacle, arranged, below_views, groups, size_of};
use super::factor::Summed;
use super::fold::folded;
use super::position::composed;
use super::readers::Readers;
use crate::ir::affine::Position;
use crate::ir::graph::{Graph, InputId, MapFunction, Node, NodeId, Op, ParamId, ReduceFunction, StateId, elements};
use std::collections::HashMap;

/// The graph that is fused.
#[derive(Clone)]
pub struct Normal {
    /// Only nodes that an output needs.
    pub graph: Graph,
    /// The node of the given graph that each stems from.
    pub origin: Vec<NodeId>,
    /// Copies into another layout: they must be stored.
    pub copies: Vec<NodeId>,
    /// What the gradient computes again, and the first node behind the loss: see `again`.
    pub again: Vec<NodeId>,
    pub(super) behind_loss: Option<NodeId>,
    /// Views of padded sources, by the guarded views that they stand for.
    pub(super) padded: HashMap<NodeId, (NodeId, NodeId)>,
    leaves: HashMap<(u8, u32), NodeId>,
    quotients: HashMap<NodeId, (NodeId, NodeId)>,
    products: HashMap<NodeId, NodeId>,
    reciprocals: HashMap<NodeId, NodeId>,
    /// Sums by what is summed, and the other way.
    pub(super) sums: HashMap<Summed, NodeId>,
    pub(super) summed: HashMap<NodeId, Summed>,
}

/// Rewrites all that the outputs need.
pub fn normalised(graph: &Graph) -> Normal {
    let needed = graph.needed();
    let readers = Readers::of(graph, &needed);
    let mut normal = Normal::empty(graph);
    let mut new: Vec<Option<NodeId>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| needed[id.0 as usize]) {
        let mut node = graph.node(id).clone();
        for operand in &mut node.operands {
            *operand = new[operand.0 as usize].expect("operands come first");
        }
        if let Some(value) = folded(&normal.graph, &node) {
            node.op = Op::Constant(value);
            node.operands.clear();
        }
        let order = match node.op {
            Op::Contract { .. } => readers.order(id),
            _ => None,
        };
        new[id.0 as usize] = Some(match order {
            Some(order) => normal.add_ordered(node, id, &order),
            None => normal.add(node, id),
        });
    }
    for output in &graph.outputs {
        let mut output = output.clone();
        output.node = new[output.node.0 as usize].expect("outputs are needed");
        normal.graph.outputs.push(output);
    }
    normal
}

/// Terms from which on a sum over several axes is taken in two turns.
const LONG_SUM: usize = 4096;
/// So many elements must share a divisor for a reciprocal to be worth its place.
const FEWER_DIVISIONS: usize = 4;
/// Sums of at most this many products are not worth a matrix product's packing.
const PRODUCTS_MIN: usize = 4096;

impl Normal {
    /// No nodes yet, for the same inputs, parameters and states.
    pub(super) fn empty(graph: &Graph) -> Normal {
        Normal {
            graph: Graph::with_declarations_of(graph),
            origin: vec![],
            copies: vec![],
            again: vec![],
            behind_loss: None,
            padded: HashMap::new(),
            leaves: HashMap::new(),
            quotients: HashMap::new(),
            products: HashMap::new(),
            reciprocals: HashMap::new(),
            sums: HashMap::new(),
            summed: HashMap::new(),
        }
    }

    pub(super) fn push(&mut self, node: Node, origin: NodeId) -> NodeId {
        self.origin.push(origin);
        self.graph.add(node)
    }

    /// Adds a node, rewritten.
    pub(super) fn add(&mut self, node: Node, origin: NodeId) -> NodeId {
        match &node.op {
            Op::Input(InputId(i)) => self.add_leaf((0, *i), node, origin),
            Op::Param(ParamId(i)) => self.add_leaf((1, *i), node, origin),
            Op::State(StateId(i)) => self.add_leaf((2, *i), node, origin),
            Op::Stop => node.operands[0],
            Op::View { .. } => self.add_view(node, origin),
            Op::Reduce { axes, .. } if self.reduces_nothing(&node, axes) => self.add_squeeze(node, origin),
            Op::Reduce { function, axes } if *function == ReduceFunction::Sum => {
                let axes = axes.clone();
                match self.sum_over_windows(&node, &axes) {
                    Some(windowed) => self.add_over_windows(windowed, origin),
                    None => self.add_sum(node, origin, &axes),
                }
            }
            Op::Map(MapFunction::Divide) => self.add_quotient(node, origin),
            Op::Map(_) => self.add_map(node, origin),
            Op::Sort { axis } => {
                let axis = *axis;
                self.add_sort(node, origin, axis)
            }
            Op::Contract { a, b, out } => {
                let (a, b, out) = (a.clone(), b.clone(), out.clone());
                self.add_contract(node, origin, &a, &b, &out)
            }
            _ => self.push(node, origin),
        }
    }

    /// Adds a contraction whose result has its axes in an order, and gives it as it was.
    fn add_ordered(&mut self, node: Node, origin: NodeId, order: &[usize]) -> NodeId {
        let mut ordered = node.clone();
        ordered.shape = order.iter().map(|&axis| node.shape[axis]).collect();
        if let Op::Contract { out, .. } = &mut ordered.op {
            *out = order.iter().map(|&axis| out[axis]).collect();
        }
        let positions = order.iter().map(|&axis| Position::axis(axis)).collect();
        let view = Op::View {
            positions,
            guards: vec![],
            fill: 0.0,
        };
        let contraction = self.add(ordered, origin);
        let node = Node {
            op: view,
            operands: vec![contraction],
            ..node
        };
        self.add(node, origin)
    }

    fn reduces_nothing(&self, node: &Node, axes: &[usize]) -> bool {
        let shape = &self.graph.node(node.operands[0]).shape;
        axes.iter().all(|&a| shape[a] == 1)
    }

    /// A reduction over axes of one index reads its operand.
    fn add_squeeze(&mut self, mut node: Node, origin: NodeId) -> NodeId {
        let Op::Reduce { axes, .. } = &node.op else {
            unreachable!("a reduction")
        };
        let rank = self.graph.node(node.operands[0]).shape.len();
        let mut kept = 0;
        let positions = (0..rank).map(|axis| {
            if axes.contains(&axis) {
                return Position::default();
            }
            kept += 1;
            Position::axis(kept - 1)
        });
        node.op = Op::View {
            positions: positions.collect(),
            guards: vec![],
            fill: 0.0,
        };
        self.add_view(node, origin)
    }

    /// Whether a sum over several axes has so many terms that one chain of them would round too much and leave too little
    /// to do at once.
    fn is_long(&self, node: &Node, axes: &[usize]) -> bool {
        let shape = &self.graph.node(node.operands[0]).shape;
        let terms: usize = axes.iter().map(|&a| shape[a]).product();
        let longest = axes.iter().map(|&a| shape[a]).max();
        terms >= LONG_SUM && longest.is_some_and(|longest| longest < terms)
    }

    /// A sum of terms as they are.
    pub(super) fn add_plain_sum(&mut self, node: Node, origin: NodeId, axes: &[usize]) -> NodeId {
        match self.is_long(&node, axes) {
            true => self.add_long_sum(node, origin, axes),
            false => self.push(node, origin),
        }
    }

    /// The inner axes first, then the outermost one: sums of sums, each short.
    fn add_long_sum(&mut self, node: Node, origin: NodeId, axes: &[usize]) -> NodeId {
        let shape = self.graph.node(node.operands[0]).shape.clone();
        let sum = |axes: Vec<usize>| Op::Reduce {
            function: ReduceFunction::Sum,
            axes,
        };
        let first = axes
            .iter()
            .copied()
            .find(|&a| shape[a] > 1)
            .expect("a long sum has terms");
        let inner: Vec<usize> = axes.iter().copied().filter(|&a| a != first).collect();
        let kept: Vec<usize> = (0..shape.len()).filter(|a| !inner.contains(a)).collect();
        let outer = kept.iter().position(|&a| a == first).expect("it is kept");
        let partial = Node {
            op: sum(inner),
            operands: node.operands.clone(),
            shape: kept.iter().map(|&a| shape[a]).collect(),
            ..node.clone()
        };
        let partial = self.add(partial, origin);
        let op = sum(vec![outer]);
        self.add(
            Node {
                op,
                operands: vec![partial],
                ..node
            },
            origin,
        )
    }

    /// Remembers `y = e^x / t`: who needs `e^x` later multiplies `y` by `t` again, instead of keeping `x`.
    /// Division by what is the same for many elements: one division, and a product for each of them.
    fn add_quotient(&mut self, mut node: Node, origin: NodeId) -> NodeId {
        let (above, below) = (node.operands[0], node.operands[1]);
        let exponential = matches!(self.graph.node(above).op, Op::Map(MapFunction::Exponential));
        let Some(reciprocal) = self.shared_reciprocal(below, origin) else {
            return self.add_map(node, origin);
        };
        node.op = Op::Map(MapFunction::Multiply);
        node.operands[1] = reciprocal;
        let id = self.add_map(node, origin);
        if exponential && matches!(self.graph.node(below).op, Op::View { .. }) {
            self.quotients.entry(above).or_insert((id, below));
        }
        id
    }

    /// `1 / below` where that takes fewer divisions than `below` has elements.
    fn shared_reciprocal(&mut self, below: NodeId, origin: NodeId) -> Option<NodeId> {
        let node = self.graph.node(below).clone();
        match &node.op {
            Op::Constant(value) => {
                let op = Op::Constant(1.0 / value);
                Some(self.push(Node { op, ..node }, origin))
            }
            Op::View { guards, .. } if guards.is_empty() => {
                let root = self.graph.node(node.operands[0]).clone();
                if elements(&root.shape) * FEWER_DIVISIONS > elements(&node.shape) {
                    return None;
                }
                let reciprocal = match self.reciprocals.get(&node.operands[0]) {
                    Some(&known) => known,
                    None => {
                        let operands = vec![];
                        let one = self.push(
                            Node {
                                op: Op::Constant(1.0),
                                operands,
                                ..root.clone()
                            },
                            origin,
                        );
                        let (op, operands) = (Op::Map(MapFunction::Divide), vec![one, node.operands[0]]);
                        let id = self.push(Node { op, operands, ..root }, origin);
                        self.reciprocals.insert(node.operands[0], id);
                        id
                    }
                };
                Some(self.push(
                    Node {
                        operands: vec![reciprocal],
                        ..node
                    },
                    origin,
                ))
            }
            _ => None,
        }
    }

    fn add_map(&mut self, mut node: Node, origin: NodeId) -> NodeId {
        for at in 0..node.operands.len() {
            if let Some(&(quotient, divisor)) = self.quotients.get(&node.operands[at]) {
                node.operands[at] = self.add_product_again(quotient, divisor, origin);
            }
        }
        self.push(node, origin)
    }

    fn add_product_again(&mut self, quotient: NodeId, divisor: NodeId, origin: NodeId) -> NodeId {
        if let Some(&known) = self.products.get(&quotient) {
            return known;
        }
        let node = Node {
            op: Op::Map(MapFunction::Multiply),
            operands: vec![quotient, divisor],
            ..self.graph.node(quotient).clone()
        };
        let id = self.push(node, origin);
        self.products.insert(quotient, id);
        id
    }

    /// One node for each tensor, so that all of its readers are known.
    fn add_leaf(&mut self, key: (u8, u32), node: Node, origin: NodeId) -> NodeId {
        if let Some(&known) = self.leaves.get(&key) {
            return known;
        }
        let id = self.push(node, origin);
        self.leaves.insert(key, id);
        id
    }

    fn add_view(&mut self, node: Node, origin: NodeId) -> NodeId {
        let node = self.composed_view(node);
        let Op::View { positions, guards, .. } = &node.op else {
            unreachable!("a view stays one")
        };
        let identity = positions.iter().enumerate().all(|(axis, p)| p.as_axis() == Some(axis));
        if identity && guards.is_empty() && self.graph.node(node.operands[0]).shape == node.shape {
            return node.operands[0];
        }
        self.push(node, origin)
    }

    /// A view of what the view below reads, if its positions can be written.
    pub(super) fn composed_view(&self, mut node: Node) -> Node {
        loop {
            let below = self.graph.node(node.operands[0]);
            let (
                Op::View {
                    positions,
                    guards,
                    fill,
                },
                Op::View {
                    positions: inner,
                    guards: none,
                    ..
                },
            ) = (&node.op, &below.op)
            else {
                return node;
            };
            let composed: Option<Vec<Position>> = inner.iter().map(|p| composed(p, positions, &node.shape)).collect();
            let (Some(positions), true) = (composed, none.is_empty()) else {
                return node;
            };
            node.op = Op::View {
                positions,
                guards: guards.clone(),
                fill: *fill,
            };
            node.operands = below.operands.clone();
        }
    }

    fn add_contract(&mut self, mut node: Node, origin: NodeId, a: &[u8], b: &[u8], out: &[u8]) -> NodeId {
        let shapes = [0, 1].map(|i| self.graph.node(node.operands[i]).shape.clone());
        let size = |label: u8| size_of(label, (a, &shapes[0]), (b, &shapes[1]));
        let sorted = groups(a, b, out);
        let extent = |labels: &[u8]| labels.iter().map(|&l| size(l)).product::<usize>();
        let (rows, columns, summed) = (extent(&sorted.rows), extent(&sorted.columns), extent(&sorted.summed));
        let small = rows == 1 || columns == 1 || summed <= 1 || rows * columns * summed <= PRODUCTS_MIN;
        if sorted.odd || small {
            return self.add_products_and_sum(node, origin, a, b, out);
        }
        let mut labels = [a.to_vec(), b.to_vec()];
        self.pad_windows(&mut node, origin);
        loop {
            let id = self.push(node.clone(), origin);
            let Err(obstacle) = arranged(&self.graph, id, &|n| self.copies.contains(&n)) else {
                return id;
            };
            // The contraction just added is left without use; the operand in the way is stored as it is if that
            // helps, else in another order of its axes.
            let mut which = if obstacle == Obstacle::First { 0 } else { 1 };
            // The sum runs in the order in which the operand that stays lies in memory.
            let summed = |stays: usize| -> Vec<u8> {
                let stop = |n| self.copies.contains(&n);
                let (_, element) = below_views(&self.graph, node.operands[stays], &stop);
                let mut axes: Vec<(i64, u8)> = vec![];
                for (axis, label) in labels[stays]
                    .iter()
                    .enumerate()
                    .filter(|(_, l)| sorted.summed.contains(l))
                {
                    axes.push((element.affine.coefficient(axis), *label));
                }
                axes.sort_by_key(|(stride, _)| std::cmp::Reverse(*stride));
                axes.into_iter().map(|(_, label)| label).collect()
            };
            // What the result's last axis is of has its columns side by side, as they mostly lay before.
            let has_columns = out.last().is_some_and(|last| sorted.rows.contains(last));
            let order = |which: usize| match which {
                0 if has_columns => [&sorted.batch[..], &summed(1), &sorted.rows[..]].concat(),
                0 => [&sorted.batch[..], &sorted.rows[..], &summed(1)].concat(),
                _ => [&sorted.batch[..], &summed(0), &sorted.columns[..]].concat(),
            };
            // Both may have one stride for each group and yet sum in different orders: then the other one gives way.
            let is_view = |id: NodeId| matches!(self.graph.node(id).op, Op::View { .. }) && !self.copies.contains(&id);
            if labels[which] == order(which) && !is_view(node.operands[which]) {
                which = 1 - which;
            }
            let operand = node.operands[which];
            if matches!(self.graph.node(operand).op, Op::View { .. }) && !self.copies.contains(&operand) {
                self.copies.push(operand);
                continue;
            }
            let order: Vec<u8> = order(which);
            assert_ne!(labels[which], order, "a matrix in order is a matrix");
            self.copies.retain(|&c| c != operand);
            node.operands[which] = self.copy(operand, &labels[which], &order, origin);
            labels[which] = order;
            node.op = Op::Contract {
                a: labels[0].clone(),
                b: labels[1].clone(),
                out: out.to_vec(),
            };
        }
    }

    /// The operand with its axes in another order, to be stored so.
    fn copy(&mut self, operand: NodeId, labels: &[u8], order: &[u8], origin: NodeId) -> NodeId {
        let source = self.graph.node(operand).clone();
        let axis_of = |label: u8| order.iter().position(|&l| l == label).expect("a permutation");
        let shape = order
            .iter()
            .map(|l| source.shape[labels.iter().position(|k| k == l).expect("a permutation")])
            .collect();
        let node = Node {
            op: Op::View {
                positions: labels.iter().map(|&l| Position::axis(axis_of(l))).collect(),
                guards: vec![],
                fill: 0.0,
            },
            operands: vec![operand],
            shape,
            ..source
        };
        let node = self.composed_view(node);
        let id = self.push(node, origin);
        self.copies.push(id);
        id
    }

    /// The same as an element-wise product and a sum; the summed axes stand where the larger operand has its last one.
    fn add_products_and_sum(&mut self, node: Node, origin: NodeId, a: &[u8], b: &[u8], out: &[u8]) -> NodeId {
        let shapes = [0, 1].map(|i| self.graph.node(node.operands[i]).shape.clone());
        let mut summed: Vec<u8> = vec![];
        for &label in a.iter().chain(b) {
            if !out.contains(&label) && !summed.contains(&label) {
                summed.push(label);
            }
        }
        let larger = if elements(&shapes[0]) >= elements(&shapes[1]) {
            a
        } else {
            b
        };
        let along_sum = larger.last().is_none_or(|l| summed.contains(l)) || out.is_empty();
        let order: Vec<u8> = match along_sum {
            true => [out, &summed[..]].concat(),
            false => [&summed[..], out].concat(),
        };
        let sizes: Vec<usize> = order
            .iter()
            .map(|&l| size_of(l, (a, &shapes[0]), (b, &shapes[1])))
            .collect();
        let axis_of = |label: u8| order.iter().position(|&l| l == label).expect("every label is in order");
        let sides: Vec<NodeId> = [a, b]
            .iter()
            .zip(&node.operands)
            .map(|(labels, &operand)| {
                let view = Node {
                    op: Op::View {
                        positions: labels.iter().map(|&l| Position::axis(axis_of(l))).collect(),
                        guards: vec![],
                        fill: 0.0,
                    },
                    operands: vec![operand],
                    shape: sizes.clone(),
                    ..node.clone()
                };
                self.add_view(view, origin)
            })
            .collect();
        let product = Node {
            op: Op::Map(MapFunction::Multiply),
            operands: sides,
            shape: sizes,
            ..node.clone()
        };
        let product = self.push(product, origin);
        if summed.is_empty() {
            return product;
        }
        let axes = summed.iter().map(|&l| axis_of(l)).collect();
        let reduce = Node {
            op: Op::Reduce {
                function: ReduceFunction::Sum,
                axes,
            },
            operands: vec![product],
            ..node
        };
        self.add(reduce, origin)
    }
}
