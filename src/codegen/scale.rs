//! [`Arithmetic::Scale`] where the CPU has no instruction for it.

use crate::ir::kernel::Arithmetic;

/// What an emitter does with vectors.
pub trait Vectors {
    /// A register.
    type Vector: Copy;
    /// The same 32 bits in every lane.
    fn even_bits(&mut self, bits: u32) -> Self::Vector;
    /// A function of two vectors, or of the first.
    fn calculated(&mut self, function: Arithmetic, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Whole numbers that I32 can hold, and 0 of a NaN.
    fn whole(&mut self, a: Self::Vector) -> Self::Vector;
    /// I32 shifted left.
    fn left(&mut self, a: Self::Vector, by: u8) -> Self::Vector;
    /// I32 shifted right, zeros coming in.
    fn right(&mut self, a: Self::Vector, by: u8) -> Self::Vector;
}

/// `a · 2ᵇ` as a product with two powers of two, `⌊b/2⌋` and the rest: the first is exact, so that it is rounded once.
pub fn in_two_factors<V: Vectors>(of: &mut V, a: V::Vector, b: V::Vector) -> V::Vector {
    /// What is added to an exponent of binary32.
    const BIAS: u32 = 127;
    let n = of.whole(b);
    // Not negative, so that half of it is rounded down.
    const MOVED: u32 = 256;
    let moved = of.even_bits(MOVED);
    let moved = of.calculated(Arithmetic::IntegerAdd, n, moved);
    let half = of.right(moved, 1);
    let less = of.even_bits(MOVED / 2 - BIAS);
    let first = of.calculated(Arithmetic::IntegerSubtract, half, less);
    let rest = of.calculated(Arithmetic::IntegerSubtract, n, half);
    let more = of.even_bits(MOVED / 2 + BIAS);
    let second = of.calculated(Arithmetic::IntegerAdd, rest, more);
    [first, second].into_iter().fold(a, |product, exponent| {
        let bits = of.left(exponent, 23);
        let power = of.calculated(Arithmetic::IntegerBits, bits, bits);
        of.calculated(Arithmetic::Multiply, product, power)
    })
}
