//! The gradient of a scan: a scan in the other direction. Each of its steps has what the forward step had (from the
//! forward result, where it was kept, else computed again) and the gradient of what the forward step made. How the steps'
//! parts of a value that all of them see are summed has a file of its own.

use super::Backward;
use super::construct::GraphBuilder;
use super::reverse::differentiate;
use super::scan_whole::{Part, summed};
use super::verify::type_of;
use crate::ir::graph::{Element, Graph, InputDeclaration, InputId, NodeId, Op, OutputKind};
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
pub(super) enum Source {
    /// The gradient of a carry, carried itself.
    Gradient(usize),
    /// A sequence outside.
    Sequence(NodeId),
    /// A value outside, whole.
    Whole(NodeId),
}

/// The backward step in the making.
pub(super) struct Step {
    pub(super) builder: GraphBuilder,
    /// What stands for an inner node in the backward step.
    pub(super) sources: HashMap<NodeId, Source>,
    /// The forward step's inputs.
    inputs: Vec<NodeId>,
    /// How many values the scan carries.
    carries: usize,
    /// What the backward step gives, each once: the carries' gradients, then what is kept.
    outputs: Vec<NodeId>,
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
            carries: scan.carries,
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
                slices.insert(n, self.keep(gradient));
            } else {
                let mut parts = vec![];
                self.parts(gradient, &mut parts);
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
    pub(super) fn keep(&mut self, node: NodeId) -> usize {
        let known = self.outputs[self.carries..].iter().position(|&o| o == node);
        known.map(|at| at + self.carries).unwrap_or_else(|| {
            self.outputs.push(node);
            self.outputs.len() - 1
        })
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
