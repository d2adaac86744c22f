//! The `data` section → [`DataSettings`]: which settings there are and to which sources they belong; each source reads
//! its own in a file of its own. Nothing here reads a file.

mod images;
mod split;
mod stated;
mod table;
mod tensors;
mod text;

pub use split::FOLDS_MOST;

use super::settings::Reader;
use crate::ir::ast::{Section, Setting};
use crate::ir::experiment::DataSettings;
use crate::text::{Code, Diagnostic, Diagnostics, Span};

const ONCE: &[&str] = &[
    "text",
    "tokens",
    "vocab",
    "window",
    "masked",
    "pairs",
    "longer",
    "images",
    "size",
    "channels",
    "classes",
    "masks",
    "augment",
    "csv",
    "rows",
    "columns",
    "minimum_count",
    "series",
    "time",
    "past",
    "future",
    "target",
    "missing",
    "tensors",
    "split",
    "fold",
    "normalise",
    "shuffle",
];
const REPEATED: &[&str] = &["category", "ignore", "ids", "real", "condition"];
const SOURCES: &[&str] = &["text", "pairs", "images", "csv", "rows", "series", "tensors"];
const SOURCES_HELP: &str = "a source is one of: text, pairs, csv, rows, series or tensors \"FILE\", images \"FOLDER\"";
/// Sources whose samples can be evaluated in turn: they have nothing to do with each other, or, in a series, an order in
/// time that folds keep. Neighbouring windows of a text overlap, and what comes later tells of what was before.
pub const FOLDED: &[&str] = &["csv", "rows", "series", "images", "pairs", "tensors"];
/// For each key that belongs to some sources only, these.
const BELONGS: &[(&str, &[&str])] = &[
    ("tokens", &["text", "pairs"]),
    ("vocab", &["text", "pairs"]),
    ("window", &["text", "pairs", "rows"]),
    ("masked", &["text"]),
    ("longer", &["pairs", "rows"]),
    ("size", &["images"]),
    ("channels", &["images"]),
    ("classes", &["images"]),
    ("masks", &["images"]),
    ("augment", &["images"]),
    ("target", &["csv", "rows", "series"]),
    ("category", &["csv", "rows"]),
    ("columns", &["rows"]),
    ("minimum_count", &["rows"]),
    ("time", &["series"]),
    ("past", &["series"]),
    ("future", &["series"]),
    ("missing", &["csv", "rows", "series"]),
    ("normalise", &["csv", "images", "rows", "series"]),
    ("ignore", &["csv", "tensors", "images", "rows", "series"]),
    ("ids", &["csv", "rows", "tensors"]),
    ("real", &["csv", "rows", "series", "tensors"]),
    ("condition", &["rows", "series", "tensors"]),
    ("fold", FOLDED),
];

/// Checks the section.
pub fn data_settings(section: &Section, diagnostics: &mut Diagnostics) -> Option<DataSettings> {
    let errors_before = diagnostics.len();
    let mut reader = Reader::new(section, ONCE, REPEATED, diagnostics);
    let given: Vec<&Setting> = SOURCES.iter().filter_map(|key| reader.find(key)).collect();
    let [source_line] = given[..] else {
        let (span, message) = match given[..] {
            [_, second, ..] => (second.span, "a data section has one source; this is a second one"),
            _ => (section.name.span, "the data section names no source"),
        };
        reader
            .diagnostics
            .push(Diagnostic::new(Code::DataSource, span, message).help(SOURCES_HELP));
        return None;
    };
    let kind = source_line.key[0].text.as_str();
    for setting in &section.settings {
        let Some(key) = setting.key.first() else { continue };
        if let Some((_, sources)) = BELONGS.iter().find(|b| b.0 == key.text)
            && !sources.contains(&kind)
        {
            let owners = match sources {
                [others @ .., last] if !others.is_empty() => format!("{}` and `{last}", others.join("`, `")),
                _ => sources.concat(),
            };
            let message = format!("`{}` belongs to `{owners}`, not to `{kind}`", key.text);
            reader.diagnostics.push(
                Diagnostic::new(Code::WrongSetting, key.span, message).note(source_line.key[0].span, "the source"),
            );
        }
    }
    let name = section.name.span;
    let source = match kind {
        "text" => text::text(&mut reader, source_line, name),
        "pairs" => text::pairs(&mut reader, source_line, name),
        "images" => reader
            .path(source_line)
            .and_then(|path| images::images(&mut reader, path)),
        "csv" => table::csv(&mut reader, source_line, name),
        "rows" => table::rows(&mut reader, source_line, name),
        "series" => table::series(&mut reader, source_line, name),
        _ => reader
            .path(source_line)
            .and_then(|path| tensors::tensors(&mut reader, path)),
    };
    let split = split::split(&mut reader, kind, name);
    let normalise = match reader.find("normalise") {
        Some(line) => reader
            .single(line, "`standard`")
            .and_then(|item| reader.choice(item, &[("standard", true), ("none", false)]))?,
        None => false,
    };
    let shuffle = match reader.find("shuffle") {
        Some(line) => reader
            .single(line, "`true` or `false`")
            .and_then(|item| reader.choice(item, &[("true", true), ("false", false)]))?,
        None => true,
    };
    if diagnostics.len() > errors_before && diagnostics.has_errors() {
        return None;
    }
    Some(DataSettings {
        source: source?,
        split: split?,
        normalise,
        shuffle,
        span: section.span,
    })
}

/// Reports that a setting without which a source means nothing is not there, unless a line looks like a slip of it.
fn missing<T>(reader: &mut Reader<'_, '_>, key: &str, section: Span, message: &str, help: &str) -> Option<T> {
    if !reader.slipped(key) {
        let diagnostic = Diagnostic::new(Code::MissingSetting, section, message);
        reader.diagnostics.push(diagnostic.help(help));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_missing_source_names_all_of_them() {
        for source in SOURCES {
            assert!(SOURCES_HELP.contains(source), "the help does not name `{source}`");
            let explanation = Code::DataSource.explanation();
            assert!(
                explanation.contains(&format!("`{source}`")),
                "E0506 does not explain `{source}`"
            );
        }
    }

    #[test]
    fn each_source_and_each_owner_is_a_setting() {
        let known = |key: &&&str| ONCE.contains(key) || REPEATED.contains(key);
        assert_eq!(SOURCES.iter().find(|key| !known(key)), None);
        for (key, owners) in BELONGS {
            assert!(known(&key), "`{key}` is no setting");
            assert!(owners.iter().all(|owner| SOURCES.contains(owner)), "{owners:?}");
        }
    }
}
