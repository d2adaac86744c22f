//! The safe interface: compiled programs over one memory. All addresses are checked when a program is compiled, so that
//! running it cannot reach beyond the arenas.

use super::arena::Arena;
use super::pace::{Pace, running_seconds};
use super::step::{Steps, steps};
use super::team::{Member, Team};
use crate::codegen::clif::{Code, compile};
use crate::codegen::target::{CodegenError, Target};
use crate::ir::kernel::Storage;
use crate::ir::plan::{ALIGNMENT, Launch, Location, OutputSlot, PersistentLayout, Plan, Region, Slot};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No code.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// A mistake of the planner.
    #[error("plan contract broken: {0}")]
    Plan(String),
    /// No memory or threads.
    #[error("cannot get {what}: {error}")]
    System {
        /// What was asked for.
        what: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Where something of known size lies, and how it is stored.
#[derive(Clone, Copy, Debug)]
struct Extent {
    location: Location,
    elements: usize,
    storage: Storage,
}

impl Extent {
    fn of_slot(slot: &Slot) -> Extent {
        Extent {
            location: slot.location,
            elements: slot.shape.iter().product(),
            storage: slot.storage,
        }
    }
}

/// A compiled plan.
pub struct Program {
    code: Code,
    steps: Steps,
    persistent: PersistentLayout,
    transient_bytes: usize,
    inputs: Vec<Slot>,
    numbers: Option<Extent>,
    random_key: Option<Extent>,
    outputs: Vec<OutputSlot>,
}

impl Program {
    /// Compiles a plan for this machine, on up to `threads` threads.
    pub fn compile(plan: &Plan, threads: usize) -> Result<Program, MachineError> {
        verify_plan(plan)?;
        let code = compile(&plan.kernels, &Target::native()?, threads)?;
        Ok(Program {
            steps: steps(plan, &code),
            persistent: plan.persistent.clone(),
            transient_bytes: plan.transient_bytes,
            inputs: plan.inputs.clone(),
            numbers: plan.numbers.as_ref().map(Extent::of_slot),
            random_key: plan.random_key.as_ref().map(Extent::of_slot),
            outputs: plan.outputs.clone(),
            code,
        })
    }

    /// Size of the machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.code_bytes
    }
}

/// Everything that a program can reach lies in the arenas.
fn verify_plan(plan: &Plan) -> Result<(), MachineError> {
    let check = |location: Location, storage: Storage, elements: usize, alignment: usize, what: &str| {
        let room = match location.region {
            Region::Persistent => plan.persistent.bytes,
            Region::Transient => plan.transient_bytes,
        };
        let end = elements
            .checked_mul(4)
            .and_then(|_| storage.bytes(elements).checked_add(location.offset));
        if end.is_some_and(|end| end <= room) && location.offset.is_multiple_of(alignment) {
            Ok(())
        } else {
            Err(MachineError::Plan(format!(
                "{what} of {elements} elements at {location} in {room} bytes"
            )))
        }
    };
    let check_values = |location, storage: Storage, shape: &[usize], what: &str| match storage {
        Storage::F32 | Storage::I32 => check(location, storage, shape.iter().product(), ALIGNMENT, what),
        Storage::Bf16 | Storage::F16 => Err(MachineError::Plan(format!("{what} in 16 bits"))),
    };
    let slots = plan.persistent.slots.iter().chain(&plan.inputs);
    for slot in slots.chain(&plan.numbers).chain(&plan.random_key) {
        check_values(slot.location, slot.storage, &slot.shape, &slot.name)?;
    }
    let fits = |slot: &Option<Slot>, storage: Storage, elements: Option<usize>| {
        let fits = |s: &Slot| s.storage == storage && elements.is_none_or(|e| e == s.shape.iter().product::<usize>());
        slot.as_ref().is_none_or(fits)
    };
    if !fits(&plan.numbers, Storage::F32, None) || !fits(&plan.random_key, Storage::I32, Some(2)) {
        return Err(MachineError::Plan(
            "step numbers or a random key of another kind".into(),
        ));
    }
    for output in &plan.outputs {
        check_values(output.location, output.storage, &output.shape, "an output")?;
    }
    for launch in &plan.launches {
        let kernel = plan.kernels.get(launch.call.kernel);
        let kernel = kernel.ok_or_else(|| MachineError::Plan(format!("no kernel {}", launch.call.kernel)))?;
        if kernel.buffers.len() != launch.locations.len() {
            return Err(MachineError::Plan(format!(
                "{} has other buffers than its kernel",
                launch.call.name
            )));
        }
        if !launch.steps.is_empty() && launch.steps.len() != launch.locations.len() {
            return Err(MachineError::Plan(format!("{} moves other buffers", launch.call.name)));
        }
    }
    for band in &plan.bands {
        let inside = band.calls.end <= plan.launches.len() && !band.calls.is_empty() && band.count > 0;
        let fits = |launch: &Launch| plan.kernels[launch.call.kernel].tasks().is_multiple_of(band.count);
        if !inside || !plan.launches[band.calls.clone()].iter().all(fits) {
            let message = format!("{} bands do not divide the tasks of their launches", band.count);
            return Err(MachineError::Plan(message));
        }
    }
    for (_, launch, round) in plan.rounds() {
        for (at, buffer) in plan.kernels[launch.call.kernel].buffers.iter().enumerate() {
            // The part of a tensor that a round works on starts at an element.
            let alignment = if launch.steps.is_empty() {
                ALIGNMENT
            } else {
                buffer.storage.stride()
            };
            check(
                launch.location(at, round),
                buffer.storage,
                buffer.elements,
                alignment,
                &launch.call.name,
            )?;
        }
    }
    Ok(())
}

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
    /// For each thread's own work.
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
            scratch: most(|p| p.code.scratch_bytes).next_multiple_of(4096),
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
    pace: Pace,
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
            };
            // SAFETY: `verify_plan` has seen that the location lies inside its region, which is no larger than the arena.
            unsafe { arena.start().add(location.offset) }.as_ptr()
        };
        let loaded = programs.into_iter().map(|program| Loaded {
            pointers: program.steps.locations.iter().map(address).collect(),
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
        let Loaded {
            program,
            pointers,
            pace,
        } = &mut self.programs[program.0];
        let scratch = Scratch {
            start: self.scratch.start(),
            stride: self.scratch_stride,
        };
        let pointers = Pointers(pointers);
        let steps = &program.steps;
        let job = |member: Member| {
            // SAFETY: `verify` proved that kernels stay in their buffers, `verify_plan` that these lie in the arenas,
            // which `self` holds exclusively; each member has its own scratch memory of the size that the code needs.
            unsafe { steps.run(&member, pointers.get(), scratch.of(member.index)) }
        };
        let (begin, running) = (Instant::now(), running_seconds());
        match pace.alone() {
            true => self.team.run_alone(&job),
            false => self.team.run(&job),
        }
        pace.took(begin.elapsed().as_secs_f64(), running_seconds() - running);
    }

    /// Runs one step with a meeting of the threads behind every kernel; gives the nanoseconds of each launch of the plan.
    pub fn run_timed(&mut self, program: ProgramId) -> Vec<u64> {
        let Loaded { program, pointers, .. } = &self.programs[program.0];
        let scratch = Scratch {
            start: self.scratch.start(),
            stride: self.scratch_stride,
        };
        let pointers = Pointers(pointers);
        let steps = &program.steps;
        let nanoseconds: Vec<AtomicU64> = (0..steps.launches()).map(|_| AtomicU64::new(0)).collect();
        self.team.run(&|member| {
            // SAFETY: as in `run`.
            unsafe { steps.run_timed(&member, pointers.get(), scratch.of(member.index), &nanoseconds) }
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

/// The addresses of a program's steps, as all members use them.
#[derive(Clone, Copy)]
struct Pointers<'a>(&'a [*mut u8]);

// SAFETY: which member writes where is settled by the kernels' tasks: those of one launch write different elements, and
// launches that touch the same memory have a barrier between them.
unsafe impl Sync for Pointers<'_> {}

impl<'a> Pointers<'a> {
    fn get(&self) -> &'a [*mut u8] {
        self.0
    }
}

/// The threads' scratch memory.
#[derive(Clone, Copy)]
struct Scratch {
    start: NonNull<u8>,
    stride: usize,
}

// SAFETY: every member only takes its own part.
unsafe impl Sync for Scratch {}

impl Scratch {
    fn of(&self, index: usize) -> *mut u8 {
        // SAFETY: the arena has a stride for each member.
        unsafe { self.start.add(index * self.stride) }.as_ptr()
    }
}
