//! Positions and guards as vectors: indices and masks, one for each lane.

use super::emitter::{Emitter, QUAD};
use super::position::guard_step;
use crate::codegen::analysis::lane_step;
use crate::ir::affine::{Guard, Position};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Emitter<'_> {
    /// A position as i32 in every lane.
    pub fn index_vector(&mut self, at: &Position) -> Value {
        match lane_step(at, QUAD as i64) {
            Some(step) => {
                let first = self.position(at, self.vector_offset);
                let first = self.builder.ins().ireduce(I32, first);
                let first = self.builder.ins().splat(I32X4, first);
                if step == 0 {
                    return first;
                }
                let steps = self.vector_bits(I32X4, [0, 1, 2, 3].map(|l| (l * step) as u32));
                self.builder.ins().iadd(first, steps)
            }
            None => {
                let mut vector = self.splat_bits(I32X4, 0);
                for lane in 0..QUAD {
                    let value = self.position(at, self.vector_offset + lane as i64);
                    let value = self.builder.ins().ireduce(I32, value);
                    vector = self.builder.ins().insertlane(vector, value, lane as u8);
                }
                vector
            }
        }
    }

    /// Whether guards hold, as a mask.
    pub fn inside_vector(&mut self, guards: &[Guard]) -> Value {
        let (even, uneven): (Vec<_>, Vec<_>) = guards.iter().cloned().partition(|g| guard_step(g) == Some(0));
        let mut mask = self.guards(&even, 0).map(|truth| self.splat_truth(truth));
        for guard in &uneven {
            let holds = self.guard_vector(guard);
            mask = self.both(mask, Some(holds));
        }
        match mask {
            Some(mask) => mask,
            None => self.splat_bits(I32X4, u32::MAX),
        }
    }

    fn guard_vector(&mut self, guard: &Guard) -> Value {
        if let (Guard::Within { of, low, high }, Some(_)) = (guard, guard_step(guard)) {
            let (least, greatest) = of.range(&self.sizes);
            let narrow = i32::try_from(least).is_ok() && i32::try_from(greatest + QUAD as i64).is_ok();
            if let (true, Ok(low), Ok(high)) = (narrow, i32::try_from(*low), i32::try_from(*high)) {
                let value = self.index_vector(of);
                let (low, high) = (self.splat_bits(I32X4, low as u32), self.splat_bits(I32X4, high as u32));
                let not_below = self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, value, low);
                let below = self.builder.ins().icmp(IntCC::SignedLessThan, value, high);
                return self.builder.ins().band(not_below, below);
            }
        }
        let mut vector = self.splat_bits(I32X4, 0);
        for lane in 0..QUAD {
            let truth = match self.guard(guard, lane) {
                Some(truth) => truth,
                None => self.truth(),
            };
            let word = self.builder.ins().bmask(I32, truth);
            vector = self.builder.ins().insertlane(vector, word, lane as u8);
        }
        vector
    }
}
