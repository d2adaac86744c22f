//! Neighbouring calls that go over the same leading axis → bands: all calls of one sample (or head, or block of rows)
//! before the next one, so that what they hand on stays in a cache and nobody waits in between. Attention's scores and a
//! convolution's windows are such tensors. It changes no kernel but how it is cut into tasks, and no bit.

use crate::ir::affine::{Affine, Position};
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
    let mut finder = Finder {
        schedule,
        strides: HashMap::new(),
    };
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
    /// Elements of a buffer from band to band, where each band keeps to its own.
    strides: HashMap<(usize, BufferId, usize), Option<i64>>,
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
    /// The longest band that starts with a call.
    fn longest(&mut self, start: usize) -> Option<Band> {
        let mut best = None;
        for end in start + 2..=self.schedule.calls.len() {
            if !self.hands_on(start..end - 1, end - 1) {
                break;
            }
            let Some(count) = self.count(start..end) else { break };
            let calls = start..end;
            best = Some(Band { calls, count });
        }
        best
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
        let mut strides = uses.iter().map(|&(kernel, buffer)| {
            let schedule = self.schedule;
            let known = self.strides.entry((kernel, buffer, count));
            *known.or_insert_with(|| stride(&schedule.kernels[kernel], buffer, count))
        });
        let first = strides.next().flatten();
        first.is_some() && strides.all(|s| s == first)
    }
}

/// Sizes of the axes that a kernel's tasks go over, outermost first.
fn leading(kernel: &Kernel) -> Vec<usize> {
    match &kernel.body {
        KernelBody::Loop(k) => k.outer.clone(),
        KernelBody::Product(k) => [&k.batch[..], &k.strips, &[k.strip_rows()]].concat(),
        KernelBody::Scatter(_) => vec![],
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
    for size in leading(kernel) {
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

/// The axis that is cut into parts (its place among the leading ones), and into how many.
fn cut_axis(leading: &[usize], count: usize) -> (usize, usize) {
    let mut left = count;
    for (at, &size) in leading.iter().enumerate() {
        if left <= size || at + 1 == leading.len() {
            return (at, left);
        }
        left /= size;
    }
    (0, 1)
}

/// Elements of a buffer from band to band, if each band touches nothing of another one.
fn stride(kernel: &Kernel, buffer: BufferId, count: usize) -> Option<i64> {
    let leading = leading(kernel);
    let (axis, parts) = cut_axis(&leading, count);
    let mut common = None;
    for (at, mut sizes) in accesses(kernel, buffer)? {
        let moves = |axis: usize| at.affine.coefficient(axis);
        if at
            .digits
            .iter()
            .any(|d| (1..=axis + 1).any(|a| d.of.coefficient(a) != 0))
        {
            return None;
        }
        let stride = moves(axis + 1) * (leading[axis] / parts) as i64;
        let mut expected = stride * parts as i64;
        for outer in (0..axis).rev() {
            if moves(outer + 1) != expected {
                return None;
            }
            expected *= leading[outer] as i64;
        }
        sizes[1..=axis].fill(1);
        sizes[axis + 1] = leading[axis] / parts;
        let (low, high) = at.range(&sizes);
        if stride <= 0 || low < 0 || high >= stride || *common.get_or_insert(stride) != stride {
            return None;
        }
    }
    common
}

/// All positions at which a kernel touches a buffer, each with the sizes of its axes.
fn accesses(kernel: &Kernel, buffer: BufferId) -> Option<Vec<(Position, Vec<usize>)>> {
    let mut list = vec![];
    let mut of_body = |body: &Body, sizes: &[usize]| {
        for define in body {
            match &define.instruction {
                Instruction::Load { buffer: b, at, .. } | Instruction::Store { buffer: b, at, .. } if *b == buffer => {
                    list.push((at.clone(), sizes.to_vec()));
                }
                Instruction::Gather { buffer: b, .. } if *b == buffer => return false,
                _ => {}
            }
        }
        true
    };
    match &kernel.body {
        KernelBody::Loop(k) => {
            for pass in &k.passes {
                let sizes = [&[k.vector], &k.outer[..], &pass.sequential].concat();
                if !of_body(&pass.body, &sizes) || !of_body(&pass.finish, &sizes) {
                    return None;
                }
            }
        }
        KernelBody::Product(k) => {
            let sizes = [&[k.n], &k.batch[..], &[k.m]].concat();
            if !of_body(&k.epilogue, &sizes) {
                return None;
            }
            // The rows' axis, told apart into strips and the rows of each.
            let (batch, strips) = (k.batch.len(), k.strips.len());
            let mut replacement: Vec<Position> = (0..=batch).map(Position::axis).collect();
            let mut row = Affine::default();
            let mut rows = 1;
            for (axis, &size) in [&k.strips[..], &[k.strip_rows()]].concat().iter().enumerate().rev() {
                row = row.plus(&Affine::axis(batch + 1 + axis).times(rows));
                rows *= size as i64;
            }
            replacement.push(row.into());
            let sizes = [&[k.n], &k.batch[..], &k.strips, &[k.strip_rows()]].concat();
            // Without strips nothing changes (and axes of one index keep their strides).
            for (at, its_sizes) in list.iter_mut().filter(|_| strips > 0) {
                *at = at.substitute(&replacement, &sizes)?;
                *its_sizes = sizes.clone();
            }
            let row = batch + strips + 1;
            let with_sum = [&sizes[..], &k.turns, &[k.turn_length()]].concat();
            let summed = with_sum.len() - 1;
            let matrix = |m: &Matrix, row_axis: usize, column_axis: usize| {
                let outer = m.batch.iter().enumerate().map(|(i, stride)| (i + 1, *stride));
                let strips = m.strips.iter().enumerate().map(|(i, stride)| (batch + 1 + i, *stride));
                let turns = m.turns.iter().enumerate().map(|(i, stride)| (row + 1 + i, *stride));
                let within = [(row_axis, m.row_stride), (column_axis, m.column_stride)];
                let terms = outer.chain(strips).chain(turns).chain(within);
                terms.fold(Affine::constant(m.constant), |sum, (axis, stride)| {
                    sum.plus(&Affine::axis(axis).times(stride))
                })
            };
            if k.b_in_panels && k.b.buffer == buffer {
                return None;
            }
            for (m, row, column) in [(&k.a, row, summed), (&k.b, summed, VECTOR_AXIS)] {
                if m.buffer == buffer {
                    list.push((Position::from(matrix(m, row, column)), with_sum.clone()));
                }
            }
        }
        KernelBody::Scatter(_) => return None,
    }
    Some(list)
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
