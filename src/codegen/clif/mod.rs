//! The portable emitter: kernels → Cranelift IR with vectors of 128 bits → machine code. Complete on its own, for
//! x86-64 with FMA and for AArch64.

mod ahead;
mod blocking;
mod body;
mod chunk;
mod compile;
mod emitter;
mod form;
mod lanes;
mod loops;
mod memory;
mod packing;
mod position;
mod product;
mod product_routines;
mod routine;
mod scatter;
#[cfg(test)]
mod tests;
mod unit;
mod vector_pass;

pub use compile::{Code, CompiledKernel, KernelFunction, Phase, assembly_text, clif_text, compile};
pub use scatter::CLEARED_PER_TASK;
