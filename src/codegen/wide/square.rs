//! Turning a square of words: what lies in sixteen registers as rows is stored as columns.

use super::encode::{Assembler, Memory};
use super::encode_vector::{Extra, Width, op};

/// Registers 0 … 15 hold sixteen words each; column `i` of them goes to `to(i)`. Changes all registers.
pub fn store_turned_512(a: &mut Assembler, to: impl Fn(i32) -> Memory) {
    let (width, none) = (Width::W512, Extra::default());
    // Pairs of rows, then fours: register 16 + i, then i, of each group of four holds the columns i mod 4.
    for pair in 0..8u8 {
        a.vector(op::UNPACK_LOW, width, 16 + 2 * pair, 2 * pair, 2 * pair + 1, none);
        a.vector(op::UNPACK_HIGH, width, 17 + 2 * pair, 2 * pair, 2 * pair + 1, none);
    }
    for four in 0..4u8 {
        let (from, to) = (16 + 4 * four, 4 * four);
        a.vector(op::SHUFFLE, width, to, from, from + 2, Extra::immediate(0x44));
        a.vector(op::SHUFFLE, width, to + 1, from, from + 2, Extra::immediate(0xee));
        a.vector(op::SHUFFLE, width, to + 2, from + 1, from + 3, Extra::immediate(0x44));
        a.vector(op::SHUFFLE, width, to + 3, from + 1, from + 3, Extra::immediate(0xee));
    }
    // Register 4 · f + i: rows of four f, quads q hold column 4 · q + i. Quads go to their columns.
    for i in 0..4u8 {
        let [low, high] = [0x88, 0xdd].map(Extra::immediate);
        a.vector(op::SHUFFLE_QUADS, width, 16 + 4 * i, i, 4 + i, low);
        a.vector(op::SHUFFLE_QUADS, width, 17 + 4 * i, i, 4 + i, high);
        a.vector(op::SHUFFLE_QUADS, width, 18 + 4 * i, 8 + i, 12 + i, low);
        a.vector(op::SHUFFLE_QUADS, width, 19 + 4 * i, 8 + i, 12 + i, high);
        for (quad, (from, number)) in [(16, 0x88), (17, 0x88), (16, 0xdd), (17, 0xdd)].into_iter().enumerate() {
            let from = from + 4 * i;
            a.vector(op::SHUFFLE_QUADS, width, i, from, from + 2, Extra::immediate(number));
            let column = 4 * quad as i32 + i32::from(i);
            a.vector(op::STORE, width, i, 0, to(column), none);
        }
    }
}
