//! What training needs from what executes programs. Persistent memory (parameters and states) is shared by all
//! programs of an experiment; everything else belongs to one program.

use crate::data::Values;
use crate::ir::plan::{OutputSlot, PersistentLayout, Slot};

/// A program of a [`Machine`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProgramId(pub usize);

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
    /// Writes an input; the values have the slot's size and storage.
    fn write_input(&mut self, program: ProgramId, input: usize, values: &Values);
    /// Writes the step's numbers, in the order of their ids, and the key of its random draws.
    fn prepare(&mut self, program: ProgramId, numbers: &[f32], key: [u32; 2]);
    /// Runs a program once.
    fn run(&mut self, program: ProgramId);
    /// What a program computes besides updates.
    fn outputs(&self, program: ProgramId) -> &[OutputSlot];
    /// The value of an output, by its index, after a run.
    fn output(&self, program: ProgramId, output: usize) -> &[f32];
}
