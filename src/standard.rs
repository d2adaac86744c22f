//! The standard library's texts, embedded, and their trees.

use crate::ir::ast::File;
use crate::text::{Diagnostics, FileId};
use crate::{parallel, parse};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// Name and text of each file.
pub const FILES: &[(&str, &str)] = &[
    ("std/layers.ms", include_str!("std/layers.ms")),
    ("std/activations.ms", include_str!("std/activations.ms")),
    ("std/norms.ms", include_str!("std/norms.ms")),
    ("std/attention.ms", include_str!("std/attention.ms")),
    ("std/convolution.ms", include_str!("std/convolution.ms")),
    ("std/pooling.ms", include_str!("std/pooling.ms")),
    ("std/recurrent.ms", include_str!("std/recurrent.ms")),
    ("std/positions.ms", include_str!("std/positions.ms")),
    ("std/losses.ms", include_str!("std/losses.ms")),
    ("std/metrics.ms", include_str!("std/metrics.ms")),
    ("std/optimizers.ms", include_str!("std/optimizers.ms")),
    ("std/regularization.ms", include_str!("std/regularization.ms")),
    ("std/schedules.ms", include_str!("std/schedules.ms")),
    ("std/initialisers.ms", include_str!("std/initialisers.ms")),
];

/// Trees by the number of the first file: places in them name their files.
type Trees = HashMap<FileId, Arc<[File]>>;

static PARSED: LazyLock<Mutex<Trees>> = LazyLock::new(Mutex::default);

/// The tree of each file, `first` being the id of the first of them. The texts do not change, so they are parsed once in
/// a process for each id.
pub fn trees(first: FileId) -> Arc<[File]> {
    let mut parsed = PARSED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    parsed.entry(first).or_insert_with(|| parse_all(first).into()).clone()
}

/// A command has nothing else to do yet, and no spec is as long as the library.
fn parse_all(first: FileId) -> Vec<File> {
    let mut order: Vec<usize> = (0..FILES.len()).collect();
    order.sort_by_key(|&number| Reverse(FILES[number].1.len()));
    let files = parallel::map(order.len(), parallel::threads(), |at| tree(first, order[at]));
    let mut files: Vec<(usize, File)> = order.into_iter().zip(files).collect();
    files.sort_by_key(|(number, _)| *number);
    files.into_iter().map(|(_, file)| file).collect()
}

fn tree(first: FileId, number: usize) -> File {
    let (name, text) = FILES[number];
    let mut diagnostics = Diagnostics::default();
    let file = parse::parse(FileId(first.0 + number as u32), text, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{name} has mistakes: {diagnostics:?}");
    file
}
