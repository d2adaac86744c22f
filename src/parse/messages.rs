//! Where a statement stops matching → an error in the language's own words, with a hint for what people from other
//! languages tend to write.

use super::grammar::Rule;
use super::scan::{Token, TokenKind};
use crate::ir::ast::RESERVED;
use crate::text::suggest::did_you_mean;
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

/// The settings that name columns.
const COLUMN_KEYS: [&str; 6] = ["target", "category", "ignore", "time", "columns", "rows"];

/// Words of the language that columns are called as well.
const NOUNS: [&str; 6] = ["state", "carry", "penalty", "yield", "scan", "repeat"];

/// What to write for a column of which the name is a word of the language.
fn renamed(word: &str, names_columns: bool) -> String {
    match names_columns {
        true => format!("`{word}` is a word of the language; a column of this name is written `\"{word}\" as NAME`"),
        false => format!(
            "`{word}` is a word of the language; a column of this name gets another one in `data`, by `\"{word}\" as NAME`"
        ),
    }
}

/// Where a statement stopped matching.
pub struct Stop<'a> {
    /// The file.
    pub file: FileId,
    /// Its text.
    pub text: &'a str,
    /// All tokens of the file.
    pub tokens: &'a [Token],
    /// The token that does not fit; the number of tokens at the end of the file.
    pub found: usize,
    /// The statement's first token.
    pub first: usize,
    /// The statement is an item of the top level.
    pub top: bool,
}

/// The error at a stop, where `expected` could have gone on.
pub fn syntax(stop: &Stop, expected: &[Rule]) -> Diagnostic {
    let span = stop.place();
    if stop.top && stop.found == stop.first {
        let word = stop.word(stop.found);
        let help = did_you_mean(word, ITEM_WORDS);
        let mut diagnostic = Diagnostic::new(
            Code::Syntax,
            span,
            format!("expected an item, found {}", stop.describe()),
        )
        .label("no item starts like this");
        diagnostic.help.extend(help);
        let items = "the top level holds `import`, `data`, `model`, `train`, `tune` and definitions: `def`, `loss`, \
                     `metric`, `optimizer`, `schedule`, `init`";
        return foreign_word(word)
            .into_iter()
            .fold(diagnostic, Diagnostic::help)
            .help(items);
    }
    let phrases = expectation(expected);
    let message = format!("expected {phrases}, found {}", stop.describe());
    let diagnostic = Diagnostic::new(Code::Syntax, span, message).label(format!("expected {phrases}"));
    stop.hint(diagnostic, expected)
}

impl Stop<'_> {
    fn place(&self) -> Span {
        match self.tokens.get(self.found) {
            Some(token) if token.kind == TokenKind::Newline => Span {
                end: token.start,
                ..token.span(self.file)
            },
            Some(token) => token.span(self.file),
            None => {
                let end = self.text.trim_end().len() as u32;
                Span {
                    file: self.file,
                    start: end,
                    end,
                }
            }
        }
    }

    fn word(&self, token: usize) -> &str {
        self.tokens.get(token).map_or("", |t| t.text(self.text))
    }

    fn describe(&self) -> String {
        match self.tokens.get(self.found) {
            None => "the end of the file".into(),
            Some(token) if token.kind == TokenKind::Newline => "the end of the line".into(),
            Some(token) if is_reserved(token.text(self.text)) => {
                format!("the language's word `{}`", token.text(self.text))
            }
            Some(token) => format!("`{}`", token.text(self.text)),
        }
    }

    /// Adds what the author probably meant.
    fn hint(&self, diagnostic: Diagnostic, expected: &[Rule]) -> Diagnostic {
        let word = self.word(self.found);
        let kind = self.tokens.get(self.found).map(|t| t.kind);
        let before = self.found.checked_sub(1).filter(|_| self.found > self.first);
        let previous = before.map_or("", |i| self.word(i));
        let operator_expected = expected.contains(&Rule::arrow);
        let starts = self.found == self.first;
        match word {
            _ if let Some(help) = foreign_word(self.word(self.first)) => diagnostic.help(help),
            _ if is_reserved(word) && COLUMN_KEYS.contains(&self.word(self.first)) => {
                diagnostic.help(renamed(word, true))
            }
            "->" if is_reserved(previous) && self.found == self.first + 1 => diagnostic.help(renamed(previous, false)),
            "else" => diagnostic.help("`else` follows the `}` of its `if` on the same line"),
            ":" => self.colon(diagnostic),
            "=" if is_reserved(previous) && self.found == self.first + 1 => {
                diagnostic.help(format!("`{previous}` is a word of the language; choose another name"))
            }
            "=" if self.word(self.first) == "if" || previous == "=" => diagnostic.help("a comparison is `==`"),
            "=" if operator_expected => {
                diagnostic.help("names are defined at the start of a statement; a comparison is `==`")
            }
            "(" | "[" if operator_expected && kind == Some(TokenKind::Open) => diagnostic.help(format!(
                "a `{word}` that belongs to what is left of it stands directly behind it"
            )),
            _ if is_reserved(word) && expected.contains(&Rule::name) => diagnostic.help("choose another name"),
            _ if is_reserved(word) && expected.contains(&Rule::round_close) && matches!(previous, "(" | ",") => {
                diagnostic.help(renamed(word, false))
            }
            _ if NOUNS.contains(&word) && !operator_expected => diagnostic.help(renamed(word, false)),
            _ if starts && kind == Some(TokenKind::Symbol) => {
                diagnostic.help("a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only")
            }
            _ if matches!(kind, None | Some(TokenKind::Newline)) && !operator_expected => {
                diagnostic.help("a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only")
            }
            "," if operator_expected && !previous.is_empty() => diagnostic.help("a list stands in brackets: `[a, b]`"),
            _ => diagnostic,
        }
    }

    fn colon(&self, diagnostic: Diagnostic) -> Diagnostic {
        match self.word(self.first) {
            "if" | "repeat" | "scan" | "def" => diagnostic.help("a body stands in braces: `{ … }`"),
            _ if self.found == self.first + 1 => {
                diagnostic.help("a setting's value follows its key without a `:`; a name is given a value with `=`")
            }
            _ => diagnostic,
        }
    }
}

fn is_reserved(word: &str) -> bool {
    // `where` is a function as well.
    word != "where" && RESERVED.contains(&word)
}

/// How the language says what starts with another language's word.
fn foreign_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "return" => "the value of a definition is its last line, without `return`",
        "for" | "while" | "loop" => "`repeat i < n { … }` writes its body n times; `scan t { … }` walks along an axis",
        "let" | "var" | "const" | "auto" => "a name is given its value by `name = …`",
        "elif" | "elsif" | "elseif" => "this is written `} else if … {`",
        "lambda" => "a layer without a name is written in braces: `{ linear(4) -> relu }`",
        "fn" | "func" | "function" | "class" | "struct" => {
            "a definition is `def name(x[..], size) { … }`, a model `model name { … }`"
        }
        "from" | "include" | "use" | "using" => "another file's definitions come with `import \"file.ms\"`",
        "assert" => "a condition is demanded by `require condition, \"message\"`",
        "switch" | "match" | "case" => "a choice is `if … { } else if … { } else { }`",
        _ => return None,
    })
}

/// "an operator, `,` or `)`".
fn expectation(rules: &[Rule]) -> String {
    // Where an operator may follow, a statement may as well end.
    let ends = |rule: &Rule| *rule == Rule::brace_close && rules.contains(&Rule::arrow);
    let phrase = |rule: &Rule| match ends(rule) {
        true => Some((9, "the end of the statement")),
        false => phrase(*rule),
    };
    let mut phrases: Vec<(u8, &str)> = rules.iter().filter_map(phrase).collect();
    phrases.sort_unstable();
    phrases.dedup();
    let phrases: Vec<&str> = phrases.into_iter().map(|(_, phrase)| phrase).collect();
    match phrases.as_slice() {
        [] => "the end of the statement".into(),
        [one] => one.to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// What a rule is called in an error, after its place in the list; `None` for what would make the list long without
/// helping, such as each single operator.
fn phrase(rule: Rule) -> Option<(u8, &'static str)> {
    Some(match rule {
        Rule::expression | Rule::bare_expression | Rule::operand | Rule::bare_operand => (0, "an expression"),
        Rule::quantity | Rule::applied | Rule::chain | Rule::equation => (0, "an expression"),
        Rule::index => (0, "an index"),
        Rule::group_of_items | Rule::groups => (0, "a value"),
        Rule::name | Rule::declared | Rule::word => (1, "a name"),
        Rule::key | Rule::called_key | Rule::setting => (1, "a setting"),
        Rule::parameter => (1, "a parameter"),
        Rule::text => (2, "a string in quotes"),
        Rule::number => (2, "a number"),
        Rule::layer_type => (2, "`layer`"),
        Rule::element_type => (2, "`ids`, `real` or `condition`"),
        Rule::arrow => (3, "an operator"),
        Rule::else_word | Rule::otherwise => (4, "`else`"),
        Rule::assign => (5, "`=`"),
        Rule::tilde => (5, "`~`"),
        Rule::colon => (5, "`:`"),
        Rule::comma => (6, "`,`"),
        Rule::round_open => (7, "`(`"),
        Rule::brace_open | Rule::block | Rule::settings => (7, "`{`"),
        Rule::round_close => (8, "`)`"),
        Rule::square_close => (8, "`]`"),
        Rule::brace_close => (8, "`}`"),
        _ => return None,
    })
}
