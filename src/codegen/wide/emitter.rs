//! What all kernels of this emitter share: the state of a function under construction, what it knows already, and
//! arithmetic of words. It knows no kernel's structure.

use super::code::*;
use super::encode::Shift;
use super::encode_vector::Width;
use crate::codegen::analysis::{Ranges, reciprocal};
use crate::ir::affine::{Digit, Guard, Position};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKinds;

/// Bytes of an element.
pub const WORD: i64 = 4;

/// The kernel has something that is not encoded wide; it is left to the portable emitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsupported;

/// An axis' index: a word that changes plus a number that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// The part that is not known while the code is made.
    pub word: Option<Reg>,
    /// The rest.
    pub constant: i64,
}

impl Axis {
    /// A known index.
    pub fn known(constant: i64) -> Axis {
        Axis { word: None, constant }
    }

    /// An index in a register.
    pub fn of(word: Reg) -> Axis {
        Axis {
            word: Some(word),
            constant: 0,
        }
    }
}

/// What was computed and may be used again, as long as its scope is open.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Computed {
    /// The address of a buffer's element, at the part of a position that does not move along the vector axis.
    Pointer(BufferId, Position),
    /// A multiple of an axis' changing part.
    Multiple(Reg, i64),
    /// A digit without its coefficient, at a shift along the vector axis.
    Digit(Digit, Axis),
    /// Whether a guard holds there.
    Truth(Guard, Axis),
    /// Whether guards hold that are the same in all lanes, as a mask.
    EvenMask(Vec<Guard>),
}

/// A function under construction.
pub struct Emitter<'a> {
    /// The code.
    pub code: Code,
    /// The buffers that the kernel is called with.
    pub buffers: &'a [Buffer],
    /// The kinds of the kernel's values.
    pub kinds: &'a ValueKinds,
    /// What a real is between, unless it is a NaN.
    pub ranges: Ranges,
    /// Where the buffers' addresses lie.
    pub table: Reg,
    /// The thread's scratch memory.
    pub scratch: Reg,
    /// The buffers' addresses, loaded at first.
    pub pointers: Vec<Reg>,
    /// Sizes of all axes of the pass: vector, outer, sequential.
    pub sizes: Vec<usize>,
    /// How many outer axes there are.
    pub outer_axes: usize,
    /// The current index of each axis (of the vector axis: of the first lane); `None` outside its loop.
    pub indices: Vec<Option<Axis>>,
    /// The registers of the values that are defined here.
    pub values: Vec<Option<Reg>>,
    /// The address of the product's row, from which the vector index counts.
    pub product: Option<Reg>,
    /// Bytes of the scratch memory from kept row to kept row.
    pub kept_stride: i64,
    scopes: Vec<Vec<(Computed, Reg)>>,
}

impl<'a> Emitter<'a> {
    /// Begins a function; all buffers' addresses are loaded.
    pub fn new(width: Width, buffers: &'a [Buffer], kinds: &'a ValueKinds) -> Emitter<'a> {
        let mut code = Code::new(width);
        let (table, scratch) = (code.word(), code.word());
        let pointers = (0..buffers.len())
            .map(|i| code.to_word(|d| Step::Load(d, Place::at(table, 8 * i as i32))))
            .collect();
        Emitter {
            code,
            buffers,
            kinds,
            ranges: Ranges::default(),
            table,
            scratch,
            pointers,
            sizes: vec![],
            outer_axes: 0,
            indices: vec![],
            values: vec![None; kinds.len()],
            product: None,
            kept_stride: 0,
            scopes: vec![],
        }
    }

    /// Lanes of a vector.
    pub fn lanes(&self) -> usize {
        self.code.width.lanes()
    }

    /// What is computed from here on is known until the scope is closed: it must run whenever what follows does.
    pub fn open(&mut self) {
        self.scopes.push(vec![]);
    }

    /// Forgets what the innermost scope has brought.
    pub fn close(&mut self) {
        self.scopes.pop();
    }

    pub(super) fn find(&self, computed: &Computed) -> Option<Reg> {
        let all = self.scopes.iter().rev().flatten();
        all.into_iter().find(|k| k.0 == *computed).map(|k| k.1)
    }

    pub(super) fn add(&mut self, computed: Computed, reg: Reg) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((computed, reg));
        }
    }

    /// A number as a word.
    pub fn number(&mut self, number: i64) -> Reg {
        self.code.to_word(|d| Step::Number(d, number))
    }

    /// A multiple of a word.
    pub fn scaled(&mut self, word: Reg, factor: i64) -> Reg {
        match factor {
            1 => word,
            f if f > 0 && f.count_ones() == 1 => {
                let bits = f.trailing_zeros() as u8;
                self.code.to_word(|d| Step::Shift(Shift::Left, d, word, bits))
            }
            f => self.code.to_word(|d| Step::MultiplyNumber(d, word, f)),
        }
    }

    /// The sum of two words.
    pub fn sum(&mut self, a: Option<Reg>, b: Reg) -> Reg {
        match a {
            Some(a) => self.code.to_word(|d| Step::Words(WordOperation::Add, d, a, b)),
            None => b,
        }
    }

    /// A word plus a number.
    pub fn plus(&mut self, word: Option<Reg>, constant: i64) -> Reg {
        match word {
            None => self.number(constant),
            Some(word) if constant == 0 => word,
            Some(word) => self.code.to_word(|d| Step::AddNumber(d, word, constant)),
        }
    }

    /// The lesser of a word and a number.
    pub fn least(&mut self, a: Reg, b: i64) -> Reg {
        let b = self.number(b);
        self.code.to_word(|d| Step::Words(WordOperation::Least, d, a, b))
    }

    /// The same, computed once as long as its scope is open.
    pub(super) fn multiple(&mut self, word: Reg, factor: i64) -> Reg {
        let computed = Computed::Multiple(word, factor);
        if let Some(found) = self.find(&computed) {
            return found;
        }
        let multiple = self.scaled(word, factor);
        self.add(computed, multiple);
        multiple
    }

    /// An index as one word.
    pub fn whole(&mut self, axis: Axis) -> Reg {
        self.plus(axis.word, axis.constant)
    }

    /// `⌊value / divide⌋`, where the value is from `low` to `high`.
    pub fn divided(&mut self, value: Reg, divide: i64, (low, high): (i64, i64)) -> Result<Reg, Unsupported> {
        if divide.count_ones() == 1 {
            return Ok(match divide.trailing_zeros() as u8 {
                0 => value,
                bits => self
                    .code
                    .to_word(|d| Step::Shift(Shift::RightArithmetic, d, value, bits)),
            });
        }
        // Moved up by whole multiples, so that it is never negative.
        let moved = low.min(0).div_euclid(divide);
        let positive = self.plus(Some(value), -moved * divide);
        if high - moved * divide >= 1 << 31 {
            return Err(Unsupported);
        }
        let (factor, bits) = reciprocal(divide);
        let product = self.code.to_word(|d| Step::MultiplyNumber(d, positive, factor));
        let quotient = self.code.to_word(|d| Step::Shift(Shift::Right, d, product, bits));
        Ok(self.plus(Some(quotient), moved))
    }

    /// `value mod by`, never negative.
    pub(super) fn remainder(&mut self, value: Reg, by: i64, range: (i64, i64)) -> Result<Reg, Unsupported> {
        if by.count_ones() == 1 {
            return Ok(self.code.to_word(|d| Step::AndNumber(d, value, by - 1)));
        }
        let quotient = self.divided(value, by, range)?;
        let product = self.scaled(quotient, by);
        Ok(self
            .code
            .to_word(|d| Step::Words(WordOperation::Subtract, d, value, product)))
    }

    /// The indices of a row-major number, each below its size.
    pub fn unravel(&mut self, number: Reg, sizes: &[usize]) -> Result<Vec<Axis>, Unsupported> {
        let mut rest = number;
        let mut indices = vec![];
        for (at, &size) in sizes.iter().enumerate().rev() {
            if size == 1 {
                indices.push(Axis::known(0));
            } else if sizes[..at].iter().all(|s| *s == 1) {
                indices.push(Axis::of(rest));
            } else {
                let most = sizes[..=at].iter().product::<usize>() as i64 - 1;
                let quotient = self.divided(rest, size as i64, (0, most))?;
                let product = self.scaled(quotient, size as i64);
                let index = self
                    .code
                    .to_word(|d| Step::Words(WordOperation::Subtract, d, rest, product));
                indices.push(Axis::of(index));
                rest = quotient;
            }
        }
        indices.reverse();
        Ok(indices)
    }
}
