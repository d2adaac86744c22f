//! Folders of every format in, batches or errors out.

use super::*;
use crate::data::{Batch, Part, Values};
use crate::ir::experiment::{Augment, Source as Settings};
use crate::text::Span;
use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

mod masks;

fn path(name: &str) -> DataPath {
    DataPath {
        path: name.into(),
        span: Span::NOWHERE,
    }
}

fn images() -> ImageSettings {
    ImageSettings {
        path: path("."),
        size: None,
        channels: None,
        classes: None,
        masks: None,
        ignore: None,
        augment: vec![],
    }
}

fn augment(name: &'static str, values: &[f64]) -> Augment {
    Augment {
        name,
        values: values.to_vec(),
        span: Span::NOWHERE,
    }
}

fn settings(images: &ImageSettings, train: f64, validation: f64) -> DataSettings {
    DataSettings {
        source: Settings::Images(images.clone()),
        split: Split {
            train,
            validation,
            test: 0.0,
            stratified: false,
            fold: None,
            span: Span::NOWHERE,
        },
        normalise: false,
        shuffle: false,
        span: Span::NOWHERE,
    }
}

/// Settings that take all of a folder for training, in order.
pub(super) fn whole() -> (DataSettings, ImageSettings) {
    let images = images();
    (settings(&images, 1.0, 0.0), images)
}

fn opened(folder: &TempDir, images: &ImageSettings, train: f64, validation: f64) -> Dataset {
    open(&settings(images, train, validation), folder.path(), images).unwrap()
}

fn error(folder: &TempDir, images: &ImageSettings) -> String {
    let error = open(&settings(images, 1.0, 0.0), folder.path(), images)
        .err()
        .expect("opening must fail");
    let lines = std::iter::once(error.message).chain(error.help.into_iter().map(|h| format!("help: {h}")));
    let text: Vec<String> = lines.collect();
    text.join("\n")
        .replace(&format!("{}/./", folder.path().display()), "")
        .replace(&format!("{}/", folder.path().display()), "")
}

fn batch(data: &Dataset, part: Part) -> Batch {
    let n = data.samples(part);
    let mut batch = Batch::new(data.schema(), n);
    data.read(part, 0, n, &mut batch).unwrap();
    batch
}

fn reals(batch: &Batch, name: &str) -> Vec<f32> {
    match &batch.tensor(name).unwrap().values {
        Values::Real(values) => values.clone(),
        Values::Id(_) => panic!("{name} holds ids"),
    }
}

fn ids(batch: &Batch, name: &str) -> Vec<i32> {
    match &batch.tensor(name).unwrap().values {
        Values::Id(values) => values.clone(),
        Values::Real(_) => panic!("{name} holds reals"),
    }
}

fn training(data: &Dataset, seed: u64, step: u64) -> Batch {
    let n = data.samples(Part::Train);
    let mut batch = Batch::new(data.schema(), n);
    data.sampler(seed, n).unwrap().fill(step, &mut batch).unwrap();
    batch
}

/// A grey picture of one value.
fn write_grey(folder: &TempDir, name: &str, columns: u32, rows: u32, pixel: impl Fn(u32, u32) -> u8) {
    let at = folder.path().join(name);
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    GrayImage::from_fn(columns, rows, |x, y| Luma([pixel(x, y)]))
        .save(at)
        .unwrap();
}

fn cifar_record(label: &[u8], red: u8) -> Vec<u8> {
    let plane = |value: u8| std::iter::repeat_n(value, 1024);
    label
        .iter()
        .copied()
        .chain(plane(red))
        .chain(plane(2))
        .chain(plane(255))
        .collect()
}

#[test]
fn cifar_is_read_plane_by_plane_and_keeps_its_test_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    for n in 1..=5u8 {
        write(
            &format!("data_batch_{n}.bin"),
            &[cifar_record(&[n], 51 * n), cifar_record(&[0], 0)].concat(),
        );
    }
    write("test_batch.bin", &cifar_record(&[9], 0));
    let data = opened(&folder, &images(), 0.8, 0.2);
    assert_eq!(Part::ALL.map(|p| data.samples(p)), [8, 2, 1]);
    let sizes = [("rows", 32), ("columns", 32), ("channels", 3), ("classes", 10)].map(|(n, s)| (n.to_string(), s));
    assert_eq!(data.schema().sizes, sizes);
    let train = batch(&data, Part::Train);
    assert_eq!(ids(&train, "label"), [1, 0, 2, 0, 3, 0, 4, 0]);
    assert_eq!(
        reals(&train, "image")[..6],
        [0.2, 2.0 / 255.0, 1.0, 0.2, 2.0 / 255.0, 1.0]
    );
    assert_eq!(ids(&batch(&data, Part::Test), "label"), [9]);
    write("data_batch_3.bin", &cifar_record(&[3], 0)[1..]);
    insta::assert_snapshot!(error(&folder, &images()), @r"
    data_batch_3.bin: 3072 bytes are no whole number of records of 3073
    help: the file was cut off; fetch it again
    ");
    write("data_batch_3.bin", &cifar_record(&[10], 0));
    insta::assert_snapshot!(error(&folder, &images()), @r"
    data_batch_3.bin: record 0 has label 10, expected 0 to 9
    help: the file is damaged; fetch it again
    ");
}

#[test]
fn cifar_100_counts_the_fine_label() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.bin"), cifar_record(&[3, 77], 1).repeat(2)).unwrap();
    std::fs::write(folder.path().join("test.bin"), cifar_record(&[4, 99], 1)).unwrap();
    let data = opened(&folder, &images(), 1.0, 0.0);
    assert_eq!(ids(&batch(&data, Part::Train), "label"), [77, 77]);
    assert_eq!(ids(&batch(&data, Part::Test), "label"), [99]);
    assert_eq!(data.schema().sizes[3], ("classes".into(), 100));
}

/// Two classes of two pictures each, of one size.
fn two_classes() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("cat/1.png", 51),
        ("cat/2.png", 102),
        ("ant/b.png", 153),
        ("ant/a.png", 204),
    ] {
        write_grey(&folder, name, 3, 2, |_, _| value);
    }
    folder
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let folder = two_classes();
    std::fs::write(folder.path().join("cat/.hidden"), "").unwrap();
    let grey = ImageSettings {
        channels: Some(1),
        ..images()
    };
    let data = opened(&folder, &grey, 0.5, 0.5);
    assert_eq!(data.fitted(), json!({ "classes": ["ant", "cat"] }));
    let (train, validation) = (batch(&data, Part::Train), batch(&data, Part::Validation));
    assert_eq!(ids(&train, "label"), [0, 0]);
    assert_eq!(ids(&validation, "label"), [1, 1]);
    assert_eq!(reals(&train, "image"), [[0.8; 6], [0.6; 6]].concat());
    let colours = opened(&folder, &images(), 1.0, 0.0);
    assert_eq!(colours.schema().tensors[0].axes[2].1, 3);
}

#[test]
fn pictures_that_are_not_kept_are_the_same() {
    let folder = two_classes();
    write_grey(&folder, "cat/3.png", 8, 5, |x, y| (x * 30 + y) as u8);
    let mut images = images();
    images.size = Some(2);
    images.augment = vec![augment("shift", &[1.0])];
    let spec = settings(&images, 1.0, 0.0);
    let kept = open_keeping(&spec, folder.path(), &images, 1 << 20).unwrap();
    let decoded = open_keeping(&spec, folder.path(), &images, 0).unwrap();
    assert_eq!(batch(&kept, Part::Train), batch(&decoded, Part::Train));
    assert_eq!(training(&kept, 3, 2), training(&decoded, 3, 2));
    assert_ne!(
        training(&kept, 3, 2),
        training(&kept, 3, 1),
        "an epoch has changes of its own"
    );
    assert!(decoded.takes_long());
}

#[test]
fn parts_with_folders_of_their_own_are_kept_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (n, name) in [
        "train/a/1.png",
        "train/a/2.png",
        "train/b/1.png",
        "val/b/1.png",
        "test/a/1.png",
    ]
    .iter()
    .enumerate()
    {
        write_grey(&folder, name, 1, 1, |_, _| 51 * (n as u8 + 1));
    }
    let grey = ImageSettings {
        channels: Some(1),
        ..images()
    };
    let data = opened(&folder, &grey, 0.9, 0.1);
    assert_eq!(Part::ALL.map(|p| data.samples(p)), [3, 1, 1]);
    assert_eq!(reals(&batch(&data, Part::Validation), "image"), [0.8]);
    assert_eq!(ids(&batch(&data, Part::Validation), "label"), [1]);
    assert_eq!(reals(&batch(&data, Part::Test), "image"), [1.0]);
    write_grey(&folder, "test/c/1.png", 1, 1, |_, _| 0);
    insta::assert_snapshot!(error(&folder, &grey), @"test/c: the training part has no class `c`");
}

#[test]
fn pictures_are_scaled_to_their_shorter_side_and_cut_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    // Twice as wide as high, black but for the middle half.
    write_grey(
        &folder,
        "a/1.png",
        16,
        8,
        |x, _| if (4..12).contains(&x) { 255 } else { 0 },
    );
    let at = folder.path().join("a/2.jpg");
    RgbImage::from_pixel(8, 8, Rgb([200, 100, 0])).save(at).unwrap();
    let mut images = images();
    images.size = Some(4);
    let data = opened(&folder, &images, 1.0, 0.0);
    let pixels = reals(&batch(&data, Part::Train), "image");
    assert!(pixels[4 * 3..8 * 3].iter().all(|&p| p > 0.8), "{pixels:?}");
    for (found, expected) in pixels[48..51].iter().zip([200.0, 100.0, 0.0]) {
        assert!(
            (found * 255.0 - expected).abs() < 4.0,
            "JPEG keeps colours to a few steps"
        );
    }
}

#[test]
fn folder_errors_name_the_file() {
    let folder = two_classes();
    write_grey(&folder, "cat/3.png", 2, 2, |_, _| 0);
    insta::assert_snapshot!(error(&folder, &images()), @r"
    cat/3.png: 2×2, expected 2×3 as the first picture
    help: write `size 224`, or another, so that all are brought to one size
    ");
    std::fs::write(folder.path().join("cat/3.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    assert!(error(&folder, &images()).starts_with("cat/3.png: it can't be decoded ("));
    assert!(error(&folder, &images()).contains("; replace it, or move it out of the folder"));
    std::fs::remove_file(folder.path().join("cat/3.png")).unwrap();
    std::fs::write(folder.path().join("cat/notes.txt"), "").unwrap();
    insta::assert_snapshot!(error(&folder, &images()), @r"
    cat/notes.txt: neither PNG nor JPEG
    help: move it out of the folder
    ");
    std::fs::rename(folder.path().join("cat/notes.txt"), folder.path().join("notes.txt")).unwrap();
    insta::assert_snapshot!(error(&folder, &images()), @r#"
    notes.txt: a file among the folders of classes
    help: put each picture into the folder of its class, or name the folder of masks: `masks "DIR"`
    "#);
    std::fs::remove_file(folder.path().join("notes.txt")).unwrap();
    std::fs::create_dir(folder.path().join("bee")).unwrap();
    insta::assert_snapshot!(error(&folder, &images()), @"bee: the folder of this class has no pictures");
}

#[test]
fn normalised_channels_have_mean_0_and_variance_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a");
    std::fs::create_dir(&at).unwrap();
    for n in 0..3u8 {
        let picture = RgbImage::from_fn(4, 4, |x, y| Rgb([n * 40 + x as u8, 7, (y * 60) as u8]));
        picture.save(at.join(format!("{n}.png"))).unwrap();
    }
    let images = images();
    let spec = DataSettings {
        normalise: true,
        ..settings(&images, 1.0, 0.0)
    };
    let data = open(&spec, folder.path(), &images).unwrap();
    let pixels = reals(&batch(&data, Part::Train), "image");
    for channel in 0..3 {
        let values: Vec<f64> = pixels.iter().skip(channel).step_by(3).map(|&p| f64::from(p)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // Single precision: a few times 2^-24 of the greatest values. The second channel never changes.
        assert!(mean.abs() < 1e-6, "{channel}: {mean}");
        assert!(
            (variance - if channel == 1 { 0.0 } else { 1.0 }).abs() < 1e-5,
            "{channel}: {variance}"
        );
    }
    assert_eq!(data.fitted()["mean"].as_array().unwrap().len(), 3);
}

#[test]
fn mixed_samples_tell_the_second_label_and_the_share() {
    let folder = two_classes();
    let mut images = images();
    images.channels = Some(1);
    images.augment = vec![augment("mixup", &[1.0])];
    let data = opened(&folder, &images, 1.0, 0.0);
    let plain = batch(&data, Part::Train);
    assert_eq!(ids(&plain, "second_label"), ids(&plain, "label"));
    assert_eq!(reals(&plain, "share"), [1.0; 4]);
    let values = [0.8, 0.6, 0.2, 0.4];
    let mut shares = vec![];
    for step in 1..6 {
        let batch = training(&data, 1, step);
        let seconds = ids(&batch, "second_label");
        for (sample, &share) in reals(&batch, "share").iter().enumerate() {
            let pixel = reals(&batch, "image")[6 * sample];
            let fits = |second: &f32| (share * values[sample] + (1.0 - share) * second - pixel).abs() < 1e-6;
            let second = values.iter().position(fits).expect("one of the pictures is the second");
            assert_eq!(seconds[sample], if second < 2 { 0 } else { 1 });
            shares.push(share);
        }
    }
    assert!(
        shares.iter().any(|s| *s < 0.4) && shares.iter().any(|s| *s > 0.6),
        "{shares:?}"
    );
}
