//! Neighbouring calls that go over the same leading axis → bands: all calls of one sample (or head, or block of rows)
//! before the next one, so that what they hand on stays in a cache and nobody waits in between. Attention's scores and a
//! convolution's windows are such tensors; where nobody else reads them, they are never stored whole. It changes no kernel
//! but how it is cut into tasks, and no bit.

use crate::ir::kernel::*;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Tensors below this many elements are handed on well enough.
const LARGE: usize = 1 << 18;
/// Elements that the calls of a band should hand on, so that they stay in the second cache; and at most.
const BAND_ELEMENTS: usize = 1 << 17;
/// See [`BAND_ELEMENTS`].
const BAND_ELEMENTS_MOST: usize = 1 << 18;
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

/// Finds bands, and cuts their kernels into tasks that fit.
pub fn banded(schedule: &mut Schedule) {
    let mut finder = Finder::new(schedule);
    let mut bands = vec![];
    let mut at = 0;
    while at < finder.schedule.calls.len() {
        match finder.longest(at) {
            Some(band) => {
                at = band.calls.end;
                bands.push(band);
            }
            None => at += 1,
        }
    }
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

struct Finder<'s> {
    schedule: &'s Schedule,
    /// The first and the last call that touches each tensor; outputs are touched for ever.
    lifetimes: Vec<Range<usize>>,
    /// Elements of a buffer from band to band, where each band keeps to its own.
    strides: HashMap<(usize, BufferId, usize), Option<usize>>,
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
        let mut lifetimes = vec![0..0; schedule.tensors.len()];
        for (number, call) in schedule.calls.iter().enumerate().rev() {
            for tensor in &call.tensors {
                let range: &mut Range<usize> = &mut lifetimes[tensor.0 as usize];
                *range = number..range.end.max(number + 1);
            }
        }
        for (_, tensor) in &schedule.outputs {
            lifetimes[tensor.0 as usize].end = usize::MAX;
        }
        Finder {
            schedule,
            lifetimes,
            strides: HashMap::new(),
        }
    }

    /// The longest band that starts with a call.
    fn longest(&mut self, start: usize) -> Option<Band> {
        let mut best = None;
        for end in start + 2..=self.schedule.calls.len() {
            if !self.hands_on(start..end - 1, end - 1) {
                break;
            }
            let Some(count) = self.count(start..end) else { break };
            let calls = start..end;
            let passing = vec![];
            best = Some(Band { calls, count, passing });
        }
        best.map(|band| Band {
            passing: self.passing(&band),
            ..band
        })
    }

    /// What lives inside a band alone.
    fn passing(&mut self, band: &Band) -> Vec<Passing> {
        let mut passing = vec![];
        for (tensor, uses) in self.internal(band.calls.clone()) {
            let lifetime = &self.lifetimes[tensor.0 as usize];
            let inside = band.calls.start <= lifetime.start && lifetime.end <= band.calls.end;
            let temporary = self.schedule.tensors[tensor.0 as usize].kind == TensorKind::Temporary;
            let stride = uses
                .first()
                .and_then(|&(kernel, buffer)| self.stride(kernel, buffer, band.count));
            if let Some(stride) = stride.filter(|_| inside && temporary) {
                passing.push(Passing { tensor, stride });
            }
        }
        passing.sort_by_key(|p| p.tensor);
        passing
    }

    /// Whether a call stands in no loop and reads a large tensor that calls before it write.
    fn hands_on(&self, before: Range<usize>, call: usize) -> bool {
        let schedule = self.schedule;
        if schedule.loop_of(call).is_some() || before.clone().any(|c| schedule.loop_of(c).is_some()) {
            return false;
        }
        let written: BTreeSet<TensorId> = before.flat_map(|c| self.touched(c, true)).collect();
        let large = |t: &TensorId| schedule.tensors[t.0 as usize].elements >= LARGE;
        self.touched(call, false)
            .iter()
            .any(|t| large(t) && written.contains(t))
    }

    /// The tensors that a call writes, or that it reads.
    fn touched(&self, call: usize, written: bool) -> Vec<TensorId> {
        let call = &self.schedule.calls[call];
        let buffers = &self.schedule.kernels[call.kernel].buffers;
        let chosen = call.tensors.iter().zip(buffers).filter(|(_, b)| b.written == written);
        chosen.map(|(t, _)| *t).collect()
    }

    /// Into how many bands some calls can be cut: enough for threads and caches.
    fn count(&mut self, calls: Range<usize>) -> Option<usize> {
        let schedule = self.schedule;
        let mut common: Option<BTreeSet<usize>> = None;
        for call in calls.clone() {
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
            let fits = elements / count <= BAND_ELEMENTS_MOST;
            if !fits || !internal.values().all(|uses| self.keeps_to_its_own(uses, count)) {
                continue;
            }
            best = Some(count);
            if count >= BANDS_WANTED && elements / count <= BAND_ELEMENTS {
                break;
            }
        }
        best
    }

    /// The tensors that one of the calls writes and another one touches: the kernels and buffers that do.
    fn internal(&self, calls: Range<usize>) -> HashMap<TensorId, Vec<(usize, BufferId)>> {
        let schedule = self.schedule;
        let mut uses: HashMap<TensorId, Uses> = HashMap::new();
        for number in calls {
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
