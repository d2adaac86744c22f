//! What a scan keeps of each step for its gradient, so that the backward step computes nothing dear again: of all the
//! ways to keep enough, the one with the fewest elements. It is a minimum cut: from what is dear to what the gradient
//! reads, every path goes through something that is kept.

use super::construct::GraphBuilder;
use super::reverse::differentiate;
use super::verify::type_of;
use crate::ir::graph::{
    Element, Graph, InputDeclaration, InputId, MapFunction, Node, NodeId, Op, Output, OutputKind, elements,
};
use crate::ir::scan::Scan;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The same loop that also keeps what its gradient would compute again at some cost: sums of products, and functions
/// such as `tanh`, unless these have more elements than all that a step works with otherwise. What was kept before
/// stays where it was.
pub fn remembering(scan: &Arc<Scan>) -> Arc<Scan> {
    let mut scan = (**scan).clone();
    for node in kept(&scan) {
        let kind = OutputKind::Value(format!("kept {}", scan.body.outputs.len()));
        scan.body.outputs.push(Output { kind, node });
    }
    Arc::new(scan)
}

/// The values of the forward step that its gradient reads, if everything has one.
fn read_by_gradient(scan: &Scan) -> BTreeSet<NodeId> {
    let body = &scan.body;
    let mut inputs = body.inputs.clone();
    inputs.extend(body.outputs.iter().map(|output| InputDeclaration {
        name: "d".into(),
        shape: body.node(output.node).shape.clone(),
        element: Element::Real,
    }));
    let mut builder = GraphBuilder::new(Graph::declaring(inputs, vec![], vec![], vec![]));
    let mut new: Vec<NodeId> = vec![];
    let mut forward: Vec<Option<NodeId>> = vec![];
    for id in body.ids() {
        let node = body.node(id);
        let operands: Vec<NodeId> = node.operands.iter().map(|o| new[o.0 as usize]).collect();
        new.push(builder.push(node.op.clone(), &operands, type_of(body, id)));
        forward.resize(builder.graph().len(), Some(id));
    }
    let seeds = body.outputs.iter().enumerate().map(|(number, output)| {
        let seed = InputId((body.inputs.len() + number) as u32);
        (new[output.node.0 as usize], builder.input(seed))
    });
    let seeds: Vec<(NodeId, NodeId)> = seeds.collect();
    let reals = (0..body.inputs.len()).filter(|&n| body.inputs[n].element == Element::Real);
    let reals: Vec<usize> = reals.collect();
    let wanted: Vec<NodeId> = reals.iter().map(|&n| builder.input(InputId(n as u32))).collect();
    let mut waiting: Vec<NodeId> = differentiate(&mut builder, &seeds, &wanted)
        .into_iter()
        .flatten()
        .collect();
    let mut seen = BTreeSet::new();
    let mut read = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        match forward.get(id.0 as usize).copied().flatten() {
            Some(of_body) => drop(read.insert(of_body)),
            None if seen.insert(id) => waiting.extend(&builder.graph().node(id).operands),
            None => {}
        }
    }
    read
}

/// What is worth keeping rather than computing again.
fn is_dear(body: &Graph, node: &Node, most: usize) -> bool {
    use MapFunction::*;
    match &node.op {
        Op::Contract { .. } => true,
        Op::Map(Exponential | Logarithm | Sine | Cosine | HyperbolicTangent | Sigmoid | Erf) => {
            elements(&node.shape) <= most
        }
        Op::Map(Power) => {
            let constant = matches!(body.node(node.operands[1]).op, Op::Constant(_));
            !constant && elements(&node.shape) <= most
        }
        _ => false,
    }
}

/// The nodes to keep, in their order.
fn kept(scan: &Scan) -> Vec<NodeId> {
    let body = &scan.body;
    let contracts = body.ids().filter(|&id| matches!(body.node(id).op, Op::Contract { .. }));
    let carried = body.outputs[..scan.carries].iter().map(|o| o.node);
    let sizes = contracts.chain(carried).map(|id| elements(&body.node(id).shape));
    let most = sizes.max().unwrap_or(0);
    let known = |id: NodeId| {
        let is_output = body.outputs.iter().any(|o| o.node == id);
        is_output || matches!(body.node(id).op, Op::Input(_) | Op::Constant(_))
    };
    let read = read_by_gradient(scan);
    let mut flow = Flow::new(body.len());
    let mut waiting: Vec<NodeId> = read.iter().copied().filter(|&id| !known(id)).collect();
    waiting
        .iter()
        .for_each(|&id| flow.join(Flow::behind(id), Flow::END, Flow::ANY));
    let mut seen: BTreeSet<NodeId> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        let node = body.node(id);
        let room = match node.element {
            Element::Real => elements(&node.shape) as u64,
            _ => Flow::ANY,
        };
        flow.join(Flow::before(id), Flow::behind(id), room);
        if is_dear(body, node, most) {
            flow.join(Flow::START, Flow::before(id), Flow::ANY);
            continue;
        }
        for &operand in node.operands.iter().filter(|&&o| !known(o)) {
            flow.join(Flow::behind(operand), Flow::before(id), Flow::ANY);
            if seen.insert(operand) {
                waiting.push(operand);
            }
        }
    }
    let reached = flow.reached_when_full();
    let cut = |id: &NodeId| reached[Flow::before(*id)] && !reached[Flow::behind(*id)];
    seen.into_iter().filter(cut).collect()
}

/// A network of pipes whose every node is two places with a pipe in between.
struct Flow {
    /// From each place: to where, and the room that is left.
    pipes: Vec<BTreeMap<usize, u64>>,
}

impl Flow {
    const START: usize = 0;
    const END: usize = 1;
    /// Room for all that there is.
    const ANY: u64 = u64::MAX / 4;

    fn new(nodes: usize) -> Flow {
        Flow {
            pipes: vec![BTreeMap::new(); 2 * nodes + 2],
        }
    }

    fn before(id: NodeId) -> usize {
        2 * id.0 as usize + 2
    }

    fn behind(id: NodeId) -> usize {
        Flow::before(id) + 1
    }

    fn join(&mut self, from: usize, to: usize, room: u64) {
        self.pipes[from].insert(to, room);
    }

    /// What can still be reached from the start when nothing more flows to the end (Edmonds and Karp 1972).
    fn reached_when_full(&mut self) -> Vec<bool> {
        loop {
            let mut came_from: Vec<Option<usize>> = vec![None; self.pipes.len()];
            let mut waiting = VecDeque::from([Flow::START]);
            while let Some(place) = waiting.pop_front() {
                for (&to, _) in self.pipes[place].iter().filter(|pipe| *pipe.1 > 0) {
                    if to != Flow::START && came_from[to].is_none() {
                        came_from[to] = Some(place);
                        waiting.push_back(to);
                    }
                }
            }
            if came_from[Flow::END].is_none() {
                return came_from.iter().map(Option::is_some).collect();
            }
            let mut path = vec![];
            let mut to = Flow::END;
            while let Some(from) = came_from[to] {
                path.push((from, to));
                to = from;
            }
            let amount = path.iter().map(|(from, to)| self.pipes[*from][to]).min();
            let amount = amount.expect("a path has pipes");
            for (from, to) in path {
                self.pipes[from].entry(to).and_modify(|room| *room -= amount);
                *self.pipes[to].entry(from).or_default() += amount;
            }
        }
    }
}
