//! Which tensor of a batch goes to which input of a program.

use super::Machine;
use crate::data::{Batch, Values};
use crate::machine::ProgramId;

/// Input and tensor of the batch, for each input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    program: ProgramId,
    pairs: Vec<(usize, usize)>,
}

impl Feed {
    /// Finds the tensors by name; sizes must agree, because the program was compiled for this data.
    pub fn new(machine: &dyn Machine, program: ProgramId, batch: &Batch) -> Feed {
        let pair = |(input, slot): (usize, &crate::ir::plan::Slot)| {
            let tensor = batch.tensors.iter().position(|t| t.name == slot.name);
            let tensor = tensor.unwrap_or_else(|| panic!("the data has no tensor `{}`", slot.name));
            let found = match &batch.tensors[tensor].values {
                Values::Real(values) => values.len(),
                Values::Id(values) => values.len(),
            };
            let expected: usize = slot.shape.iter().product();
            assert_eq!(found, expected, "`{}` has the size that was compiled for", slot.name);
            (input, tensor)
        };
        let pairs = machine.inputs(program).iter().enumerate().map(pair).collect();
        Feed { program, pairs }
    }

    /// Writes a batch into the program's inputs.
    pub fn write(&self, machine: &mut dyn Machine, batch: &Batch) {
        for &(input, tensor) in &self.pairs {
            machine.write_input(self.program, input, &batch.tensors[tensor].values);
        }
    }
}
