//! Calls that go over the same leading axis → bands: all calls of one sample (or head, or block of rows)
//! before the next one, so that what they hand on stays in a cache and nobody waits in between. Attention's scores and a
//! convolution's windows are such tensors; where nobody else reads them, they are never stored whole. It changes no kernel
//! but how it is cut into tasks, and no bit.

use super::reorder::side_by_side;
use crate::ir::kernel::*;
use std::collections::{BTreeSet, HashMap};

/// Tensors below this many elements are handed on well enough.
const LARGE: usize = 1 << 18;
/// Tensors from so many elements on are worth not to be stored whole.
const HUGE: usize = 1 << 22;
/// Elements that the calls of a band should hand on, so that they stay in the second cache.
const BAND_ELEMENTS: usize = 1 << 17;
/// With more, they do not.
const CACHED_ELEMENTS: usize = 1 << 18;
/// Elements that the calls of a band hand on at most, where they can't be few but at least need not be stored whole.
const BAND_ELEMENTS_MOST: usize = 1 << 22;
/// Rows of a product in a band for which packing all of its second operand again is little work.
const BAND_ROWS: usize = 512;
/// A second operand that is packed again without thought.
const SMALL_OPERAND: usize = 1 << 14;
/// Bands that there should be for the threads to share.
const BANDS_WANTED: usize = 16;
/// The least that are worth it.
const BANDS_LEAST: usize = 8;
/// The most.
const BANDS_MOST: usize = 4096;

/// How far from its first call a band's calls may stand.
const REACH: usize = 40;

/// Finds bands, brings their calls together, and cuts their kernels into tasks that fit.
pub fn banded(schedule: &mut Schedule) {
    let mut search = Search {
        order: (0..schedule.calls.len()).collect(),
        bands: vec![],
        finder: Finder::new(schedule),
    };
    // The largest first: what stands in a band is in no other one.
    for least in sizes(schedule).into_iter().rev() {
        search.run(least, BAND_ELEMENTS_MOST);
    }
    search.run(LARGE, CACHED_ELEMENTS);
    let Search { order, mut bands, .. } = search;
    bands.sort_by_key(|band| band.calls.start);
    schedule.calls = order.iter().map(|&call| schedule.calls[call].clone()).collect();
    for band in &bands {
        for call in band.calls.clone() {
            let number = schedule.calls[call].kernel;
            let cut = cut(&schedule.kernels[number], band.count);
            let known = schedule.kernels.iter().position(|k| *k == cut);
            schedule.calls[call].kernel = known.unwrap_or_else(|| {
                schedule.kernels.push(cut);
                schedule.kernels.len() - 1
            });
        }
    }
    schedule.bands = bands;
    without_unused_kernels(schedule);
}

/// The sizes of temporaries that are worth not to be stored whole.
fn sizes(schedule: &Schedule) -> BTreeSet<usize> {
    let temporaries = schedule.tensors.iter().filter(|t| t.kind == TensorKind::Temporary);
    temporaries.map(|t| t.elements).filter(|&e| e >= HUGE).collect()
}

struct Search<'s> {
    /// Numbers of calls in their new order.
    order: Vec<usize>,
    bands: Vec<Band>,
    finder: Finder<'s>,
}

impl Search<'_> {
    /// Finds bands that hand on tensors of at least so many elements, at most so many for each band.
    fn run(&mut self, least: usize, most: usize) {
        let mut at = 0;
        while at < self.order.len() {
            if let Some(band) = self.bands.iter().find(|b| b.calls.start == at) {
                at = band.calls.end;
                continue;
            }
            let taken = self
                .bands
                .iter()
                .map(|b| b.calls.start)
                .filter(|start| *start > at)
                .min();
            let end = taken.unwrap_or(self.order.len()).min(at + REACH);
            let Some(found) = self.finder.around(&self.order[at..end], least, most) else {
                at += 1;
                continue;
            };
            let reordered = [&found.before[..], &found.calls, &found.after].concat();
            self.order[at..at + reordered.len()].copy_from_slice(&reordered);
            let first = at + found.before.len();
            self.bands.push(Band {
                calls: first..first + found.calls.len(),
                count: found.count,
                passing: found.passing,
            });
        }
    }
}

struct Finder<'s> {
    schedule: &'s Schedule,
    /// The calls that touch each tensor.
    touching: Vec<Vec<usize>>,
    /// Elements of a buffer from band to band, where each band keeps to its own.
    strides: HashMap<(usize, BufferId, usize), Option<usize>>,
}

/// Calls that can be made band by band, and those among which they stand: some can be made before, the others behind.
struct Found {
    calls: Vec<usize>,
    count: usize,
    passing: Vec<Passing>,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// Who touches a tensor.
#[derive(Default)]
struct Uses {
    calls: BTreeSet<usize>,
    written: bool,
    /// Kernels and their buffers.
    buffers: Vec<(usize, BufferId)>,
}

impl Finder<'_> {
    fn new(schedule: &Schedule) -> Finder<'_> {
        let mut touching = vec![vec![]; schedule.tensors.len()];
        for (number, call) in schedule.calls.iter().enumerate() {
            call.tensors.iter().for_each(|t| touching[t.0 as usize].push(number));
        }
        // The trainer touches outputs, behind all calls.
        for (_, tensor) in &schedule.outputs {
            touching[tensor.0 as usize].push(usize::MAX);
        }
        Finder {
            schedule,
            touching,
            strides: HashMap::new(),
        }
    }

    /// The band of the first one of some calls: again and again the first one of the others that hands on a tensor of at
    /// least so many elements to those that are in it, or takes one from them. They hand on at most so many for each band;
    /// where that does not stay in the second cache, little of it is stored whole.
    fn around(&mut self, calls: &[usize], least: usize, most: usize) -> Option<Found> {
        let in_loop = calls.iter().position(|&c| self.schedule.loop_of(c).is_some());
        let calls = &calls[..in_loop.unwrap_or(calls.len())];
        let mut found: Option<Found> = None;
        let mut members = vec![*calls.first()?];
        let mut refused: BTreeSet<usize> = BTreeSet::new();
        loop {
            let large = self.large(&members, least);
            let joins = |call: &usize| {
                let tensors = &self.schedule.calls[*call].tensors;
                !members.contains(call) && !refused.contains(call) && tensors.iter().any(|t| large.contains(t))
            };
            let Some(&next) = calls
                .iter()
                .find(|call| joins(call) && self.linked(&members, **call, least))
            else {
                return found;
            };
            let chosen = |call: &usize| *call == next || members.contains(call);
            let together: Vec<usize> = calls.iter().copied().filter(chosen).collect();
            let arranged = side_by_side(self.schedule, calls, &together);
            let count = arranged.as_ref().and_then(|_| self.count(&together, most));
            let (Some((before, after)), Some((count, elements))) = (arranged, count) else {
                refused.insert(next);
                continue;
            };
            members.clone_from(&together);
            let passing = self.passing(&together, count);
            let stored_nowhere: usize = passing.iter().map(|p| p.stride).sum();
            if elements <= CACHED_ELEMENTS || 2 * stored_nowhere >= elements {
                found = Some(Found {
                    calls: together,
                    count,
                    passing,
                    before,
                    after,
                });
            }
        }
    }

    /// The tensors of at least so many elements that some calls touch.
    fn large(&self, calls: &[usize], least: usize) -> BTreeSet<TensorId> {
        let tensors = calls.iter().flat_map(|&c| &self.schedule.calls[c].tensors);
        tensors.filter(|t| self.elements(**t) >= least).copied().collect()
    }

    /// Whether a call reads such a tensor that one of the others writes, or writes one that one of them reads.
    fn linked(&self, calls: &[usize], call: usize, least: usize) -> bool {
        let meet = |writer: usize, reader: usize| {
            let read = self.touched(reader, false);
            let mut written = self.touched(writer, true).into_iter();
            written.any(|t| self.elements(t) >= least && read.contains(&t))
        };
        calls.iter().any(|&other| meet(other, call) || meet(call, other))
    }

    fn elements(&self, tensor: TensorId) -> usize {
        self.schedule.tensors[tensor.0 as usize].elements
    }

    /// What lives inside a band alone.
    fn passing(&mut self, calls: &[usize], count: usize) -> Vec<Passing> {
        let mut passing = vec![];
        for (tensor, uses) in self.internal(calls) {
            let inside = self.touching[tensor.0 as usize].iter().all(|c| calls.contains(c));
            let temporary = self.schedule.tensors[tensor.0 as usize].kind == TensorKind::Temporary;
            let first = uses.first().filter(|_| inside && temporary);
            let stride = first.and_then(|&(kernel, buffer)| self.stride(kernel, buffer, count));
            passing.extend(stride.map(|stride| Passing { tensor, stride }));
        }
        passing.sort_by_key(|p| p.tensor);
        passing
    }

    /// The tensors that a call writes, or that it reads.
    fn touched(&self, call: usize, written: bool) -> Vec<TensorId> {
        let call = &self.schedule.calls[call];
        let buffers = &self.schedule.kernels[call.kernel].buffers;
        let chosen = call.tensors.iter().zip(buffers).filter(|(_, b)| b.written == written);
        chosen.map(|(t, _)| *t).collect()
    }

    /// Into how many bands some calls can be cut, enough for threads and caches, and the elements that these hand on.
    fn count(&mut self, calls: &[usize], most: usize) -> Option<(usize, usize)> {
        let schedule = self.schedule;
        let mut common: Option<BTreeSet<usize>> = None;
        for &call in calls {
            let counts = counts(&schedule.kernels[schedule.calls[call].kernel]);
            common = Some(match common {
                None => counts,
                Some(before) => before.intersection(&counts).copied().collect(),
            });
        }
        let internal = self.internal(calls);
        let elements: usize = internal.keys().map(|t| schedule.tensors[t.0 as usize].elements).sum();
        let mut best = None;
        for count in common?.into_iter().filter(|c| (BANDS_LEAST..=BANDS_MOST).contains(c)) {
            let fits = elements / count <= most;
            if !fits || !internal.values().all(|uses| self.keeps_to_its_own(uses, count)) {
                continue;
            }
            best = Some((count, elements / count));
            if count >= BANDS_WANTED && elements / count <= BAND_ELEMENTS {
                break;
            }
        }
        best
    }

    /// The tensors that one of the calls writes and another one touches: the kernels and buffers that do.
    fn internal(&self, calls: &[usize]) -> HashMap<TensorId, Vec<(usize, BufferId)>> {
        let schedule = self.schedule;
        let mut uses: HashMap<TensorId, Uses> = HashMap::new();
        for &number in calls {
            let call = &schedule.calls[number];
            for (buffer, tensor) in call.tensors.iter().enumerate() {
                let entry = uses.entry(*tensor).or_default();
                entry.calls.insert(number);
                entry.written |= schedule.kernels[call.kernel].buffers[buffer].written;
                entry.buffers.push((call.kernel, BufferId(buffer as u32)));
            }
        }
        let shared = uses.into_iter().filter(|(_, u)| u.written && u.calls.len() > 1);
        shared.map(|(tensor, uses)| (tensor, uses.buffers)).collect()
    }

    fn keeps_to_its_own(&mut self, uses: &[(usize, BufferId)], count: usize) -> bool {
        let mut strides = uses.iter().map(|&(kernel, buffer)| self.stride(kernel, buffer, count));
        let first = strides.next().flatten();
        first.is_some() && strides.all(|s| s == first)
    }

    /// [`Kernel::band_stride`], asked once.
    fn stride(&mut self, kernel: usize, buffer: BufferId, count: usize) -> Option<usize> {
        let known = self.strides.entry((kernel, buffer, count));
        *known.or_insert_with(|| self.schedule.kernels[kernel].band_stride(buffer, count))
    }
}

/// The numbers of bands that a kernel can be cut into: whole outer axes, and a part of the next one.
fn counts(kernel: &Kernel) -> BTreeSet<usize> {
    let mut counts = BTreeSet::new();
    let mut before = 1;
    let few_rows = |count: usize| match &kernel.body {
        KernelBody::Product(k) => {
            let batch: usize = k.batch.iter().product();
            count > batch && k.m * batch / count < BAND_ROWS && k.k * k.n > SMALL_OPERAND
        }
        _ => false,
    };
    for size in kernel.band_axes() {
        counts.extend(
            (1..=size.min(BANDS_MOST))
                .filter(|f| size.is_multiple_of(*f))
                .map(|f| before * f),
        );
        before *= size;
    }
    counts.retain(|&count| !few_rows(count));
    counts
}

/// The kernel with tasks none of which reaches over the end of a band.
fn cut(kernel: &Kernel, count: usize) -> Kernel {
    let mut kernel = kernel.clone();
    let divisor = |size: usize, most: usize| {
        let fits = (1..=most.clamp(1, size)).rev().find(|d| size.is_multiple_of(*d));
        fits.expect("1 divides everything")
    };
    match &mut kernel.body {
        KernelBody::Loop(k) => {
            let rows: usize = k.outer.iter().product::<usize>() / count;
            k.rows_per_task = divisor(rows, k.rows_per_task);
        }
        KernelBody::Product(k) => {
            let batch: usize = k.batch.iter().product();
            if !batch.is_multiple_of(count) {
                k.columns_per_task = k.n;
                k.rows_per_task = k.m / (count / batch);
            }
        }
        KernelBody::Scatter(_) => {}
    }
    kernel
}

fn without_unused_kernels(schedule: &mut Schedule) {
    let mut new: Vec<Option<usize>> = vec![None; schedule.kernels.len()];
    let mut kept = vec![];
    for call in &mut schedule.calls {
        call.kernel = *new[call.kernel].get_or_insert_with(|| {
            kept.push(call.kernel);
            kept.len() - 1
        });
    }
    schedule.kernels = kept.into_iter().map(|k| schedule.kernels[k].clone()).collect();
}

#[cfg(test)]
#[path = "band_test.rs"]
mod tests;
