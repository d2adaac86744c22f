//! Tokens → which bracket belongs to which, with errors for those without a partner and for too deep nesting.
//! Never changes a token.

use super::limits;
use super::scan::{Token, TokenKind};
use crate::text::{Code, Diagnostic, FileId};

/// For each bracket the one at its other end.
pub struct Brackets {
    partners: Vec<Option<u32>>,
    /// Brackets without a partner, each with its error.
    pub lonely: Vec<(usize, Diagnostic)>,
    /// Tokens at which an item starts although a bracket was still open.
    pub forced_starts: Vec<usize>,
}

impl Brackets {
    /// The other end of the bracket at a token.
    pub fn partner(&self, token: usize) -> Option<usize> {
        self.partners[token].map(|t| t as usize)
    }
}

/// Pairs the brackets of a file. Where some stay open, a line that clearly starts an item closes all of them, so
/// that a forgotten brace costs one item and not the rest of the file. Fails beyond [`limits::NESTING`].
pub fn pair(file: FileId, text: &str, tokens: &[Token]) -> Result<Brackets, Diagnostic> {
    let whole = Pairing::new(file, text, tokens).run(false)?;
    match whole.lonely.is_empty() {
        true => Ok(whole),
        false => Pairing::new(file, text, tokens).run(true),
    }
}

struct Pairing<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    /// How far the line of each token is indented.
    indents: Vec<u32>,
    open: Vec<usize>,
    /// A brace that closes one which was opened on a more indented line: probably one is missing in between.
    suspect: Option<(usize, usize)>,
    result: Brackets,
}

impl<'a> Pairing<'a> {
    fn new(file: FileId, text: &'a str, tokens: &'a [Token]) -> Pairing<'a> {
        let result = Brackets {
            partners: vec![None; tokens.len()],
            lonely: vec![],
            forced_starts: vec![],
        };
        Pairing {
            file,
            text,
            tokens,
            indents: indents(text, tokens),
            open: vec![],
            suspect: None,
            result,
        }
    }

    fn run(mut self, items_close: bool) -> Result<Brackets, Diagnostic> {
        for (i, token) in self.tokens.iter().enumerate() {
            match token.kind {
                TokenKind::Open if self.open.len() == limits::NESTING => return Err(self.too_deep(i)),
                TokenKind::Open => self.open.push(i),
                TokenKind::Close => self.close(i),
                TokenKind::Word if items_close && !self.open.is_empty() && self.starts_item(i) => {
                    self.result.forced_starts.push(i);
                    self.leave_open();
                }
                _ => {}
            }
        }
        self.leave_open();
        Ok(self.result)
    }

    /// A closing bracket closes the nearest open one of its kind, and what is open within has no partner. Only a
    /// brace reaches over open braces' contents: a forgotten parenthesis ends with its block.
    fn close(&mut self, i: usize) {
        let kind = self.symbol(i);
        let brace = self.open.iter().rposition(|o| self.symbol(*o) == "{");
        let found = match kind {
            "}" => brace,
            _ => {
                let from = brace.map_or(0, |b| b + 1);
                self.open[from..]
                    .iter()
                    .rposition(|o| closing(self.symbol(*o)) == kind)
                    .map(|p| p + from)
            }
        };
        let Some(position) = found else {
            let diagnostic = self.unopened(i);
            return self.result.lonely.push((i, diagnostic));
        };
        for inner in self.open.split_off(position + 1) {
            let closer = self.symbol(inner);
            let diagnostic = self.unclosed(inner).note(
                self.tokens[i].span(self.file),
                format!("expected `{}` before this", closing(closer)),
            );
            self.result.lonely.push((inner, diagnostic));
        }
        let opener = self.open.pop().expect("its position was found");
        self.result.partners[opener] = Some(i as u32);
        self.result.partners[i] = Some(opener as u32);
        if self.suspect.is_none() && self.indents[i] < self.indents[opener] {
            self.suspect = Some((opener, i));
        }
    }

    /// What is still open has no partner: one error, at the outermost.
    fn leave_open(&mut self) {
        let suspect = self.suspect.take();
        let Some(first) = self.open.first().copied() else {
            return;
        };
        let mut diagnostic = self.unclosed(first);
        if let Some((opener, closer)) = suspect.filter(|(opener, _)| *opener > first) {
            diagnostic = diagnostic
                .note(
                    self.tokens[opener].span(self.file),
                    "perhaps it is this one that lacks its `}`:",
                )
                .note(
                    self.tokens[closer].span(self.file),
                    "this brace closes it, but stands further left",
                );
        }
        self.result.lonely.push((first, diagnostic));
        self.open.clear();
    }

    fn symbol(&self, i: usize) -> &'a str {
        self.tokens[i].text(self.text)
    }

    /// Whether a word at the very left can only be the start of an item.
    fn starts_item(&self, i: usize) -> bool {
        let start = self.tokens[i].start as usize;
        if start > 0 && self.text.as_bytes()[start - 1] != b'\n' {
            return false;
        }
        let after = |n: usize| self.tokens.get(i + n).map_or("", |t| t.text(self.text));
        match self.symbol(i) {
            "def" | "loss" | "metric" | "optimizer" | "schedule" | "init" => after(2) == "(" && after(1) != "(",
            "model" => matches!(after(2), "(" | "{" | "->"),
            "data" | "train" | "tune" => after(1) == "{",
            "import" => after(1).starts_with('"'),
            _ => false,
        }
    }

    fn too_deep(&self, i: usize) -> Diagnostic {
        Diagnostic::new(
            Code::NestingTooDeep,
            self.tokens[i].span(self.file),
            format!("more than {} brackets inside each other", limits::NESTING),
        )
        .label("this one is too deep")
        .help("give a part of it a name, or make it a definition")
    }

    fn unclosed(&self, i: usize) -> Diagnostic {
        let symbol = self.symbol(i);
        Diagnostic::new(
            Code::Syntax,
            self.tokens[i].span(self.file),
            format!("`{symbol}` is never closed"),
        )
        .label(format!("no `{}` belongs to this", closing(symbol)))
    }

    fn unopened(&self, i: usize) -> Diagnostic {
        let symbol = self.symbol(i);
        let diagnostic = Diagnostic::new(
            Code::Syntax,
            self.tokens[i].span(self.file),
            format!("`{symbol}` closes nothing"),
        );
        match self.open.last() {
            Some(open) => diagnostic.note(
                self.tokens[*open].span(self.file),
                format!("this is open here and needs `{}`", closing(self.symbol(*open))),
            ),
            None => diagnostic.label("nothing is open here"),
        }
    }
}

fn closing(opening: &str) -> &'static str {
    match opening {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// How far the line of each token is indented. The text is walked once: one line may hold most of a file.
fn indents(text: &str, tokens: &[Token]) -> Vec<u32> {
    let blank = |line: &str| line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count() as u32;
    let mut indents = Vec::with_capacity(tokens.len());
    let (mut seen, mut indent) = (0, blank(text));
    for token in tokens {
        let start = token.start as usize;
        if let Some(newline) = text[seen..start].rfind('\n') {
            indent = blank(&text[seen + newline + 1..]);
        }
        seen = start;
        indents.push(indent);
    }
    indents
}
