//! Straight code with structured loops over registers without number: what the emitter of bodies writes, and what
//! registers are then given to. Registers are variables: they may be written more than once. It knows instructions,
//! not kernels.

use super::encode::{Condition, Shift};
use super::encode_vector::{Vector, Width, op};
use std::collections::HashMap;

/// A register that has no number yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reg(pub u32);

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// 64 bits.
    Word,
    /// A vector.
    Vector,
    /// A mask register; only at 512 bits.
    Mask,
}

/// A vector that is known: written once in the code's data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Known {
    /// The same bits in all lanes.
    Even(u32),
    /// Lane `l` has `l` times this.
    Steps(i32),
    /// All ones in so many lanes, then zeros.
    Live(u8),
}

/// A memory operand: `[base + index · 2^scale + offset]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// From where.
    pub base: Reg,
    /// Moved by what.
    pub index: Option<(Reg, u8)>,
    /// And by so many bytes.
    pub offset: i32,
}

impl Place {
    /// `[base + offset]`.
    pub fn at(base: Reg, offset: i32) -> Place {
        Place {
            base,
            index: None,
            offset,
        }
    }
}

/// A place to jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target(pub usize);

/// What a word is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum With {
    /// A register.
    Word(Reg),
    /// A number.
    Number(i64),
}

/// Operations of two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum WordOperation {
    Add,
    Subtract,
    And,
    Least,
    Greatest,
}

/// Operations of two mask registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum MaskOperation {
    And,
    Or,
}

/// One instruction; the first register is what it writes, except where it says otherwise.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Step {
    /// A number.
    Number(Reg, i64),
    /// A register of the same class.
    Copy(Reg, Reg),
    /// 64 bits.
    Load(Reg, Place),
    /// An i32.
    LoadId(Reg, Place),
    /// The address of a place.
    Address(Reg, Place),
    /// Two words.
    Words(WordOperation, Reg, Reg, Reg),
    /// A word and a number.
    AddNumber(Reg, Reg, i64),
    /// The same.
    MultiplyNumber(Reg, Reg, i64),
    /// The same.
    AndNumber(Reg, Reg, i64),
    /// The same.
    Shift(Shift, Reg, Reg, u8),
    /// 1 if the comparison holds, else 0.
    Truth(Condition, Reg, Reg, i64),
    /// The second if the first is not 0, else the third.
    Choose(Reg, Reg, Reg, Reg),
    /// A place.
    Bind(Target),
    /// Goes on elsewhere.
    Jump(Target),
    /// Goes on elsewhere if the comparison holds.
    Branch(Condition, Reg, With, Target),
    /// Until the end with the same number, steps may run again.
    LoopStart(usize),
    /// The end of a loop.
    LoopEnd(usize),
    /// A vector from memory; with a mask (of the width's kind), other lanes are 0 and not read.
    VectorLoad(Reg, Place, Option<Reg>),
    /// A word of memory in all lanes.
    Spread(Reg, Place),
    /// Writes memory: a vector, only lanes in the mask if there is one.
    Store(Place, Reg, Option<Reg>),
    /// Writes memory: lane 0.
    StoreWord(Place, Reg),
    /// Writes memory: a lane of the first four.
    StoreLane(Place, Reg, u8),
    /// Two vectors of a width.
    Three(Vector, Width, Reg, Reg, Reg, Option<u8>),
    /// One vector of a width (of which the written one may have another).
    Two(Vector, Width, Reg, Reg, Option<u8>),
    /// Stores a part of a vector into a vector: `part, whole`.
    Part(Vector, Width, Reg, Reg, u8),
    /// `a · b + c`.
    MultiplyAdd(Reg, Reg, Reg, Reg),
    /// The second where the first has ones, else the third.
    Select(Reg, Reg, Reg, Reg),
    /// Two mask registers.
    Masks(MaskOperation, Reg, Reg, Reg),
    /// The other lanes.
    MaskNot(Reg, Reg),
    /// The first so many lanes.
    MaskLive(Reg, u8),
    /// All lanes if the word is 1, none if it is 0; of the width's kind.
    MaskWord(Reg, Reg),
    /// The lower half of a word in all lanes.
    SpreadWord(Reg, Reg),
    /// Lane 0 as a word, from i32.
    First(Reg, Reg),
    /// 32 bits at `place + 2^scale · index` in each lane of the mask; what is not in the mask is what the register
    /// (written) had.
    Gather(Reg, Place, Reg, Reg, u8),
    /// 16 bits of memory as a word.
    LoadHalf(Reg, Place),
    /// 16 bits of memory for each lane, zeros above them; with a mask (only at 512 bits), as [`Step::VectorLoad`].
    LoadHalves(Reg, Place, Option<Reg>),
    /// Writes memory: the lower 16 bits of a lane of the first four.
    StoreHalf(Place, Reg, u8),
    /// Writes memory: the lower 16 bits of each lane (only at 512 bits), only lanes in the mask if there is one.
    StoreHalves(Place, Reg, Option<Reg>),
    /// Writes memory: the first 128 bits.
    StoreQuad(Place, Reg),
    /// Writes lanes of the third at `place + 4 · second`, those in the mask.
    Scatter(Place, Reg, Reg, Reg),
}

/// How a step uses a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Reads, then writes.
    Change,
}

impl Step {
    /// Calls `each` with all registers of the step, those that it reads first.
    pub fn registers(&self, mut each: impl FnMut(Reg, Use)) {
        use Use::{Change, Read, Write};
        let place = |p: &Place, each: &mut dyn FnMut(Reg, Use)| {
            each(p.base, Read);
            if let Some((index, _)) = p.index {
                each(index, Read);
            }
        };
        let list: &[(Reg, Use)] = match self {
            Step::Number(d, _) | Step::MaskLive(d, _) => &[(*d, Write)],
            Step::Copy(d, s)
            | Step::AddNumber(d, s, _)
            | Step::MultiplyNumber(d, s, _)
            | Step::AndNumber(d, s, _)
            | Step::Shift(_, d, s, _)
            | Step::Truth(_, d, s, _)
            | Step::Two(_, _, d, s, _)
            | Step::Part(_, _, d, s, _)
            | Step::MaskNot(d, s)
            | Step::MaskWord(d, s)
            | Step::SpreadWord(d, s)
            | Step::First(d, s) => &[(*s, Read), (*d, Write)],
            Step::Load(d, p) | Step::LoadId(d, p) | Step::Address(d, p) | Step::Spread(d, p) | Step::LoadHalf(d, p) => {
                place(p, &mut each);
                &[(*d, Write)]
            }
            Step::Words(_, d, a, b) | Step::Three(_, _, d, a, b, _) | Step::Masks(_, d, a, b) => {
                &[(*a, Read), (*b, Read), (*d, Write)]
            }
            Step::Choose(d, a, b, c) | Step::MultiplyAdd(d, a, b, c) | Step::Select(d, a, b, c) => {
                &[(*a, Read), (*b, Read), (*c, Read), (*d, Write)]
            }
            Step::Bind(_) | Step::Jump(_) | Step::LoopStart(_) | Step::LoopEnd(_) => &[],
            Step::Branch(_, a, with, _) => {
                if let With::Word(b) = with {
                    each(*b, Read);
                }
                &[(*a, Read)]
            }
            Step::VectorLoad(d, p, mask) | Step::LoadHalves(d, p, mask) => {
                place(p, &mut each);
                if let Some(mask) = mask {
                    each(*mask, Read);
                }
                &[(*d, Write)]
            }
            Step::Store(p, s, mask) | Step::StoreHalves(p, s, mask) => {
                place(p, &mut each);
                if let Some(mask) = mask {
                    each(*mask, Read);
                }
                &[(*s, Read)]
            }
            Step::StoreWord(p, s) | Step::StoreLane(p, s, _) | Step::StoreHalf(p, s, _) | Step::StoreQuad(p, s) => {
                place(p, &mut each);
                &[(*s, Read)]
            }
            Step::Gather(d, p, index, mask, _) => {
                place(p, &mut each);
                &[(*index, Read), (*mask, Read), (*d, Change)]
            }
            Step::Scatter(p, index, s, mask) => {
                place(p, &mut each);
                &[(*index, Read), (*s, Read), (*mask, Read)]
            }
        };
        for (register, how) in list {
            each(*register, *how);
        }
    }
}

/// Code under construction.
pub struct Code {
    /// Bits of its vectors.
    pub width: Width,
    /// In order.
    pub steps: Vec<Step>,
    /// What each register holds.
    pub classes: Vec<Class>,
    /// Registers whose value is known from the start.
    pub known: HashMap<Known, Reg>,
    /// How many places and loops there are.
    targets: usize,
    loops: usize,
}

impl Code {
    /// Nothing yet.
    pub fn new(width: Width) -> Code {
        Code {
            width,
            steps: vec![],
            classes: vec![],
            known: HashMap::new(),
            targets: 0,
            loops: 0,
        }
    }

    /// Whether masks have their own registers.
    pub fn has_masks(&self) -> bool {
        self.width == Width::W512
    }

    /// A new register.
    pub fn reg(&mut self, class: Class) -> Reg {
        self.classes.push(class);
        Reg(self.classes.len() as u32 - 1)
    }

    /// A new word.
    pub fn word(&mut self) -> Reg {
        self.reg(Class::Word)
    }

    /// A new vector.
    pub fn vector(&mut self) -> Reg {
        self.reg(Class::Vector)
    }

    /// A new mask: a mask register, or a vector of ones and zeros.
    pub fn mask(&mut self) -> Reg {
        match self.has_masks() {
            true => self.reg(Class::Mask),
            false => self.reg(Class::Vector),
        }
    }

    /// Adds a step.
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds a step that writes a new word.
    pub fn to_word(&mut self, step: impl FnOnce(Reg) -> Step) -> Reg {
        let to = self.word();
        self.push(step(to));
        to
    }

    /// Adds a step that writes a new vector.
    pub fn to_vector(&mut self, step: impl FnOnce(Reg) -> Step) -> Reg {
        let to = self.vector();
        self.push(step(to));
        to
    }

    /// Adds a step that writes a new mask.
    pub fn to_mask(&mut self, step: impl FnOnce(Reg) -> Step) -> Reg {
        let to = self.mask();
        self.push(step(to));
        to
    }

    /// A known vector.
    pub fn known(&mut self, known: Known) -> Reg {
        if let Some(reg) = self.known.get(&known) {
            return *reg;
        }
        let reg = self.vector();
        self.known.insert(known, reg);
        reg
    }

    /// The same bits in all lanes.
    pub fn even(&mut self, bits: u32) -> Reg {
        self.known(Known::Even(bits))
    }

    /// Two vectors of full width.
    pub fn three(&mut self, op: Vector, a: Reg, b: Reg) -> Reg {
        let width = self.width;
        self.to_vector(|d| Step::Three(op, width, d, a, b, None))
    }

    /// One vector of full width.
    pub fn two(&mut self, op: Vector, a: Reg, immediate: Option<u8>) -> Reg {
        let width = self.width;
        self.to_vector(|d| Step::Two(op, width, d, a, immediate))
    }

    /// Compares reals: the number is the instruction's.
    pub fn compare(&mut self, a: Reg, b: Reg, predicate: u8) -> Reg {
        let (op, width) = match self.has_masks() {
            true => (op::COMPARE_MASK, self.width),
            false => (op::COMPARE, self.width),
        };
        self.to_mask(|d| Step::Three(op, width, d, a, b, Some(predicate)))
    }

    /// A place to jump to.
    pub fn target(&mut self) -> Target {
        self.targets += 1;
        Target(self.targets - 1)
    }

    /// How many places there are.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Marks the start of a loop.
    pub fn open_loop(&mut self) -> usize {
        self.loops += 1;
        self.push(Step::LoopStart(self.loops - 1));
        self.loops - 1
    }

    /// Counts on, goes back, and marks the end.
    pub fn close_loop(&mut self, number: usize, index: Reg, end: With, step: i64, again: Target) {
        self.push(Step::AddNumber(index, index, step));
        self.push(Step::Branch(Condition::Less, index, end, again));
        self.push(Step::LoopEnd(number));
    }
}
