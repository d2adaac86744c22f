//! Expands the counter-based draws into integer arithmetic: a function of (key, stream, element) alone, that of
//! `ops::random`, bit for bit.

use super::mathematics::Code;
use crate::ir::kernel::Arithmetic;
use crate::ops::random::{MIX_1, MIX_2, MIX_SHIFTS, STREAM_1, STREAM_2, UNIT};

/// A uniform draw in [0, 1): 24 bits of a hash of the element's number under the step's key.
pub fn uniform<C: Code>(code: &mut C, key: [C::Value; 2], stream: u32, element: C::Value) -> C::Value {
    let mut salted = |word, salt: u32| {
        let salt = code.integer(stream.wrapping_mul(salt) as i32);
        code.two(Arithmetic::BitXor, word, salt)
    };
    let (first, second) = (salted(key[0], STREAM_1), salted(key[1], STREAM_2));
    let h = code.two(Arithmetic::IntegerAdd, element, first);
    let h = mixed(code, h);
    let h = code.two(Arithmetic::BitXor, h, second);
    let h = mixed(code, h);
    let bits = code.shift_right(h, 8);
    let number = code.one(Arithmetic::ToReal, bits);
    let scale = code.real(UNIT as f32);
    code.two(Arithmetic::Multiply, number, scale)
}

/// A bijection of 32 bits that spreads every bit over all ("lowbias32", C. Wellons).
fn mixed<C: Code>(code: &mut C, h: C::Value) -> C::Value {
    let mut h = h;
    let factors = [Some(MIX_1), Some(MIX_2), None];
    for (shift, factor) in MIX_SHIFTS.into_iter().zip(factors) {
        let shifted = code.shift_right(h, shift as u8);
        h = code.two(Arithmetic::BitXor, h, shifted);
        if let Some(factor) = factor {
            let factor = code.integer(factor as i32);
            h = code.two(Arithmetic::IntegerMultiply, h, factor);
        }
    }
    h
}
