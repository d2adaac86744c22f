//! Scatters, in two functions with a barrier between them: one clears the table, one adds the items in order.

use super::emitter::{Emitter, PLAIN, QUAD, WORD};
use crate::codegen::analysis::lane_step;
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Elements that a task of the clearing function clears.
pub const CLEARED_PER_TASK: usize = 1 << 14;

/// Tasks of the clearing function.
pub fn clearing_tasks(buffers: &[Buffer], kernel: &Scatter) -> usize {
    buffers[kernel.table.0 as usize].elements.div_ceil(CLEARED_PER_TASK)
}

/// Emits the inside of the function that clears the table.
pub fn emit_clearing(e: &mut Emitter, kernel: &Scatter) {
    let elements = e.buffers[kernel.table.0 as usize].elements;
    let table = e.pointers[kernel.table.0 as usize];
    let zeros = e.zeros();
    let (first, end) = e.tasks;
    let first = e.scaled(first, CLEARED_PER_TASK as i64);
    let end = e.scaled(end, CLEARED_PER_TASK as i64);
    let rest = elements % QUAD;
    let whole_end = e.least(end, (elements - rest) as i64);
    e.count(first, whole_end, QUAD as i64, &[], &mut |e, at, _| {
        let bytes = e.scaled(at, WORD);
        let pointer = e.builder.ins().iadd(table, bytes);
        e.builder.ins().store(PLAIN, zeros, pointer, 0);
        vec![]
    });
    if rest > 0 {
        let last = e
            .builder
            .ins()
            .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, end, elements as i64);
        e.when(last, &mut |e| {
            let pointer = e.builder.ins().iadd_imm_s(table, (elements - rest) as i64 * WORD);
            e.store_lanes(Storage::F32, zeros, pointer, 0, rest);
        });
    }
}

/// Emits the inside of the function that adds.
pub fn emit(e: &mut Emitter, kernel: &Scatter) {
    e.outer_axes = kernel.outer.len();
    e.sizes = [kernel.vector]
        .iter()
        .chain(&kernel.outer)
        .chain(&kernel.items)
        .copied()
        .collect();
    let cuts = kernel.vector.div_ceil(kernel.vector_per_task);
    let (first, end) = e.tasks;
    e.count(first, end, 1, &[], &mut |e, task, _| {
        let sizes: Vec<usize> = kernel.outer.iter().chain([&cuts]).copied().collect();
        let mut outer = e.unravel(task, &sizes);
        let cut = outer.pop().expect("the last one");
        let start = e.scaled(cut, kernel.vector_per_task as i64);
        let stop = e.builder.ins().iadd_imm_s(start, kernel.vector_per_task as i64);
        let stop = e.least(stop, kernel.vector as i64);
        e.indices = [None].into_iter().chain(outer.into_iter().map(Some)).collect();
        e.indices.resize(e.sizes.len(), None);
        emit_items(e, kernel, kernel.outer.len() + 1, (start, stop));
        vec![]
    });
}

fn emit_items(e: &mut Emitter, kernel: &Scatter, axis: usize, part: (Value, Value)) {
    if axis < e.sizes.len() {
        e.repeat(e.sizes[axis], 1, &[], &mut |e, index, _| {
            e.indices[axis] = Some(index);
            emit_items(e, kernel, axis + 1, part);
            vec![]
        });
        return;
    }
    e.memory.open();
    let mut moved = e.integer(0);
    for (buffer, at, stride) in &kernel.ids {
        let id = e.load_id(*buffer, at);
        let bytes = e.scaled(id, stride * WORD);
        moved = e.builder.ins().iadd(moved, bytes);
    }
    let rest = kernel.vector % QUAD;
    let whole_end = e.least(part.1, (kernel.vector - rest) as i64);
    // The pointers of the row are made here, before the loop, for all vectors.
    let table = e.fixed_pointer(kernel.table, &kernel.table_at);
    e.fixed_pointer(kernel.source, &kernel.source_at);
    let moved_table = e.builder.ins().iadd(table, moved);
    e.memory.open();
    e.move_fixed_pointer(kernel.table, &kernel.table_at, moved_table);
    e.count(part.0, whole_end, QUAD as i64, &[], &mut |e, at, _| {
        add_lanes(e, kernel, at, QUAD);
        vec![]
    });
    if rest > 0 {
        let last = e.builder.ins().icmp_imm_s(IntCC::Equal, part.1, kernel.vector as i64);
        e.when(last, &mut |e| {
            let at = e.integer((kernel.vector - rest) as i64);
            add_lanes(e, kernel, at, rest);
        });
    }
    e.memory.close();
    e.memory.close();
}

/// Adds one vector. Lanes may meet in the table only if they do not move in it: then one after the other.
fn add_lanes(e: &mut Emitter, kernel: &Scatter, at: Value, live: usize) {
    e.memory.open();
    e.indices[VECTOR_AXIS] = Some(at);
    let terms = e.load(kernel.source, &kernel.source_at, &[], 0.0, live);
    if lane_step(&kernel.table_at, QUAD as i64).is_some_and(|step| step != 0) {
        let before = e.load(kernel.table, &kernel.table_at, &[], 0.0, live);
        let sum = e.builder.ins().fadd(before, terms);
        e.store(kernel.table, &kernel.table_at, sum, live);
    } else {
        for (lane, (pointer, offset)) in e
            .lane_addresses(kernel.table, &kernel.table_at, live)
            .into_iter()
            .enumerate()
        {
            let term = e.builder.ins().extractlane(terms, lane as u8);
            let before = e
                .builder
                .ins()
                .load(cranelift_codegen::ir::types::F32, PLAIN, pointer, offset);
            let sum = e.builder.ins().fadd(before, term);
            e.builder.ins().store(PLAIN, sum, pointer, offset);
        }
    }
    e.memory.close();
}
