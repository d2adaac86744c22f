//! `images`: pictures in, `image[rows, columns, channels]` and `label` below `classes` out. The format is told by the
//! folder's files: IDX, CIFAR's binary files, class folders, or, with masks, pictures side by side; a file each. What
//! they have in common is here: the division, labels, normalisation. A record is a picture: first those that training
//! learns from, then those of a validation and a test part of their own.

mod cifar;
mod decode;
mod folders;
mod idx;
mod normal;
mod store;
#[cfg(test)]
mod tests;
mod training;

use super::augment::{Action, Shape, find};
use super::order::{Order, Selection};
use super::split::{Assignment, divide, fold};
use super::{DataError, Dataset, Fingerprint, Row, Source, TrainingSamples, file, stated as sizes};
use crate::ir::experiment::{DataPath, DataSettings, ImageSettings, Schema, SchemaTensor, Split};
use crate::ir::graph::Element;
use normal::Normal;
use serde_json::json;
use std::path::Path;
use store::Store;

/// Pictures of up to this many bytes in all are decoded once and kept; those of larger folders each time they are read.
const KEPT_BYTES_MAX: usize = 512 << 20;

/// What a folder holds, whatever its format.
struct Found {
    store: Store,
    /// Of each record; empty where masks tell the classes.
    labels: Vec<u32>,
    /// By number.
    classes: Vec<String>,
    /// How many records the three parts' own files have; all but the first may have none.
    counts: [usize; 3],
    fingerprints: Vec<Fingerprint>,
}

/// An opened source.
struct Images {
    store: Store,
    labels: Vec<u32>,
    classes: Vec<String>,
    ignore: Option<u8>,
    normal: Option<Normal>,
    /// Changes of training samples, in order, with the values of their parameters.
    changes: Vec<(Action, Vec<f64>)>,
    /// What a second picture is drawn from.
    training: Selection,
    contents: Vec<Content>,
}

/// What a tensor of the schema holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Image,
    Label,
    Counted,
    SecondLabel,
    Share,
}

pub(super) fn open(settings: &DataSettings, base: &Path, images: &ImageSettings) -> Result<Dataset, DataError> {
    open_keeping(settings, base, images, KEPT_BYTES_MAX)
}

/// A folder of class folders whose pictures are decoded whenever they are read, in the order of their names.
#[cfg(test)]
pub(crate) fn open_decoding(folder: &Path) -> Dataset {
    let (settings, images) = tests::whole();
    open_keeping(&settings, folder, &images, 0).expect("the folder holds class folders")
}

fn open_keeping(
    settings: &DataSettings,
    base: &Path,
    images: &ImageSettings,
    kept_bytes_max: usize,
) -> Result<Dataset, DataError> {
    let folder = file::resolve(&images.path, base);
    let found = read(images, &folder, base, kept_bytes_max)?;
    let parts = parts(settings, &found, &format!("images of {}", folder.display()))?;
    let Found {
        store,
        labels,
        classes,
        fingerprints,
        ..
    } = found;
    let [training, validation, test] = parts.map(Selection::List);
    let normal = match settings.normalise {
        true => Some(Normal::fit(&store, &training)?),
        false => None,
    };
    let action = |name: &str| find(name).expect("names are checked with the spec").action();
    let changes: Vec<_> = images
        .augment
        .iter()
        .map(|a| (action(a.name), a.values.clone()))
        .collect();
    let bound = sizes::bound(images.classes, classes.len(), "classes", &folder)?;
    let (mut schema, contents) = schema(images, store.shape(), bound, training.len());
    let range = normal.as_ref().map_or((0.0, 1.0), Normal::range);
    schema.ranges.push(("image".into(), range));
    let source = Images {
        store,
        labels,
        classes,
        ignore: images.ignore,
        normal,
        changes,
        training: training.clone(),
        contents,
    };
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
        fingerprints,
        settings: settings.clone(),
    })
}

/// Reads the folder in the format that its files have.
fn read(images: &ImageSettings, folder: &Path, base: &Path, kept_bytes_max: usize) -> Result<Found, DataError> {
    let path = &images.path;
    if let Some(masks) = &images.masks {
        let mask_folder = file::resolve(masks, base);
        return folders::with_masks(images, folder, (masks, &mask_folder), kept_bytes_max);
    }
    let found = if idx::is_here(folder) {
        idx::read(path, folder)?
    } else if cifar::is_here(folder) {
        cifar::read(path, folder)?
    } else {
        return folders::by_class(images, folder, kept_bytes_max);
    };
    if images.channels.is_some_and(|c| c != found.store.shape().channels) {
        let message = format!(
            "the pictures of {} have {}",
            folder.display(),
            found.store.channels_in_words()
        );
        return Err(DataError::new(path.span, message).help("leave `channels` out: it is for folders of PNG and JPEG"));
    }
    Ok(match images.size {
        Some(size) => Found {
            store: found.store.resized(size),
            ..found
        },
        None => found,
    })
}

/// Divides the first part's records; parts with files of their own keep these.
fn parts(settings: &DataSettings, found: &Found, what: &str) -> Result<[Vec<u32>; 3], DataError> {
    let [n, validation, test] = found.counts;
    let mut split: Split = settings.split.clone();
    if test > 0 {
        split.test = 0.0;
    }
    if validation > 0 {
        // Nothing has to be kept back for a part that has its own files.
        split.train += split.validation;
        split.validation = 0.0;
    }
    let asked = split.stratified_at().is_some() && !found.labels.is_empty();
    let assignment = Assignment {
        random: settings.shuffle,
        classes: asked.then_some(&found.labels),
    };
    let own_validation = validation > 0 && split.fold.is_some();
    let mut division = match own_validation {
        true => divide(
            n,
            &Split {
                fold: None,
                ..split.clone()
            },
            assignment,
            what,
        )?,
        false => divide(n, &split, assignment, what)?,
    };
    let numbers = |from: usize, count: usize| (from as u32..(from + count) as u32).collect();
    if validation > 0 {
        division.parts[1] = numbers(n, validation);
    }
    if own_validation {
        division = fold(division, &split, assignment, what)?;
    }
    if test > 0 {
        division.parts[2] = numbers(n + validation, test);
    }
    Ok(division.parts)
}

fn schema(images: &ImageSettings, shape: Shape, classes: usize, epoch_samples: usize) -> (Schema, Vec<Content>) {
    let sizes = [
        ("rows", shape.rows),
        ("columns", shape.columns),
        ("channels", shape.channels),
    ]
    .map(|(name, size)| (name.to_string(), size));
    let mask_axes = match images.masks {
        Some(_) => &sizes[..2],
        None => &[],
    };
    let tensor = |name: &str, axes: &[(String, usize)], element: Element| SchemaTensor {
        name: name.into(),
        axes: axes.to_vec(),
        element,
        bound_name: matches!(element, Element::Id { .. }).then(|| "classes".into()),
        category: false,
    };
    let action = |name: &str| find(name).expect("names are checked with the spec").action();
    let mixes = images.augment.iter().any(|a| matches!(action(a.name), Action::Mix(_)));
    let id = Element::Id { bound: classes };
    let mut tensors = vec![
        (tensor("image", &sizes, Element::Real), Content::Image),
        (tensor("label", mask_axes, id), Content::Label),
    ];
    if images.ignore.is_some() {
        tensors.push((tensor("label_counted", mask_axes, Element::Condition), Content::Counted));
    }
    if mixes {
        tensors.push((tensor("second_label", &[], id), Content::SecondLabel));
        tensors.push((tensor("share", &[], Element::Real), Content::Share));
    }
    let (tensors, contents) = tensors.into_iter().unzip();
    let mut sizes = sizes.to_vec();
    sizes.push(("classes".into(), classes));
    let schema = Schema {
        tensors,
        sizes,
        epoch_samples: Some(epoch_samples),
        ..Schema::default()
    };
    (schema, contents)
}

/// What a sample has, by what the section says alone.
pub(super) fn stated(
    images: &ImageSettings,
    side: usize,
    channels: usize,
    classes: usize,
    epoch_samples: usize,
) -> Schema {
    let shape = Shape {
        rows: side,
        columns: side,
        channels,
    };
    schema(images, shape, classes, epoch_samples).0
}

impl Images {
    /// Writes pixels from 0 to 1, normalised if the spec says so.
    fn write_image(&self, pixels: impl ExactSizeIterator<Item = f32>, row: Row) {
        match &self.normal {
            None => row.set_reals(pixels),
            Some(normal) => row.set_reals(normal.apply(pixels)),
        }
    }

    /// Writes the classes of a mask, or where they count.
    fn write_mask(&self, mask: &[u8], content: Content, row: Row) {
        let counts = |value: u8| self.ignore != Some(value);
        match content {
            Content::Counted => row.set_reals(mask.iter().map(|&v| if counts(v) { 1.0 } else { 0.0 })),
            _ => row.set_ids(mask.iter().map(|&v| if counts(v) { i32::from(v) } else { 0 })),
        }
    }

    fn label(&self, record: usize) -> i32 {
        self.labels[record].cast_signed()
    }
}

impl Source for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        match self.contents[tensor] {
            Content::Image => {
                let bytes = self.store.image(record)?;
                self.write_image(bytes.iter().map(|&p| f32::from(p) / 255.0), row);
            }
            // `open` has compared every label and every mask with the number of classes.
            Content::Label | Content::SecondLabel if !self.store.has_masks() => {
                row.set_ids([self.label(record)].into_iter());
            }
            Content::Share => row.set_reals([1.0].into_iter()),
            content => self.write_mask(&self.store.mask(record)?, content, row),
        }
        Ok(())
    }

    fn training_samples(&self, seed: u64) -> Option<Box<dyn TrainingSamples + '_>> {
        (!self.changes.is_empty()).then(|| Box::new(training::Changed::new(self, seed)) as Box<_>)
    }

    fn takes_long(&self) -> bool {
        !self.changes.is_empty() || !self.store.is_kept()
    }

    fn fitted(&self) -> serde_json::Value {
        match &self.normal {
            None => json!({ "classes": self.classes }),
            Some(normal) => json!({ "classes": self.classes, "mean": normal.mean, "deviation": normal.deviation }),
        }
    }
}

/// An error about a file that the spec does not name itself.
fn wrong_file(path: &DataPath, at: &Path, what: impl std::fmt::Display) -> DataError {
    DataError::new(path.span, format!("{}: {what}", at.display()))
}
