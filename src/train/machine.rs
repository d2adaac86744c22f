//! What training needs from what executes programs. Persistent memory (parameters and states) is shared by all
//! programs of an experiment; everything else belongs to one program.

use crate::data::Values;
use crate::ir::plan::{OutputSlot, PersistentLayout, Slot};
use crate::machine::{self, ProgramId, ValuesMut};

/// Compiled programs over one memory.
pub trait Machine {
    /// Where parameters and states lie.
    fn layout(&self) -> &PersistentLayout;
    /// The value of a persistent slot, by its index in the layout.
    fn persistent(&self, slot: usize) -> &[f32];
    /// The same, to be written.
    fn persistent_mut(&mut self, slot: usize) -> &mut [f32];
    /// What a program reads from a batch.
    fn inputs(&self, program: ProgramId) -> &[Slot];
    /// Writes an input with as many of the values as it has elements, from a place on; they have its storage.
    fn write_input(&mut self, program: ProgramId, input: usize, values: &Values, from: usize);
    /// Writes the step's numbers, in the order of their ids, and the key of its random draws.
    fn prepare(&mut self, program: ProgramId, numbers: &[f32], key: [u32; 2]);
    /// Runs a program once.
    fn run(&mut self, program: ProgramId);
    /// What a program computes besides updates.
    fn outputs(&self, program: ProgramId) -> &[OutputSlot];
    /// The value of an output, by its index, after a run.
    fn output(&self, program: ProgramId, output: usize) -> &[f32];
}

impl Machine for machine::Machine {
    fn layout(&self) -> &PersistentLayout {
        self.layout()
    }

    fn persistent(&self, slot: usize) -> &[f32] {
        reals(self.persistent(slot))
    }

    fn persistent_mut(&mut self, slot: usize) -> &mut [f32] {
        match self.persistent_mut(slot) {
            ValuesMut::F32(values) => values,
            ValuesMut::I32(_) => panic!("parameters and states are reals"),
        }
    }

    fn inputs(&self, program: ProgramId) -> &[Slot] {
        self.inputs(program)
    }

    fn write_input(&mut self, program: ProgramId, input: usize, values: &Values, from: usize) {
        match (self.input_mut(program, input), values) {
            (ValuesMut::F32(slot), Values::Real(values)) => slot.copy_from_slice(&values[from..from + slot.len()]),
            (ValuesMut::I32(slot), Values::Id(values)) => slot.copy_from_slice(&values[from..from + slot.len()]),
            _ => panic!("an input has its schema's element type"),
        }
    }

    fn prepare(&mut self, program: ProgramId, numbers: &[f32], key: [u32; 2]) {
        self.numbers_mut(program).copy_from_slice(numbers);
        self.set_random_key(program, key.map(u32::cast_signed));
    }

    fn run(&mut self, program: ProgramId) {
        self.run(program);
    }

    fn outputs(&self, program: ProgramId) -> &[OutputSlot] {
        self.outputs(program)
    }

    fn output(&self, program: ProgramId, output: usize) -> &[f32] {
        reals(self.output(program, output))
    }
}

fn reals(values: machine::Values<'_>) -> &[f32] {
    match values {
        machine::Values::F32(values) => values,
        machine::Values::I32(_) => panic!("results are reals"),
    }
}
