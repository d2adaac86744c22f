//! IDX files, plain or packed: the format of MNIST. The `t10k` files are the test part.

use super::store::Store;
use super::{Found, file};
use crate::data::augment::Shape;
use crate::data::{DataError, Fingerprint};
use crate::ir::experiment::DataPath;
use std::path::{Path, PathBuf};

const UNSIGNED_BYTES: u8 = 0x08;

/// Whether a folder holds IDX files, or some of them.
pub(super) fn is_here(folder: &Path) -> bool {
    [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
    ]
    .iter()
    .any(|name| find(folder, name).is_some())
}

/// Reads the training pair, and the test pair if there is one.
pub(super) fn read(path: &DataPath, folder: &Path) -> Result<Found, DataError> {
    let mut fingerprints = vec![];
    let mut pair = |prefix: &str| read_pair(path, folder, prefix, &mut fingerprints);
    let train = pair("train")?;
    let test = match find(folder, "t10k-images-idx3-ubyte") {
        Some(_) => Some(pair("t10k")?),
        None => None,
    };
    let shape = Shape {
        rows: train.rows,
        columns: train.columns,
        channels: 1,
    };
    let n = train.labels.len();
    let classes = train.labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
    let (mut pixels, mut labels) = (train.pixels, train.labels);
    if let Some(test) = test {
        check_test(path, folder, &test, shape, classes)?;
        pixels.extend(test.pixels);
        labels.extend(test.labels);
    }
    Ok(Found {
        store: Store::kept(path, shape, pixels),
        counts: [n, 0, labels.len() - n],
        labels: labels.into_iter().map(u32::from).collect(),
        classes: (0..classes).map(|n| n.to_string()).collect(),
        fingerprints,
    })
}

/// The test part has the training part's shape and no class of its own.
fn check_test(path: &DataPath, folder: &Path, test: &Pair, shape: Shape, classes: usize) -> Result<(), DataError> {
    let Shape { rows, columns, .. } = shape;
    if (test.rows, test.columns) != (rows, columns) {
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
    if let Some(at) = test.labels.iter().position(|&l| usize::from(l) >= classes) {
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
    Ok(())
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
