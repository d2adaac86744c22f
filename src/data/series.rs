//! `series`: a table whose rows are moments, in order, in; windows out: `past[time, columns]` (all columns of numbers)
//! and `future[horizon]`, or `future[horizon, targets]` of several. Parts are cut by time, training first: a window
//! belongs to the part that its whole future lies in, and what is fitted is fitted on the training rows. The past of
//! the first windows of a part reaches back into the one before, as it would in use. Folds go forward in time as well.

use super::order::{Order, Selection};
use super::split::{empty, in_time};
use super::stated::agree;
use super::table::columns::range;
use super::table::fit::Scale;
use super::table::{Table, by_tabs, is_number, shown};
use super::{DataError, Dataset, Part, Row, Source, file};
use crate::ir::experiment::{DataSettings, Missing, Schema, SchemaTensor, Series as Settings};
use crate::ir::graph::Element;
use serde_json::json;
use std::ops::Range;
use std::path::Path;

/// Which values of the future were in the file.
const COUNTED: &str = "future_counted";

struct Series {
    /// Row-major, normalised.
    values: Vec<f32>,
    /// Whether a value was in the file, row-major; empty if all were.
    known: Vec<bool>,
    scales: Vec<Scale>,
    /// Of the columns, those to predict.
    targets: Vec<usize>,
    /// What these are called.
    names: Vec<String>,
    past: usize,
    future: usize,
}

pub(super) fn open(settings: &DataSettings, base: &Path, asked: &Settings) -> Result<Dataset, DataError> {
    let at = file::resolve(&asked.path, base);
    let (bytes, fingerprint) = file::read_unpacked(&asked.path, &at)?;
    if let Some(place) = settings.split.stratified_at() {
        let error = DataError::new(place, "a series has no classes to stratify by");
        return Err(error.help("leave `stratified` out: a series is divided by time"));
    }
    let table = Table::cells(&bytes, &at, &asked.path, &[], by_tabs(&at))?;
    ascending(&table, asked)?;
    let columns = columns(&table, asked)?;
    let parts = in_time(table.rows(), &settings.split, &format!("rows of {}", at.display()))?;
    let evaluation = windows(&table, settings, asked, &parts)?;
    let scale = |&column: &usize| {
        let training = parts[0].clone();
        Scale::of(&table, column, training, settings.normalise, asked.path.span)
    };
    let scales = columns.iter().map(scale).collect::<Result<Vec<Scale>, _>>()?;
    let mut source = Series {
        values: vec![0.0; table.rows() * columns.len()],
        known: vec![true; table.rows() * columns.len()],
        scales,
        targets: vec![],
        names: asked.targets.iter().map(|target| target.name.clone()).collect(),
        past: asked.past,
        future: asked.future,
    };
    for target in &asked.targets {
        let column = table.find(target)?;
        let found = columns.iter().position(|&c| c == column);
        source.targets.push(found.ok_or_else(|| {
            let message = format!("`{}` is left out, so it can't be a target", target.column);
            DataError::new(target.span, message).help("a column of `time` or `ignore` is not read; name another one")
        })?);
    }
    for (index, &column) in columns.iter().enumerate() {
        source.fill(&table, index, column, &parts, asked)?;
    }
    let counted = asked.stated.iter().any(|s| s.name == COUNTED);
    if source.known.iter().all(|&known| known) && !counted {
        source.known.clear();
    }
    let schema = source.schema(evaluation[0].len(), parts[0].end);
    agree(&asked.stated, &schema, &["future", COUNTED], &at)?;
    Ok(Dataset {
        source: Box::new(source),
        schema,
        training: evaluation[0].clone(),
        evaluation,
        order: match settings.shuffle {
            true => Order::Permuted,
            false => Order::InOrder,
        },
        fingerprints: vec![fingerprint],
        settings: settings.clone(),
    })
}

/// Rows go forward in time, if a column says when they are: numbers by value, other texts by their characters.
fn ascending(table: &Table, asked: &Settings) -> Result<(), DataError> {
    let Some(time) = &asked.time else {
        return Ok(());
    };
    let column = table.find(time)?;
    let later = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a < b,
        _ => a < b,
    };
    let bad = (1..table.rows()).find(|&r| !later(table.cell(r - 1, column), table.cell(r, column)));
    bad.map_or(Ok(()), |row| {
        let message = format!(
            "{}, line {}: `{}` is {}, not after {} in the row before",
            table.path.display(),
            table.line(row),
            time.column,
            shown(table.cell(row, column)),
            shown(table.cell(row - 1, column))
        );
        Err(DataError::new(time.span, message).help("sort the rows by time; a time is a number, or as 2026-11-25"))
    })
}

/// The columns of numbers that are used.
fn columns(table: &Table, asked: &Settings) -> Result<Vec<usize>, DataError> {
    let mut left_out = vec![];
    for name in asked.ignored.iter().chain(&asked.time) {
        left_out.push(table.find(name)?);
    }
    table.check_names(&left_out, &asked.path)?;
    let columns: Vec<usize> = (0..table.head.len()).filter(|c| !left_out.contains(c)).collect();
    for &column in &columns {
        let bad = |&row: &usize| !table.cell(row, column).is_empty() && !is_number(table.cell(row, column));
        if let Some(row) = (0..table.rows()).find(bad) {
            let (name, cell) = (&table.head[column], table.cell(row, column));
            let place = format!("{}, line {}", table.path.display(), table.line(row));
            let message = format!("{place}: `{name}` is {}, expected a number", shown(cell));
            let help = format!("mend the cell, or write `ignore \"{name}\"`, or `time \"{name}\"` if it says when");
            return Err(DataError::new(asked.path.span, message).help(help));
        }
        if (0..table.rows()).all(|row| table.cell(row, column).is_empty()) {
            return Err(table.no_values(column, &asked.path));
        }
        table.check_size(column, &asked.path)?;
    }
    Ok(columns)
}

/// The windows of each part, by the row that their future begins at.
fn windows(
    table: &Table,
    settings: &DataSettings,
    asked: &Settings,
    parts: &[Range<usize>; 3],
) -> Result<[Selection; 3], DataError> {
    let split = &settings.split;
    let shares = [split.train, split.validation, split.test];
    let mut windows = Part::ALL.map(|_| Selection::List(vec![]));
    for part in Part::ALL {
        let Range { start, end } = parts[part as usize];
        // A fold takes the validation part's place, whether or not that has a share.
        let share = match (part, &split.fold) {
            (Part::Validation, Some(_)) => 1.0,
            _ => shares[part as usize],
        };
        let first = start.max(asked.past);
        let count = (end + 1).saturating_sub(first + asked.future);
        if share > 0.0 && end == start {
            return Err(empty(part, share, table.rows(), "rows", split));
        }
        if share > 0.0 && count == 0 {
            let message = format!(
                "the {part} part of {} has {} rows, too few for {} steps ahead{}",
                table.path.display(),
                end - start,
                asked.future,
                if start == 0 {
                    format!(" and {} back", asked.past)
                } else {
                    String::new()
                }
            );
            return Err(match &split.fold {
                Some(fold) if part != Part::Test => {
                    DataError::new(fold.span, message).help("make `past` or `future` smaller, or ask for fewer folds")
                }
                _ => DataError::new(split.span, message)
                    .help("make `past` or `future` smaller, or give the part a larger share"),
            });
        }
        windows[part as usize] = Selection::Every {
            first,
            stride: 1,
            count: if share > 0.0 { count } else { 0 },
        };
    }
    Ok(windows)
}

impl Series {
    /// Fills one column. A hole lies on the line between its neighbours in its own part, so that no part knows of a
    /// later one; at a part's end it keeps the last value, and before the first value it takes that.
    fn fill(
        &mut self,
        table: &Table,
        index: usize,
        column: usize,
        parts: &[Range<usize>; 3],
        asked: &Settings,
    ) -> Result<(), DataError> {
        let width = self.scales.len();
        let number = |row: usize| table.number(row, column);
        // What lies between two parts, behind a fold, is as a part of its own.
        let bounds = parts.iter().flat_map(|part| [part.start, part.end]);
        let part_end = |row: usize| bounds.clone().find(|&end| row < end).unwrap_or(table.rows());
        let mut before: Option<usize> = None;
        for row in 0..table.rows() {
            let value = match number(row) {
                Some(value) => {
                    before = Some(row);
                    value
                }
                None if asked.missing == Missing::Refuse => {
                    let place = format!("{}, line {}", table.path.display(), table.line(row));
                    let message = format!("{place}: `{}` is missing", table.head[column]);
                    let help = "write `missing interpolate` in `data`, or leave the column out";
                    return Err(DataError::new(asked.path.span, message).help(help));
                }
                None => {
                    self.known[row * width + index] = false;
                    let after = (row..part_end(row)).find(|&r| number(r).is_some());
                    let at = |row: usize| number(row).unwrap_or(0.0);
                    match (before, after) {
                        (Some(a), Some(b)) => at(a) + (at(b) - at(a)) * (row - a) as f64 / (b - a) as f64,
                        (Some(a), None) => at(a),
                        (None, Some(b)) => at(b),
                        (None, None) => self.scales[index].mean,
                    }
                }
            };
            self.values[row * width + index] = self.scales[index].apply(Some(value));
        }
        Ok(())
    }

    fn schema(&self, epoch_samples: usize, training_rows: usize) -> Schema {
        let sizes = [self.past, self.scales.len(), self.future, self.targets.len()];
        let schema = schema(sizes, !self.known.is_empty(), epoch_samples);
        let width = self.scales.len();
        let training = &self.values[..training_rows * width];
        let told = (0..training_rows).flat_map(|row| self.targets.iter().map(move |t| training[row * width + t]));
        let ranges = [("past", range(training.iter().copied())), ("future", range(told))];
        let ranges = ranges.into_iter().filter_map(|(name, r)| Some((name.to_string(), r?)));
        let deviation = |&target: &usize| {
            let scale = &self.scales[target];
            scale.normalised.then_some(scale.deviation)
        };
        let units: Vec<f64> = self.targets.iter().filter_map(deviation).collect();
        let (mut one, mut several) = (vec![], vec![]);
        match units[..] {
            [unit] => one.push(("future".to_string(), unit)),
            _ => several.extend(self.names.iter().cloned().zip(units)),
        }
        Schema {
            units: one,
            target_units: several,
            ranges: ranges.collect(),
            ..schema
        }
    }
}

/// What a sample of so many steps back, columns, steps ahead and targets has.
fn schema([past, columns, future, targets]: [usize; 4], counted: bool, epoch_samples: usize) -> Schema {
    let tensor = |name: &str, axes: &[(&str, usize)], element| SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|(label, size)| (label.to_string(), *size)).collect(),
        element,
        bound_name: None,
        category: false,
    };
    let past = [("time", past), ("columns", columns)];
    let horizon = [("horizon", future), ("targets", targets)];
    let future = match targets {
        1 => &horizon[..1],
        _ => &horizon[..],
    };
    let mut tensors = vec![
        tensor("past", &past, Element::Real),
        tensor("future", future, Element::Real),
    ];
    if counted {
        tensors.push(tensor(COUNTED, future, Element::Condition));
    }
    let sizes = past.iter().chain(future);
    Schema {
        tensors,
        sizes: sizes.map(|(label, size)| (label.to_string(), *size)).collect(),
        epoch_samples: Some(epoch_samples),
        ..Schema::default()
    }
}

/// What a sample has, by what the section says alone.
pub(super) fn stated(asked: &Settings, normalise: bool, epoch_samples: usize) -> Option<Schema> {
    let said = |name: &str| asked.stated.iter().find(|s| s.name == name);
    let columns = *said("past")?.sizes.as_ref()?.last()?;
    let targets = asked.targets.len();
    let mut schema = schema(
        [asked.past, columns, asked.future, targets],
        said(COUNTED).is_some(),
        epoch_samples,
    );
    match &asked.targets[..] {
        _ if !normalise => {}
        [_] => schema.units.push(("future".to_string(), 1.0)),
        several => schema
            .target_units
            .extend(several.iter().map(|t| (t.name.clone(), 1.0))),
    }
    Some(schema)
}

impl Source for Series {
    fn name(&self) -> &'static str {
        "series"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let width = self.scales.len();
        let told = self.targets.len();
        let place = |at: usize| (record + at / told) * width + self.targets[at % told];
        match tensor {
            0 => row.set_reals(
                self.values[(record - self.past) * width..record * width]
                    .iter()
                    .copied(),
            ),
            1 => row.set_reals((0..self.future * told).map(|at| self.values[place(at)])),
            _ => row.set_reals((0..self.future * told).map(|at| if self.known[place(at)] { 1.0 } else { 0.0 })),
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        let targets: Vec<&str> = self.targets.iter().map(|&t| self.scales[t].column.as_str()).collect();
        json!({ "columns": self.scales, "targets": targets })
    }
}
