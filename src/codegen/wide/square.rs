//! Turning a square of words: what lies in as many registers as they have lanes, as rows, is stored as columns.

use super::encode::{Assembler, Memory};
use super::encode_vector::{Extra, Width, op};

/// Registers 0, 1, … hold as many words as there are rows, 16 or 8; column `i` goes to `to(i)`. Changes twice as many
/// registers.
pub fn store_turned(a: &mut Assembler, width: Width, to: impl Fn(i32) -> Memory) {
    let rows = width.lanes() as u8;
    // Pairs of rows, then fours: register `rows` + i, then i, of each group of four holds the columns i mod 4.
    for first in (0..rows).step_by(2) {
        let (low, high) = (rows + first, rows + first + 1);
        a.vector(op::UNPACK_LOW, width, low, first, first + 1, Extra::default());
        a.vector(op::UNPACK_HIGH, width, high, first, first + 1, Extra::default());
    }
    for first in (0..rows).step_by(4) {
        let from = rows + first;
        for (number, half) in [(0, 0x44), (1, 0xee), (2, 0x44), (3, 0xee)] {
            let pair = from + number / 2;
            a.vector(
                op::SHUFFLE,
                width,
                first + number,
                pair,
                pair + 2,
                Extra::immediate(half),
            );
        }
    }
    for i in 0..4 {
        match width {
            Width::W512 => store_quads(a, i, &to),
            _ => store_halves(a, i, &to),
        }
    }
}

/// Register 4 · f + i: rows of four f, quads q hold column 4 · q + i. Quads go to their columns.
fn store_quads(a: &mut Assembler, i: u8, to: impl Fn(i32) -> Memory) {
    let width = Width::W512;
    let [low, high] = [0x88, 0xdd].map(Extra::immediate);
    a.vector(op::SHUFFLE_QUADS, width, 16 + 4 * i, i, 4 + i, low);
    a.vector(op::SHUFFLE_QUADS, width, 17 + 4 * i, i, 4 + i, high);
    a.vector(op::SHUFFLE_QUADS, width, 18 + 4 * i, 8 + i, 12 + i, low);
    a.vector(op::SHUFFLE_QUADS, width, 19 + 4 * i, 8 + i, 12 + i, high);
    for (quad, (from, number)) in [(16, low), (17, low), (16, high), (17, high)].into_iter().enumerate() {
        let from = from + 4 * i;
        a.vector(op::SHUFFLE_QUADS, width, i, from, from + 2, number);
        let column = 4 * quad as i32 + i32::from(i);
        a.vector(op::STORE, width, i, 0, to(column), Extra::default());
    }
}

/// Register 4 · f + i: rows of four f, half h holds column 4 · h + i.
fn store_halves(a: &mut Assembler, i: u8, to: impl Fn(i32) -> Memory) {
    let width = Width::W256;
    for (half, number) in [(0, 0x20), (1, 0x31)] {
        a.vector(op::PERMUTE_HALVES, width, 8, i, 4 + i, Extra::immediate(number));
        let column = 4 * half + i32::from(i);
        a.vector(op::STORE, width, 8, 0, to(column), Extra::default());
    }
}
