//! Checks a schedule. What holds afterwards:
//!
//! - every call names a kernel and as many tensors as it has buffers, of the same storage and size, or parts of that
//!   size that lie inside in every round of a loop;
//! - no tensor and no part stands for two buffers of one call, so that nothing is written unseen;
//! - a temporary is written before it is read, and every output is written;
//! - inputs, numbers and the random key are never written.

use crate::ir::kernel::{Kernel, KernelBody, Schedule, TensorId, TensorKind};

/// A schedule that does not keep its contract: our mistake, not the spec's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("schedule contract broken: {0}")]
pub struct Broken(pub String);

/// Checks everything.
pub fn verify(schedule: &Schedule) -> Result<(), Broken> {
    let mut written: Vec<bool> = schedule
        .tensors
        .iter()
        .map(|t| t.kind != TensorKind::Temporary)
        .collect();
    for (number, call) in schedule.calls.iter().enumerate() {
        let at = |problem: &str| Broken(format!("call {number} ({}): {problem}", call.name));
        let kernel = schedule.kernels.get(call.kernel).ok_or_else(|| at("no such kernel"))?;
        if kernel.buffers.len() != call.tensors.len() {
            return Err(at("another number of tensors than of buffers"));
        }
        for (place, (buffer, tensor)) in kernel.buffers.iter().zip(&call.tensors).enumerate() {
            let described = &schedule.tensors[tensor.0 as usize];
            let whole = call.slices.is_empty();
            let fits = match whole {
                true => buffer.elements == described.elements,
                false => reaches(schedule, number, place, buffer.elements, described.elements),
            };
            if buffer.storage != described.storage || !fits {
                return Err(at("a tensor of another kind than its buffer"));
            }
            let same = |other: usize| call.tensors[other] == *tensor && call.slice(other) == call.slice(place);
            if (0..place).any(same) {
                return Err(at("one tensor for two buffers"));
            }
            if !written[tensor.0 as usize] && (!buffer.written || reads(kernel, place)) {
                return Err(at(&format!("{tensor} is read before it is written")));
            }
            let kept = matches!(
                described.kind,
                TensorKind::Input(_) | TensorKind::Numbers | TensorKind::RandomKey
            );
            if buffer.written && kept {
                return Err(at(&format!("{tensor} is not the step's to write")));
            }
        }
        for (buffer, tensor) in kernel.buffers.iter().zip(&call.tensors) {
            written[tensor.0 as usize] |= buffer.written;
        }
    }
    let missing: Option<&TensorId> = schedule.outputs.iter().map(|o| &o.1).find(|t| !written[t.0 as usize]);
    missing.map_or(Ok(()), |tensor| {
        Err(Broken(format!("the output {tensor} is never written")))
    })
}

/// Whether a slice lies inside its tensor in every round.
fn reaches(schedule: &Schedule, call: usize, place: usize, size: usize, room: usize) -> bool {
    let slice = schedule.calls[call].slice(place);
    let rounds = schedule.loop_of(call).map_or(1, |l| l.rounds) as i64;
    let last = slice.first + (rounds - 1) * slice.step;
    let inside = |first: i64| first >= 0 && first + size as i64 <= room as i64;
    inside(slice.first) && inside(last)
}

/// Whether a kernel reads a buffer that it also writes.
fn reads(kernel: &Kernel, buffer: usize) -> bool {
    use crate::ir::kernel::Instruction;
    let bodies: Vec<_> = match &kernel.body {
        KernelBody::Loop(k) => k.passes.iter().flat_map(|p| [&p.body, &p.finish]).collect(),
        KernelBody::Product(k) => vec![&k.epilogue],
        KernelBody::Scatter(_) => return false,
    };
    bodies.into_iter().flatten().any(|define| match &define.instruction {
        Instruction::Load { buffer: b, .. } | Instruction::Gather { buffer: b, .. } => b.0 as usize == buffer,
        _ => false,
    })
}
