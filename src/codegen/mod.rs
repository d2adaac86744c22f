//! Kernels → machine code in one Cranelift module. Nothing here runs it: that is the machine's part.

pub mod analysis;
pub mod clif;
mod dot_speed;
#[cfg(test)]
pub(crate) mod generate;
pub mod interpret;
mod scale;
pub mod target;
mod tiles;
pub mod wide;
