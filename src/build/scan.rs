//! A scan of the program → one [`Op::Scan`](crate::ir::graph::Op::Scan): the equations of a step become its body; what
//! they need of the tensors around, already as each step needs it, becomes its operands.

use super::lower::{self, Outside};
use crate::ir::graph::{Graph, InputDeclaration, InputId, Node, NodeId, Op, OutputKind};
use crate::ir::model::{Definition, Equation, Expr, IndexId, Program, TensorId, WalkId};
use crate::ir::scan::Scan;
use crate::ops::construct::GraphBuilder;
use std::sync::Arc;

/// Which tensors are made in the steps of scans.
pub struct Steps<'p> {
    program: &'p Program,
    needed: &'p [bool],
    /// Of each tensor, the scan in whose steps it is made.
    inside: Vec<Option<WalkId>>,
}

impl<'p> Steps<'p> {
    /// What depends on a carry or on the step's number is made in the step.
    pub fn of(program: &'p Program, needed: &'p [bool]) -> Steps<'p> {
        let mut inside: Vec<Option<WalkId>> = vec![None; program.tensors.len()];
        for (at, tensor) in program.tensors.iter().enumerate() {
            inside[at] = match &tensor.definition {
                Definition::Carry { walk, .. } => Some(*walk),
                Definition::Equation(equation) => {
                    let mut found = equation.walked.map(|(walk, _)| walk);
                    equation.body.reads(&mut |id| found = found.or(inside[id.0 as usize]));
                    found
                }
                Definition::Sorted { of, .. } => inside[of.0 as usize],
                _ => None,
            };
        }
        Steps {
            program,
            needed,
            inside,
        }
    }

    /// Whether a tensor is made in the steps of a scan.
    pub fn inside(&self, tensor: usize) -> bool {
        self.inside[tensor].is_some()
    }

    /// The value of every step, along an axis.
    pub fn walked(
        &self,
        walk: WalkId,
        value: TensorId,
        axis: usize,
        nodes: &[Option<NodeId>],
        builder: &mut GraphBuilder,
    ) -> NodeId {
        let described = &self.program.walks[walk.0 as usize];
        let place = (builder.span, builder.caller);
        let mut step = Step {
            steps: self,
            walk,
            nodes,
            outer: builder,
            inputs: vec![],
        };
        let mut body = GraphBuilder::new(Graph::default());
        let mut own: Vec<Option<NodeId>> = vec![None; self.program.tensors.len()];
        for carried in &described.carries {
            let initial = nodes[carried.initial.0 as usize].expect("what a carry starts with is made before");
            own[carried.carry.0 as usize] = Some(step.input(Taken::Carry, initial, &mut body));
        }
        for (at, tensor) in self.program.tensors.iter().enumerate() {
            if !self.needed[at] || self.inside[at] != Some(walk) {
                continue;
            }
            (body.span, body.caller) = (tensor.span, self.program.callers[at]);
            (step.outer.span, step.outer.caller) = (body.span, body.caller);
            match &tensor.definition {
                Definition::Equation(equation) => {
                    own[at] = Some(lower::step_equation(equation, &own, &mut body, &mut step));
                }
                Definition::Sorted { of, axis } => {
                    own[at] = own[of.0 as usize].map(|of| body.sort(of, *axis));
                }
                _ => {}
            }
        }
        let of = |id: TensorId, step: &mut Step, body: &mut GraphBuilder| match own[id.0 as usize] {
            Some(node) => node,
            None => step.take_whole(id, body),
        };
        for (number, carried) in described.carries.iter().enumerate() {
            let next = of(carried.next, &mut step, &mut body);
            body.output(OutputKind::Value(format!("next {number}")), next);
        }
        // A value that goes on to the next step is there already.
        let carries = described.carries.iter();
        let next = carries.clone().position(|c| c.next == value);
        let before = carries.clone().position(|c| c.carry == value);
        let (output, before) = match (next, before) {
            (Some(number), _) => (number, false),
            (None, Some(number)) => (number, true),
            (None, None) => {
                let value = of(value, &mut step, &mut body);
                body.output(OutputKind::Value("yield".into()), value);
                (described.carries.len(), false)
            }
        };
        let (scan, operands) = step.finish(body.finish(), described.steps, described.backwards);
        (builder.span, builder.caller) = place;
        let result = builder.scan(&scan, &operands);
        let steps_first = builder.scanned(result, &scan, output, before);
        let rank = builder.shape(steps_first).len();
        let order: Vec<usize> = (1..=axis).chain([0]).chain(axis + 1..rank).collect();
        builder.permute(steps_first, &order)
    }
}

/// How a step takes a tensor that lies around it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Taken {
    Carry,
    Slice,
    Whole,
}

/// A step in the making.
struct Step<'a> {
    steps: &'a Steps<'a>,
    walk: WalkId,
    /// The tensors around.
    nodes: &'a [Option<NodeId>],
    outer: &'a mut GraphBuilder,
    /// In the order in which the body numbers them.
    inputs: Vec<(Taken, NodeId)>,
}

impl Step<'_> {
    /// The body's input for a node around it.
    fn input(&mut self, taken: Taken, node: NodeId, body: &mut GraphBuilder) -> NodeId {
        if taken != Taken::Carry
            && let Some(value) = self.outer.as_constant(node)
        {
            let described = self.outer.graph().node(node);
            let shape = described.shape[usize::from(taken == Taken::Slice)..].to_vec();
            let element = described.element;
            return body.constant_of(crate::ops::TensorType { shape, element }, value);
        }
        let known = self
            .inputs
            .iter()
            .position(|i| taken != Taken::Carry && *i == (taken, node));
        let number = known.unwrap_or_else(|| {
            let described = self.outer.graph().node(node);
            let shape = described.shape[usize::from(taken == Taken::Slice)..].to_vec();
            body.declarations().inputs.push(InputDeclaration {
                name: format!("{taken:?} {node}").to_lowercase(),
                shape,
                element: described.element,
            });
            self.inputs.push((taken, node));
            self.inputs.len() - 1
        });
        body.input(InputId(number as u32))
    }

    /// The scan with its inputs in their order: carries, sequences, whole tensors.
    fn finish(self, body: Graph, steps: usize, backwards: bool) -> (Arc<Scan>, Vec<NodeId>) {
        let mut order: Vec<usize> = (0..self.inputs.len()).collect();
        order.sort_by_key(|&i| (self.inputs[i].0, i));
        let inputs = order.iter().map(|&i| body.inputs[i].clone()).collect();
        let mut sorted = Graph::declaring(inputs, vec![], vec![], vec![]);
        for id in body.ids() {
            let node = body.node(id).clone();
            let op = match node.op {
                Op::Input(InputId(i)) => {
                    let new = order.iter().position(|&o| o == i as usize);
                    Op::Input(InputId(new.expect("every input has a place") as u32))
                }
                op => op,
            };
            sorted.add(Node { op, ..node });
        }
        sorted.outputs = body.outputs;
        let count = |taken: Taken| self.inputs.iter().filter(|i| i.0 == taken).count();
        let scan = Scan {
            steps,
            backwards,
            body: sorted,
            carries: count(Taken::Carry),
            slices: count(Taken::Slice),
        };
        (Arc::new(scan), order.iter().map(|&i| self.inputs[i].1).collect())
    }
}

impl Outside for Step<'_> {
    fn makes(&self, tensor: TensorId) -> bool {
        self.steps.inside[tensor.0 as usize] == Some(self.walk)
    }

    fn take(
        &mut self,
        equation: &Equation,
        expr: &Expr,
        around: &[IndexId],
        body: &mut GraphBuilder,
    ) -> (NodeId, Vec<IndexId>) {
        let (node, steps, indices) = lower::all_steps(equation, expr, around, self.nodes, self.outer);
        let taken = if steps { Taken::Slice } else { Taken::Whole };
        (self.input(taken, node, body), indices)
    }

    fn take_whole(&mut self, tensor: TensorId, body: &mut GraphBuilder) -> NodeId {
        let node = self.nodes[tensor.0 as usize].expect("a step reads tensors above its scan");
        self.input(Taken::Whole, node, body)
    }
}
