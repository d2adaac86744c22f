//! Text and tokens → the statements of each block, and the text as the grammar reads it: comments and the newlines
//! that end nothing are blanked byte for byte, so that every place stays the same.
//! Knows lines and brackets, never what a statement means.

use super::brackets::Brackets;
use super::depth::Depth;
use super::limits;
use super::scan::{Token, TokenKind};
use crate::text::{Code, Diagnostic, FileId};

/// A statement, a setting or an item: what separators and braces cut the text into.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its first token.
    pub first: usize,
    /// Its last significant token.
    pub last: usize,
    /// The piece within whose braces it stands; `None` for an item.
    pub parent: Option<usize>,
    /// Holds a token or bracket that was already reported.
    pub broken: bool,
}

/// The cut text.
pub struct Layout {
    /// As long as the file's text.
    pub prepared: String,
    /// In the order in which they start.
    pub pieces: Vec<Piece>,
}

/// Cuts a file into pieces. Fails beyond [`limits::DEPTH`].
pub fn lay_out(file: FileId, text: &str, tokens: &[Token], brackets: &Brackets) -> Result<Layout, Diagnostic> {
    let mut walk = Walk {
        brackets,
        lonely: brackets.lonely.iter().map(|(i, _)| *i).collect(),
        pieces: vec![],
        open: vec![],
        current: None,
        depth: Depth::new(),
    };
    walk.lonely.sort_unstable();
    let arrow_next = arrow_next(text, tokens);
    let mut prepared = text.as_bytes().to_vec();
    let mut blank = |token: &Token| prepared[token.start as usize..token.end as usize].fill(b' ');
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Comment => blank(token),
            TokenKind::Newline if walk.in_parentheses() || arrow_next[i] => blank(token),
            TokenKind::Newline => walk.separate(),
            TokenKind::Symbol if token.text(text) == ";" && !walk.in_parentheses() => walk.separate(),
            _ => walk.token(i, token, text),
        }
        if walk.depth.is_too_deep() {
            let message = format!("an expression of more than {} operators and brackets", limits::DEPTH);
            return Err(Diagnostic::new(Code::NestingTooDeep, token.span(file), message)
                .label("it goes on here")
                .help("give a part of it a name: `h = …`"));
        }
    }
    if text.starts_with('\u{feff}') {
        prepared[..'\u{feff}'.len_utf8()].fill(b' ');
    }
    let prepared = String::from_utf8(prepared).expect("whole tokens were replaced by spaces");
    Ok(Layout {
        prepared,
        pieces: walk.pieces,
    })
}

/// For each newline whether the next significant token is `->`.
fn arrow_next(text: &str, tokens: &[Token]) -> Vec<bool> {
    let mut next = false;
    let mut all: Vec<bool> = tokens
        .iter()
        .rev()
        .map(|token| {
            if token.is_significant() {
                next = token.text(text) == "->";
            }
            next
        })
        .collect();
    all.reverse();
    all
}

struct Walk<'a> {
    brackets: &'a Brackets,
    lonely: Vec<usize>,
    pieces: Vec<Piece>,
    /// Brackets around the current token: a brace holds pieces and remembers the piece it stands in.
    open: Vec<Bracket>,
    current: Option<usize>,
    depth: Depth,
}

enum Bracket {
    Parenthesis,
    Brace(Option<usize>),
}

impl Walk<'_> {
    fn in_parentheses(&self) -> bool {
        matches!(self.open.last(), Some(Bracket::Parenthesis))
    }

    fn separate(&mut self) {
        self.current = None;
        self.depth.separate();
    }

    /// Extends the current piece to a token, or starts one.
    fn extend(&mut self, i: usize) -> usize {
        let parent = self.open.iter().rev().find_map(|b| match b {
            Bracket::Brace(piece) => Some(*piece),
            Bracket::Parenthesis => None,
        });
        let piece = *self.current.get_or_insert_with(|| {
            self.pieces.push(Piece {
                first: i,
                last: i,
                parent: parent.flatten(),
                broken: false,
            });
            self.pieces.len() - 1
        });
        self.pieces[piece].last = i;
        piece
    }

    fn token(&mut self, i: usize, token: &Token, text: &str) {
        if self.brackets.forced_starts.binary_search(&i).is_ok() {
            self.separate();
        }
        match (token.kind, self.brackets.partner(i)) {
            (TokenKind::Open, Some(_)) => {
                let piece = self.extend(i);
                self.depth.open();
                match token.text(text) {
                    "{" => {
                        self.open.push(Bracket::Brace(Some(piece)));
                        self.current = None;
                    }
                    _ => self.open.push(Bracket::Parenthesis),
                }
            }
            (TokenKind::Close, Some(_)) => {
                self.depth.close();
                if let Some(Bracket::Brace(piece)) = self.open.pop() {
                    self.current = piece;
                }
                self.extend(i);
            }
            _ => {
                let piece = self.extend(i);
                self.pieces[piece].broken |= token.kind == TokenKind::Strange || self.lonely.binary_search(&i).is_ok();
                match token.text(text) {
                    "," => self.depth.separate(),
                    other => self.depth.token(other),
                }
            }
        }
    }
}
