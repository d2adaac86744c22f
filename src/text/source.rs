//! The files of one compilation and positions in them.

use std::fmt;

/// A file of a [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileId(pub u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// A place for what no text stands behind, such as a value given on the command line.
    pub const NOWHERE: Span = Span {
        file: FileId(u32::MAX),
        start: 0,
        end: 0,
    };

    /// The smallest span that covers both; spans of two files give `self`.
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// One file's text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As the user named it, or `std/NAME.ms` for the standard library.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Part of the standard library: an error is shown at the user's line, this one as a note.
    pub library: bool,
}

impl SourceFile {
    /// Whether this is what an argument of the command line says, which has no lines of its own.
    pub fn is_argument(&self) -> bool {
        self.name.starts_with("--set ")
    }
}

/// All files that a compilation read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>, library: bool) -> FileId {
        self.files.push(SourceFile {
            name: name.into(),
            text: text.into(),
            library,
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file behind an id; `None` for [`Span::NOWHERE`].
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, f)| (FileId(i as u32), f))
    }

    /// The text a span covers, empty for [`Span::NOWHERE`].
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file)
            .and_then(|f| f.text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// Line and column (in characters) of a span's start, both from 1.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(file) = self.file(span.file) else {
            return (0, 0);
        };
        let before = file.text.get(..span.start as usize).unwrap_or(&file.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// `file:line:column` of a span; of an argument of the command line the argument alone.
    pub fn place(&self, span: Span) -> String {
        match self.file(span.file) {
            Some(file) if file.is_argument() => file.name.clone(),
            Some(file) => {
                let (line, column) = self.position(span);
                format!("{}:{line}:{column}", file.name)
            }
            None => "(no place)".into(),
        }
    }
}
