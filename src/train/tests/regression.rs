//! A machine in plain Rust whose programs are a linear regression with momentum.

use crate::data::Values;
use crate::ir::graph::{InputId, OutputKind, ParamId, StateId};
use crate::ir::kernel::{Storage, TensorKind};
use crate::ir::plan::{Location, OutputSlot, PersistentLayout, Region, Slot};
use crate::machine::ProgramId;
use crate::train::Machine;

/// Samples of a training batch.
pub(super) const BATCH: usize = 4;

struct Program {
    batch: usize,
    training: bool,
    inputs: Vec<Slot>,
    outputs: Vec<OutputSlot>,
    values: Vec<Vec<f32>>,
    results: Vec<Vec<f32>>,
    rate: f32,
    key: [u32; 2],
}

/// `y = x · w` with squared error; slots: w and its momentum.
pub(super) struct Regression {
    pub(super) layout: PersistentLayout,
    pub(super) memory: Vec<Vec<f32>>,
    programs: Vec<Program>,
    /// The loss of this step is NaN.
    pub(super) poison: Option<u64>,
    runs: u64,
}

impl Regression {
    pub(super) fn new(evaluation: &[usize]) -> Regression {
        let program = |batch: usize, training: bool| Program {
            batch,
            training,
            inputs: vec![
                slot(TensorKind::Input(InputId(0)), "y", &[batch]),
                slot(TensorKind::Input(InputId(1)), "features", &[batch, 2]),
            ],
            outputs: match training {
                true => vec![output(OutputKind::Loss), output(OutputKind::GradientNorm)],
                false => vec![
                    output(OutputKind::Value("square".into())),
                    output(OutputKind::Value("count".into())),
                ],
            },
            values: vec![vec![0.0; batch], vec![0.0; 2 * batch]],
            results: vec![vec![0.0]; 2],
            rate: 0.0,
            key: [0; 2],
        };
        let mut programs = vec![program(BATCH, true)];
        programs.extend(evaluation.iter().map(|&b| program(b, false)));
        Regression {
            layout: PersistentLayout {
                slots: vec![
                    slot(TensorKind::Param(ParamId(0)), "line.w", &[2]),
                    slot(TensorKind::State(StateId(0)), "sgd.m/line.w", &[2]),
                ],
                bytes: 0,
            },
            memory: vec![vec![0.5, -0.5], vec![0.0, 0.0]],
            programs,
            poison: None,
            runs: 0,
        }
    }
}

impl Machine for Regression {
    fn layout(&self) -> &PersistentLayout {
        &self.layout
    }
    fn persistent(&self, slot: usize) -> &[f32] {
        &self.memory[slot]
    }
    fn persistent_mut(&mut self, slot: usize) -> &mut [f32] {
        &mut self.memory[slot]
    }
    fn inputs(&self, program: ProgramId) -> &[Slot] {
        &self.programs[program.0].inputs
    }
    fn write_input(&mut self, program: ProgramId, input: usize, values: &Values, from: usize) {
        let Values::Real(values) = values else { panic!("ids") };
        let input = &mut self.programs[program.0].values[input];
        let size = input.len();
        input.copy_from_slice(&values[from..from + size]);
    }
    fn prepare(&mut self, program: ProgramId, numbers: &[f32], key: [u32; 2]) {
        self.programs[program.0].rate = numbers.first().copied().unwrap_or(0.0);
        self.programs[program.0].key = key;
    }
    fn run(&mut self, program: ProgramId) {
        let program = &mut self.programs[program.0];
        let mut gradient = [0f32; 2];
        let mut squares = 0f32;
        for sample in 0..program.batch {
            let x = &program.values[1][2 * sample..2 * sample + 2];
            let error = x[0] * self.memory[0][0] + x[1] * self.memory[0][1] - program.values[0][sample];
            squares += error * error;
            gradient
                .iter_mut()
                .zip(x)
                .for_each(|(g, x)| *g += 2.0 * error * x / program.batch as f32);
        }
        if !program.training {
            program.results = vec![vec![squares], vec![program.batch as f32]];
            return;
        }
        self.runs += 1;
        for (i, g) in gradient.iter().enumerate() {
            let noise = (program.key[i] >> 8) as f32 / (1 << 24) as f32 - 0.5;
            self.memory[1][i] = 0.9 * self.memory[1][i] + g + 0.01 * noise;
            self.memory[0][i] -= program.rate * self.memory[1][i];
        }
        let loss = if self.poison == Some(self.runs) {
            f32::NAN
        } else {
            squares / program.batch as f32
        };
        program.results = vec![vec![loss], vec![gradient.iter().map(|g| g * g).sum::<f32>().sqrt()]];
    }
    fn outputs(&self, program: ProgramId) -> &[OutputSlot] {
        &self.programs[program.0].outputs
    }
    fn output(&self, program: ProgramId, output: usize) -> &[f32] {
        &self.programs[program.0].results[output]
    }
}

fn slot(kind: TensorKind, name: &str, shape: &[usize]) -> Slot {
    let location = Location {
        region: Region::Persistent,
        offset: 0,
    };
    Slot {
        kind,
        name: name.into(),
        shape: shape.to_vec(),
        storage: Storage::F32,
        location,
    }
}

fn output(kind: OutputKind) -> OutputSlot {
    let slot = slot(TensorKind::Temporary, "", &[]);
    OutputSlot {
        kind,
        shape: vec![],
        storage: slot.storage,
        location: slot.location,
    }
}
