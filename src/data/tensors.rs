//! `tensors`: a safetensors file in, its tensors by name out. The first axis is the samples; or the file has
//! whole batches, `inputs.0`, `targets.0`, `inputs.1`, …, of which each step takes the next.
//! Whole numbers are ids, with a bound that the spec states; each is checked when a batch is formed.

mod columns;

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::{DataError, Dataset, Row, Source, file};
use crate::ir::experiment::{DataPath, DataSettings, Schema, SchemaTensor, StatedTensor};
use crate::ir::graph::Element;
use crate::text::{Span, suggest};
use columns::{Column, Elements, Piece, column, group};
use safetensors::SafeTensors;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

struct Tensors {
    at: PathBuf,
    columns: Vec<Column>,
    ignore: Option<i64>,
    batch: Option<usize>,
}

pub(super) fn open(
    settings: &DataSettings,
    base: &Path,
    path: &DataPath,
    stated: &[StatedTensor],
    ignore: Option<i64>,
) -> Result<Dataset, DataError> {
    let at = file::resolve(path, base);
    let (bytes, fingerprint) = file::read(path, &at)?;
    let fail = |message: String| DataError::new(path.span, message);
    let read = SafeTensors::deserialize(&bytes)
        .map_err(|e| fail(format!("{} is not a whole safetensors file: {e}", at.display())))?;
    let groups = group(&read).map_err(|m| fail(format!("{}: {m}", at.display())))?;
    if let Some(StatedTensor { name, span, .. }) = stated.iter().find(|stated| !groups.contains_key(&stated.name)) {
        let known: Vec<&str> = groups.keys().map(String::as_str).collect();
        let help = suggest::did_you_mean(name, known.iter().copied());
        return Err(
            DataError::new(*span, format!("{} has no tensor `{name}`", at.display()))
                .help(help.unwrap_or_else(|| format!("it has {}", known.join(", ")))),
        );
    }
    let mut source = Tensors {
        at,
        columns: vec![],
        ignore,
        batch: None,
    };
    let mut schema = Schema::default();
    let mut samples = None;
    for (name, pieces) in &groups {
        let said = stated.iter().find(|s| s.name == *name);
        let (column, shape) = column(name, pieces, said).map_err(|(message, help)| {
            let place = said.map_or(path.span, |s| s.span);
            let error = DataError::new(place, format!("{}: {message}", source.at.display()));
            match help {
                Some(help) => error.help(help),
                None => error,
            }
        })?;
        let count = shape[0] * pieces.len();
        if *samples.get_or_insert(count) != count {
            return Err(fail(format!(
                "{}: `{name}` has {count} samples, the tensors before it {}",
                source.at.display(),
                samples.unwrap_or(0)
            ))
            .help("the first axis of every tensor is the samples"));
        }
        if pieces[0].0.is_some() {
            source.batch = Some(shape[0]);
        }
        sound(&column, &shape, said.map_or(path.span, |s| s.span), &source.at)?;
        add(&mut source, &mut schema, column, &shape[1..]);
    }
    check_sizes(stated, &groups, &source.at)?;
    drop_taken(&mut schema);
    let samples = samples.unwrap_or(0);
    schema.batch = source.batch;
    let (parts, order) = parts(settings, samples, &source)?;
    schema.epoch_samples = Some(parts[0].len());
    let [training, validation, test] = parts.map(Selection::List);
    Ok(Dataset {
        source: Box::new(source),
        schema,
        training: training.clone(),
        evaluation: [training, validation, test],
        order,
        fingerprints: vec![fingerprint],
        settings: settings.clone(),
    })
}

/// A tensor has elements, and its reals are numbers that float32 holds; infinite ones are as they were stored.
fn sound(column: &Column, shape: &[usize], place: Span, at: &Path) -> Result<(), DataError> {
    let (name, at) = (&column.name, at.display());
    if shape[0] == 0 {
        return Err(DataError::new(place, format!("{at}: `{name}` has no samples")));
    }
    if column.sample_elements == 0 {
        let message = format!("{at}: a sample of `{name}` is {:?}, which has no elements", &shape[1..]);
        return Err(DataError::new(place, message));
    }
    let Elements::Real(values) = &column.values else {
        return Ok(());
    };
    values.iter().position(|v| v.is_nan()).map_or(Ok(()), |position| {
        let (sample, element) = (position / column.sample_elements, position % column.sample_elements);
        let message = format!("{at}: `{name}`, sample {sample}, element {element} is not a number (NaN)");
        Err(DataError::new(place, message).help("store a number, and a condition that tells where there is none"))
    })
}

/// The sizes of a tensor's axes are called after it; a tensor that is called so comes first.
fn drop_taken(schema: &mut Schema) {
    let tensors = &schema.tensors;
    schema.sizes.retain(|(size, _)| tensors.iter().all(|t| t.name != *size));
}

/// Samples have the sizes that the section states.
fn check_sizes(stated: &[StatedTensor], groups: &BTreeMap<String, Vec<Piece>>, at: &Path) -> Result<(), DataError> {
    for tensor in stated {
        let (name, shape) = (&tensor.name, groups[&tensor.name][0].1.shape());
        let sizes = shape.get(1..).unwrap_or_default();
        if let Some(said) = tensor.sizes(stated).filter(|s| s != sizes) {
            let at = at.display();
            let message = format!("{at}: a sample of `{name}` is {sizes:?}, the spec says {said:?}");
            return Err(DataError::new(tensor.span, message));
        }
    }
    Ok(())
}

fn parts(settings: &DataSettings, samples: usize, source: &Tensors) -> Result<([Vec<u32>; 3], Order), DataError> {
    let split = &settings.split;
    if let Some(asked) = split.stratified_at() {
        return Err(DataError::new(asked, "a file of tensors has no classes to stratify by"));
    }
    if source.batch.is_some() {
        if split.validation > 0.0 || split.test > 0.0 {
            return Err(DataError::new(
                split.span,
                "numbered batches are not divided: all of them are for training",
            )
            .help("leave `split` out, or store samples instead of batches"));
        }
        if let Some(fold) = &split.fold {
            let message = "numbered batches have no folds: all of them are for training";
            return Err(DataError::new(fold.span, message).help("store samples instead of batches"));
        }
        return Ok(([(0..samples as u32).collect(), vec![], vec![]], Order::InOrder));
    }
    let assignment = Assignment {
        random: settings.shuffle,
        classes: None,
    };
    let order = match settings.shuffle {
        true => Order::Permuted,
        false => Order::InOrder,
    };
    let what = format!("samples of {}", source.at.display());
    Ok((divide(samples, split, assignment, &what)?.parts, order))
}

/// What a sample has, by what the section says alone, in the order in which a file's tensors are.
pub(super) fn stated(said: &[StatedTensor], ignores: bool, epoch_samples: usize) -> Option<Schema> {
    let mut schema = Schema {
        epoch_samples: Some(epoch_samples),
        ..Schema::default()
    };
    let mut ordered: Vec<&StatedTensor> = said.iter().collect();
    ordered.sort_by_key(|stated| &stated.name);
    for stated in ordered {
        let axes = axes(&stated.name, &stated.sizes(said)?);
        schema.sizes.extend(axes.clone());
        schema.tensors.push(tensor(stated.name.clone(), &axes, stated.element));
        if ignores && matches!(stated.element, Element::Id { .. }) {
            let name = format!("{}_counted", stated.name);
            schema.tensors.push(tensor(name, &axes, Element::Condition));
        }
    }
    drop_taken(&mut schema);
    (!said.is_empty()).then_some(schema)
}

fn axes(name: &str, shape: &[usize]) -> Vec<(String, usize)> {
    let numbered = shape.iter().zip(1..);
    numbered
        .map(|(&size, number)| (format!("{name}_{number}"), size))
        .collect()
}

fn tensor(name: String, axes: &[(String, usize)], element: Element) -> SchemaTensor {
    SchemaTensor {
        name,
        axes: axes.to_vec(),
        element,
        bound_name: None,
        category: false,
    }
}

/// Puts a column into the source and the schema, with a `NAME_counted` behind ids that are ignored somewhere.
fn add(source: &mut Tensors, schema: &mut Schema, column: Column, shape: &[usize]) {
    let name = column.name.clone();
    let axes = axes(&name, shape);
    let element = match &column.values {
        Elements::Id { bound, .. } => Element::Id { bound: *bound },
        Elements::Real(_) => Element::Real,
        Elements::Condition(_) | Elements::Counted { .. } => Element::Condition,
    };
    let ignored = match (&column.values, source.ignore) {
        (Elements::Id { values, .. }, Some(ignore)) => values.contains(&ignore),
        _ => false,
    };
    schema.sizes.extend(axes.clone());
    schema.tensors.push(tensor(name.clone(), &axes, element));
    let sample_elements = column.sample_elements;
    source.columns.push(column);
    if ignored {
        let name = format!("{name}_counted");
        schema.tensors.push(tensor(name.clone(), &axes, Element::Condition));
        let values = Elements::Counted {
            column: source.columns.len() - 1,
        };
        source.columns.push(Column {
            name,
            sample_elements,
            values,
        });
    }
}

impl Tensors {
    fn range(&self, column: &Column, record: usize) -> std::ops::Range<usize> {
        record * column.sample_elements..(record + 1) * column.sample_elements
    }

    fn bad_id(&self, column: &Column, record: usize, within: usize, id: i64, bound: usize, stated: Span) -> DataError {
        let place = match self.batch {
            Some(batch) => format!("`{}.{}`, sample {}", column.name, record / batch, record % batch),
            None => format!("`{}`, sample {record}", column.name),
        };
        let message = format!(
            "{}: {place}, element {within} is id {id}, expected 0 to {}",
            self.at.display(),
            bound - 1
        );
        let error = DataError::new(stated, message);
        if id < 0 {
            error.help(format!("if {id} marks what does not count, write `ignore {id}`"))
        } else {
            error.help(format!(
                "raise the bound (`ids {} < {}`), or mend the file",
                column.name,
                id + 1
            ))
        }
    }
}

impl Source for Tensors {
    fn name(&self) -> &'static str {
        "tensors"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let column = &self.columns[tensor];
        let range = self.range(column, record);
        match &column.values {
            Elements::Real(values) => row.set_reals(values[range].iter().copied()),
            Elements::Condition(values) => {
                row.set_reals(values[range].iter().map(|&c| if c != 0 { 1.0 } else { 0.0 }));
            }
            Elements::Id { values, bound, stated } => {
                let ids = &values[range];
                let bad = |id: i64| Some(id) != self.ignore && (id < 0 || id as u64 >= *bound as u64);
                if let Some(at) = ids.iter().position(|&id| bad(id)) {
                    return Err(self.bad_id(column, record, at, ids[at], *bound, *stated));
                }
                row.set_ids(
                    ids.iter()
                        .map(|&id| if Some(id) == self.ignore { 0 } else { id as i32 }),
                );
            }
            Elements::Counted { column } => {
                let Elements::Id { values, .. } = &self.columns[*column].values else {
                    unreachable!("only an id column has a counted one")
                };
                row.set_reals(
                    values[range]
                        .iter()
                        .map(|&id| if Some(id) == self.ignore { 0.0 } else { 1.0 }),
                );
            }
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        json!({})
    }
}
