//! Diagnostics and other errors on standard error.

use super::streams;
use crate::text::{Diagnostics, Sources, render};

/// Prints all diagnostics, warnings first.
pub fn print(sources: &Sources, diagnostics: &Diagnostics) {
    let text = render::text(diagnostics, sources, true);
    if !text.is_empty() {
        streams::say(text.trim_end());
    }
    if !diagnostics.is_empty() {
        streams::say("`mspec explain CODE` says more about each");
    }
}

/// Prints an error that is not about a place in a spec, or only knows where it was asked for.
pub fn error(message: &str, help: &[String], place: Option<String>) {
    streams::say(format_args!("\x1b[1;31merror\x1b[0m\x1b[1m: {message}\x1b[0m"));
    if let Some(place) = place {
        streams::say(format_args!(" --> {place}"));
    }
    for help in help {
        streams::say(format_args!("  \x1b[1mhelp\x1b[0m: {help}"));
    }
}
