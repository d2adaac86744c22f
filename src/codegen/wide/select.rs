//! Steps with homes → machine code: one step at a time, in order. What lives in memory is an operand where the
//! instruction takes one, else it passes through the spare registers.

use super::allocate::{Home, Homes, SPARE_MASKS, SPARE_WORDS, allocate};
use super::code::*;
use super::encode::gpr::{RBP, RCX, RSP};
use super::encode::{Alu, Assembler, Condition, Gpr, Index, Label, Memory, Shift};
use super::encode_vector::{Extra, Operand, Vector, Width, op};

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

struct Selector<'c> {
    a: Assembler,
    code: &'c Code,
    homes: Homes,
    targets: Vec<Label>,
    /// Known vectors, and where they lie in the data.
    data: Vec<(Reg, Known, Label)>,
}

impl Selector<'_> {
    fn width(&self) -> Width {
        self.code.width
    }

    fn home(&self, reg: Reg) -> Home {
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

    fn word_slot(&self, slot: usize) -> Memory {
        Memory::at(RSP, (self.homes.vectors * 64 + slot * 8) as i32)
    }

    fn vector_slot(&self, slot: usize) -> Memory {
        Memory::at(RSP, (slot * 64) as i32)
    }

    // Words.

    /// A word in a register: its own, or a spare one.
    fn word(&mut self, reg: Reg, spare: usize) -> Gpr {
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
    fn word_to(&self, reg: Reg) -> Gpr {
        match self.home(reg) {
            Home::Register(register) => Gpr(register),
            _ => SPARE_WORDS[0],
        }
    }

    fn word_done(&mut self, reg: Reg, from: Gpr) {
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
    fn place(&mut self, place: &Place) -> Memory {
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

    // Vectors.

    fn data(&self, reg: Reg) -> (Known, Label) {
        let found = self.data.iter().find(|d| d.0 == reg);
        let (_, known, label) = found.expect("known vectors have data");
        (*known, *label)
    }

    /// A vector in a register: its own, or a spare one.
    fn vector(&mut self, reg: Reg, spare: u8) -> u8 {
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

    fn vector_to(&self, reg: Reg) -> u8 {
        match self.home(reg) {
            Home::Register(register) => register,
            _ => 0,
        }
    }

    fn vector_done(&mut self, reg: Reg, from: u8) {
        match self.home(reg) {
            Home::Register(register) if register != from => self.copied_vector(register, from),
            Home::Frame(slot) => {
                let slot = self.vector_slot(slot);
                self.a.vector(op::STORE, self.width(), from, 0, slot, Extra::default());
            }
            _ => {}
        }
    }

    fn copied_vector(&mut self, to: u8, from: u8) {
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

    // Masks.

    fn mask(&mut self, reg: Reg, spare: usize) -> u8 {
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

    fn mask_to(&self, reg: Reg) -> u8 {
        match self.home(reg) {
            Home::Register(register) => register,
            _ => SPARE_MASKS[0],
        }
    }

    fn mask_done(&mut self, reg: Reg, from: u8) {
        if let Home::Frame(slot) = self.home(reg) {
            let slot = self.word_slot(slot);
            self.a.mask_memory(true, from, slot);
        }
    }

    /// A gather's or scatter's memory operand: the first spare word as base, the index in a register.
    fn lanes(&mut self, place: &Place, index: u8) -> Memory {
        let at = self.place(place);
        let base = match at.index {
            None => at,
            Some(_) => {
                self.a.address(SPARE_WORDS[0], at);
                Memory::at(SPARE_WORDS[0], 0)
            }
        };
        Memory {
            index: Some(Index::Lanes(index, self.width())),
            ..base
        }
    }

    /// A mask that the instruction may clear.
    fn cleared_mask(&mut self, mask: Reg) -> u8 {
        let from = self.mask(mask, 0);
        self.a.copy_mask(SPARE_MASKS[1], from);
        SPARE_MASKS[1]
    }

    fn gather(&mut self, d: Reg, place: &Place, index: Reg, mask: Reg) {
        let width = self.width();
        let to = self.vector(d, 0);
        let index = self.vector(index, 1);
        if self.code.has_masks() {
            let mask = self.cleared_mask(mask);
            let at = self.lanes(place, index);
            self.a.vector(op::GATHER_MASK, width, to, 0, at, Extra::merging(mask));
        } else {
            let cleared = 2;
            let mask = self.vector(mask, 2);
            self.copied_vector(cleared, mask);
            let at = self.lanes(place, index);
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

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Number(d, number) => {
                let to = self.word_to(d);
                self.a.number(to, number);
                self.word_done(d, to);
            }
            Step::Copy(d, s) => self.copy(d, s),
            Step::Load(d, ref place) | Step::LoadId(d, ref place) | Step::Address(d, ref place) => {
                let (at, to) = (self.place(place), self.word_to(d));
                match step {
                    Step::Load(..) => self.a.load(to, at),
                    Step::LoadId(..) => self.a.load_i32(to, at),
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

    fn vector_step(&mut self, step: &Step) {
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
            Step::Gather(d, ref place, index, mask) => self.gather(d, place, index, mask),
            Step::Scatter(ref place, index, s, mask) => {
                let (index, s) = (self.vector(index, 0), self.vector(s, 1));
                let mask = self.cleared_mask(mask);
                let at = self.lanes(place, index);
                self.a
                    .vector(op::SCATTER_MASK, self.width(), s, 0, at, Extra::merging(mask));
            }
            _ => unreachable!("not of vectors"),
        }
    }
}
