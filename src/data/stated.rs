//! The `data` section in, what a sample has out, where the section itself says all sizes: for looking at a model whose
//! data are not at hand. Nothing here reads a file.

use super::{DataError, csv, file, images, pairs, rows, series, tensors, text};
use crate::ir::experiment::{DataPath, DataSettings, Schema, SchemaTensor, Source, StatedBound, StatedTensor, Tokens};
use crate::ir::graph::Element;
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
        } => Some(text::schema(vocab.as_ref()?.bound, *window, masked.is_some(), None)),
        Source::Pairs(pairs) => Some(pairs::schema(pairs.vocab?.bound, pairs.window, EPOCH_SAMPLES)),
        Source::Images(images) => {
            let (side, channels) = (images.size?, images.channels.unwrap_or(CHANNELS));
            Some(images::stated(
                images,
                side,
                channels,
                images.classes?.bound,
                EPOCH_SAMPLES,
            ))
        }
        Source::Tensors { stated, ignore, .. } => tensors::stated(stated, ignore.is_some(), EPOCH_SAMPLES),
        Source::Csv { target, stated, .. } => csv::stated(stated, target, settings.normalise, EPOCH_SAMPLES),
        Source::Rows(rows) => rows::stated(rows, settings.normalise, EPOCH_SAMPLES),
        Source::Series(series) => series::stated(series, settings.normalise, EPOCH_SAMPLES),
    }
}

/// The bound that the section states under `key`, which must be at least what the data need; without it what they need.
pub(super) fn bound(stated: Option<StatedBound>, needed: usize, key: &str, at: &Path) -> Result<usize, DataError> {
    match stated {
        Some(StatedBound { bound, span }) if bound < needed => {
            let message = format!(
                "{} needs ids below {needed}, the spec says `{key} {bound}`",
                at.display()
            );
            Err(DataError::new(span, message).help(format!("write `{key} {needed}`, or leave it out")))
        }
        stated => Ok(stated.map_or(needed, |s| s.bound)),
    }
}

/// The bound that the section states for a column of ids, which must be at least what the column's values need; without
/// it what they need.
pub(super) fn column_bound(
    stated: &[StatedTensor],
    name: &str,
    needed: usize,
    what: &str,
    at: &Path,
) -> Result<usize, DataError> {
    let Some(said) = stated.iter().find(|s| s.name == name) else {
        return Ok(needed);
    };
    match said.element {
        Element::Id { bound } if bound < needed => {
            let message = format!(
                "{} needs ids of `{name}` below {needed}{what}, the spec says `{name} < {bound}`",
                at.display()
            );
            Err(DataError::new(said.span, message).help(format!("write `{name} < {needed}`")))
        }
        Element::Id { bound } => Ok(bound),
        // `agree` tells that it is no column of ids.
        _ => Ok(needed),
    }
}

/// Compares what the section states with what the data have: what is stated is stated of all tensors but `derived`
/// ones, which follow from the others.
pub(super) fn agree(stated: &[StatedTensor], schema: &Schema, derived: &[&str], at: &Path) -> Result<(), DataError> {
    let Some(first) = stated.first() else {
        return Ok(());
    };
    for said in stated {
        let name = &said.name;
        let fail = |message: String| DataError::new(said.span, format!("{}: {message}", at.display()));
        let Some(tensor) = schema.tensors.iter().find(|t| t.name == *name) else {
            return Err(match said.element {
                Element::Id { .. } => fail(format!("there is no column `{name}` of kinds of things"))
                    .help(format!("if `{name}` is a column of numbers, write `category {name}`")),
                _ => fail(format!("there is no column of numbers for `{name}`")).help("leave the line out"),
            });
        };
        let sizes: Vec<usize> = tensor.axes.iter().map(|axis| axis.1).collect();
        let wanted = said.sizes.clone().unwrap_or_default();
        if sizes != wanted {
            return Err(fail(format!(
                "a sample of `{name}` is {sizes:?}, the spec says {wanted:?}"
            )));
        }
    }
    let unsaid = |t: &&SchemaTensor| !derived.contains(&t.name.as_str()) && stated.iter().all(|s| s.name != t.name);
    schema.tensors.iter().find(unsaid).map_or(Ok(()), |tensor| {
        let message = format!(
            "{} has `{}` as well, of which the spec says nothing",
            at.display(),
            tensor.name
        );
        let sizes: Vec<String> = tensor.axes.iter().map(|axis| axis.1.to_string()).collect();
        let sizes = if sizes.is_empty() {
            String::new()
        } else {
            format!("[{}]", sizes.join(", "))
        };
        let line = match tensor.element {
            Element::Id { bound } => format!("ids {}{sizes} < {bound}", tensor.name),
            Element::Condition => format!("condition {}{sizes}", tensor.name),
            Element::Real => format!("real {}{sizes}", tensor.name),
        };
        Err(DataError::new(first.span, message).help(format!("write `{line}`, or `ignore` and the column's name")))
    })
}
