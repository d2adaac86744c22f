//! What stands between two tokens of a line: a space or nothing. Never a newline.

use super::tree::Leaf;
use crate::parse::scan::TokenKind;

/// What was written last, as far as the next space depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// The start of a line, of a bracket's inside or of a setting's value.
    Start,
    /// A name, a number or a string.
    Operand,
    /// A word that an operand follows.
    OperatorWord,
    /// `where`, which may also be the function's name.
    Where,
    /// A symbol with an operand on its right.
    Operator,
    /// A symbol that holds on to what follows: `^`, `.`, a sign.
    Tight,
    /// `)` or `]`.
    Close,
    /// The bracket of a reduction: `sum[i]`.
    Reduction,
    /// `}`.
    Brace,
    /// `..`, which is an operand.
    Rest,
}

/// Whether a space stands before a token, and what the token is to the next one.
pub fn before_leaf(before: Before, leaf: &Leaf) -> (bool, Before) {
    let wide = !matches!(before, Before::Start | Before::Tight);
    match (leaf.kind, leaf.text) {
        (TokenKind::Symbol, "," | ";" | ":") => (false, Before::Operator),
        (TokenKind::Symbol, "%") => (false, Before::Operand),
        (TokenKind::Symbol, "^" | ".") => (false, Before::Tight),
        (TokenKind::Symbol, "..") => (wide, Before::Rest),
        (TokenKind::Symbol, "-") if !ends_operand(before) => (wide, Before::Tight),
        (TokenKind::Symbol, _) => (wide, Before::Operator),
        (TokenKind::Word, "where") => (wide, Before::Where),
        (TokenKind::Word, word) if is_operator_word(word) => (wide, Before::OperatorWord),
        _ => (wide, Before::Operand),
    }
}

/// Whether a space stands before an opening bracket. Behind an operand it is the author's: `a[i]` is an element and
/// `a [i]` an item with a list behind it.
pub fn before_group(before: Before, open: &Leaf) -> bool {
    match before {
        Before::Start | Before::Tight => false,
        Before::Operand | Before::Where | Before::Close => !open.attached,
        Before::Operator | Before::OperatorWord | Before::Reduction | Before::Brace | Before::Rest => true,
    }
}

fn ends_operand(before: Before) -> bool {
    matches!(before, Before::Operand | Before::Close | Before::Brace | Before::Rest)
}

fn is_operator_word(word: &str) -> bool {
    matches!(
        word,
        "and" | "or" | "not" | "div" | "mod" | "if" | "else" | "repeat" | "yield" | "penalty" | "require"
    )
}

/// Whether a word in front of `[` makes it a reduction's bracket.
pub fn is_reduction(word: &str) -> bool {
    matches!(word, "sum" | "mean" | "max" | "min" | "prod" | "argmax" | "argsort")
}
