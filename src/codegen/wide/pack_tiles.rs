//! Packing rows of bfloat16 numbers in tiles, as TDPBF16PS reads its first factor: of each lane 32 steps side by side, one
//! lane below the other. At 512 bits, as every machine with tiles has them.

use super::encode::{Alu, Assembler, Condition, Gpr, Index, Label, Memory, Shift, gpr::*};
use super::encode_vector::{Extra, Width, op};
use super::multiply_tiles::{ROW_BYTES, ROWS};
use super::square::store_turned;
use crate::ir::kernel::Storage;
use crate::ir::product::TILE_PRODUCTS;

/// `fn(panel, source, length, live)`: `length` steps of `live` lanes, 32 steps of all lanes behind each other; what lacks
/// of the last 32 becomes zero. Lanes from `live` on are neither read nor written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PackTiles {
    /// Tiles of lanes one below the other.
    pub vectors: usize,
    /// Elements of the source from lane to lane.
    pub lane_stride: i64,
    /// Elements of the source from step to step.
    pub step_stride: i64,
}

const PANEL: Gpr = RDI;
const SOURCE: Gpr = RSI;
const LENGTH: Gpr = RDX;
const LIVE: Gpr = RCX;
const PANEL_NOW: Gpr = R8;
const SOURCE_NOW: Gpr = R9;
const LEFT: Gpr = R10;
/// Where one lane is read and written, and how many there are to come.
const OF_LANE: [Gpr; 2] = [RAX, R11];
const LANES_LEFT: Gpr = RDX;
/// Where the length is kept, whose register counts lanes: below the stack, which no other function uses meanwhile.
const KEPT: i32 = -8;

const WIDTH: Width = Width::W512;
const NONE: Extra = Extra {
    mask: 0,
    zeroing: false,
    immediate: None,
};
const HALF: Extra = Extra {
    immediate: Some(16),
    ..NONE
};
/// Vector registers: 0, 1, 2 …, and offsets from a pair of steps to the next.
const NUMBERS: u8 = 31;
const OFFSETS: u8 = 30;
const BLOCK: i32 = TILE_PRODUCTS as i32;

impl PackTiles {
    /// The whole function.
    pub fn emit(self, a: &mut Assembler) {
        let (numbers, end) = (a.label(), a.label());
        a.store(Memory::at(RSP, KEPT), LENGTH);
        for vector in 0..self.vectors {
            if vector > 0 {
                let lanes = ROWS as i32;
                a.alu_number(Alu::Add, PANEL, lanes * ROW_BYTES);
                a.alu_number(Alu::Add, SOURCE, lanes * self.lane_bytes());
                a.alu_number(Alu::Subtract, LIVE, lanes);
            }
            a.alu_number(Alu::Compare, LIVE, 0);
            a.jump_if(Condition::LessEqual, end);
            self.tile(a, numbers);
        }
        a.bind(end);
        a.zero_upper();
        a.return_();
        a.align_data(64);
        a.bind(numbers);
        a.words(&(0..ROWS as u32).collect::<Vec<_>>());
    }

    fn lane_bytes(self) -> i32 {
        self.lane_stride as i32 * Storage::Bf16.stride() as i32
    }

    fn step_bytes(self) -> i32 {
        self.step_stride as i32 * Storage::Bf16.stride() as i32
    }

    /// All steps of up to 16 lanes.
    fn tile(self, a: &mut Assembler, numbers: Label) {
        let (rest, end) = (a.label(), a.label());
        a.copy(PANEL_NOW, PANEL);
        a.copy(SOURCE_NOW, SOURCE);
        a.load(LEFT, Memory::at(RSP, KEPT));
        a.alu_number(Alu::Compare, LEFT, BLOCK);
        a.jump_if(Condition::Less, rest);
        if self.lane_stride == 1 {
            // The live lanes.
            a.spread(WIDTH, NUMBERS, LIVE);
            let greater = Extra::immediate(6);
            a.vector(
                op::INTEGER_COMPARE_MASK,
                WIDTH,
                1,
                NUMBERS,
                Memory::place(numbers, 0),
                greater,
            );
        } else if self.step_stride != 1 {
            self.spread_offsets(a, numbers);
        }
        let again = a.here();
        match (self.lane_stride, self.step_stride) {
            (1, _) => self.turn(a),
            (_, 1) => self.each_lane(a, |a, from, to| {
                a.vector(op::LOAD, WIDTH, 0, 0, from, NONE);
                a.vector(op::STORE, WIDTH, 0, 0, to, NONE);
            }),
            _ => self.gathered(a),
        }
        a.alu_number(Alu::Add, PANEL_NOW, (self.vectors * ROWS) as i32 * ROW_BYTES);
        a.alu_number(Alu::Add, SOURCE_NOW, BLOCK * self.step_bytes());
        a.alu_number(Alu::Subtract, LEFT, BLOCK);
        a.alu_number(Alu::Compare, LEFT, BLOCK);
        a.jump_if(Condition::GreaterEqual, again);
        a.bind(rest);
        a.alu_number(Alu::Compare, LEFT, 0);
        a.jump_if(Condition::Equal, end);
        self.spread_offsets(a, numbers);
        self.gathered(a);
        a.bind(end);
    }

    /// Sixteen pairs of steps of lanes that lie side by side, turned.
    fn turn(self, a: &mut Assembler) {
        let live = Extra::zeroing(1);
        for pair in 0..ROWS as u8 {
            let [first, second] = [2 * i32::from(pair), 2 * i32::from(pair) + 1]
                .map(|step| Memory::at(SOURCE_NOW, step * self.step_bytes()));
            let spare = 16 + pair % 8;
            a.vector(op::LOAD_HALVES, WIDTH, pair, 0, first, live);
            a.vector(op::LOAD_HALVES, WIDTH, spare, 0, second, live);
            a.vector(op::SHIFT_LEFT, WIDTH, spare, 0, spare, HALF);
            a.vector(op::OR, WIDTH, pair, pair, spare, NONE);
        }
        store_turned(a, WIDTH, |lane| Memory::at(PANEL_NOW, lane * ROW_BYTES));
    }

    /// A loop over the live lanes, at most 16.
    fn each_lane(self, a: &mut Assembler, one: impl FnOnce(&mut Assembler, Memory, Memory)) {
        let [from, to] = OF_LANE;
        a.copy(from, SOURCE_NOW);
        a.copy(to, PANEL_NOW);
        a.number(LANES_LEFT, ROWS as i64);
        a.alu(Alu::Compare, LIVE, LANES_LEFT);
        a.copy_if(Condition::Less, LANES_LEFT, LIVE);
        let again = a.here();
        one(a, Memory::at(from, 0), Memory::at(to, 0));
        a.alu_number(Alu::Add, from, self.lane_bytes());
        a.alu_number(Alu::Add, to, ROW_BYTES);
        a.alu_number(Alu::Subtract, LANES_LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
    }

    /// Numbers from 0 on, and as many elements from a pair of steps to the next.
    fn spread_offsets(self, a: &mut Assembler, numbers: Label) {
        a.vector(op::LOAD, WIDTH, NUMBERS, 0, Memory::place(numbers, 0), NONE);
        a.number(RAX, (2 * self.step_stride) & 0xffff_ffff);
        a.spread(WIDTH, OFFSETS, RAX);
        a.vector(op::INTEGER_MULTIPLY, WIDTH, OFFSETS, OFFSETS, NUMBERS, NONE);
    }

    /// Up to 16 pairs of steps of each lane, wherever they lie.
    fn gathered(self, a: &mut Assembler) {
        let (first, second, bound) = (0, 1, 2);
        // Pairs that have a first step: as many as half of what is left, rounded up; and a second one: rounded down.
        for (mask, more) in [(3, 1), (4, 0)] {
            a.copy(RAX, LEFT);
            a.alu_number(Alu::Add, RAX, more);
            a.shift(Shift::Right, RAX, 1);
            a.spread(WIDTH, bound, RAX);
            a.vector(
                op::INTEGER_COMPARE_MASK,
                WIDTH,
                mask,
                bound,
                NUMBERS,
                Extra::immediate(6),
            );
        }
        self.each_lane(a, |a, from, to| {
            let place = |steps: i32| Memory {
                index: Some(Index::Lanes(OFFSETS, WIDTH, 1)),
                offset: steps * self.step_bytes(),
                ..from
            };
            for (register, mask, from) in [(first, 3, place(0)), (second, 4, place(1))] {
                a.zero(register);
                a.copy_mask(2, mask);
                a.vector(op::GATHER_MASK, WIDTH, register, 0, from, Extra::merging(2));
            }
            // What lies behind an element is read with it, and dropped.
            a.vector(op::SHIFT_LEFT, WIDTH, first, 0, first, HALF);
            a.vector(op::SHIFT_RIGHT, WIDTH, first, 0, first, HALF);
            a.vector(op::SHIFT_LEFT, WIDTH, second, 0, second, HALF);
            a.vector(op::OR, WIDTH, first, first, second, NONE);
            a.vector(op::STORE, WIDTH, first, 0, to, NONE);
        });
    }
}
