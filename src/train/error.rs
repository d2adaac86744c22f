//! What can end a training before its time, with what each means for the exit code and for the user.

use crate::data::DataError;
use std::path::{Path, PathBuf};

/// A training, evaluation or export that can't go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file can't be read or written.
    #[error("can't {action} {}: {reason}", path.display())]
    File {
        /// "write", "read", …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The operating system's reason in plain words.
        reason: String,
        /// What to do, or what is still intact.
        help: Vec<String>,
    },
    /// The loss or a parameter is no longer a number.
    #[error("training diverged: {what} in step {step}")]
    Diverged {
        /// "the loss is NaN", …
        what: String,
        /// When.
        step: u64,
        /// The last checkpoint whose numbers are finite.
        last_good: PathBuf,
    },
    /// A checkpoint, weights or a name map that do not fit the spec.
    #[error("{message}")]
    DoesNotFit {
        /// What does not fit.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

impl TrainError {
    /// An error of the operating system.
    pub fn file(action: &'static str, path: &Path, error: &std::io::Error) -> TrainError {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
        );
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file or folder".to_string(),
            _ => crate::data::file::plain(error),
        };
        let help = match full {
            true => {
                vec!["make room, or write elsewhere".to_string()]
            }
            false => vec![],
        };
        TrainError::File {
            action,
            path: path.to_path_buf(),
            reason,
            help,
        }
    }

    /// Something that does not fit.
    pub fn does_not_fit(message: impl Into<String>) -> TrainError {
        TrainError::DoesNotFit {
            message: message.into(),
            help: vec![],
        }
    }

    /// Adds what to do.
    pub fn help(mut self, text: impl Into<String>) -> TrainError {
        match &mut self {
            TrainError::Data(error) => error.help.push(text.into()),
            TrainError::File { help, .. } | TrainError::DoesNotFit { help, .. } => help.push(text.into()),
            TrainError::Diverged { .. } => {}
        }
        self
    }
}
