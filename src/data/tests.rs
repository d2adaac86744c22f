//! Tiny files in, batches or errors out, for every source.

use super::*;
use crate::ir::experiment::{ColumnName, DataPath, ImageSettings, Missing, Split, StatedBound, StatedTensor, Tokens};
use crate::ir::graph::Element;
use crate::text::Span;
use std::io::Write;
use tempfile::TempDir;

mod folds;
mod sequences;
mod stated;
mod stated_tables;

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

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
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

#[test]
fn images_divide_the_training_file_and_keep_the_test_file() {
    let pixels: Vec<u8> = (0..40).collect();
    let folder = folder(&[
        ("train-images-idx3-ubyte.gz", &gz(&idx(&[10, 2, 2], &pixels))),
        ("train-labels-idx1-ubyte", &idx(&[10], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0])),
        ("t10k-images-idx3-ubyte", &idx(&[1, 2, 2], &[255, 0, 51, 102])),
        ("t10k-labels-idx1-ubyte.gz", &gz(&idx(&[1], &[2]))),
    ]);
    let data = open(&images(0.8, 0.2), folder.path()).unwrap();
    assert_eq!(Part::ALL.map(|p| data.samples(p)), [8, 2, 1]);
    assert_eq!(data.steps_per_epoch(3), Some(2));
    let test = evaluate(&data, Part::Test);
    assert_eq!(reals(&test, "image"), [1.0, 0.0, 0.2, 0.4]);
    assert_eq!(ids(&test, "label"), [2]);
    // Each epoch takes every sample at most once, in an order of its own.
    let mut sampler = data.sampler(1, 4).unwrap();
    let mut batch = Batch::new(data.schema(), 4);
    let mut epoch = |first: u64| {
        let mut firsts = vec![];
        for step in first..first + 2 {
            sampler.fill(step, &mut batch).unwrap();
            firsts.extend(reals(&batch, "image").chunks(4).map(|c| (c[0] * 255.0).round() as u32));
        }
        firsts
    };
    let (first, second) = (epoch(1), epoch(3));
    assert_ne!(first, second);
    let sorted = |mut list: Vec<u32>| {
        list.sort_unstable();
        list
    };
    assert_eq!(sorted(first), sorted(second));
    assert!(data.sampler(1, 9).is_err(), "more in a batch than there are");
}

#[test]
fn image_errors_name_file_and_bytes() {
    let labels = idx(&[2], &[0, 1]);
    let check = |images_file: &[u8], labels: &[u8]| {
        let files = [
            ("train-images-idx3-ubyte", images_file),
            ("train-labels-idx1-ubyte", labels),
        ];
        let folder = folder(&files);
        error(&images(1.0, 0.0), &folder)
    };
    insta::assert_snapshot!(check(&idx(&[2, 2, 2], &[1; 7]), &labels), @r"
    train-images-idx3-ubyte says [2, 2, 2] elements, but 7 bytes follow its header: it was cut off or is not complete
    help: the file is not IDX, or it is damaged; fetch it again
    ");
    insta::assert_snapshot!(check(b"PNG and so on, long enough", &labels), @r"
    train-images-idx3-ubyte starts with [50, 4e, 47, 20], expected [00, 00, 08, 03] (IDX, unsigned bytes, 3 dimensions)
    help: the file is not IDX, or it is damaged; fetch it again
    ");
    insta::assert_snapshot!(check(&idx(&[3, 1, 1], &[1; 3]), &labels), @"the train files of . have 3 images, but 2 labels");
    let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &[1]);
    assert!(check(&huge, &labels).contains("it was cut off"));
    insta::assert_snapshot!(error(&images(1.0, 0.0), &folder(&[])), @r"
    there is nothing in . that `images` can read
    help: `images` reads a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair, one with CIFAR's data_batch_1.bin to 5 or train.bin, or one with a folder of PNG and JPEG files for each class
    ");
    let lonely = folder(&[("train-labels-idx1-ubyte", &labels)]);
    insta::assert_snapshot!(error(&images(1.0, 0.0), &lonely), @r"
    there is neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz in .
    help: `images` reads a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair
    ");
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

#[test]
fn a_table_is_fitted_on_its_training_rows() {
    let folder = folder(&[("t.csv", TABLE.as_bytes())]);
    let data = open(&csv("kind", false, Missing::Fill), folder.path()).unwrap();
    let names: Vec<_> = data
        .schema()
        .tensors
        .iter()
        .map(|t| (t.name.as_str(), t.element, t.category))
        .collect();
    assert_eq!(
        names,
        [
            ("features", Element::Real, false),
            ("shade", Element::Id { bound: 3 }, true),
            ("target", Element::Id { bound: 2 }, false),
            ("categories", Element::Id { bound: 3 }, false)
        ]
    );
    // Training rows 1..3: size has mean 2, weight mean 20; green is not seen there and gets the id behind the last.
    let unit = (2.0f64 / 3.0).sqrt();
    let batch = evaluate(&data, Part::Validation);
    let expected = [2.0 / unit, 0.0, 3.0 / unit, 3.0 / unit, 4.0 / unit, 4.0 / unit].map(|x| x as f32);
    for (found, expected) in reals(&batch, "features").into_iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 2.0 * f32::EPSILON * expected.abs(),
            "{found} {expected}"
        );
    }
    assert_eq!(ids(&batch, "shade"), [2, 0, 1]);
    assert_eq!(ids(&batch, "target"), [1, 0, 1]);
    let dropped = open(&csv("kind", false, Missing::Drop), folder.path()).unwrap();
    assert_eq!(Part::ALL.map(|p| dropped.samples(p)), [2, 3, 0]);
    let number = open(&csv("size", true, Missing::Fill), folder.path()).unwrap();
    let target = number.schema().tensors.iter().find(|t| t.name == "target").unwrap();
    assert_eq!(target.element, Element::Real);
}

#[test]
fn table_errors_name_line_column_and_cell() {
    let check = |table: &str, settings: &DataSettings| error(settings, &folder(&[("t.csv", table.as_bytes())]));
    insta::assert_snapshot!(check(TABLE, &csv("kind", false, Missing::Refuse)), @r"
    t.csv, line 5: `weight` is missing
    help: write `missing fill` or `missing drop` in `data`, or leave the column out
    ");
    insta::assert_snapshot!(check(&TABLE.replace("50", "5O"), &csv("kind", false, Missing::Fill)), @r#"
    t.csv, line 6: `weight` is `5O`, expected a number
    help: mend the cell, or write `category "weight"` if the column holds kinds of things
    "#);
    insta::assert_snapshot!(check(TABLE, &csv("king", false, Missing::Fill)), @r"
    t.csv has no column `king`
    help: did you mean `kind`?
    ");
    insta::assert_snapshot!(check(&format!("{TABLE}7,red\n"), &csv("kind", false, Missing::Fill)), @"t.csv, line 8: 2 cells, expected 4 as in the head line");
    insta::assert_snapshot!(check(&TABLE.replace("60,b", "60,c"), &csv("kind", false, Missing::Fill)), @r"
    t.csv, line 7: class `c` of `kind` does not occur in the training part
    help: write `stratified` behind `split`, so that each part has every class
    ");
    insta::assert_snapshot!(check("a,kind,colour\n", &csv("kind", false, Missing::Fill)), @"t.csv has a head line and no rows");
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

#[test]
fn numbered_batches_come_one_after_the_other() {
    use safetensors::Dtype::{F32, I32};
    let real = |x: f32| x.to_le_bytes().to_vec();
    let file = safetensors(&[
        ("inputs.0", I32, &[2, 2], le(&[0, 1, 2, 3])),
        ("inputs.1", I32, &[2, 2], le(&[4, -100, 6, 7])),
        ("weight.0", F32, &[2], [real(0.5), real(1.5)].concat()),
        ("weight.1", F32, &[2], [real(2.5), real(3.5)].concat()),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let data = open(&tensors(&[("inputs", 8)], Some(-100), 1.0, 0.0), folder.path()).unwrap();
    assert_eq!((data.schema().batch, data.schema().epoch_samples), (Some(2), Some(4)));
    let mut sampler = data.sampler(1, 2).unwrap();
    let mut batch = Batch::new(data.schema(), 2);
    sampler.fill(2, &mut batch).unwrap();
    assert_eq!(ids(&batch, "inputs"), [4, 0, 6, 7]);
    assert_eq!(reals(&batch, "inputs_counted"), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(reals(&batch, "weight"), [2.5, 3.5]);
    sampler.fill(3, &mut batch).unwrap();
    assert_eq!(ids(&batch, "inputs"), [0, 1, 2, 3]);
    let wrong = data.sampler(1, 3).err().unwrap();
    assert_eq!(wrong.message, "the file's batches have 2 samples, but `batch` is 3");
}

#[test]
fn an_id_beyond_its_bound_is_found_when_a_batch_is_formed() {
    use safetensors::Dtype::I32;
    let file = safetensors(&[
        ("inputs.0", I32, &[2, 2], le(&[0, 1, 65, 3])),
        ("inputs.1", I32, &[2, 2], le(&[0; 4])),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let data = open(&tensors(&[("inputs", 65)], None, 1.0, 0.0), folder.path()).unwrap();
    let mut batch = Batch::new(data.schema(), 2);
    let wrong = data.sampler(1, 2).unwrap().fill(1, &mut batch).unwrap_err();
    insta::assert_snapshot!(said(wrong, &folder), @r"
    t.safetensors: `inputs.0`, sample 1, element 0 is id 65, expected 0 to 64
    help: raise the bound (`ids inputs < 66`), or mend the file
    ");
}

#[test]
fn tensor_errors_say_what_the_file_has() {
    use safetensors::Dtype::{F32, I32};
    let check = |file: &[u8], settings: &DataSettings| error(settings, &folder(&[("t.safetensors", file)]));
    let file = safetensors(&[("x", F32, &[2], le(&[0, 1])), ("y", I32, &[2], le(&[0, 1]))]);
    insta::assert_snapshot!(check(&file, &tensors(&[], None, 1.0, 0.0)), @r"
    t.safetensors: `y` holds whole numbers, and nothing says how far they go
    help: say it: `ids y < 2`, one beyond the greatest id
    ");
    insta::assert_snapshot!(check(&file, &tensors(&[("y", 2), ("z", 3)], None, 1.0, 0.0)), @r"
    t.safetensors has no tensor `z`
    help: it has x, y
    ");
    assert!(
        check(&file[..file.len() - 3], &tensors(&[("y", 2)], None, 1.0, 0.0))
            .contains("is not a whole safetensors file")
    );
    let uneven = safetensors(&[("x", F32, &[2], le(&[0, 1])), ("y", F32, &[3], le(&[0, 1, 2]))]);
    insta::assert_snapshot!(check(&uneven, &tensors(&[], None, 1.0, 0.0)), @r"
    t.safetensors: `y` has 3 samples, the tensors before it 2
    help: the first axis of every tensor is the samples
    ");
}
