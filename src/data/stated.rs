//! The `data` section in, what a sample has out, where the section itself says all sizes: for looking at a model whose
//! data are not at hand. Nothing here reads a file.

use super::{DataError, file, images, pairs, tensors, text};
use crate::ir::experiment::{DataPath, DataSettings, Schema, Source, Tokens};
use std::path::{Path, PathBuf};

/// Samples of an epoch whose real number the data would tell.
const EPOCH_SAMPLES: usize = 1 << 20;
/// Channels of pictures of which the section does not say how many they have.
const CHANNELS: usize = 3;

/// The first file or folder of the section that is not there.
pub fn missing(settings: &DataSettings, base: &Path) -> Option<PathBuf> {
    let (path, second) = match &settings.source {
        Source::Text { path, tokens, .. } => (path, tokenizer(tokens)),
        Source::Pairs(pairs) => (&pairs.path, tokenizer(&pairs.tokens)),
        Source::Images(images) => (&images.path, images.masks.as_ref()),
        Source::Csv { path, .. } | Source::Tensors { path, .. } => (path, None),
        Source::Rows(rows) => (&rows.path, None),
        Source::Series(series) => (&series.path, None),
    };
    let paths = [Some(path), second].into_iter().flatten();
    paths.map(|path| file::resolve(path, base)).find(|at| !at.exists())
}

fn tokenizer(tokens: &Tokens) -> Option<&DataPath> {
    match tokens {
        Tokens::Tokenizer { path, .. } => Some(path),
        Tokens::Characters | Tokens::Bytes => None,
    }
}

/// Names and sizes that hold whatever the data are; `None` where they depend on the data.
pub fn stated(settings: &DataSettings) -> Option<Schema> {
    match &settings.source {
        Source::Text {
            vocab, window, masked, ..
        } => Some(text::schema((*vocab)?, *window, masked.is_some(), None)),
        Source::Pairs(pairs) => Some(pairs::schema(pairs.vocab?, pairs.window, EPOCH_SAMPLES)),
        Source::Images(images) => {
            let (side, channels) = (images.size?, images.channels.unwrap_or(CHANNELS));
            Some(images::stated(images, side, channels, images.classes?, EPOCH_SAMPLES))
        }
        Source::Tensors { stated, ignore, .. } => tensors::stated(stated, ignore.is_some(), EPOCH_SAMPLES),
        Source::Csv { .. } | Source::Rows(_) | Source::Series(_) => None,
    }
}

/// The bound that the section states under `key`, which must be at least what the data need; without it what they need.
pub(super) fn bound(
    stated: Option<usize>,
    needed: usize,
    key: &str,
    path: &DataPath,
    at: &Path,
) -> Result<usize, DataError> {
    match stated {
        Some(stated) if stated < needed => {
            let message = format!(
                "{} needs ids below {needed}, the spec says `{key} {stated}`",
                at.display()
            );
            Err(DataError::new(path.span, message).help(format!("write `{key} {needed}`, or leave it out")))
        }
        stated => Ok(stated.unwrap_or(needed)),
    }
}
