//! A CSV file in, cells with a type for each column out; every bad cell is an error with its line, column and text.

use super::{DataError, Missing, Request, unknown_column};
use std::path::{Path, PathBuf};

/// What stands for a missing cell (without regard to case), besides nothing.
const MISSING: [&str; 5] = ["na", "n/a", "nan", "null", "?"];

/// A table whose number columns hold numbers or nothing.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) head: Vec<String>,
    /// Cells, row by row; a missing one is empty.
    cells: Vec<String>,
    lines: Vec<u64>,
    /// Columns of the features, ascending.
    pub(super) numbers: Vec<usize>,
    /// Category columns, ascending.
    pub(super) categories: Vec<usize>,
    pub(super) target: usize,
}

impl Table {
    pub(super) fn read(bytes: &[u8], at: &Path, request: &Request) -> Result<Table, DataError> {
        let fail = |message: String| DataError::new(request.path.span, message);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let head: Vec<String> = match reader.headers() {
            Ok(head) => head.iter().map(str::to_string).collect(),
            Err(error) => return Err(fail(bad_record(at, &error))),
        };
        if let Some(twice) = head.iter().enumerate().find(|(i, name)| head[..*i].contains(name)) {
            return Err(fail(format!("{} has two columns `{}`", at.display(), twice.1)));
        }
        let mut table = Table {
            path: at.to_path_buf(),
            head,
            cells: vec![],
            lines: vec![],
            numbers: vec![],
            categories: vec![],
            target: 0,
        };
        for record in reader.records() {
            let record = record.map_err(|error| fail(bad_record(at, &error)))?;
            table.lines.push(record.position().map_or(0, csv::Position::line));
            table.cells.extend(
                record
                    .iter()
                    .map(|cell| if is_missing(cell) { String::new() } else { cell.into() }),
            );
        }
        if table.rows() == 0 {
            return Err(fail(format!("{} has a head line and no rows", at.display())));
        }
        table.classify(request)?;
        table.refuse_or_drop(request)?;
        table.check_numbers(request)?;
        Ok(table)
    }

    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The line of the file that a row starts at.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        &self.cells[row * self.head.len() + column]
    }

    /// The number in a cell; `None` where it is missing.
    pub(super) fn number(&self, row: usize, column: usize) -> Option<f64> {
        self.cell(row, column).parse().ok()
    }

    /// Decides what each column is.
    fn classify(&mut self, request: &Request) -> Result<(), DataError> {
        let find = |name: &crate::ir::experiment::ColumnName| {
            self.head
                .iter()
                .position(|h| *h == name.column)
                .ok_or_else(|| unknown_column(name, &self.head, &self.path))
        };
        let target = find(request.target)?;
        let named = request.categories.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let ignored = request.ignored.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        for column in 0..self.head.len() {
            if column == target || ignored.contains(&column) {
                continue;
            }
            let cells = (0..self.rows()).map(|r| self.cell(r, column)).filter(|c| !c.is_empty());
            let (count, numbers) = cells.fold((0, 0), |(n, k), c| (n + 1, k + usize::from(is_number(c))));
            if named.contains(&column) || numbers * 2 < count || count == 0 {
                self.categories.push(column);
            } else {
                self.numbers.push(column);
            }
        }
        self.target = target;
        if self.numbers.is_empty() && self.categories.is_empty() {
            return Err(DataError::new(
                request.path.span,
                format!("{} has no column beside the target", self.path.display()),
            ));
        }
        Ok(())
    }

    /// Missing cells: an error, or their rows go, as the spec says. A row without its target can't be filled.
    fn refuse_or_drop(&mut self, request: &Request) -> Result<(), DataError> {
        let used: Vec<usize> = self
            .numbers
            .iter()
            .chain(&self.categories)
            .copied()
            .chain([self.target])
            .collect();
        let mut kept = vec![];
        for row in 0..self.rows() {
            let hole = used.iter().copied().find(|&c| self.cell(row, c).is_empty());
            match (hole, request.missing) {
                (None, _) => kept.push(row),
                (Some(_), Missing::Drop) => {}
                (Some(column), Missing::Fill) if column != self.target && !self.cell(row, self.target).is_empty() => {
                    kept.push(row);
                }
                (Some(column), missing) => {
                    let column = if missing == Missing::Fill { self.target } else { column };
                    let message = format!(
                        "{}, line {}: `{}` is missing",
                        self.path.display(),
                        self.line(row),
                        self.head[column]
                    );
                    let help = match missing {
                        Missing::Fill => "a target can't be filled in; write `missing drop` to leave such rows out",
                        _ => "write `missing fill` or `missing drop` in `data`, or leave the column out",
                    };
                    return Err(DataError::new(request.path.span, message).help(help));
                }
            }
        }
        if kept.is_empty() {
            let message = format!("every row of {} has a missing cell", self.path.display());
            return Err(DataError::new(request.path.span, message).help("write `missing fill`, or `ignore` columns"));
        }
        let width = self.head.len();
        self.cells = kept
            .iter()
            .flat_map(|&r| self.cells[r * width..(r + 1) * width].to_vec())
            .collect();
        self.lines = kept.iter().map(|&r| self.lines[r]).collect();
        Ok(())
    }

    fn check_numbers(&self, request: &Request) -> Result<(), DataError> {
        let regression = request.regression.then_some(self.target);
        for column in self.numbers.iter().copied().chain(regression) {
            let bad = (0..self.rows()).find(|&r| {
                let cell = self.cell(r, column);
                !cell.is_empty() && !is_number(cell)
            });
            if let Some(row) = bad {
                let (name, cell) = (&self.head[column], self.cell(row, column));
                let message = format!(
                    "{}, line {}: `{name}` is `{cell}`, expected a number",
                    self.path.display(),
                    self.line(row)
                );
                let help = match Some(column) == regression {
                    true => "a target of words is a class: leave out what makes it a number".to_string(),
                    false => {
                        format!("mend the cell, or write `category \"{name}\"` if the column holds kinds of things")
                    }
                };
                return Err(DataError::new(request.path.span, message).help(help));
            }
        }
        Ok(())
    }
}

fn is_missing(cell: &str) -> bool {
    cell.is_empty() || MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m))
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok_and(f64::is_finite)
}

fn bad_record(at: &Path, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => format!(
            "{}, line {}: {len} cells, expected {expected_len} as in the head line",
            at.display(),
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        csv::ErrorKind::Utf8 { pos, .. } => format!(
            "{}, line {}: not valid UTF-8",
            at.display(),
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        _ => format!("can't read {}: {error}", at.display()),
    }
}
