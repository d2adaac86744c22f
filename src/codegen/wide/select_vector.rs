//! Steps on vectors and masks → instructions. What lives in memory is the last operand where the instruction takes one.

use super::allocate::{Home, SPARE_MASKS, SPARE_WORDS};
use super::code::*;
use super::encode::{Alu, Gpr, Index, Label, Memory, Shift};
use super::encode_vector::{Extra, Operand, Vector, Width, op};
use super::select::Selector;

impl Selector<'_> {
    fn data(&self, reg: Reg) -> (Known, Label) {
        let found = self.data.iter().find(|d| d.0 == reg);
        let (_, known, label) = found.expect("known vectors have data");
        (*known, *label)
    }

    /// A vector in a register: its own, or a spare one.
    pub(super) fn vector(&mut self, reg: Reg, spare: u8) -> u8 {
        let (op, from) = match self.home(reg) {
            Home::Register(register) => return register,
            Home::Frame(slot) => (op::LOAD, self.vector_slot(slot)),
            Home::Data => {
                let (known, label) = self.data(reg);
                let op = match known {
                    Known::Even(_) => op::SPREAD,
                    _ => op::LOAD,
                };
                (op, Memory::place(label, 0))
            }
            Home::Nowhere => unreachable!("a vector is written before it is read"),
        };
        self.a.vector(op, self.width(), spare, 0, from, Extra::default());
        spare
    }

    /// A vector as a last operand, which may be in memory.
    fn last(&mut self, reg: Reg, spare: u8) -> Operand {
        match self.home(reg) {
            Home::Register(register) => Operand::Register(register),
            Home::Frame(slot) => Operand::Memory(self.vector_slot(slot)),
            Home::Data => {
                let (known, label) = self.data(reg);
                let place = Memory::place(label, 0);
                match known {
                    Known::Even(_) if self.code.has_masks() => Operand::Spread(place),
                    _ => Operand::Memory(place),
                }
            }
            Home::Nowhere => Operand::Register(self.vector(reg, spare)),
        }
    }

    pub(super) fn vector_to(&self, reg: Reg) -> u8 {
        match self.home(reg) {
            Home::Register(register) => register,
            _ => 0,
        }
    }

    pub(super) fn vector_done(&mut self, reg: Reg, from: u8) {
        match self.home(reg) {
            Home::Register(register) if register != from => self.copied_vector(register, from),
            Home::Frame(slot) => {
                let slot = self.vector_slot(slot);
                self.a.vector(op::STORE, self.width(), from, 0, slot, Extra::default());
            }
            _ => {}
        }
    }

    pub(super) fn copied_vector(&mut self, to: u8, from: u8) {
        if to != from {
            self.a.vector(op::LOAD, self.width(), to, 0, from, Extra::default());
        }
    }

    fn three(&mut self, op: Vector, width: Width, [d, a, b]: [Reg; 3], immediate: Option<u8>) {
        let a = self.vector(a, 1);
        let b = self.last(b, 2);
        let extra = Extra {
            immediate,
            ..Extra::default()
        };
        if self.code.classes[d.0 as usize] == Class::Mask {
            let to = self.mask_to(d);
            self.a.vector(op, width, to, a, b, extra);
            self.mask_done(d, to);
        } else {
            let to = self.vector_to(d);
            self.a.vector(op, width, to, a, b, extra);
            self.vector_done(d, to);
        }
    }

    fn two(&mut self, op: Vector, width: Width, d: Reg, s: Reg, immediate: Option<u8>) {
        let s = self.vector(s, 1);
        let extra = Extra {
            immediate,
            ..Extra::default()
        };
        let to = self.vector_to(d);
        self.a.vector(op, width, to, 0, s, extra);
        self.vector_done(d, to);
    }

    fn multiply_add(&mut self, d: Reg, [a, b, c]: [Reg; 3]) {
        let (none, width) = (Extra::default(), self.width());
        let in_register = |s: &Self, reg| matches!(s.home(reg), Home::Register(_));
        // One operand may be in memory: the sum, or a factor.
        let (a, b) = if in_register(self, b) && !in_register(self, a) {
            (b, a)
        } else {
            (a, b)
        };
        let to = self.vector_to(d);
        let a = self.vector(a, 1);
        if !in_register(self, b) && in_register(self, c) {
            let (b, c) = (self.last(b, 2), self.vector(c, 0));
            if to == a && to != c {
                self.a.vector(op::FMA_132, width, to, c, b, none);
            } else {
                self.copied_vector(to, c);
                self.a.vector(op::FMA_231, width, to, a, b, none);
            }
        } else {
            let b = self.vector(b, 2);
            let c = self.last(c, 0);
            match c {
                Operand::Register(c) if to != a && to != b => {
                    self.copied_vector(to, c);
                    self.a.vector(op::FMA_231, width, to, a, b, none);
                }
                Operand::Register(c) if to == c => self.a.vector(op::FMA_231, width, to, a, b, none),
                _ if to == b => self.a.vector(op::FMA_213, width, to, a, c, none),
                _ => {
                    self.copied_vector(to, a);
                    self.a.vector(op::FMA_213, width, to, b, c, none);
                }
            }
        }
        self.vector_done(d, to);
    }

    fn select(&mut self, d: Reg, [mask, then, other]: [Reg; 3]) {
        let width = self.width();
        let to = self.vector_to(d);
        if self.code.has_masks() {
            let mask = self.mask(mask, 0);
            let other = self.vector(other, 1);
            let then = self.last(then, 2);
            self.a
                .vector(op::BLEND_MASK, width, to, other, then, Extra::merging(mask));
        } else {
            let (mask, then, other) = (self.vector(mask, 0), self.vector(then, 1), self.vector(other, 2));
            self.a.blend(width, to, mask, then, other);
        }
        self.vector_done(d, to);
    }

    pub(super) fn mask(&mut self, reg: Reg, spare: usize) -> u8 {
        match self.home(reg) {
            Home::Register(register) => register,
            Home::Frame(slot) => {
                let slot = self.word_slot(slot);
                self.a.mask_memory(false, SPARE_MASKS[spare], slot);
                SPARE_MASKS[spare]
            }
            Home::Nowhere | Home::Data => unreachable!("a mask is written before it is read"),
        }
    }

    pub(super) fn mask_to(&self, reg: Reg) -> u8 {
        match self.home(reg) {
            Home::Register(register) => register,
            _ => SPARE_MASKS[0],
        }
    }

    pub(super) fn mask_done(&mut self, reg: Reg, from: u8) {
        if let Home::Frame(slot) = self.home(reg) {
            let slot = self.word_slot(slot);
            self.a.mask_memory(true, from, slot);
        }
    }

    /// A gather's or scatter's memory operand: the first spare word as base, the index in a register.
    fn lanes(&mut self, place: &Place, index: u8, scale: u8) -> Memory {
        let at = self.place(place);
        let base = match at.index {
            None => at,
            Some(_) => {
                self.a.address(SPARE_WORDS[0], at);
                Memory::at(SPARE_WORDS[0], 0)
            }
        };
        Memory {
            index: Some(Index::Lanes(index, self.width(), scale)),
            ..base
        }
    }

    /// A mask that the instruction may clear.
    fn cleared_mask(&mut self, mask: Reg) -> u8 {
        let from = self.mask(mask, 0);
        self.a.copy_mask(SPARE_MASKS[1], from);
        SPARE_MASKS[1]
    }

    fn gather(&mut self, d: Reg, place: &Place, [index, mask]: [Reg; 2], scale: u8) {
        let width = self.width();
        let to = self.vector(d, 0);
        let index = self.vector(index, 1);
        if self.code.has_masks() {
            let mask = self.cleared_mask(mask);
            let at = self.lanes(place, index, scale);
            self.a.vector(op::GATHER_MASK, width, to, 0, at, Extra::merging(mask));
        } else {
            let cleared = 2;
            let mask = self.vector(mask, 2);
            self.copied_vector(cleared, mask);
            let at = self.lanes(place, index, scale);
            self.a.gather(width, to, at, cleared);
        }
        self.vector_done(d, to);
    }

    fn load(&mut self, d: Reg, place: &Place, mask: Option<Reg>) {
        let width = self.width();
        let at = self.place(place);
        let to = self.vector_to(d);
        match mask {
            None => self.a.vector(op::LOAD, width, to, 0, at, Extra::default()),
            Some(mask) if self.code.has_masks() => {
                let mask = self.mask(mask, 0);
                self.a.vector(op::LOAD, width, to, 0, at, Extra::zeroing(mask));
            }
            Some(mask) => {
                let mask = self.vector(mask, 1);
                self.a.vector(op::MASK_LOAD, width, to, mask, at, Extra::default());
            }
        }
        self.vector_done(d, to);
    }

    fn store(&mut self, place: &Place, s: Reg, mask: Option<Reg>) {
        let width = self.width();
        let at = self.place(place);
        let s = self.vector(s, 0);
        match mask {
            None => self.a.vector(op::STORE, width, s, 0, at, Extra::default()),
            Some(mask) if self.code.has_masks() => {
                let mask = self.mask(mask, 0);
                self.a.vector(op::STORE, width, s, 0, at, Extra::merging(mask));
            }
            Some(mask) => {
                let mask = self.vector(mask, 1);
                self.a.vector(op::MASK_STORE, width, s, mask, at, Extra::default());
            }
        }
    }

    /// All bits of the spare word are those of a word that is 0 or 1.
    fn all_bits(&mut self, word: Reg) -> Gpr {
        let word = self.word(word, 1);
        self.a.number(SPARE_WORDS[0], 0);
        self.a.alu(Alu::Subtract, SPARE_WORDS[0], word);
        SPARE_WORDS[0]
    }

    fn spread_word(&mut self, d: Reg, from: Gpr) {
        let (width, to) = (self.width(), self.vector_to(d));
        if self.code.has_masks() {
            self.a.spread(width, to, from);
        } else {
            self.a.to_vector(to, from);
            self.a
                .vector(op::SPREAD_FIRST_INTEGER, width, to, 0, to, Extra::default());
        }
        self.vector_done(d, to);
    }

    pub(super) fn vector_step(&mut self, step: &Step) {
        match *step {
            Step::VectorLoad(d, ref place, mask) => self.load(d, place, mask),
            Step::Spread(d, ref place) => {
                let (at, to) = (self.place(place), self.vector_to(d));
                self.a.vector(op::SPREAD, self.width(), to, 0, at, Extra::default());
                self.vector_done(d, to);
            }
            Step::Store(ref place, s, mask) => self.store(place, s, mask),
            Step::StoreWord(ref place, s) => {
                let at = self.place(place);
                let s = self.vector(s, 0);
                self.a.vector(op::STORE_WORD, Width::W128, s, 0, at, Extra::default());
            }
            Step::StoreLane(ref place, s, lane) => {
                let at = self.place(place);
                let s = self.vector(s, 0);
                self.a
                    .vector(op::STORE_LANE, Width::W128, s, 0, at, Extra::immediate(lane));
            }
            Step::LoadHalves(d, ref place, mask) => {
                let (at, to) = (self.place(place), self.vector_to(d));
                let extra = match mask {
                    None => Extra::default(),
                    Some(mask) => Extra::zeroing(self.mask(mask, 0)),
                };
                self.a.vector(op::LOAD_HALVES, self.width(), to, 0, at, extra);
                self.vector_done(d, to);
            }
            Step::StoreHalves(ref place, s, mask) => {
                let at = self.place(place);
                let s = self.vector(s, 0);
                let extra = match mask {
                    None => Extra::default(),
                    Some(mask) => Extra::merging(self.mask(mask, 0)),
                };
                self.a.vector(op::STORE_HALVES, self.width(), s, 0, at, extra);
            }
            Step::StoreHalf(ref place, s, lane) => {
                let at = self.place(place);
                let mut s = self.vector(s, 0);
                if s >= 16 {
                    self.copied_vector(0, s);
                    s = 0;
                }
                let half = Extra::immediate(2 * lane);
                self.a.vector(op::STORE_HALF, Width::W128, s, 0, at, half);
            }
            Step::StoreQuad(ref place, s) => {
                let at = self.place(place);
                let s = self.vector(s, 0);
                self.a.vector(op::STORE, Width::W128, s, 0, at, Extra::default());
            }
            Step::Three(op, width, d, a, b, immediate) => self.three(op, width, [d, a, b], immediate),
            Step::Two(op, width, d, s, immediate) => self.two(op, width, d, s, immediate),
            Step::Part(op, width, d, s, number) => {
                let (s, to) = (self.vector(s, 1), self.vector_to(d));
                self.a.vector(op, width, s, 0, to, Extra::immediate(number));
                self.vector_done(d, to);
            }
            Step::MultiplyAdd(d, a, b, c) => self.multiply_add(d, [a, b, c]),
            Step::Select(d, mask, then, other) => self.select(d, [mask, then, other]),
            Step::Masks(operation, d, a, b) => {
                let (a, b, to) = (self.mask(a, 0), self.mask(b, 1), self.mask_to(d));
                match operation {
                    MaskOperation::And => self.a.mask_and(to, a, b),
                    MaskOperation::Or => self.a.mask_or(to, a, b),
                }
                self.mask_done(d, to);
            }
            Step::MaskNot(d, s) => {
                let (s, to) = (self.mask(s, 0), self.mask_to(d));
                self.a.mask_not(to, s);
                self.mask_done(d, to);
            }
            Step::MaskLive(d, lanes) => {
                let to = self.mask_to(d);
                self.a.number(SPARE_WORDS[0], (1 << lanes) - 1);
                self.a.to_mask(to, SPARE_WORDS[0]);
                self.mask_done(d, to);
            }
            Step::MaskWord(d, word) => {
                let bits = self.all_bits(word);
                if self.code.has_masks() {
                    let to = self.mask_to(d);
                    self.a.to_mask(to, bits);
                    self.mask_done(d, to);
                } else {
                    self.spread_word(d, bits);
                }
            }
            Step::SpreadWord(d, word) => {
                let word = self.word(word, 0);
                self.spread_word(d, word);
            }
            Step::First(d, s) => {
                let (mut s, to) = (self.vector(s, 0), self.word_to(d));
                if s >= 16 {
                    self.copied_vector(0, s);
                    s = 0;
                }
                self.a.from_vector(to, s);
                self.a.shift(Shift::Left, to, 32);
                self.a.shift(Shift::RightArithmetic, to, 32);
                self.word_done(d, to);
            }
            Step::Gather(d, ref place, index, mask, scale) => self.gather(d, place, [index, mask], scale),
            Step::Scatter(ref place, index, s, mask) => {
                let (index, s) = (self.vector(index, 0), self.vector(s, 1));
                let mask = self.cleared_mask(mask);
                let at = self.lanes(place, index, 2);
                self.a
                    .vector(op::SCATTER_MASK, self.width(), s, 0, at, Extra::merging(mask));
            }
            _ => unreachable!("not of vectors"),
        }
    }
}
