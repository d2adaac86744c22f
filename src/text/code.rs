//! The catalog of diagnostic codes: number, severity and explanation of each, in one table.
//! `mspec explain` prints it; a test demands a wrong spec for every code.

use super::Severity;
use std::fmt;

macro_rules! codes {
    ($($name:ident $number:literal $severity:ident $title:literal $explanation:literal;)*) => {
        /// The kind of a diagnostic.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the table's titles document the variants")]
        pub enum Code { $($name),* }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Four digits; the first tells the stage.
            pub fn number(self) -> u16 { match self { $(Code::$name => $number),* } }
            /// Error or warning.
            pub fn severity(self) -> Severity { match self { $(Code::$name => Severity::$severity),* } }
            /// The kind in a few words.
            pub fn title(self) -> &'static str { match self { $(Code::$name => $title),* } }
            /// What it means and what to do, with an example.
            pub fn explanation(self) -> &'static str { match self { $(Code::$name => $explanation),* } }
        }
    };
}

// 01xx text and syntax · 02xx names · 03xx shapes and sizes · 04xx definitions and calls · 05xx data and
// training sections · 06xx limits · 09xx lint (warnings).
codes! {
    InvalidText 101 Error "the file is not valid UTF-8"
        "A spec is a text file in UTF-8. The place shown is the first byte that is not.";
    Syntax 102 Error "the text does not follow the grammar"
        "The message says what was expected at the place shown. Parsing goes on after the statement, so that one mistake does not hide the next.";
    UnknownName 201 Error "a name is not defined"
        "Names are looked up in the block, the definition, the file, its imports and the standard library, in this order. The nearest known names are suggested.";
    DuplicateName 202 Error "a name is defined twice"
        "One level (a block, a definition, a file) defines a name once. Rename one of the two.";
    ShapeMismatch 301 Error "two sizes that must agree differ"
        "An index that stands alone at two axes demands that they have the same size. The labels show both axes and where each size comes from.";
    SizeTooLarge 601 Error "a size is beyond the limit"
        "Sizes, repeats, nesting and the file itself are limited, so that a wrong number ends in an error and not in an exhausted machine.";
}

impl Code {
    /// Finds a code by what the user types: `E0301`, `W0901` or `301`.
    pub fn find(text: &str) -> Option<Code> {
        let digits = text.trim_start_matches(['E', 'W', 'e', 'w']);
        let number: u16 = digits.parse().ok()?;
        Code::ALL.iter().copied().find(|c| c.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.severity() {
            Severity::Error => 'E',
            Severity::Warning => 'W',
        };
        write!(f, "{letter}{:04}", self.number())
    }
}
