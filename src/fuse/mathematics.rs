//! Expands functions into arithmetic that every emitter computes to the same bits: our own polynomials, never a library's.
//! Each states where its coefficients come from; the tests sweep all of them against float64.

use crate::ir::kernel::Arithmetic;

/// What an expansion is written with: a kernel's body, or plain f32 in the tests.
pub trait Code {
    /// A value.
    type Value: Copy;
    /// An f32.
    fn real(&mut self, value: f32) -> Self::Value;
    /// An i32.
    fn integer(&mut self, value: i32) -> Self::Value;
    /// Of one value.
    fn one(&mut self, function: Arithmetic, a: Self::Value) -> Self::Value;
    /// Of two.
    fn two(&mut self, function: Arithmetic, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a · b + c`, rounded once.
    fn multiply_add(&mut self, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;
    /// Mask, then, else.
    fn select(&mut self, mask: Self::Value, then: Self::Value, otherwise: Self::Value) -> Self::Value;
    /// I32 shifted left.
    fn shift_left(&mut self, a: Self::Value, by: u8) -> Self::Value;
    /// I32 shifted right, zeros coming in.
    fn shift_right(&mut self, a: Self::Value, by: u8) -> Self::Value;
}

use Arithmetic::*;

/// Horner's rule, highest coefficient first.
pub(super) fn polynomial<C: Code>(code: &mut C, x: C::Value, coefficients: &[f32]) -> C::Value {
    let mut sum = code.real(coefficients[0]);
    for &c in &coefficients[1..] {
        let c = code.real(c);
        sum = code.multiply_add(sum, x, c);
    }
    sum
}

/// `fma(a, constant, c)`.
pub(super) fn multiply_add_constant<C: Code>(code: &mut C, a: C::Value, b: f32, c: C::Value) -> C::Value {
    let b = code.real(b);
    code.multiply_add(a, b, c)
}

/// The coefficients of eʳ - 1 on |r| ≤ ln 2 / 2 from r⁶ to r², fitted to its least relative error; that of r is 1.
const EXPONENTIAL: [f32; 5] = [
    1.388_248_6e-3,
    8.366_597e-3,
    4.166_720_4e-2,
    1.666_654_3e-1,
    4.999_999_7e-1,
];

/// eʳ on |r| ≤ ln 2 / 2.
fn near_one<C: Code>(code: &mut C, r: C::Value) -> C::Value {
    let p = polynomial(code, r, &EXPONENTIAL);
    let one = code.real(1.0);
    let p = code.multiply_add(p, r, one);
    code.multiply_add(p, r, one)
}

/// eˣ: `x = n·ln 2 + r`, a polynomial of degree 6 on |r| ≤ ln 2 / 2, times 2ⁿ, so that results that are subnormal are
/// rounded once. What is 0 is a multiple of 0: x86 spends a hundred cycles on a product that underflows, and half of a
/// causal softmax is e to the minus infinity.
pub fn exponential<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let (least, most, zero) = (code.real(-104.0), code.real(89.0), code.real(0.0));
    let vanishes = code.two(LessEqual, x, least);
    let x = code.two(Maximum, x, least);
    let x = code.two(Minimum, x, most);
    let scale = code.real(std::f32::consts::LOG2_E);
    let n = code.two(Multiply, x, scale);
    let n = code.one(Nearest, n);
    let r = multiply_add_constant(code, n, -0.693_359_4, x);
    let r = multiply_add_constant(code, n, 2.121_944_4e-4, r);
    let y = near_one(code, r);
    let y = code.select(vanishes, zero, y);
    code.two(Scale, y, n)
}

/// Takes `x > 0` apart: the exponent as a number and the significand in [√½, √2). Subnormal numbers are scaled first.
pub(super) fn parted<C: Code>(code: &mut C, x: C::Value) -> (C::Value, C::Value) {
    let (least, scale) = (code.real(f32::MIN_POSITIVE), code.real(8_388_608.0));
    let small = code.two(Less, x, least);
    let scaled = code.two(Multiply, x, scale);
    let x = code.select(small, scaled, x);
    let bits = code.one(RealBits, x);
    let root_half = code.integer(0x3f35_04f3);
    let bias = code.integer(0x3f80_0000 - 0x3f35_04f3);
    let shifted = code.two(IntegerAdd, bits, bias);
    let exponent = code.shift_right(shifted, 23);
    let exponent = code.one(ToReal, exponent);
    let (usual, lower) = (code.real(127.0), code.real(150.0));
    let less = code.select(small, lower, usual);
    let exponent = code.two(Subtract, exponent, less);
    let mask = code.integer(0x007f_ffff);
    let fraction = code.two(BitAnd, shifted, mask);
    let fraction = code.two(IntegerAdd, fraction, root_half);
    (exponent, code.one(IntegerBits, fraction))
}

/// The natural logarithm: Cephes' `logf` (S. Moshier) on the significand, ln 2 in two parts.
pub fn logarithm<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let (exponent, significand) = parted(code, x);
    let one = code.real(1.0);
    let f = code.two(Subtract, significand, one);
    let square = code.two(Multiply, f, f);
    let p = polynomial(
        code,
        f,
        &[
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_84e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let cube = code.two(Multiply, square, f);
    let y = code.two(Multiply, p, cube);
    let y = multiply_add_constant(code, exponent, -2.121_944_4e-4, y);
    let y = multiply_add_constant(code, square, -0.5, y);
    let y = code.two(Add, f, y);
    let y = multiply_add_constant(code, exponent, 0.693_359_4, y);
    let (zero, infinity) = (code.real(0.0), code.real(f32::INFINITY));
    let (lowest, none) = (code.real(f32::NEG_INFINITY), code.real(f32::NAN));
    let positive = code.two(Less, zero, x);
    let is_zero = code.two(Equal, x, zero);
    let other = code.select(is_zero, lowest, none);
    let y = code.select(positive, y, other);
    let finite = code.two(Less, x, infinity);
    let is_infinite = code.two(Equal, x, infinity);
    let beyond = code.select(is_infinite, infinity, y);
    code.select(finite, y, beyond)
}

/// The hyperbolic tangent of x as `w = q / (q + 2)` of `q = e^2|x| - 1`: `2|x| = n·ln 2 + r`, and `q = 2ⁿ p + (2ⁿ - 1)` where
/// `p = e^r - 1` is a polynomial of degree 6. Below 0.34, where n is 0, errors
/// of the quotient count less in `q/2 - q/2 · w`, which is the same. From 9.02 on the result is 1.
pub fn hyperbolic_tangent<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let size = code.one(Absolute, x);
    let most = code.real(9.02);
    let size = code.two(Minimum, size, most);
    let twice = code.two(Add, size, size);
    // The last bits of a number near 1.5·2²³ are a whole number.
    const SHIFT: f32 = 12_582_912.0;
    let (scale, shift) = (code.real(std::f32::consts::LOG2_E), code.real(SHIFT));
    let shifted = code.multiply_add(twice, scale, shift);
    let n = code.two(Subtract, shifted, shift);
    let r = multiply_add_constant(code, n, -0.693_359_4, twice);
    let r = multiply_add_constant(code, n, 2.121_944_4e-4, r);
    let p = polynomial(code, r, &EXPONENTIAL);
    let square = code.two(Multiply, r, r);
    let p = code.multiply_add(p, square, r);
    let (one, two, one_bits) = (code.real(1.0), code.real(2.0), code.integer(0x3f80_0000));
    let bits = code.one(RealBits, shifted);
    let bits = code.shift_left(bits, 23);
    let bits = code.two(IntegerAdd, bits, one_bits);
    let power = code.one(IntegerBits, bits);
    let less = code.two(Subtract, power, one);
    let q = code.multiply_add(p, power, less);
    let below = code.two(Add, q, two);
    let w = code.two(Divide, q, below);
    let half = code.real(0.5);
    let half = code.two(Multiply, q, half);
    let minus_half = code.one(Negate, half);
    let near = code.multiply_add(minus_half, w, half);
    let limit = code.real(0.34);
    let is_near = code.two(Less, size, limit);
    let result = code.select(is_near, near, w);
    with_sign(code, result, x)
}

/// The logistic function as `e^x / (1 + e^x)`: `x = n·ln 2 + r` with ln 2 as one f32, for what that is off counts only far
/// out (an error of 4 steps at -87, 1 within 10). 1 from 17 on.
pub fn sigmoid<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let (least, most) = (code.real(-104.0), code.real(88.0));
    let x = code.two(Maximum, x, least);
    let x = code.two(Minimum, x, most);
    let scale = code.real(std::f32::consts::LOG2_E);
    let n = code.two(Multiply, x, scale);
    let n = code.one(Nearest, n);
    let r = multiply_add_constant(code, n, -std::f32::consts::LN_2, x);
    let p = near_one(code, r);
    let e = code.two(Scale, p, n);
    let one = code.real(1.0);
    let below = code.two(Add, e, one);
    code.two(Divide, e, below)
}

/// A number that is not negative with the sign of another.
pub(super) fn with_sign<C: Code>(code: &mut C, size: C::Value, sign: C::Value) -> C::Value {
    let mask = code.integer(i32::MIN);
    let sign = code.one(RealBits, sign);
    let sign = code.two(BitAnd, sign, mask);
    let bits = code.one(RealBits, size);
    let bits = code.two(BitOr, bits, sign);
    code.one(IntegerBits, bits)
}

/// The error function: x times a quotient of polynomials of x², fitted to the least relative error up to 3.98, from where
/// on the result is 1. Off by up to 5 steps.
pub fn error_function<C: Code>(code: &mut C, x: C::Value) -> C::Value {
    let (least, most) = (code.real(-3.98), code.real(3.98));
    let x = code.two(Maximum, x, least);
    let x = code.two(Minimum, x, most);
    let square = code.two(Multiply, x, x);
    let above = polynomial(
        code,
        square,
        &[
            2.306_282_3e-4,
            3.670_466_1e-3,
            5.178_491_4e-2,
            1.921_274_4e-1,
            std::f32::consts::FRAC_2_SQRT_PI,
        ],
    );
    let below = polynomial(
        code,
        square,
        &[
            -1.088_543_94e-7,
            2.289_908_1e-5,
            1.071_278_2e-3,
            1.461_384_1e-2,
            1.137_647_85e-1,
            5.036_011_3e-1,
            1.0,
        ],
    );
    let above = code.two(Multiply, x, above);
    let y = code.two(Divide, above, below);
    let (least, most) = (code.real(-1.0), code.real(1.0));
    let y = code.two(Maximum, y, least);
    code.two(Minimum, y, most)
}

/// Sine, or cosine: `x = n·π/2 + r` with π/2 in three parts (exact enough below 10⁵), one polynomial for each quarter.
pub fn sine<C: Code>(code: &mut C, x: C::Value, cosine: bool) -> C::Value {
    let scale = code.real(std::f32::consts::FRAC_2_PI);
    let n = code.two(Multiply, x, scale);
    let n = code.one(Nearest, n);
    let r = multiply_add_constant(code, n, -f32::from_bits(0x3fc9_0fd8), x);
    let r = multiply_add_constant(code, n, -3.139_164_7e-7, r);
    let r = multiply_add_constant(code, n, -5.390_302_5e-15, r);
    let square = code.two(Multiply, r, r);
    let p = polynomial(
        code,
        square,
        &[2.865_679_6e-6, -1.985_599_2e-4, 8.333_386e-3, -1.666_666_7e-1],
    );
    let cube = code.two(Multiply, r, square);
    let odd = code.multiply_add(p, cube, r);
    let even = polynomial(
        code,
        square,
        &[2.446_770_7e-5, -1.388_773e-3, 4.166_666_6e-2, -0.5, 1.0],
    );
    let mut quarter = code.one(ToInteger, n);
    if cosine {
        let one = code.integer(1);
        quarter = code.two(IntegerAdd, quarter, one);
    }
    let (low, high, zero) = (code.integer(1), code.integer(2), code.integer(0));
    let swap = code.two(BitAnd, quarter, low);
    let is_odd = code.two(IntegerEqual, swap, zero);
    let y = code.select(is_odd, odd, even);
    let negate = code.two(BitAnd, quarter, high);
    let sign = code.shift_left(negate, 30);
    let bits = code.one(RealBits, y);
    let bits = code.two(BitXor, bits, sign);
    code.one(IntegerBits, bits)
}
