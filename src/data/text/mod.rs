//! `text`: a UTF-8 file in, windows of ids out: `tokens[time]` and `next[time]`, both below `vocab`; with `masked`
//! `tokens`, `original` and `chosen[time]`. A record is the offset of a window. The file is cut by position, training
//! windows start anywhere in the training part, evaluation takes consecutive windows that do not overlap. No window
//! crosses a part's end.

mod masking;
mod tokenizer;
#[cfg(all(test, feature = "tokenizers"))]
mod tokenizer_test;
mod vocabulary;

pub use tokenizer::Tokenizer;
pub use vocabulary::Vocabulary;

use super::order::{Order, Selection};
use super::{Batch, DataError, Dataset, Part, Row, Source, TrainingSamples, file, split, stated};
use crate::ir::experiment::{DataPath, DataSettings, Schema, SchemaTensor, StatedBound, Tokens};
use crate::ir::graph::Element;
use masking::{Masking, Remade};
use serde_json::json;
use std::path::Path;
pub(super) use vocabulary::Encoding;

struct Text {
    ids: Vec<u32>,
    window: usize,
    vocabulary: Vocabulary,
    masking: Option<Masking>,
}

/// What the section says of a text.
pub(super) struct Asked<'a> {
    pub(super) path: &'a DataPath,
    pub(super) tokens: &'a Tokens,
    pub(super) vocab: Option<StatedBound>,
    pub(super) window: usize,
    pub(super) masked: Option<f64>,
}

pub(super) fn open(settings: &DataSettings, base: &Path, asked: &Asked<'_>) -> Result<Dataset, DataError> {
    let &Asked {
        path,
        tokens,
        vocab,
        window,
        masked,
    } = asked;
    let at = file::resolve(path, base);
    let (bytes, fingerprint) = file::read_unpacked(path, &at)?;
    if bytes.is_empty() {
        return Err(DataError::new(path.span, format!("{} is empty", at.display())));
    }
    let encoding = Encoding::open(tokens, base, || vocabulary::utf8(&bytes, path, &at))?;
    let ids = match tokens {
        Tokens::Bytes => bytes.iter().map(|&b| u32::from(b)).collect(),
        _ => encoding
            .encode(vocabulary::utf8(&bytes, path, &at)?)
            .map_err(|e| DataError::new(path.span, format!("{}: the tokenizer refuses it: {e}", at.display())))?,
    };
    drop(bytes);
    let masking = match masked {
        Some(share) => Some(Masking::new(share, &encoding, settings.span)?),
        None => None,
    };
    let needed = masking.as_ref().map_or(encoding.bound, |m| m.bound);
    let bound = stated::bound(vocab, needed, "vocab", &at)?;
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
    let schema = schema(
        bound,
        window,
        masked.is_some(),
        (!settings.shuffle).then(|| training.len()),
    );
    let mut fingerprints = vec![fingerprint];
    fingerprints.extend(encoding.fingerprint);
    Ok(Dataset {
        source: Box::new(Text {
            ids,
            window,
            vocabulary: encoding.vocabulary,
            masking,
        }),
        schema,
        training,
        evaluation,
        order,
        fingerprints,
        settings: settings.clone(),
    })
}

/// What a sample has.
pub(super) fn schema(bound: usize, window: usize, masked: bool, epoch_samples: Option<usize>) -> Schema {
    let ids = |name: &str| SchemaTensor {
        name: name.into(),
        axes: vec![("time".into(), window)],
        element: Element::Id { bound },
        bound_name: Some("vocab".into()),
        category: false,
    };
    let tensors = if masked {
        let chosen = SchemaTensor {
            element: Element::Condition,
            bound_name: None,
            ..ids("chosen")
        };
        vec![ids("tokens"), ids("original"), chosen]
    } else {
        vec![ids("tokens"), ids("next")]
    };
    Schema {
        tensors,
        sizes: vec![("vocab".into(), bound), ("time".into(), window)],
        epoch_samples,
        ..Schema::default()
    }
}

impl Source for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        // An id comes from the vocabulary that made it, so its bound holds by construction.
        match &self.masking {
            Some(masking) => masking
                .evaluation(record)
                .write(tensor, &self.ids[record..record + self.window], row),
            None => {
                let start = record + tensor;
                row.set_ids(self.ids[start..start + self.window].iter().map(|&id| id as i32));
            }
        }
        Ok(())
    }

    fn training_samples(&self, seed: u64) -> Option<Box<dyn TrainingSamples + '_>> {
        let masking = self.masking.as_ref()?;
        Some(Box::new(MaskedAnew {
            text: self,
            remade: masking.training(seed),
        }))
    }

    fn fitted(&self) -> serde_json::Value {
        json!({ "vocabulary": self.vocabulary })
    }
}

/// Masks a window anew in each epoch.
struct MaskedAnew<'a> {
    text: &'a Text,
    remade: Remade<'a>,
}

impl TrainingSamples for MaskedAnew<'_> {
    fn fill(&mut self, epoch: u64, record: usize, slot: usize, into: &mut Batch) -> Result<(), DataError> {
        let ids = &self.text.ids[record..record + self.text.window];
        let window = self.remade.window(epoch, record);
        for (index, tensor) in into.tensors.iter_mut().enumerate() {
            window.write(index, ids, tensor.row(slot));
        }
        Ok(())
    }
}
