//! Text → tokens with their places, comments and newlines among them. One linear pass that knows the shapes of words,
//! numbers, strings and symbols, and reports what can't be one; it never looks at what the tokens mean together.

use super::limits;
use super::slips;
use crate::text::{Code, Diagnostic, FileId, Span};

/// What kind of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// A name or a keyword.
    Word,
    /// `12`, `1e-3`, `2k`, without a unit.
    Number,
    /// `"…"`.
    Text,
    /// An operator or a punctuation mark.
    Symbol,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// `#` to the end of the line.
    Comment,
    /// The end of a line.
    Newline,
    /// What is no token of the language; it has been reported.
    Strange,
}

/// A piece of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// What kind.
    pub kind: TokenKind,
    /// Offset of its first byte.
    pub start: u32,
    /// Offset behind its last byte.
    pub end: u32,
}

impl Token {
    /// The text of the token.
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start as usize..self.end as usize]
    }

    /// Where the token is.
    pub fn span(&self, file: FileId) -> Span {
        Span {
            file,
            start: self.start,
            end: self.end,
        }
    }

    /// Neither a comment nor a newline.
    pub fn is_significant(&self) -> bool {
        !matches!(self.kind, TokenKind::Comment | TokenKind::Newline)
    }
}

/// All tokens of a text and what was wrong with single ones. `None` stands for a text beyond [`limits::TOKENS`].
pub struct Scan {
    /// In order; spaces are between them, and a byte order mark in front.
    pub tokens: Vec<Token>,
    /// Each lies in a [`TokenKind::Strange`] token.
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts a text into tokens. Fails only beyond a limit.
pub fn scan(file: FileId, text: &str) -> Result<Scan, Diagnostic> {
    let mut scanner = Scanner {
        file,
        text,
        at: 0,
        tokens: vec![],
        diagnostics: vec![],
    };
    if text.starts_with('\u{feff}') {
        scanner.at = '\u{feff}'.len_utf8();
    }
    while scanner.at < text.len() {
        scanner.token();
        if scanner.tokens.len() > limits::TOKENS {
            let last = scanner.tokens[limits::TOKENS];
            let span = Span {
                file,
                start: last.start,
                end: last.end,
            };
            return Err(Diagnostic::new(
                Code::TextTooLong,
                span,
                format!("more than {} words and symbols in one file", limits::TOKENS),
            )
            .label("this is one too many")
            .help("split the file and `import` its parts"));
        }
    }
    Ok(Scan {
        tokens: scanner.tokens,
        diagnostics: scanner.diagnostics,
    })
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
}

/// Longest first.
const SYMBOLS: [&str; 22] = [
    "->", "<-", "..", "==", "!=", "<=", ">=", "=", "+", "-", "*", "/", "^", "<", ">", ",", ";", ":", "|", ".", "~", "%",
];

impl Scanner<'_> {
    fn token(&mut self) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().expect("not at the end");
        match first {
            ' ' | '\t' | '\r' => self.at += 1,
            '\n' => self.push(TokenKind::Newline, 1),
            '#' => self.push(
                TokenKind::Comment,
                rest.find('\n').map_or(rest.len(), |end| rest[..end].trim_end().len()),
            ),
            'a'..='z' | 'A'..='Z' | '_' => self.word(rest),
            '0'..='9' => self.number(rest),
            '"' => self.string(rest),
            '(' | '[' | '{' => self.push(TokenKind::Open, 1),
            ')' | ']' | '}' => self.push(TokenKind::Close, 1),
            _ => self.symbol(rest, first),
        }
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let start = self.at as u32;
        self.at += length;
        self.tokens.push(Token {
            kind,
            start,
            end: self.at as u32,
        });
    }

    fn strange(&mut self, length: usize, slip: slips::Slip) {
        let span = Span {
            file: self.file,
            start: self.at as u32,
            end: (self.at + length) as u32,
        };
        self.diagnostics.push(slip.diagnostic(span));
        self.push(TokenKind::Strange, length);
    }

    fn word(&mut self, rest: &str) {
        let length = continuing(rest);
        match () {
            () if length > limits::WORD_BYTES => self.strange(length, slips::long_word()),
            () => match rest[length..].chars().next() {
                Some(next) if next.is_alphanumeric() => {
                    let length = rest
                        .find(|c: char| !c.is_alphanumeric() && c != '_')
                        .unwrap_or(rest.len());
                    self.strange(length, slips::foreign_letters(&rest[..length]));
                }
                _ => self.push(TokenKind::Word, length),
            },
        }
    }

    fn number(&mut self, rest: &str) {
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if digits((end + 1 + sign).min(bytes.len())) > 0 {
                end += 1 + sign + digits(end + 1 + sign);
            }
        }
        let tail = continuing(&rest[end..]);
        let suffix = &rest[end..end + tail];
        match suffix {
            _ if end + tail > limits::WORD_BYTES => self.strange(end + tail, slips::long_number()),
            "" | "k" | "M" => self.push(TokenKind::Number, end + tail),
            _ => self.strange(end + tail, slips::number(&rest[..end], suffix)),
        }
    }

    fn string(&mut self, rest: &str) {
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => return self.strange(rest[..i].trim_end().len(), slips::open_string()),
                '"' if !escaped => return self.push(TokenKind::Text, i + 1),
                _ => escaped = c == '\\' && !escaped,
            }
        }
        self.strange(rest.trim_end().len(), slips::open_string());
    }

    fn symbol(&mut self, rest: &str, first: char) {
        if let Some((length, slip)) = slips::symbol(rest, self.tokens.last().map(|t| t.kind)) {
            return self.strange(length, slip);
        }
        match SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            Some(symbol) => self.push(TokenKind::Symbol, symbol.len()),
            None => self.strange(first.len_utf8(), slips::character(first)),
        }
    }
}

/// How many bytes of letters, digits and underscores a text starts with.
fn continuing(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}
