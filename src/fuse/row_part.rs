//! A kernel over a part of its rows, which is called with the parts of its buffers: every part is done by the same kernel.

use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::kernel::*;

/// A kernel in equal parts.
pub struct RowParts {
    /// What does one.
    pub kernel: Kernel,
    /// Elements from part to part of each buffer: 0 where all read the same.
    pub strides: Vec<usize>,
}

impl RowParts {
    /// Along its outermost axes, as [`Kernel::band_axis`] says; `None` where parts touch what others write, or ask at which
    /// index they are.
    pub fn of(kernel: &Kernel, parts: usize) -> Option<RowParts> {
        let Some((axis, of_axis)) = kernel.band_axis(parts) else {
            return RowParts::of_vector(kernel, parts);
        };
        if asks_for_index(kernel, axis + 1) {
            return None;
        }
        let mut part = kernel.clone();
        let mut strides = vec![];
        for (at, buffer) in part.buffers.iter_mut().enumerate() {
            let stride = stride(kernel, BufferId(at as u32), parts)?;
            match stride {
                0 if buffer.written => return None,
                0 => {}
                _ => buffer.elements = stride,
            }
            strides.push(stride);
        }
        match &mut part.body {
            KernelBody::Loop(k) => {
                k.outer[..axis].fill(1);
                k.outer[axis] /= of_axis;
                k.rows_per_task = k.rows_per_task.min(k.outer.iter().product());
            }
            KernelBody::Product(k) if k.batch.is_empty() && k.strips.is_empty() && k.corner.is_none() => {
                k.m /= of_axis;
                k.rows_per_task = k.rows_per_task.min(k.m);
            }
            _ => return None,
        }
        Some(RowParts { kernel: part, strides })
    }

    /// Of straight element-wise work without outer axes: along the vector axis.
    fn of_vector(kernel: &Kernel, parts: usize) -> Option<RowParts> {
        let KernelBody::Loop(k) = &kernel.body else { return None };
        let [pass] = &k.passes[..] else { return None };
        let straight = pass.vector && pass.sequential.is_empty() && pass.finish.is_empty() && k.rows_kept == 0;
        let single = k.outer.iter().all(|size| *size == 1);
        if !straight || !single || !k.vector.is_multiple_of(parts) {
            return None;
        }
        // With the vector axis as an outer one, it is cut as all others are.
        let outside = |at: &Position| {
            let mut terms = at.affine.terms.clone();
            terms.iter_mut().for_each(|(axis, _)| *axis += 1);
            let constant = at.affine.constant;
            let no_digits = at.digits.is_empty();
            no_digits.then_some(Position::from(Affine { constant, terms }))
        };
        let mut turned = kernel.clone();
        if let KernelBody::Loop(t) = &mut turned.body {
            t.outer = [&[k.vector], &k.outer[..]].concat();
            (t.vector, t.vector_per_task) = (1, None);
            for define in &mut t.passes[0].body {
                match &mut define.instruction {
                    Instruction::Load { at, guards, .. } if guards.is_empty() => *at = outside(at)?,
                    Instruction::Store { at, .. } | Instruction::Gather { at, .. } => *at = outside(at)?,
                    Instruction::Load { .. }
                    | Instruction::Index(_)
                    | Instruction::Inside(_)
                    | Instruction::Reduce { .. } => return None,
                    _ => {}
                }
            }
        }
        let RowParts { kernel: part, strides } = RowParts::of(&turned, parts)?;
        let mut kernel = kernel.clone();
        kernel.buffers = part.buffers;
        if let KernelBody::Loop(k) = &mut kernel.body {
            k.vector /= parts;
        }
        Some(RowParts { kernel, strides })
    }
}

/// Whether an index along one of the axes up to one decides what is done.
fn asks_for_index(kernel: &Kernel, axis: usize) -> bool {
    let guarded = |guards: &[Guard]| guards.iter().any(|g| (1..=axis).any(|a| g.uses(a)));
    let asks = |define: &Define| match &define.instruction {
        Instruction::Index(at) => moves(at, axis),
        Instruction::Inside(guards) | Instruction::Load { guards, .. } => guarded(guards),
        _ => false,
    };
    let bodies = kernel.bodies();
    bodies.into_iter().any(|(_, _, body)| body.iter().any(asks))
}

/// Whether a position moves along one of the axes up to one.
fn moves(at: &Position, axis: usize) -> bool {
    (1..=axis).any(|a| at.uses(a))
}

/// Elements of a buffer from part to part, 0 if all read the same; `None` if parts do not keep to their own.
fn stride(kernel: &Kernel, buffer: BufferId, parts: usize) -> Option<usize> {
    let (axis, _) = kernel.band_axis(parts)?;
    let gathers = gathers(kernel, buffer)?;
    if !gathers.is_empty() {
        return match gathers.iter().any(|(at, _)| moves(at, axis + 1)) {
            true => gathered_stride(kernel, buffer, &gathers, parts),
            false => Some(0),
        };
    }
    let accesses = kernel.accesses(buffer)?;
    match accesses.iter().any(|(at, _)| moves(at, axis + 1)) {
        true => kernel.band_stride(buffer, parts),
        false => Some(0),
    }
}

/// The gathers from a buffer: their positions, and the greatest stride of an id; `None` if it is touched otherwise too.
fn gathers(kernel: &Kernel, buffer: BufferId) -> Option<Vec<(&Position, i64)>> {
    let (mut list, mut otherwise) = (vec![], kernel.is_operand(buffer));
    for define in kernel.bodies().into_iter().flat_map(|(_, _, body)| body) {
        match &define.instruction {
            Instruction::Gather { buffer: b, at, ids } if *b == buffer => {
                list.push((at, ids.iter().map(|i| i.1).max().unwrap_or(0)));
            }
            Instruction::Load { buffer: b, .. } | Instruction::Store { buffer: b, .. } => otherwise |= *b == buffer,
            _ => {}
        }
    }
    (list.is_empty() || !otherwise).then_some(list)
}

/// Where the tensor's outermost axis is the one that is cut: the tensor is row-major, so ids along its other axes stay
/// inside an element of that one.
fn gathered_stride(kernel: &Kernel, buffer: BufferId, gathers: &[(&Position, i64)], parts: usize) -> Option<usize> {
    let axes = kernel.band_axes();
    let (axis, of_axis) = kernel.band_axis(parts)?;
    let row = gathers.first()?.0.affine.coefficient(axis + 1);
    let along = |(at, ids): &(&Position, i64)| {
        let plain = at.digits.is_empty() && at.affine.constant == 0;
        plain && at.affine.coefficient(axis + 1) == row && *ids < row
    };
    let outermost = axes[..axis].iter().all(|size| *size == 1);
    let whole = row as usize * axes[axis] == kernel.buffers[buffer.0 as usize].elements;
    (outermost && whole && gathers.iter().all(along)).then(|| row as usize * axes[axis] / of_axis)
}

#[cfg(test)]
#[path = "row_part_test.rs"]
mod tests;
