//! What all kernels of this emitter share: the state of a function under construction, and positions, guards and
//! addresses as words. It knows no kernel's structure.

use super::code::*;
use super::encode::{Condition, Shift};
use super::encode_vector::Width;
use crate::codegen::analysis::{
    Ranges, Varies, first_sequential, fixed, fixed_before, guards_vary, position_varies, reciprocal,
};
use crate::ir::affine::{Affine, Digit, Guard, Position};
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

    fn index(&self, axis: usize) -> Axis {
        self.indices[axis].expect("an axis is used inside its loop")
    }

    fn multiple(&mut self, word: Reg, factor: i64) -> Reg {
        let computed = Computed::Multiple(word, factor);
        if let Some(found) = self.find(&computed) {
            return found;
        }
        let multiple = self.scaled(word, factor);
        self.add(computed, multiple);
        multiple
    }

    /// `Σ factor · index` times `unit`: its changing part and its known one.
    fn terms<'t>(&mut self, terms: impl IntoIterator<Item = &'t (usize, i64)>, unit: i64) -> (Option<Reg>, i64) {
        let (mut sum, mut constant) = (None, 0);
        for &(axis, factor) in terms {
            let index = self.index(axis);
            constant += index.constant * factor * unit;
            if let Some(word) = index.word {
                let term = self.multiple(word, factor * unit);
                sum = Some(self.sum(sum, term));
            }
        }
        (sum, constant)
    }

    /// The value of an affine form at the current indices.
    fn affine(&mut self, affine: &Affine) -> Axis {
        let (word, constant) = self.terms(&affine.terms, 1);
        Axis {
            word,
            constant: constant + affine.constant,
        }
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
    fn remainder(&mut self, value: Reg, by: i64, range: (i64, i64)) -> Result<Reg, Unsupported> {
        if by.count_ones() == 1 {
            return Ok(self.code.to_word(|d| Step::AndNumber(d, value, by - 1)));
        }
        let quotient = self.divided(value, by, range)?;
        let product = self.scaled(quotient, by);
        Ok(self
            .code
            .to_word(|d| Step::Words(WordOperation::Subtract, d, value, product)))
    }

    /// A digit's value, without its coefficient.
    fn digit(&mut self, digit: &Digit) -> Result<Axis, Unsupported> {
        let of = self.affine(&digit.of);
        let Some(_) = of.word else {
            let quotient = of.constant.div_euclid(digit.divide);
            return Ok(Axis::known(digit.modulo.map_or(quotient, |m| quotient.rem_euclid(m))));
        };
        let plain = Digit {
            coefficient: 1,
            ..digit.clone()
        };
        let computed = Computed::Digit(plain, of);
        if let Some(value) = self.find(&computed) {
            return Ok(Axis::of(value));
        }
        // A vector's unused lanes may lie a little beyond.
        let (low, high) = digit.of.range(&self.sizes);
        let whole = self.whole(of);
        let quotient = self.divided(whole, digit.divide, (low, high))?;
        let (low, high) = (low.div_euclid(digit.divide), high.div_euclid(digit.divide));
        let value = match digit.modulo {
            Some(modulo) if low < 0 || high >= modulo => self.remainder(quotient, modulo, (low, high))?,
            _ => quotient,
        };
        self.add(computed, value);
        Ok(Axis::of(value))
    }

    /// The sum of some digits times `unit`: its changing part and its known one.
    fn digits<'d>(
        &mut self,
        digits: impl IntoIterator<Item = &'d Digit>,
        unit: i64,
    ) -> Result<(Option<Reg>, i64), Unsupported> {
        let (mut sum, mut constant) = (None, 0);
        for digit in digits.into_iter().filter(|d| d.coefficient != 0) {
            let value = self.digit(digit)?;
            constant += value.constant * digit.coefficient * unit;
            if let Some(word) = value.word {
                let word = self.scaled(word, digit.coefficient * unit);
                sum = Some(self.sum(sum, word));
            }
        }
        Ok((sum, constant))
    }

    /// The value of a position at the current indices.
    pub fn position(&mut self, at: &Position) -> Result<Reg, Unsupported> {
        let affine = self.affine(&at.affine);
        let (digits, constant) = self.digits(&at.digits, 1)?;
        let sum = match (affine.word, digits) {
            (Some(a), Some(b)) => Some(self.sum(Some(a), b)),
            (a, b) => a.or(b),
        };
        Ok(self.plus(sum, affine.constant + constant))
    }

    /// Computes once what does not move along the vector axis, for all instructions of a body that `wanted` names.
    pub fn prepare<'b>(
        &mut self,
        body: impl IntoIterator<Item = &'b Define>,
        wanted: impl Fn(Varies) -> bool,
    ) -> Result<(), Unsupported> {
        let sequential_from = first_sequential(self.outer_axes);
        for define in body {
            match &define.instruction {
                Instruction::Load { buffer, at, .. }
                | Instruction::Gather { buffer, at, .. }
                | Instruction::Store { buffer, at, .. } => {
                    let fixed = fixed(at);
                    if wanted(position_varies(&fixed, sequential_from)) {
                        self.fixed_pointer(*buffer, at)?;
                    } else {
                        let row = fixed_before(at, sequential_from);
                        self.fixed_pointer(*buffer, &row)?;
                    }
                }
                _ => {}
            }
            if let Instruction::Load { guards, .. } | Instruction::Inside(guards) = &define.instruction {
                for guard in guards {
                    let varies = guards_vary(std::slice::from_ref(guard), sequential_from);
                    if !varies.vector && wanted(varies) {
                        self.guard(guard)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Computes once what moves only along outer axes before `last`.
    pub fn prepare_before<'b>(
        &mut self,
        body: impl IntoIterator<Item = &'b Define>,
        last: usize,
    ) -> Result<(), Unsupported> {
        for define in body {
            if let Instruction::Load { buffer, at, .. }
            | Instruction::Gather { buffer, at, .. }
            | Instruction::Store { buffer, at, .. } = &define.instruction
            {
                self.fixed_pointer(*buffer, &fixed_before(at, last))?;
            }
            if let Instruction::Load { guards, .. } | Instruction::Inside(guards) = &define.instruction {
                for guard in guards {
                    let mut of = match guard {
                        Guard::Within { of, .. } => of.clone(),
                        Guard::Divisible { of, .. } => of.clone().into(),
                    };
                    of.affine.constant = 0;
                    if fixed_before(&of, last) == of {
                        self.guard(guard)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The address of a buffer's element at the part of a position that does not move along the vector axis (without the
    /// constant).
    pub fn fixed_pointer(&mut self, buffer: BufferId, at: &Position) -> Result<Reg, Unsupported> {
        let fixed = fixed(at);
        let computed = Computed::Pointer(buffer, fixed.clone());
        if let Some(pointer) = self.find(&computed) {
            return Ok(pointer);
        }
        let sequential_from = first_sequential(self.outer_axes);
        let mut rest = fixed.clone();
        let mut pointer = self.pointers[buffer.0 as usize];
        // A part of it may be known: that of the row, or that of its neighbours.
        for from in [sequential_from, self.outer_axes] {
            let part = fixed_before(at, from);
            if part == fixed || part == Position::default() {
                continue;
            }
            if let Some(found) = self.find(&Computed::Pointer(buffer, part)) {
                pointer = found;
                rest.affine.terms.retain(|t| t.0 >= from);
                rest.digits.retain(|d| d.of.terms.iter().any(|t| t.0 >= from));
                break;
            }
        }
        let stride = self.stride(buffer);
        let (affine, first) = self.terms(&rest.affine.terms, stride);
        let (digits, second) = self.digits(&rest.digits, stride)?;
        for bytes in [affine, digits].into_iter().flatten() {
            pointer = self.sum(Some(pointer), bytes);
        }
        pointer = self.plus(Some(pointer), first + second);
        self.add(computed, pointer);
        Ok(pointer)
    }

    /// Puts another pointer in its place, in the innermost scope.
    pub fn move_fixed_pointer(&mut self, buffer: BufferId, at: &Position, to: Reg) {
        let fixed = fixed(at);
        self.add(Computed::Pointer(buffer, fixed), to);
    }

    /// The place of a buffer's element at the current indices; of a vector, of its first lane.
    pub fn place(&mut self, buffer: BufferId, at: &Position) -> Result<Place, Unsupported> {
        let pointer = self.fixed_pointer(buffer, at)?;
        let moving = at.digits.iter().filter(|d| d.of.coefficient(VECTOR_AXIS) != 0);
        let stride = self.stride(buffer);
        let (digits, constant) = self.digits(moving, stride)?;
        let base = match digits {
            Some(bytes) => self.sum(Some(pointer), bytes),
            None => pointer,
        };
        let along = at.affine.coefficient(VECTOR_AXIS) * stride;
        self.moved(base, along, at.affine.constant * stride + constant)
    }

    /// Bytes of a buffer from element to element.
    pub fn stride(&self, buffer: BufferId) -> i64 {
        self.buffers[buffer.0 as usize].storage.stride() as i64
    }

    /// The place `along` times the vector index plus a constant from a pointer, in bytes.
    pub fn moved(&mut self, base: Reg, along: i64, constant: i64) -> Result<Place, Unsupported> {
        let mut place = Place::at(base, 0);
        let mut offset = constant;
        if along != 0 {
            let index = self.index(VECTOR_AXIS);
            offset += index.constant * along;
            place.index = match index.word {
                Some(word) if along == 4 => Some((word, 2)),
                Some(word) if along == 2 => Some((word, 1)),
                Some(word) => Some((self.multiple(word, along), 0)),
                None => None,
            };
        }
        match i32::try_from(offset) {
            Ok(offset) if offset < i32::MAX - 64 => place.offset = offset,
            _ => place.base = self.plus(Some(base), offset),
        }
        Ok(place)
    }

    /// Whether a guard that is the same in all lanes holds, as a word; `None` if it always does.
    pub fn guard(&mut self, guard: &Guard) -> Result<Option<Reg>, Unsupported> {
        if self.always(guard) {
            return Ok(None);
        }
        let computed = Computed::Truth(guard.clone(), Axis::known(0));
        if let Some(value) = self.find(&computed) {
            return Ok(Some(value));
        }
        let truth = match guard {
            Guard::Within { of, low, high } => {
                let mut above = of.clone();
                above.affine.constant -= low;
                let above = self.position(&above)?;
                let room = (high - low).max(0);
                self.code.to_word(|d| Step::Truth(Condition::Below, d, above, room))
            }
            Guard::Divisible { of, by } => {
                let value = self.affine(of);
                let value = self.whole(value);
                let rest = self.remainder(value, *by, of.range(&self.sizes))?;
                self.code.to_word(|d| Step::Truth(Condition::Equal, d, rest, 0))
            }
        };
        self.add(computed, truth);
        Ok(Some(truth))
    }

    /// Whether a guard holds wherever the pass goes.
    pub fn always(&self, guard: &Guard) -> bool {
        let Guard::Within { of, low, high } = guard else {
            return false;
        };
        let (least, greatest) = of.range(&self.sizes);
        least >= *low && greatest < *high
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
