//! What the compiler has to say about a spec: one [`Diagnostic`] for one cause.

use super::{Code, Span};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Suspicious, but the spec means something.
    Warning,
    /// The spec can't be compiled.
    Error,
}

/// A remark at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; may be empty for the primary place.
    pub text: String,
}

/// A replacement of text that would mend the spec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// What is replaced; empty to insert.
    pub span: Span,
    /// The new text.
    pub replacement: String,
}

/// One error or warning. The message is lower case, without a full stop, "expected X, found Y".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// What kind, for `mspec explain`.
    pub code: Code,
    /// Error or warning; follows from the code.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// Where the mistake is.
    pub primary: Label,
    /// "this 384 comes from here".
    pub secondary: Vec<Label>,
    /// What to do.
    pub help: Vec<String>,
    /// A mend that a tool can apply.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic without labels beside its place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            primary: Label {
                span,
                text: String::new(),
            },
            secondary: vec![],
            help: vec![],
            fix: None,
        }
    }

    /// Says something at the primary place.
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.primary.text = text.into();
        self
    }

    /// Adds a secondary place.
    pub fn note(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a help line.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(text.into());
        self
    }

    /// Offers a mend.
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Diagnostic {
        self.fix = Some(Fix {
            span,
            replacement: replacement.into(),
        });
        self
    }
}

/// Errors, and warnings, that are told one by one; a text that is wrong everywhere has more.
const TOLD: usize = 100;

/// Collects diagnostics, so that one mistake doesn't hide the next.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Errors and warnings beyond those that are told.
    more: [usize; 2],
}

impl Diagnostics {
    /// Adds one, unless the same is already there (a definition checked twice says it once).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.contains(&diagnostic) {
            return;
        }
        let severity = diagnostic.severity;
        match self.is_full(severity) {
            false => self.list.push(diagnostic),
            true => self.more[usize::from(severity == Severity::Warning)] += 1,
        }
    }

    /// Whether compilation has to stop.
    pub fn has_errors(&self) -> bool {
        self.told(Severity::Error) > 0
    }

    /// Those that are told, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many, told or not.
    pub fn len(&self) -> usize {
        self.list.len() + self.more[0] + self.more[1]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of a severity are told.
    pub fn told(&self, severity: Severity) -> usize {
        self.list.iter().filter(|d| d.severity == severity).count()
    }

    /// Whether no more of a severity are told, so that working one out is in vain.
    pub fn is_full(&self, severity: Severity) -> bool {
        self.told(severity) >= TOLD
    }

    /// How many of a severity are not told, as there were too many.
    pub fn more(&self, severity: Severity) -> usize {
        self.more[usize::from(severity == Severity::Warning)]
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Diagnostics) {
        other.list.into_iter().for_each(|d| self.push(d));
        for (mine, theirs) in self.more.iter_mut().zip(other.more) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::FileId;

    #[test]
    fn too_many_are_counted_but_hide_neither_errors_nor_warnings() {
        let at = |start: u32| Span {
            file: FileId(0),
            start,
            end: start + 1,
        };
        let mut all = Diagnostics::default();
        (0..150).for_each(|i| all.push(Diagnostic::new(Code::Unused, at(i), "unused")));
        assert!(!all.has_errors());
        (0..130).for_each(|i| all.push(Diagnostic::new(Code::UnknownName, at(i), "unknown")));
        all.push(Diagnostic::new(Code::UnknownName, at(0), "unknown"));
        assert!(all.has_errors());
        let counts = |s| (all.told(s), all.more(s));
        assert_eq!(
            (counts(Severity::Error), counts(Severity::Warning)),
            ((100, 30), (100, 50))
        );
        assert_eq!((all.len(), all.iter().count()), (280, 200));
        let mut twice = all.clone();
        twice.extend(all);
        assert_eq!(twice.more(Severity::Error), 60, "what is told is not counted again");
    }
}
