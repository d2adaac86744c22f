//! Runs compiled steps: memory, threads, and the safe interface that the trainer sees. It decides nothing about what is
//! computed; nothing here allocates or locks while a step runs, and it calls the system only for the time, and if a thread waits long.

mod arena;
pub mod ceiling;
mod freed;
mod loaded;
mod memory;
mod pace;
mod program;
mod step;
mod team;
#[cfg(test)]
mod tests;

pub use arena::Arena;
pub use freed::return_freed_memory;
pub use loaded::{Machine, MachineMemory, ProgramId, Values, ValuesMut};
pub use program::{MachineError, Program};
pub use team::{Member, Team};
