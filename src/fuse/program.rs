//! What fusion knows of the normal graph: users, what is stored in memory, how dear a node is to recompute.
//! It chooses the nodes that may be stored; whether one is depends on the kernels that are made.

use super::contract::{arranged, below_views};
use super::normalise::Normal;
use super::position::{inverted, linear};
use super::power::is_short_power;
use super::reason;
use crate::ir::graph::{Element, GatherPosition, Graph, MapFunction, Node, NodeId, Op, elements};
use crate::ir::kernel::{Decision, Storage};

/// Elements of a computed table from which on it should not be kept for the few that are gathered from it.
const LARGE_TABLE: usize = 1 << 12;
/// How many times fewer are few.
const PICKED: usize = 16;

/// The normal graph with what was decided about its nodes.
pub struct Program {
    /// Normal.
    pub graph: Graph,
    /// The given graph's node of each.
    pub origin: Vec<NodeId>,
    /// Whether the node is computed by a kernel of its own or as a member of one (else where it is used).
    pub anchor: Vec<bool>,
    /// Whether it is needed at all.
    pub live: Vec<bool>,
    /// Why.
    pub decisions: Vec<Decision>,
    /// Whether the gradient computes it again.
    again: Vec<bool>,
    /// The first node behind the loss, if anything is computed again.
    behind_loss: Option<NodeId>,
    users: Vec<Vec<NodeId>>,
    work: Vec<u32>,
    in_32_bits: Vec<bool>,
}

/// Instructions beyond which a value with several users is not computed again for each.
const WORK_MAX: u32 = 48;
/// Elements that must share a value for it to be stored, if it costs more than so many instructions.
const SHARED_MIN: usize = 64;
const SHARED_WORK_MAX: u32 = 4;
/// Tensors beyond which a value with several users is not read together again for each.
const READS_MAX: usize = 3;

impl Program {
    /// Decides which nodes are anchors, and whether any is stored in 16 bits.
    pub fn new(normal: Normal, in_16_bits: bool) -> Program {
        let Normal {
            graph,
            origin,
            copies,
            again: again_nodes,
            behind_loss,
            ..
        } = normal;
        let mut again = vec![false; graph.len()];
        again_nodes.iter().for_each(|id| again[id.0 as usize] = true);
        let live = graph.needed();
        let mut users = vec![vec![]; graph.len()];
        for id in graph.ids().filter(|id| live[id.0 as usize]) {
            for operand in &graph.node(id).operands {
                let list: &mut Vec<NodeId> = &mut users[operand.0 as usize];
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        let mut program = Program {
            anchor: vec![false; graph.len()],
            work: vec![0; graph.len()],
            decisions: vec![],
            in_32_bits: match in_16_bits {
                true => read_in_32_bits(&graph, &live),
                false => vec![true; graph.len()],
            },
            graph,
            origin,
            live,
            again,
            behind_loss,
            users,
        };
        for copy in copies {
            program.require(copy, reason::COPY_FOR_PRODUCT);
        }
        program.require_needed();
        program.follow_chains();
        program.require_dear();
        program
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// The nodes that use it, ascending.
    pub fn users(&self, id: NodeId) -> &[NodeId] {
        &self.users[id.0 as usize]
    }

    /// About how many instructions its value costs where it is not loaded.
    pub fn work(&self, id: NodeId) -> u32 {
        self.work[id.0 as usize]
    }

    /// Lies in memory before the step begins.
    pub fn is_leaf(&self, id: NodeId) -> bool {
        matches!(self.node(id).op, Op::Input(_) | Op::Param(_) | Op::State(_))
    }

    /// How its elements lie in memory, if it is stored: in 16 bits where its value is rounded to them.
    pub fn storage(&self, id: NodeId) -> Storage {
        let rounded = match self.in_32_bits[id.0 as usize] {
            true => None,
            false => self.rounded(id),
        };
        rounded.unwrap_or(storage_of(self.node(id).element))
    }

    /// Whether both operands of a contraction are rounded to bfloat16.
    pub fn contracts_bf16(&self, id: NodeId) -> bool {
        let mut operands = self.node(id).operands.iter();
        operands.all(|&o| self.rounded(o) == Some(Storage::Bf16))
    }

    /// What all values of a node are rounded to.
    fn rounded(&self, id: NodeId) -> Option<Storage> {
        let node = self.node(id);
        match &node.op {
            Op::Map(MapFunction::RoundBf16) => Some(Storage::Bf16),
            Op::Map(MapFunction::RoundF16) => Some(Storage::F16),
            Op::View { guards, fill, .. } if guards.is_empty() || *fill == 0.0 => self.rounded(node.operands[0]),
            _ => None,
        }
    }

    /// An anchor or a leaf: others read it from memory.
    pub fn is_stored(&self, id: NodeId) -> bool {
        self.anchor[id.0 as usize] || self.is_leaf(id)
    }

    /// Makes it an anchor, if it is no leaf.
    pub fn require(&mut self, id: NodeId, reason: &'static str) {
        if !self.is_stored(id) {
            self.anchor[id.0 as usize] = true;
            let node = self.origin[id.0 as usize];
            self.decisions.push(Decision { node, reason });
        }
    }

    /// Whether one of these is computed again for the gradient and the other one by the model: in one kernel they would
    /// be computed too early.
    pub fn keeps_apart(&self, one: &[NodeId], other: &[NodeId]) -> bool {
        let again = |ids: &[NodeId]| ids.iter().any(|id| self.again[id.0 as usize]);
        let early = |ids: &[NodeId]| self.behind_loss.is_some_and(|first| ids.iter().any(|&id| id < first));
        (again(one) && early(other)) || (early(one) && again(other))
    }

    /// Whether the node is an output.
    pub fn is_output(&self, id: NodeId) -> bool {
        self.graph.outputs.iter().any(|o| o.node == id)
    }

    fn require_needed(&mut self) {
        for at in 0..self.graph.outputs.len() {
            self.require(self.graph.outputs[at].node, reason::OUTPUT);
        }
        for id in self
            .graph
            .ids()
            .filter(|id| self.live[id.0 as usize])
            .collect::<Vec<_>>()
        {
            let node = self.graph.node(id).clone();
            match &node.op {
                Op::Reduce { .. } => self.require(id, reason::REDUCTION),
                Op::Contract { .. } => {
                    self.require(id, reason::PRODUCT);
                    for &operand in &node.operands {
                        self.require_operand(operand);
                    }
                    if arranged(&self.graph, id, &|n| self.is_stored(n)).is_err() {
                        // A view that was made an anchor stands in a layout that does not fit after all.
                        node.operands.iter().for_each(|&o| self.require(o, reason::OPERAND));
                    }
                }
                Op::Gather { .. } => {
                    let table = node.operands[0];
                    self.require(table, reason::TABLE);
                    let large = elements(&self.node(table).shape);
                    if !self.is_leaf(table) && large >= LARGE_TABLE && elements(&node.shape) * PICKED <= large {
                        self.require(id, reason::PICKED);
                    }
                }
                Op::Scan(scan) => {
                    self.require(id, reason::SCAN);
                    for (number, &operand) in node.operands.iter().enumerate() {
                        let stop = |n| self.is_stored(n);
                        let (root, _) = super::scan::stored(&self.graph, scan, number, operand, &stop);
                        self.require(root, reason::SCANNED);
                    }
                }
                Op::ScatterAdd { positions } if scatters(positions, &self.graph, &node) => {
                    self.require(id, reason::SCATTER);
                    for &operand in &node.operands {
                        let (root, _) = below_views(&self.graph, operand, &|n| self.is_stored(n));
                        self.require(root, reason::OPERAND);
                    }
                }
                _ => {}
            }
        }
    }

    /// The operand of a product: what its views read.
    fn require_operand(&mut self, operand: NodeId) {
        let (root, _) = below_views(&self.graph, operand, &|n| self.is_stored(n));
        self.require(root, reason::OPERAND);
    }

    /// Where a value has one user that is as large, storing the user instead costs nothing: the chain behind each
    /// anchor is followed to the first node that several need.
    fn follow_chains(&mut self) {
        for id in self.graph.ids().collect::<Vec<_>>() {
            if !self.anchor[id.0 as usize] || !self.live[id.0 as usize] {
                continue;
            }
            let (mut end, mut last) = (id, id);
            while let [user] = self.users(end) {
                let user = *user;
                if self.anchor[user.0 as usize] || (end != id && self.is_output(end)) || !self.follows(end, user) {
                    break;
                }
                end = user;
                // Readers fold a view behind the last function; storing it would only scatter the stores.
                if !matches!(self.node(end).op, Op::View { .. }) {
                    last = end;
                }
            }
            let end = last;
            if end != id {
                self.require(end, reason::CHAIN);
            }
        }
    }

    fn follows(&self, from: NodeId, user: NodeId) -> bool {
        let (below, above) = (self.node(from), self.node(user));
        if elements(&below.shape) != elements(&above.shape) || self.is_output(from) {
            return false;
        }
        match &above.op {
            Op::Map(_) => true,
            Op::View { positions, guards, .. } if guards.is_empty() => {
                inverted(&linear(&below.shape, positions, &above.shape), &above.shape).is_some()
            }
            _ => false,
        }
    }

    /// A value that so many elements of a view share that computing it for each would cost more than reading it.
    fn require_shared(&mut self, id: NodeId, elements_of_view: usize) {
        let at = id.0 as usize;
        let node = self.graph.node(id);
        let shared = elements(&node.shape) * SHARED_MIN <= elements_of_view && elements(&node.shape) > 1;
        if shared && self.work[at] > SHARED_WORK_MAX && matches!(node.op, Op::Map(_)) {
            self.require(id, reason::SHARED);
        }
    }

    fn require_dear(&mut self) {
        let mut reads: Vec<Vec<NodeId>> = vec![vec![]; self.graph.len()];
        for id in self.graph.ids().collect::<Vec<_>>() {
            if !self.live[id.0 as usize] {
                continue;
            }
            let node = self.graph.node(id);
            let mut read: Vec<NodeId> = vec![];
            let mut work = weight(&self.graph, node);
            for &operand in &node.operands {
                if self.is_stored(operand) {
                    read.push(operand);
                    work += 1;
                } else {
                    read.extend(&reads[operand.0 as usize]);
                    work = work.saturating_add(self.work[operand.0 as usize]);
                }
            }
            read.sort_unstable();
            read.dedup();
            // Small tensors stay in the cache; a few large ones are all that must be counted.
            let size = elements(&node.shape);
            read.retain(|&r| elements(&self.graph.node(r).shape) * 2 > size);
            read.truncate(READS_MAX + 1);
            self.work[id.0 as usize] = work;
            if let Op::View { .. } = node.op {
                self.require_shared(node.operands[0], size);
            }
            let node = self.graph.node(id);
            let several = self.users(id).len() > 1 && size > 1;
            let pure = matches!(
                node.op,
                Op::Constant(_) | Op::Index { .. } | Op::View { .. } | Op::StepNumber(_)
            );
            if several && !pure && read.len() >= READS_MAX {
                self.require(id, reason::MANY_READS);
            } else if several && !pure && work > WORK_MAX * (1 + u32::from(self.again[id.0 as usize])) {
                self.require(id, reason::LONG);
            }
            reads[id.0 as usize] = read;
        }
    }
}

/// About how many instructions a node adds.
pub fn weight(graph: &Graph, node: &Node) -> u32 {
    match &node.op {
        Op::Map(function) => match function {
            MapFunction::Exponential | MapFunction::Logarithm | MapFunction::Sigmoid | MapFunction::Erf => 16,
            MapFunction::Sine | MapFunction::Cosine | MapFunction::HyperbolicTangent => 24,
            MapFunction::Power => match graph.node(node.operands[1]).op {
                Op::Constant(exponent) if is_short_power(exponent) => 4,
                _ => 40,
            },
            MapFunction::Divide | MapFunction::SquareRoot => 4,
            _ => 1,
        },
        Op::Random { .. } => 16,
        Op::View { guards, .. } => guards.len() as u32,
        _ => 1,
    }
}

/// Whether rows may collide: else the transposed gather is element-wise, a choice by index.
pub fn scatters(positions: &[GatherPosition], graph: &Graph, node: &Node) -> bool {
    let source = &graph.node(node.operands[0]).shape;
    (0..source.len()).any(|axis| source[axis] > 1 && !positions.contains(&GatherPosition::Axis(axis)))
}

/// How elements lie in memory unless they are rounded.
pub fn storage_of(element: Element) -> Storage {
    match element {
        Element::Id { .. } => Storage::I32,
        Element::Real | Element::Condition => Storage::F32,
    }
}

/// Nodes that others than kernels of this graph read, or read without widening: outputs, what scans and scatters read.
fn read_in_32_bits(graph: &Graph, live: &[bool]) -> Vec<bool> {
    let mut marked = vec![false; graph.len()];
    let mut pending: Vec<NodeId> = graph.outputs.iter().map(|o| o.node).collect();
    for id in graph.ids().filter(|id| live[id.0 as usize]) {
        let node = graph.node(id);
        match node.op {
            Op::Scan(_) => pending.extend(&node.operands),
            Op::ScatterAdd { .. } => pending.push(node.operands[0]),
            _ => {}
        }
    }
    // What is read may lie in memory as what its views read.
    while let Some(id) = pending.pop() {
        marked[id.0 as usize] = true;
        if matches!(graph.node(id).op, Op::View { .. }) {
            pending.push(graph.node(id).operands[0]);
        }
    }
    marked
}
