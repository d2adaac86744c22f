//! The wide emitter: the same kernels at 256 bits (AVX2 and FMA) and 512 bits (AVX-512), hand-encoded.

pub mod encode;
#[cfg(test)]
mod encode_test;
pub mod encode_vector;
pub mod multiply;
pub mod pack;
