//! How deep the tree of an expression will be, counted on the tokens: operators in a row, brackets inside each other
//! and brackets behind each other. An upper bound, so that building and walking the tree may recurse.

use super::limits;

/// The count of one file, fed token by token.
pub struct Depth {
    levels: Vec<Level>,
}

/// Within one bracket.
#[derive(Default)]
struct Level {
    /// Operators since the last comma or separator.
    operators: usize,
    /// Brackets and dots since the last operator: `f(a)(b).c`.
    applied: usize,
    /// The deepest of what stands between the operators.
    operand: usize,
    /// The deepest expression so far.
    deepest: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.operators + self.operand
    }

    fn separate(&mut self) {
        *self = Level {
            deepest: self.deepest.max(self.depth()),
            ..Level::default()
        };
    }
}

impl Depth {
    /// At the start of a file.
    pub fn new() -> Depth {
        Depth {
            levels: vec![Level::default()],
        }
    }

    fn last(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the file's own level is never popped")
    }

    /// A bracket that has a partner.
    pub fn open(&mut self) {
        self.last().applied += 1;
        self.levels.push(Level::default());
    }

    /// The partner of an opened bracket.
    pub fn close(&mut self) {
        let mut inner = self.levels.pop().expect("opened before");
        inner.separate();
        let level = self.last();
        level.operand = level.operand.max(inner.deepest + 1 + level.applied);
    }

    /// A comma or the end of a statement.
    pub fn separate(&mut self) {
        self.last().separate();
    }

    /// Any other word or symbol.
    pub fn token(&mut self, text: &str) {
        let level = self.last();
        match text {
            "." => {
                level.applied += 1;
                level.operand = level.operand.max(level.applied);
            }
            "not" | "and" | "or" | "div" | "mod" | "as" | "else" => {
                level.operators += 1;
                level.applied = 0;
            }
            _ if text.starts_with(|c: char| c.is_ascii_punctuation() && c != '_' && c != '"') && text != ".." => {
                level.operators += 1;
                level.applied = 0;
            }
            _ => {}
        }
    }

    /// Beyond [`limits::DEPTH`].
    pub fn is_too_deep(&self) -> bool {
        self.levels
            .last()
            .is_some_and(|level| level.depth().max(level.applied) > limits::DEPTH)
    }
}
