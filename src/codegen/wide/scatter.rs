//! Scatters, in two functions with a barrier between them: one clears the table, one adds the items in order.

use super::code::*;
use super::emitter::{Axis, Emitter, Unsupported, WORD};
use super::encode::Condition;
use super::encode_vector::op;
use crate::codegen::analysis::lane_step;
use crate::codegen::clif::CLEARED_PER_TASK;
use crate::ir::kernel::*;

/// Emits the inside of the function that clears the table.
pub fn emit_clearing(e: &mut Emitter, kernel: &Scatter, (first, end): (Reg, Reg)) -> Result<(), Unsupported> {
    let elements = e.buffers[kernel.table.0 as usize].elements;
    let table = e.pointers[kernel.table.0 as usize];
    let lanes = e.lanes();
    let zeros = e.code.even(0);
    let first = e.scaled(first, CLEARED_PER_TASK as i64);
    let end = e.scaled(end, CLEARED_PER_TASK as i64);
    let rest = elements % lanes;
    let whole_end = e.least(end, (elements - rest) as i64);
    let place = |index, offset| Place {
        base: table,
        index,
        offset,
    };
    e.count(first, whole_end, lanes as i64, &mut |e, at| {
        e.code.push(Step::Store(place(Some((at, 2)), 0), zeros, None));
        Ok(())
    })?;
    if rest > 0 {
        let behind = e.code.target();
        e.code.push(Step::Branch(
            Condition::Less,
            end,
            With::Number(elements as i64),
            behind,
        ));
        let at = e.number((elements - rest) as i64);
        let mask = e.live_mask(rest);
        e.code.push(Step::Store(place(Some((at, 2)), 0), zeros, Some(mask)));
        e.code.push(Step::Bind(behind));
    }
    Ok(())
}

/// Emits the inside of the function that adds. Lanes that may meet in the table are left to the portable emitter.
pub fn emit(e: &mut Emitter, kernel: &Scatter, (first, end): (Reg, Reg)) -> Result<(), Unsupported> {
    if lane_step(&kernel.table_at, e.lanes() as i64) != Some(1) {
        return Err(Unsupported);
    }
    e.outer_axes = kernel.outer.len();
    e.sizes = [kernel.vector]
        .iter()
        .chain(&kernel.outer)
        .chain(&kernel.items)
        .copied()
        .collect();
    let cuts = kernel.vector.div_ceil(kernel.vector_per_task);
    e.count(first, end, 1, &mut |e, task| {
        let sizes: Vec<usize> = kernel.outer.iter().chain([&cuts]).copied().collect();
        let mut outer = e.unravel(task, &sizes)?;
        let cut = outer.pop().expect("the last one");
        let cut = e.whole(cut);
        let start = e.scaled(cut, kernel.vector_per_task as i64);
        let stop = e.plus(Some(start), kernel.vector_per_task as i64);
        let stop = e.least(stop, kernel.vector as i64);
        e.indices = [None].into_iter().chain(outer.into_iter().map(Some)).collect();
        e.indices.resize(e.sizes.len(), None);
        emit_items(e, kernel, kernel.outer.len() + 1, (start, stop))
    })
}

fn emit_items(e: &mut Emitter, kernel: &Scatter, axis: usize, part: (Reg, Reg)) -> Result<(), Unsupported> {
    if axis < e.sizes.len() {
        let index = e.number(0);
        let end = With::Number(e.sizes[axis] as i64);
        return e.repeat(index, end, 1, &mut |e| {
            e.indices[axis] = Some(Axis::of(index));
            emit_items(e, kernel, axis + 1, part)
        });
    }
    e.open();
    let mut table = e.fixed_pointer(kernel.table, &kernel.table_at)?;
    for (buffer, at, stride) in &kernel.ids {
        let place = e.place(*buffer, at)?;
        let id = e.code.to_word(|d| Step::LoadId(d, place));
        let bytes = e.scaled(id, stride * WORD);
        table = e.sum(Some(table), bytes);
    }
    // The pointers of the row are made here, before the loop, for all vectors.
    e.fixed_pointer(kernel.source, &kernel.source_at)?;
    e.open();
    e.move_fixed_pointer(kernel.table, &kernel.table_at, table);
    let lanes = e.lanes();
    let rest = kernel.vector % lanes;
    let whole_end = e.least(part.1, (kernel.vector - rest) as i64);
    e.count(part.0, whole_end, lanes as i64, &mut |e, at| {
        add_lanes(e, kernel, Axis::of(at), lanes)
    })?;
    if rest > 0 {
        let behind = e.code.target();
        let size = With::Number(kernel.vector as i64);
        e.code.push(Step::Branch(Condition::NotEqual, part.1, size, behind));
        add_lanes(e, kernel, Axis::known((kernel.vector - rest) as i64), rest)?;
        e.code.push(Step::Bind(behind));
    }
    e.close();
    e.close();
    Ok(())
}

/// Adds one vector.
fn add_lanes(e: &mut Emitter, kernel: &Scatter, at: Axis, live: usize) -> Result<(), Unsupported> {
    e.open();
    e.indices[VECTOR_AXIS] = Some(at);
    let terms = e.load(kernel.source, &kernel.source_at, &[], 0.0, live)?;
    let before = e.load(kernel.table, &kernel.table_at, &[], 0.0, live)?;
    let sum = e.code.three(op::ADD, before, terms);
    e.store(kernel.table, &kernel.table_at, sum, live)?;
    e.indices[VECTOR_AXIS] = None;
    e.close();
    Ok(())
}
