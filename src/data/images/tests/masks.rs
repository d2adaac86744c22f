//! Pictures with a class for each pixel.

use super::*;

fn with_masks() -> (TempDir, ImageSettings) {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..4u32 {
        write_grey(&folder, &format!("cells/{n}.png"), 4, 4, |x, y| {
            (16 * ((x + y + n) % 3)) as u8
        });
        write_grey(&folder, &format!("masks/{n}.png"), 4, 4, |x, y| {
            if (x, y, n) == (0, 0, 0) {
                255
            } else {
                ((x + y + n) % 3) as u8
            }
        });
    }
    let images = ImageSettings {
        path: path("cells"),
        channels: Some(1),
        masks: Some(path("masks")),
        ignore: Some(255),
        ..images()
    };
    (folder, images)
}

#[test]
fn masks_are_labels_of_pixels_and_change_with_their_picture() {
    let (folder, mut images) = with_masks();
    images.augment = vec![augment("shift", &[2.0]), augment("flip", &[0.5, 0.5])];
    let data = opened(&folder, &images, 1.0, 0.0);
    let names: Vec<_> = data
        .schema()
        .tensors
        .iter()
        .map(|t| (t.name.as_str(), t.axes.len(), t.element))
        .collect();
    let expected = [
        ("image", 3, Element::Real),
        ("label", 2, Element::Id { bound: 3 }),
        ("label_counted", 2, Element::Condition),
    ];
    assert_eq!(names, expected);
    let plain = batch(&data, Part::Train);
    assert_eq!((ids(&plain, "label")[0], reals(&plain, "label_counted")[0]), (0, 0.0));
    assert_eq!(reals(&plain, "label_counted").iter().sum::<f32>(), 63.0);
    let mut moved = 0;
    for step in 1..10 {
        let batch = training(&data, 1, step);
        let (pixels, labels, counted) = (
            reals(&batch, "image"),
            ids(&batch, "label"),
            reals(&batch, "label_counted"),
        );
        for ((pixel, label), counts) in pixels.iter().zip(labels).zip(counted) {
            // What came from outside is black and does not count.
            assert_eq!((pixel * 255.0 / 16.0).round() as i32, label, "a label left its pixel");
            assert!(counts == 1.0 || label == 0);
        }
        moved += usize::from(batch != plain);
    }
    assert_eq!(moved, 9);
    let again = |seed| training(&data, seed, 5);
    assert_eq!(again(1), again(1));
    assert_ne!(again(1), again(2));
}

#[test]
fn mask_errors_name_the_file() {
    let (folder, images) = with_masks();
    std::fs::remove_file(folder.path().join("masks/2.png")).unwrap();
    insta::assert_snapshot!(error(&folder, &images), @r"
    cells/2.png: there is no mask `2.png` in masks
    help: a mask has the name of its picture
    ");
    RgbImage::new(4, 4).save(folder.path().join("masks/2.png")).unwrap();
    insta::assert_snapshot!(error(&folder, &images), @"masks/2.png: its pixels are Rgb8, but a mask is grey with 8 bits, the number of a class in each pixel");
}
