//! Expands the counter-based draws into integer arithmetic: a function of (key, stream, element) alone.

use super::mathematics::Code;
use crate::ir::kernel::Arithmetic;

/// A uniform draw in [0, 1): 24 bits of a hash of the element's number under the step's key.
pub fn uniform<C: Code>(code: &mut C, key: [C::Value; 2], stream: u32, element: C::Value) -> C::Value {
    let salt = code.integer(stream.wrapping_mul(0x9e37_79b9) as i32);
    let first = code.two(Arithmetic::BitXor, key[0], salt);
    let h = code.two(Arithmetic::IntegerAdd, element, first);
    let h = mixed(code, h);
    let h = code.two(Arithmetic::BitXor, h, key[1]);
    let h = mixed(code, h);
    let bits = code.shift_right(h, 8);
    let number = code.one(Arithmetic::ToReal, bits);
    let scale = code.real(1.0 / 16_777_216.0);
    code.two(Arithmetic::Multiply, number, scale)
}

/// A bijection of 32 bits that spreads every bit over all ("lowbias32", C. Wellons).
fn mixed<C: Code>(code: &mut C, h: C::Value) -> C::Value {
    let mut h = h;
    for (shift, factor) in [(16, Some(0x7feb_352d_u32)), (15, Some(0x846c_a68b)), (16, None)] {
        let shifted = code.shift_right(h, shift);
        h = code.two(Arithmetic::BitXor, h, shifted);
        if let Some(factor) = factor {
            let factor = code.integer(factor as i32);
            h = code.two(Arithmetic::IntegerMultiply, h, factor);
        }
    }
    h
}
