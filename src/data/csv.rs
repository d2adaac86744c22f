//! `csv`: a table with a head line in, `features[columns]` (the numbers), each category column by its name as
//! ids, and the target by its name out. A column whose cells are mostly numbers is a number column; of words, a
//! category. What is fitted (mean and deviation, categories, classes) is fitted on the training rows.

mod fit;
mod table;

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::{DataError, Dataset, Row, Source, file};
use crate::ir::experiment::{ColumnName, DataPath, DataSettings, Missing, Schema, SchemaTensor, Source as Settings};
use crate::ir::graph::Element;
use crate::text::suggest::did_you_mean;
use fit::{Categories, Scale};
use serde_json::json;
use std::path::Path;
use table::Table;

/// What the spec says about the table.
pub(super) struct Request<'a> {
    pub(super) path: &'a DataPath,
    pub(super) target: &'a ColumnName,
    pub(super) regression: bool,
    pub(super) categories: &'a [ColumnName],
    pub(super) ignored: &'a [ColumnName],
    pub(super) missing: Missing,
}

struct Csv {
    /// Row-major, normalised.
    features: Vec<f32>,
    scales: Vec<Scale>,
    categories: Vec<(Categories, Vec<i32>)>,
    target: Target,
}

enum Target {
    Number {
        values: Vec<f32>,
        scale: Option<Scale>,
        name: String,
    },
    Class {
        values: Vec<i32>,
        classes: Categories,
    },
}

pub(super) fn open(settings: &DataSettings, base: &Path) -> Result<Dataset, DataError> {
    let Settings::Csv {
        path,
        target,
        regression,
        categories,
        ignored,
        missing,
    } = &settings.source
    else {
        unreachable!("called for csv alone")
    };
    let request = Request {
        path,
        target,
        regression: *regression,
        categories,
        ignored,
        missing: *missing,
    };
    let at = file::resolve(path, base);
    let (bytes, fingerprint) = file::read_unpacked(path, &at)?;
    let table = Table::read(&bytes, &at, &request)?;
    let n = table.rows();
    let what = format!("rows of {}", at.display());
    let parts = if settings.split.stratified {
        if request.regression {
            return Err(DataError::new(
                settings.split.span,
                "a target that is a number has no classes to stratify by",
            ));
        }
        let classes = Categories::of(&table, table.target, 0..n);
        let of_row: Vec<u32> = (0..n)
            .map(|r| classes.find(table.cell(r, table.target)).unwrap_or(0) as u32)
            .collect();
        divide(n, &settings.split, Assignment::Stratified(&of_row), &what)?
    } else if settings.shuffle {
        divide(n, &settings.split, Assignment::Random, &what)?
    } else {
        divide(n, &settings.split, Assignment::InOrder, &what)?
    }
    .parts;
    let source = fit_columns(&table, &request, settings.normalise, &parts[0])?;
    let schema = schema(&source, &table, &request, parts[0].len());
    let [training, validation, test] = parts.map(Selection::List);
    Ok(Dataset {
        source: Box::new(source),
        schema,
        training: training.clone(),
        evaluation: [training, validation, test],
        order: if settings.shuffle {
            Order::Permuted
        } else {
            Order::InOrder
        },
        fingerprints: vec![fingerprint],
        settings: settings.clone(),
    })
}

fn fit_columns(table: &Table, request: &Request, normalise: bool, training: &[u32]) -> Result<Csv, DataError> {
    let rows = || 0..table.rows();
    let training = || training.iter().map(|&r| r as usize);
    let scales: Vec<Scale> = table
        .numbers
        .iter()
        .map(|&column| Scale::of(table, column, training(), normalise))
        .collect();
    let mut features = Vec::with_capacity(table.rows() * scales.len());
    for row in rows() {
        features.extend(
            table
                .numbers
                .iter()
                .zip(&scales)
                .map(|(&c, scale)| scale.apply(table.number(row, c))),
        );
    }
    let categories = table
        .categories
        .iter()
        .map(|&column| {
            let found = Categories::of(table, column, training());
            let ids = rows()
                .map(|r| found.find_or_other(table.cell(r, column)) as i32)
                .collect();
            (found, ids)
        })
        .collect();
    let target = if request.regression {
        let scale = normalise.then(|| Scale::of(table, table.target, training(), true));
        let value = |row| {
            let number = table.number(row, table.target);
            scale.as_ref().map_or(number.unwrap_or(0.0) as f32, |s| s.apply(number))
        };
        Target::Number {
            values: rows().map(value).collect(),
            scale,
            name: request.target.name.clone(),
        }
    } else {
        let classes = Categories::of(table, table.target, training());
        let id = |row| {
            let cell = table.cell(row, table.target);
            classes.find(cell).map(|id| id as i32).ok_or_else(|| {
                DataError::new(
                    request.target.span,
                    format!(
                        "{}, line {}: class `{cell}` of `{}` does not occur in the training part",
                        table.path.display(),
                        table.line(row),
                        request.target.column
                    ),
                )
                .help("write `stratified` behind `split`, so that each part has every class")
            })
        };
        Target::Class {
            values: rows().map(id).collect::<Result<_, _>>()?,
            classes,
        }
    };
    Ok(Csv {
        features,
        scales,
        categories,
        target,
    })
}

fn schema(source: &Csv, table: &Table, request: &Request, epoch_samples: usize) -> Schema {
    let tensor = |name: &str, axes: Vec<(String, usize)>, element| SchemaTensor {
        name: name.into(),
        axes,
        element,
        bound_name: None,
        category: false,
    };
    let mut schema = Schema {
        epoch_samples: Some(epoch_samples),
        ..Schema::default()
    };
    if !source.scales.is_empty() {
        let columns = ("columns".to_string(), source.scales.len());
        schema
            .tensors
            .push(tensor("features", vec![columns.clone()], Element::Real));
        schema.sizes.push(columns);
    }
    for (categories, _) in &source.categories {
        let name = &request
            .categories
            .iter()
            .find(|c| c.column == categories.column)
            .map_or(&categories.column, |c| &c.name);
        let element = Element::Id {
            bound: categories.values.len() + 1,
        };
        schema.tensors.push(SchemaTensor {
            category: true,
            ..tensor(name, vec![], element)
        });
    }
    let name = &request.target.name;
    match &source.target {
        Target::Number { scale, .. } => {
            schema.tensors.push(tensor(name, vec![], Element::Real));
            schema.units.extend(scale.iter().map(|s| (name.clone(), s.deviation)));
        }
        Target::Class { classes, .. } => {
            let bound = classes.values.len();
            let target = tensor(name, vec![], Element::Id { bound });
            schema.tensors.push(SchemaTensor {
                bound_name: Some("classes".into()),
                ..target
            });
            schema.sizes.push(("classes".into(), bound));
        }
    }
    debug_assert_eq!(table.numbers.len(), source.scales.len());
    schema
}

/// The error for a column that the head line does not have.
fn unknown_column(name: &ColumnName, head: &[String], at: &Path) -> DataError {
    let error = DataError::new(name.span, format!("{} has no column `{}`", at.display(), name.column));
    match did_you_mean(&name.column, head.iter().map(String::as_str)) {
        Some(help) => error.help(help),
        None => error.help(format!("its columns are {}", head.join(", "))),
    }
}

impl Source for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let columns = self.scales.len();
        let first_category = usize::from(columns > 0);
        // Ids come from the categories that made them, so their bound holds by construction.
        match tensor.checked_sub(first_category) {
            None => row.set_reals(self.features[record * columns..(record + 1) * columns].iter().copied()),
            Some(at) if at < self.categories.len() => row.set_ids([self.categories[at].1[record]].into_iter()),
            Some(_) => match &self.target {
                Target::Number { values, .. } => row.set_reals([values[record]].into_iter()),
                Target::Class { values, .. } => row.set_ids([values[record]].into_iter()),
            },
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        let categories: Vec<_> = self
            .categories
            .iter()
            .map(|(c, _)| json!({ "column": c.column, "values": c.values }))
            .collect();
        let target = match &self.target {
            Target::Number { scale, name, .. } => json!({ "target": name, "scale": scale }),
            Target::Class { classes, .. } => json!({ "target": classes.column, "classes": classes.values }),
        };
        json!({ "numbers": self.scales, "categories": categories, "target": target })
    }
}
