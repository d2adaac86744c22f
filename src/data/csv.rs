//! `csv`: a table with a head line in, `features[columns]` (the numbers), each category column by its name as ids, all
//! of them together as `categories[category]`, and the target by its name out. A column whose cells are mostly numbers
//! is a number column; of words, a category.

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::stated::agree;
use super::table::columns::{Columns, Target, distinct};
use super::table::fit::Categories;
use super::table::{Request, Table, by_tabs, stated as table};
use super::{DataError, Dataset, Row, Source, file};
use crate::ir::experiment::{ColumnName, DataSettings, Schema, SchemaTensor, Source as Settings, StatedTensor};
use crate::ir::graph::Element;
use std::path::Path;

/// What all category columns together are called.
const ALL_CATEGORIES: &str = "categories";

struct Csv {
    columns: Columns,
}

pub(super) fn open(settings: &DataSettings, base: &Path) -> Result<Dataset, DataError> {
    let Settings::Csv {
        path,
        target,
        regression,
        categories,
        ignored,
        missing,
        stated,
    } = &settings.source
    else {
        unreachable!("called for csv alone")
    };
    let at = file::resolve(path, base);
    let request = Request {
        path,
        head: &[],
        tabs: by_tabs(&at),
        target,
        regression: *regression,
        categories,
        ignored,
        missing: *missing,
        stated,
    };
    let (bytes, fingerprint) = file::read_unpacked(path, &at)?;
    let table = Table::read(&bytes, &at, &request)?;
    let parts = parts(&table, &request, settings)?;
    let columns = Columns::fit(&table, &request, settings.normalise, &parts[0], 1)?;
    let mut schema = columns.schema(&request, &[], &[], &parts[0]);
    schema.epoch_samples = Some(parts[0].len());
    if let Some(last) = columns.categories.last() {
        join_categories(columns.categories.len(), last.before as usize + last.bound, &mut schema);
    }
    distinct(&schema, &table, &request)?;
    agree(stated, &schema, &[&target.name, ALL_CATEGORIES], &at)?;
    let [training, validation, test] = parts.map(Selection::List);
    Ok(Dataset {
        source: Box::new(Csv { columns }),
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

/// What a sample has, by what the section says alone.
pub(super) fn stated(
    stated: &[StatedTensor],
    target: &ColumnName,
    normalise: bool,
    epoch_samples: usize,
) -> Option<Schema> {
    let mut schema = table::schema(stated, target, normalise, &[], &[]);
    schema.epoch_samples = Some(epoch_samples);
    let bound = |t: &SchemaTensor| match t.element {
        Element::Id { bound } if t.category => Some(bound),
        _ => None,
    };
    let bounds: Vec<usize> = schema.tensors.iter().filter_map(bound).collect();
    if !bounds.is_empty() {
        join_categories(bounds.len(), bounds.iter().sum(), &mut schema);
    }
    (!stated.is_empty()).then_some(schema)
}

fn parts(table: &Table, request: &Request, settings: &DataSettings) -> Result<[Vec<u32>; 3], DataError> {
    let n = table.rows();
    let what = format!("rows of {}", table.path.display());
    let of_row = match settings.split.stratified_at() {
        None => None,
        Some(asked) if request.regression => {
            let message = "a target that is a number has no classes to stratify by";
            return Err(DataError::new(asked, message));
        }
        Some(_) => {
            let classes = Categories::of(table, table.target, 0..n);
            let class = |r| classes.find(table.cell(r, table.target)).unwrap_or(0) as u32;
            Some((0..n).map(class).collect::<Vec<u32>>())
        }
    };
    let assignment = Assignment {
        random: settings.shuffle,
        classes: of_row.as_deref(),
    };
    Ok(divide(n, &settings.split, assignment, &what)?.parts)
}

/// Adds the ids of all category columns in one tensor, those of a column behind those of the one before.
fn join_categories(columns: usize, bound: usize, schema: &mut Schema) {
    let axis = ("category".to_string(), columns);
    schema.sizes.extend([axis.clone(), ("category_count".into(), bound)]);
    schema.tensors.push(SchemaTensor {
        name: ALL_CATEGORIES.into(),
        axes: vec![axis],
        element: Element::Id { bound },
        bound_name: Some("category_count".into()),
        category: false,
    });
}

impl Source for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let Columns {
            features,
            scales,
            categories,
            target,
        } = &self.columns;
        let columns = scales.len();
        let first_category = usize::from(columns > 0);
        // Ids come from the categories that made them, so their bound holds by construction.
        match tensor.checked_sub(first_category) {
            None => row.set_reals(features[record * columns..(record + 1) * columns].iter().copied()),
            Some(at) if at < categories.len() => row.set_ids([categories[at].ids[record]].into_iter()),
            Some(at) if at > categories.len() => row.set_ids(categories.iter().map(|c| c.before + c.ids[record])),
            Some(_) => match target {
                Target::Number { values, .. } => row.set_reals([values[record]].into_iter()),
                Target::Class { values, .. } => row.set_ids([values[record]].into_iter()),
            },
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        self.columns.fitted()
    }
}
