//! Packing panels of a product's operands: from where its elements lie to `length` steps of so many lanes side by side,
//! in binary32, or two steps of bfloat16 numbers to one of words that hold a pair.

use super::encode::{Alu, Assembler, Condition, Gpr, Index, Label, Memory, Shift, gpr::*};
use super::encode_vector::{Extra, Width, op};
use super::square::store_turned;
use crate::ir::kernel::Storage;

/// `fn(panel, source, length, live)`: what lanes from `live` on become does not matter, but nothing is read for them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pack {
    /// How the source is stored.
    pub storage: Storage,
    /// Vectors of a step.
    pub vectors: usize,
    /// Elements of the source from lane to lane.
    pub lane_stride: i64,
    /// Elements of the source from step to step.
    pub step_stride: i64,
    /// Whether a word of the panel holds a step and, above it, the next one (0 behind the last one); of bfloat16 numbers, at
    /// 512 bits.
    pub in_pairs: bool,
}

pub(super) const PANEL: Gpr = RDI;
pub(super) const SOURCE: Gpr = RSI;
pub(super) const LENGTH: Gpr = RDX;
const LIVE: Gpr = RCX;
pub(super) const PANEL_NOW: Gpr = R8;
pub(super) const SOURCE_NOW: Gpr = R9;
pub(super) const LEFT: Gpr = R10;
const SCRATCH: Gpr = RAX;

/// For a binary16: its fraction and exponent in their new places, which are 2⁻¹¹² times the number (exactly, also if it
/// is subnormal); that factor; the result from which on it stood for an infinity or a NaN; their exponent; the sign.
const F16_WORDS: [u32; 5] = [
    0x7fff << 13,
    (127 + 112) << 23,
    (127 + 16) << 23,
    0x7f80_0000,
    0x8000_0000,
];
/// Without signalling.
const GREATER_EQUAL: u8 = 0x1d;

/// Strides up to this many elements are reached with offsets.
const NEAR: i64 = 1 << 20;

impl Pack {
    /// The whole function.
    pub fn emit(self, a: &mut Assembler, width: Width) {
        let lanes = a.label();
        let end = a.label();
        // There are no masks for 16 bits at 256.
        let masked = width == Width::W512 || self.storage == Storage::F32;
        if self.lane_stride == 1 && self.in_pairs {
            self.join_pairs(a, lanes);
        } else if self.lane_stride == 1 && masked {
            self.copy(a, width, lanes);
        } else if self.lane_stride == 1 {
            let some = a.label();
            a.alu_number(Alu::Compare, LIVE, (self.vectors * width.lanes()) as i32);
            a.jump_if(Condition::Less, some);
            self.copy(a, width, lanes);
            a.jump(end);
            a.bind(some);
        }
        if self.lane_stride != 1 || !masked {
            for vector in 0..self.vectors {
                self.turn(a, width, vector, lanes);
            }
        }
        a.bind(end);
        a.zero_upper();
        a.return_();
        a.align_data(width.bytes());
        a.bind(lanes);
        a.words(&(0..(self.vectors * width.lanes()) as u32).collect::<Vec<_>>());
        if self.storage == Storage::F16 {
            let words = F16_WORDS.iter().flat_map(|word| vec![*word; width.lanes()]);
            a.words(&words.collect::<Vec<_>>());
        }
    }

    /// Bytes of the source from element to element.
    fn stride(self) -> i64 {
        self.storage.stride() as i64
    }

    /// Bytes of the source that make a word of the panel, where steps lie side by side.
    fn word_bytes(self) -> i32 {
        if self.in_pairs { 4 } else { self.stride() as i32 }
    }

    pub(super) fn step_bytes(self) -> i64 {
        self.step_stride * self.stride()
    }

    /// What lies side by side, as words of the panel.
    fn load(self, a: &mut Assembler, (width, lanes): (Width, Label), to: u8, from: Memory, spare: u8) {
        if self.storage == Storage::F32 || self.in_pairs {
            a.vector(op::LOAD, width, to, 0, from, Extra::default());
        } else {
            a.vector(op::LOAD_HALVES, width, to, 0, from, Extra::default());
            self.widen(a, (width, lanes), to, spare);
        }
    }

    /// Words whose lower 16 bits are elements → binary32; `spare` and the register behind it may change, and mask 7.
    fn widen(self, a: &mut Assembler, (width, lanes): (Width, Label), at: u8, spare: u8) {
        let none = Extra::default();
        match self.storage {
            Storage::F32 | Storage::I32 => return,
            Storage::Bf16 => return a.vector(op::SHIFT_LEFT, width, at, 0, at, Extra::immediate(16)),
            Storage::F16 => {}
        }
        let word = |number: usize| Memory::place(lanes, ((self.vectors + number) * width.bytes()) as i32);
        a.vector(op::SHIFT_LEFT, width, spare, 0, at, Extra::immediate(13));
        a.vector(op::AND, width, spare, spare, word(0), none);
        a.vector(op::MULTIPLY, width, spare, spare, word(1), none);
        if width == Width::W512 {
            a.vector(
                op::COMPARE_MASK,
                width,
                7,
                spare,
                word(2),
                Extra::immediate(GREATER_EQUAL),
            );
            a.vector(op::OR, width, spare, spare, word(3), Extra::merging(7));
        } else {
            let beyond = spare + 1;
            a.vector(
                op::COMPARE,
                width,
                beyond,
                spare,
                word(2),
                Extra::immediate(GREATER_EQUAL),
            );
            a.vector(op::AND, width, beyond, beyond, word(3), none);
            a.vector(op::OR, width, spare, spare, beyond, none);
        }
        a.vector(op::SHIFT_LEFT, width, at, 0, at, Extra::immediate(16));
        a.vector(op::AND, width, at, at, word(4), none);
        a.vector(op::OR, width, at, at, spare, none);
    }

    /// Bytes of the panel from step to step.
    pub(super) fn panel_bytes(self, width: Width) -> i32 {
        (self.vectors * width.bytes()) as i32
    }

    pub(super) fn advance(self, a: &mut Assembler, register: Gpr, bytes: i64) {
        match i32::try_from(bytes) {
            Ok(bytes) => a.alu_number(Alu::Add, register, bytes),
            Err(_) => {
                a.number(SCRATCH, bytes);
                a.alu(Alu::Add, register, SCRATCH);
            }
        }
    }

    /// Masks of the live lanes: k1, k2, … or the upper vector registers.
    pub(super) fn masks(self, a: &mut Assembler, width: Width, lanes: Label) {
        self.spread_live(a, width, 15);
        for vector in 0..self.vectors {
            let numbers = Memory::place(lanes, (vector * width.bytes()) as i32);
            if width == Width::W512 {
                // `numbers < live` as `live > numbers`.
                let greater = Extra::immediate(6);
                a.vector(op::INTEGER_COMPARE_MASK, width, 1 + vector as u8, 15, numbers, greater);
            } else {
                let mask = 12 + vector as u8;
                a.vector(op::INTEGER_GREATER, width, mask, 15, numbers, Extra::default());
            }
        }
    }

    /// Lanes lie side by side: steps are copied, two at once.
    fn copy(self, a: &mut Assembler, width: Width, lanes: Label) {
        self.masks(a, width, lanes);
        let again = a.here();
        for vector in 0..self.vectors {
            let (register, offset) = (vector as u8, (vector * width.bytes()) as i32);
            let from = Memory::at(SOURCE, (vector * width.lanes()) as i32 * self.stride() as i32);
            match (width, self.storage) {
                (Width::W512, Storage::F32) => {
                    a.vector(op::LOAD, width, register, 0, from, Extra::zeroing(1 + register));
                }
                (Width::W512, _) => {
                    a.vector(op::LOAD_HALVES, width, register, 0, from, Extra::zeroing(1 + register));
                    self.widen(a, (width, lanes), register, 5);
                }
                (_, Storage::Bf16 | Storage::F16) => self.load(a, (width, lanes), register, from, 5),
                _ => a.vector(op::MASK_LOAD, width, register, 12 + register, from, Extra::default()),
            }
            a.vector(
                op::STORE,
                width,
                register,
                0,
                Memory::at(PANEL, offset),
                Extra::default(),
            );
        }
        self.advance(a, SOURCE, self.step_bytes());
        a.alu_number(Alu::Add, PANEL, self.panel_bytes(width));
        a.alu_number(Alu::Subtract, LENGTH, 1);
        a.jump_if(Condition::NotEqual, again);
    }

    /// The number of live lanes in all lanes of a register.
    fn spread_live(self, a: &mut Assembler, width: Width, to: u8) {
        if width == Width::W512 {
            a.spread(width, to, LIVE);
        } else {
            a.to_vector(to, LIVE);
            a.vector(op::SPREAD_FIRST_INTEGER, width, to, 0, to, Extra::default());
        }
    }

    /// One vector of lanes that do not lie side by side: squares are turned where steps do, the rest is gathered.
    fn turn(self, a: &mut Assembler, width: Width, vector: usize, lanes: Label) {
        let square = width.lanes();
        let (first, end) = ((vector * square) as i32, a.label());
        a.alu_number(Alu::Compare, LIVE, first);
        a.jump_if(Condition::LessEqual, end);
        a.copy(PANEL_NOW, PANEL);
        a.alu_number(Alu::Add, PANEL_NOW, first * 4);
        a.copy(SOURCE_NOW, SOURCE);
        self.advance(a, SOURCE_NOW, i64::from(first) * self.lane_stride * self.stride());
        a.copy(LEFT, LENGTH);
        if self.in_pairs {
            a.shift(Shift::Right, LEFT, 1);
        }
        if self.step_stride == 1 && self.lane_stride.abs() < NEAR {
            let rest = a.label();
            a.alu_number(Alu::Compare, LIVE, first + square as i32);
            a.jump_if(Condition::Less, rest);
            a.alu_number(Alu::Compare, LEFT, square as i32);
            a.jump_if(Condition::Less, rest);
            let again = a.here();
            self.square(a, width, lanes);
            a.alu_number(Alu::Add, SOURCE_NOW, square as i32 * self.word_bytes());
            a.alu_number(Alu::Add, PANEL_NOW, self.panel_bytes(width) * square as i32);
            a.alu_number(Alu::Subtract, LEFT, square as i32);
            a.alu_number(Alu::Compare, LEFT, square as i32);
            a.jump_if(Condition::GreaterEqual, again);
            a.bind(rest);
        }
        if !self.in_pairs {
            a.alu_number(Alu::Compare, LEFT, 0);
            a.jump_if(Condition::Equal, end);
        }
        self.gathered(a, width, vector, lanes);
        a.bind(end);
    }

    /// The steps that are left, of the live lanes.
    fn gathered(self, a: &mut Assembler, width: Width, vector: usize, lanes: Label) {
        let (index, live, mask, to) = (0, 1, 2, 3);
        let none = Extra::default();
        self.spread_live(a, width, live);
        let numbers = Memory::place(lanes, (vector * width.bytes()) as i32);
        // Offsets of the lanes, from the vector's first.
        a.number(SCRATCH, self.lane_stride & 0xffff_ffff);
        let stride = 4;
        if width == Width::W512 {
            a.spread(width, stride, SCRATCH);
            a.vector(op::INTEGER_COMPARE_MASK, width, 1, live, numbers, Extra::immediate(6));
        } else {
            a.to_vector(stride, SCRATCH);
            a.vector(op::SPREAD_FIRST_INTEGER, width, stride, 0, stride, none);
            a.vector(op::INTEGER_GREATER, width, live, live, numbers, none);
        }
        a.vector(op::LOAD, width, index, 0, Memory::place(lanes, 0), none);
        a.vector(op::INTEGER_MULTIPLY, width, index, index, stride, none);
        if self.in_pairs {
            return self.gather_pairs(a, [index, to]);
        }
        let again = a.here();
        if width == Width::W512 {
            self.gather(a, index, to);
        } else {
            let from = self.scattered(index, width);
            a.zero(to);
            a.vector(op::LOAD, width, mask, 0, live, none);
            a.gather(width, to, from, mask);
        }
        self.widen(a, (width, lanes), to, 5);
        a.vector(op::STORE, width, to, 0, Memory::at(PANEL_NOW, 0), none);
        self.advance(a, SOURCE_NOW, self.step_bytes());
        a.alu_number(Alu::Add, PANEL_NOW, self.panel_bytes(width));
        a.alu_number(Alu::Subtract, LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
    }

    /// Elements so many strides from where the source is, as a register says.
    fn scattered(self, index: u8, width: Width) -> Memory {
        Memory {
            index: Some(Index::Lanes(index, width, self.stride().trailing_zeros() as u8)),
            ..Memory::at(SOURCE_NOW, 0)
        }
    }

    /// Words at such places, of the lanes in mask 1; changes mask 2.
    pub(super) fn gather(self, a: &mut Assembler, index: u8, to: u8) {
        let (width, from) = (Width::W512, self.scattered(index, Width::W512));
        a.zero(to);
        a.copy_mask(2, 1);
        a.vector(op::GATHER_MASK, width, to, 0, from, Extra::merging(2));
    }

    /// As many lanes as a register has words, by as many steps.
    fn square(self, a: &mut Assembler, width: Width, lanes: Label) {
        let count = width.lanes() as u8;
        for lane in 0..count {
            let from = Memory::at(SOURCE_NOW, (i64::from(lane) * self.lane_stride * self.stride()) as i32);
            self.load(a, (width, lanes), lane, from, count);
        }
        store_turned(a, width, |step| Memory::at(PANEL_NOW, step * self.panel_bytes(width)));
    }
}
