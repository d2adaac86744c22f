//! What `data` says of tables: the column to predict, what the others are, what becomes of missing cells; for `rows`
//! what makes a sequence, for `series` how far back and ahead a sample goes.

use super::missing;
use super::stated::{Axis, Known, check, named, stated};
use super::text::{longer, path, window};
use crate::ir::ast::{Setting, is_name};
use crate::ir::experiment::{ColumnName, Missing, RowSettings, Series, Source};
use crate::resolve::settings::Reader;
use crate::text::{Code, Diagnostic, Span};

/// The most steps that a series' sample goes back or ahead.
const STEPS_MAX: u64 = 1 << 20;

/// Reads the settings that belong to `csv`.
pub(super) fn csv<'a>(reader: &mut Reader<'a, '_>, source: &'a Setting, section: Span) -> Option<Source> {
    let path = reader.path(source)?;
    let (target, regression) = match &target(reader, section, false)?[..] {
        [Target { column, real, .. }] => (column.clone(), *real),
        _ => return several(reader),
    };
    let categories = columns(reader, "category")?;
    let mut said = stated(reader)?;
    let known = [
        real("features", vec![Axis::Open("COLUMNS")]),
        of_target(&target, regression, vec![]),
    ];
    let needed = named(&categories).chain((!regression).then_some((target.name.as_str(), target.span)));
    check(reader, &mut said, &known, Some(&[]), &needed.collect::<Vec<_>>());
    let ignored = columns(reader, "ignore")?;
    has_name(reader, &target);
    once(reader, [&target].into_iter().chain(&categories).chain(&ignored));
    let missing = cells(
        reader,
        &[
            ("fill", Missing::Fill),
            ("drop", Missing::Drop),
            ("refuse", Missing::Refuse),
        ],
    )?;
    Some(Source::Csv {
        path,
        target,
        regression,
        categories,
        ignored,
        missing,
        stated: said,
    })
}

/// Reads the settings that belong to `rows`.
pub(super) fn rows<'a>(reader: &mut Reader<'a, '_>, line: &'a Setting, section: Span) -> Option<Source> {
    let what = "a file, and the column that tells sequences apart, as `rows \"file.csv\" grouped by series`";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let (file, column) = match &group[..] {
        [file] => (file, None),
        [file, grouped, by, column] => {
            reader.choice(grouped, &[("grouped", ())])?;
            reader.choice(by, &[("by", ())])?;
            (file, Some(column))
        }
        _ => return reader.expected(what, line.span),
    };
    let path = path(reader, file, what)?;
    let grouped = match column {
        Some(column) => Some(reader.column(column)?),
        None => None,
    };
    let Target {
        column: target,
        real: real_target,
        per_sequence,
    } = match &target(reader, section, true)?[..] {
        [target] => target.clone(),
        _ => return several(reader),
    };
    let head = columns(reader, "columns")?.into_iter().map(|c| c.column).collect();
    let minimum_count = match reader.find("minimum_count") {
        Some(line) => reader.whole(line, 1, 1 << 20)? as usize,
        None => 1,
    };
    let categories = columns(reader, "category")?;
    let window = window(reader)?;
    let mut said = stated(reader)?;
    let time = match window.or_else(|| said.iter().find_map(|s| s.sizes.as_ref()?.first().copied())) {
        Some(steps) => Axis::Is(steps),
        None => Axis::Open("STEPS"),
    };
    let known = [
        real("features", vec![time, Axis::Open("COLUMNS")]),
        of_target(&target, real_target, if per_sequence { vec![] } else { vec![time] }),
        Known {
            name: "mask",
            key: "condition",
            sizes: vec![time],
        },
    ];
    let needed = named(&categories).chain((!real_target).then_some((target.name.as_str(), target.span)));
    let mut needed: Vec<_> = needed.collect();
    if matches!(time, Axis::Open(_)) {
        needed.push(("mask", section));
    }
    check(reader, &mut said, &known, Some(&[time]), &needed);
    let ignored = columns(reader, "ignore")?;
    has_name(reader, &target);
    once(reader, [&target].into_iter().chain(&categories).chain(&ignored));
    Some(Source::Rows(RowSettings {
        path,
        grouped,
        head,
        target,
        real: real_target,
        per_sequence,
        categories,
        ignored,
        missing: cells(reader, &[("fill", Missing::Fill), ("refuse", Missing::Refuse)])?,
        window,
        longer: longer(reader)?,
        minimum_count,
        stated: said,
    }))
}

/// Reads the settings that belong to `series`.
pub(super) fn series<'a>(reader: &mut Reader<'a, '_>, source: &'a Setting, section: Span) -> Option<Source> {
    let path = reader.path(source)?;
    let mut targets: Vec<ColumnName> = vec![];
    for target in target(reader, section, false)? {
        if let Some(earlier) = targets.iter().find(|t| t.column == target.column.column) {
            let message = format!("`{}` is a target twice", earlier.column);
            let diagnostic = Diagnostic::new(Code::DuplicateSetting, target.column.span, message);
            reader
                .diagnostics
                .push(diagnostic.note(earlier.span, "first named here"));
            return None;
        }
        targets.push(target.column);
    }
    let mut steps = |key: &str, what: &str| match reader.find(key) {
        Some(line) => Some(reader.whole(line, 1, STEPS_MAX)? as usize),
        None => {
            let message = format!("a series needs `{key}`: {what}");
            missing(reader, key, section, &message, &format!("for example `{key} 12`"))
        }
    };
    let past = steps("past", "how many steps the model sees");
    let future = steps("future", "how many steps it tells");
    let time = match reader.find("time") {
        Some(line) => {
            let item = reader.single(line, "the column that says when")?;
            Some(reader.column(item)?)
        }
        None => None,
    };
    let choices = [("interpolate", Missing::Interpolate), ("refuse", Missing::Refuse)];
    let mut said = stated(reader)?;
    if let (Some(past), Some(future)) = (past, future) {
        let mut horizon = vec![Axis::Is(future)];
        horizon.extend((targets.len() > 1).then_some(Axis::Is(targets.len())));
        let known = [
            real("past", vec![Axis::Is(past), Axis::Open("COLUMNS")]),
            real("future", horizon.clone()),
            Known {
                name: "future_counted",
                key: "condition",
                sizes: horizon,
            },
        ];
        check(reader, &mut said, &known, None, &[("past", section)]);
    }
    let ignored = columns(reader, "ignore")?;
    once(reader, targets.iter().chain(&time).chain(&ignored));
    Some(Source::Series(Series {
        path,
        time,
        targets,
        ignored,
        missing: cells(reader, &choices)?,
        past: past?,
        future: future?,
        stated: said,
    }))
}

fn real(name: &str, sizes: Vec<Axis>) -> Known<'_> {
    Known {
        name,
        key: "real",
        sizes,
    }
}

fn of_target(target: &ColumnName, real: bool, sizes: Vec<Axis>) -> Known<'_> {
    Known {
        name: &target.name,
        key: if real { "real" } else { "ids" },
        sizes,
    }
}

/// A column to predict, as it is written.
#[derive(Clone)]
struct Target {
    column: ColumnName,
    real: bool,
    per_sequence: bool,
}

fn target(reader: &mut Reader<'_, '_>, section: Span, sequences: bool) -> Option<Vec<Target>> {
    let Some(line) = reader.find("target") else {
        let message = "a table needs `target`: the column to predict";
        return missing(reader, "target", section, message, "for example `target price real`");
    };
    let what = match sequences {
        true => "a column; `real` if it is a number; `per sequence` if a sequence has one",
        false => "a column, and `real` if it is a number to predict",
    };
    let mut targets = vec![];
    for group in &line.groups {
        let [column, rest @ ..] = &group[..] else {
            return reader.expected(what, line.span);
        };
        let mut target = Target {
            column: reader.column(column)?,
            real: false,
            per_sequence: false,
        };
        let rest = match rest {
            [rest @ .., per, sequence] if sequences && reader.word(per) == Some("per") => {
                reader.choice(sequence, &[("sequence", ())])?;
                target.per_sequence = true;
                rest
            }
            rest => rest,
        };
        match rest {
            [] => {}
            [word] => target.real = reader.choice(word, &[("real", true), ("class", false)])?,
            _ => return reader.expected(what, line.span),
        }
        targets.push(target);
    }
    Some(targets)
}

/// A target is a column that the loss must be able to name.
fn has_name(reader: &mut Reader<'_, '_>, target: &ColumnName) {
    if !is_name(&target.name) {
        let message = format!("`{}` is no name that a loss could read", target.name);
        let help = format!("give it one: `\"{}\" as NAME`", target.column);
        let diagnostic = Diagnostic::new(Code::WrongSetting, target.span, message);
        reader.diagnostics.push(diagnostic.help(help));
    }
}

fn several<T>(reader: &mut Reader<'_, '_>) -> Option<T> {
    let span = reader.find("target").map_or(Span::NOWHERE, |line| line.span);
    reader.expected("one target", span)
}

/// Columns, separated by commas, of all lines of a key.
fn columns(reader: &mut Reader<'_, '_>, key: &str) -> Option<Vec<ColumnName>> {
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
}

/// Each column is for one thing: what would be left out, or is named twice, is told.
fn once<'c>(reader: &mut Reader<'_, '_>, columns: impl Iterator<Item = &'c ColumnName>) {
    let mut seen: Vec<&ColumnName> = vec![];
    let mut columns: Vec<&ColumnName> = columns.collect();
    columns.sort_by_key(|c| c.span.start);
    for column in columns {
        if let Some(first) = seen.iter().find(|c| c.column == column.column) {
            let message = format!("the column `{}` is named twice", column.column);
            let diagnostic = Diagnostic::new(Code::DuplicateSetting, column.span, message);
            reader.diagnostics.push(diagnostic.note(first.span, "first named here"));
        } else if let Some(first) = seen.iter().find(|c| c.name == column.name) {
            let message = format!("two columns are called `{}`", column.name);
            let diagnostic = Diagnostic::new(Code::DuplicateName, column.span, message);
            reader.diagnostics.push(diagnostic.note(first.span, "the first one"));
        }
        seen.push(column);
    }
}

/// What becomes of missing cells.
fn cells(reader: &mut Reader<'_, '_>, choices: &[(&str, Missing)]) -> Option<Missing> {
    match reader.find("missing") {
        Some(line) => {
            let words: Vec<String> = choices.iter().map(|c| format!("`{}`", c.0)).collect();
            let item = reader.single(line, &words.join(" or "))?;
            reader.choice(item, choices)
        }
        None => Some(Missing::Refuse),
    }
}
