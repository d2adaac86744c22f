//! `rows`: a table whose rows are steps in, sequences out: `features[time, columns]` (the numbers), each category column
//! by its name `[time]`, the target by its name, `mask[time]`. A sequence is rows that follow each other and agree in
//! the column that groups them, or that no blank line parts. All are padded to one window.

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::stated::agree;
use super::table::columns::{Columns, Target, distinct};
use super::table::{Request, Table, by_tabs, stated as table};
use super::{DataError, Dataset, Row, Source, file};
use crate::ir::experiment::{ColumnName, DataSettings, Longer, RowSettings, Schema, SchemaTensor};
use crate::ir::graph::Element;
use std::ops::Range;
use std::path::Path;

/// What the steps that a sequence has are called.
const MASK: &str = "mask";

struct Rows {
    columns: Columns,
    sequences: Vec<Range<usize>>,
    window: usize,
    per_sequence: bool,
}

pub(super) fn open(settings: &DataSettings, base: &Path, asked: &RowSettings) -> Result<Dataset, DataError> {
    let at = file::resolve(&asked.path, base);
    let (bytes, fingerprint) = file::read_unpacked(&asked.path, &at)?;
    let ignored: Vec<ColumnName> = asked.ignored.iter().chain(&asked.grouped).cloned().collect();
    let request = Request {
        path: &asked.path,
        head: &asked.head,
        tabs: by_tabs(&at),
        target: &asked.target,
        regression: asked.real,
        categories: &asked.categories,
        ignored: &ignored,
        missing: asked.missing,
        stated: &asked.stated,
    };
    let table = Table::read(&bytes, &at, &request)?;
    let (sequences, window) = fitting(&table, sequences(&table, asked)?, asked)?;
    let parts = parts(&table, &sequences, settings, asked)?;
    let steps = |part: &Vec<u32>| -> Vec<u32> {
        let rows = part.iter().flat_map(|&s| sequences[s as usize].clone());
        rows.map(|row| row as u32).collect()
    };
    let training = match asked.per_sequence {
        // Each sequence counts once in the weights of classes, but all its rows fit the columns.
        true => parts[0].iter().map(|&s| sequences[s as usize].start as u32).collect(),
        false => steps(&parts[0]),
    };
    let columns = Columns::fit(
        &table,
        &request,
        settings.normalise,
        &steps(&parts[0]),
        asked.minimum_count,
    )?;
    let time = [("time".to_string(), window)];
    let of_target = if asked.per_sequence { &[][..] } else { &time[..] };
    let mut schema = columns.schema(&request, &time, of_target, &training);
    schema.epoch_samples = Some(parts[0].len());
    schema.tensors.push(mask(&time));
    distinct(&schema, &table, &request)?;
    agree(&asked.stated, &schema, &[&asked.target.name, MASK], &at)?;
    let [training, validation, test] = parts.map(Selection::List);
    Ok(Dataset {
        source: Box::new(Rows {
            columns,
            sequences,
            window,
            per_sequence: asked.per_sequence,
        }),
        schema,
        training: training.clone(),
        evaluation: [training, validation, test],
        order: match settings.shuffle {
            true => Order::Permuted,
            false => Order::InOrder,
        },
        fingerprints: vec![fingerprint],
        settings: settings.clone(),
    })
}

/// Which steps of a sample are rows of its sequence.
fn mask(time: &[(String, usize)]) -> SchemaTensor {
    SchemaTensor {
        name: MASK.into(),
        axes: time.to_vec(),
        element: Element::Condition,
        bound_name: None,
        category: false,
    }
}

/// What a sample has, by what the section says alone.
pub(super) fn stated(asked: &RowSettings, normalise: bool, epoch_samples: usize) -> Option<Schema> {
    // What is stated agrees on the steps.
    let said = asked.stated.iter().find_map(|s| s.sizes.as_ref()?.first());
    let time = [("time".to_string(), *said.or(asked.window.as_ref())?)];
    let of_target = if asked.per_sequence { &[][..] } else { &time[..] };
    let mut schema = table::schema(&asked.stated, &asked.target, normalise, &time, of_target);
    schema.epoch_samples = Some(epoch_samples);
    schema.tensors.push(mask(&time));
    (!asked.stated.is_empty()).then_some(schema)
}

/// The rows of each sequence, in file order.
fn sequences(table: &Table, asked: &RowSettings) -> Result<Vec<Range<usize>>, DataError> {
    let group = match &asked.grouped {
        Some(name) => Some(table.find(name)?),
        None => None,
    };
    let begins = |row: usize| match group {
        Some(column) => table.cell(row, column) != table.cell(row - 1, column),
        None => table.line(row) > table.line(row - 1) + 1,
    };
    let mut sequences = vec![];
    let mut start = 0;
    for row in 1..=table.rows() {
        if row == table.rows() || begins(row) {
            sequences.push(start..row);
            start = row;
        }
    }
    if let Some((column, name)) = group.zip(asked.grouped.as_ref()) {
        let mut seen = std::collections::HashSet::new();
        if let Some(again) = sequences.iter().find(|s| !seen.insert(table.cell(s.start, column))) {
            let message = format!(
                "{}, line {}: `{}` is `{}` again, but other rows stand between",
                table.path.display(),
                table.line(again.start),
                name.column,
                table.cell(again.start, column)
            );
            let help =
                "the rows of a sequence follow each other: sort the file, or give each sequence a value of its own";
            return Err(DataError::new(name.span, message).help(help));
        }
    }
    if asked.per_sequence {
        sequences.iter().try_for_each(|s| one_target(table, s, asked))?;
    }
    Ok(sequences)
}

/// A target of a whole sequence is the same in all its rows.
fn one_target(table: &Table, sequence: &Range<usize>, asked: &RowSettings) -> Result<(), DataError> {
    let first = table.cell(sequence.start, table.target);
    let other = sequence.clone().find(|&row| table.cell(row, table.target) != first);
    other.map_or(Ok(()), |row| {
        let message = format!(
            "{}, line {}: `{}` is `{}`, but `{first}` in line {}, where its sequence begins",
            table.path.display(),
            table.line(row),
            asked.target.column,
            table.cell(row, table.target),
            table.line(sequence.start)
        );
        Err(DataError::new(asked.target.span, message).help("leave out `per sequence` if each step has a target"))
    })
}

type Fitting = (Vec<Range<usize>>, usize);

/// Brings sequences to the window, as the spec says.
fn fitting(table: &Table, sequences: Vec<Range<usize>>, asked: &RowSettings) -> Result<Fitting, DataError> {
    let longest = sequences.iter().map(|s| s.len()).max().unwrap_or(1);
    let window = asked.window.unwrap_or(longest);
    let mut kept = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        if sequence.len() <= window {
            kept.push(sequence);
            continue;
        }
        match asked.longer {
            Longer::Drop => {}
            Longer::Cut => kept.push(sequence.start..sequence.start + window),
            Longer::Refuse => {
                let message = format!(
                    "{}, line {}: the sequence that begins here has {} rows, more than the window of {window}",
                    table.path.display(),
                    table.line(sequence.start),
                    sequence.len()
                );
                let help =
                    format!("the longest has {longest}; make `window` greater, or write `longer cut` or `longer drop`");
                return Err(DataError::new(asked.path.span, message).help(help));
            }
        }
    }
    Ok((kept, window))
}

fn parts(
    table: &Table,
    sequences: &[Range<usize>],
    settings: &DataSettings,
    asked: &RowSettings,
) -> Result<[Vec<u32>; 3], DataError> {
    let what = format!("sequences of {}", table.path.display());
    let mut of_sequence = None;
    if let Some(place) = settings.split.stratified_at() {
        if asked.real || !asked.per_sequence {
            let message = "only sequences that have one class each can be stratified";
            return Err(DataError::new(place, message).help("write `target COLUMN per sequence`"));
        }
        let mut classes: Vec<&str> = sequences.iter().map(|s| table.cell(s.start, table.target)).collect();
        let unsorted = classes.clone();
        classes.sort_unstable();
        classes.dedup();
        let class = |name: &&str| classes.partition_point(|known| known < name) as u32;
        of_sequence = Some(unsorted.iter().map(class).collect::<Vec<u32>>());
    }
    let assignment = Assignment {
        random: settings.shuffle,
        classes: of_sequence.as_deref(),
    };
    Ok(divide(sequences.len(), &settings.split, assignment, &what)?.parts)
}

impl Source for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let steps = self.sequences[record].clone();
        let Columns {
            features,
            scales,
            categories,
            target,
        } = &self.columns;
        let columns = scales.len();
        // Past the end numbers are 0 and ids are 0; ids come from what made them, so their bound holds.
        let number = |at: usize| match steps.len() * columns {
            held if at < held => features[steps.start * columns + at],
            _ => 0.0,
        };
        let ids = |ids: &[i32], row: Row| {
            row.set_ids((0..self.window).map(|at| if at < steps.len() { ids[steps.start + at] } else { 0 }));
        };
        let at = (tensor + 1).checked_sub(usize::from(columns > 0) + 1);
        match (at, target) {
            (None, _) => row.set_reals((0..self.window * columns).map(number)),
            (Some(at), _) if at < categories.len() => ids(&categories[at].ids, row),
            (Some(at), _) if at > categories.len() => {
                row.set_reals((0..self.window).map(|at| if at < steps.len() { 1.0 } else { 0.0 }));
            }
            (_, Target::Class { values, .. }) if self.per_sequence => row.set_ids([values[steps.start]].into_iter()),
            (_, Target::Class { values, .. }) => ids(values, row),
            (_, Target::Number { values, .. }) if self.per_sequence => {
                row.set_reals([values[steps.start]].into_iter());
            }
            (_, Target::Number { values, .. }) => {
                let number = |at: usize| {
                    if at < steps.len() {
                        values[steps.start + at]
                    } else {
                        0.0
                    }
                };
                row.set_reals((0..self.window).map(number));
            }
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        self.columns.fitted()
    }
}
