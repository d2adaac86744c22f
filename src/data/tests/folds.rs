//! Folds of sources: normalised by their own training samples, the test part as it was.

use super::*;
use crate::ir::experiment::{Fold, Series};

/// The settings with a fold.
fn fold(settings: &DataSettings, number: usize, of: usize) -> DataSettings {
    let mut settings = settings.clone();
    settings.split.fold = Some(Fold {
        number,
        of,
        stratified: false,
        span: Span::NOWHERE,
    });
    settings
}

#[test]
fn a_fold_of_a_table_is_normalised_by_the_others() {
    let rows: String = (0..10)
        .map(|i| format!("{},x,{}\n", i * i, ["a", "b"][i % 2]))
        .collect();
    let folder = folder(&[("t.csv", format!("size,colour,kind\n{rows}").as_bytes())]);
    let mut base = csv("kind", false, Missing::Refuse);
    (base.split.train, base.split.validation, base.split.test) = (0.6, 0.2, 0.2);
    for number in 1..=4 {
        let data = open(&fold(&base, number, 4), folder.path()).unwrap();
        assert_eq!(Part::ALL.map(|p| data.samples(p)), [6, 2, 2]);
        assert_eq!(data.steps_per_epoch(3), Some(2));
        // In file order a fold is a piece.
        let held: Vec<f64> = (2 * number - 2..2 * number).map(|i| (i * i) as f64).collect();
        let others: Vec<f64> = (0..8).map(|i| (i * i) as f64).filter(|v| !held.contains(v)).collect();
        let mean = others.iter().sum::<f64>() / 6.0;
        let deviation = (others.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
        for (part, values) in [
            (Part::Train, &others),
            (Part::Validation, &held),
            (Part::Test, &vec![64.0, 81.0]),
        ] {
            let found = reals(&evaluate(&data, part), "features");
            assert_eq!(found.len(), values.len());
            let expected = values.iter().map(|v| ((v - mean) / deviation) as f32);
            assert!(
                found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5),
                "fold {number}, {part}"
            );
        }
    }
}

#[test]
fn folds_of_pictures_leave_the_test_file_alone() {
    let pixels: Vec<u8> = (0..10).collect();
    let folder = folder(&[
        ("train-images-idx3-ubyte", &idx(&[10, 1, 1], &pixels)),
        ("train-labels-idx1-ubyte", &idx(&[10], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0])),
        ("t10k-images-idx3-ubyte", &idx(&[1, 1, 1], &[255])),
        ("t10k-labels-idx1-ubyte", &idx(&[1], &[2])),
    ]);
    let mut seen = vec![];
    for number in 1..=3 {
        let data = open(&fold(&images(0.8, 0.2), number, 3), folder.path()).unwrap();
        let held = reals(&evaluate(&data, Part::Validation), "image");
        assert_eq!(data.samples(Part::Train) + held.len(), 10);
        assert_eq!(reals(&evaluate(&data, Part::Test), "image"), [1.0]);
        seen.extend(held.iter().map(|v| (v * 255.0).round() as u8));
    }
    seen.sort_unstable();
    assert_eq!(seen, pixels);
}

fn series(future: usize) -> DataSettings {
    let source = Settings::Series(Series {
        path: path("s.csv"),
        time: None,
        targets: vec![column("y", "y")],
        ignored: vec![],
        missing: Missing::Interpolate,
        past: 2,
        future,
        stated: vec![],
    });
    let mut settings = settings(source, 0.7, 0.1);
    settings.split.test = 0.2;
    settings
}

#[test]
fn a_fold_of_a_series_knows_nothing_of_what_comes_later() {
    // 20 of 25 rows are for training and validation: four pieces of five. A hole at the end of the second and third piece.
    let row = |i: usize| {
        if i == 9 || i == 14 {
            "NA\n".to_string()
        } else {
            format!("{}\n", i * i)
        }
    };
    let rows: String = (0..25).map(row).collect();
    let folder = folder(&[("s.csv", format!("y\n{rows}").as_bytes())]);
    for number in 1..=3 {
        let mut asked = fold(&series(1), number, 3);
        asked.normalise = true;
        let data = open(&asked, folder.path()).unwrap();
        let end = 5 * number;
        assert_eq!(Part::ALL.map(|p| data.samples(p)), [end - 2, 5, 5]);
        assert_eq!(data.schema().epoch_samples, Some(end - 2));
        // The mean is that of the rows before; what is behind the last known value of a piece is that value.
        let known: Vec<f64> = (0..end)
            .filter(|i| ![9, 14].contains(i))
            .map(|i| (i * i) as f64)
            .collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let deviation = (known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / known.len() as f64).sqrt();
        let value = |i: usize| match i {
            9 if [1, 2].contains(&number) => 64.0,
            9 => (64.0 + 100.0) / 2.0,
            14 if number > 1 => 169.0,
            // Behind the fold's own piece nothing is cut.
            14 => (169.0 + 225.0) / 2.0,
            i => (i * i) as f64,
        };
        for (part, from, to) in [
            (Part::Train, 2, end),
            (Part::Validation, end, end + 5),
            (Part::Test, 20, 25),
        ] {
            let found = reals(&evaluate(&data, part), "future");
            let expected = (from..to).map(|i| ((value(i) - mean) / deviation) as f32);
            for ((found, expected), row) in found.iter().zip(expected).zip(from..) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "fold {number}, row {row}: {found}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn a_series_that_is_too_short_for_its_folds_says_so() {
    let rows: String = (0..25).map(|i| format!("{i}\n")).collect();
    let folder = folder(&[("s.csv", format!("y\n{rows}").as_bytes())]);
    insta::assert_snapshot!(error(&fold(&series(1), 1, 20), &folder), @r"
    20 rows of s.csv can't be cut into 21 pieces, one more than the folds
    help: ask for fewer folds, or give `train` a larger share
    ");
    insta::assert_snapshot!(error(&fold(&series(4), 1, 4), &folder), @r"
    the training part of s.csv has 4 rows, too few for 4 steps ahead and 2 back
    help: make `past` or `future` smaller, or ask for fewer folds
    ");
    let mut stratified = fold(&series(1), 1, 4);
    stratified.split.fold.as_mut().unwrap().stratified = true;
    insta::assert_snapshot!(error(&stratified, &folder), @r"
    a series has no classes to stratify by
    help: leave `stratified` out: a series is divided by time
    ");
}
