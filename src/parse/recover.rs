//! The items of a file, matched one by one; where an item does not match, the statement that is to blame is told,
//! replaced by a `?`, and the item is tried again. Never matches an item more often than its statements demand.

use super::build::Builder;
use super::grammar::{Mismatch, parse_item};
use super::layout::{Layout, Piece};
use super::limits;
use super::messages;
use super::scan::{Token, TokenKind};
use crate::ir::ast::{self, Item};
use crate::text::{Diagnostic, Diagnostics, FileId};

/// One file on its way into a tree.
pub struct Recovery<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    pieces: Vec<Piece>,
    prepared: String,
    /// How often a piece was replaced by a `?`.
    replaced: Vec<u8>,
    errors: Vec<Diagnostic>,
    /// Bytes that may still be matched again.
    budget: usize,
}

impl<'a> Recovery<'a> {
    /// For a file that was cut into pieces; `errors` were found on the way.
    pub fn new(
        file: FileId,
        text: &'a str,
        tokens: &'a [Token],
        layout: Layout,
        errors: Vec<Diagnostic>,
    ) -> Recovery<'a> {
        let replaced = vec![0; layout.pieces.len()];
        let Layout { prepared, pieces } = layout;
        let errors = one_for_each_piece(&pieces, tokens, errors);
        Recovery {
            file,
            text,
            tokens,
            pieces,
            prepared,
            replaced,
            errors,
            budget: limits::RECOVERY_BYTES,
        }
    }

    /// Matches all items and reports what was wrong, in the order of the text.
    pub fn run(mut self, diagnostics: &mut Diagnostics) -> ast::File {
        for piece in (0..self.pieces.len()).rev() {
            if self.pieces[piece].broken && self.pieces[piece].parent.is_some() {
                self.replace(piece);
            }
        }
        let mut from_builder = Diagnostics::default();
        let mut items = vec![];
        let starts: Vec<usize> = (0..self.pieces.len())
            .filter(|p| self.pieces[*p].parent.is_none())
            .collect();
        let mut skipping = false;
        for (position, piece) in starts.iter().copied().enumerate() {
            let next = starts.get(position + 1).copied().unwrap_or(self.pieces.len());
            if skipping && !self.is_item_word(piece) {
                // What is no item has been told; what can't be a token in it is a consequence.
                let (start, end) = self.range(piece);
                self.errors
                    .retain(|error| !(start..end).contains(&(error.primary.span.start as usize)));
                continue;
            }
            let item = if self.pieces[piece].broken {
                None
            } else {
                self.item(piece..next, &mut from_builder)
            };
            skipping = item.is_none();
            items.extend(item);
        }
        let mut all: Vec<Diagnostic> = self.errors;
        all.extend(from_builder.iter().cloned());
        all.sort_by_key(|d| d.primary.span.start);
        all.truncate(limits::ERRORS);
        all.into_iter().for_each(|d| diagnostics.push(d));
        ast::File { items }
    }

    /// Matches one item, whose pieces are `pieces`, and builds its tree.
    fn item(&mut self, pieces: std::ops::Range<usize>, diagnostics: &mut Diagnostics) -> Option<Item> {
        let (start, end) = self.range(pieces.start);
        loop {
            let mismatch = match parse_item(&self.prepared[start..end]) {
                Ok(pair) => {
                    let mut item = Builder::new(self.file, self.text, start, diagnostics).item(&pair);
                    if let Item::Definition(definition) = &mut item {
                        definition.documentation = self.documentation(self.pieces[pieces.start].first);
                    }
                    return Some(item);
                }
                Err(mismatch) => mismatch,
            };
            let at = start + mismatch.at;
            let blamed = self.blamed(pieces.clone(), at);
            if self.replaced[blamed] == 0 {
                self.report(blamed, Mismatch { at, ..mismatch });
            }
            self.budget = self.budget.saturating_sub(end - start);
            if blamed == pieces.start || self.replaced[blamed] == 2 || self.budget == 0 {
                return None;
            }
            self.replace(blamed);
        }
    }

    /// The innermost piece around an offset, the separator or brace behind it included.
    fn blamed(&self, pieces: std::ops::Range<usize>, at: usize) -> usize {
        let around = |piece: &usize| {
            let (start, end) = self.range(*piece);
            let stop = self
                .tokens
                .get(self.token_at(end))
                .map_or(self.text.len(), |t| t.start as usize);
            start <= at && at <= stop
        };
        pieces.clone().rev().find(around).unwrap_or(pieces.start)
    }

    fn report(&mut self, piece: usize, mismatch: Mismatch) {
        let stop = messages::Stop {
            file: self.file,
            text: self.text,
            tokens: self.tokens,
            found: self.token_at(mismatch.at),
            first: self.pieces[piece].first,
            top: self.pieces[piece].parent.is_none(),
        };
        self.errors.push(messages::syntax(&stop, &mismatch.expected));
    }

    /// Puts a `?` in a piece's place: first only behind an equation's `=`, so that its name stays known.
    fn replace(&mut self, piece: usize) {
        let (start, end) = self.range(piece);
        let from = match self.replaced[piece] {
            0 => self.behind_equals(piece).unwrap_or(start),
            _ => start,
        };
        self.replaced[piece] = if from > start { 1 } else { 2 };
        let filler = format!("?{}", " ".repeat(end - from - 1));
        self.prepared.replace_range(from..end, &filler);
    }

    /// Where the right side of an equation starts.
    fn behind_equals(&self, piece: usize) -> Option<usize> {
        let Piece { first, last, .. } = self.pieces[piece];
        let text = |i: usize| self.tokens[i].text(self.text);
        let mut depth = 0;
        let sign = (first..=last).find(|i| {
            match text(*i) {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            depth == 0 && *i > first && !matches!(text(*i), "]") && self.tokens[*i].is_significant()
        })?;
        (text(sign) == "=" && sign < last).then(|| self.tokens[sign + 1].start as usize)
    }

    fn range(&self, piece: usize) -> (usize, usize) {
        let Piece { first, last, .. } = self.pieces[piece];
        (self.tokens[first].start as usize, self.tokens[last].end as usize)
    }

    /// The first token that ends behind an offset and is not blanked; the number of tokens at the end of the file.
    fn token_at(&self, at: usize) -> usize {
        let first = self.tokens.partition_point(|token| token.end as usize <= at);
        (first..self.tokens.len())
            .find(|i| self.prepared.as_bytes()[self.tokens[*i].start as usize] != b' ')
            .unwrap_or(self.tokens.len())
    }

    fn is_item_word(&self, piece: usize) -> bool {
        let first = self.tokens[self.pieces[piece].first];
        let line_start = first.start == 0 || self.text.as_bytes()[first.start as usize - 1] == b'\n';
        line_start && messages::ITEM_WORDS.contains(&first.text(self.text))
    }

    /// The comment lines directly above a token, without `#`.
    fn documentation(&self, first: usize) -> Vec<String> {
        let mut lines = vec![];
        let mut above = self.tokens[..first].iter().rev();
        while let (Some(newline), Some(comment)) = (above.next(), above.next()) {
            let own_line = above.clone().next().is_none_or(|t| t.kind == TokenKind::Newline);
            if newline.kind != TokenKind::Newline || comment.kind != TokenKind::Comment || !own_line {
                break;
            }
            let line = comment.text(self.text).trim_start_matches('#');
            lines.push(line.strip_prefix(' ').unwrap_or(line).to_string());
        }
        lines.reverse();
        lines
    }
}

/// Keeps the first error of each piece: what follows it in the same statement is often its consequence.
fn one_for_each_piece(pieces: &[Piece], tokens: &[Token], mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    errors.sort_by_key(|d| d.primary.span.start);
    let mut last = None;
    errors.retain(|error| {
        let at = error.primary.span.start;
        let piece = pieces.partition_point(|p| tokens[p.first].start <= at);
        let innermost = (0..piece).rev().find(|p| tokens[pieces[*p].last].end > at);
        last.replace(innermost) != Some(innermost) || innermost.is_none()
    });
    errors
}
