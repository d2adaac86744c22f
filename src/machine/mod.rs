//! Runs compiled steps: memory, threads, and the safe interface that the trainer sees. It decides nothing about what is
//! computed; nothing here allocates, locks or (unless a thread waits long) calls the system while a step runs.

mod arena;
pub mod ceiling;
mod program;
mod step;
mod team;
#[cfg(test)]
mod tests;

pub use arena::Arena;
pub use program::{Machine, MachineError, Program, ProgramId, Values, ValuesMut};
pub use team::{Member, Team};
