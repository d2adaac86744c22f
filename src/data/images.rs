//! `images`: a folder of IDX files (plain or `.gz`) in, `image[rows, columns, channels]` with pixels from 0 to 1
//! and `label` below `classes` out. A record is an image; those of the test files follow the training file's.
//! The split divides the training file; the `t10k` files are the test part.

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::{DataError, Dataset, Fingerprint, Row, Source, file};
use crate::ir::experiment::{DataPath, DataSettings, Schema, SchemaTensor, Split};
use crate::ir::graph::Element;
use serde_json::json;
use std::path::{Path, PathBuf};

const UNSIGNED_BYTES: u8 = 0x08;

struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    image_elements: usize,
    classes: usize,
}

pub(super) fn open(settings: &DataSettings, base: &Path, path: &DataPath) -> Result<Dataset, DataError> {
    let folder = file::resolve(path, base);
    let mut fingerprints = vec![];
    let mut pair = |prefix: &str| read_pair(path, &folder, prefix, &mut fingerprints);
    let train = pair("train")?;
    let test = if find(&folder, "t10k-images-idx3-ubyte").is_some() {
        Some(pair("t10k")?)
    } else {
        None
    };
    let (rows, columns) = (train.rows, train.columns);
    if let Some(test) = &test
        && (test.rows, test.columns) != (rows, columns)
    {
        return Err(DataError::new(
            path.span,
            format!(
                "the training images of {} are {rows}×{columns}, the test images {}×{}",
                folder.display(),
                test.rows,
                test.columns
            ),
        ));
    }
    let n = train.labels.len();
    let classes = train.labels.iter().max().map_or(0, |&l| l as usize + 1);
    let label_of: Vec<u32> = train.labels.iter().map(|&l| u32::from(l)).collect();
    let split = Split {
        test: if test.is_some() { 0.0 } else { settings.split.test },
        ..settings.split.clone()
    };
    let assignment = match (settings.shuffle, split.stratified) {
        (_, true) => Assignment::Stratified(&label_of),
        (true, false) => Assignment::Random,
        (false, false) => Assignment::InOrder,
    };
    let mut parts = divide(n, &split, assignment, &format!("images of {}", folder.display()))?.parts;
    let (mut pixels, mut labels) = (train.pixels, train.labels);
    if let Some(test) = test {
        if let Some(at) = test.labels.iter().position(|&l| l as usize >= classes) {
            return Err(DataError::new(
                path.span,
                format!(
                    "image {at} of the test file of {} has label {}, but the training labels end at {}",
                    folder.display(),
                    test.labels[at],
                    classes - 1
                ),
            ));
        }
        parts[2] = (n as u32..(n + test.labels.len()) as u32).collect();
        pixels.extend(test.pixels);
        labels.extend(test.labels);
    }
    let schema = schema(rows, columns, classes, parts[0].len());
    let [training, validation, test] = parts.map(Selection::List);
    let source = Images {
        pixels,
        labels,
        image_elements: rows * columns,
        classes,
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

fn schema(rows: usize, columns: usize, classes: usize, epoch_samples: usize) -> Schema {
    let sizes = [("rows", rows), ("columns", columns), ("channels", 1)].map(|(name, size)| (name.to_string(), size));
    let mut all = sizes.to_vec();
    all.push(("classes".into(), classes));
    Schema {
        tensors: vec![
            SchemaTensor {
                name: "image".into(),
                axes: sizes.to_vec(),
                element: Element::Real,
                bound_name: None,
                category: false,
            },
            SchemaTensor {
                name: "label".into(),
                axes: vec![],
                element: Element::Id { bound: classes },
                bound_name: Some("classes".into()),
                category: false,
            },
        ],
        sizes: all,
        epoch_samples: Some(epoch_samples),
        batch: None,
    }
}

struct Pair {
    rows: usize,
    columns: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

/// The file of a name in a folder, plain or packed.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))]
        .into_iter()
        .find(|p| p.exists())
}

fn read_pair(
    path: &DataPath,
    folder: &Path,
    prefix: &str,
    fingerprints: &mut Vec<Fingerprint>,
) -> Result<Pair, DataError> {
    let mut array = |kind: &str, dimensions: usize| {
        let name = format!("{prefix}-{kind}-ubyte");
        let Some(at) = find(folder, &name) else {
            return Err(DataError::new(
                path.span,
                format!("there is neither {name} nor {name}.gz in {}", folder.display()),
            )
            .help("`images` reads a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair"));
        };
        let (bytes, fingerprint) = file::read_unpacked(path, &at)?;
        fingerprints.push(fingerprint);
        idx(bytes, dimensions, &at).map_err(|message| {
            DataError::new(path.span, message).help("the file is not IDX, or it is damaged; fetch it again")
        })
    };
    let (sizes, pixels) = array("images-idx3", 3)?;
    let (label_sizes, labels) = array("labels-idx1", 1)?;
    if sizes[0] != label_sizes[0] {
        return Err(DataError::new(
            path.span,
            format!(
                "the {prefix} files of {} have {} images, but {} labels",
                folder.display(),
                sizes[0],
                label_sizes[0]
            ),
        ));
    }
    Ok(Pair {
        rows: sizes[1],
        columns: sizes[2],
        pixels,
        labels,
    })
}

/// Takes an IDX file apart: big-endian 0, 0, element type, number of dimensions, their sizes, the elements.
fn idx(mut bytes: Vec<u8>, dimensions: usize, at: &Path) -> Result<(Vec<usize>, Vec<u8>), String> {
    let wanted = [0, 0, UNSIGNED_BYTES, dimensions as u8];
    let header = 4 + 4 * dimensions;
    if bytes.len() < header {
        return Err(format!(
            "{} has {} bytes, fewer than an IDX header",
            at.display(),
            bytes.len()
        ));
    }
    if bytes[..4] != wanted {
        return Err(format!(
            "{} starts with {:02x?}, expected {wanted:02x?} (IDX, unsigned bytes, {dimensions} dimensions)",
            at.display(),
            &bytes[..4]
        ));
    }
    let size = |i: usize| {
        let word: [u8; 4] = bytes[4 + 4 * i..8 + 4 * i].try_into().expect("four bytes");
        u32::from_be_bytes(word) as usize
    };
    let sizes: Vec<usize> = (0..dimensions).map(size).collect();
    let expected = sizes.iter().try_fold(1usize, |product, &s| product.checked_mul(s));
    let found = bytes.len() - header;
    if expected != Some(found) {
        return Err(format!(
            "{} says {sizes:?} elements, but {found} bytes follow its header: it was cut off or is not complete",
            at.display()
        ));
    }
    if found == 0 {
        return Err(format!("{} has no elements", at.display()));
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

impl Source for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        if tensor == 0 {
            let start = record * self.image_elements;
            let pixels = &self.pixels[start..start + self.image_elements];
            row.set_reals(pixels.iter().map(|&p| f32::from(p) / 255.0));
        } else {
            // `open` has compared every label with the number of classes.
            row.set_ids([i32::from(self.labels[record])].into_iter());
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        json!({ "classes": (0..self.classes).collect::<Vec<_>>() })
    }
}
