//! Which tensors take over the place of one that is read for the last time by the call that writes them.

use crate::ir::kernel::{BufferId, Call, Schedule, TensorId, TensorKind};

/// For each tensor the one whose place it takes over, if any: a temporary of the same size, which nothing reads any longer
/// and each of whose elements is read only where the new one's is written. Tensors of fewer than `least` elements have
/// places of their own.
pub fn taken_over(schedule: &Schedule, least: usize) -> Vec<Option<TensorId>> {
    let uses = Uses::of(schedule, least);
    // Both are stored whole, or both for one band at a time and alike.
    let passing = schedule.passing();
    let room = |tensor: TensorId| passing[tensor.0 as usize].map(|(band, passing)| (band, passing.stride));
    let mut predecessor: Vec<Option<TensorId>> = vec![None; schedule.tensors.len()];
    let mut given_away = vec![false; schedule.tensors.len()];
    for (number, call) in schedule.calls.iter().enumerate() {
        if schedule.loop_of(number).is_some() || !call.slices.is_empty() {
            continue;
        }
        for (new, &tensor) in call.tensors.iter().enumerate() {
            if !uses.begins(tensor, number) {
                continue;
            }
            let ends_here = |&(_, old): &(usize, &TensorId)| {
                !given_away[old.0 as usize] && uses.ends(*old, number) && room(*old) == room(tensor)
            };
            let fits = |&(buffer, _): &(usize, &TensorId)| may_overwrite(schedule, call, buffer, new);
            let old = call.tensors.iter().enumerate().filter(ends_here).find(fits);
            if let Some((_, old)) = old {
                given_away[old.0 as usize] = true;
                predecessor[tensor.0 as usize] = Some(*old);
            }
        }
    }
    predecessor
}

fn may_overwrite(schedule: &Schedule, call: &Call, read: usize, written: usize) -> bool {
    schedule.kernels[call.kernel].may_overwrite(BufferId(read as u32), BufferId(written as u32))
}

/// The calls that touch each temporary, ascending.
struct Uses<'s> {
    schedule: &'s Schedule,
    least: usize,
    calls: Vec<Vec<usize>>,
    is_output: Vec<bool>,
}

impl Uses<'_> {
    fn of(schedule: &Schedule, least: usize) -> Uses<'_> {
        let mut calls: Vec<Vec<usize>> = vec![vec![]; schedule.tensors.len()];
        for (number, call) in schedule.calls.iter().enumerate() {
            call.tensors.iter().for_each(|t| calls[t.0 as usize].push(number));
        }
        let mut is_output = vec![false; schedule.tensors.len()];
        schedule
            .outputs
            .iter()
            .for_each(|(_, t)| is_output[t.0 as usize] = true);
        Uses {
            schedule,
            least,
            calls,
            is_output,
        }
    }

    fn is_large_temporary(&self, tensor: TensorId) -> bool {
        let described = &self.schedule.tensors[tensor.0 as usize];
        described.kind == TensorKind::Temporary && described.elements >= self.least
    }

    /// Whether a call is the first to touch a tensor.
    fn begins(&self, tensor: TensorId, call: usize) -> bool {
        self.is_large_temporary(tensor) && self.calls[tensor.0 as usize].first() == Some(&call)
    }

    /// Whether a call is the last to touch a tensor. Calls that go band by band are one behind the other only where what
    /// they hand on is concerned: no other one of them may read what comes from outside.
    fn ends(&self, tensor: TensorId, call: usize) -> bool {
        let calls = &self.calls[tensor.0 as usize];
        let together = self.schedule.together(call);
        let from_outside = calls.first().is_some_and(|first| !together.contains(first));
        let readers = calls.iter().filter(|c| together.contains(c)).count();
        self.is_large_temporary(tensor)
            && !self.is_output[tensor.0 as usize]
            && calls.last() == Some(&call)
            && (readers == 1 || !from_outside)
    }
}
