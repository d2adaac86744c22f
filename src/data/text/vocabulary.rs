//! Texts in, ids out: characters, bytes, or the pieces of a tokenizer.

use super::super::file::{self, Fingerprint};
use super::{DataError, Tokenizer};
use crate::ir::experiment::{DataPath, Tokens};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A usable vocabulary has at most this many distinct characters.
const CHARACTERS_MAX: usize = 1 << 16;

/// What ids stand for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// These characters, in the order of their ids.
    Characters(String),
    /// Each byte is its own id.
    Bytes,
    /// Pieces of a tokenizer.
    Tokenizer(Tokenizer),
}

impl Vocabulary {
    /// The ids of a text, or the first character that has none.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, char> {
        match self {
            Vocabulary::Bytes => Ok(text.bytes().map(i32::from).collect()),
            Vocabulary::Characters(known) => text
                .chars()
                .map(|c| known.chars().position(|k| k == c).map(|i| i as i32).ok_or(c))
                .collect(),
            Vocabulary::Tokenizer(tokenizer) => {
                let ids = tokenizer.encode(text).map_err(|_| text.chars().next().unwrap_or(' '))?;
                Ok(ids.into_iter().map(|id| id as i32).collect())
            }
        }
    }

    /// The bytes that an id stands for.
    pub fn decode(&self, id: usize) -> Vec<u8> {
        match self {
            Vocabulary::Bytes => u8::try_from(id).map_or(vec![], |byte| vec![byte]),
            Vocabulary::Characters(known) => known.chars().nth(id).map_or(vec![], |c| c.to_string().into_bytes()),
            Vocabulary::Tokenizer(tokenizer) => tokenizer.decode(id as u32),
        }
    }
}

/// A vocabulary, ready to encode whole files.
pub(in super::super) struct Encoding {
    pub(in super::super) vocabulary: Vocabulary,
    /// One beyond the greatest id.
    pub(in super::super) bound: usize,
    /// Of the tokenizer's file.
    pub(in super::super) fingerprint: Option<Fingerprint>,
    /// Sorted, where the vocabulary is of characters.
    characters: Vec<char>,
}

impl Encoding {
    /// What the spec asks for; characters are those of `text`.
    pub(in super::super) fn open<'t>(
        tokens: &Tokens,
        base: &Path,
        text: impl FnOnce() -> Result<&'t str, DataError>,
    ) -> Result<Encoding, DataError> {
        let (vocabulary, bound, fingerprint, characters) = match tokens {
            Tokens::Bytes => (Vocabulary::Bytes, 256, None, vec![]),
            Tokens::Characters => {
                let distinct = distinct(text()?);
                if distinct.len() > CHARACTERS_MAX {
                    let message = format!("{} distinct characters are more than {CHARACTERS_MAX}", distinct.len());
                    return Err(DataError::new(crate::text::Span::NOWHERE, message).help("write `tokens byte`"));
                }
                let vocabulary = Vocabulary::Characters(distinct.iter().collect());
                (vocabulary, distinct.len(), None, distinct)
            }
            Tokens::Tokenizer { kind, path } => {
                let at = file::resolve(path, base);
                let (bytes, fingerprint) = file::read(path, &at)?;
                let tokenizer = Tokenizer::parse(bytes, *kind)
                    .map_err(|e| DataError::new(path.span, format!("{}: {}", at.display(), e.0)).help(e.1))?;
                let bound = tokenizer.bound();
                (Vocabulary::Tokenizer(tokenizer), bound, Some(fingerprint), vec![])
            }
        };
        Ok(Encoding {
            vocabulary,
            bound,
            fingerprint,
            characters,
        })
    }

    /// The ids of a text whose characters are known; or why a tokenizer refuses it.
    pub(in super::super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        match &self.vocabulary {
            Vocabulary::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Vocabulary::Characters(_) => {
                let id = |c: char| self.characters.partition_point(|&known| known < c) as u32;
                Ok(text.chars().map(id).collect())
            }
            Vocabulary::Tokenizer(tokenizer) => tokenizer.encode(text),
        }
    }

    /// The id of the first of these pieces that the tokenizer has; `None` for characters and bytes.
    pub(in super::super) fn piece(&self, names: &[&str]) -> Option<u32> {
        match &self.vocabulary {
            Vocabulary::Tokenizer(tokenizer) => names.iter().find_map(|name| tokenizer.id(name)),
            Vocabulary::Characters(_) | Vocabulary::Bytes => None,
        }
    }

    /// Whether special pieces have ids already; else they get ids behind the others.
    pub(in super::super) fn has_pieces(&self) -> bool {
        matches!(self.vocabulary, Vocabulary::Tokenizer(_))
    }
}

fn distinct(text: &str) -> Vec<char> {
    let mut ascii = [false; 128];
    let mut others = std::collections::BTreeSet::new();
    for c in text.chars() {
        match ascii.get_mut(c as usize) {
            Some(seen) => *seen = true,
            None => {
                others.insert(c);
            }
        }
    }
    let known = (0u8..128).filter(|&c| ascii[usize::from(c)]).map(char::from);
    known.chain(others).collect()
}

/// The bytes of a file as text, without the mark that some editors put in front of UTF-8.
pub(in super::super) fn utf8<'b>(bytes: &'b [u8], path: &DataPath, at: &Path) -> Result<&'b str, DataError> {
    let text = std::str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    text.map_err(|error| {
        let offset = error.valid_up_to();
        let line = bytes[..offset].iter().filter(|&&b| b == b'\n').count() + 1;
        DataError::new(
            path.span,
            format!(
                "{} is not valid UTF-8: byte 0x{:02x} in line {line} (offset {offset})",
                at.display(),
                bytes[offset]
            ),
        )
        .help("convert the file to UTF-8, or write `tokens byte`")
    })
}
