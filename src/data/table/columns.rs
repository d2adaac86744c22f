//! A table in, what the model sees of each row out: numbers, ids of categories, the target. What is fitted (mean and
//! deviation, categories, classes) is fitted on the training rows.

use super::fit::{Categories, Scale};
use super::{Request, Table, is_number, shown};
use crate::data::DataError;
use crate::data::stated::column_bound;
use crate::ir::experiment::{ColumnName, Schema, SchemaTensor};
use crate::ir::graph::Element;
use serde_json::json;

/// The columns of a table by what they are for the model.
pub(in super::super) struct Columns {
    /// Row-major, normalised.
    pub(in super::super) features: Vec<f32>,
    pub(in super::super) scales: Vec<Scale>,
    pub(in super::super) categories: Vec<Category>,
    pub(in super::super) target: Target,
}

/// A column of ids.
pub(in super::super) struct Category {
    pub(in super::super) found: Categories,
    /// What the model calls it.
    pub(in super::super) name: String,
    pub(in super::super) ids: Vec<i32>,
    /// One beyond the greatest id: that of what training has not seen, or what the section states.
    pub(in super::super) bound: usize,
    /// The ids of the category columns before it, of all together.
    pub(in super::super) before: i32,
}

pub(in super::super) enum Target {
    Number {
        values: Vec<f32>,
        scale: Option<Scale>,
        name: String,
    },
    Class {
        values: Vec<i32>,
        classes: Categories,
        /// One beyond the last class, or what the section states.
        bound: usize,
    },
}

impl Columns {
    /// Fits all columns. A category that training rows have less often than `minimum_count` is as good as unknown.
    pub(in super::super) fn fit(
        table: &Table,
        request: &Request,
        normalise: bool,
        training: &[u32],
        minimum_count: usize,
    ) -> Result<Columns, DataError> {
        let rows = || 0..table.rows();
        let training = || training.iter().map(|&r| r as usize);
        let place = request.path.span;
        let scales = table.numbers.iter();
        let scales = scales.map(|&column| Scale::of(table, column, training(), normalise, place));
        let scales = scales.collect::<Result<Vec<Scale>, _>>()?;
        let mut features = Vec::with_capacity(table.rows() * scales.len());
        for row in rows() {
            let numbers = table.numbers.iter().zip(&scales);
            features.extend(numbers.map(|(&c, scale)| scale.apply(table.number(row, c))));
        }
        let mut categories: Vec<Category> = vec![];
        for &column in &table.categories {
            let found = Categories::frequent(table, column, training(), minimum_count);
            let ids = rows().map(|r| found.find_or_other(table.cell(r, column)) as i32);
            let name = request.categories.iter().find(|c| c.column == found.column);
            let name = name.map_or(&found.column, |c| &c.name).clone();
            let needed = found.values.len() + 1;
            let what = ", the last one for what the training part has not seen";
            categories.push(Category {
                ids: ids.collect(),
                bound: column_bound(request.stated, &name, needed, what, &table.path)?,
                name,
                before: categories.last().map_or(0, |c| c.before + c.bound as i32),
                found,
            });
        }
        Ok(Columns {
            features,
            scales,
            categories,
            target: Target::fit(table, request, normalise, training())?,
        })
    }

    /// The tensors of a sample; `axes` come before that of the columns, and `of_target` are the target's.
    pub(in super::super) fn schema(
        &self,
        request: &Request,
        axes: &[(String, usize)],
        of_target: &[(String, usize)],
        training: &[u32],
    ) -> Schema {
        let tensor = |name: &str, axes: &[(String, usize)], element| SchemaTensor {
            name: name.into(),
            axes: axes.to_vec(),
            element,
            bound_name: None,
            category: false,
        };
        let mut schema = Schema {
            sizes: axes.to_vec(),
            ..Schema::default()
        };
        if !self.scales.is_empty() {
            let columns = ("columns".to_string(), self.scales.len());
            let axes = [axes, std::slice::from_ref(&columns)].concat();
            schema.tensors.push(tensor("features", &axes, Element::Real));
            schema.sizes.push(columns);
            let width = self.scales.len();
            let rows = training.iter().map(|&r| r as usize * width);
            let seen = rows.flat_map(|r| self.features[r..r + width].iter().copied());
            schema.ranges.extend(range(seen).map(|r| ("features".to_string(), r)));
        }
        for category in &self.categories {
            let (bound, count) = (category.bound, format!("{}_count", category.name));
            schema.tensors.push(SchemaTensor {
                category: true,
                bound_name: Some(count.clone()),
                ..tensor(&category.name, axes, Element::Id { bound })
            });
            schema.sizes.push((count, bound));
        }
        let name = &request.target.name;
        match &self.target {
            Target::Number { scale, values, .. } => {
                schema.tensors.push(tensor(name, of_target, Element::Real));
                let seen = training.iter().map(|&r| values[r as usize]);
                schema.ranges.extend(range(seen).map(|r| (name.to_string(), r)));
                schema
                    .units
                    .extend(scale.iter().map(|s| (name.to_string(), s.deviation)));
            }
            &Target::Class { ref values, bound, .. } => {
                schema.tensors.push(SchemaTensor {
                    bound_name: Some("classes".into()),
                    ..tensor(name, of_target, Element::Id { bound })
                });
                schema.sizes.push(("classes".into(), bound));
                schema.balanced = balanced(training.iter().map(|&r| values[r as usize] as usize), bound);
            }
        }
        schema
    }

    /// What was fitted.
    pub(in super::super) fn fitted(&self) -> serde_json::Value {
        let category = |c: &Category| json!({ "column": c.found.column, "values": c.found.values });
        let categories: Vec<_> = self.categories.iter().map(category).collect();
        let target = match &self.target {
            Target::Number { scale, name, .. } => json!({ "target": name, "scale": scale }),
            Target::Class { classes, .. } => json!({ "target": classes.column, "classes": classes.values }),
        };
        json!({ "numbers": self.scales, "categories": categories, "target": target })
    }
}

impl Target {
    fn fit(
        table: &Table,
        request: &Request,
        normalise: bool,
        training: impl Iterator<Item = usize> + Clone,
    ) -> Result<Target, DataError> {
        let rows = 0..table.rows();
        if request.regression {
            let scale = match normalise {
                true => Some(Scale::of(table, table.target, training, true, request.target.span)?),
                false => None,
            };
            let value = |row| {
                let number = table.number(row, table.target);
                scale.as_ref().map_or(number.unwrap_or(0.0) as f32, |s| s.apply(number))
            };
            return Ok(Target::Number {
                values: rows.map(value).collect(),
                scale,
                name: request.target.name.clone(),
            });
        }
        let classes = Categories::of(table, table.target, training);
        let id = |row| {
            let cell = table.cell(row, table.target);
            let id = classes.find(cell).map(|id| id as i32);
            id.ok_or_else(|| unknown_class(table, row, cell, request.target))
        };
        let needed = classes.values.len();
        Ok(Target::Class {
            values: rows.map(id).collect::<Result<_, _>>()?,
            bound: column_bound(request.stated, &request.target.name, needed, "", &table.path)?,
            classes,
        })
    }
}

/// What a sample has is told apart by its names: a column must not be called as something else is.
pub(in super::super) fn distinct(schema: &Schema, table: &Table, request: &Request) -> Result<(), DataError> {
    let known = |at: usize, name: &str| {
        schema
            .tensors
            .iter()
            .enumerate()
            .any(|(other, t)| other != at && t.name == name)
            || schema.sizes.iter().any(|(size, _)| size == name)
    };
    let columns = schema
        .tensors
        .iter()
        .enumerate()
        .filter(|(_, t)| t.bound_name.is_some() || t.name == request.target.name);
    let clash = columns.into_iter().find(|(at, t)| known(*at, &t.name));
    clash.map_or(Ok(()), |(_, tensor)| {
        let name = &tensor.name;
        let named = [request.target]
            .into_iter()
            .chain(request.categories)
            .find(|c| c.name == *name);
        let place = named.map_or(request.path.span, |c| c.span);
        let message = format!(
            "{}: a column is called `{name}`, as something else that a sample has",
            table.path.display()
        );
        let column = named.map_or(name, |c| &c.column);
        let help = match *name == request.target.name {
            true => format!("give it another name: `\"{column}\" as NAME`"),
            false => format!("give it another name, `category \"{column}\" as NAME`, or `ignore` it"),
        };
        Err(DataError::new(place, message).help(help))
    })
}

/// The least and the greatest of some values.
pub(in super::super) fn range(values: impl Iterator<Item = f32>) -> Option<(f64, f64)> {
    let both = |r: Option<(f64, f64)>, value: f32| {
        let (low, high) = r.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        Some((low.min(f64::from(value)), high.max(f64::from(value))))
    };
    values.fold(None, both)
}

fn unknown_class(table: &Table, row: usize, cell: &str, target: &ColumnName) -> DataError {
    let place = format!("{}, line {}", table.path.display(), table.line(row));
    let message = format!(
        "{place}: class {} of `{}` does not occur in the training part",
        shown(cell),
        target.column
    );
    let error = DataError::new(target.span, message);
    let error = error.help("write `stratified` behind `split`, so that each part has every class");
    match is_number(cell) {
        true => error.help(format!(
            "if `{0}` is a number to predict, write `target {0} real`",
            target.column
        )),
        false => error,
    }
}

/// What a sample of each class weighs so that all classes weigh alike: samples / (classes · samples of the class).
fn balanced(training: impl Iterator<Item = usize> + Clone, classes: usize) -> Vec<f64> {
    let mut counts = vec![0usize; classes];
    training.clone().for_each(|class| counts[class] += 1);
    let samples = training.count();
    let occurring = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| samples as f64 / (occurring * count.max(1)) as f64;
    counts.iter().map(weight).collect()
}
