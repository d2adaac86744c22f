//! Instructions on tiles (AMX): matrices of up to 16 rows of 64 bytes, of which a configuration says the sizes.

use super::encode::{Assembler, Memory};
use super::encode_vector::{Operand, Vector, Width};
use super::instructions::two;

/// Load, store, clear and configure tiles share two opcodes and differ in their prefix.
const MEMORY: u8 = 0x4b;
const STATE: u8 = 0x49;

impl Assembler {
    /// Takes over the sizes of all tiles from 64 bytes of memory, and clears them.
    pub fn configure_tiles(&mut self, from: Memory) {
        self.line(|| format!("ldtilecfg {}", from.text()));
        self.vex(two("ldtilecfg", 2, 0, STATE), 0, 0, from.into());
        self.memory(0, from, 1, 0);
    }

    /// Gives up all tiles.
    pub fn release_tiles(&mut self) {
        self.line(|| "tilerelease".into());
        self.vex(two("tilerelease", 2, 0, STATE), 0, 0, 0.into());
        self.code.push(0xc0);
    }

    /// Clears a tile.
    pub fn zero_tile(&mut self, tile: u8) {
        self.line(|| format!("tilezero tmm{tile}"));
        self.vex(two("tilezero", 2, 3, STATE), tile, 0, 0.into());
        self.code.push(0xc0 | tile << 3);
    }

    /// Loads a tile: the index of the memory operand is the bytes from row to row.
    pub fn load_tile(&mut self, tile: u8, from: Memory) {
        self.line(|| format!("tileloadd tmm{tile}, {}", from.text()));
        self.tile_memory(3, tile, from);
    }

    /// Stores a tile, in the same way.
    pub fn store_tile(&mut self, to: Memory, tile: u8) {
        self.line(|| format!("tilestored {}, tmm{tile}", to.text()));
        self.tile_memory(2, tile, to);
    }

    fn tile_memory(&mut self, prefix: u8, tile: u8, memory: Memory) {
        assert!(memory.index.is_some(), "rows of a tile have a stride");
        self.vex(two("tile memory", 2, prefix, MEMORY), tile, 0, memory.into());
        self.memory(tile, memory, 1, 0);
    }

    /// Adds the products of `a`'s rows and `b`'s columns, of pairs of bfloat16 numbers, to a tile of binary32.
    pub fn multiply_tiles(&mut self, sum: u8, a: u8, b: u8) {
        self.line(|| format!("tdpbf16ps tmm{sum}, tmm{a}, tmm{b}"));
        self.vex(two("tdpbf16ps", 2, 2, 0x5c), sum, b, a.into());
        self.code.push(0xc0 | sum << 3 | a);
    }

    fn vex(&mut self, op: Vector, field: u8, second: u8, operand: Operand) {
        self.vex_prefix(op, Width::W128, field, second, operand);
    }
}
