//! What can be wrong with data: a message that names file, row and value, and says what to do.

use crate::text::Span;

/// Data that can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    /// One line: what is wrong, where in the file.
    pub message: String,
    /// What to do about it.
    pub help: Vec<String>,
    /// The place in the spec that asks for this data.
    pub span: Span,
}

impl DataError {
    /// An error that a part of the spec leads to.
    pub fn new(span: Span, message: impl Into<String>) -> DataError {
        DataError {
            message: message.into(),
            help: vec![],
            span,
        }
    }

    /// Adds what to do.
    pub fn help(mut self, text: impl Into<String>) -> DataError {
        self.help.push(text.into());
        self
    }
}
