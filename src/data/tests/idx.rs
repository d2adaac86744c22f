//! Pictures in IDX files.

use super::*;
use std::io::Write;

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
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
