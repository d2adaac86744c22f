//! Calls around a tensor with very long rows → rounds over blocks of its rows: all calls for one block before the next one,
//! so that only a block of the tensor is ever stored. The logits of a large vocabulary are such a tensor, with their
//! gradient: the last layer, the loss, and both products of the last layer's gradient go round by round, and the gradient
//! by its weights is added up. (Where the calls of a block are small, they are [bands](super::band) instead, which threads
//! share; here all threads share each call.)

use super::reorder::side_by_side;
use super::row_part::RowParts;
use super::sum_part::SumParts;
use super::tidy::{Kernels, each_buffer};
use crate::ir::kernel::*;
use std::collections::{BTreeMap, BTreeSet};

/// Elements that must be saved. (In tests, small tensors go in rounds too.)
const WORTH: usize = if cfg!(test) { 1 << 10 } else { 1 << 24 };
/// Elements of a row from which on bands would be too large for any cache.
const WIDE: usize = if cfg!(test) { 1 << 6 } else { 1 << 13 };
/// Rows of a block: so many that reading the weights and their gradient again for each is little work beside them.
const ROWS: usize = if cfg!(test) { 16 } else { 512 };
/// The least, where the rows can't be cut so, and the most, where a sum goes over so many that follow each other.
const ROWS_LEAST: usize = ROWS / 2;
const ROWS_MOST: usize = 4 * ROWS;

/// Lets what is around very large tensors go in rounds.
pub fn in_rounds(schedule: &mut Schedule) {
    let temporary = |id: &usize| schedule.tensors[*id].kind == TensorKind::Temporary;
    let large = |id: &usize| schedule.tensors[*id].elements >= WORTH;
    let ids: Vec<usize> = (0..schedule.tensors.len()).filter(temporary).filter(large).collect();
    for id in ids {
        if let Some(better) = Rounds::around(schedule, TensorId(id as u32)).and_then(|r| r.arranged(schedule)) {
            *schedule = better;
        }
    }
}

/// One call's part in a round.
enum Part {
    /// Of its rows.
    Rows(Box<RowParts>),
    /// Of its sums.
    Sums(Box<SumParts>),
}

/// Calls that go in rounds.
struct Rounds {
    rounds: usize,
    /// The tensors of which a block is stored.
    blocks: BTreeSet<TensorId>,
    /// By the numbers of the calls.
    parts: BTreeMap<usize, Part>,
    /// Blocks that lie where another one lay: by the numbers of the calls that write them, the buffer that they read.
    overwritten: BTreeMap<usize, usize>,
    /// The block in whose place each of them lies.
    place: BTreeMap<TensorId, TensorId>,
}

impl Rounds {
    /// All calls that touch a tensor, and its like that they hand on.
    fn around(schedule: &Schedule, tensor: TensorId) -> Option<Rounds> {
        let elements = schedule.tensors[tensor.0 as usize].elements;
        let like = |id: &TensorId| {
            let t = &schedule.tensors[id.0 as usize];
            t.kind == TensorKind::Temporary && t.elements == elements
        };
        let mut blocks = BTreeSet::from([tensor]);
        let mut calls: BTreeSet<usize> = BTreeSet::new();
        loop {
            let touches = |(_, call): &(usize, &Call)| call.tensors.iter().any(|t| blocks.contains(t));
            let touching: BTreeSet<usize> = (schedule.calls.iter().enumerate().filter(touches).map(|c| c.0)).collect();
            if touching == calls {
                break;
            }
            calls = touching;
            let handed_on = calls.iter().flat_map(|&c| &schedule.calls[c].tensors);
            blocks.extend(handed_on.filter(|t| like(t)));
        }
        let first = *calls.first()?;
        let simple = |call: usize| schedule.loop_of(call).is_none() && schedule.calls[call].slices.is_empty();
        let is_output = schedule.outputs.iter().any(|(_, t)| blocks.contains(t));
        let KernelBody::Product(writer) = &schedule.kernels[schedule.calls[first].kernel].body else {
            return None;
        };
        let of_rows = writer.m * writer.n == elements && writer.n >= WIDE;
        if calls.len() < 2 || is_output || !of_rows || !calls.iter().all(|&c| simple(c)) {
            return None;
        }
        let counts = blocks_of(writer.m).map(|rows| writer.m / rows);
        let (rounds, parts) = counts
            .filter_map(|rounds| Some((rounds, parts(schedule, &calls, rounds)?)))
            .next()?;
        let mut result = Rounds {
            rounds,
            blocks,
            parts,
            overwritten: BTreeMap::new(),
            place: BTreeMap::new(),
        };
        let sums: usize = result.sums().map(|s| s.sums).sum();
        let saved = elements - elements / rounds;
        if !result.keep_to_their_rows(schedule, elements / rounds) || saved < sums + WORTH {
            return None;
        }
        result.overwrite(schedule);
        Some(result)
    }

    /// Lets a block lie where another one lay, which the call that writes it is the last one to read.
    fn overwrite(&mut self, schedule: &Schedule) {
        for (number, part) in &mut self.parts {
            let call = &schedule.calls[*number];
            let Part::Rows(part) = part else { continue };
            let RowParts { kernel, strides } = &mut **part;
            let touching = |tensor: TensorId| {
                (0..schedule.calls.len()).filter(move |&c| schedule.calls[c].tensors.contains(&tensor))
            };
            let block = |at: usize, written: bool| {
                self.blocks.contains(&call.tensors[at]) && kernel.buffers[at].written == written
            };
            let buffers = 0..kernel.buffers.len();
            let old = buffers
                .clone()
                .find(|&at| block(at, false) && touching(call.tensors[at]).next_back() == Some(*number));
            let new = buffers
                .clone()
                .find(|&at| block(at, true) && touching(call.tensors[at]).next() == Some(*number));
            let (Some(old), Some(new)) = (old, new) else { continue };
            if kernel.may_overwrite(BufferId(old as u32), BufferId(new as u32)) {
                *kernel = in_place(kernel, old as u32, new as u32);
                strides.remove(old);
                self.overwritten.insert(*number, old);
                let place = self.place.get(&call.tensors[old]).copied();
                self.place.insert(call.tensors[new], place.unwrap_or(call.tensors[old]));
            }
        }
    }

    fn sums(&self) -> impl Iterator<Item = &SumParts> {
        self.parts.values().filter_map(|part| match part {
            Part::Sums(parts) => Some(&**parts),
            Part::Rows(_) => None,
        })
    }

    /// Whether each round touches only its own block, and of what one call writes and another one touches its own part.
    fn keep_to_their_rows(&self, schedule: &Schedule, block: usize) -> bool {
        let mut strides: BTreeMap<TensorId, Vec<(usize, bool)>> = BTreeMap::new();
        for (number, part) in &self.parts {
            let call = &schedule.calls[*number];
            match part {
                Part::Rows(part) => {
                    let buffers = part.strides.iter().zip(&part.kernel.buffers);
                    for (tensor, (stride, buffer)) in call.tensors.iter().zip(buffers) {
                        strides.entry(*tensor).or_default().push((*stride, buffer.written));
                    }
                }
                Part::Sums(parts) => {
                    // What comes behind all rounds can't touch a block.
                    let behind = |t: &TensorId| self.blocks.contains(t) && !parts.operands.contains(t);
                    if call.tensors.iter().any(behind) {
                        return false;
                    }
                    for (operand, stride) in parts.operands.iter().zip(parts.strides) {
                        let reaches = parts.first.buffers[usize::from(*operand != parts.operands[0])].elements;
                        if reaches > stride {
                            return false;
                        }
                        strides.entry(*operand).or_default().push((stride, false));
                    }
                }
            }
        }
        strides.iter().all(|(tensor, uses)| {
            let alike = uses.iter().all(|(stride, _)| *stride == uses[0].0 && *stride > 0);
            let is_block = !self.blocks.contains(tensor) || uses[0].0 == block;
            is_block && (alike || !uses.iter().any(|(_, written)| *written))
        })
    }

    /// The schedule in which they do.
    fn arranged(&self, schedule: &Schedule) -> Option<Schedule> {
        let (mut split, parts) = self.split(schedule);
        let chosen: Vec<usize> = (0..split.calls.len()).filter(|c| parts[*c].is_some()).collect();
        let all: Vec<usize> = (0..split.calls.len()).collect();
        let (before, after) = side_by_side(&split, &all, &chosen)?;
        let (first, last) = (*chosen.first()?, *chosen.last()?);
        if split.loops.iter().any(|l| l.calls.start <= last && l.calls.end > first) {
            return None;
        }
        let mut kernels = Kernels::of(std::mem::take(&mut split.kernels));
        let mut round = |call: usize, is_first: bool| {
            let part = parts[call].expect("chosen calls have parts");
            self.part_of_round(part, &split.calls[call], is_first, &mut kernels)
        };
        let beginning: Vec<Call> = chosen.iter().map(|&c| round(c, true)).collect();
        let others: Vec<Call> = chosen.iter().map(|&c| round(c, false)).collect();
        let plain = |list: &[usize]| list.iter().map(|&c| split.calls[c].clone()).collect::<Vec<Call>>();
        let (start, added) = (first + before.len() + chosen.len(), chosen.len());
        let calls = [
            plain(&all[..first]),
            plain(&before),
            beginning,
            others,
            plain(&after),
            plain(&all[last + 1..]),
        ];
        split.calls = calls.concat();
        split.kernels = kernels.list;
        for behind in split.loops.iter_mut().filter(|l| l.calls.start > last) {
            behind.calls = behind.calls.start + added..behind.calls.end + added;
        }
        split.loops.push(Loop {
            calls: start..start + added,
            rounds: self.rounds - 1,
        });
        split.loops.sort_by_key(|l| l.calls.start);
        for block in &self.blocks {
            split.tensors[block.0 as usize].elements /= self.rounds;
        }
        Some(split)
    }

    /// The schedule in which a call that sums is followed by what is done behind all sums, and what each call does in a
    /// round, if it goes in rounds.
    fn split(&self, schedule: &Schedule) -> (Schedule, Vec<Option<&Part>>) {
        let mut split = schedule.clone();
        split.calls.clear();
        let mut kernels = Kernels::of(std::mem::take(&mut split.kernels));
        let (mut parts, mut numbers) = (vec![], vec![]);
        for (number, call) in schedule.calls.iter().enumerate() {
            numbers.push(split.calls.len());
            let part = self.parts.get(&number);
            parts.push(part);
            match part {
                None => split.calls.push(call.clone()),
                Some(Part::Rows(part)) => split.calls.push(Call {
                    kernel: kernels.number(part.kernel.clone()),
                    ..self.without_overwritten(number, call)
                }),
                Some(Part::Sums(part)) => {
                    split.tensors.push(Tensor {
                        kind: TensorKind::Temporary,
                        storage: Storage::F32,
                        elements: part.sums,
                        node: call.nodes.first().copied(),
                    });
                    let sums = TensorId(split.tensors.len() as u32 - 1);
                    split.calls.push(Call {
                        kernel: kernels.number(part.first.clone()),
                        tensors: [&part.operands[..], &[sums]].concat(),
                        name: "product".into(),
                        ..call.clone()
                    });
                    let (kernel, tensors) = part.behind(&call.tensors, sums);
                    split.calls.push(Call {
                        kernel: kernels.number(kernel),
                        tensors,
                        name: call.name.replacen("product", "elements", 1),
                        ..call.clone()
                    });
                    parts.push(None);
                }
            }
        }
        split.kernels = kernels.list;
        for found in &mut split.loops {
            found.calls = numbers[found.calls.start]..numbers[found.calls.end - 1] + 1;
        }
        (split, parts)
    }

    /// A call in the first round, or in the loop over the others.
    fn part_of_round(&self, part: &Part, call: &Call, is_first: bool, kernels: &mut Kernels) -> Call {
        let (kernel, strides) = match part {
            Part::Rows(part) => (&part.kernel, part.strides.clone()),
            Part::Sums(parts) if is_first => (&parts.first, [&parts.strides[..], &[0]].concat()),
            Part::Sums(parts) => (&parts.next, [&parts.strides[..], &[0]].concat()),
        };
        let slice = |(tensor, stride): (&TensorId, &usize)| {
            let stride = match self.blocks.contains(tensor) {
                true => 0,
                false => *stride as i64,
            };
            match is_first {
                true => Slice::default(),
                false => Slice {
                    first: stride,
                    step: stride,
                },
            }
        };
        let place = |tensor: &TensorId| self.place.get(tensor).copied().unwrap_or(*tensor);
        Call {
            kernel: kernels.number(kernel.clone()),
            tensors: call.tensors.iter().map(place).collect(),
            slices: call.tensors.iter().zip(&strides).map(slice).collect(),
            ..call.clone()
        }
    }

    /// A call whose kernel no longer has the buffer that it writes over.
    fn without_overwritten(&self, number: usize, call: &Call) -> Call {
        let mut call = call.clone();
        if let Some(&buffer) = self.overwritten.get(&number) {
            call.tensors.remove(buffer);
        }
        call
    }
}

/// The kernel that reads from a buffer that it writes what it read from another one, which falls away.
fn in_place(kernel: &Kernel, old: u32, new: u32) -> Kernel {
    let mut kernel = kernel.clone();
    kernel.buffers.remove(old as usize);
    each_buffer(&mut kernel.body, &mut |buffer| {
        let merged = if buffer.0 == old { new } else { buffer.0 };
        *buffer = BufferId(merged - u32::from(merged > old));
    });
    kernel
}

/// What calls do in a round of so many.
fn parts(schedule: &Schedule, calls: &BTreeSet<usize>, rounds: usize) -> Option<BTreeMap<usize, Part>> {
    let part = |&number: &usize| {
        let call = &schedule.calls[number];
        let kernel = &schedule.kernels[call.kernel];
        let part = match RowParts::of(kernel, rounds) {
            Some(parts) => Part::Rows(Box::new(parts)),
            None => Part::Sums(Box::new(SumParts::of(kernel, &call.tensors, rounds)?)),
        };
        Some((number, part))
    };
    calls.iter().map(part).collect()
}

/// Rows of a block that cut so many rows into several equal blocks, the best first.
fn blocks_of(rows: usize) -> impl Iterator<Item = usize> {
    let sizes = (ROWS_LEAST..=ROWS).rev().chain(ROWS + 1..=ROWS_MOST);
    sizes.filter(move |block| rows.is_multiple_of(*block) && rows / block > 1)
}
