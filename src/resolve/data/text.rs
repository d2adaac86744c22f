//! What `data` says of texts: how they become ids, how long a sample is, what is masked, and which fields make a pair.

use super::missing;
use crate::ir::ast::{Expr, ExprKind, Setting};
use crate::ir::experiment::{DataPath, Longer, Pairs, Source, StatedBound, TokenizerKind, Tokens};
use crate::resolve::settings::Reader;
use crate::text::Span;

/// The most ids of a sample.
const WINDOW_MAX: u64 = 1 << 20;
/// What ids are at most below.
const BOUND_MAX: u64 = 1 << 24;

/// Reads the settings that belong to `text`.
pub(super) fn text<'a>(reader: &mut Reader<'a, '_>, source: &'a Setting, section: Span) -> Option<Source> {
    let path = reader.path(source)?;
    let tokens = tokens(reader)?;
    let vocab = vocab(reader)?;
    let message = "a text needs `window`: how many ids a sample has";
    let Some(window) = window(reader)? else {
        return missing(reader, "window", section, message, "for example `window 64`");
    };
    let masked = match reader.find("masked") {
        Some(line) => {
            let item = reader.single(line, "a share, as `masked 15%`")?;
            match reader.share(item)? {
                share if share > 0.0 && share < 1.0 => Some(share),
                _ => return reader.expected("a share above 0% and below 100%, as `masked 15%`", item.span),
            }
        }
        None => None,
    };
    Some(Source::Text {
        path,
        tokens,
        vocab,
        window,
        masked,
    })
}

/// Reads the settings that belong to `pairs`.
pub(super) fn pairs<'a>(reader: &mut Reader<'a, '_>, line: &'a Setting, section: Span) -> Option<Source> {
    let what = "a file and its two fields, as `pairs \"file.jsonl\" source \"de\" target \"en\"`";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let (file, fields) = match &group[..] {
        [file] => (file, None),
        [file, first, source, second, target] => {
            reader.choice(first, &[("source", ())])?;
            reader.choice(second, &[("target", ())])?;
            (file, Some((source, target)))
        }
        _ => return reader.expected(what, line.span),
    };
    let path = path(reader, file, what)?;
    let (source, target) = match fields {
        Some((source, target)) => (field(reader, source)?, field(reader, target)?),
        None => ("source".into(), "target".into()),
    };
    let tokens = tokens(reader)?;
    let vocab = vocab(reader)?;
    let message = "pairs need `window`: to how many ids each text is padded";
    let Some(window) = window(reader)? else {
        return missing(reader, "window", section, message, "for example `window 64`");
    };
    let longer = longer(reader)?;
    Some(Source::Pairs(Pairs {
        path,
        source,
        target,
        tokens,
        vocab,
        window,
        longer,
    }))
}

/// A path in quotes at the head of a line.
pub(super) fn path(reader: &mut Reader<'_, '_>, item: &Expr, what: &str) -> Option<DataPath> {
    match &*item.kind {
        ExprKind::Text(path) => Some(DataPath {
            path: path.clone(),
            span: item.span,
        }),
        _ => reader.expected(what, item.span),
    }
}

fn field(reader: &mut Reader<'_, '_>, item: &Expr) -> Option<String> {
    match &*item.kind {
        ExprKind::Text(name) | ExprKind::Name(name) => Some(name.clone()),
        _ => reader.expected("the name of a field, as \"de\"", item.span),
    }
}

/// `vocab N`, if it is given.
fn vocab(reader: &mut Reader<'_, '_>) -> Option<Option<StatedBound>> {
    match reader.find("vocab") {
        Some(line) => Some(Some(reader.bound(line, BOUND_MAX)?)),
        None => Some(None),
    }
}

/// `window N`, if it is given.
pub(super) fn window(reader: &mut Reader<'_, '_>) -> Option<Option<usize>> {
    match reader.find("window") {
        Some(line) => Some(Some(reader.whole(line, 1, WINDOW_MAX)? as usize)),
        None => Some(None),
    }
}

/// What becomes of what the window is too short for.
pub(super) fn longer(reader: &mut Reader<'_, '_>) -> Option<Longer> {
    let Some(line) = reader.find("longer") else {
        return Some(Longer::Refuse);
    };
    let item = reader.single(line, "`cut`, `drop` or `refuse`")?;
    let choices = [("cut", Longer::Cut), ("drop", Longer::Drop), ("refuse", Longer::Refuse)];
    reader.choice(item, &choices)
}

fn tokens(reader: &mut Reader<'_, '_>) -> Option<Tokens> {
    let what = "`char`, `byte`, `bpe(\"tokenizer.json\")` or `wordpiece(\"tokenizer.json\")`";
    let Some(line) = reader.find("tokens") else {
        return Some(Tokens::Characters);
    };
    let item = reader.single(line, what)?;
    let ExprKind::Call { callee, arguments } = &*item.kind else {
        return match reader.word(item) {
            Some("bpe" | "wordpiece") => reader.expected("its file behind it, as `bpe(\"tokenizer.json\")`", item.span),
            Some("char") => Some(Tokens::Characters),
            Some("byte") => Some(Tokens::Bytes),
            // What is near is suggested, files and all.
            Some(_) => {
                reader.choice(item, &["char", "byte", "bpe", "wordpiece"].map(|word| (word, ())))?;
                None
            }
            None => reader.expected(what, item.span),
        };
    };
    let kinds = [("bpe", TokenizerKind::Bpe), ("wordpiece", TokenizerKind::WordPiece)];
    let kind = reader.choice(callee, &kinds)?;
    match &arguments[..] {
        [argument] if argument.name.is_none() => {
            let path = path(reader, &argument.value, "a tokenizer.json of Hugging Face, in quotes")?;
            Some(Tokens::Tokenizer { kind, path })
        }
        _ => reader.expected(what, item.span),
    }
}
