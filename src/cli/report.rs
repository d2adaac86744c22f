//! The report of a split, as text and as JSON: numbers one below the other, values of each class side by side, and
//! tables.

use crate::ops::tensor64::Tensor64;
use crate::train::evaluate::Scores;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Loss and metrics; `classes` names the rows and columns of what has as many as there are classes.
pub fn text(scores: &Scores, classes: &[String]) -> String {
    let numbers = || std::iter::once(("loss", scores.loss)).chain(scores.metrics.iter().map(|m| (m.0.as_str(), m.1)));
    let width = numbers().map(|n| n.0.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in numbers() {
        line(&mut text, format_args!("{name:width$}  {}", number(value)));
    }
    let columns: Vec<&(String, Tensor64)> = scores.tables.iter().filter(|t| t.1.shape.len() == 1).collect();
    let mut sizes: Vec<usize> = columns.iter().map(|c| c.1.shape[0]).collect();
    sizes.dedup();
    for size in sizes {
        let chosen: Vec<_> = columns.iter().filter(|c| c.1.shape[0] == size).collect();
        let head: Vec<String> = chosen.iter().map(|c| c.0.clone()).collect();
        let cell = |row: usize, column: usize| chosen[column].1.data[row];
        text += "\n";
        grid(&mut text, "class", &names(size, classes), &head, &cell);
    }
    for (name, table) in scores.tables.iter().filter(|t| t.1.shape.len() == 2) {
        let [rows, columns] = table.shape[..] else { continue };
        let square = rows == columns;
        let numbered = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let (left, head) = match square {
            true => (names(rows, classes), names(columns, classes)),
            false => (numbered(rows), numbered(columns)),
        };
        let corner = if square { "target" } else { "" };
        let cell = |row: usize, column: usize| table.data[row * columns + column];
        let of = if square {
            ", a row for each target, a column for each prediction"
        } else {
            ""
        };
        line(&mut text, format_args!("\n{name}{of}"));
        grid(&mut text, corner, &left, &head, &cell);
    }
    text
}

/// Metrics by name: numbers, lists and lists of lists. What is no number is null.
pub fn metrics(scores: &Scores) -> Map<String, Value> {
    let numbers = scores.metrics.iter().map(|(name, value)| (name.clone(), json!(value)));
    let tables = scores.tables.iter().map(|(name, table)| {
        let value = match table.shape[..] {
            [_, columns] => json!(table.data.chunks(columns).collect::<Vec<_>>()),
            _ => json!(table.data),
        };
        (name.clone(), value)
    });
    numbers.chain(tables).collect()
}

/// The names of classes, if there are as many, else their numbers.
fn names(size: usize, classes: &[String]) -> Vec<String> {
    match classes.len() == size {
        true => classes.to_vec(),
        false => (0..size).map(|i| i.to_string()).collect(),
    }
}

fn grid(text: &mut String, corner: &str, left: &[String], head: &[String], cell: &dyn Fn(usize, usize) -> f64) {
    let first = left
        .iter()
        .map(|l| l.chars().count())
        .max()
        .unwrap_or(0)
        .max(corner.len());
    // A column of whole numbers, not all of them 0 or 1, is one of counts.
    let counts = |column: usize| {
        let values = || (0..left.len()).map(|row| cell(row, column));
        values().all(|v| v.fract() == 0.0) && values().any(|v| v.abs() > 1.0)
    };
    let counts: Vec<bool> = (0..head.len()).map(counts).collect();
    let written = |row: usize, column: usize| match cell(row, column) {
        v if counts[column] => v.to_string(),
        v => number(v),
    };
    let rows: Vec<Vec<String>> = (0..left.len())
        .map(|row| (0..head.len()).map(|column| written(row, column)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|r| r[column].len());
        cells.max().unwrap_or(0).max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let join = |cells: &[String]| -> String {
        let padded = cells.iter().zip(&widths).map(|(c, w)| format!("  {c:>w$}"));
        padded.collect()
    };
    line(text, format_args!("{corner:first$}{}", join(head)));
    for (name, row) in left.iter().zip(&rows) {
        line(text, format_args!("{name:first$}{}", join(row)));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments) {
    writeln!(text, "{content}").expect("a String takes everything");
}

fn number(value: f64) -> String {
    match value.is_nan() {
        true => "undefined".into(),
        false => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let table = |name: &str, shape: &[usize], data: &[f64]| (name.to_string(), Tensor64::new(shape, data.to_vec()));
        Scores {
            loss: 0.51234,
            metrics: vec![("accuracy".into(), 0.75), ("auc".into(), f64::NAN)],
            tables: vec![
                table("recall", &[2], &[1.0, 0.5]),
                table("support", &[2], &[120.0, 8.0]),
                table("confusion", &[2, 2], &[116.0, 4.0, 0.0, 8.0]),
                table("roc", &[3, 2], &[0.0, 0.5, 0.5, 1.0, 1.0, 1.0]),
            ],
        }
    }

    #[test]
    fn a_report_as_text() {
        let classes = ["healthy".to_string(), "sick".to_string()];
        insta::assert_snapshot!(text(&scores(), &classes), @r"
        loss      0.5123
        accuracy  0.7500
        auc       undefined

        class    recall  support
        healthy  1.0000      120
        sick     0.5000        8

        confusion, a row for each target, a column for each prediction
        target   healthy  sick
        healthy      116     4
        sick           0     8

        roc
                0       1
        0  0.0000  0.5000
        1  0.5000  1.0000
        2  1.0000  1.0000
        ");
    }

    #[test]
    fn a_report_as_json() {
        let value = Value::Object(metrics(&scores())).to_string();
        insta::assert_snapshot!(value, @r#"{"accuracy":0.75,"auc":null,"recall":[1.0,0.5],"support":[120.0,8.0],"confusion":[[116.0,4.0],[0.0,8.0]],"roc":[[0.0,0.5],[0.5,1.0],[1.0,1.0]]}"#);
    }
}
