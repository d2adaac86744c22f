//! Everything around the compiled step: first values, the loop, evaluation, checkpoints, run folders, name maps.
//! It knows machines only through [`Machine`], and never looks into a kernel.

pub mod ahead;
pub mod checkpoint;
pub mod disk;
mod error;
pub mod evaluate;
pub mod feed;
pub mod finish;
pub mod fit;
pub mod generate;
pub mod initialise;
mod machine;
pub mod metrics_log;
pub mod name_map;
pub mod run;
pub mod run_folder;
mod stop;
#[cfg(test)]
mod tests;
pub mod update;
pub mod weights;

pub use error::TrainError;
pub use machine::Machine;
pub use stop::Stop;
