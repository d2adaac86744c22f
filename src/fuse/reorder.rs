//! Which calls can be made one directly behind the other: what stands between them goes before or behind them, as far as
//! the order of who writes and who reads allows.

use crate::ir::kernel::{Schedule, TensorId};
use std::collections::HashSet;

/// What some calls read and write.
#[derive(Default)]
struct Touched {
    read: HashSet<TensorId>,
    written: HashSet<TensorId>,
}

impl Touched {
    fn add(&mut self, schedule: &Schedule, call: usize) {
        for (tensor, written) in tensors(schedule, call) {
            match written {
                true => self.written.insert(tensor),
                false => self.read.insert(tensor),
            };
        }
    }

    /// Whether a call must stay on its side of these.
    fn binds(&self, schedule: &Schedule, call: usize) -> bool {
        let mut touched = tensors(schedule, call);
        touched.any(|(tensor, written)| self.written.contains(&tensor) || written && self.read.contains(&tensor))
    }
}

/// What a call touches, and whether it writes it.
fn tensors(schedule: &Schedule, call: usize) -> impl Iterator<Item = (TensorId, bool)> {
    let call = &schedule.calls[call];
    let buffers = &schedule.kernels[call.kernel].buffers;
    call.tensors.iter().zip(buffers).map(|(t, b)| (*t, b.written))
}

/// Of calls in their order, those between the first and the last one of `chosen` for which one of these must wait, and the
/// others, which can be made behind them; `None` if one of the former must wait for such a one itself.
pub fn side_by_side(schedule: &Schedule, calls: &[usize], chosen: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    let place = |call: Option<&usize>| calls.iter().position(|c| Some(c) == call);
    let between = &calls[place(chosen.first())?..=place(chosen.last())?];
    // Those that are waited for, and what they and the chosen ones behind them touch.
    let mut before = vec![];
    let mut later = Touched::default();
    for &call in between.iter().rev() {
        let is_chosen = chosen.contains(&call);
        let waited_for = !is_chosen && later.binds(schedule, call);
        if is_chosen || waited_for {
            later.add(schedule, call);
        }
        before.extend(waited_for.then_some(call));
    }
    before.reverse();
    let mut after = vec![];
    let mut earlier = Touched::default();
    for &call in between {
        let waited_for = before.contains(&call);
        if waited_for && earlier.binds(schedule, call) {
            return None;
        }
        if !waited_for {
            earlier.add(schedule, call);
            after.extend((!chosen.contains(&call)).then_some(call));
        }
    }
    Some((before, after))
}
