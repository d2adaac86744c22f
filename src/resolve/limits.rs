//! What a spec may ask for, so that a wrong number ends in an error and not in an exhausted machine.

/// The greatest size of an axis.
pub const AXIS: usize = 1 << 31;
/// The greatest number of elements of a tensor.
pub const ELEMENTS: usize = 1 << 36;
/// The greatest number of elements of a tensor that lies in memory, as parameters and states always do.
pub const STORED: usize = crate::ir::kernel_verify::MOST_ELEMENTS;
/// The greatest count of a `repeat`.
pub const REPEAT: usize = 4096;
/// Calls inside calls.
pub const CALL_DEPTH: usize = 96;
/// Tensors, calls and statements of one program.
pub const WORK: usize = 400_000;
/// Elements along an axis that `argsort` orders: each is compared with each.
pub const SORTED: usize = 4096;
