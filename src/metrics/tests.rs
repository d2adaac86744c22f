//! Each function against scikit-learn's values (`tests/metrics/make.py`), and where it has none against the definition.

use super::{CATALOG, apply, find};

#[derive(serde::Deserialize)]
struct Tied {
    score: Vec<f64>,
    truth: Vec<f64>,
    area: f64,
    precision: f64,
    roc: Vec<[f64; 2]>,
}

fn tied() -> Tied {
    let text = include_str!("../../tests/metrics/classes.json");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(value["tied"].clone()).unwrap()
}

fn call(name: &str, operands: &[&[f64]], kept: usize, points: usize) -> Vec<f64> {
    apply(find(name).unwrap(), operands, kept, points)
}

#[track_caller]
fn close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= 1e-14, "{found:?} is not {wanted:?}");
    }
}

#[test]
fn names_are_in_order_and_found() {
    let names: Vec<&str> = super::names().collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), CATALOG.len());
    assert!(find("auc").is_none(), "metrics are definitions");
}

#[test]
fn ties_count_half() {
    let tied = tied();
    let ones = vec![1.0; tied.score.len()];
    let operands = [&tied.score[..], &tied.truth, &ones];
    close(&call("ranked_area", &operands, 1, 0), &[tied.area]);
    close(&call("ranked_precision", &operands, 1, 0), &[tied.precision]);
    // By pairs, as the definition says.
    let (mut won, mut pairs) = (0.0, 0.0);
    for i in 0..tied.score.len() {
        for j in (0..tied.score.len()).filter(|&j| tied.truth[i] > tied.truth[j]) {
            pairs += 1.0;
            won += match tied.score[i].total_cmp(&tied.score[j]) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    close(&[won / pairs], &[tied.area]);
}

#[test]
fn the_order_of_samples_does_not_matter() {
    let tied = tied();
    let ones = vec![1.0; tied.score.len()];
    let reversed = |values: &[f64]| values.iter().rev().copied().collect::<Vec<f64>>();
    for function in CATALOG.into_iter().filter(|f| f.operands().len() == 3) {
        let forwards = call(function.name(), &[&tied.score, &tied.truth, &ones], 1, 21);
        let backwards = call(
            function.name(),
            &[&reversed(&tied.score), &reversed(&tied.truth), &ones],
            1,
            21,
        );
        assert_eq!(forwards, backwards, "{}", function.name());
    }
}

#[test]
fn a_weight_counts_samples() {
    let tied = tied();
    let weight: Vec<f64> = (0..tied.score.len()).map(|i| (i % 3) as f64).collect();
    let repeated = |values: &[f64]| -> Vec<f64> {
        let times = |(v, w): (&f64, &f64)| std::iter::repeat_n(*v, *w as usize);
        values.iter().zip(&weight).flat_map(times).collect()
    };
    let (score, truth) = (repeated(&tied.score), repeated(&tied.truth));
    let ones = vec![1.0; score.len()];
    for function in CATALOG.into_iter().filter(|f| f.operands().len() == 3) {
        let weighted = call(function.name(), &[&tied.score, &tied.truth, &weight], 1, 11);
        close(&weighted, &call(function.name(), &[&score, &truth, &ones], 1, 11));
    }
    close(
        &call("squared_deviations", &[&tied.score, &weight], 1, 0),
        &call("squared_deviations", &[&score, &ones], 1, 0),
    );
}

#[test]
fn a_curve_goes_through_its_steps() {
    let tied = tied();
    let ones = vec![1.0; tied.score.len()];
    // The negatives are five: at six points each step of the curve is a point.
    let curve = call("roc_points", &[&tied.score, &tied.truth, &ones], 1, 6);
    for [x, y] in tied.roc {
        let at = (5.0 * x).round() as usize;
        close(&curve[2 * at..2 * at + 2], &[x, y]);
    }
}

#[test]
fn one_side_alone_has_no_area() {
    let score = [0.1, 0.2, 0.3];
    for truth in [[0.0; 3], [1.0; 3]] {
        let operands = [&score[..], &truth, &[1.0; 3]];
        assert!(call("ranked_area", &operands, 1, 0)[0].is_nan());
        let precision = call("ranked_precision", &operands, 1, 0)[0];
        assert_eq!(precision, truth[0], "without positives 0, with nothing else 1");
        // No curve is drawn through what is missing, and nothing panics.
        assert!(call("roc_points", &operands, 1, 5).iter().any(|v| v.is_nan()));
        assert_eq!(call("precision_recall_points", &operands, 1, 5).len(), 10);
    }
    assert!(call("ranked_area", &[&[], &[], &[]], 1, 0)[0].is_nan());
}

#[test]
fn each_column_of_the_kept_axis_is_its_own() {
    let score = [0.9, 0.1, 0.8, 0.7, 0.2, 0.3];
    let truth = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    // Columns: 0.9 0.8 0.2 of 1 1 0, and 0.1 0.7 0.3 of 1 0 0.
    close(&call("ranked_area", &[&score, &truth, &[1.0; 6]], 2, 0), &[1.0, 0.0]);
}

#[test]
fn deviations_far_from_zero_are_exact() {
    let value = [1e8 + 1.0, 1e8 + 2.0, 1e8 + 3.0];
    assert_eq!(call("squared_deviations", &[&value, &[1.0; 3]], 1, 0), [2.0]);
}
