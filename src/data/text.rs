//! `text`: a UTF-8 file in, windows of ids out: `tokens[time]` and `next[time]`, both below `vocab`.
//! A record is the offset of a window. The file is cut by position, training windows start anywhere in the
//! training part, evaluation takes consecutive windows that do not overlap. No window crosses a part's end.

use super::order::{Order, Selection};
use super::{DataError, Dataset, Part, Row, Source, file, split};
use crate::ir::experiment::{DataPath, DataSettings, Schema, SchemaTensor, Tokens};
use crate::ir::graph::Element;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

struct Text {
    ids: Vec<u16>,
    window: usize,
    vocabulary: Vocabulary,
}

/// What ids stand for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// These characters, in the order of their ids.
    Characters(String),
    /// Each byte is its own id.
    Bytes,
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
        }
    }

    /// The bytes that an id stands for.
    pub fn decode(&self, id: usize) -> Vec<u8> {
        match self {
            Vocabulary::Bytes => vec![id as u8],
            Vocabulary::Characters(known) => known.chars().nth(id).map_or(vec![], |c| c.to_string().into_bytes()),
        }
    }
}

/// Characters of Unicode's first planes are at most this many distinct ones in a usable vocabulary.
const VOCABULARY_MAX: usize = 1 << 16;

pub(super) fn open(
    settings: &DataSettings,
    base: &Path,
    path: &DataPath,
    tokens: &Tokens,
    window: usize,
) -> Result<Dataset, DataError> {
    let at = file::resolve(path, base);
    let (bytes, fingerprint) = file::read_unpacked(path, &at)?;
    let (ids, vocabulary, bound) = match tokens {
        Tokens::Bytes => (bytes.iter().map(|&b| u16::from(b)).collect(), Vocabulary::Bytes, 256),
        Tokens::Characters => characters(&bytes, path, &at)?,
    };
    let ends = split::cut(ids.len(), &settings.split);
    let shares = [settings.split.train, settings.split.validation, settings.split.test];
    let mut evaluation = Part::ALL.map(|_| Selection::List(vec![]));
    for part in Part::ALL {
        let start = if part == Part::Train {
            0
        } else {
            ends[part as usize - 1]
        };
        let length = ends[part as usize] - start;
        if shares[part as usize] > 0.0 && length <= window {
            return Err(DataError::new(
                path.span,
                format!(
                    "the {part} part of {} has {length} tokens, too few for a window of {window} and the token that follows",
                    at.display()
                ),
            )
            .help("make `window` smaller, give the part a larger share, or use a longer text"));
        }
        evaluation[part as usize] = Selection::Every {
            first: start,
            stride: window,
            count: length.saturating_sub(1) / window,
        };
    }
    if settings.split.stratified {
        return Err(
            DataError::new(settings.split.span, "a text has no classes to stratify by")
                .help("leave `stratified` out: a text is divided by position"),
        );
    }
    let (training, order) = if settings.shuffle {
        let offsets = Selection::Every {
            first: 0,
            stride: 1,
            count: ends[0] - window,
        };
        (offsets, Order::Drawn)
    } else {
        (evaluation[0].clone(), Order::InOrder)
    };
    let schema = schema(bound, window, (!settings.shuffle).then(|| training.len()));
    Ok(Dataset {
        source: Box::new(Text {
            ids,
            window,
            vocabulary,
        }),
        schema,
        training,
        evaluation,
        order,
        fingerprints: vec![fingerprint],
        settings: settings.clone(),
    })
}

fn schema(bound: usize, window: usize, epoch_samples: Option<usize>) -> Schema {
    let tensor = |name: &str| SchemaTensor {
        name: name.into(),
        axes: vec![("time".into(), window)],
        element: Element::Id { bound },
        bound_name: Some("vocab".into()),
        category: false,
    };
    Schema {
        tensors: vec![tensor("tokens"), tensor("next")],
        sizes: vec![("vocab".into(), bound), ("time".into(), window)],
        epoch_samples,
        ..Schema::default()
    }
}

type Encoded = (Vec<u16>, Vocabulary, usize);

fn characters(bytes: &[u8], path: &DataPath, at: &Path) -> Result<Encoded, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
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
    })?;
    let mut distinct: Vec<char> = text.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() > VOCABULARY_MAX {
        return Err(DataError::new(
            path.span,
            format!(
                "{} has {} distinct characters, more than {VOCABULARY_MAX}",
                at.display(),
                distinct.len()
            ),
        )
        .help("write `tokens byte`"));
    }
    let id = |c: char| distinct.binary_search(&c).expect("every character was collected") as u16;
    Ok((
        text.chars().map(id).collect(),
        Vocabulary::Characters(distinct.iter().collect()),
        distinct.len(),
    ))
}

impl Source for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        // An id comes from the vocabulary that made it, so its bound holds by construction.
        let start = record + tensor;
        row.set_ids(self.ids[start..start + self.window].iter().map(|&id| i32::from(id)));
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        json!({ "vocabulary": self.vocabulary })
    }
}
