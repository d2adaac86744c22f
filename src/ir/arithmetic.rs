//! What each [`Arithmetic`] gives, bit for bit: the interpreter of kernels and whoever calculates ahead agree on it.

use super::kernel::Arithmetic;

/// One or two arguments, as bits.
pub fn calculate(function: Arithmetic, a: u32, b: u32) -> u32 {
    use Arithmetic::*;
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    let real = |number: f32| number.to_bits();
    match function {
        Add => real(x + y),
        Subtract => real(x - y),
        Multiply => real(x * y),
        Divide => real(x / y),
        Minimum => real(if y < x { y } else { x }),
        Maximum => real(if y > x { y } else { x }),
        Negate => real(-x),
        Absolute => real(x.abs()),
        SquareRoot => real(x.sqrt()),
        // No double has too few bits or too small an exponent for the product.
        Scale => real((f64::from(x) * f64::from(y).exp2()) as f32),
        Nearest => real(x.round_ties_even()),
        Floor => real(x.floor()),
        Less => mask(x < y),
        LessEqual => mask(x <= y),
        Equal => mask(x == y),
        And => a & b,
        Or => a | b,
        Not => !a,
        IntegerAdd => a.wrapping_add(b),
        IntegerSubtract => a.wrapping_sub(b),
        IntegerMultiply => a.wrapping_mul(b),
        IntegerEqual => mask(a == b),
        BitAnd => a & b,
        BitOr => a | b,
        BitXor => a ^ b,
        ToReal => real(a as i32 as f32),
        ToInteger => (x as i32) as u32,
        RealBits | IntegerBits => a,
    }
}

fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}
