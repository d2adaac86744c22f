//! Folds of sources: normalised by their own training samples, the test part as it was.

use super::*;
use crate::ir::experiment::Fold;

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
