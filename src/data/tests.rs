//! Tiny files in, batches or errors out, for every source.

use super::*;
use crate::ir::experiment::{ColumnName, DataPath, ImageSettings, Missing, Split, StatedBound, StatedTensor, Tokens};
use crate::ir::graph::Element;
use crate::text::Span;
use tempfile::TempDir;

mod folds;
mod idx;
mod odd;
mod sequences;
mod stated;
mod stated_tables;
mod tables;
mod tensors;

fn path(name: &str) -> DataPath {
    DataPath {
        path: name.into(),
        span: Span::NOWHERE,
    }
}

fn settings(source: Settings, train: f64, validation: f64) -> DataSettings {
    DataSettings {
        source,
        split: Split {
            train,
            validation,
            test: 0.0,
            stratified: false,
            fold: None,
            span: Span::NOWHERE,
        },
        normalise: false,
        shuffle: true,
        span: Span::NOWHERE,
    }
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Message and help of the error, with the temporary folder's name taken out.
fn error(settings: &DataSettings, folder: &TempDir) -> String {
    said(open(settings, folder.path()).err().expect("opening must fail"), folder)
}

fn said(error: DataError, folder: &TempDir) -> String {
    let lines: Vec<String> = std::iter::once(error.message)
        .chain(error.help.into_iter().map(|h| format!("help: {h}")))
        .collect();
    lines
        .join("\n")
        .replace(&format!("{}/", folder.path().display()), "")
        .replace("./", "")
        .replace(&folder.path().display().to_string(), "DIR")
}

fn ids(batch: &Batch, name: &str) -> Vec<i32> {
    match &batch.tensor(name).unwrap().values {
        Values::Id(ids) => ids.clone(),
        Values::Real(_) => panic!("{name} is real"),
    }
}

fn reals(batch: &Batch, name: &str) -> Vec<f32> {
    match &batch.tensor(name).unwrap().values {
        Values::Real(reals) => reals.clone(),
        Values::Id(_) => panic!("{name} is ids"),
    }
}

fn evaluate(data: &Dataset, part: Part) -> Batch {
    let n = data.samples(part);
    let mut batch = Batch::new(data.schema(), n);
    data.read(part, 0, n, &mut batch).unwrap();
    batch
}

fn text(window: usize, tokens: Tokens) -> Settings {
    Settings::Text {
        path: path("a.txt"),
        tokens,
        vocab: None,
        window,
        masked: None,
    }
}

#[test]
fn text_gives_windows_of_its_part_and_what_follows() {
    let folder = folder(&[("a.txt", b"abcdefghijklmnopqrstuvwxyz0123".as_slice())]);
    let data = open(&settings(text(4, Tokens::Characters), 0.5, 0.5), folder.path()).unwrap();
    assert_eq!(data.schema().sizes, [("vocab".into(), 30), ("time".into(), 4)]);
    // Digits come before letters, so `a` is 4. The validation part is `p…z0123`.
    let batch = evaluate(&data, Part::Validation);
    assert_eq!(ids(&batch, "tokens"), [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 0]);
    assert_eq!(ids(&batch, "next"), [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 0, 1]);
    let mut sampler = data.sampler(7, 8).unwrap();
    let mut batch = Batch::new(data.schema(), 8);
    for step in 1..50 {
        sampler.fill(step, &mut batch).unwrap();
        assert!(
            ids(&batch, "next").iter().all(|&id| (5..=18).contains(&id)),
            "a window left its part"
        );
    }
}

#[test]
fn a_step_draws_the_same_windows_whatever_was_drawn_before() {
    let letters: Vec<u8> = (0..2000u32).map(|i| b'a' + (i * i % 26) as u8).collect();
    let folder = folder(&[("a.txt", &letters)]);
    let data = open(&settings(text(16, Tokens::Bytes), 0.9, 0.1), folder.path()).unwrap();
    let drawn = |seed, steps: &[u64]| {
        let mut sampler = data.sampler(seed, 4).unwrap();
        let mut batch = Batch::new(data.schema(), 4);
        steps.iter().for_each(|&s| sampler.fill(s, &mut batch).unwrap());
        ids(&batch, "tokens")
    };
    assert_eq!(drawn(1, &[1, 2, 3]), drawn(1, &[3]));
    assert_ne!(drawn(1, &[3]), drawn(1, &[4]));
    assert_ne!(drawn(1, &[3]), drawn(2, &[3]));
}

#[test]
fn text_errors_say_what_to_do() {
    let folder = folder(&[("a.txt", b"ab\nc\xffdefgh".as_slice())]);
    insta::assert_snapshot!(error(&settings(text(4, Tokens::Characters), 0.5, 0.5), &folder), @r"
    a.txt is not valid UTF-8: byte 0xff in line 2 (offset 4)
    help: convert the file to UTF-8, or write `tokens byte`
    ");
    insta::assert_snapshot!(error(&settings(text(4, Tokens::Bytes), 0.8, 0.2), &folder), @r"
    the validation part of a.txt has 2 tokens, too few for a window of 4 and the token that follows
    help: make `window` smaller, give the part a larger share, or use a longer text
    ");
    let mut missing = settings(text(4, Tokens::Bytes), 1.0, 0.0);
    missing.source = Settings::Text {
        path: path("b.txt"),
        tokens: Tokens::Bytes,
        vocab: None,
        window: 4,
        masked: None,
    };
    insta::assert_snapshot!(error(&missing, &folder), @r"
    can't read b.txt: there is no such file
    help: paths in a spec are relative to the folder of the file that names them
    ");
}

fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|s| bytes.extend(s.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn images(train: f64, validation: f64) -> DataSettings {
    let images = ImageSettings {
        path: path("."),
        size: None,
        channels: None,
        classes: None,
        masks: None,
        ignore: None,
        augment: vec![],
    };
    settings(Settings::Images(images), train, validation)
}

const TABLE: &str =
    "size,colour,weight,kind\n1,red,10,a\n2,blue,20,b\n3,red,30,a\n4,green,NA,b\n5,blue,50,a\n6,red,60,b\n";

fn column(column: &str, name: &str) -> ColumnName {
    ColumnName {
        column: column.into(),
        name: name.into(),
        span: Span::NOWHERE,
    }
}

fn csv(target: &str, regression: bool, missing: Missing) -> DataSettings {
    let source = Settings::Csv {
        path: path("t.csv"),
        target: column(target, "target"),
        regression,
        categories: vec![column("colour", "shade")],
        ignored: vec![],
        missing,
        stated: vec![],
    };
    DataSettings {
        shuffle: false,
        normalise: true,
        ..settings(source, 0.5, 0.5)
    }
}

fn safetensors(tensors: &[(&str, safetensors::Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.to_vec(), data).unwrap();
        (name.to_string(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

fn le(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn stated_ids(name: &str, bound: usize) -> StatedTensor {
    StatedTensor {
        name: name.into(),
        element: Element::Id { bound },
        sizes: None,
        span: Span::NOWHERE,
    }
}

fn tensors(ids: &[(&str, usize)], ignore: Option<i64>, train: f64, validation: f64) -> DataSettings {
    let source = Settings::Tensors {
        path: path("t.safetensors"),
        stated: ids.iter().map(|&(name, bound)| stated_ids(name, bound)).collect(),
        ignore,
    };
    DataSettings {
        shuffle: false,
        ..settings(source, train, validation)
    }
}
