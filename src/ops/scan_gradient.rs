//! The gradient of a scan: a scan in the other direction. Each of its steps has what the forward step had (from the
//! forward result, where it was kept, else computed again) and the gradient of what the forward step made.
//!
//! A value that every step sees whole gets a sum over all steps. Where a step's part is a sum of products, `Σ_k a b`,
//! the steps keep `a` and `b`, and one contraction behind the loop sums over steps and `k` at once: the gradient of a
//! recurrent weight is one matrix product for the whole sequence (and not one for each step that is added to memory).

use super::Backward;
use super::construct::GraphBuilder;
use super::reverse::differentiate;
use super::verify::type_of;
use crate::ir::affine::Position;
use crate::ir::graph::{
    Element, Graph, InputDeclaration, InputId, MapFunction, Node, NodeId, Op, OutputKind, ReduceFunction,
};
use crate::ir::scan::Scan;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What each operand of a scan gets of the gradient of its result.
pub fn gradient(scan: &Arc<Scan>, backward: &mut Backward) -> Vec<Option<NodeId>> {
    let (seeds, inner) = Step::of(scan, backward);
    let Some(step) = inner else {
        return vec![None; backward.operands.len()];
    };
    step.run(scan, backward, seeds)
}

/// What an input of the backward step is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Source {
    /// The gradient of a carry, carried itself.
    Gradient(usize),
    /// A sequence outside.
    Sequence(NodeId),
    /// A value outside, whole.
    Whole(NodeId),
}

/// The backward step in the making.
struct Step {
    builder: GraphBuilder,
    /// What stands for an inner node in the backward step.
    sources: HashMap<NodeId, Source>,
    /// The forward step's inputs.
    inputs: Vec<NodeId>,
    /// What the backward step gives, each once: the carries' gradients, then what is kept.
    outputs: Vec<NodeId>,
}

/// A part of a whole value's gradient, as it is summed outside.
enum Part {
    Product { sides: [(Side, Vec<u8>); 2], out: Vec<u8> },
    Sum { value: Side, axes: Vec<usize> },
}

/// A factor, as it is known outside.
#[derive(Clone, Copy)]
enum Side {
    Kept(usize),
    Outside(Source),
}

impl Step {
    /// The inner nodes that gradients reach, and the step; `None` where no gradient arrives at all.
    fn of(scan: &Scan, backward: &mut Backward) -> (Vec<(NodeId, NodeId)>, Option<Step>) {
        let result = backward.node;
        let mut declarations = Graph::declaring(scan.body.inputs.clone(), vec![], vec![], vec![]);
        let declare = |graph: &mut Graph, shape: &[usize]| {
            graph.inputs.push(InputDeclaration {
                name: format!("d {}", graph.inputs.len()),
                shape: shape.to_vec(),
                element: Element::Real,
            });
            InputId(graph.inputs.len() as u32 - 1)
        };
        let shapes: Vec<Vec<usize>> = scan.stacks().0.into_iter().map(|s| s.shape).collect();
        let carried: Vec<InputId> = (0..scan.carries)
            .map(|n| declare(&mut declarations, &shapes[n]))
            .collect();
        let mut arriving = vec![];
        for (output, shape) in shapes.iter().enumerate() {
            let gradient = backward.builder.scanned(backward.gradient, scan, output, false);
            if backward.builder.as_constant(gradient) != Some(0.0) {
                arriving.push((output, declare(&mut declarations, shape), gradient));
            }
        }
        let mut step = Step {
            builder: GraphBuilder::new(declarations),
            sources: HashMap::new(),
            inputs: vec![],
            outputs: vec![],
        };
        let new = step.copy(&scan.body);
        step.inputs = (0..scan.body.inputs.len())
            .map(|i| step.builder.input(InputId(i as u32)))
            .collect();
        step.know_forward_values(scan, backward, result, &new);
        let mut seeds = vec![];
        for (n, &input) in carried.iter().enumerate() {
            let node = step.builder.input(input);
            step.sources.insert(node, Source::Gradient(n));
            seeds.push((new[scan.body.outputs[n].node.0 as usize], node));
        }
        if arriving.is_empty() {
            return (seeds, None);
        }
        for (output, input, gradient) in arriving {
            let node = step.builder.input(input);
            step.sources.insert(node, Source::Sequence(gradient));
            seeds.push((new[scan.body.outputs[output].node.0 as usize], node));
        }
        (seeds, Some(step))
    }

    fn copy(&mut self, body: &Graph) -> Vec<NodeId> {
        let mut new: Vec<NodeId> = vec![];
        for id in body.ids() {
            let node = body.node(id);
            let operands: Vec<NodeId> = node.operands.iter().map(|o| new[o.0 as usize]).collect();
            self.builder.follow(node);
            new.push(self.builder.push(node.op.clone(), &operands, type_of(body, id)));
        }
        new
    }

    /// Values of the forward step that lie in memory: its inputs, and what it gave.
    fn know_forward_values(&mut self, scan: &Scan, backward: &mut Backward, result: NodeId, new: &[NodeId]) {
        for (output, found) in scan.body.outputs.iter().enumerate() {
            if matches!(scan.body.node(found.node).op, Op::Constant(_)) {
                continue;
            }
            let sequence = backward.builder.scanned(result, scan, output, false);
            self.sources
                .insert(new[found.node.0 as usize], Source::Sequence(sequence));
        }
        for (number, &input) in self.inputs.iter().enumerate() {
            let source = match number {
                n if n < scan.carries => Source::Sequence(backward.builder.scanned(result, scan, n, true)),
                n if n < scan.carries + scan.slices => Source::Sequence(backward.operands[n]),
                n => Source::Whole(backward.operands[n]),
            };
            self.sources.insert(input, source);
        }
    }

    fn run(mut self, scan: &Scan, backward: &mut Backward, seeds: Vec<(NodeId, NodeId)>) -> Vec<Option<NodeId>> {
        let reals = |n: &usize| scan.body.inputs[*n].element == Element::Real;
        let wanted: Vec<usize> = (0..self.inputs.len())
            .filter(|n| *n < scan.carries || backward.wanted[*n])
            .filter(reals)
            .collect();
        let nodes: Vec<NodeId> = wanted.iter().map(|&n| self.inputs[n]).collect();
        let found = differentiate(&mut self.builder, &seeds, &nodes);
        let found: HashMap<usize, Option<NodeId>> = wanted.into_iter().zip(found).collect();
        for n in 0..scan.carries {
            let gradient = found.get(&n).copied().flatten();
            let gradient = gradient.unwrap_or_else(|| self.builder.constant(&scan.body.inputs[n].shape, 0.0));
            self.outputs.push(gradient);
        }
        let mut slices: BTreeMap<usize, usize> = BTreeMap::new();
        let mut wholes: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
        for n in scan.carries..self.inputs.len() {
            let Some(gradient) = found.get(&n).copied().flatten() else {
                continue;
            };
            if n < scan.carries + scan.slices {
                slices.insert(n, self.keep(gradient, scan.carries));
            } else {
                let mut parts = vec![];
                self.parts(gradient, scan.carries, &mut parts);
                wholes.insert(n, parts);
            }
        }
        let (adjoint, operands) = self.finish(scan, backward.builder);
        let result = backward.builder.scan(&adjoint, &operands);
        let mut grads = vec![None; backward.operands.len()];
        for (n, grad) in grads.iter_mut().enumerate() {
            if n < scan.carries && backward.wanted[n] {
                // The last step that runs backwards is the first one forwards.
                let steps = backward.builder.scanned(result, &adjoint, n, false);
                let first = backward.builder.slice(steps, 0, scan.place(0), 1);
                let shape = scan.body.inputs[n].shape.clone();
                let first = backward.builder.reshape(first, &shape);
                // What it started with is read from the result, too.
                let start = backward.builder.scanned(backward.gradient, scan, n, true);
                let start = backward.builder.slice(start, 0, scan.place(0), 1);
                let start = backward.builder.reshape(start, &shape);
                *grad = Some(match backward.builder.as_constant(start) {
                    Some(0.0) => first,
                    _ => backward.builder.add(first, start),
                });
            } else if let Some(&output) = slices.get(&n) {
                *grad = Some(backward.builder.scanned(result, &adjoint, output, false));
            } else if let Some(parts) = wholes.remove(&n) {
                *grad = summed(parts, &adjoint, result, backward.builder);
            }
        }
        grads
    }

    /// The number of the output that keeps a value of each step.
    fn keep(&mut self, node: NodeId, carries: usize) -> usize {
        let known = self.outputs[carries..].iter().position(|&o| o == node);
        known.map(|at| at + carries).unwrap_or_else(|| {
            self.outputs.push(node);
            self.outputs.len() - 1
        })
    }

    fn side(&mut self, node: NodeId, carries: usize) -> Side {
        match self.sources.get(&node) {
            Some(&source @ (Source::Sequence(_) | Source::Whole(_))) => Side::Outside(source),
            _ => Side::Kept(self.keep(node, carries)),
        }
    }

    /// What a step adds to a whole value's gradient, as sums that can be taken outside.
    fn parts(&mut self, gradient: NodeId, carries: usize, parts: &mut Vec<Part>) {
        let node = self.builder.graph().node(gradient).clone();
        match &node.op {
            Op::Map(MapFunction::Add) => {
                for operand in node.operands {
                    self.parts(operand, carries, parts);
                }
            }
            Op::Contract { out, .. } => parts.push(self.product(&node, out.clone(), carries)),
            Op::View { positions, guards, .. } if guards.is_empty() => {
                let below = self.builder.graph().node(node.operands[0]).clone();
                match (&below.op, permuted(positions, &node.shape)) {
                    (Op::Contract { out, .. }, Some(order)) => {
                        let out = order.iter().map(|&axis| out[axis]).collect();
                        parts.push(self.product(&below, out, carries));
                    }
                    _ => {
                        let value = self.side(gradient, carries);
                        parts.push(Part::Sum { value, axes: vec![] });
                    }
                }
            }
            Op::Reduce {
                function: ReduceFunction::Sum,
                axes,
            } => {
                let value = self.side(node.operands[0], carries);
                let axes = axes.clone();
                parts.push(Part::Sum { value, axes });
            }
            _ => {
                let value = self.side(gradient, carries);
                parts.push(Part::Sum { value, axes: vec![] });
            }
        }
    }

    fn product(&mut self, node: &Node, out: Vec<u8>, carries: usize) -> Part {
        let Op::Contract { a, b, .. } = &node.op else {
            unreachable!("a product is a contraction")
        };
        let sides = [
            (self.side(node.operands[0], carries), a.clone()),
            (self.side(node.operands[1], carries), b.clone()),
        ];
        Part::Product { sides, out }
    }

    /// The backward scan: only what its outputs need, with known values as inputs.
    fn finish(&self, scan: &Scan, outer: &mut GraphBuilder) -> (Arc<Scan>, Vec<NodeId>) {
        let graph = self.builder.graph();
        let mut needed = vec![false; graph.len()];
        self.outputs.iter().for_each(|o| needed[o.0 as usize] = true);
        let mut used: Vec<Source> = vec![];
        for id in graph.ids().rev() {
            if !needed[id.0 as usize] {
                continue;
            }
            match self.sources.get(&id) {
                Some(source) => used.push(*source),
                None => {
                    let operands = &graph.node(id).operands;
                    operands.iter().for_each(|o| needed[o.0 as usize] = true);
                }
            }
        }
        used.extend((0..scan.carries).map(Source::Gradient));
        used.sort_unstable();
        used.dedup();
        let mut operands = vec![];
        let mut inputs = vec![];
        for source in &used {
            let (node, name) = match *source {
                Source::Gradient(n) => {
                    let start = outer.constant(&scan.body.inputs[n].shape, 0.0);
                    (start, format!("d {}", scan.body.inputs[n].name))
                }
                Source::Sequence(node) => (node, format!("step of {node}")),
                Source::Whole(node) => (node, node.to_string()),
            };
            let described = outer.graph().node(node);
            let skipped = usize::from(matches!(source, Source::Sequence(_)));
            let (shape, element) = (described.shape[skipped..].to_vec(), described.element);
            inputs.push(InputDeclaration { name, shape, element });
            operands.push(node);
        }
        let declarations = Graph::declaring(inputs, vec![], vec![], vec![]);
        let mut copy = Rewrite {
            step: self,
            builder: GraphBuilder::new(declarations),
            used: &used,
            new: HashMap::new(),
        };
        for (number, &output) in self.outputs.iter().enumerate() {
            let node = copy.node(output);
            copy.builder
                .output(OutputKind::Value(format!("gradient {number}")), node);
        }
        let body = copy.builder.finish();
        let sequences = used.iter().filter(|s| matches!(s, Source::Sequence(_))).count();
        let adjoint = Scan {
            steps: scan.steps,
            backwards: !scan.backwards,
            body,
            carries: scan.carries,
            slices: sequences,
        };
        (Arc::new(adjoint), operands)
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

/// The step's graph, rewritten over its sources.
struct Rewrite<'s> {
    step: &'s Step,
    builder: GraphBuilder,
    used: &'s [Source],
    new: HashMap<NodeId, NodeId>,
}

impl Rewrite<'_> {
    fn node(&mut self, id: NodeId) -> NodeId {
        if let Some(&known) = self.new.get(&id) {
            return known;
        }
        let graph = self.step.builder.graph();
        let new = match self.step.sources.get(&id) {
            Some(source) => {
                let at = self
                    .used
                    .iter()
                    .position(|u| u == source)
                    .expect("a source that is used");
                self.builder.input(InputId(at as u32))
            }
            None => {
                let node = graph.node(id);
                let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.node(o)).collect();
                self.builder.follow(node);
                self.builder.push(node.op.clone(), &operands, type_of(graph, id))
            }
        };
        self.new.insert(id, new);
        new
    }
}

/// The sum of all parts over all steps.
fn summed(parts: Vec<Part>, adjoint: &Scan, result: NodeId, builder: &mut GraphBuilder) -> Option<NodeId> {
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
