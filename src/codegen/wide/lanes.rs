//! Positions and guards whose lanes differ: as vectors of i32 and as masks. It reads and writes no memory.

use super::code::*;
use super::emitter::{Computed, Emitter, Unsupported};
use super::encode_vector::op;
use crate::codegen::analysis::{guards_vary, lane_step, reciprocal};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::kernel::VECTOR_AXIS;

/// Positions that are vectors stay this far from the ends of i32.
const REACH: i64 = 1 << 30;

impl Emitter<'_> {
    /// Both masks.
    pub fn both(&mut self, a: Option<Reg>, b: Reg) -> Reg {
        match a {
            None => b,
            Some(a) => self.masks(MaskOperation::And, a, b),
        }
    }

    /// Two masks.
    pub fn masks(&mut self, operation: MaskOperation, a: Reg, b: Reg) -> Reg {
        if self.code.has_masks() {
            return self.code.to_mask(|d| Step::Masks(operation, d, a, b));
        }
        let op = match operation {
            MaskOperation::And => op::AND,
            MaskOperation::Or => op::OR,
        };
        self.code.three(op, a, b)
    }

    /// The other lanes.
    pub fn not(&mut self, mask: Reg) -> Reg {
        if self.code.has_masks() {
            return self.code.to_mask(|d| Step::MaskNot(d, mask));
        }
        let ones = self.code.even(u32::MAX);
        self.code.three(op::XOR, mask, ones)
    }

    /// Lanes in which two i32 are equal.
    pub fn integers_equal(&mut self, a: Reg, b: Reg) -> Reg {
        let width = self.code.width;
        if self.code.has_masks() {
            return self
                .code
                .to_mask(|d| Step::Three(op::INTEGER_COMPARE_MASK, width, d, a, b, Some(0)));
        }
        self.code.three(op::INTEGER_EQUAL, a, b)
    }

    /// All lanes, or the first few.
    pub fn live_mask(&mut self, live: usize) -> Reg {
        if self.code.has_masks() {
            return self.code.to_mask(|d| Step::MaskLive(d, live as u8));
        }
        self.code.known(Known::Live(live as u8))
    }

    /// Whether guards that may differ from lane to lane hold; `None` if they always do.
    pub fn inside(&mut self, guards: &[Guard]) -> Result<Option<Reg>, Unsupported> {
        let asked: Vec<Guard> = guards.iter().filter(|g| !self.always(g)).cloned().collect();
        let (of_lanes, even): (Vec<Guard>, Vec<Guard>) = asked
            .into_iter()
            .partition(|guard| guards_vary(std::slice::from_ref(guard), usize::MAX).vector);
        let mut mask = self.even_mask(even)?;
        for guard in &of_lanes {
            let holds = self.guard_lanes(guard)?;
            mask = Some(self.both(mask, holds));
        }
        Ok(mask)
    }

    /// Whether guards hold that are the same in all lanes, none of which always does; once for all that ask.
    fn even_mask(&mut self, guards: Vec<Guard>) -> Result<Option<Reg>, Unsupported> {
        let mut all = None;
        for guard in &guards {
            let truth = self.guard(guard)?.expect("it may not hold");
            all = Some(match all {
                None => truth,
                Some(before) => self.code.to_word(|d| Step::Words(WordOperation::And, d, before, truth)),
            });
        }
        let Some(word) = all else { return Ok(None) };
        let computed = Computed::EvenMask(guards);
        if let Some(known) = self.find(&computed) {
            return Ok(Some(known));
        }
        let mask = self.code.to_mask(|d| Step::MaskWord(d, word));
        self.add(computed, mask);
        Ok(Some(mask))
    }

    fn guard_lanes(&mut self, guard: &Guard) -> Result<Reg, Unsupported> {
        match guard {
            Guard::Within { of, low, high } => {
                let value = self.index_lanes(of)?;
                let (low, high) = ((*low).max(-REACH * 2 + 1), (*high).min(REACH * 2 - 1));
                self.between(value, low, high)
            }
            Guard::Divisible { of, by } => {
                let value = self.affine_lanes(of)?;
                let rest = self.remainder_lanes(value, *by, of.range(&self.sizes));
                let zero = self.code.even(0);
                Ok(self.integers_equal(rest, zero))
            }
        }
    }

    fn between(&mut self, value: Reg, low: i64, high: i64) -> Result<Reg, Unsupported> {
        let width = self.code.width;
        if !self.code.has_masks() {
            let (below, high) = (self.code.even((low - 1) as u32), self.code.even(high as u32));
            let not_below = self.code.three(op::INTEGER_GREATER, value, below);
            let below = self.code.three(op::INTEGER_GREATER, high, value);
            return Ok(self.both(Some(not_below), below));
        }
        let (low, high) = (self.code.even(low as u32), self.code.even(high as u32));
        // Not less; less.
        let mut compare = |bound, predicate| {
            self.code
                .to_mask(|d| Step::Three(op::INTEGER_COMPARE_MASK, width, d, value, bound, Some(predicate)))
        };
        let (not_below, below) = (compare(low, 5), compare(high, 1));
        Ok(self.both(Some(not_below), below))
    }

    /// A position as i32 in every lane.
    pub fn index_lanes(&mut self, at: &Position) -> Result<Reg, Unsupported> {
        let (low, high) = at.range(&self.sizes);
        if low < -REACH || high > REACH {
            return Err(Unsupported);
        }
        if let Some(step) = lane_step(at, self.lanes() as i64) {
            let first = self.position(at)?;
            return Ok(self.steps_from(first, step));
        }
        let mut still = at.clone();
        still.digits.retain(|d| d.of.coefficient(VECTOR_AXIS) == 0);
        let first = self.position(&still)?;
        let sum = self.steps_from(first, at.affine.coefficient(VECTOR_AXIS));
        self.plus_digit_lanes(sum, at)
    }

    /// A word in lane 0, and from lane to lane so much more.
    fn steps_from(&mut self, first: Reg, step: i64) -> Reg {
        let first = self.code.to_vector(|d| Step::SpreadWord(d, first));
        if step == 0 {
            return first;
        }
        let steps = self.code.known(Known::Steps(step as i32));
        self.code.three(op::INTEGER_ADD, first, steps)
    }

    /// Adds the digits of a position that move along the vector axis.
    pub fn plus_digit_lanes(&mut self, mut sum: Reg, at: &Position) -> Result<Reg, Unsupported> {
        let moves = |d: &&Digit| d.of.coefficient(VECTOR_AXIS) != 0 && d.coefficient != 0;
        for digit in at.digits.iter().filter(moves) {
            let value = self.digit_lanes(digit)?;
            let value = self.scaled_lanes(value, digit.coefficient);
            sum = self.code.three(op::INTEGER_ADD, sum, value);
        }
        Ok(sum)
    }

    /// A multiple of i32.
    pub fn scaled_lanes(&mut self, value: Reg, factor: i64) -> Reg {
        match factor {
            1 => value,
            f if f > 0 && f.count_ones() == 1 => self.code.two(op::SHIFT_LEFT, value, Some(f.trailing_zeros() as u8)),
            f => {
                let factor = self.code.even(f as u32);
                self.code.three(op::INTEGER_MULTIPLY, value, factor)
            }
        }
    }

    fn affine_lanes(&mut self, of: &Affine) -> Result<Reg, Unsupported> {
        self.index_lanes(&of.clone().into())
    }

    fn digit_lanes(&mut self, digit: &Digit) -> Result<Reg, Unsupported> {
        let of = self.affine_lanes(&digit.of)?;
        let (low, high) = digit.of.range(&self.sizes);
        let quotient = self.divided_lanes(of, digit.divide, low);
        let (low, high) = (low.div_euclid(digit.divide), high.div_euclid(digit.divide));
        Ok(match digit.modulo {
            Some(modulo) if low < 0 || high >= modulo => self.remainder_lanes(quotient, modulo, (low, high)),
            _ => quotient,
        })
    }

    /// `⌊value / divide⌋`, as [`Emitter::divided`], where values are at least `low`.
    fn divided_lanes(&mut self, value: Reg, divide: i64, low: i64) -> Reg {
        if divide.count_ones() == 1 {
            return match divide.trailing_zeros() as u8 {
                0 => value,
                bits => self.code.two(op::SHIFT_RIGHT_ARITHMETIC, value, Some(bits)),
            };
        }
        let moved = low.min(0).div_euclid(divide);
        let positive = self.plus_lanes(value, -moved * divide);
        let (factor, bits) = reciprocal(divide);
        let factor = self.code.even(factor as u32);
        let shift = Some(bits);
        let even = self.code.three(op::MULTIPLY_EVEN, positive, factor);
        let even = self.code.two(op::SHIFT_RIGHT_64, even, shift);
        let odd = self.code.two(op::SHIFT_RIGHT_64, positive, Some(32));
        let odd = self.code.three(op::MULTIPLY_EVEN, odd, factor);
        let odd = self.code.two(op::SHIFT_RIGHT_64, odd, shift);
        let odd = self.code.two(op::SHIFT_LEFT_64, odd, Some(32));
        let quotient = self.code.three(op::OR, even, odd);
        self.plus_lanes(quotient, moved)
    }

    fn plus_lanes(&mut self, value: Reg, number: i64) -> Reg {
        if number == 0 {
            return value;
        }
        let number = self.code.even(number as u32);
        self.code.three(op::INTEGER_ADD, value, number)
    }

    fn remainder_lanes(&mut self, value: Reg, by: i64, range: (i64, i64)) -> Reg {
        if by.count_ones() == 1 {
            let mask = self.code.even((by - 1) as u32);
            return self.code.three(op::AND, value, mask);
        }
        let quotient = self.divided_lanes(value, by, range.0);
        let product = self.scaled_lanes(quotient, by);
        self.code.three(op::INTEGER_SUBTRACT, value, product)
    }
}
