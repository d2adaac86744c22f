//! One instruction of a body for one vector. Reals and integers are vectors, masks are mask registers or vectors; what
//! is the same for the whole row is the same in every lane. It knows nothing of loops.

use super::code::*;
use super::emitter::{Emitter, Unsupported, WORD};
use super::encode_vector::{Width, op};
use crate::codegen::analysis::{Levels, Reduction};
use crate::codegen::interpret::{neutral, one_bits};
use crate::codegen::scale::{Vectors, in_two_factors};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

/// Less, less or equal, and equal, without signalling.
const LESS: u8 = 0x11;
const LESS_EQUAL: u8 = 0x12;
const EQUAL: u8 = 0;

impl Emitter<'_> {
    /// The register of a value.
    pub fn value(&self, id: ValueId) -> Reg {
        self.values[id.0 as usize].expect("a verified value is defined before its uses")
    }

    /// Emits one instruction for the first `live` lanes from the current vector index on. Reductions are left to the loops.
    pub fn instruction(&mut self, define: &Define, levels: &Levels, live: usize) -> Result<(), Unsupported> {
        let value = match &define.instruction {
            Instruction::Constant(number) => self.code.even(number.to_bits()),
            Instruction::Integer(number) => self.code.even(*number as u32),
            Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            } => self.load(*buffer, at, guards, *fill, live)?,
            Instruction::Gather { buffer, at, ids } => {
                let even = ids.iter().all(|(id, _)| !levels.of(*id).vector);
                self.gather(*buffer, at, ids, even, live)?
            }
            Instruction::Index(at) => self.index_lanes(at)?,
            Instruction::Inside(guards) => match self.inside(guards)? {
                Some(mask) => mask,
                None => self.live_mask(self.lanes()),
            },
            Instruction::KeptLoad(row) => {
                let place = self.kept(*row)?;
                self.code.to_vector(|d| Step::VectorLoad(d, place, None))
            }
            Instruction::KeptStore(row, value) => {
                let place = self.kept(*row)?;
                self.code.push(Step::Store(place, self.value(*value), None));
                return Ok(());
            }
            Instruction::Arithmetic(function, arguments) => {
                let a = self.value(arguments[0]);
                let b = arguments.get(1).map_or(a, |b| self.value(*b));
                if *function == Arithmetic::ToInteger {
                    self.truncated(a, self.ranges.fits_integer(arguments[0]))
                } else {
                    self.arithmetic(*function, a, b)
                }
            }
            Instruction::ShiftLeft(value, by) => self.code.two(op::SHIFT_LEFT, self.value(*value), Some(*by)),
            Instruction::ShiftRight(value, by) => self.code.two(op::SHIFT_RIGHT, self.value(*value), Some(*by)),
            Instruction::MultiplyAdd(a, b, c) => {
                let [a, b, c] = [a, b, c].map(|v| self.value(*v));
                self.code.to_vector(|d| Step::MultiplyAdd(d, a, b, c))
            }
            Instruction::Select(mask, then, other) => {
                let [mask, then, other] = [mask, then, other].map(|v| self.value(*v));
                self.code.to_vector(|d| Step::Select(d, mask, then, other))
            }
            Instruction::Product => {
                let row = self.product.expect("a product stands in an epilogue");
                let place = self.moved(row, WORD, 0)?;
                self.code.to_vector(|d| Step::VectorLoad(d, place, None))
            }
            Instruction::Store { buffer, at, value } => {
                let stored = self.stored(*buffer, *value);
                return self.store(*buffer, at, stored, live);
            }
            Instruction::Reduce { .. } => return Ok(()),
        };
        self.values[define.value.0 as usize] = Some(value);
        Ok(())
    }

    /// What is written for a value: a mask becomes 0 and 1.
    fn stored(&mut self, buffer: BufferId, id: ValueId) -> Reg {
        let value = self.value(id);
        if self.kinds[id.0 as usize] != Some(ValueKind::Mask) {
            return value;
        }
        let one = one_bits(self.buffers[buffer.0 as usize].storage);
        let (one, zero) = (self.code.even(one), self.code.even(0));
        self.code.to_vector(|d| Step::Select(d, value, one, zero))
    }

    /// The place of a kept row's element at the first lane. Rows have room for whole vectors.
    fn kept(&mut self, row: u32) -> Result<Place, Unsupported> {
        let bytes = i64::from(row) * self.kept_stride;
        self.moved(self.scratch, WORD, bytes)
    }

    /// A function of one or two vectors or masks.
    pub fn arithmetic(&mut self, function: Arithmetic, a: Reg, b: Reg) -> Reg {
        let code = &mut self.code;
        let round = match code.has_masks() {
            true => op::ROUND_SCALE,
            false => op::ROUND,
        };
        match function {
            Arithmetic::Add => code.three(op::ADD, a, b),
            Arithmetic::Subtract => code.three(op::SUBTRACT, a, b),
            Arithmetic::Multiply => code.three(op::MULTIPLY, a, b),
            Arithmetic::Divide => self.divide(a, b),
            // The instruction gives its second operand unless the first is less (greater): also if one is a NaN.
            Arithmetic::Minimum => code.three(op::MINIMUM, b, a),
            Arithmetic::Maximum => code.three(op::MAXIMUM, b, a),
            Arithmetic::Negate => {
                let sign = code.even(0x8000_0000);
                code.three(op::XOR, a, sign)
            }
            Arithmetic::Absolute => {
                let rest = code.even(0x7fff_ffff);
                code.three(op::AND, a, rest)
            }
            Arithmetic::SquareRoot => code.two(op::SQUARE_ROOT, a, None),
            Arithmetic::Scale if code.has_masks() => code.three(op::SCALE, a, b),
            Arithmetic::Scale => in_two_factors(self, a, b),
            Arithmetic::Nearest => code.two(round, a, Some(8)),
            Arithmetic::Floor => code.two(round, a, Some(9)),
            Arithmetic::Less => code.compare(a, b, LESS),
            Arithmetic::LessEqual => code.compare(a, b, LESS_EQUAL),
            Arithmetic::Equal => code.compare(a, b, EQUAL),
            Arithmetic::And => self.masks(MaskOperation::And, a, b),
            Arithmetic::Or => self.masks(MaskOperation::Or, a, b),
            Arithmetic::Not => self.not(a),
            Arithmetic::BitAnd => code.three(op::AND, a, b),
            Arithmetic::BitOr => code.three(op::OR, a, b),
            Arithmetic::BitXor => code.three(op::XOR, a, b),
            Arithmetic::IntegerAdd => code.three(op::INTEGER_ADD, a, b),
            Arithmetic::IntegerSubtract => code.three(op::INTEGER_SUBTRACT, a, b),
            Arithmetic::IntegerMultiply => code.three(op::INTEGER_MULTIPLY, a, b),
            Arithmetic::IntegerEqual => self.integers_equal(a, b),
            Arithmetic::ToReal => code.two(op::TO_REAL, a, None),
            Arithmetic::ToInteger => self.truncated(a, false),
            Arithmetic::RealBits | Arithmetic::IntegerBits => a,
        }
    }

    /// A quotient. Of a power of two, which is exact as a product with its inverse.
    fn divide(&mut self, a: Reg, b: Reg) -> Reg {
        let known = self.code.known.iter().find(|k| *k.1 == b).map(|k| *k.0);
        if let Some(Known::Even(bits)) = known {
            let exponent = bits >> 23 & 0xff;
            // Both it and its inverse are normal numbers.
            if bits & 0x007f_ffff == 0 && (1..=252).contains(&exponent) {
                let inverse = (bits & 0x8000_0000) | (254 - exponent) << 23;
                let inverse = self.code.even(inverse);
                return self.code.three(op::MULTIPLY, a, inverse);
            }
        }
        self.code.three(op::DIVIDE, a, b)
    }

    /// Towards zero; NaN gives 0, and what does not `fit` the nearest bound.
    fn truncated(&mut self, a: Reg, fits: bool) -> Reg {
        let mut converted = self.code.two(op::TO_INTEGER, a, None);
        let zero = self.code.even(0);
        if !fits {
            // The instruction gives the least i32 for what does not fit.
            let bound = self.code.even(2_147_483_648f32.to_bits());
            let most = self.code.even(i32::MAX as u32);
            let above = self.code.compare(bound, a, LESS_EQUAL);
            converted = self.code.to_vector(|d| Step::Select(d, above, most, converted));
        }
        let number = self.code.compare(a, a, EQUAL);
        self.code.to_vector(|d| Step::Select(d, number, converted, zero))
    }

    /// The neutral element of a reduction in every lane.
    pub fn neutral(&mut self, function: ReduceFunction) -> Reg {
        self.code.even(neutral(function).to_bits())
    }

    /// One step of a reduction, into a register.
    pub fn combine(&mut self, function: ReduceFunction, width: Width, to: Reg, so_far: Reg, element: Reg) {
        let step = match function {
            ReduceFunction::Sum => Step::Three(op::ADD, width, to, so_far, element, None),
            ReduceFunction::Product => Step::Three(op::MULTIPLY, width, to, so_far, element, None),
            ReduceFunction::Maximum => Step::Three(op::MAXIMUM, width, to, element, so_far, None),
            ReduceFunction::Minimum => Step::Three(op::MINIMUM, width, to, element, so_far, None),
        };
        self.code.push(step);
    }

    /// One step in the first `live` lanes; the others keep what they have.
    pub fn combine_lanes(&mut self, function: ReduceFunction, so_far: Reg, element: Reg, live: usize) {
        let width = self.code.width;
        if live == self.lanes() {
            return self.combine(function, width, so_far, so_far, element);
        }
        let combined = self.code.vector();
        self.combine(function, width, combined, so_far, element);
        let mask = self.live_mask(live);
        self.code.push(Step::Select(so_far, mask, combined, so_far));
    }

    /// The tree over the sixteen lanes of one or two vectors; the result in every lane.
    pub fn combine_tree(&mut self, reduction: &Reduction, lanes: &[Reg]) -> Reg {
        let function = reduction.function;
        let eight = match *lanes {
            [all] => {
                let upper = self
                    .code
                    .to_vector(|d| Step::Part(op::UPPER_HALF_512, Width::W512, d, all, 1));
                self.combined(function, Width::W256, all, upper)
            }
            [low, high] => self.combined(function, Width::W256, low, high),
            _ => unreachable!("sixteen lanes are one or two vectors"),
        };
        let upper = self.quad(eight, 1);
        let mut one = self.combined(function, Width::W128, eight, upper);
        // Lanes 2 and 3 to the front, then lane 1.
        for order in [0xee, 0x55] {
            let shuffled = self
                .code
                .to_vector(|d| Step::Three(op::SHUFFLE, Width::W128, d, one, one, Some(order)));
            one = self.combined(function, Width::W128, one, shuffled);
        }
        self.code.two(op::SPREAD_FIRST, one, None)
    }

    fn combined(&mut self, function: ReduceFunction, width: Width, a: Reg, b: Reg) -> Reg {
        let to = self.code.vector();
        self.combine(function, width, to, a, b);
        to
    }
}

impl Vectors for Emitter<'_> {
    type Vector = Reg;

    fn even_bits(&mut self, bits: u32) -> Reg {
        self.code.even(bits)
    }
    fn calculated(&mut self, function: Arithmetic, a: Reg, b: Reg) -> Reg {
        self.arithmetic(function, a, b)
    }
    fn whole(&mut self, a: Reg) -> Reg {
        self.truncated(a, true)
    }
    fn left(&mut self, a: Reg, by: u8) -> Reg {
        self.code.two(op::SHIFT_LEFT, a, Some(by))
    }
    fn right(&mut self, a: Reg, by: u8) -> Reg {
        self.code.two(op::SHIFT_RIGHT, a, Some(by))
    }
}
