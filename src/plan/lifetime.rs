//! Lifetimes → offsets: tensors that live at the same time do not overlap. Larger ones are placed first, each at
//! the lowest offset that is free while it lives.

use crate::ir::plan::ALIGNMENT;

/// From the call that writes it to the last one that reads it, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Number of a call.
    pub first: usize,
    /// Number of a call.
    pub last: usize,
    /// A multiple of [`ALIGNMENT`].
    pub bytes: usize,
}

/// The offset of each (0 where there is no interval), and the size of the whole.
pub fn offsets(intervals: &[Option<Interval>]) -> (Vec<usize>, usize) {
    let mut order: Vec<(usize, Interval)> = intervals
        .iter()
        .enumerate()
        .filter_map(|(at, interval)| Some((at, (*interval)?)))
        .collect();
    order.sort_by_key(|(at, i)| (std::cmp::Reverse(i.bytes), i.first, *at));
    let mut result = vec![0; intervals.len()];
    let mut total = 0;
    // Sorted by offset.
    let mut placed: Vec<(usize, Interval)> = vec![];
    for (at, interval) in order {
        debug_assert!(interval.bytes.is_multiple_of(ALIGNMENT));
        let mut offset = 0;
        for (start, other) in &placed {
            let together = other.first <= interval.last && interval.first <= other.last;
            if !together {
                continue;
            }
            if *start >= offset + interval.bytes {
                break;
            }
            offset = offset.max(start + other.bytes);
        }
        result[at] = offset;
        total = total.max(offset + interval.bytes);
        let position = placed.partition_point(|(start, _)| *start <= offset);
        placed.insert(position, (offset, interval));
    }
    (result, total)
}
