//! What is fitted on a table's training rows: mean and deviation of a number column, the values of a category.

use super::Table;
use crate::data::DataError;
use crate::text::Span;
use serde::Serialize;

/// How a number column is brought to mean 0 and variance 1, and what replaces a missing cell.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(in super::super) struct Scale {
    pub(in super::super) column: String,
    pub(in super::super) mean: f64,
    /// 1 where the column is constant or nothing is normalised.
    pub(in super::super) deviation: f64,
    /// Whether the mean is subtracted.
    pub(in super::super) normalised: bool,
}

impl Scale {
    /// Fits a column on the training rows, in float64; the deviation is the population's. Nothing can be fitted, or
    /// filled in, where they have no value.
    pub(in super::super) fn of(
        table: &Table,
        column: usize,
        training: impl Iterator<Item = usize> + Clone,
        normalised: bool,
        place: Span,
    ) -> Result<Scale, DataError> {
        let known = training.filter_map(|r| table.number(r, column));
        let count = known.clone().count() as f64;
        if count == 0.0 {
            let name = &table.head[column];
            let message = format!("{}: `{name}` has no values in the training part", table.path.display());
            let help = format!("write `ignore \"{name}\"`, or let more rows be trained on");
            return Err(DataError::new(place, message).help(help));
        }
        let mean = known.clone().sum::<f64>() / count;
        let variance = known.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let spread = variance.sqrt();
        // A column that is constant but for rounding has nothing to scale.
        let constant = spread <= 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
        Ok(Scale {
            column: table.head[column].clone(),
            mean,
            deviation: if normalised && !constant { spread } else { 1.0 },
            normalised,
        })
    }

    /// The value that the model sees; a missing one becomes the mean.
    pub(in super::super) fn apply(&self, value: Option<f64>) -> f32 {
        let value = value.unwrap_or(self.mean);
        match self.normalised {
            true => ((value - self.mean) / self.deviation) as f32,
            false => value as f32,
        }
    }
}

/// The values of a category column, in the order of their ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Categories {
    pub(in super::super) column: String,
    /// Sorted: numbers by value, then words by code point. A missing cell is the empty word.
    pub(in super::super) values: Vec<String>,
}

impl Categories {
    /// The values that these rows have.
    pub(in super::super) fn of(table: &Table, column: usize, rows: impl Iterator<Item = usize>) -> Categories {
        let mut values: Vec<String> = rows.map(|r| table.cell(r, column).to_string()).collect();
        values.sort_by(|a, b| order(a, b));
        values.dedup();
        Categories {
            column: table.head[column].clone(),
            values,
        }
    }

    /// The values that these rows have at least so often.
    pub(in super::super) fn frequent(
        table: &Table,
        column: usize,
        rows: impl Iterator<Item = usize>,
        minimum_count: usize,
    ) -> Categories {
        let mut values: Vec<&str> = rows.map(|r| table.cell(r, column)).collect();
        values.sort_by(|a, b| order(a, b));
        let kept = values
            .chunk_by(|a, b| a == b)
            .filter(|same| same.len() >= minimum_count);
        Categories {
            column: table.head[column].clone(),
            values: kept.map(|same| same[0].to_string()).collect(),
        }
    }

    /// The id of a value.
    pub(in super::super) fn find(&self, value: &str) -> Option<usize> {
        self.values.binary_search_by(|v| order(v, value)).ok()
    }

    /// The id of a value; one that training has not seen gets the id behind the last.
    pub(in super::super) fn find_or_other(&self, value: &str) -> usize {
        self.find(value).unwrap_or(self.values.len())
    }
}

fn order(a: &str, b: &str) -> std::cmp::Ordering {
    let number = |s: &str| s.parse::<f64>().ok().filter(|x| x.is_finite());
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}
