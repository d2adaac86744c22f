//! The `data` section → [`DataSettings`].

use super::settings::{Reader, literal};
use crate::ir::ast::{BinaryOperator, ExprKind, Section, Setting};
use crate::ir::experiment::{DataSettings, Missing, Source, Split, Tokens};
use crate::text::{Code, Diagnostic, Diagnostics, Span};

const ONCE: &[&str] = &[
    "text",
    "tokens",
    "window",
    "images",
    "size",
    "channels",
    "masks",
    "augment",
    "csv",
    "target",
    "missing",
    "tensors",
    "split",
    "normalise",
    "shuffle",
];
const REPEATED: &[&str] = &["category", "ignore", "ids"];
const SOURCES: &[&str] = &["text", "images", "csv", "tensors"];
/// For each key that belongs to some sources only, these.
const BELONGS: &[(&str, &[&str])] = &[
    ("tokens", &["text"]),
    ("window", &["text"]),
    ("size", &["images"]),
    ("channels", &["images"]),
    ("masks", &["images"]),
    ("augment", &["images"]),
    ("target", &["csv"]),
    ("category", &["csv"]),
    ("missing", &["csv"]),
    ("normalise", &["csv", "images"]),
    ("ignore", &["csv", "tensors", "images"]),
    ("ids", &["tensors"]),
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
        let help = "a source is one of: text \"FILE\", images \"FOLDER\", csv \"FILE\", tensors \"FILE\"";
        reader
            .diagnostics
            .push(Diagnostic::new(Code::DataSource, span, message).help(help));
        return None;
    };
    let kind = source_line.key[0].text.as_str();
    for setting in &section.settings {
        let Some(key) = setting.key.first() else { continue };
        if let Some((_, sources)) = BELONGS.iter().find(|b| b.0 == key.text)
            && !sources.contains(&kind)
        {
            let message = format!(
                "`{}` belongs to `{}`, not to `{kind}`",
                key.text,
                sources.join("` and `")
            );
            reader.diagnostics.push(
                Diagnostic::new(Code::WrongSetting, key.span, message).note(source_line.key[0].span, "the source"),
            );
        }
    }
    let path = reader.path(source_line);
    let source = match kind {
        "text" => text(&mut reader, path?, section.name.span),
        "images" => super::images::images(&mut reader, path?),
        "csv" => csv(&mut reader, path?, section.name.span),
        _ => tensors(&mut reader, path?),
    };
    let split = split(&mut reader, kind, section.name.span);
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

fn text(reader: &mut Reader<'_, '_>, path: crate::ir::experiment::DataPath, span: Span) -> Option<Source> {
    let tokens = match reader.find("tokens") {
        Some(line) => {
            let item = reader.single(line, "`char` or `byte`")?;
            reader
                .choice(item, &[("char", 0), ("byte", 1)])
                .map(|c| if c == 0 { Tokens::Characters } else { Tokens::Bytes })?
        }
        None => Tokens::Characters,
    };
    let Some(line) = reader.find("window") else {
        if reader.slipped("window") {
            return None;
        }
        let diagnostic = Diagnostic::new(
            Code::MissingSetting,
            span,
            "a text needs `window`: how many ids a sample has",
        );
        reader.diagnostics.push(diagnostic.help("for example `window 64`"));
        return None;
    };
    let window = reader.whole(line, 1, 1 << 20)? as usize;
    Some(Source::Text { path, tokens, window })
}

fn csv(reader: &mut Reader<'_, '_>, path: crate::ir::experiment::DataPath, span: Span) -> Option<Source> {
    let Some(line) = reader.find("target") else {
        if reader.slipped("target") {
            return None;
        }
        reader.diagnostics.push(Diagnostic::new(
            Code::MissingSetting,
            span,
            "a table needs `target`: the column to predict",
        ));
        return None;
    };
    let what = "a column, and `real` if it is a number to predict";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let (column, regression) = match &group[..] {
        [column] => (column, false),
        [column, word] => (column, reader.choice(word, &[("real", true), ("class", false)])?),
        _ => return reader.expected(what, line.span),
    };
    let target = reader.column(column)?;
    let mut columns = |key: &str| -> Option<Vec<_>> {
        let mut list = vec![];
        for line in reader.all(key) {
            for group in &line.groups {
                let [item] = &group[..] else {
                    return reader.expected("columns, separated by commas", line.span);
                };
                list.push(reader.column(item)?);
            }
        }
        Some(list)
    };
    let categories = columns("category")?;
    let ignored = columns("ignore")?;
    let missing = match reader.find("missing") {
        Some(line) => {
            let item = reader.single(line, "`fill`, `drop` or `refuse`")?;
            reader.choice(
                item,
                &[
                    ("fill", Missing::Fill),
                    ("drop", Missing::Drop),
                    ("refuse", Missing::Refuse),
                ],
            )?
        }
        None => Missing::Refuse,
    };
    Some(Source::Csv {
        path,
        target,
        regression,
        categories,
        ignored,
        missing,
    })
}

fn tensors(reader: &mut Reader<'_, '_>, path: crate::ir::experiment::DataPath) -> Option<Source> {
    let mut ids = vec![];
    for line in reader.all("ids") {
        for group in &line.groups {
            let bound = match &group[..] {
                [item] => match &*item.kind {
                    ExprKind::Binary {
                        operator: BinaryOperator::Less,
                        left,
                        right,
                        ..
                    } => {
                        let name = reader.word(left);
                        let bound = literal(right)
                            .and_then(|(v, _)| v.as_whole())
                            .filter(|b| (1..=1 << 24).contains(b));
                        name.zip(bound)
                    }
                    _ => None,
                },
                _ => None,
            };
            let Some((name, bound)) = bound else {
                return reader.expected("`NAME < BOUND`, as `inputs < 65`", line.span);
            };
            ids.push((name.to_string(), bound as usize));
        }
    }
    let mut ignore = None;
    if let Some(line) = reader.all("ignore").next() {
        let item = reader.single(line, "a whole number, as `ignore -100`")?;
        match literal(item).and_then(|(v, _)| v.as_whole()) {
            Some(value) => ignore = Some(value as i64),
            None => return reader.expected("a whole number, as `ignore -100`", item.span),
        }
    }
    Some(Source::Tensors { path, ids, ignore })
}

fn split(reader: &mut Reader<'_, '_>, kind: &str, section: Span) -> Option<Split> {
    let Some(line) = reader.find("split") else {
        let (train, validation) = if kind == "tensors" { (1.0, 0.0) } else { (0.9, 0.1) };
        return Some(Split {
            train,
            validation,
            test: 0.0,
            stratified: false,
            span: section,
        });
    };
    let mut split = Split {
        train: 0.0,
        validation: 0.0,
        test: 0.0,
        stratified: false,
        span: line.span,
    };
    let mut failed = false;
    for group in &line.groups {
        let what = "parts such as `train 80%, validation 10%, test 10%`, and `stratified` at the end";
        let (part, share, rest) = match &group[..] {
            [part, share, rest @ ..] => (part, share, rest),
            _ => return reader.expected(what, line.span),
        };
        let share = reader.share(share)?;
        match reader.choice(part, &[("train", 0), ("validation", 1), ("test", 2)])? {
            0 => split.train = share,
            1 => split.validation = share,
            _ => split.test = share,
        }
        for word in rest {
            match reader.choice(word, &[("stratified", ())]) {
                Some(()) => split.stratified = true,
                None => failed = true,
            }
        }
    }
    let total = split.train + split.validation + split.test;
    if total > 1.0 + 1e-9 {
        let message = format!("the parts add up to {:.0}%, more than there is", total * 100.0);
        reader
            .diagnostics
            .push(Diagnostic::new(Code::WrongSetting, line.span, message));
        failed = true;
    }
    if split.train <= 0.0 {
        reader.diagnostics.push(
            Diagnostic::new(Code::WrongSetting, line.span, "nothing is left to train on").help("say `train 80%`"),
        );
        failed = true;
    }
    (!failed).then_some(split)
}
