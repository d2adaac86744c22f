//! Groups → schedule: tensors, what is updated in place (see `overwrite`), the order of calls (see `order`), shared kernels.

use super::emit::Memory;
use super::group::{GroupKind, Groups};
use super::lower::{Lowered, lowered};
use super::partition::partitioned;
use super::program::{Program, storage_of};
use super::scan::{Embedded, Lies, Place, embedded, stored};
use super::tidy::{Kernels, canonical, written};
use crate::ir::graph::*;
use crate::ir::kernel::*;
use crate::ir::scan::Scan;
use crate::parallel;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What runs: a group, or a copy of one tensor to another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Group(usize),
    Copy { from: TensorId, to: TensorId, node: NodeId },
}

/// A schedule in the making.
pub(super) struct Builder<'a> {
    pub(super) program: &'a Program,
    pub(super) groups: &'a Groups,
    pub(super) tensors: Vec<Tensor>,
    pub(super) of_node: Vec<Option<TensorId>>,
    pub(super) numbers: Option<TensorId>,
    pub(super) random_key: Option<TensorId>,
    /// Whether an anchor is read by another group or is an output.
    pub(super) written: Vec<bool>,
    /// For each leaf node, the groups that read it.
    pub(super) readers: Vec<BTreeSet<usize>>,
    pub(super) units: Vec<Unit>,
    pub(super) before: Vec<BTreeSet<usize>>,
    pub(super) outputs: Vec<(OutputKind, TensorId)>,
    /// The node of each leaf tensor that is read.
    pub(super) leaf_of: HashMap<TensorId, NodeId>,
    /// Leaf tensors that the step overwrites.
    pub(super) updated: BTreeSet<TensorId>,
    /// The copies of old values: which unit makes each, and where it is.
    pub(super) kept: BTreeMap<TensorId, (usize, TensorId)>,
    pub(super) decisions: Vec<Decision>,
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
    pub(super) fn tensor(
        &mut self,
        kind: TensorKind,
        storage: Storage,
        elements: usize,
        node: Option<NodeId>,
    ) -> TensorId {
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

    pub(super) fn leaf(&self, op: &Op) -> Option<TensorId> {
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

    pub(super) fn copy(&mut self, from: TensorId, to: TensorId, node: NodeId) {
        self.units.push(Unit::Copy { from, to, node });
        self.before
            .push(self.groups.group_of[node.0 as usize].into_iter().collect());
    }

    pub(super) fn tensor_of(&mut self, node: NodeId) -> TensorId {
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
