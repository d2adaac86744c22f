//! What people write who come from other languages, and what it is called here: messages for symbols, characters and
//! words that are not the language's.

use super::scan::TokenKind;
use crate::text::{Code, Diagnostic, Span};

/// A mistake at one place: what is wrong, what to do, and the text that would be right.
pub struct Slip {
    message: String,
    label: &'static str,
    help: Option<String>,
    replacement: Option<&'static str>,
}

impl Slip {
    /// The slip as an error at a place.
    pub fn diagnostic(self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(Code::Syntax, span, self.message).label(self.label);
        diagnostic.help.extend(self.help);
        match self.replacement {
            Some(replacement) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

fn slip(message: impl Into<String>, label: &'static str, help: impl Into<String>) -> Slip {
    Slip {
        message: message.into(),
        label,
        help: Some(help.into()),
        replacement: None,
    }
}

fn replace(message: impl Into<String>, label: &'static str, replacement: &'static str) -> Slip {
    Slip {
        message: message.into(),
        label,
        help: None,
        replacement: Some(replacement),
    }
}

/// A word beyond the limit.
pub fn long_word() -> Slip {
    slip("a name of more than 200 characters", "", "give it a short name")
}

/// A number beyond the limit.
pub fn long_number() -> Slip {
    slip(
        "a number of more than 200 digits",
        "",
        "write it with an exponent: `1e300`",
    )
}

/// A number that is too large for float64, or that it takes for 0 though a digit is not.
pub fn beyond_numbers(number: &str) -> Option<Slip> {
    let (digits, scale) = match number.as_bytes().last() {
        Some(b'k') => (&number[..number.len() - 1], 1e3),
        Some(b'M') => (&number[..number.len() - 1], 1e6),
        _ => (number, 1.0),
    };
    let value: f64 = digits.parse::<f64>().unwrap_or(f64::INFINITY) * scale;
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    if value.is_infinite() {
        let message = format!("`{number}` is beyond the greatest number, about 1.8e308");
        Some(slip(message, "", "a number without limit is written `inf`"))
    } else if value == 0.0 && mantissa.contains(|c: char| ('1'..='9').contains(&c)) {
        let message = format!("`{number}` is nearer to 0 than the least number, about 5e-324");
        Some(slip(message, "", "write `0`, or a number that is kept"))
    } else {
        None
    }
}

/// A name with letters outside a to z.
pub fn foreign_letters(word: &str) -> Slip {
    slip(
        format!("`{word}` is not a name"),
        "not a letter of a name",
        "names have the letters a to z, digits and underscores; column names in the data are strings: `\"größe\"`",
    )
}

/// A number with something behind it that belongs to no number.
pub fn number(digits: &str, suffix: &str) -> Slip {
    let message = format!("`{digits}{suffix}` is not a number");
    if suffix.starts_with('_') {
        return slip(message, "no underscores in a number", "write `1000`, `1k` or `1e3`");
    }
    const UNITS: [&str; 9] = [
        "deg", "degrees", "steps", "epochs", "tokens", "samples", "seconds", "minutes", "hours",
    ];
    if UNITS.contains(&suffix) {
        return slip(
            message,
            "",
            format!("a unit stands behind a space: `{digits} {suffix}`"),
        );
    }
    slip(
        message,
        "unknown ending",
        format!(
            "a product is written with `*`: `{digits} * {suffix}`; only `k` (thousand) and `M` (million) follow a number directly"
        ),
    )
}

/// A string whose quote does not end on its line.
pub fn open_string() -> Slip {
    slip(
        "the string does not end on its line",
        "this quote is never closed",
        "close it with `\"`; inside a string a quote is written `\\\"`",
    )
}

/// A character that starts nothing.
pub fn character(c: char) -> Slip {
    let shown = if c.is_control() || c == '\u{feff}' {
        format!("U+{:04X}", c as u32)
    } else {
        format!("`{c}`")
    };
    match c {
        '\u{a0}' | '\u{200b}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => Slip {
            label: "looks like a space",
            ..replace(format!("U+{:04X} is no space of the language", c as u32), "", " ")
        },
        _ if c.is_alphabetic() => slip(
            format!("{shown} is no letter of a name"),
            "",
            "names have the letters a to z, digits and underscores; column names in the data are strings",
        ),
        _ => Slip {
            message: format!("{shown} has no meaning here"),
            label: "",
            help: None,
            replacement: None,
        },
    }
}

/// Symbols of other languages at the start of `rest`, with their length. `before` is the token in front.
pub fn symbol(rest: &str, before: Option<TokenKind>) -> Option<(usize, Slip)> {
    let table: &[(&str, &str, &str, Option<&'static str>)] = &[
        (
            "...",
            "`...` is written `..`",
            "all axes that the bracket does not name are `..`",
            Some(".."),
        ),
        (
            "…",
            "`…` is written `..`",
            "all axes that the bracket does not name are `..`",
            Some(".."),
        ),
        ("**", "`**` is written `^`", "a power is `x^2`", Some("^")),
        (
            "//",
            "`//` is no operator",
            "whole division is `div`, as in `width div heads`; a comment starts with `#`",
            None,
        ),
        ("&&", "`&&` is written `and`", "", Some("and")),
        ("||", "`||` is written `or`", "", Some("or")),
        (
            "+=",
            "`+=` is no operator",
            "names are defined once; a state is updated with `<-`, as in `m <- m + grad`",
            None,
        ),
        (
            "-=",
            "`-=` is no operator",
            "names are defined once; a state is updated with `<-`, as in `param <- param - lr * grad`",
            None,
        ),
        (
            "*=",
            "`*=` is no operator",
            "names are defined once; a state is updated with `<-`, as in `m <- beta * m`",
            None,
        ),
        (
            "/=",
            "`/=` is no operator",
            "names are defined once; a state is updated with `<-`; unequal is `!=`",
            None,
        ),
        (":=", "`:=` is written `=`", "", Some("=")),
        ("=>", "`=>` is written `->`", "", Some("->")),
        ("|>", "`|>` is written `->`", "", Some("->")),
        ("→", "`→` is written `->`", "", Some("->")),
        ("←", "`←` is written `<-`", "", Some("<-")),
        ("≤", "`≤` is written `<=`", "", Some("<=")),
        ("≥", "`≥` is written `>=`", "", Some(">=")),
        ("≠", "`≠` is written `!=`", "", Some("!=")),
        ("×", "`×` is written `*`", "", Some("*")),
        ("·", "`·` is written `*`", "", Some("*")),
        ("−", "the minus sign `−` is written `-`", "", Some("-")),
        ("–", "the dash `–` is written `-`", "", Some("-")),
        ("“", "a string has straight quotes", "write `\"…\"`", Some("\"")),
        ("”", "a string has straight quotes", "write `\"…\"`", Some("\"")),
        ("„", "a string has straight quotes", "write `\"…\"`", Some("\"")),
        ("‘", "a string has straight quotes", "write `\"…\"`", Some("\"")),
        ("’", "a string has straight quotes", "write `\"…\"`", Some("\"")),
        ("'", "a string has double quotes", "write `\"…\"`", Some("\"")),
        ("`", "a string has double quotes", "write `\"…\"`", Some("\"")),
        (
            "@",
            "`@` is no operator",
            "a matrix product is written with its indices: `y[.., o] = sum[i] x[.., i] * w[i, o]`",
            None,
        ),
        ("&", "`&` is written `and`", "", Some("and")),
        (
            "?",
            "`?` is no operator",
            "a choice is `if … { … } else { … }`, or for each element `where(condition, a, b)`",
            None,
        ),
        (
            "\\",
            "a line needs no `\\` to go on",
            "inside parentheses and brackets, and before a line that starts with `->`, a newline ends nothing",
            None,
        ),
        ("$", "`$` has no meaning here", "a name is written without `$`", None),
    ];
    if rest.starts_with('!') && !rest.starts_with("!=") {
        return Some((1, replace("`!` is written `not`", "", "not ")));
    }
    if rest.starts_with('%') && before != Some(TokenKind::Number) {
        let slip = slip(
            "`%` is percent, behind a number",
            "not behind a number",
            "the remainder is `mod`, as in `width mod heads`",
        );
        return Some((1, slip));
    }
    let (written, message, help, replacement) = table.iter().find(|(written, ..)| rest.starts_with(written))?;
    let help = (!help.is_empty()).then(|| help.to_string());
    let slip = Slip {
        message: message.to_string(),
        label: "",
        help,
        replacement: *replacement,
    };
    Some((written.len(), slip))
}
