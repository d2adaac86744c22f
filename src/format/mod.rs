//! The text of a spec → the same spec in the canonical layout of `mspec fmt`.
//!
//! [`tree`] groups the tokens by brackets and lines, [`layout`] decides where lines break, [`space`] what stands
//! between two tokens. No token is added, dropped or moved but `;` at the end of a line, so nothing is lost: comments
//! stay where they are, and a text that does not parse is an error.

mod layout;
mod space;
mod tree;

use crate::parse;
use crate::text::{Diagnostics, Sources};

/// Columns of a line that is not broken.
pub const WIDTH: usize = 120;

/// The canonical text. `name` is what errors call the file.
pub fn format(name: &str, text: &str) -> Result<String, (Sources, Diagnostics)> {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let file = sources.add(name, text, false);
    let before = parse::parse(file, text, &mut diagnostics);
    let (Some(tokens), false) = (parse::scan::scan(file, text).ok(), diagnostics.has_errors()) else {
        return Err((sources, diagnostics));
    };
    let lines = tree::lines(text, &tokens.tokens);
    let formatted = layout::file(&lines);
    let after = parse::parse(file, &formatted, &mut diagnostics);
    // The caller may now write the file: better no new text than a wrong one.
    assert_eq!(
        before.to_string(),
        after.to_string(),
        "formatting changed what the text means"
    );
    Ok(formatted)
}

#[cfg(test)]
mod tests;
