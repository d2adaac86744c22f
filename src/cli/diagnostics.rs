//! Diagnostics and other errors on standard error.

use crate::text::{Diagnostics, Sources, render};

/// Prints all diagnostics, warnings first.
pub fn print(sources: &Sources, diagnostics: &Diagnostics) {
    // Colours that standard error does not show are removed on the way.
    anstream::eprint!("{}", render::text(diagnostics, sources, true));
    if diagnostics.has_errors() {
        anstream::eprintln!("`mspec explain CODE` says more about each");
    }
}

/// Prints an error that is not about a place in a spec, or only knows where it was asked for.
pub fn error(message: &str, help: &[String], place: Option<String>) {
    anstream::eprintln!("\x1b[1;31merror\x1b[0m\x1b[1m: {message}\x1b[0m");
    if let Some(place) = place {
        anstream::eprintln!(" --> {place}");
    }
    for help in help {
        anstream::eprintln!("  \x1b[1mhelp\x1b[0m: {help}");
    }
}
