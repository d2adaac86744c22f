//! Text → syntax tree, one item of the top level after the other, with an error for each statement that can't be read.
//!
//! [`scan`] cuts the text into tokens, [`brackets`] pairs them, [`layout`] finds the statements, the pest grammar in
//! `grammar/mspec.pest` matches each item, and [`build`] makes the tree. No name is looked up here.

mod brackets;
mod build;
mod depth;
mod grammar;
mod layout;
pub mod limits;
mod messages;
mod recover;
pub mod scan;
mod slips;

use crate::ir::ast;
use crate::text::{Code, Diagnostic, Diagnostics, FileId, Span};

/// Reads a file. What can't be read is missing from the tree or [`ast::ExprKind::Wrong`] in it, and reported.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> ast::File {
    match try_parse(file, text, diagnostics) {
        Ok(tree) => tree,
        Err(beyond_limit) => {
            diagnostics.push(beyond_limit);
            ast::File::default()
        }
    }
}

fn try_parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Result<ast::File, Diagnostic> {
    if text.len() > limits::FILE_BYTES {
        return Err(too_long(file));
    }
    let scan = scan::scan(file, text)?;
    let brackets = brackets::pair(file, text, &scan.tokens)?;
    let layout = layout::lay_out(file, text, &scan.tokens, &brackets)?;
    let reported = scan
        .diagnostics
        .into_iter()
        .chain(brackets.lonely.iter().map(|(_, d)| d.clone()))
        .collect();
    Ok(recover::Recovery::new(file, text, &scan.tokens, layout, reported).run(diagnostics))
}

/// The error for a file beyond [`limits::FILE_BYTES`].
pub fn too_long(file: FileId) -> Diagnostic {
    let nowhere = Span { file, start: 0, end: 0 };
    Diagnostic::new(
        Code::TextTooLong,
        nowhere,
        format!("the file has more than {} MB", limits::FILE_BYTES >> 20),
    )
    .help("a spec is a page or two: large tables belong into the data")
}

/// Why bytes are not the text of a spec.
pub struct NoText {
    /// What the error's place is in: the text with a mark for each byte that is no UTF-8.
    pub shown: String,
    /// The error.
    pub diagnostic: Diagnostic,
}

/// The text of a file that was read as bytes. A carriage return that no newline follows ends a line, as on old Macs: it
/// becomes a newline, so that every place stays the same.
pub fn decode(file: FileId, mut bytes: Vec<u8>) -> Result<String, Box<NoText>> {
    let refuse = |shown, diagnostic| Err(Box::new(NoText { shown, diagnostic }));
    if bytes.len() > limits::FILE_BYTES {
        return refuse(String::new(), too_long(file));
    }
    for at in 0..bytes.len() {
        if bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n') {
            bytes[at] = b'\n';
        }
    }
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let start = error.utf8_error().valid_up_to();
    let byte = error.as_bytes()[start];
    let span = Span {
        file,
        start: start as u32,
        end: (start + char::REPLACEMENT_CHARACTER.len_utf8()) as u32,
    };
    let diagnostic = Diagnostic::new(Code::InvalidText, span, format!("the byte 0x{byte:02x} is not UTF-8"))
        .label("the first byte that is not")
        .help("save the file as UTF-8");
    refuse(String::from_utf8_lossy(error.as_bytes()).into_owned(), diagnostic)
}

#[cfg(test)]
mod tests;
