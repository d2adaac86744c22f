//! Numbers of 16 bits in arithmetic of 32: the nearest bfloat16 or binary16, and their bits from and to binary32.

use super::mathematics::Code;
use crate::ir::kernel::Arithmetic::*;

/// The nearest number whose last `dropped` bits are 0, ties to even. Of a NaN nothing is promised.
fn shortened<C: Code>(code: &mut C, x: C::Value, dropped: u8) -> C::Value {
    let bits = code.one(RealBits, x);
    let last = code.shift_right(bits, dropped);
    let one = code.integer(1);
    let odd = code.two(BitAnd, last, one);
    let below_half = code.integer((1 << (dropped - 1)) - 1);
    let bits = code.two(IntegerAdd, bits, below_half);
    let bits = code.two(IntegerAdd, bits, odd);
    let mask = code.integer(-1 << dropped);
    let bits = code.two(BitAnd, bits, mask);
    code.one(IntegerBits, bits)
}

/// The same NaN for every NaN: one that has its bits also in 16.
fn numbers_only<C: Code>(code: &mut C, x: C::Value, rounded: C::Value) -> C::Value {
    let (number, other) = (code.two(Equal, x, x), code.integer(0x7fc0_0000));
    // As bits: kernels that hold a NaN would not be equal to themselves.
    let other = code.one(IntegerBits, other);
    code.select(number, rounded, other)
}

/// The nearest bfloat16, ties to even: binary32 without its last 16 bits.
pub fn round_bf16<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let short = shortened(code, x, 16);
    numbers_only(code, x, short)
}

/// The nearest binary16, ties to even. Below 2⁻¹⁴ its numbers are multiples of 2⁻²⁴; from 65520 on it is infinite.
pub fn round_f16<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let short = shortened(code, x, 13);
    let (up, down) = (code.real(16_777_216.0), code.real(1.0 / 16_777_216.0));
    let units = code.two(Multiply, x, up);
    let units = code.one(Nearest, units);
    let small = code.two(Multiply, units, down);
    let size = code.one(Absolute, x);
    let (normal, beyond, infinity) = (code.real(1.0 / 16_384.0), code.real(65_520.0), code.real(f32::INFINITY));
    let is_small = code.two(Less, size, normal);
    let rounded = code.select(is_small, small, short);
    let infinite = code.two(Multiply, x, infinity);
    let is_beyond = code.two(LessEqual, beyond, size);
    let rounded = code.select(is_beyond, infinite, rounded);
    numbers_only(code, x, rounded)
}

/// The bits of a bfloat16 that a binary32 is.
pub fn narrowed_bf16<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let bits = code.one(RealBits, x);
    code.shift_right(bits, 16)
}

/// The other way.
pub fn widened_bf16<C: Code>(code: &mut C, bits: C::Value) -> C::Value {
    let bits = code.shift_left(bits, 16);
    code.one(IntegerBits, bits)
}

/// The bits of a binary16 that a binary32 is. Times 2⁻¹¹², which is exact, fraction and exponent have the bits that they
/// have there, and an infinity or a NaN has ones above them.
pub fn narrowed_f16<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let (size, scale) = (code.one(Absolute, x), code.real(f32::from_bits((127 - 112) << 23)));
    let size = code.two(Multiply, size, scale);
    let size = code.one(RealBits, size);
    let size = code.shift_right(size, 13);
    let rest = code.integer(0x7fff);
    let size = code.two(BitAnd, size, rest);
    let sign = code.one(RealBits, x);
    let sign = code.shift_right(sign, 31);
    let sign = code.shift_left(sign, 15);
    code.two(BitOr, size, sign)
}

/// The other way; what would be 2¹⁶ or more is an infinity or a NaN.
pub fn widened_f16<C: Code>(code: &mut C, bits: C::Value) -> C::Value {
    let (rest, scale) = (code.integer(0x7fff << 13), code.real(f32::from_bits((127 + 112) << 23)));
    let size = code.shift_left(bits, 13);
    let size = code.two(BitAnd, size, rest);
    let size = code.one(IntegerBits, size);
    let size = code.two(Multiply, size, scale);
    let (least, exponent) = (code.real(65_536.0), code.integer(0x7f80_0000));
    let is_beyond = code.two(LessEqual, least, size);
    let size = code.one(RealBits, size);
    let beyond = code.two(BitOr, size, exponent);
    let size = code.select(is_beyond, beyond, size);
    let sign = code.shift_right(bits, 15);
    let sign = code.shift_left(sign, 31);
    let bits = code.two(BitOr, size, sign);
    code.one(IntegerBits, bits)
}
