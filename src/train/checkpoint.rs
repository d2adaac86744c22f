//! Persistent memory and progress to and from `ckpt/step-NNNNNN/`: `model.safetensors` (parameters and the model's
//! states), `optimizer.safetensors` and `state.json` with the checksums of both. A checkpoint appears whole or not
//! at all; one that is damaged is passed over for the one before it.

use super::weights::{Weights, parse_safetensors, write_safetensors};
use super::{Machine, TrainError, disk};
use crate::ir::experiment::{BEFORE, EMA, SUM};
use crate::ir::graph::StateDeclaration;
use crate::ir::kernel::TensorKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// The best evaluation so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Best {
    /// `loss` or a metric's name.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// When.
    pub step: u64,
}

/// A number whose bits a checkpoint keeps, infinities included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bits(u64);

impl Bits {
    /// Of a number.
    pub fn of(value: f64) -> Bits {
        Bits(value.to_bits())
    }

    /// The number.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// What the objective is multiplied by, and how that went.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// The factor.
    pub factor: f64,
    /// Updates since it changed.
    pub held: u32,
    /// Steps whose gradient was not finite.
    pub skipped: u64,
    /// Those since the last update.
    pub in_a_row: u32,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale {
            factor: 1.0,
            held: 0,
            skipped: 0,
            in_a_row: 0,
        }
    }
}

impl Scale {
    /// A dynamic scale begins here (as PyTorch's GradScaler).
    pub const DYNAMIC_START: f64 = 65536.0;
    /// Updates after which a dynamic scale is doubled.
    const PATIENCE: u32 = 2000;

    /// Behind a step.
    pub fn stepped(&mut self, skipped: bool, dynamic: bool) {
        if skipped {
            self.skipped += 1;
            self.in_a_row += 1;
            self.held = 0;
            if dynamic {
                self.factor /= 2.0;
            }
            return;
        }
        self.in_a_row = 0;
        self.held += 1;
        if dynamic && self.held == Self::PATIENCE {
            self.factor *= 2.0;
            self.held = 0;
        }
    }
}

/// Where a training stands. Batches and random numbers follow from seed and step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// Updates done.
    pub step: u64,
    /// Of everything random.
    pub seed: u64,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Evaluations since then without improvement.
    pub stale: u32,
    /// What schedules keep.
    #[serde(default)]
    pub kept: Vec<Bits>,
    /// Seconds of steps and evaluations so far.
    #[serde(default)]
    pub seconds: f64,
    /// The loss scale and what it has seen.
    #[serde(default)]
    pub scale: Scale,
    /// Length of `metrics.jsonl`.
    pub metrics_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct StateFile {
    format: u32,
    #[serde(flatten)]
    progress: Progress,
    checksums: BTreeMap<String, String>,
}

/// Which file each persistent slot belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Slots of parameters and the model's states, by name.
    pub model: Vec<usize>,
    /// Slots of the optimizer's states, by name.
    pub optimizer: Vec<usize>,
}

impl Memory {
    /// Sorts the slots of a machine.
    pub fn of(machine: &dyn Machine, states: &[StateDeclaration]) -> Memory {
        let slots = &machine.layout().slots;
        let of_optimizer = |slot: &usize| match slots[*slot].kind {
            TensorKind::State(_) => {
                let known = states.iter().find(|s| s.path == slots[*slot].name);
                known.is_none_or(|s| s.optimizer)
            }
            _ => false,
        };
        // What only lives inside a step is not kept.
        let inside = |slot: &usize| [SUM, BEFORE].iter().any(|end| slots[*slot].name.ends_with(end));
        let mut all: Vec<usize> = (0..slots.len())
            .filter(|slot| !(of_optimizer(slot) && inside(slot)))
            .collect();
        all.sort_by(|&a, &b| slots[a].name.cmp(&slots[b].name));
        let (optimizer, model) = all.into_iter().partition(of_optimizer);
        Memory { model, optimizer }
    }
}

/// Writes the tensors of some slots (sorted by name) to a file, and gives its checksum.
pub fn write_slots(path: &Path, machine: &dyn Machine, slots: &[usize]) -> Result<String, TrainError> {
    disk::write_file(path, |out| write_safetensors(out, &named(machine, slots)))
}

/// The slot of each parameter that has a running mean, and the mean's.
pub fn averages(machine: &dyn Machine) -> Vec<(usize, usize)> {
    let slots = &machine.layout().slots;
    let pair = |(mean, slot): (usize, &crate::ir::plan::Slot)| {
        let path = slot.name.strip_suffix(EMA)?;
        Some((slots.iter().position(|s| s.name == path)?, mean))
    };
    slots.iter().enumerate().filter_map(pair).collect()
}

/// Writes the tensors of some slots, parameters by their running means, to a file.
pub fn write_averaged(path: &Path, machine: &dyn Machine, slots: &[usize]) -> Result<String, TrainError> {
    let averages = averages(machine);
    let mut tensors = named(machine, slots);
    for (tensor, slot) in tensors.iter_mut().zip(slots) {
        if let Some((_, mean)) = averages.iter().find(|(param, _)| param == slot) {
            tensor.2 = machine.persistent(*mean);
        }
    }
    disk::write_file(path, |out| write_safetensors(out, &tensors))
}

/// Reads the checkpoint of a step.
pub fn of_step(folder: &Path, step: u64) -> Result<Weights, TrainError> {
    let path = folder.join(format!("step-{step:06}"));
    let read = read(&path).map_err(|reason| TrainError::does_not_fit(format!("{}: {reason}", path.display())));
    read.map(|(_, weights)| weights)
}

/// Writes a checkpoint into the folder of checkpoints and gives its path.
pub fn save(folder: &Path, progress: &Progress, machine: &dyn Machine, memory: &Memory) -> Result<PathBuf, TrainError> {
    let path = path(folder, progress.step);
    disk::write_folder(&path, |at| {
        let mut checksums = BTreeMap::new();
        for (name, slots) in [(MODEL, &memory.model), (OPTIMIZER, &memory.optimizer)] {
            let file = at.join(name);
            let sum = disk::write_synced(&file, |out| write_safetensors(out, &named(machine, slots)))
                .map_err(|e| TrainError::file("write", &path.join(name), &e))?;
            checksums.insert(name.to_string(), sum);
        }
        let state = StateFile {
            format: FORMAT,
            progress: progress.clone(),
            checksums,
        };
        let text = serde_json::to_string_pretty(&state).expect("a state is always JSON");
        disk::write_synced(&at.join(STATE), |out| writeln!(out, "{text}"))
            .map_err(|e| TrainError::file("write", &path.join(STATE), &e))?;
        Ok(())
    })?;
    Ok(path)
}

/// Where the checkpoint of a step is.
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:06}"))
}

/// The checkpoints of a folder by step, oldest first.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|e| Some((e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?, e.path())))
        .collect();
    found.sort();
    found
}

/// Removes checkpoints but the first, the best and the `keep` newest.
pub fn prune(folder: &Path, keep: usize, best: Option<u64>) -> Result<(), TrainError> {
    let mut removable = list(folder);
    removable.retain(|(step, _)| *step != 0 && Some(*step) != best);
    let surplus = removable.len().saturating_sub(keep);
    for (_, path) in &removable[..surplus] {
        fs::remove_dir_all(path).map_err(|e| TrainError::file("remove", path, &e))?;
    }
    Ok(())
}

/// What the newest intact checkpoint holds.
pub struct Loaded {
    /// Where the training stood.
    pub progress: Progress,
    /// Parameters, the model's and the optimizer's states.
    pub weights: Weights,
    /// Which checkpoint it is.
    pub path: PathBuf,
    /// Newer ones that are damaged, with the reason.
    pub damaged: Vec<String>,
}

/// Reads the newest checkpoint that is intact.
pub fn newest(folder: &Path) -> Result<Loaded, TrainError> {
    let mut damaged = vec![];
    for (_, path) in list(folder).into_iter().rev() {
        match read(&path) {
            Ok((progress, weights)) => {
                return Ok(Loaded {
                    progress,
                    weights,
                    path,
                    damaged,
                });
            }
            Err(reason) => damaged.push(format!("{}: {reason}", path.display())),
        }
    }
    if damaged.is_empty() {
        let message = format!("there is no checkpoint in {}", folder.display());
        let help = "the run was stopped before its first one: start it again with `mspec train FILE`";
        return Err(TrainError::does_not_fit(message).help(help));
    }
    let error = TrainError::does_not_fit(format!("there is no intact checkpoint in {}", folder.display()));
    Err(damaged.into_iter().fold(error, TrainError::help))
}

/// Writes tensors into the persistent slots of a machine. Every slot of `slots` must be there with its shape.
pub fn restore(weights: &Weights, machine: &mut dyn Machine, slots: &[usize], origin: &str) -> Result<(), TrainError> {
    for &index in slots {
        let slot = &machine.layout().slots[index];
        let Some(tensor) = weights.get(&slot.name) else {
            let error = TrainError::does_not_fit(format!("{origin} has no tensor `{}`", slot.name));
            let close = crate::text::suggest::did_you_mean(&slot.name, weights.keys().map(String::as_str));
            return Err(match close {
                Some(help) => error.help(help),
                None => error,
            });
        };
        if tensor.shape != slot.shape {
            return Err(TrainError::does_not_fit(format!(
                "`{}` is {:?} in {origin}, but {:?} in the spec",
                slot.name, tensor.shape, slot.shape
            )));
        }
        machine.persistent_mut(index).copy_from_slice(&tensor.values);
    }
    Ok(())
}

fn named<'a>(machine: &'a dyn Machine, slots: &[usize]) -> Vec<(&'a str, &'a [usize], &'a [f32])> {
    let layout = machine.layout();
    let tensor = |&i: &usize| {
        let slot = &layout.slots[i];
        (slot.name.as_str(), slot.shape.as_slice(), machine.persistent(i))
    };
    slots.iter().map(tensor).collect()
}

fn read(path: &Path) -> Result<(Progress, Weights), String> {
    let text = fs::read_to_string(path.join(STATE)).map_err(|e| format!("{STATE}: {e}"))?;
    let state: StateFile = serde_json::from_str(&text).map_err(|e| format!("{STATE}: {e}"))?;
    if state.format != FORMAT {
        return Err(format!("format {} is not known to this version", state.format));
    }
    let mut weights = Weights::new();
    for name in [MODEL, OPTIMIZER] {
        let bytes = fs::read(path.join(name)).map_err(|e| format!("{name}: {e}"))?;
        if state.checksums.get(name) != Some(&crate::data::sha256(&bytes)) {
            return Err(format!("{name}: the checksum differs from {STATE}'s"));
        }
        weights.extend(parse_safetensors(&bytes).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok((state.progress, weights))
}
