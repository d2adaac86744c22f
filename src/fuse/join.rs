//! Neighbouring element-wise kernels over the same elements → one, where the second reads what the first one reads or
//! writes: it is loaded once, computed once, and what only the two hand on is never stored. Grouping joins what is one
//! chain of the graph; this joins what became alike only in kernels, such as the parts of a value that is put together of
//! parts. And element-wise kernels that mostly do again what the epilogue of a matrix product shortly before does → into
//! that epilogue: an activation that is computed again for the gradient, beside its own derivative. Changes no bit.

use super::body::{Key, key};
use super::reorder::side_by_side as brought_together;
use super::tidy::{Kernels, canonical, each_argument, without_unused_in, written};
use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::{self, ValueKind};
use std::collections::HashMap;

/// Instructions beyond which kernels stay apart: more would only wait for each other's registers.
const LONGEST: usize = 1200;
/// Calls before an element-wise one among which a product is looked for.
const REACH: usize = 8;

/// Joins what can be joined, outside of loops: inside of one it has been done before it became a loop.
pub fn joined(schedule: &mut Schedule) {
    neighbours_joined(schedule);
    epilogues_joined(schedule);
}

fn neighbours_joined(schedule: &mut Schedule) {
    let mut kernels = Kernels::of(std::mem::take(&mut schedule.kernels));
    let mut at = 0;
    while at + 1 < schedule.calls.len() {
        let pair = [at, at + 1];
        let both_loops = pair.iter().all(|&call| {
            let kernel = &kernels.list[schedule.calls[call].kernel];
            matches!(kernel.body, KernelBody::Loop(_)) && schedule.loop_of(call).is_none()
        });
        match both_loops.then(|| join(schedule, &kernels.list, pair)).flatten() {
            None => at += 1,
            Some((kernel, call)) => {
                let kernel = kernels.number(kernel);
                replace(schedule, pair, Call { kernel, ..call });
            }
        }
    }
    schedule.kernels = kernels.list;
}

/// Element-wise kernels → into the epilogues of products, where nothing between the two is in the way.
fn epilogues_joined(schedule: &mut Schedule) {
    let mut kernels = Kernels::of(schedule.kernels.clone());
    let mut at = 0;
    while at < schedule.calls.len() {
        let mut reached = (at.saturating_sub(REACH)..at).rev();
        match reached.find_map(|product| Some((product, into_epilogue(schedule, [product, at])?))) {
            None => at += 1,
            Some((product, (kernel, call))) => {
                let kernel = kernels.number(kernel);
                schedule
                    .kernels
                    .extend_from_slice(&kernels.list[schedule.kernels.len()..]);
                replace(schedule, [product, at], Call { kernel, ..call });
            }
        }
    }
}

/// Puts one call in the place of the first of two.
fn replace(schedule: &mut Schedule, [first, second]: [usize; 2], call: Call) {
    schedule.calls[first] = call;
    schedule.calls.remove(second);
    for behind in schedule.loops.iter_mut().filter(|l| l.calls.start > second) {
        behind.calls = behind.calls.start - 1..behind.calls.end - 1;
    }
}

/// The kernel and the call that do what a product and an element-wise call behind it do, if they have most of the latter's
/// instructions in common.
fn into_epilogue(schedule: &Schedule, [product, at]: [usize; 2]) -> Option<(Kernel, Call)> {
    let kernel = |call: usize| &schedule.kernels[schedule.calls[call].kernel];
    let (KernelBody::Product(of_product), KernelBody::Loop(k)) = (&kernel(product).body, &kernel(at).body) else {
        return None;
    };
    if of_product.corner.is_some() || !elementwise(k) || (product..=at).any(|c| schedule.loop_of(c).is_some()) {
        return None;
    }
    let operands = [&of_product.a, &of_product.b].map(|m| schedule.calls[product].tensors[m.buffer.0 as usize]);
    let mut written = schedule.calls[at]
        .tensors
        .iter()
        .zip(&kernel(at).buffers)
        .filter(|(_, b)| b.written);
    if written.any(|(tensor, _)| operands.contains(tensor)) {
        return None;
    }
    let between: Vec<usize> = (product..=at).collect();
    let (before, _) = brought_together(schedule, &between, &[product, at])?;
    let (joined, call) = before
        .is_empty()
        .then(|| join(schedule, &schedule.kernels, [product, at]))??;
    let KernelBody::Product(both) = &joined.body else {
        return None;
    };
    let more = both.epilogue.len().saturating_sub(of_product.epilogue.len());
    (more * 2 <= k.passes[0].body.len()).then_some((joined, call))
}

/// One kernel that does what some do that have the same buffers and go over the same elements, unless it is too long.
pub fn side_by_side(parts: &[LoopKernel]) -> Option<LoopKernel> {
    let (first, rest) = parts.split_first()?;
    let alike = rest.iter().all(|part| same_loops(first, part));
    let length: usize = parts
        .iter()
        .map(|p| p.passes.iter().map(|p| p.body.len()).sum::<usize>())
        .sum();
    if !alike || length > LONGEST || !parts.iter().all(elementwise) {
        return None;
    }
    let mut writer = Writer::default();
    for part in parts {
        writer.put(&part.passes[0].body, &mut |_| None);
    }
    Some(with_body(first, parts, writer.finish(&|_| true)))
}

/// Loops with one straight body for each element.
fn elementwise(k: &LoopKernel) -> bool {
    let [pass] = &k.passes[..] else { return false };
    let reduces = |define: &Define| matches!(define.instruction, Instruction::Reduce { .. });
    pass.vector
        && pass.sequential.is_empty()
        && pass.finish.is_empty()
        && k.rows_kept == 0
        && !pass.body.iter().any(reduces)
}

fn same_loops(a: &LoopKernel, b: &LoopKernel) -> bool {
    (&a.outer, a.vector) == (&b.outer, b.vector)
}

/// One row of all elements, cut into the rows of another kernel; a kernel that does not fit stays.
fn in_rows_of(flat: &LoopKernel, other: &LoopKernel) -> LoopKernel {
    let rows: usize = other.outer.iter().product();
    let fits = flat.outer.is_empty() && other.vector.is_multiple_of(LANES) && rows * other.vector == flat.vector;
    let cut = |body: &Body| {
        let sizes = [&[other.vector], &other.outer[..]].concat();
        let mut element = Affine::axis(VECTOR_AXIS);
        let mut stride = other.vector as i64;
        for (axis, &size) in other.outer.iter().enumerate().rev() {
            element = element.plus(&Affine::axis(axis + 1).times(stride));
            stride *= size as i64;
        }
        let element = [Position::from(element)];
        let guarded = |guards: &[Guard]| -> Option<Vec<Guard>> {
            guards.iter().map(|guard| guard.substitute(&element, &sizes)).collect()
        };
        let mut body = body.clone();
        for define in &mut body {
            match &mut define.instruction {
                Instruction::Load { at, guards, .. } => {
                    *at = at.substitute(&element, &sizes)?;
                    *guards = guarded(guards)?;
                }
                Instruction::Inside(guards) => *guards = guarded(guards)?,
                Instruction::Gather { at, .. } | Instruction::Store { at, .. } | Instruction::Index(at) => {
                    *at = at.substitute(&element, &sizes)?;
                }
                _ => {}
            }
        }
        Some(body)
    };
    let body = if fits { cut(&flat.passes[0].body) } else { None };
    body.map_or_else(
        || flat.clone(),
        |body| {
            let together = flat.vector_per_task.unwrap_or(flat.vector) / other.vector;
            LoopKernel::straight(other.outer.clone(), other.vector, body, together.max(1))
        },
    )
}

/// The loops of the first part with another body, cut into the smallest tasks of all.
fn with_body(first: &LoopKernel, parts: &[LoopKernel], body: Body) -> LoopKernel {
    let mut kernel = first.clone();
    kernel.passes[0].body = body;
    kernel.rows_per_task = parts.iter().map(|p| p.rows_per_task).min().unwrap_or(1);
    kernel.vector_per_task = parts.iter().filter_map(|p| p.vector_per_task).min();
    if kernel.vector_per_task.is_some() {
        kernel.rows_per_task = 1;
    }
    kernel
}

/// A body of several, in which equal instructions are there once and all stores stand at the end.
#[derive(Default)]
struct Writer {
    body: Body,
    stores: Body,
    known: HashMap<Key, ValueId>,
    values: u32,
}

impl Writer {
    /// Appends a body; `given` are loads whose value is known. Gives the new values of the old ones.
    fn put(
        &mut self,
        body: &Body,
        given: &mut dyn FnMut(&Instruction) -> Option<ValueId>,
    ) -> HashMap<ValueId, ValueId> {
        let mut new: HashMap<ValueId, ValueId> = HashMap::new();
        for define in body {
            if let Some(value) = given(&define.instruction) {
                new.insert(define.value, value);
                continue;
            }
            let mut instruction = define.instruction.clone();
            each_argument(&mut instruction, &mut |value| *value = new[value]);
            if matches!(instruction, Instruction::Store { .. }) {
                let value = self.fresh();
                self.stores.push(Define { value, instruction });
                continue;
            }
            let key = key(&instruction);
            let value = match self.known.get(&key) {
                Some(&value) => value,
                None => {
                    let value = self.fresh();
                    self.known.insert(key, value);
                    self.body.push(Define { value, instruction });
                    value
                }
            };
            new.insert(define.value, value);
        }
        new
    }

    fn fresh(&mut self) -> ValueId {
        self.values += 1;
        ValueId(self.values - 1)
    }

    /// The whole body, with the stores to some buffers.
    fn finish(mut self, stored: &dyn Fn(BufferId) -> bool) -> Body {
        let kept = self.stores.into_iter().filter(|define| match define.instruction {
            Instruction::Store { buffer, .. } => stored(buffer),
            _ => true,
        });
        self.body.extend(kept);
        without_unused_in(&mut [&mut self.body]);
        self.body
    }
}

/// Element-wise loops, or a product's epilogue as such.
fn loops(kernel: &Kernel) -> Option<LoopKernel> {
    match &kernel.body {
        KernelBody::Loop(k) => elementwise(k).then(|| k.clone()),
        KernelBody::Product(k) => {
            let outer = k.batch.iter().chain([&k.m]).copied().collect();
            Some(LoopKernel::straight(outer, k.n, k.epilogue.clone(), k.rows_per_task))
        }
        KernelBody::Scatter(_) => None,
    }
}

/// The kernel and the call that do what two calls do: of an element-wise kernel or a product, and of an element-wise one.
fn join(schedule: &Schedule, kernels: &[Kernel], at: [usize; 2]) -> Option<(Kernel, Call)> {
    let [first, second] = at.map(|at| &schedule.calls[at]);
    let [a, b] = [&kernels[first.kernel], &kernels[second.kernel]];
    let (of_a, of_b) = (&loops(a)?, &loops(b)?);
    let (of_a, of_b) = (&in_rows_of(of_a, of_b), &in_rows_of(of_b, of_a));
    if !same_loops(of_a, of_b) {
        return None;
    }
    let (before, behind) = (&of_a.passes[0].body, &of_b.passes[0].body);
    if before.len() + behind.len() > LONGEST {
        return None;
    }
    let mut tensors = first.tensors.clone();
    let number: Vec<BufferId> = second
        .tensors
        .iter()
        .map(|tensor| {
            let known = first.tensors.iter().position(|t| t == tensor);
            BufferId(known.unwrap_or_else(|| {
                tensors.push(*tensor);
                tensors.len() - 1
            }) as u32)
        })
        .collect();
    let mut behind = behind.clone();
    behind.iter_mut().for_each(|define| match &mut define.instruction {
        Instruction::Load { buffer, .. } | Instruction::Gather { buffer, .. } | Instruction::Store { buffer, .. } => {
            *buffer = number[buffer.0 as usize];
        }
        _ => {}
    });
    let size = of_a.outer.iter().product::<usize>() * of_a.vector;
    let large = |t: &TensorId| schedule.tensors[t.0 as usize].elements * 2 > size;
    let shared = |t: &TensorId| first.tensors.contains(t) && large(t);
    if !second.tensors.iter().any(shared) || !keep_order(before, &behind) {
        return None;
    }
    let handed_on = handed_on(a, before, &behind)?;
    let mut writer = Writer::default();
    let new = writer.put(before, &mut |_| None);
    writer.put(&behind, &mut |instruction| match instruction {
        Instruction::Load { buffer, .. } => handed_on.get(buffer).map(|value| new[value]),
        _ => None,
    });
    let elsewhere = |tensor: TensorId| {
        let others = schedule
            .calls
            .iter()
            .enumerate()
            .filter(|(number, _)| !at.contains(number));
        let mut others = others.map(|(_, call)| call);
        schedule.tensors[tensor.0 as usize].kind != TensorKind::Temporary
            || schedule.outputs.iter().any(|o| o.1 == tensor)
            || others.any(|call| call.tensors.contains(&tensor))
    };
    let stored = |buffer: BufferId| !handed_on.contains_key(&buffer) || elsewhere(tensors[buffer.0 as usize]);
    let body = writer.finish(&stored);
    let mut body = match &a.body {
        KernelBody::Product(k) => KernelBody::Product(MatrixProduct {
            epilogue: body,
            ..k.clone()
        }),
        _ => KernelBody::Loop(with_body(of_a, &[of_a.clone(), of_b.clone()], body)),
    };
    let tensors = canonical(&mut body, &tensors);
    let writes = written(&mut body);
    let buffers = tensors.iter().enumerate().map(|(i, t)| Buffer {
        storage: schedule.tensors[t.0 as usize].storage,
        elements: schedule.tensors[t.0 as usize].elements,
        written: writes.contains(&BufferId(i as u32)),
    });
    let kernel = Kernel {
        buffers: buffers.collect(),
        body,
    };
    let is_loop = matches!(a.body, KernelBody::Loop(_));
    let longer = if is_loop && of_a.passes[0].body.len() < of_b.passes[0].body.len() {
        second
    } else {
        first
    };
    let mut call = Call {
        tensors,
        nodes: [&first.nodes[..], &second.nodes].concat(),
        ..longer.clone()
    };
    call.nodes.sort_unstable();
    call.nodes.dedup();
    Some((kernel, call))
}

/// Whether each element may be done by both bodies before the next one is done by the first: what one of them writes and
/// the other one touches, both touch at one position, and only one writes it.
fn keep_order(before: &Body, behind: &Body) -> bool {
    let fits = |writing: &Body, other: &Body| {
        stores(writing).all(|(buffer, at)| {
            other.iter().all(|define| match &define.instruction {
                Instruction::Load {
                    buffer: b,
                    at: position,
                    guards,
                    ..
                } if *b == buffer => position == at && guards.is_empty(),
                Instruction::Gather { buffer: b, .. } | Instruction::Store { buffer: b, .. } => *b != buffer,
                _ => true,
            })
        })
    };
    fits(before, behind) && fits(behind, before)
}

fn stores(body: &Body) -> impl Iterator<Item = (BufferId, &Position)> {
    body.iter().filter_map(|define| match &define.instruction {
        Instruction::Store { buffer, at, .. } => Some((*buffer, at)),
        _ => None,
    })
}

/// The values of the buffers that the first body writes and the second one reads; none if one is not what is read.
fn handed_on(first: &Kernel, before: &Body, behind: &Body) -> Option<HashMap<BufferId, ValueId>> {
    let kinds = kernel_verify::verify(first).ok()?;
    let mut found = HashMap::new();
    for define in before {
        let Instruction::Store { buffer, value, .. } = define.instruction else {
            continue;
        };
        let reads = |d: &Define| matches!(d.instruction, Instruction::Load { buffer: b, .. } if b == buffer);
        if !behind.iter().any(reads) {
            continue;
        }
        let as_it_is = match first.buffers[buffer.0 as usize].storage {
            Storage::F32 => ValueKind::Real,
            Storage::I32 => ValueKind::Integer,
            Storage::Bf16 | Storage::F16 => return None,
        };
        if kinds[value.0 as usize] != Some(as_it_is) || found.insert(buffer, value).is_some() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
#[path = "join_test.rs"]
mod tests;
