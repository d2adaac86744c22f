//! Where a statement stops matching → an error in the language's own words, with a hint for what people from other
//! languages tend to write.

use super::grammar::Rule;
use super::scan::{Token, TokenKind};
use crate::text::{Code, Diagnostic, FileId, Span};

/// The words that start an item.
pub const ITEM_WORDS: [&str; 11] = [
    "import",
    "def",
    "loss",
    "metric",
    "optimizer",
    "schedule",
    "init",
    "model",
    "data",
    "train",
    "tune",
];

/// The error at the token `found` (of all `tokens`, or behind them) in a statement.
pub fn syntax(
    file: FileId,
    text: &str,
    tokens: &[Token],
    found: usize,
    statement: &[Token],
    expected: &[Rule],
) -> Diagnostic {
    let span = place(file, text, tokens, found);
    let expected = expectation(expected);
    let found_words = describe(text, tokens.get(found));
    let _ = statement;
    Diagnostic::new(Code::Syntax, span, format!("expected {expected}, found {found_words}"))
        .label(format!("expected {expected}"))
}

fn place(file: FileId, text: &str, tokens: &[Token], found: usize) -> Span {
    match tokens.get(found) {
        Some(token) => token.span(file),
        None => Span {
            file,
            start: text.len() as u32,
            end: text.len() as u32,
        },
    }
}

fn describe(text: &str, token: Option<&Token>) -> String {
    match token {
        None => "the end of the file".into(),
        Some(token) if token.kind == TokenKind::Newline => "the end of the line".into(),
        Some(token) => format!("`{}`", token.text(text)),
    }
}

/// "an operator, `,` or `)`".
fn expectation(rules: &[Rule]) -> String {
    let mut phrases: Vec<&str> = vec![];
    for phrase in rules.iter().filter_map(|rule| phrase(*rule)) {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    match phrases.as_slice() {
        [] => "something else".into(),
        [one] => one.to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::expression | Rule::bare_expression | Rule::operand | Rule::bare_operand => "an expression",
        Rule::arrow => "an operator",
        Rule::comma => "`,`",
        _ => return None,
    })
}
