//! Which tensor of a batch goes to which input of a program.

use super::Machine;
use crate::data::{Batch, Values};
use crate::ir::experiment::TOTAL;
use crate::machine::ProgramId;

/// Input, tensor of the batch and the input's elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    program: ProgramId,
    triples: Vec<(usize, usize, usize)>,
}

impl Feed {
    /// Finds the tensors by name; a part of the batch has the size that the program was compiled for. Inputs that the
    /// batch does not bring are others' business.
    pub fn new(machine: &dyn Machine, program: ProgramId, batch: &Batch, parts: usize) -> Feed {
        let pair = |(input, slot): (usize, &crate::ir::plan::Slot)| {
            if slot.name.starts_with(TOTAL) {
                return None;
            }
            let tensor = batch.tensors.iter().position(|t| t.name == slot.name);
            let tensor = tensor.unwrap_or_else(|| panic!("the data has no tensor `{}`", slot.name));
            let found = match &batch.tensors[tensor].values {
                Values::Real(values) => values.len(),
                Values::Id(values) => values.len(),
            };
            let expected: usize = slot.shape.iter().product();
            assert_eq!(
                found,
                expected * parts,
                "`{}` has the size that was compiled for",
                slot.name
            );
            Some((input, tensor, expected))
        };
        let triples = machine.inputs(program).iter().enumerate().filter_map(pair).collect();
        Feed { program, triples }
    }

    /// Writes a part of a batch, from 0, into the program's inputs.
    pub fn write(&self, machine: &mut dyn Machine, batch: &Batch, part: usize) {
        for &(input, tensor, elements) in &self.triples {
            machine.write_input(self.program, input, &batch.tensors[tensor].values, part * elements);
        }
    }
}
