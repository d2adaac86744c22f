//! A compiled plan. All addresses are checked when it is compiled, so that running it cannot reach beyond the arenas.

use super::step::{Steps, steps};
use crate::codegen::clif::{Code, compile};
use crate::codegen::target::{CodegenError, Target};
use crate::ir::kernel::{BufferId, Storage};
use crate::ir::plan::{ALIGNMENT, Launch, Location, OutputSlot, PersistentLayout, Plan, Region, Slot};

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
pub(super) struct Extent {
    pub(super) location: Location,
    pub(super) elements: usize,
    pub(super) storage: Storage,
}

impl Extent {
    pub(super) fn of_slot(slot: &Slot) -> Extent {
        Extent {
            location: slot.location,
            elements: slot.shape.iter().product(),
            storage: slot.storage,
        }
    }
}

/// A compiled plan.
pub struct Program {
    pub(super) code: Code,
    pub(super) steps: Steps,
    pub(super) persistent: PersistentLayout,
    pub(super) transient_bytes: usize,
    pub(super) band_bytes: usize,
    pub(super) inputs: Vec<Slot>,
    pub(super) numbers: Option<Extent>,
    pub(super) random_key: Option<Extent>,
    pub(super) outputs: Vec<OutputSlot>,
}

impl Program {
    /// Compiles a plan for this machine, on up to `threads` threads.
    pub fn compile(plan: &Plan, threads: usize) -> Result<Program, MachineError> {
        verify_plan(plan)?;
        let code = compile(&plan.kernels, &Target::native(&plan.kernels)?, threads)?;
        Ok(Program {
            steps: steps(plan, &code),
            persistent: plan.persistent.clone(),
            transient_bytes: plan.transient_bytes,
            band_bytes: plan.band_bytes,
            inputs: plan.inputs.clone(),
            numbers: plan.numbers.as_ref().map(Extent::of_slot),
            random_key: plan.random_key.as_ref().map(Extent::of_slot),
            outputs: plan.outputs.clone(),
            code,
        })
    }

    /// Where in a thread's scratch memory its room for bands begins.
    pub(super) fn room_offset(&self) -> usize {
        self.code.scratch_bytes.next_multiple_of(ALIGNMENT)
    }

    /// Size of the machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.code_bytes
    }
}

/// Everything that a program can reach lies in the arenas.
fn verify_plan(plan: &Plan) -> Result<(), MachineError> {
    let check = |location, storage, elements, alignment, what: &str| {
        verify_room(plan, location, (storage, elements), alignment, what)
    };
    let check_values = |location: Location, storage: Storage, shape: &[usize], what: &str| match storage {
        _ if location.region == Region::Band => Err(MachineError::Plan(format!("{what} in a band"))),
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
        let fits = |launch: &Launch| plan.kernels[launch.call.kernel].tasks_keep_to_bands(band.count);
        if !inside || !plan.launches[band.calls.clone()].iter().all(fits) {
            let message = format!("{} bands do not divide the tasks of their launches", band.count);
            return Err(MachineError::Plan(message));
        }
        for launch in &plan.launches[band.calls.clone()] {
            verify_passing(plan, launch, band.count)?;
        }
    }
    for (number, launch, round) in plan.rounds() {
        let in_band = plan.bands.iter().any(|b| b.calls.contains(&number));
        for (at, buffer) in plan.kernels[launch.call.kernel].buffers.iter().enumerate() {
            match (launch.locations[at].region, in_band) {
                (Region::Band, true) => continue,
                (Region::Band, false) => {
                    return Err(MachineError::Plan(format!("{} is in no band", launch.call.name)));
                }
                _ => {}
            }
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

/// So many elements at a location lie inside its region, at a multiple of an alignment.
fn verify_room(
    plan: &Plan,
    location: Location,
    (storage, elements): (Storage, usize),
    alignment: usize,
    what: &str,
) -> Result<(), MachineError> {
    let room = match location.region {
        Region::Persistent => plan.persistent.bytes,
        Region::Transient => plan.transient_bytes,
        Region::Band => plan.band_bytes,
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
}

/// Of what lies in a thread's room, a launch in bands reaches only the part of its band, and that has room.
fn verify_passing(plan: &Plan, launch: &Launch, bands: usize) -> Result<(), MachineError> {
    let kernel = &plan.kernels[launch.call.kernel];
    for (at, buffer) in kernel.buffers.iter().enumerate() {
        let location = launch.locations[at];
        let moves = launch.steps.get(at).copied().unwrap_or(0);
        let stride = match location.region {
            Region::Band => kernel.band_stride(BufferId(at as u32), bands).unwrap_or(usize::MAX / 8),
            _ => 0,
        };
        if moves != -((stride * buffer.storage.stride()) as i64) {
            let message = format!("{} reaches beyond its bands", launch.call.name);
            return Err(MachineError::Plan(message));
        }
        if location.region == Region::Band {
            verify_room(plan, location, (buffer.storage, stride), ALIGNMENT, &launch.call.name)?;
        }
    }
    Ok(())
}
