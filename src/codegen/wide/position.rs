//! Positions and guards as words, from indices to addresses. What does not move along the vector axis, or only along
//! outer axes, is computed once.

use super::code::*;
use super::emitter::{Axis, Computed, Emitter, Unsupported};
use super::encode::Condition;
use crate::codegen::analysis::{Varies, first_sequential, fixed, fixed_before, guards_vary, position_varies};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::kernel::*;

impl Emitter<'_> {
    fn index(&self, axis: usize) -> Axis {
        self.indices[axis].expect("an axis is used inside its loop")
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
}
