//! A CSV file in, cells with a type for each column out; every bad cell is an error with its line, column and text.

pub(super) mod columns;
pub(super) mod fit;
pub(super) mod stated;

use super::DataError;
use crate::ir::experiment::{ColumnName, DataPath, Missing, StatedTensor};
use crate::text::suggest::did_you_mean;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What the spec says about the table.
pub(super) struct Request<'a> {
    pub(super) path: &'a DataPath,
    /// The names of the columns; empty where the file's first line has them.
    pub(super) head: &'a [String],
    /// Cells are separated by tabs and never quoted, and words that elsewhere mean a missing cell are words.
    pub(super) tabs: bool,
    pub(super) target: &'a ColumnName,
    pub(super) regression: bool,
    pub(super) categories: &'a [ColumnName],
    pub(super) ignored: &'a [ColumnName],
    pub(super) missing: Missing,
    pub(super) stated: &'a [StatedTensor],
}

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
    /// Reads cells and decides what each column is.
    pub(super) fn read(bytes: &[u8], at: &Path, request: &Request) -> Result<Table, DataError> {
        let mut table = Table::cells(bytes, at, request.path, request.head, request.tabs)?;
        table.classify(request)?;
        table.refuse_or_drop(request)?;
        table.check_numbers(request)?;
        Ok(table)
    }

    /// Reads cells alone.
    pub(super) fn cells(
        bytes: &[u8],
        at: &Path,
        path: &DataPath,
        head: &[String],
        tabs: bool,
    ) -> Result<Table, DataError> {
        let fail = |message: String| DataError::new(path.span, message);
        let bytes = &*with_newlines(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(if tabs { b'\t' } else { b',' })
            .quoting(!tabs)
            .has_headers(head.is_empty())
            .from_reader(bytes);
        let head: Vec<String> = match reader.headers() {
            _ if !head.is_empty() => head.to_vec(),
            Ok(head) => head.iter().map(str::to_string).collect(),
            Err(error) => return Err(bad_record(bytes, at, path, &error)),
        };
        let twice = head
            .iter()
            .enumerate()
            .find(|(i, name)| !name.is_empty() && head[..*i].contains(name));
        if let Some((_, twice)) = twice {
            return Err(fail(format!("{} has two columns `{twice}`", at.display())));
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
        let missing = |cell: &str| if tabs { cell.is_empty() } else { is_missing(cell) };
        for record in reader.records() {
            let record = record.map_err(|error| bad_record(bytes, at, path, &error))?;
            let line = record.position().map_or(0, |start| line_of(bytes, start));
            if record.len() != table.head.len() {
                let (at, named) = (at.display(), table.head.len());
                let message = format!(
                    "{at}, line {line}: {} cells, expected {named} as in `columns`",
                    record.len()
                );
                return Err(fail(message));
            }
            table.lines.push(line);
            let cells = record.iter().map(|cell| if missing(cell) { "" } else { cell });
            table.cells.extend(cells.map(str::to_string));
        }
        if table.rows() == 0 {
            let what = match bytes.iter().all(u8::is_ascii_whitespace) {
                true => "is empty",
                false => "has a head line and no rows",
            };
            return Err(fail(format!("{} {what}", at.display())));
        }
        Ok(table)
    }

    /// The column of a name.
    pub(super) fn find(&self, name: &ColumnName) -> Result<usize, DataError> {
        let found = self.head.iter().position(|h| *h == name.column);
        found.ok_or_else(|| unknown_column(name, &self.head, &self.path))
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

    /// Columns that are used have a name, which the first one of a table often lacks if it numbers the rows.
    pub(super) fn check_names(&self, left_out: &[usize], path: &DataPath) -> Result<(), DataError> {
        let nameless = (0..self.head.len()).find(|c| self.head[*c].is_empty() && !left_out.contains(c));
        nameless.map_or(Ok(()), |column| {
            let message = format!("column {} of {} has no name", column + 1, self.path.display());
            let help = "give it one in the head line, or write `ignore \"\"` to leave it out";
            Err(DataError::new(path.span, message).help(help))
        })
    }

    /// The error for a column without a value in any row.
    pub(super) fn no_values(&self, column: usize, path: &DataPath) -> DataError {
        let name = &self.head[column];
        let message = format!("{}: `{name}` has no values", self.path.display());
        DataError::new(path.span, message).help(format!("write `ignore \"{name}\"`"))
    }

    /// Numbers are computed with in float32.
    pub(super) fn check_size(&self, column: usize, path: &DataPath) -> Result<(), DataError> {
        let beyond = |row: &usize| self.number(*row, column).is_some_and(|n| (n as f32).is_infinite());
        (0..self.rows()).find(beyond).map_or(Ok(()), |row| {
            let (name, cell) = (&self.head[column], shown(self.cell(row, column)));
            let place = format!("{}, line {}", self.path.display(), self.line(row));
            let message =
                format!("{place}: `{name}` is {cell}, more than is computed with: float32 goes to about 3.4e38");
            Err(DataError::new(path.span, message)
                .help("mend the cell, leave it empty, or give the column another unit"))
        })
    }

    /// Decides what each column is.
    fn classify(&mut self, request: &Request) -> Result<(), DataError> {
        let target = self.find(request.target)?;
        let all = |names: &[ColumnName]| names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>();
        let (named, ignored) = (all(request.categories)?, all(request.ignored)?);
        self.check_names(&ignored, request.path)?;
        for column in 0..self.head.len() {
            if column == target || ignored.contains(&column) {
                continue;
            }
            let cells = (0..self.rows()).map(|r| self.cell(r, column)).filter(|c| !c.is_empty());
            let (count, numbers) = cells.fold((0, 0), |(n, k), c| (n + 1, k + usize::from(is_number(c))));
            if count == 0 {
                return Err(self.no_values(column, request.path));
            }
            if named.contains(&column) || numbers * 2 < count {
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
                        _ if column == self.target => "write `missing drop` in `data` to leave such rows out",
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
                    "{}, line {}: `{name}` is {}, expected a number",
                    self.path.display(),
                    self.line(row),
                    shown(cell)
                );
                let with_point = cell.replacen(',', ".", 1);
                let help = match Some(column) == regression {
                    _ if is_number(&with_point) => format!("a decimal point is a point: `{with_point}`"),
                    true if cell.parse::<f64>().is_ok() => "mend the cell".to_string(),
                    true => "mend the cell; a target of words is a class: leave `real` out".to_string(),
                    false => {
                        format!("mend the cell, or write `category \"{name}\"` if the column holds kinds of things")
                    }
                };
                return Err(DataError::new(request.path.span, message).help(help));
            }
            self.check_size(column, request.path)?;
        }
        Ok(())
    }
}

/// Line ends of old Macs as newlines, by which lines are counted.
fn with_newlines(bytes: &[u8]) -> Cow<'_, [u8]> {
    let lone = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    if !(0..bytes.len()).any(lone) {
        return bytes.into();
    }
    let newline = |at: usize| if lone(at) { b'\n' } else { bytes[at] };
    (0..bytes.len()).map(newline).collect::<Vec<u8>>().into()
}

/// The line of a record. Its position is where the one before ended, so blank lines may lie between.
fn line_of(bytes: &[u8], start: &csv::Position) -> u64 {
    let behind = bytes.get(start.byte() as usize..).unwrap_or_default();
    let blank = behind.iter().take_while(|b| matches!(b, b'\n' | b'\r'));
    start.line() + blank.filter(|&&b| b == b'\n').count() as u64
}

/// The error for a column that the head line does not have.
fn unknown_column(name: &ColumnName, head: &[String], at: &Path) -> DataError {
    let error = DataError::new(name.span, format!("{} has no column `{}`", at.display(), name.column));
    if let [one] = head
        && let Some(separator) = [";", "\t", "|"].into_iter().find(|s| one.contains(s))
    {
        let what = if separator == "\t" {
            "tabs".to_string()
        } else {
            format!("`{separator}`")
        };
        return error.help(format!(
            "its cells seem to be separated by {what}; they are by commas, or by tabs in a file whose name ends in `.tsv`"
        ));
    }
    match did_you_mean(&name.column, head.iter().map(String::as_str)) {
        Some(help) => error.help(help),
        None => error.help(format!("its columns are {}", head.join(", "))),
    }
}

fn is_missing(cell: &str) -> bool {
    cell.is_empty() || MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m))
}

pub(super) fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether a file's cells are separated by tabs, by its name.
pub(super) fn by_tabs(at: &Path) -> bool {
    at.to_string_lossy().trim_end_matches(".gz").ends_with(".tsv")
}

/// A cell in quotes for a message: on one line, and not longer than one reads.
pub(super) fn shown(cell: &str) -> String {
    const MOST: usize = 40;
    let line: String = cell.chars().take(MOST).flat_map(char::escape_debug).collect();
    match cell.chars().nth(MOST) {
        Some(_) if cell.contains('\n') => format!("`{line}…` (it goes over several lines: a quote is not closed?)"),
        Some(_) => format!("`{line}…`"),
        None => format!("`{line}`"),
    }
}

fn bad_record(bytes: &[u8], at: &Path, path: &DataPath, error: &csv::Error) -> DataError {
    let line = |pos: &Option<csv::Position>| pos.as_ref().map_or(0, csv::Position::line);
    let fail = |message: String| DataError::new(path.span, message);
    let at = at.display();
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let error = fail(format!(
                "{at}, line {}: {len} cells, expected {expected_len} as in the head line",
                line(pos)
            ));
            let record = pos
                .as_ref()
                .and_then(|p| bytes.get(p.byte() as usize..))
                .unwrap_or_default();
            let first = record.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty());
            match first.unwrap_or_default().iter().filter(|b| **b == b'"').count() % 2 {
                0 => error,
                _ => error.help("a quote is opened in this line that is not closed in it"),
            }
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            fail(format!("{at}, line {}: not valid UTF-8", line(pos))).help("save the file as UTF-8")
        }
        _ => fail(format!("can't read {at}: {error}")),
    }
}
