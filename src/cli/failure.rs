//! Why a command did not do what was asked, what is said about it, and its exit code.

use super::diagnostics;
use crate::data::DataError;
use crate::machine::MachineError;
use crate::pipeline;
use crate::text::Sources;
use crate::train::TrainError;
use std::process::ExitCode;

const DIAGNOSTICS: u8 = 1;
const USAGE: u8 = 2;
const FILE: u8 = 3;
const DIVERGED: u8 = 4;
const DOES_NOT_FIT: u8 = 5;
const BUG: u8 = 101;

/// A command's failure.
#[derive(Debug)]
pub enum Failure {
    /// The spec has errors.
    Spec(Box<pipeline::Failure>),
    /// They were already told, as JSON.
    Told,
    /// Arguments that can't be meant.
    Usage(String),
    /// Something about data, files, checkpoints or the training; the texts are for places in the spec.
    Train(TrainError, Sources),
    /// The compiler's own mistake, or no memory.
    Machine(MachineError),
    /// All settings of a search diverged.
    AllDiverged,
    /// A signal ended the training, after saving.
    Interrupted(i32),
    /// Who reads standard output has closed it.
    ReaderLeft,
}

impl Failure {
    /// Says it on standard error and gives the exit code.
    pub fn report(self) -> ExitCode {
        let code = match self {
            Failure::Spec(failure) => {
                diagnostics::print(&failure.sources, &failure.diagnostics);
                DIAGNOSTICS
            }
            Failure::Told => DIAGNOSTICS,
            Failure::Usage(message) => {
                diagnostics::error(&message, &[], None);
                USAGE
            }
            Failure::Train(error, sources) => report(&error, &sources),
            Failure::Machine(error @ MachineError::System { .. }) => {
                diagnostics::error(&error.to_string(), &["use a smaller batch or model".into()], None);
                FILE
            }
            Failure::Machine(error) => {
                let help = "this is a bug of mspec; please report it with the spec".to_string();
                diagnostics::error(&error.to_string(), &[help], None);
                BUG
            }
            Failure::AllDiverged => {
                let help = "try smaller learning rates, a longer warm-up or `clip_norm 1.0`".to_string();
                diagnostics::error("every setting diverged", &[help], None);
                DIVERGED
            }
            Failure::Interrupted(signal) => 128 + signal as u8,
            Failure::ReaderLeft => 0,
        };
        ExitCode::from(code)
    }
}

fn report(error: &TrainError, sources: &Sources) -> u8 {
    let message = error.to_string();
    match error {
        TrainError::Data(data) => {
            let place = sources.file(data.span.file).map(|_| sources.place(data.span));
            diagnostics::error(&message, &data.help, place);
            FILE
        }
        TrainError::File { help, .. } => {
            diagnostics::error(&message, help, None);
            FILE
        }
        TrainError::Diverged { last_good, .. } => {
            let help = [
                format!("the last good checkpoint is {}", last_good.display()),
                "a smaller learning rate, a longer warm-up or `clip_norm 1.0` often help".to_string(),
            ];
            diagnostics::error(&message, &help, None);
            DIVERGED
        }
        TrainError::DoesNotFit { help, .. } => {
            diagnostics::error(&message, help, None);
            DOES_NOT_FIT
        }
    }
}

impl From<pipeline::Failure> for Failure {
    fn from(failure: pipeline::Failure) -> Failure {
        Failure::Spec(Box::new(failure))
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Failure {
        Failure::Train(error, Sources::default())
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        TrainError::from(error).into()
    }
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Failure {
        Failure::Machine(error)
    }
}
