//! Groups → schedule: tensors, what is updated in place, the order of calls, shared kernels.

use super::emit::Memory;
use super::group::{GroupKind, Groups};
use super::lower::{Lowered, lowered};
use super::partition::partitioned;
use super::position::composed;
use super::program::{Program, storage_of};
use super::reason;
use super::scan::{Embedded, Lies, Place, embedded, stored};
use super::tidy::{Kernels, canonical, written};
use super::walk::domain;
use crate::ir::graph::*;
use crate::ir::kernel::*;
use crate::ir::scan::Scan;
use crate::parallel;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// Elements of a tensor that should not be kept for a kernel that can run at once.
const LARGE: usize = 1 << 16;
/// How many times less a kernel stores than it reads, if that is little.
const LITTLE: usize = 16;

/// What runs: a group, or a copy of one tensor to another.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Group(usize),
    Copy { from: TensorId, to: TensorId, node: NodeId },
}

struct Builder<'a> {
    program: &'a Program,
    groups: &'a Groups,
    tensors: Vec<Tensor>,
    of_node: Vec<Option<TensorId>>,
    numbers: Option<TensorId>,
    random_key: Option<TensorId>,
    /// Whether an anchor is read by another group or is an output.
    written: Vec<bool>,
    /// For each leaf node, the groups that read it.
    readers: Vec<BTreeSet<usize>>,
    units: Vec<Unit>,
    before: Vec<BTreeSet<usize>>,
    outputs: Vec<(OutputKind, TensorId)>,
    /// The node of each leaf tensor that is read.
    leaf_of: HashMap<TensorId, NodeId>,
    /// Leaf tensors that the step overwrites.
    updated: BTreeSet<TensorId>,
    /// The copies of old values: which unit makes each, and where it is.
    kept: BTreeMap<TensorId, (usize, TensorId)>,
    decisions: Vec<Decision>,
}

impl Memory for Builder<'_> {
    fn tensor(&self, node: NodeId) -> TensorId {
        self.of_node[node.0 as usize].expect("what is read is stored")
    }
    fn numbers(&self) -> TensorId {
        self.numbers.expect("there are step numbers")
    }
    fn random_key(&self) -> TensorId {
        self.random_key.expect("something draws")
    }
}

/// Makes the schedule.
pub fn scheduled(program: &Program, groups: &Groups) -> Schedule {
    let count = program.graph.len();
    let mut builder = Builder {
        program,
        groups,
        tensors: vec![],
        of_node: vec![None; count],
        numbers: None,
        random_key: None,
        written: vec![false; count],
        readers: vec![BTreeSet::new(); count],
        units: (0..groups.groups.len()).map(Unit::Group).collect(),
        before: groups.groups.iter().map(|g| g.reads_from.clone()).collect(),
        outputs: vec![],
        leaf_of: HashMap::new(),
        updated: BTreeSet::new(),
        kept: BTreeMap::new(),
        decisions: vec![],
    };
    builder.declare();
    builder.find_reads();
    builder.place_outputs();
    builder.place_temporaries();
    let order = builder.order();
    builder.schedule(&order)
}

impl Builder<'_> {
    fn tensor(&mut self, kind: TensorKind, storage: Storage, elements: usize, node: Option<NodeId>) -> TensorId {
        self.tensors.push(Tensor {
            kind,
            storage,
            elements,
            node,
        });
        TensorId(self.tensors.len() as u32 - 1)
    }

    /// The tensors that exist before the step.
    fn declare(&mut self) {
        let graph = &self.program.graph;
        for (i, input) in graph.inputs.iter().enumerate() {
            let kind = TensorKind::Input(InputId(i as u32));
            self.tensor(kind, storage_of(input.element), elements(&input.shape), None);
        }
        for (i, param) in graph.params.iter().enumerate() {
            self.tensor(
                TensorKind::Param(ParamId(i as u32)),
                Storage::F32,
                elements(&param.shape),
                None,
            );
        }
        for (i, state) in graph.states.iter().enumerate() {
            self.tensor(
                TensorKind::State(StateId(i as u32)),
                Storage::F32,
                elements(&state.shape),
                None,
            );
        }
        if !graph.numbers.is_empty() {
            self.numbers = Some(self.tensor(TensorKind::Numbers, Storage::F32, graph.numbers.len(), None));
        }
        let live = |id: &NodeId| self.program.live[id.0 as usize];
        if graph
            .ids()
            .filter(live)
            .any(|id| matches!(graph.node(id).op, Op::Random { .. }))
        {
            self.random_key = Some(self.tensor(TensorKind::RandomKey, Storage::I32, 2, None));
        }
        for id in graph.ids() {
            if let Some(tensor) = self.leaf(&graph.node(id).op) {
                self.of_node[id.0 as usize] = Some(tensor);
                self.leaf_of.insert(tensor, id);
                let origin = self.program.origin[id.0 as usize];
                self.tensors[tensor.0 as usize].node.get_or_insert(origin);
            }
        }
    }

    fn leaf(&self, op: &Op) -> Option<TensorId> {
        let graph = &self.program.graph;
        let number = match op {
            Op::Input(id) => id.0 as usize,
            Op::Param(id) => graph.inputs.len() + id.0 as usize,
            Op::State(id) => graph.inputs.len() + graph.params.len() + id.0 as usize,
            _ => return None,
        };
        Some(TensorId(number as u32))
    }

    fn find_reads(&mut self) {
        for (number, group) in self.groups.groups.iter().enumerate() {
            for &member in &group.members {
                for read in &self.groups.reads[member.0 as usize] {
                    let node = read.node.0 as usize;
                    if self.program.is_leaf(read.node) {
                        self.readers[node].insert(number);
                    } else if self.groups.group_of[node] != Some(number) {
                        self.written[node] = true;
                    }
                }
            }
        }
        for output in &self.program.graph.outputs {
            self.written[output.node.0 as usize] = true;
        }
    }

    /// Updates go into the tensor that they update if its old value is no longer read then; other outputs get their own.
    fn place_outputs(&mut self) {
        let outputs = self.program.graph.outputs.clone();
        let target_of = |builder: &Self, output: &Output| match output.kind {
            OutputKind::ParamUpdate(id) => builder.leaf(&Op::Param(id)),
            OutputKind::StateUpdate(id) => builder.leaf(&Op::State(id)),
            _ => None,
        };
        for output in &outputs {
            if let Some(target) = target_of(self, output)
                && self.of_node[output.node.0 as usize] != Some(target)
            {
                self.updated.insert(target);
            }
        }
        for output in &outputs {
            let tensor = match target_of(self, output) {
                Some(target) => {
                    self.place_update(output.node, target);
                    target
                }
                None if self.is_overwritten(output.node) => self.kept(output.node).1,
                None => self.tensor_of(output.node),
            };
            self.outputs.push((output.kind.clone(), tensor));
        }
        // Old values are kept before anyone writes new ones.
        for (tensor, (copy, _)) in std::mem::take(&mut self.kept) {
            for unit in 0..self.units.len() {
                if unit != copy && self.writes(unit, tensor) {
                    self.before[unit].insert(copy);
                }
            }
        }
    }

    fn is_overwritten(&self, node: NodeId) -> bool {
        let tensor = self.of_node[node.0 as usize];
        self.program.is_leaf(node) && tensor.is_some_and(|t| self.updated.contains(&t))
    }

    /// A copy of a leaf's old value, and the unit that makes it.
    fn kept(&mut self, leaf: NodeId) -> (usize, TensorId) {
        let tensor = self.tensor_of(leaf);
        if let Some(&kept) = self.kept.get(&tensor) {
            return kept;
        }
        let Tensor { storage, elements, .. } = self.tensors[tensor.0 as usize];
        let to = self.tensor(TensorKind::Temporary, storage, elements, None);
        self.copy(tensor, to, leaf);
        let kept = (self.units.len() - 1, to);
        self.kept.insert(tensor, kept);
        kept
    }

    fn writes(&self, unit: usize, tensor: TensorId) -> bool {
        match self.units[unit] {
            Unit::Copy { to, .. } => to == tensor,
            Unit::Group(group) => self.groups.groups[group]
                .members
                .iter()
                .any(|m| self.of_node[m.0 as usize] == Some(tensor)),
        }
    }

    fn place_update(&mut self, node: NodeId, target: TensorId) {
        let leaf = self.leaf_of.get(&target).copied();
        if leaf == Some(node) {
            return;
        }
        let group = self.groups.group_of[node.0 as usize];
        if let Some(group) = group
            && self.of_node[node.0 as usize].is_none()
            && self.in_place(node, group, leaf)
        {
            self.decide(node, reason::IN_PLACE);
            self.of_node[node.0 as usize] = Some(target);
            if let Some(leaf) = leaf {
                let others: Vec<usize> = self.readers[leaf.0 as usize]
                    .iter()
                    .copied()
                    .filter(|&g| g != group)
                    .collect();
                self.before[group].extend(others);
            }
            return;
        }
        self.decide(node, reason::NOT_IN_PLACE);
        let kept = self.is_overwritten(node).then(|| self.kept(node));
        let from = kept.map_or_else(|| self.tensor_of(node), |k| k.1);
        self.copy(from, target, node);
        let copy = self.units.len() - 1;
        self.before[copy].extend(kept.map(|k| k.0));
        if let Some(leaf) = leaf {
            let readers = self.readers[leaf.0 as usize].clone();
            self.before[copy].extend(readers);
        }
    }

    fn decide(&mut self, node: NodeId, reason: &'static str) {
        let node = self.program.origin[node.0 as usize];
        self.decisions.push(Decision { node, reason });
    }

    /// Whether the group may overwrite the leaf: it reads it only where it writes it, and no reader waits for the group.
    fn in_place(&self, node: NodeId, group: usize, leaf: Option<NodeId>) -> bool {
        let Some(leaf) = leaf else { return true };
        if self.program.node(leaf).shape != self.program.node(node).shape {
            return false;
        }
        let mut others = self.readers[leaf.0 as usize].iter().filter(|&&g| g != group);
        if others.any(|&g| self.waits_for(g, group)) {
            return false;
        }
        let own = self.groups.placement[node.0 as usize]
            .as_ref()
            .expect("a member is placed");
        let members = &self.groups.groups[group].members;
        // Later passes may read again what the store would have overwritten.
        let depths = self.groups.depths(self.program, group);
        let at = members.binary_search(&node).expect("a member of its group");
        if depths.iter().any(|&d| d > depths[at]) {
            return false;
        }
        members.iter().all(|&member| {
            let mut reads = self.groups.reads[member.0 as usize].iter().filter(|r| r.node == leaf);
            let sizes = domain(self.program, member);
            let (place, in_row) = self
                .groups
                .place_of(self.program, member, self.groups.groups[group].vector);
            reads.all(|read| {
                let same = composed(&own.element, std::slice::from_ref(&place), sizes);
                in_row == own.row && self.groups.groups[group].kind != GroupKind::Columns && same == read.element
            })
        })
    }

    /// Whether a unit runs behind another.
    fn waits_for(&self, unit: usize, other: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![unit];
        while let Some(at) = pending.pop() {
            if at == other {
                return true;
            }
            if seen.insert(at) {
                pending.extend(&self.before[at]);
            }
        }
        false
    }

    fn copy(&mut self, from: TensorId, to: TensorId, node: NodeId) {
        self.units.push(Unit::Copy { from, to, node });
        self.before
            .push(self.groups.group_of[node.0 as usize].into_iter().collect());
    }

    fn tensor_of(&mut self, node: NodeId) -> TensorId {
        if let Some(tensor) = self.of_node[node.0 as usize] {
            return tensor;
        }
        let described = self.program.node(node);
        let (storage, size) = (self.program.storage(node), elements(&described.shape));
        let origin = self.program.origin[node.0 as usize];
        let tensor = self.tensor(TensorKind::Temporary, storage, size, Some(origin));
        self.of_node[node.0 as usize] = Some(tensor);
        tensor
    }

    fn place_temporaries(&mut self) {
        for id in self.program.graph.ids() {
            if self.written[id.0 as usize] {
                self.tensor_of(id);
            }
        }
    }

    /// Topological: what reads a large tensor and stores little as soon as it can run, so that nothing is kept for it;
    /// else the unit with the earliest node first. A gradient is squared for the norm and used for the update where it is
    /// made, unless the update waits for the norm of all of them.
    fn order(&self) -> Vec<usize> {
        let live: Vec<usize> = (0..self.units.len())
            .filter(|&u| match self.units[u] {
                Unit::Group(g) => !self.groups.groups[g].members.is_empty(),
                Unit::Copy { .. } => true,
            })
            .collect();
        let first = |unit: usize| match self.units[unit] {
            Unit::Group(g) => self.groups.groups[g].members[0],
            Unit::Copy { node, .. } => node,
        };
        let priority = |unit: usize| Reverse((!self.gives_back(unit), first(unit), unit));
        let mut waiting: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut behind: Vec<Vec<usize>> = vec![vec![]; self.units.len()];
        for &unit in &live {
            self.before[unit].iter().for_each(|&b| behind[b].push(unit));
        }
        let ready = live.iter().filter(|&&u| waiting[u] == 0);
        let mut ready: BinaryHeap<Reverse<(bool, NodeId, usize)>> = ready.map(|&u| priority(u)).collect();
        let mut order = vec![];
        while let Some(Reverse((_, _, unit))) = ready.pop() {
            order.push(unit);
            for &next in &behind[unit] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(priority(next));
                }
            }
        }
        assert_eq!(
            order.len(),
            live.len(),
            "kernels do not wait for each other in a circle"
        );
        order
    }

    /// Whether a unit reads a large temporary tensor and stores little: it updates parameters or states, or adds up.
    fn gives_back(&self, unit: usize) -> bool {
        let Unit::Group(at) = self.units[unit] else {
            return false;
        };
        let group = &self.groups.groups[at];
        let size = |node: NodeId| elements(&self.program.node(node).shape);
        let is_update = |m: &NodeId| self.of_node[m.0 as usize].is_some_and(|t| self.updated.contains(&t));
        let stored = group
            .members
            .iter()
            .filter(|m| self.written[m.0 as usize] && !is_update(m));
        let stored: usize = stored.map(|&m| size(m)).sum();
        let reads = group.members.iter().flat_map(|m| &self.groups.reads[m.0 as usize]);
        let from_others = reads.filter(|r| self.groups.group_of[r.node.0 as usize].is_some_and(|g| g != at));
        let largest = from_others.map(|r| size(r.node)).max().unwrap_or(0);
        largest >= LARGE && stored * LITTLE <= largest
    }

    /// Where an operand of a scan lies; `node` is the scan's.
    fn operand(&mut self, node: NodeId, scan: &Scan, number: usize, operand: NodeId) -> (TensorId, Lies) {
        let reads = &self.groups.reads[node.0 as usize];
        let stop = |n| reads.iter().any(|r| r.node == n);
        let (root, lies) = stored(&self.program.graph, scan, number, operand, &stop);
        (self.tensor_of(root), lies)
    }

    /// The calls of a scan.
    fn scan(&mut self, node: NodeId) -> Embedded {
        let program = self.program;
        let described = program.node(node);
        let Op::Scan(scan) = &described.op else {
            unreachable!("a group of a scan holds a scan")
        };
        let place = Place {
            scan,
            node: program.origin[node.0 as usize],
            span: described.span,
            caller: described.caller,
            result: self.tensor_of(node),
            operands: described
                .operands
                .iter()
                .enumerate()
                .map(|(n, &o)| self.operand(node, scan, n, o))
                .collect(),
        };
        embedded(&place, &mut |storage, size| {
            self.tensor(TensorKind::Temporary, storage, size, None)
        })
    }

    /// A kernel in its canonical form, and the tensors of its buffers.
    fn kernel(&self, mut body: KernelBody, tensors: &[TensorId]) -> (Kernel, Vec<TensorId>) {
        let tensors = canonical(&mut body, tensors);
        let writes = written(&mut body);
        let buffers = tensors.iter().enumerate().map(|(i, t)| {
            let tensor = &self.tensors[t.0 as usize];
            Buffer {
                storage: tensor.storage,
                elements: tensor.elements,
                written: writes.contains(&BufferId(i as u32)),
            }
        });
        let buffers = buffers.collect();
        (Kernel { buffers, body }, tensors)
    }

    /// The kernels of a unit, each with the tensors of its buffers; a scan makes its own.
    fn made(&self, unit: usize) -> Vec<(Kernel, Vec<TensorId>)> {
        let (body, tensors) = match self.units[unit] {
            Unit::Copy { from, to, .. } => {
                let length = self.tensors[from.0 as usize].elements;
                (LoopKernel::copy(length), vec![from, to])
            }
            Unit::Group(at) if self.groups.groups[at].kind == GroupKind::Scan => return vec![],
            Unit::Group(at) => {
                let Lowered { body, tensors } =
                    lowered(self.program, self.groups, at, self, &|id| self.written[id.0 as usize]);
                (body, tensors)
            }
        };
        let storage_of = |buffer: BufferId| self.tensors[tensors[buffer.0 as usize].0 as usize].storage;
        let parts = partitioned(body, &storage_of).into_iter();
        parts.map(|body| self.kernel(body, &tensors)).collect()
    }

    fn schedule(mut self, order: &[usize]) -> Schedule {
        let mut made = parallel::map(order.len(), parallel::threads(), |at| self.made(order[at])).into_iter();
        let mut kernels = Kernels::default();
        let mut calls = vec![];
        let mut loops = vec![];
        for &unit in order {
            let made = made.next().expect("one for each unit");
            if let Unit::Group(at) = self.units[unit]
                && self.groups.groups[at].kind == GroupKind::Scan
            {
                let node = self.groups.groups[at].members[0];
                let embedded = self.scan(node);
                embedded.put(&mut kernels, &mut calls, &mut loops);
                continue;
            }
            let (nodes, name) = match self.units[unit] {
                Unit::Copy { node, .. } => (vec![node], "copy".to_string()),
                Unit::Group(at) => {
                    let members = self.groups.groups[at].members.clone();
                    (members, name(self.program, self.groups, at))
                }
            };
            let origin = |id: &NodeId| self.program.origin[id.0 as usize];
            for (kernel, tensors) in made {
                calls.push(Call {
                    kernel: kernels.number(kernel),
                    tensors,
                    slices: vec![],
                    nodes: nodes.iter().map(origin).collect(),
                    span: self.program.node(nodes[0]).span,
                    caller: self.program.node(nodes[0]).caller,
                    name: name.clone(),
                });
            }
        }
        let mut decisions = self.program.decisions.clone();
        decisions.extend(self.decisions);
        decisions.sort_by_key(|d| d.node);
        Schedule {
            kernels: kernels.list,
            calls,
            loops,
            bands: vec![],
            tensors: self.tensors,
            outputs: self.outputs,
            decisions,
        }
    }
}

/// What a group does, in words.
fn name(program: &Program, groups: &Groups, at: usize) -> String {
    let group = &groups.groups[at];
    let mut words: Vec<&str> = vec![match group.kind {
        GroupKind::Product => "product",
        GroupKind::Scatter => "scatter",
        GroupKind::Scan => "scan",
        GroupKind::Columns => "columns",
        GroupKind::Rows if group.vector.is_some() => "rows",
        GroupKind::Rows => "elements",
    }];
    for &member in &group.members {
        let word = match program.node(member).op {
            Op::Reduce { function, .. } => match function {
                ReduceFunction::Sum => "sum",
                ReduceFunction::Maximum => "max",
                ReduceFunction::Minimum => "min",
                ReduceFunction::Product => "prod",
            },
            Op::Map(_) => "map",
            Op::View { .. } => "view",
            Op::Gather { .. } => "gather",
            _ => continue,
        };
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" + ")
}
