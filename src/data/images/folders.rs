//! Folders of PNG and JPEG files: a folder for each class, `CLASS/*.png`, below `train`, `validation` (or `val`) and
//! `test` where these exist; or, with masks, pictures side by side, each with a mask of the same name in another
//! folder. Names are sorted, so that records have the same numbers everywhere.

use super::store::{Pieces, Store};
use super::{Found, decode, wrong_file};
use crate::data::augment::Shape;
use crate::data::{DataError, Fingerprint, file, sha256};
use crate::ir::experiment::{DataPath, ImageSettings};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// What folders of the three parts may be called.
const PARTS: [&[&str]; 3] = [&["train"], &["validation", "val"], &["test"]];
const HELP: &str = "`images` reads a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair, \
                    one with CIFAR's data_batch_1.bin to 5 or train.bin, or one with a folder of PNG and JPEG files for each class";

/// Pictures whose folder tells their class.
pub(super) fn by_class(images: &ImageSettings, folder: &Path, kept_bytes_max: usize) -> Result<Found, DataError> {
    let path = &images.path;
    let roots = PARTS.map(|names| names.iter().map(|name| folder.join(name)).find(|root| root.is_dir()));
    let roots = match roots {
        [Some(train), validation, test] => [Some(train), validation, test],
        _ => [Some(folder.to_path_buf()), None, None],
    };
    let mut found = Found {
        store: Store::kept(
            path,
            Shape {
                rows: 0,
                columns: 0,
                channels: 0,
            },
            vec![],
        ),
        labels: vec![],
        classes: vec![],
        counts: [0; 3],
        fingerprints: vec![],
    };
    let mut files = vec![];
    for (part, root) in roots.iter().enumerate() {
        let Some(root) = root else { continue };
        let before = files.len();
        classes_below(path, root, part, &mut found, &mut files)?;
        found.counts[part] = files.len() - before;
    }
    if files.is_empty() {
        let message = format!("there is nothing in {} that `images` can read", folder.display());
        return Err(DataError::new(path.span, message).help(HELP));
    }
    found.fingerprints.push(listing(path, folder, &files)?);
    found.store = store(images, files, None, kept_bytes_max)?;
    Ok(found)
}

/// Adds the pictures of each class folder below `root`; later parts know the first part's classes only.
fn classes_below(
    path: &DataPath,
    root: &Path,
    part: usize,
    found: &mut Found,
    files: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    for (name, at) in entries(path, root)? {
        if !at.is_dir() {
            let help = "put each picture into the folder of its class, or name the folder of masks: `masks \"DIR\"`";
            let message = "a file among the folders of classes";
            return Err(wrong_file(path, &at, message).help(help));
        }
        let label = match found.classes.iter().position(|c| *c == name) {
            Some(label) => label,
            None if part == 0 => {
                found.classes.push(name.clone());
                found.classes.len() - 1
            }
            None => {
                let message = format!("the training part has no class `{name}`");
                return Err(wrong_file(path, &at, message));
            }
        };
        let pictures = pictures(path, &at)?;
        if pictures.is_empty() {
            return Err(wrong_file(path, &at, "the folder of this class has no pictures"));
        }
        found.labels.extend(std::iter::repeat_n(label as u32, pictures.len()));
        files.extend(pictures.into_iter().map(|(_, file)| file));
    }
    Ok(())
}

/// Pictures with masks of the same names.
pub(super) fn with_masks(
    images: &ImageSettings,
    folder: &Path,
    (mask_path, mask_folder): (&DataPath, &Path),
    kept_bytes_max: usize,
) -> Result<Found, DataError> {
    let path = &images.path;
    let pictures = pictures(path, folder)?;
    let masks = self::pictures(mask_path, mask_folder)?;
    if pictures.is_empty() {
        return Err(wrong_file(path, folder, "there are no PNG or JPEG files"));
    }
    let mut mask_files = Vec::with_capacity(pictures.len());
    for (name, at) in &pictures {
        let Ok(index) = masks.binary_search_by(|m| m.0.cmp(name)) else {
            let message = format!("there is no mask `{name}.png` in {}", mask_folder.display());
            return Err(wrong_file(mask_path, at, message).help("a mask has the name of its picture"));
        };
        mask_files.push(masks[index].1.clone());
    }
    let files: Vec<PathBuf> = pictures.into_iter().map(|p| p.1).collect();
    let count = files.len();
    let fingerprints = vec![
        listing(path, folder, &files)?,
        listing(mask_path, mask_folder, &mask_files)?,
    ];
    let store = store(images, files, Some(mask_files), kept_bytes_max)?;
    let mut greatest = 0;
    for record in 0..count {
        let mask = store.mask(record)?;
        let counted = mask.iter().filter(|&&value| images.ignore != Some(value));
        greatest = greatest.max(counted.copied().max().unwrap_or(0));
    }
    Ok(Found {
        store,
        labels: vec![],
        classes: (0..=greatest).map(|n| n.to_string()).collect(),
        counts: [count, 0, 0],
        fingerprints,
    })
}

/// The store of these files: decoded at once if they are not too many.
fn store(
    images: &ImageSettings,
    files: Vec<PathBuf>,
    masks: Option<Vec<PathBuf>>,
    kept_bytes_max: usize,
) -> Result<Store, DataError> {
    let path = &images.path;
    let size = |at: &Path| decode::dimensions(at).map_err(|e| wrong_file(path, at, e));
    let (rows, columns) = match images.size {
        Some(side) => (side, side),
        None => size(&files[0])?,
    };
    let shape = Shape {
        rows,
        columns,
        channels: images.channels.unwrap_or(3),
    };
    let count = files.len();
    let store = Store {
        path: path.clone(),
        shape,
        resize: images.size.is_some(),
        images: Pieces::Files(files),
        masks: masks.map(Pieces::Files),
    };
    if count.saturating_mul(shape.elements() + shape.pixels()) <= kept_bytes_max {
        return store.keep(count);
    }
    Ok(store)
}

/// The pictures of a folder by their names without the ending, sorted.
fn pictures(path: &DataPath, folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut pictures = vec![];
    for (name, at) in entries(path, folder)? {
        let ending = at.extension().map(|e| e.to_string_lossy().to_lowercase());
        if at.is_dir() || !ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            return Err(wrong_file(path, &at, "neither PNG nor JPEG").help("move it out of the folder"));
        }
        let stem = at.file_stem().map_or(name, |s| s.to_string_lossy().into_owned());
        pictures.push((stem, at));
    }
    pictures.sort();
    Ok(pictures)
}

/// What a folder holds, sorted by name; hidden files are none of the data.
fn entries(path: &DataPath, folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let fail = |error: std::io::Error| {
        let message = format!("can't read {}: {}", folder.display(), file::plain(&error));
        DataError::new(path.span, message)
            .help("paths in a spec are relative to the folder of the file that names them")
    };
    let mut entries = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// A fingerprint of names and sizes: contents of large folders are not read for it.
fn listing(path: &DataPath, folder: &Path, files: &[PathBuf]) -> Result<Fingerprint, DataError> {
    let mut text = String::new();
    for at in files {
        let size = std::fs::metadata(at)
            .map_err(|e| wrong_file(path, at, file::plain(&e)))?
            .len();
        let name = at.strip_prefix(folder).unwrap_or(at);
        writeln!(text, "{} {size}", name.display()).expect("a text takes any line");
    }
    Ok(Fingerprint {
        path: folder.to_path_buf(),
        sha256: sha256(text.as_bytes()),
    })
}
