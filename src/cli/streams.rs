//! The two streams. Results go to standard output, and a result that can't be written is a failure; everything else
//! goes to standard error, where nobody has to listen: a training goes on when its reader has left.

use super::failure::Failure;
use crate::data::file::plain;
use crate::train::TrainError;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes a piece of the result, as it is.
pub fn result(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = write!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| unwritten(&error))
}

/// Writes a line of the result.
pub fn result_line(text: impl Display) -> Result<(), Failure> {
    result(format_args!("{text}\n"))
}

/// Why a result was not written. Who closed the stream, as `head` does, has read enough.
pub fn unwritten(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderLeft,
        _ => Failure::from(TrainError::File {
            action: "write",
            path: "standard output".into(),
            reason: plain(error),
            help: vec![],
        }),
    }
}

/// Says a line on standard error. Colours that it does not show are removed on the way.
pub fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
