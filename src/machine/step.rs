//! The launches of a plan as a flat list of steps: which function over how many tasks, and where the team must meet in
//! between. It meets only where a step touches what another thread may still be writing or reading.

use super::memory::MemberMemory;
use super::team::Member;
use crate::codegen::clif::{Code, KernelFunction};
use crate::ir::kernel::{Buffer, Kernel, KernelBody};
use crate::ir::plan::{Launch, Location, Plan, Region};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Work, in instructions of single elements, below which a step is not worth waking anyone.
const SMALL_STEP: usize = 1 << 14;

/// A function over some tasks.
pub(super) struct Step {
    function: KernelFunction,
    tasks: usize,
    /// The work of all tasks before each task and of all, where tasks differ.
    work: Option<Vec<usize>>,
    /// Its buffers' addresses, as part of the program's list.
    pub(super) pointers: Range<usize>,
    /// Its buffers that lie in the member's room for a band, if any do.
    pub(super) passing: Vec<PassingBuffer>,
    /// Where its buffers' addresses begin in the member's own list, if any pass.
    pub(super) own: usize,
    /// Member 0 does all tasks.
    alone: bool,
    /// Whether the team must meet before.
    barrier: bool,
    /// The plan's launch that it belongs to.
    launch: usize,
}

/// A buffer of which a member has room for the part of one band.
#[derive(Clone)]
pub(super) struct PassingBuffer {
    /// Its number.
    pub(super) buffer: usize,
    /// Bytes from the start of the room, for the first band.
    pub(super) offset: usize,
    /// Bytes by which it moves from band to band.
    pub(super) step: i64,
}

impl Step {
    /// The member's tasks: of the whole work about as much as of any other member.
    fn share(&self, member: &Member) -> Range<usize> {
        let Some(work) = &self.work else {
            return member.share(self.tasks);
        };
        tasks_of(work, member.share(work[self.tasks]))
    }
}

/// The tasks before which so much work is done, at least; shares of the work that follow each other are tasks that do.
fn tasks_of(work: &[usize], share: Range<usize>) -> Range<usize> {
    let task = |before: usize| work.partition_point(|&w| w < before);
    task(share.start)..task(share.end)
}

/// Steps that a member does together: one, or those of bands.
struct Stretch {
    steps: Range<usize>,
    /// How many bands, if there are any: a member does all steps of a band before the next one.
    bands: Option<usize>,
}

/// A program's steps.
pub struct Steps {
    steps: Vec<Step>,
    stretches: Vec<Stretch>,
    /// The addresses of all steps' buffers, one after the other.
    pub locations: Vec<Location>,
    /// How many addresses a member needs for itself.
    pub own_pointers: usize,
}

impl Steps {
    /// Does a member's part of all steps.
    ///
    /// # Safety
    /// `memory` has the addresses of `locations`, each with room for its kernel's buffer; its scratch memory is as large as
    /// the code needs, its room as the plan says, and both are the member's own; all members of a team call this together,
    /// and nobody else touches the memory.
    pub unsafe fn run(&self, member: &Member, memory: &mut MemberMemory) {
        for stretch in &self.stretches {
            if self.steps[stretch.steps.start].barrier {
                member.barrier();
            }
            // SAFETY: the caller's promise.
            unsafe { self.run_stretch(stretch, member, memory, &mut |_, call| call()) };
        }
    }

    /// A member's part of a stretch. `around` is given each step and what does a part of it.
    ///
    /// # Safety
    /// As for [`Steps::run`].
    unsafe fn run_stretch(
        &self,
        stretch: &Stretch,
        member: &Member,
        memory: &mut MemberMemory,
        around: &mut dyn FnMut(&Step, &dyn Fn()),
    ) {
        let mut call = |step: &Step, memory: &MemberMemory, tasks: Range<usize>| {
            let (buffers, scratch) = (memory.buffers(step), memory.scratch);
            // SAFETY: the function was compiled for a kernel with these buffers; shares of members are disjoint, steps that
            // touch the same memory have a barrier between them, and a band touches only its own part of what others of
            // its bands write. Of a buffer in the member's room it reaches no more than the part of its band
            // (`verify_plan`), for which there is room.
            around(step, &|| unsafe {
                (step.function)(buffers, scratch, tasks.start as i64, tasks.end as i64)
            });
        };
        let steps = &self.steps[stretch.steps.clone()];
        let Some(bands) = stretch.bands else {
            let step = &steps[0];
            let share = match (step.alone, member.index) {
                (true, 0) => 0..step.tasks,
                (true, _) => 0..0,
                (false, _) => step.share(member),
            };
            if !share.is_empty() {
                call(step, memory, share);
            }
            return;
        };
        for band in member.share(bands) {
            for step in steps {
                let tasks = step.tasks / bands;
                memory.enter(step, band);
                call(step, memory, band * tasks..(band + 1) * tasks);
            }
        }
    }

    /// Launches of the plan.
    pub fn launches(&self) -> usize {
        self.steps.iter().map(|s| s.launch + 1).max().unwrap_or(0)
    }

    /// Does the same with a meeting around every stretch, and adds up what each launch of the plan takes, in nanoseconds.
    ///
    /// # Safety
    /// As for [`Steps::run`]; `nanoseconds` has an entry for each launch.
    pub unsafe fn run_timed(&self, member: &Member, memory: &mut MemberMemory, nanoseconds: &[AtomicU64]) {
        for stretch in &self.stretches {
            member.barrier();
            let first = &self.steps[stretch.steps.start];
            let begin = Instant::now();
            let mut timed = |step: &Step, call: &dyn Fn()| {
                let begin = Instant::now();
                call();
                if member.index == 0 && stretch.bands.is_some() {
                    let took = begin.elapsed().as_nanos() as u64;
                    nanoseconds[step.launch].fetch_add(took, Ordering::Relaxed);
                }
            };
            // SAFETY: the caller's promise; the meetings around each stretch keep their order.
            unsafe { self.run_stretch(stretch, member, memory, &mut timed) };
            member.barrier();
            if member.index == 0 && stretch.bands.is_none() {
                let took = begin.elapsed().as_nanos() as u64;
                nanoseconds[first.launch].fetch_add(took, Ordering::Relaxed);
            }
        }
    }
}

/// What a step touches, and whether one member does it.
struct Touched {
    read: Vec<(Region, Range<usize>)>,
    written: Vec<(Region, Range<usize>)>,
    alone: bool,
}

impl Touched {
    /// What a kernel touches with its buffers at these addresses; what lies in a member's own room is nobody else's.
    fn of(kernel: &Kernel, locations: &[Location], alone: bool) -> Touched {
        let (mut read, mut written) = (vec![], vec![]);
        let shared = |(_, location): &(&Buffer, &Location)| location.region != Region::Band;
        for (buffer, location) in kernel.buffers.iter().zip(locations).filter(shared) {
            let bytes = buffer.storage.stride() * buffer.elements;
            let range = (location.region, location.offset..location.offset + bytes);
            match buffer.written {
                true => written.push(range),
                false => read.push(range),
            }
        }
        Touched { read, written, alone }
    }

    /// Whether the order of two steps matters and is not kept by one thread doing both.
    fn conflicts(&self, other: &Touched) -> bool {
        let meet = |a: &[(Region, Range<usize>)], b: &[(Region, Range<usize>)]| {
            a.iter().any(|(region, x)| {
                b.iter()
                    .any(|(other, y)| region == other && x.start < y.end && y.start < x.end)
            })
        };
        !(self.alone && other.alone)
            && (meet(&self.written, &other.written)
                || meet(&self.written, &other.read)
                || meet(&self.read, &other.written))
    }
}

/// Flattens a verified plan.
pub fn steps(plan: &Plan, code: &Code) -> Steps {
    let mut result = Steps {
        steps: vec![],
        stretches: vec![],
        locations: vec![],
        own_pointers: 0,
    };
    let mut since_barrier: Vec<Touched> = vec![];
    // A loop is only a longer list of addresses: its code is there once.
    for (number, launch, round) in plan.rounds() {
        let band = plan.bands.iter().find(|b| b.calls.contains(&number));
        let kernel = &plan.kernels[launch.call.kernel];
        let pointers = result.locations.len()..result.locations.len() + launch.locations.len();
        let locations = (0..launch.locations.len()).map(|buffer| launch.location(buffer, round));
        result.locations.extend(locations);
        let passing = passing_buffers(launch);
        let own = result.own_pointers;
        result.own_pointers += if passing.is_empty() { 0 } else { pointers.len() };
        let phases = &code.kernels[launch.call.kernel].phases;
        let small = work(kernel) < SMALL_STEP || phases.iter().all(|phase| phase.tasks == 1);
        let alone = band.is_none() && small;
        for phase in phases {
            let touched = Touched::of(kernel, &result.locations[pointers.clone()], alone);
            // The steps of bands keep their order by themselves; the first of them waits for what any of them needs.
            let barrier = match band {
                None => since_barrier.iter().any(|earlier| earlier.conflicts(&touched)),
                Some(band) if number > band.calls.start => false,
                Some(band) => band.calls.clone().any(|number| {
                    let launch = &plan.launches[number];
                    let touched = Touched::of(&plan.kernels[launch.call.kernel], &launch.locations, false);
                    since_barrier.iter().any(|earlier| earlier.conflicts(&touched))
                }),
            };
            if barrier {
                since_barrier.clear();
            }
            since_barrier.push(touched);
            let at = result.steps.len();
            match (band, result.stretches.last_mut()) {
                (Some(band), Some(last)) if number > band.calls.start => last.steps.end = at + 1,
                _ => result.stretches.push(Stretch {
                    steps: at..at + 1,
                    bands: band.map(|b| b.count),
                }),
            }
            result.steps.push(Step {
                function: phase.function,
                tasks: phase.tasks,
                work: work_before_tasks(kernel).filter(|work| work.len() == phase.tasks + 1),
                pointers: pointers.clone(),
                passing: passing.clone(),
                own,
                alone,
                barrier,
                launch: number,
            });
        }
    }
    result
}

/// The buffers of a launch that lie in a member's room.
fn passing_buffers(launch: &Launch) -> Vec<PassingBuffer> {
    let places = launch.locations.iter().enumerate();
    let passing = places.filter(|(_, location)| location.region == Region::Band);
    let described = passing.map(|(buffer, location)| PassingBuffer {
        buffer,
        offset: location.offset,
        step: launch.steps[buffer],
    });
    described.collect()
}

/// The elements of a product in all tasks before each one, and in all, if tasks are not equally large.
fn work_before_tasks(kernel: &Kernel) -> Option<Vec<usize>> {
    let KernelBody::Product(k) = &kernel.body else {
        return None;
    };
    if k.m.is_multiple_of(k.rows_per_task) && k.n.is_multiple_of(k.columns_per_task) {
        return None;
    }
    // As tasks are numbered: by batch, then columns, then rows.
    let parts = |size: usize, of_task: usize| (0..size).step_by(of_task).map(move |at| of_task.min(size - at));
    let batch = 0..k.batch.iter().product();
    let tasks = batch
        .flat_map(|_| parts(k.n, k.columns_per_task))
        .flat_map(|columns| parts(k.m, k.rows_per_task).map(move |rows| rows * columns));
    let sums = tasks.scan(0, |before, work| {
        *before += work;
        Some(*before)
    });
    Some(std::iter::once(0).chain(sums).collect())
}

/// A rough count of a kernel's work.
fn work(kernel: &Kernel) -> usize {
    match &kernel.body {
        KernelBody::Loop(k) => {
            let per_element = k.passes.iter().map(|pass| {
                let iterations: usize = pass.sequential.iter().product();
                iterations.saturating_mul(pass.body.len()) + pass.finish.len()
            });
            let elements = k.outer.iter().product::<usize>().saturating_mul(k.vector);
            elements.saturating_mul(per_element.sum())
        }
        KernelBody::Product(k) => {
            let products = k.m * k.n * (k.k + k.epilogue.len());
            products.saturating_mul(k.batch.iter().product())
        }
        KernelBody::Scatter(k) => {
            let items: usize = k.outer.iter().chain(&k.items).product();
            items.saturating_mul(k.vector) + kernel.buffers[k.table.0 as usize].elements
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_unequal_tasks_are_equal_work_and_leave_none_out() {
        // Two wide tasks, then two narrow ones.
        let work = [0, 30, 60, 70, 80];
        assert_eq!([tasks_of(&work, 0..40), tasks_of(&work, 40..80)], [0..2, 2..4]);
        for threads in 1..=7 {
            let shares: Vec<Range<usize>> = (0..threads)
                .map(|i| tasks_of(&work, 80 * i / threads..80 * (i + 1) / threads))
                .collect();
            let tasks: Vec<usize> = shares.into_iter().flatten().collect();
            assert_eq!(tasks, [0, 1, 2, 3]);
        }
    }
}
