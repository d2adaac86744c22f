//! The text of schedules and plans, as `--emit kernels` and `--emit plan` show it: one line for each call and tensor.
//! It decides nothing.

use super::plan::{Launch, Location, OutputSlot, Plan, Region, Slot};
use super::schedule::{Band, Call, Loop, Schedule, Slice, TensorId, TensorKind};
use std::fmt::{self, Display, Formatter};

impl Display for TensorKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TensorKind::Input(id) => write!(f, "input {id}"),
            TensorKind::Param(id) => write!(f, "param {id}"),
            TensorKind::State(id) => write!(f, "state {id}"),
            TensorKind::Numbers => write!(f, "numbers"),
            TensorKind::RandomKey => write!(f, "random key"),
            TensorKind::Temporary => write!(f, "temporary"),
        }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, kernel) in self.kernels.iter().enumerate() {
            write!(f, "kernel {i}\n{kernel}")?;
        }
        writeln!(f, "calls")?;
        for (number, call) in self.calls.iter().enumerate() {
            write_repetition(f, number, &self.loops, &self.bands)?;
            let tensors: Vec<String> = (0..call.tensors.len()).map(|i| tensor_text(call, i)).collect();
            writeln!(f, "  kernel {} ({}) {}", call.kernel, tensors.join(", "), call.name)?;
        }
        writeln!(f, "tensors")?;
        for (i, tensor) in self.tensors.iter().enumerate() {
            write!(
                f,
                "  {}: {}[{}] {}",
                TensorId(i as u32),
                tensor.storage,
                tensor.elements,
                tensor.kind
            )?;
            match tensor.node {
                Some(node) => writeln!(f, " of {node}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "outputs")?;
        for (kind, tensor) in &self.outputs {
            writeln!(f, "  {kind:?}: {tensor}")?;
        }
        if !self.decisions.is_empty() {
            writeln!(f, "decisions")?;
        }
        self.decisions
            .iter()
            .try_for_each(|d| writeln!(f, "  {}: {}", d.node, d.reason))
    }
}

/// What loop and what band begin with a call.
fn write_repetition(f: &mut Formatter<'_>, call: usize, loops: &[Loop], bands: &[Band]) -> fmt::Result {
    if let Some(found) = loops.iter().find(|l| l.calls.start == call) {
        writeln!(f, "  {} times, the next {}:", found.rounds, found.calls.len())?;
    }
    if let Some(found) = bands.iter().find(|b| b.calls.start == call) {
        write!(f, "  in {} bands, the next {}", found.count, found.calls.len())?;
        let passing: Vec<String> = found.passing.iter().map(|p| p.tensor.to_string()).collect();
        match passing.is_empty() {
            true => writeln!(f, ":")?,
            false => writeln!(f, ", {} within one alone:", passing.join(", "))?,
        }
    }
    Ok(())
}

/// `t3`, or `t3[128+64n]` where the call works on a part.
fn tensor_text(call: &Call, buffer: usize) -> String {
    let tensor = call.tensors[buffer];
    match call.slice(buffer) {
        _ if call.slices.is_empty() => tensor.to_string(),
        Slice { first: 0, step: 0 } => tensor.to_string(),
        Slice { first, step: 0 } => format!("{tensor}[{first}]"),
        Slice { first, step } => format!("{tensor}[{first}{step:+}n]"),
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let region = match self.region {
            Region::Persistent => "persistent",
            Region::Transient => "transient",
            Region::Band => "band",
        };
        write!(f, "{region}+{}", self.offset)
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}{:?} at {}",
            self.kind, self.name, self.storage, self.shape, self.location
        )
    }
}

impl Display for OutputSlot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {}{:?} at {}",
            self.kind, self.storage, self.shape, self.location
        )
    }
}

impl Display for Launch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {} ({}) {}",
            self.call.kernel,
            self.locations
                .iter()
                .enumerate()
                .map(|(at, location)| match self.steps.get(at) {
                    None | Some(0) => location.to_string(),
                    Some(step) => format!("{location}{step:+}n"),
                })
                .collect::<Vec<_>>()
                .join(", "),
            self.call.name
        )
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "persistent {} bytes, transient {} bytes",
            self.persistent.bytes, self.transient_bytes
        )?;
        match self.band_bytes {
            0 => writeln!(f)?,
            bytes => writeln!(f, ", for bands {bytes} bytes a thread")?,
        }
        let numbers = self.numbers.iter().chain(&self.random_key);
        for slot in self.persistent.slots.iter().chain(&self.inputs).chain(numbers) {
            writeln!(f, "  {slot}")?;
        }
        self.outputs.iter().try_for_each(|output| writeln!(f, "  {output}"))?;
        writeln!(f, "launches")?;
        for (number, launch) in self.launches.iter().enumerate() {
            write_repetition(f, number, &self.loops, &self.bands)?;
            writeln!(f, "  {launch}")?;
        }
        Ok(())
    }
}
