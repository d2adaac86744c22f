//! Makes the kernel of a group: its members' expressions in passes over rows, behind a reduction of leading axes, or
//! behind a matrix product. It decides how work is cut into tasks, by shape alone.

use super::body::{Bodies, Slot, Value};
use super::contract::arranged;
use super::emit::{Emitter, Memory};
use super::group::{GroupKind, Groups};
use super::layout::{Axes, Loops, axes_of, finish, member_element, member_index};
use super::program::Program;
use super::scatter::scattered;
use super::tidy::without_unused;
use crate::ir::affine::Position;
use crate::ir::graph::{NodeId, Op};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

/// A kernel's body and the tensors of its buffers.
pub struct Lowered {
    /// What it does.
    pub body: KernelBody,
    /// In the order of its buffers.
    pub tensors: Vec<TensorId>,
}

/// Makes the kernel of a group; `written` says which members are stored.
pub fn lowered(
    program: &Program,
    groups: &Groups,
    at: usize,
    memory: &dyn Memory,
    written: &dyn Fn(NodeId) -> bool,
) -> Lowered {
    let group = &groups.groups[at];
    let axes = match group.kind {
        GroupKind::Scatter => return scattered(program, group.members[0], memory),
        _ => axes_of(program, group),
    };
    let index_of = |&id: &NodeId| {
        let placement = groups.placement[id.0 as usize].as_ref().expect("a member is placed");
        Some((id, member_index(program, id, placement, &axes)?))
    };
    let indices = group.members.iter().filter_map(index_of).collect();
    let lowering = Lowering {
        program,
        groups,
        at,
        written,
        emitter: Emitter::new(program, memory, axes.sizes.clone(), Bodies::new(&[], 0..0), indices),
        axes,
        stores: vec![],
    };
    match group.kind {
        GroupKind::Rows => lowering.rows(),
        GroupKind::Columns => lowering.columns(),
        _ => lowering.product(memory),
    }
}

struct Lowering<'a> {
    program: &'a Program,
    groups: &'a Groups,
    at: usize,
    written: &'a dyn Fn(NodeId) -> bool,
    emitter: Emitter<'a>,
    axes: Axes,
    stores: Vec<(NodeId, Position, Value, usize)>,
}

impl Lowering<'_> {
    fn members(&self) -> Vec<NodeId> {
        self.groups.groups[self.at].members.clone()
    }

    /// Computes a member for its store, in a body.
    fn store_later(&mut self, id: NodeId, slot: usize) {
        let placement = self.groups.placement[id.0 as usize]
            .as_ref()
            .expect("a member is placed");
        let at = member_element(self.program, id, placement, &self.axes);
        let value = match self.emitter.ready.get(&id) {
            Some(&value) => value,
            None => {
                let index = self.emitter.members[&id].clone();
                self.emitter.bodies.current = slot;
                self.emitter.expression(id, &index, &[])
            }
        };
        self.stores.push((id, at, value, slot));
    }

    /// Stores stand behind all loads, since a tensor may be updated in place.
    fn put_stores(&mut self) {
        for (id, at, value, slot) in std::mem::take(&mut self.stores) {
            self.emitter.bodies.current = slot;
            self.emitter.store(id, at, value);
        }
    }

    /// A reduction's operand in the current body.
    fn operand(&mut self, id: NodeId) -> Value {
        let index = self.emitter.members[&id].clone();
        let value = self.emitter.value(self.program.node(id).operands[0], &index, &[]);
        self.emitter.bodies.as_real(value)
    }

    fn function(&self, id: NodeId) -> Option<crate::ir::graph::ReduceFunction> {
        match self.program.node(id).op {
            Op::Reduce { function, .. } => Some(function),
            _ => None,
        }
    }

    /// One row pass and one vector pass for each depth.
    fn rows(mut self) -> Lowered {
        let members = self.members();
        let depths = self.groups.depths(self.program, self.at);
        let deepest = members
            .iter()
            .zip(&depths)
            .map(|(&m, d)| d + usize::from(self.function(m).is_some()))
            .max();
        let deepest = deepest.expect("a group has members");
        let rows: Vec<bool> = (0..=2 * deepest + 1).map(|slot| slot % 2 == 0).collect();
        let vector = self.axes.sizes.len() - 1;
        self.emitter.bodies = Bodies::new(&rows, vector..vector + 1);
        self.emitter.keeps = true;
        for depth in 0..=deepest {
            for (&id, _) in members.iter().zip(&depths).filter(|(_, d)| **d == depth) {
                let placement = self.groups.placement[id.0 as usize]
                    .as_ref()
                    .expect("a member is placed");
                let row = placement.row;
                if let Some(function) = self.function(id) {
                    self.emitter.bodies.current = 2 * depth + 1;
                    let value = self.operand(id);
                    let value = self
                        .emitter
                        .bodies
                        .reduce(function, value, Along::Vector, 2 * (depth + 1));
                    self.emitter.ready.insert(id, value);
                    if (self.written)(id) {
                        self.store_later(id, 2 * (depth + 1));
                    }
                } else if (self.written)(id) {
                    self.store_later(id, if row { 2 * depth } else { 2 * depth + 1 });
                }
            }
        }
        self.put_stores();
        self.finished_rows()
    }

    fn finished_rows(mut self) -> Lowered {
        let slots = &mut self.emitter.bodies.slots;
        without_unused(slots);
        let reduces = self.axes.along_vector;
        // An element-wise kernel has one body: it may be cut along the vector axis.
        let elementwise = !reduces && self.emitter.rows_kept == 0;
        let loops = finish(slots, &self.axes, reduces);
        let mut passes = passes_of(slots);
        let count = self.emitter.rows_kept;
        let rows: usize = loops.outer.iter().product();
        let instructions: usize = passes.iter().map(|p| p.body.len()).sum();
        let per_task = (TASK_INSTRUCTIONS / instructions.max(1)).max(LANES);
        let cut = elementwise && rows < ROWS_ENOUGH && loops.vector > per_task;
        if cut || (elementwise && rows == 1) {
            join_passes(&mut passes);
        }
        self.kernel(loops, passes, count, cut.then_some(per_task), per_task)
    }

    fn kernel(
        self,
        loops: Loops,
        passes: Vec<Pass>,
        rows_kept: u32,
        cut: Option<usize>,
        elements_per_task: usize,
    ) -> Lowered {
        let body = LoopKernel {
            rows_per_task: match cut {
                Some(_) => 1,
                None => (elements_per_task / loops.vector).max(1),
            },
            vector_per_task: cut.map(|cut| cut.next_multiple_of(4 * LANES)),
            outer: loops.outer,
            vector: loops.vector,
            rows_kept,
            passes,
        };
        Lowered {
            body: KernelBody::Loop(body),
            tensors: self.emitter.tensors,
        }
    }

    /// A sequential loop for each element of the result, then what follows.
    fn columns(mut self) -> Lowered {
        let members = self.members();
        let vector = self.axes.sizes.len() - 1;
        let varying = self.axes.sequential.start..vector + 1;
        self.emitter.bodies = Bodies::new(&[true, false, false, true], varying);
        let tail = if self.axes.along_vector { 3 } else { 2 };
        for &id in &members {
            let Some(function) = self.function(id) else {
                continue;
            };
            self.emitter.bodies.current = 1;
            let value = self.operand(id);
            let mut value = self.emitter.bodies.reduce(function, value, Along::Sequential, 2);
            if self.axes.along_vector {
                self.emitter.bodies.current = 2;
                value = self.emitter.bodies.reduce(function, value, Along::Vector, 3);
            }
            self.emitter.ready.insert(id, value);
        }
        for &member in members.iter().filter(|&&m| (self.written)(m)) {
            self.store_later(member, tail);
        }
        self.put_stores();
        let along_vector = self.axes.along_vector;
        let slots = &mut self.emitter.bodies.slots;
        without_unused(slots);
        let loops = finish(slots, &self.axes, along_vector);
        let [before, body, behind, after] = slots.as_slice() else {
            unreachable!("four bodies")
        };
        let mut passes = vec![];
        if !before.body.is_empty() {
            passes.push(row_pass(before.body.clone()));
        }
        passes.push(Pass {
            vector: true,
            sequential: loops.sequential.clone(),
            body: body.body.clone(),
            finish: behind.body.clone(),
            beyond: None,
        });
        if !after.body.is_empty() {
            passes.push(row_pass(after.body.clone()));
        }
        let length: usize = loops.sequential.iter().product();
        let per_task = (TASK_INSTRUCTIONS / (body.body.len() * length).max(1)).max(4 * LANES);
        let rows: usize = loops.outer.iter().product();
        let cut = !along_vector && rows < ROWS_ENOUGH && loops.vector > per_task;
        if cut && passes.len() > 1 {
            let before = passes.remove(0).body;
            let pass = &mut passes[0];
            // What is the same for the row is computed in both bodies, each for itself.
            pass.finish = duplicated(&before, &pass.finish, &mut self.emitter.bodies);
            pass.body = [before, std::mem::take(&mut pass.body)].concat();
            let mut both = [Slot::default(), Slot::default()];
            both[0].body = std::mem::take(&mut pass.body);
            both[1].body = std::mem::take(&mut pass.finish);
            without_unused(&mut both);
            let [body, finish] = both;
            (pass.body, pass.finish) = (body.body, finish.body);
        }
        self.kernel(loops, passes, 0, cut.then_some(per_task), per_task)
    }

    fn product(mut self, memory: &dyn Memory) -> Lowered {
        let members = self.members();
        let id = members[0];
        let arranged = arranged(&self.program.graph, id, &|n| self.program.is_stored(n)).expect("normalised");
        self.emitter.bodies = Bodies::new(&[false], 0..0);
        let operands = arranged.roots.map(|(root, _)| self.emitter.buffer(memory.tensor(root)));
        let product = self
            .emitter
            .bodies
            .push(&[], &[], ValueKind::Real, |_| Instruction::Product);
        self.emitter.ready.insert(id, product);
        for &member in members.iter().filter(|&&m| (self.written)(m)) {
            self.store_later(member, 0);
        }
        self.put_stores();
        let slots = &mut self.emitter.bodies.slots;
        without_unused(slots);
        super::layout::renumber(slots, &self.axes.sizes);
        let epilogue = std::mem::take(&mut slots[0].body);
        let body = super::product::product(self.program, id, arranged, operands, epilogue);
        Lowered {
            body: KernelBody::Product(body),
            tensors: self.emitter.tensors,
        }
    }
}

/// Instructions that one task should run, by element: long against the cost of handing it out.
const TASK_INSTRUCTIONS: usize = 1 << 17;
/// With this many rows, whole rows are tasks enough.
const ROWS_ENOUGH: usize = 8;
fn row_pass(body: Body) -> Pass {
    Pass {
        vector: false,
        sequential: vec![],
        body,
        finish: vec![],
        beyond: None,
    }
}

fn passes_of(slots: &[Slot]) -> Vec<Pass> {
    let filled = slots.iter().filter(|s| !s.body.is_empty());
    filled
        .map(|slot| Pass {
            vector: !slot.row,
            sequential: vec![],
            body: slot.body.clone(),
            finish: vec![],
            beyond: None,
        })
        .collect()
}

/// One vector pass does what the row passes did.
fn join_passes(passes: &mut Vec<Pass>) {
    let body = passes.drain(..).flat_map(|p| p.body).collect();
    passes.push(Pass::straight(body));
}

/// A body with a copy of another in front, under new numbers.
fn duplicated(before: &Body, body: &Body, bodies: &mut Bodies) -> Body {
    let mut result = before.clone();
    let renamed: Vec<(ValueId, ValueId)> = before.iter().map(|d| (d.value, bodies.fresh())).collect();
    let rename = |value: &mut ValueId| {
        if let Some((_, new)) = renamed.iter().find(|(old, _)| old == value) {
            *value = *new;
        }
    };
    result.extend(body.iter().cloned());
    for define in &mut result {
        rename(&mut define.value);
        super::tidy::each_argument(&mut define.instruction, &mut |v| rename(v));
    }
    result
}
