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

    /// Whether a call must stay behind these.
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

/// Of calls in their order, those between the first and the last one of `chosen` that can be made before all of these, and
/// the others, which can be made behind them; `None` if one of these must wait for such a one.
pub fn side_by_side(schedule: &Schedule, calls: &[usize], chosen: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    let (mut before, mut after) = (vec![], vec![]);
    // What the chosen ones touch, and those behind them.
    let (mut of_chosen, mut of_after) = (Touched::default(), Touched::default());
    let last = calls.iter().position(|c| Some(c) == chosen.last())?;
    for &call in calls[..=last].iter().skip_while(|c| Some(*c) != chosen.first()) {
        match (chosen.contains(&call), of_after.binds(schedule, call)) {
            (true, true) => return None,
            (true, false) => of_chosen.add(schedule, call),
            (false, waits) if waits || of_chosen.binds(schedule, call) => {
                of_after.add(schedule, call);
                after.push(call);
            }
            (false, _) => before.push(call),
        }
    }
    Some((before, after))
}
