//! Independent uniform draws in [0, 1): a function of (key, stream, element), so that a draw can be computed again
//! anywhere, in any order.
//!
//! Only 32-bit additions, multiplications, exclusive ors and right shifts, wrapping, so that a kernel does the same:
//!
//! ```text
//! mix(x):  x ^= x >> 16;  x *= MIX_1;  x ^= x >> 15;  x *= MIX_2;  x ^= x >> 16
//! a = key[0] ^ stream * STREAM_1      draw(i) = mix(mix(i + a) ^ b)
//! b = key[1] ^ stream * STREAM_2      uniform(i) = (draw(i) >> 8) * 2^-24
//! ```
//!
//! `i` is the row-major number of the element in the node's own shape. `mix` is a bijection with the constants of
//! Wellons' lowbias32; two rounds with a key between them break what is left of the order of `i`, and keep two streams
//! whose `a` are near each other from being shifted copies. `draw >> 8` has 24 bits, so its conversion to binary32 is exact.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, exactly};
use crate::ir::graph::{Graph, Op, elements};

/// First multiplier of `mix`.
pub const MIX_1: u32 = 0x7feb_352d;
/// Second multiplier of `mix`.
pub const MIX_2: u32 = 0x846c_a68b;
/// Right shifts of `mix`, in order.
pub const MIX_SHIFTS: [u32; 3] = [16, 15, 16];
/// Spreads streams over the first word of the key.
pub const STREAM_1: u32 = 0x9e37_79b9;
/// Spreads streams over the second word of the key.
pub const STREAM_2: u32 = 0x85eb_ca6b;
/// What a draw's upper 24 bits are multiplied by.
pub const UNIT: f64 = 1.0 / 16_777_216.0;

/// A bijection of 32 bits that looks random.
pub fn mix(mut x: u32) -> u32 {
    x ^= x >> MIX_SHIFTS[0];
    x = x.wrapping_mul(MIX_1);
    x ^= x >> MIX_SHIFTS[1];
    x = x.wrapping_mul(MIX_2);
    x ^ (x >> MIX_SHIFTS[2])
}

/// What is the same for all elements of a stream: `(a, b)` of the module's head.
pub fn stream_key(key: [u32; 2], stream: u32) -> (u32, u32) {
    (
        key[0] ^ stream.wrapping_mul(STREAM_1),
        key[1] ^ stream.wrapping_mul(STREAM_2),
    )
}

/// 32 random bits.
pub fn draw(key: [u32; 2], stream: u32, element: u32) -> u32 {
    let (a, b) = stream_key(key, stream);
    mix(mix(element.wrapping_add(a)) ^ b)
}

/// A draw as a number in [0, 1), exact in binary32.
pub fn unit(draw: u32) -> f64 {
    f64::from(draw >> 8) * UNIT
}

/// Uniform in [0, 1).
pub fn uniform(key: [u32; 2], stream: u32, element: u32) -> f64 {
    unit(draw(key, stream, element))
}

/// Standard normal (Box and Muller 1958) from streams `2·stream` and `2·stream + 1`. For initialisers: float64, `libm`.
pub fn normal(key: [u32; 2], stream: u32, element: u32) -> f64 {
    let first = draw(key, stream.wrapping_mul(2), element);
    let second = draw(key, stream.wrapping_mul(2).wrapping_add(1), element);
    // In (0, 1], so that the logarithm is finite.
    let radius_squared = -2.0 * libm::log((f64::from(first) + 1.0) / 4_294_967_296.0);
    let angle = std::f64::consts::TAU * f64::from(second) / 4_294_967_296.0;
    libm::sqrt(radius_squared) * libm::cos(angle)
}

/// [`crate::ir::graph::Op::Random`].
pub struct Random {
    /// Tells the draws of one step apart.
    pub stream: u32,
}

impl Primitive for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        Ok(TensorType::real(&stated.shape))
    }

    fn reference(&self, environment: &Environment, _: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let value = |i| uniform(environment.key, self.stream, i);
        let count = elements(&result.shape) as u32;
        Tensor64::new(&result.shape, (0..count).map(value).collect())
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("a draw depends on nothing that is trained")
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(16 * elements(&result.shape), operands, result)
    }

    fn samples() -> Vec<Sample> {
        let sample = |stream| Sample::new(Op::Random { stream }, vec![], TensorType::real(&[5, 7]));
        vec![
            sample(0).tolerance(0.0, "24 bits are exact"),
            sample(9).tolerance(0.0, "24 bits are exact"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_fixed_forever() {
        let draws: Vec<u32> = (0..4).map(|i| draw([1, 2], 3, i)).collect();
        insta::assert_snapshot!(format!("{draws:x?}"), @"[9d98d964, 4779a1e4, ef1f5e4b, d3b9ac25]");
    }

    #[test]
    fn moments_are_those_of_uniform_and_normal() {
        let count = 1 << 16;
        let mean = |f: &dyn Fn(u32) -> f64| (0..count).map(f).sum::<f64>() / f64::from(count);
        for (key, stream) in [([0, 0], 0), ([1337, 1], 0), ([1337, 2], 1)] {
            let u = |i| uniform(key, stream, i);
            assert!((mean(&u) - 0.5).abs() < 0.004);
            assert!((mean(&|i| u(i) * u(i)) - 1.0 / 3.0).abs() < 0.004);
            assert!((mean(&|i| u(i) * u(i + 1)) - 0.25).abs() < 0.004, "neighbours");
            assert!(
                (mean(&|i| u(i) * uniform(key, stream + 1, i)) - 0.25).abs() < 0.004,
                "streams"
            );
            let n = |i| normal(key, stream, i);
            assert!(mean(&n).abs() < 0.015);
            assert!((mean(&|i| n(i) * n(i)) - 1.0).abs() < 0.02);
        }
    }
}
