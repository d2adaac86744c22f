//! Steps with homes → machine code: one step at a time, in order. What lives in memory is an operand where the
//! instruction takes one, else it passes through the spare registers.

use super::allocate::{Home, Homes, SPARE_WORDS, allocate};
use super::code::*;
use super::encode::gpr::{RBP, RCX, RSP};
use super::encode::{Alu, Assembler, Condition, Gpr, Label, Memory};
use super::encode_vector::{Extra, Width, op};

/// Registers that a function must give back as they were.
const KEPT: [Gpr; 5] = [Gpr(3), Gpr(12), Gpr(13), Gpr(14), Gpr(15)];
/// Slots of words for the parameters on their way.
const PARAMETERS: usize = 6;

/// Writes a function of some parameters under the System V convention: a prologue, the steps, an epilogue, the data.
pub fn select(code: &Code, parameters: &[(Reg, Gpr)], lists: bool) -> Assembler {
    let homes = allocate(code, parameters);
    let mut assembler = Assembler::new(lists);
    let targets = (0..code.targets()).map(|_| assembler.label()).collect();
    let mut known: Vec<(Known, Reg)> = code.known.iter().map(|(k, r)| (*k, *r)).collect();
    known.sort_by_key(|k| k.1);
    known.retain(|k| homes.of[k.1.0 as usize] != Home::Nowhere);
    let data = known.iter().map(|(k, r)| (*r, *k, assembler.label())).collect();
    let mut s = Selector {
        a: assembler,
        code,
        homes,
        targets,
        data,
    };
    s.prologue(parameters);
    for step in &code.steps {
        s.step(step);
    }
    s.epilogue();
    s.write_data();
    s.a
}

/// A function that is written step by step.
pub(super) struct Selector<'c> {
    pub(super) a: Assembler,
    pub(super) code: &'c Code,
    homes: Homes,
    targets: Vec<Label>,
    /// Known vectors, and where they lie in the data.
    pub(super) data: Vec<(Reg, Known, Label)>,
}

impl Selector<'_> {
    pub(super) fn width(&self) -> Width {
        self.code.width
    }

    pub(super) fn home(&self, reg: Reg) -> Home {
        self.homes.of[reg.0 as usize]
    }

    fn kept(&self) -> Vec<Gpr> {
        let used = |register: &Gpr| {
            let words = (0..self.homes.of.len()).filter(|r| self.code.classes[*r] == Class::Word);
            words
                .into_iter()
                .any(|r| self.homes.of[r] == Home::Register(register.0))
        };
        KEPT.into_iter().filter(used).collect()
    }

    fn prologue(&mut self, parameters: &[(Reg, Gpr)]) {
        let kept = self.kept();
        self.a.push(RBP);
        self.a.copy(RBP, RSP);
        for register in kept {
            self.a.push(register);
        }
        let bytes = self.homes.vectors * 64 + (self.homes.words + PARAMETERS) * 8;
        let bytes = i32::try_from(bytes).expect("a frame is small");
        self.a.alu_number(Alu::Subtract, RSP, bytes);
        self.a.alu_number(Alu::And, RSP, -64);
        for (number, (_, from)) in parameters.iter().enumerate() {
            let slot = self.word_slot(self.homes.words + number);
            self.a.store(slot, *from);
        }
        for (number, (reg, _)) in parameters.iter().enumerate() {
            let slot = self.word_slot(self.homes.words + number);
            if self.home(*reg) != Home::Nowhere {
                let to = self.word_to(*reg);
                self.a.load(to, slot);
                self.word_done(*reg, to);
            }
        }
        for (reg, known, label) in self.data.clone() {
            if let Home::Register(register) = self.home(reg) {
                let op = match known {
                    Known::Even(_) => op::SPREAD,
                    _ => op::LOAD,
                };
                let place = Memory::place(label, 0);
                self.a.vector(op, self.width(), register, 0, place, Extra::default());
            }
        }
    }

    fn epilogue(&mut self) {
        let kept = self.kept();
        self.a.zero_upper();
        self.a.address(RSP, Memory::at(RBP, -8 * kept.len() as i32));
        for register in kept.into_iter().rev() {
            self.a.pop(register);
        }
        self.a.pop(RBP);
        self.a.return_();
    }

    fn write_data(&mut self) {
        let lanes = self.width().lanes();
        self.a.align_data(64);
        // Whole vectors first, so that they are aligned.
        let whole = |known: &Known| !(self.code.has_masks() && matches!(known, Known::Even(_)));
        let (vectors, words): (Vec<_>, Vec<_>) = self.data.clone().into_iter().partition(|d| whole(&d.1));
        for (_, known, label) in vectors {
            self.a.bind(label);
            let lane = |l: usize| match known {
                Known::Even(bits) => bits,
                Known::Steps(step) => (l as i32).wrapping_mul(step) as u32,
                Known::Live(live) if l < usize::from(live) => u32::MAX,
                Known::Live(_) => 0,
            };
            self.a.words(&(0..lanes).map(lane).collect::<Vec<_>>());
        }
        for (_, known, label) in words {
            self.a.bind(label);
            if let Known::Even(bits) = known {
                self.a.words(&[bits]);
            }
        }
    }

    pub(super) fn word_slot(&self, slot: usize) -> Memory {
        Memory::at(RSP, (self.homes.vectors * 64 + slot * 8) as i32)
    }

    pub(super) fn vector_slot(&self, slot: usize) -> Memory {
        Memory::at(RSP, (slot * 64) as i32)
    }

    /// A word in a register: its own, or a spare one.
    pub(super) fn word(&mut self, reg: Reg, spare: usize) -> Gpr {
        match self.home(reg) {
            Home::Register(register) => Gpr(register),
            Home::Frame(slot) => {
                let slot = self.word_slot(slot);
                self.a.load(SPARE_WORDS[spare], slot);
                SPARE_WORDS[spare]
            }
            Home::Nowhere | Home::Data => unreachable!("a word is written before it is read"),
        }
    }

    /// Where a word is written to; [`Self::word_done`] puts it away.
    pub(super) fn word_to(&self, reg: Reg) -> Gpr {
        match self.home(reg) {
            Home::Register(register) => Gpr(register),
            _ => SPARE_WORDS[0],
        }
    }

    pub(super) fn word_done(&mut self, reg: Reg, from: Gpr) {
        match self.home(reg) {
            Home::Register(register) if Gpr(register) != from => self.a.copy(Gpr(register), from),
            Home::Frame(slot) => {
                let slot = self.word_slot(slot);
                self.a.store(slot, from);
            }
            _ => {}
        }
    }

    fn copied(&mut self, to: Gpr, from: Gpr) {
        if to != from {
            self.a.copy(to, from);
        }
    }

    /// A memory operand; may use both spare words.
    pub(super) fn place(&mut self, place: &Place) -> Memory {
        let base = self.word(place.base, 0);
        match place.index {
            None => Memory::at(base, place.offset),
            Some((index, scale)) => {
                let index = self.word(index, 1);
                Memory::indexed(base, index, scale, place.offset)
            }
        }
    }

    /// Compares a word with a number; may use the second spare word.
    fn compare(&mut self, a: Gpr, number: i64) {
        match i32::try_from(number) {
            Ok(number) => self.a.alu_number(Alu::Compare, a, number),
            Err(_) => {
                self.a.number(RCX, number);
                self.a.alu(Alu::Compare, a, RCX);
            }
        }
    }

    fn words(&mut self, operation: WordOperation, d: Reg, a: Reg, b: Reg) {
        let (a, b, mut to) = (self.word(a, 0), self.word(b, 1), self.word_to(d));
        let spare = SPARE_WORDS[0];
        match operation {
            WordOperation::Add if to != a && to != b => self.a.address(to, Memory::indexed(a, b, 0, 0)),
            WordOperation::Add | WordOperation::And => {
                let alu = if operation == WordOperation::Add {
                    Alu::Add
                } else {
                    Alu::And
                };
                if to == b {
                    self.a.alu(alu, to, a);
                } else {
                    self.copied(to, a);
                    self.a.alu(alu, to, b);
                }
            }
            WordOperation::Subtract => {
                if to == b {
                    to = spare;
                }
                self.copied(to, a);
                self.a.alu(Alu::Subtract, to, b);
            }
            WordOperation::Least | WordOperation::Greatest => {
                to = spare;
                self.copied(to, a);
                self.a.alu(Alu::Compare, to, b);
                let condition = match operation {
                    WordOperation::Least => Condition::Greater,
                    _ => Condition::Less,
                };
                self.a.copy_if(condition, to, b);
            }
        }
        self.word_done(d, to);
    }

    fn word_and_number(&mut self, step: &Step) {
        let spare = SPARE_WORDS[0];
        match *step {
            Step::AddNumber(d, a, number) => {
                let (a, to) = (self.word(a, 0), self.word_to(d));
                match i32::try_from(number) {
                    Ok(number) if to == a => self.a.alu_number(Alu::Add, to, number),
                    Ok(number) => self.a.address(to, Memory::at(a, number)),
                    Err(_) => {
                        self.a.number(RCX, number);
                        self.a.address(to, Memory::indexed(a, RCX, 0, 0));
                    }
                }
                self.word_done(d, to);
            }
            Step::MultiplyNumber(d, a, number) => {
                let (a, to) = (self.word(a, 0), self.word_to(d));
                match i32::try_from(number) {
                    Ok(number) => {
                        self.a.multiply_number(to, a, number);
                        self.word_done(d, to);
                    }
                    Err(_) => {
                        self.a.number(RCX, number);
                        self.copied(spare, a);
                        self.a.multiply(spare, RCX);
                        self.word_done(d, spare);
                    }
                }
            }
            Step::AndNumber(d, a, number) => {
                let (a, to) = (self.word(a, 0), self.word_to(d));
                self.copied(to, a);
                match i32::try_from(number) {
                    Ok(number) => self.a.alu_number(Alu::And, to, number),
                    Err(_) => {
                        self.a.number(RCX, number);
                        self.a.alu(Alu::And, to, RCX);
                    }
                }
                self.word_done(d, to);
            }
            Step::Shift(shift, d, a, bits) => {
                let (a, to) = (self.word(a, 0), self.word_to(d));
                self.copied(to, a);
                self.a.shift(shift, to, bits);
                self.word_done(d, to);
            }
            Step::Truth(condition, d, a, number) => {
                let a = self.word(a, 0);
                self.compare(a, number);
                // Moves leave the comparison's outcome as it is.
                self.a.number(RCX, 1);
                self.a.number(spare, 0);
                self.a.copy_if(condition, spare, RCX);
                self.word_done(d, spare);
            }
            _ => unreachable!("not of a word and a number"),
        }
    }

    fn copy(&mut self, d: Reg, s: Reg) {
        match self.code.classes[d.0 as usize] {
            Class::Word => {
                let s = self.word(s, 0);
                self.word_done(d, s);
            }
            Class::Vector => {
                let s = self.vector(s, 0);
                self.vector_done(d, s);
            }
            Class::Mask => {
                let (s, to) = (self.mask(s, 1), self.mask_to(d));
                if s != to {
                    self.a.copy_mask(to, s);
                }
                self.mask_done(d, to);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Number(d, number) => {
                let to = self.word_to(d);
                self.a.number(to, number);
                self.word_done(d, to);
            }
            Step::Copy(d, s) => self.copy(d, s),
            Step::Load(d, ref place)
            | Step::LoadId(d, ref place)
            | Step::LoadHalf(d, ref place)
            | Step::Address(d, ref place) => {
                let (at, to) = (self.place(place), self.word_to(d));
                match step {
                    Step::Load(..) => self.a.load(to, at),
                    Step::LoadId(..) => self.a.load_i32(to, at),
                    Step::LoadHalf(..) => self.a.load_half(to, at),
                    _ => self.a.address(to, at),
                }
                self.word_done(d, to);
            }
            Step::Words(operation, d, a, b) => self.words(operation, d, a, b),
            Step::AddNumber(..)
            | Step::MultiplyNumber(..)
            | Step::AndNumber(..)
            | Step::Shift(..)
            | Step::Truth(..) => self.word_and_number(step),
            Step::Choose(d, truth, then, other) => {
                let truth = self.word(truth, 0);
                self.a.alu_number(Alu::Compare, truth, 0);
                let other = self.word(other, 0);
                self.copied(SPARE_WORDS[0], other);
                let then = self.word(then, 1);
                self.a.copy_if(Condition::NotEqual, SPARE_WORDS[0], then);
                self.word_done(d, SPARE_WORDS[0]);
            }
            Step::Bind(target) => self.a.bind(self.targets[target.0]),
            Step::Jump(target) => self.a.jump(self.targets[target.0]),
            Step::Branch(condition, a, with, target) => {
                let a = self.word(a, 0);
                match with {
                    With::Number(number) => self.compare(a, number),
                    With::Word(b) => {
                        let b = self.word(b, 1);
                        self.a.alu(Alu::Compare, a, b);
                    }
                }
                self.a.jump_if(condition, self.targets[target.0]);
            }
            Step::LoopStart(_) | Step::LoopEnd(_) => {}
            _ => self.vector_step(step),
        }
    }
}
