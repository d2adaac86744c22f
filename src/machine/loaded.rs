//! The safe interface: programs over one memory, and the threads that run them.

use super::arena::Arena;
use super::memory::TeamMemory;
use super::pace::{Pace, running_seconds};
use super::program::{Extent, MachineError, Program};
use super::step::Steps;
use super::team::{Member, Team};
use crate::ir::kernel::Storage;
use crate::ir::plan::{Location, OutputSlot, PersistentLayout, Region, Slot};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// Which program of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgramId(pub usize);

/// Elements that can be read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Values<'a> {
    /// Reals and conditions.
    F32(&'a [f32]),
    /// Ids.
    I32(&'a [i32]),
}

/// Elements that can be written.
#[derive(PartialEq, Debug)]
pub enum ValuesMut<'a> {
    /// Reals and conditions.
    F32(&'a mut [f32]),
    /// Ids.
    I32(&'a mut [i32]),
}

/// Programs, the memory they work on, and the threads that run them. Parameters and states are shared by all programs;
/// inputs and results of a program hold until another program is run or written to.
pub struct Machine {
    programs: Vec<Loaded>,
    layout: PersistentLayout,
    persistent: Arena,
    transient: Arena,
    scratch: Arena,
    scratch_stride: usize,
    team: Team,
}

/// Memory that a machine maps for data, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MachineMemory {
    /// Of parameters and states.
    pub persistent: usize,
    /// Of inputs, results and what lies between, in the program that needs most of it.
    pub transient: usize,
    /// For each thread's own work, with its room for bands.
    pub scratch: usize,
    /// Threads.
    pub threads: usize,
}

impl MachineMemory {
    /// What a machine of these programs will map: known before anything is.
    pub fn of(programs: &[Program], threads: usize) -> MachineMemory {
        let most = |of: fn(&Program) -> usize| programs.iter().map(of).max().unwrap_or(0);
        MachineMemory {
            persistent: most(|p| p.persistent.bytes),
            transient: most(|p| p.transient_bytes),
            scratch: most(|p| p.room_offset() + p.band_bytes).next_multiple_of(4096),
            threads: threads.max(1),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> usize {
        self.persistent + self.transient + self.scratch * self.threads
    }
}

/// A program with its steps' addresses.
struct Loaded {
    program: Program,
    pointers: Vec<*mut u8>,
    /// Addresses that each member has for itself.
    own: Vec<*mut u8>,
    pace: Pace,
}

impl Loaded {
    /// Its steps, the memory with which the team does them, with so many bytes for each member behind `scratch`, and how
    /// fast that goes.
    fn parts(&mut self, scratch: (NonNull<u8>, usize)) -> (&Steps, TeamMemory<'_>, &mut Pace) {
        let steps = &self.program.steps;
        let own = (&mut self.own[..], steps.own_pointers);
        let memory = TeamMemory::new(&self.pointers, own, scratch, self.program.room_offset());
        (steps, memory, &mut self.pace)
    }
}

// SAFETY: the pointers go into the machine's own arenas.
unsafe impl Send for Machine {}

impl Machine {
    /// Puts programs of one experiment together.
    pub fn new(programs: Vec<Program>, threads: usize) -> Result<Machine, MachineError> {
        let layout = programs.first().map(|p| p.persistent.clone()).unwrap_or_default();
        if programs.iter().any(|p| p.persistent != layout) {
            return Err(MachineError::Plan("programs with different parameters".into()));
        }
        let memory = |bytes: usize, what: &str| {
            Arena::new(bytes).map_err(|error| MachineError::System {
                what: format!("{bytes} bytes for {what}"),
                error,
            })
        };
        let team = Team::new(threads).map_err(|error| MachineError::System {
            what: format!("{threads} threads"),
            error,
        })?;
        let needed = MachineMemory::of(&programs, team.threads());
        let persistent = memory(needed.persistent, "parameters and states")?;
        let transient = memory(needed.transient, "a step")?;
        let scratch = memory(needed.scratch * team.threads(), "the threads' own work")?;
        let address = |location: &Location| {
            let arena = match location.region {
                Region::Persistent => &persistent,
                Region::Transient => &transient,
                // Each member has its own.
                Region::Band => return std::ptr::null_mut(),
            };
            // SAFETY: `verify_plan` has seen that the location lies inside its region, which is no larger than the arena.
            unsafe { arena.start().add(location.offset) }.as_ptr()
        };
        let loaded = programs.into_iter().map(|program| Loaded {
            pointers: program.steps.locations.iter().map(address).collect(),
            own: vec![std::ptr::null_mut(); program.steps.own_pointers * team.threads()],
            program,
            pace: Pace::new(team.threads()),
        });
        Ok(Machine {
            programs: loaded.collect(),
            layout,
            scratch,
            scratch_stride: needed.scratch,
            team,
            persistent,
            transient,
        })
    }

    /// Runs one step of a program, on all threads unless one is faster.
    pub fn run(&mut self, program: ProgramId) {
        let scratch = (self.scratch.start(), self.scratch_stride);
        let (steps, memory, pace) = self.programs[program.0].parts(scratch);
        let job = |member: Member| {
            // SAFETY: `verify` proved that kernels stay in their buffers, `verify_plan` that these lie in the arenas,
            // which `self` holds exclusively; each member has its own scratch memory of the size that the code needs.
            unsafe { steps.run(&member, &mut memory.of(member.index)) }
        };
        if self.team.threads() == 1 {
            self.team.run_alone(&job);
            return;
        }
        let (begin, running) = (Instant::now(), running_seconds());
        match pace.alone() {
            true => self.team.run_alone(&job),
            false => self.team.run(&job),
        }
        pace.took(begin.elapsed().as_secs_f64(), running_seconds() - running);
    }

    /// Runs one step with a meeting of the threads behind every kernel; gives the nanoseconds of each launch of the plan.
    pub fn run_timed(&mut self, program: ProgramId) -> Vec<u64> {
        let scratch = (self.scratch.start(), self.scratch_stride);
        let (steps, memory, _) = self.programs[program.0].parts(scratch);
        let nanoseconds: Vec<AtomicU64> = (0..steps.launches()).map(|_| AtomicU64::new(0)).collect();
        self.team.run(&|member| {
            // SAFETY: as in `run`.
            unsafe { steps.run_timed(&member, &mut memory.of(member.index), &nanoseconds) }
        });
        nanoseconds.into_iter().map(AtomicU64::into_inner).collect()
    }

    /// Threads that run a step.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Parameters and states, in the order of their numbers here.
    pub fn layout(&self) -> &PersistentLayout {
        &self.layout
    }

    /// A parameter or state.
    pub fn persistent(&self, slot: usize) -> Values<'_> {
        self.read(Extent::of_slot(&self.layout.slots[slot]))
    }

    /// A parameter or state, to set it.
    pub fn persistent_mut(&mut self, slot: usize) -> ValuesMut<'_> {
        let extent = Extent::of_slot(&self.layout.slots[slot]);
        self.write(extent)
    }

    /// What a program reads.
    pub fn inputs(&self, program: ProgramId) -> &[Slot] {
        &self.programs[program.0].program.inputs
    }

    /// What a program computes besides updates.
    pub fn outputs(&self, program: ProgramId) -> &[OutputSlot] {
        &self.programs[program.0].program.outputs
    }

    /// An input of a program, to fill it.
    pub fn input_mut(&mut self, program: ProgramId, input: usize) -> ValuesMut<'_> {
        let extent = Extent::of_slot(&self.inputs(program)[input]);
        self.write(extent)
    }

    /// The step numbers of a program, to fill them; empty if it has none.
    pub fn numbers_mut(&mut self, program: ProgramId) -> &mut [f32] {
        match self.programs[program.0].program.numbers {
            Some(extent) => match self.write(extent) {
                ValuesMut::F32(values) => values,
                ValuesMut::I32(_) => &mut [],
            },
            None => &mut [],
        }
    }

    /// Sets the random key of a program's next step, if it draws.
    pub fn set_random_key(&mut self, program: ProgramId, key: [i32; 2]) {
        if let Some(extent) = self.programs[program.0].program.random_key
            && let ValuesMut::I32(values) = self.write(extent)
        {
            values.copy_from_slice(&key);
        }
    }

    /// A result of a program's last step.
    pub fn output(&self, program: ProgramId, output: usize) -> Values<'_> {
        let output = &self.outputs(program)[output];
        self.read(Extent {
            location: output.location,
            elements: output.shape.iter().product(),
            storage: output.storage,
        })
    }

    fn pointer(&self, extent: Extent) -> NonNull<u8> {
        let arena = match extent.location.region {
            Region::Persistent => &self.persistent,
            Region::Transient => &self.transient,
            Region::Band => unreachable!("refused by `verify_plan`"),
        };
        // SAFETY: `verify_plan` has seen that the extent lies inside its region, which is no larger than the arena.
        unsafe { arena.start().add(extent.location.offset) }
    }

    fn read(&self, extent: Extent) -> Values<'_> {
        let pointer = self.pointer(extent);
        // SAFETY: the extent lies in an arena (see `pointer`), aligned, initialised (zeroed at first; every bit pattern is
        // a value); nothing writes to arenas while the machine is borrowed.
        unsafe {
            match extent.storage {
                Storage::F32 => Values::F32(std::slice::from_raw_parts(pointer.cast().as_ptr(), extent.elements)),
                Storage::I32 => Values::I32(std::slice::from_raw_parts(pointer.cast().as_ptr(), extent.elements)),
                Storage::Bf16 | Storage::F16 => unreachable!("refused by `verify_plan`"),
            }
        }
    }

    fn write(&mut self, extent: Extent) -> ValuesMut<'_> {
        let pointer = self.pointer(extent);
        // SAFETY: as for `read`; nothing else reads or writes arenas while the machine is borrowed exclusively.
        unsafe {
            match extent.storage {
                Storage::F32 => {
                    ValuesMut::F32(std::slice::from_raw_parts_mut(pointer.cast().as_ptr(), extent.elements))
                }
                Storage::I32 => {
                    ValuesMut::I32(std::slice::from_raw_parts_mut(pointer.cast().as_ptr(), extent.elements))
                }
                Storage::Bf16 | Storage::F16 => unreachable!("refused by `verify_plan`"),
            }
        }
    }
}
