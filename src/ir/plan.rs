//! The plan: a schedule with an address for every tensor.

use super::graph::OutputKind;
use super::kernel::{Band, Call, Kernel, Loop, Storage, TensorKind};

/// Every tensor starts at a multiple of this many bytes (a cache line and a 512-bit register).
pub const ALIGNMENT: usize = 64;

/// The parts of memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Region {
    /// Parameters and states: shared by the training and the evaluation program, kept in checkpoints.
    Persistent,
    /// Everything that lives inside a step; inputs, numbers and outputs lie here too.
    Transient,
    /// A thread's own room for what lives inside one band.
    Band,
}

/// An address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Location {
    /// Which part.
    pub region: Region,
    /// Bytes from its start, a multiple of [`ALIGNMENT`] for a whole tensor.
    pub offset: usize,
}

/// A tensor that the trainer reads or writes.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// What it is.
    pub kind: TensorKind,
    /// The input's name, the parameter's or state's path.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub storage: Storage,
    /// Where.
    pub location: Location,
}

/// A result that the trainer reads.
#[derive(Clone, PartialEq, Debug)]
pub struct OutputSlot {
    /// What it is.
    pub kind: OutputKind,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub storage: Storage,
    /// Where.
    pub location: Location,
}

/// Where parameters and states lie; the same for all programs of an experiment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PersistentLayout {
    /// By path.
    pub slots: Vec<Slot>,
    /// Size of the persistent region.
    pub bytes: usize,
}

/// One launch: a call with addresses.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    /// The schedule's call.
    pub call: Call,
    /// The address of each of the kernel's buffers, in a loop for the first round, in bands for the first one.
    pub locations: Vec<Location>,
    /// Bytes by which each address moves from round to round, or from band to band: what lies in [`Region::Band`] moves
    /// back, so that the part of each band comes to lie in the same room. Empty where nothing moves.
    pub steps: Vec<i64>,
}

impl Launch {
    /// The address of a buffer in a round of its loop.
    pub fn location(&self, buffer: usize, round: usize) -> Location {
        let Location { region, offset } = self.locations[buffer];
        let moved = self.steps.get(buffer).map_or(0, |step| step * round as i64);
        let offset = offset.wrapping_add_signed(moved as isize);
        Location { region, offset }
    }
}

impl Plan {
    /// Every launch with its number and round, in the order of the machine's work.
    pub fn rounds(&self) -> impl Iterator<Item = (usize, &Launch, usize)> {
        let loops: Vec<Loop> = self.loops.clone();
        let mut order: Vec<(usize, usize)> = vec![];
        let mut at = 0;
        while at < self.launches.len() {
            match loops.iter().find(|l| l.calls.start == at && !l.calls.is_empty()) {
                Some(found) => {
                    order
                        .extend((0..found.rounds).flat_map(|round| found.calls.clone().map(move |call| (call, round))));
                    at = found.calls.end;
                }
                None => {
                    order.push((at, 0));
                    at += 1;
                }
            }
        }
        order
            .into_iter()
            .map(|(number, round)| (number, &self.launches[number], round))
    }
}

/// Everything that code generation and the machine need.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Distinct kernels.
    pub kernels: Vec<Kernel>,
    /// In order; a barrier behind each.
    pub launches: Vec<Launch>,
    /// Neighbouring launches that are made again and again.
    pub loops: Vec<Loop>,
    /// Neighbouring launches that are made band by band.
    pub bands: Vec<Band>,
    /// Parameters and states.
    pub persistent: PersistentLayout,
    /// Inputs, in the order of the graph's.
    pub inputs: Vec<Slot>,
    /// The step numbers, if there are any.
    pub numbers: Option<Slot>,
    /// The random key, if anything draws.
    pub random_key: Option<Slot>,
    /// Results that are not updates.
    pub outputs: Vec<OutputSlot>,
    /// Size of the transient region.
    pub transient_bytes: usize,
    /// Size of [`Region::Band`], for each thread.
    pub band_bytes: usize,
}
