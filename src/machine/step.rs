//! The launches of a plan as a flat list of steps: which function over how many tasks, and where the team must meet in
//! between. It meets only where a step touches what another thread may still be writing or reading.

use super::team::Member;
use crate::codegen::clif::{Code, KernelFunction};
use crate::ir::kernel::{Kernel, KernelBody};
use crate::ir::plan::{Location, Plan, Region};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Work, in instructions of single elements, below which a step is not worth waking anyone.
const SMALL_STEP: usize = 1 << 14;

/// A function over some tasks.
struct Step {
    function: KernelFunction,
    tasks: usize,
    /// Its buffers' addresses, as part of the program's list.
    pointers: Range<usize>,
    /// Member 0 does all tasks.
    alone: bool,
    /// Whether the team must meet before.
    barrier: bool,
    /// The plan's launch that it belongs to.
    launch: usize,
}

/// A program's steps.
pub struct Steps {
    steps: Vec<Step>,
    /// The addresses of all steps' buffers, one after the other.
    pub locations: Vec<Location>,
}

impl Steps {
    /// Does a member's part of all steps.
    ///
    /// # Safety
    /// `pointers` are the addresses of `locations`, each with room for its kernel's buffer; `scratch` is as large as the
    /// code needs and the member's own; all members of a team call this together, and nobody else touches the memory.
    pub unsafe fn run(&self, member: &Member, pointers: &[*mut u8], scratch: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { Steps::run_some(&self.steps, member, pointers, scratch) };
    }

    /// As [`Steps::run`], of some steps.
    ///
    /// # Safety
    /// As for [`Steps::run`].
    unsafe fn run_some(steps: &[Step], member: &Member, pointers: &[*mut u8], scratch: *mut u8) {
        for step in steps {
            if step.barrier {
                member.barrier();
            }
            let share = match (step.alone, member.index) {
                (true, 0) => 0..step.tasks,
                (true, _) => 0..0,
                (false, _) => member.share(step.tasks),
            };
            if !share.is_empty() {
                let buffers = pointers[step.pointers.clone()].as_ptr();
                // SAFETY: the function was compiled for a kernel with these buffers; shares of members are disjoint, and
                // steps that touch the same memory have a barrier between them.
                unsafe { (step.function)(buffers, scratch, share.start as i64, share.end as i64) };
            }
        }
    }
}

impl Steps {
    /// Launches of the plan.
    pub fn launches(&self) -> usize {
        self.steps.iter().map(|s| s.launch + 1).max().unwrap_or(0)
    }

    /// Does the same with a meeting behind every step, and adds up what each launch of the plan takes, in nanoseconds.
    ///
    /// # Safety
    /// As for [`Steps::run`]; `nanoseconds` has an entry for each launch.
    pub unsafe fn run_timed(&self, member: &Member, pointers: &[*mut u8], scratch: *mut u8, nanoseconds: &[AtomicU64]) {
        for step in &self.steps {
            member.barrier();
            let begin = Instant::now();
            let one = std::slice::from_ref(step);
            // SAFETY: the caller's promise; the meetings around each step keep their order.
            unsafe { Steps::run_some(one, member, pointers, scratch) };
            member.barrier();
            if member.index == 0 {
                let took = begin.elapsed().as_nanos() as u64;
                nanoseconds[step.launch].fetch_add(took, Ordering::Relaxed);
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
    let mut list: Vec<Step> = vec![];
    let mut locations = vec![];
    let mut since_barrier: Vec<Touched> = vec![];
    // A loop is only a longer list of addresses: its code is there once.
    for (number, launch, round) in plan.rounds() {
        let kernel = &plan.kernels[launch.call.kernel];
        let pointers = locations.len()..locations.len() + launch.locations.len();
        locations.extend((0..launch.locations.len()).map(|buffer| launch.location(buffer, round)));
        let phases = &code.kernels[launch.call.kernel].phases;
        let alone = work(kernel) < SMALL_STEP || phases.iter().all(|phase| phase.tasks == 1);
        for phase in phases {
            let mut touched = Touched {
                read: vec![],
                written: vec![],
                alone,
            };
            for (buffer, location) in kernel.buffers.iter().zip(&locations[pointers.clone()]) {
                let range = (location.region, location.offset..location.offset + 4 * buffer.elements);
                let list = if buffer.written {
                    &mut touched.written
                } else {
                    &mut touched.read
                };
                list.push(range);
            }
            let barrier = since_barrier.iter().any(|earlier| earlier.conflicts(&touched));
            if barrier {
                since_barrier.clear();
            }
            since_barrier.push(touched);
            list.push(Step {
                function: phase.function,
                tasks: phase.tasks,
                pointers: pointers.clone(),
                alone,
                barrier,
                launch: number,
            });
        }
    }
    Steps { steps: list, locations }
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
