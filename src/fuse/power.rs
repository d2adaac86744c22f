//! Powers in arithmetic that every emitter computes to the same bits: constant ones by multiplication and square roots, the
//! general way by a logarithm in two numbers.

use super::mathematics::{Code, exponential, multiply_add_constant, parted, polynomial, with_sign};
use crate::ir::kernel::Arithmetic::*;

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
