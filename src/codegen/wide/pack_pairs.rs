//! Packing pairs of bfloat16 numbers, as VDPBF16PS reads them: two steps of the source become one of the panel. At 512 bits.

use super::encode::{Alu, Assembler, Condition, Label, Memory, Shift};
use super::encode_vector::{Extra, Width, op};
use super::pack::*;

const WIDTH: Width = Width::W512;
const HALF: Extra = Extra {
    mask: 0,
    zeroing: false,
    immediate: Some(16),
};

impl Pack {
    /// Lanes lie side by side: of two steps, one row each, words are joined.
    pub(super) fn join_pairs(self, a: &mut Assembler, lanes: Label) {
        self.masks(a, WIDTH, lanes);
        // The second row.
        a.copy(SOURCE_NOW, SOURCE);
        self.advance(a, SOURCE_NOW, self.step_bytes());
        a.copy(LEFT, LENGTH);
        a.shift(Shift::Right, LEFT, 1);
        let (last, end) = (a.label(), a.label());
        a.jump_if(Condition::Equal, last);
        let again = a.here();
        self.join_rows(a, true);
        self.advance(a, SOURCE, 2 * self.step_bytes());
        self.advance(a, SOURCE_NOW, 2 * self.step_bytes());
        a.alu_number(Alu::Add, PANEL, self.panel_bytes(WIDTH));
        a.alu_number(Alu::Subtract, LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
        a.bind(last);
        a.alu_number(Alu::And, LENGTH, 1);
        a.jump_if(Condition::Equal, end);
        self.join_rows(a, false);
        a.bind(end);
    }

    /// A step of the panel, of two rows or of the first alone.
    fn join_rows(self, a: &mut Assembler, both: bool) {
        for vector in 0..self.vectors {
            let (first, second) = (2 * vector as u8, 2 * vector as u8 + 1);
            let live = Extra::zeroing(1 + vector as u8);
            let offset = (vector * WIDTH.bytes()) as i32;
            a.vector(op::LOAD_HALVES, WIDTH, first, 0, Memory::at(SOURCE, offset / 2), live);
            if both {
                a.vector(
                    op::LOAD_HALVES,
                    WIDTH,
                    second,
                    0,
                    Memory::at(SOURCE_NOW, offset / 2),
                    live,
                );
                a.vector(op::SHIFT_LEFT, WIDTH, second, 0, second, HALF);
                a.vector(op::OR, WIDTH, first, first, second, Extra::default());
            }
            a.vector(op::STORE, WIDTH, first, 0, Memory::at(PANEL, offset), Extra::default());
        }
    }

    /// One vector of lanes that do not lie side by side: as many pairs as are left, and perhaps the first of one.
    pub(super) fn gather_pairs(self, a: &mut Assembler, [index, first]: [u8; 2]) {
        let second = first + 2;
        let (last, end) = (a.label(), a.label());
        a.alu_number(Alu::Compare, LEFT, 0);
        a.jump_if(Condition::Equal, last);
        let again = a.here();
        self.gather(a, index, first);
        self.advance(a, SOURCE_NOW, self.step_bytes());
        if self.step_stride != 1 {
            self.lower_half(a, first);
            self.gather(a, index, second);
            a.vector(op::SHIFT_LEFT, WIDTH, second, 0, second, HALF);
            a.vector(op::OR, WIDTH, first, first, second, Extra::default());
        }
        self.advance(a, SOURCE_NOW, self.step_bytes());
        a.vector(op::STORE, WIDTH, first, 0, Memory::at(PANEL_NOW, 0), Extra::default());
        a.alu_number(Alu::Add, PANEL_NOW, self.panel_bytes(WIDTH));
        a.alu_number(Alu::Subtract, LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
        a.bind(last);
        a.copy(LEFT, LENGTH);
        a.alu_number(Alu::And, LEFT, 1);
        a.jump_if(Condition::Equal, end);
        self.gather(a, index, first);
        self.lower_half(a, first);
        a.vector(op::STORE, WIDTH, first, 0, Memory::at(PANEL_NOW, 0), Extra::default());
        a.bind(end);
    }

    /// What lies behind an element is read with it, and dropped.
    fn lower_half(self, a: &mut Assembler, at: u8) {
        a.vector(op::SHIFT_LEFT, WIDTH, at, 0, at, HALF);
        a.vector(op::SHIFT_RIGHT, WIDTH, at, 0, at, HALF);
    }
}
