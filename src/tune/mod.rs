//! The `tune` section in, trainings to run and a table of what came of them out. What is tried, in which order, and who
//! goes on is a pure function of the spec and of the results so far, so that a search that was interrupted anywhere ends
//! with the same table. Nothing here trains.

mod check;
mod folder;
mod plan;
mod record;
mod standing;
#[cfg(test)]
mod tests;
mod trials;

pub use check::{Examined, check};
pub use folder::{RESULT, SearchFolder};
pub use plan::{Plan, Unit, search};
pub use record::{Record, Records};
pub use standing::{Standing, standings, survivors};
pub use trials::{Trial, TrialValue, trials};
