//! The wide emitter: the same kernels at 256 bits (AVX2 and FMA) and 512 bits (AVX-512), hand-encoded. Bodies become
//! steps over variables (`code`), variables get registers (`allocate`), steps become bytes (`select`, `encode`). The
//! loops inside a matrix product are written in registers at once (`multiply`, `pack`).

pub mod ahead;
mod allocate;
#[cfg(test)]
mod allocate_test;
mod body;
pub mod code;
mod emitter;
pub mod encode;
mod encode_general;
#[cfg(test)]
mod encode_test;
mod encode_tile;
pub mod encode_vector;
mod instructions;
pub mod kernel;
mod lanes;
mod loops;
mod memory;
pub mod multiply;
pub mod multiply_tiles;
pub mod pack;
mod pack_pairs;
pub mod pack_tiles;
mod position;
mod scatter;
mod select;
mod select_vector;
mod square;
mod vector_pass;
