//! Matched rules → syntax tree. Recursion is bounded by the limits that were checked on the tokens.

mod climb;
mod expressions;
mod indices;
mod items;
mod statements;

use super::grammar::Pair;
use crate::ir::ast::{self, Name};
use crate::text::{Code, Diagnostic, Diagnostics, FileId, Span};

/// Builds the tree of one item.
pub struct Builder<'a> {
    file: FileId,
    /// Where the item's text starts in the file.
    offset: usize,
    /// The whole file, for fixes that repeat what is there.
    source: &'a str,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Builder<'a> {
    /// For the item that starts at an offset of the file.
    pub fn new(file: FileId, source: &'a str, offset: usize, diagnostics: &'a mut Diagnostics) -> Builder<'a> {
        Builder {
            file,
            offset,
            source,
            diagnostics,
        }
    }

    /// The tree of an item without its documentation.
    pub fn item(&mut self, pair: &Pair) -> ast::Item {
        items::item(self, pair)
    }

    fn span(&self, pair: &Pair) -> Span {
        let span = pair.as_span();
        let text = span.as_str();
        Span {
            file: self.file,
            start: (self.offset + span.start()) as u32,
            // A rule that ends with an optional part has swallowed the blanks in front of it.
            end: (self.offset + span.start() + text.trim_end().len()) as u32,
        }
    }

    fn name(&self, pair: &Pair) -> Name {
        Name {
            text: pair.as_str().to_string(),
            span: self.span(pair),
        }
    }

    fn written(&self, span: Span) -> &'a str {
        &self.source[span.start as usize..span.end as usize]
    }

    fn refuse(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics
            .push(Diagnostic::new(Code::Syntax, span, message).help(help));
    }
}
