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

/// Horner's rule, highest coefficient first.
fn polynomial<C: Code>(code: &mut C, x: C::Value, coefficients: &[f32]) -> C::Value {
    let mut sum = code.real(coefficients[0]);
    for &c in &coefficients[1..] {
        let c = code.real(c);
        sum = code.multiply_add(sum, x, c);
    }
    sum
}

/// `fma(a, constant, c)`.
fn multiply_add_constant<C: Code>(code: &mut C, a: C::Value, b: f32, c: C::Value) -> C::Value {
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
fn parted<C: Code>(code: &mut C, x: C::Value) -> (C::Value, C::Value) {
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
fn with_sign<C: Code>(code: &mut C, size: C::Value, sign: C::Value) -> C::Value {
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

/// Whether [`constant_power`] has a short form.
pub fn is_short_power(exponent: f64) -> bool {
    exponent.abs() == 0.5 || exponent == 1.5 || exponent.fract() == 0.0 && exponent.abs() <= 16.0
}

/// `x` to a constant power, where that is shorter than the general way.
pub fn constant_power<C: Code>(code: &mut C, x: C::Value, exponent: f64) -> Option<C::Value> {
    if !is_short_power(exponent) {
        return None;
    }
    let one = |code: &mut C| code.real(1.0);
    Some(match exponent {
        0.0 => one(code),
        0.5 => code.one(SquareRoot, x),
        -0.5 => {
            let (one, root) = (one(code), code.one(SquareRoot, x));
            code.two(Divide, one, root)
        }
        1.5 => {
            let root = code.one(SquareRoot, x);
            code.two(Multiply, x, root)
        }
        n => {
            let power = whole_power(code, x, n.abs() as u32);
            if n > 0.0 {
                return Some(power);
            }
            let one = one(code);
            code.two(Divide, one, power)
        }
    })
}

fn whole_power<C: Code>(code: &mut C, x: C::Value, n: u32) -> C::Value {
    if n == 1 {
        return x;
    }
    let root = whole_power(code, x, n / 2);
    let square = code.two(Multiply, root, root);
    if n % 2 == 1 {
        code.two(Multiply, square, x)
    } else {
        square
    }
}

/// `x` to the power `y` as IEEE 754 has it: `e^(y ln |x|)` with the logarithm in two numbers.
pub fn power<C: Code>(code: &mut C, x: C::Value, y: C::Value) -> C::Value {
    let size = code.one(Absolute, x);
    let (high, low) = wide_logarithm(code, size);
    let product = code.two(Multiply, high, y);
    let negative = code.one(Negate, product);
    let rest = code.multiply_add(high, y, negative);
    let rest = code.multiply_add(low, y, rest);
    let e = exponential(code, product);
    let corrected = code.multiply_add(e, rest, e);
    // Beyond the range of the exponential the correction is not a number or has no part in the result.
    let (zero, limit, infinity) = (code.real(0.0), code.real(100.0), code.real(f32::INFINITY));
    let far = code.one(Absolute, product);
    let near = code.two(Less, far, limit);
    let finite = code.two(Less, e, infinity);
    let near = code.two(And, near, finite);
    let e = code.select(near, corrected, e);
    let is_zero = code.two(Equal, size, zero);
    let is_infinite = code.two(Equal, size, infinity);
    let rising = code.two(Less, zero, y);
    let falling = code.two(Less, y, zero);
    let vanishes = select_mask(code, is_zero, rising, falling);
    let at_edge = code.select(vanishes, zero, infinity);
    let edge = code.two(Or, is_zero, is_infinite);
    let e = code.select(edge, at_edge, e);
    let one = code.real(1.0);
    let is_unit = code.two(Equal, size, one);
    let e = code.select(is_unit, one, e);
    let e = signed_power(code, x, y, e);
    let (known, given) = (code.two(Equal, x, x), code.two(Equal, y, y));
    let known = code.two(And, known, given);
    let none = code.real(f32::NAN);
    let e = code.select(known, e, none);
    let to_zero = code.two(Equal, y, zero);
    let of_one = code.two(Equal, x, one);
    let trivial = code.two(Or, to_zero, of_one);
    code.select(trivial, one, e)
}

fn select_mask<C: Code>(code: &mut C, first: C::Value, then: C::Value, otherwise: C::Value) -> C::Value {
    let not = code.one(Not, first);
    let a = code.two(And, first, then);
    let b = code.two(And, not, otherwise);
    code.two(Or, a, b)
}

/// The sign of a power of a negative number: odd whole exponents keep it, others that are not whole give NaN.
fn signed_power<C: Code>(code: &mut C, x: C::Value, y: C::Value, e: C::Value) -> C::Value {
    let (zero, half, none) = (code.real(0.0), code.real(0.5), code.real(f32::NAN));
    let floor = code.one(Floor, y);
    let whole = code.two(Equal, floor, y);
    let halved = code.two(Multiply, y, half);
    let floor = code.one(Floor, halved);
    let even = code.two(Equal, floor, halved);
    let signed = with_sign(code, e, x);
    let by_parity = code.select(even, e, signed);
    let fraction = code.two(Less, x, zero);
    let defined = code.one(Not, fraction);
    let defined = code.two(Or, defined, whole);
    let by_parity = code.select(whole, by_parity, e);
    let result = code.select(defined, by_parity, none);
    // An infinite x has a power even where the exponent is not whole.
    let lowest = code.real(f32::NEG_INFINITY);
    let is_lowest = code.two(Equal, x, lowest);
    code.select(is_lowest, by_parity, result)
}

/// ln x as a sum of two numbers: `2 atanh((m-1)/(m+1)) + n ln 2` in double-f32 arithmetic (after N. Juffa).
fn wide_logarithm<C: Code>(code: &mut C, x: C::Value) -> (C::Value, C::Value) {
    let (exponent, m) = parted(code, x);
    let (one, minus_two) = (code.real(1.0), code.real(-2.0));
    let below = code.two(Add, m, one);
    let above = code.two(Subtract, m, one);
    let reciprocal = code.two(Divide, one, below);
    let q = code.two(Multiply, above, reciprocal);
    let rest = code.multiply_add(q, minus_two, above);
    let minus_above = code.one(Negate, above);
    let rest = code.multiply_add(q, minus_above, rest);
    let q_low = code.two(Multiply, reciprocal, rest);
    let s = code.two(Multiply, q, q);
    let r = polynomial(code, s, &[0.129_333_5, 0.141_992_8, 0.200_014_83, 0.333_333_25]);
    let minus_s = code.one(Negate, s);
    let t = code.multiply_add(q, q, minus_s);
    let twice_low = code.two(Add, q_low, q_low);
    let t = code.multiply_add(q, twice_low, t);
    let p = code.two(Multiply, s, q);
    let minus_p = code.one(Negate, p);
    let u = code.multiply_add(s, q, minus_p);
    let u = code.multiply_add(t, q, u);
    let u = code.multiply_add(s, q_low, u);
    let v = code.multiply_add(r, u, q_low);
    let s = code.multiply_add(r, p, v);
    const HALF_LN_2: f32 = std::f32::consts::LN_2 * 0.5;
    let t = multiply_add_constant(code, exponent, HALF_LN_2, q);
    let p = multiply_add_constant(code, exponent, -HALF_LN_2, t);
    let lost = code.two(Subtract, q, p);
    let s = code.two(Add, lost, s);
    let s = multiply_add_constant(code, exponent, -1.904_654_2e-9 * 0.5, s);
    let two = code.real(2.0);
    let r = code.two(Add, t, t);
    let high = code.multiply_add(two, s, r);
    let gone = code.two(Subtract, r, high);
    (high, code.multiply_add(two, s, gone))
}
