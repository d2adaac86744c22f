//! CIFAR's binary files (Krizhevsky 2009): records of a label (CIFAR-100: a coarse and a fine one) and 32×32 pixels,
//! first all red, then all green, then all blue.

use super::store::Store;
use super::{Found, wrong_file};
use crate::data::augment::Shape;
use crate::data::{DataError, Fingerprint, file};
use crate::ir::experiment::DataPath;
use std::path::Path;

const SHAPE: Shape = Shape {
    rows: 32,
    columns: 32,
    channels: 3,
};

/// Where one of the two data sets keeps what.
struct Layout {
    classes: usize,
    /// Labels in front of the pixels; the last one counts.
    labels: usize,
    training: &'static [&'static str],
    test: &'static str,
    names: &'static str,
}

const TEN: Layout = Layout {
    classes: 10,
    labels: 1,
    training: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
};

const HUNDRED: Layout = Layout {
    classes: 100,
    labels: 2,
    training: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
};

/// Whether a folder holds one of the two.
pub(super) fn is_here(folder: &Path) -> bool {
    [TEN, HUNDRED]
        .iter()
        .any(|layout| folder.join(layout.training[0]).exists())
}

/// Reads all files of the folder.
pub(super) fn read(path: &DataPath, folder: &Path) -> Result<Found, DataError> {
    let layout = if folder.join(TEN.training[0]).exists() {
        TEN
    } else {
        HUNDRED
    };
    let mut found = Reading {
        path,
        layout: &layout,
        pixels: vec![],
        labels: vec![],
        fingerprints: vec![],
    };
    for name in layout.training {
        found.read(&folder.join(name))?;
    }
    let training = found.labels.len();
    found.read(&folder.join(layout.test))?;
    let names = std::fs::read_to_string(folder.join(layout.names)).unwrap_or_default();
    let names: Vec<String> = names
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect();
    let numbers = || (0..layout.classes).map(|n| n.to_string()).collect();
    Ok(Found {
        counts: [training, 0, found.labels.len() - training],
        store: Store::kept(path, SHAPE, found.pixels),
        labels: found.labels,
        classes: if names.len() == layout.classes {
            names
        } else {
            numbers()
        },
        fingerprints: found.fingerprints,
    })
}

struct Reading<'a> {
    path: &'a DataPath,
    layout: &'a Layout,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    fingerprints: Vec<Fingerprint>,
}

impl Reading<'_> {
    fn read(&mut self, at: &Path) -> Result<(), DataError> {
        let (bytes, fingerprint) = file::read(self.path, at)?;
        let record = self.layout.labels + SHAPE.elements();
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let message = format!("{} bytes are no whole number of records of {record}", bytes.len());
            return Err(wrong_file(self.path, at, message).help("the file was cut off; fetch it again"));
        }
        for (number, record) in bytes.chunks(record).enumerate() {
            let (labels, planes) = record.split_at(self.layout.labels);
            let label = usize::from(labels[self.layout.labels - 1]);
            if label >= self.layout.classes {
                let message = format!(
                    "record {number} has label {label}, expected 0 to {}",
                    self.layout.classes - 1
                );
                return Err(wrong_file(self.path, at, message).help("the file is damaged; fetch it again"));
            }
            self.labels.push(label as u32);
            let pixel = |p: usize| (0..SHAPE.channels).map(move |c| planes[c * SHAPE.pixels() + p]);
            self.pixels.extend((0..SHAPE.pixels()).flat_map(pixel));
        }
        self.fingerprints.push(fingerprint);
        Ok(())
    }
}
