//! The curves of a run in, what they say of over- and underfitting in words out. A pure function of the numbers, so
//! that a resumed run ends with the same words; it advises, and changes nothing.

use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// A rise or fall of a loss below this share is taken for noise.
const NOTICEABLE: f64 = 0.02;
/// A validation loss that is above the training loss by more than this share shows a gap.
const GAP: f64 = 0.2;
/// A training loss that fell by less than this share has learned hardly anything.
const LEARNED: f64 = 0.05;
/// Rows of the table.
const ROWS: usize = 8;

/// Both losses at an evaluation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Point {
    /// When.
    pub step: u64,
    /// The mean over the batches since the evaluation before; of training, so with dropout where there is one.
    pub train: f64,
    /// Of the whole part.
    pub validation: f64,
}

/// What the curves say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// There is no validation loss.
    Unknown,
    /// The validation loss rose while the training loss fell.
    Overfitting,
    /// The training loss is far below the validation loss, which no longer falls.
    Gap,
    /// Both losses rose.
    Unstable,
    /// The training loss hardly fell.
    NotLearning,
    /// Both losses were still falling.
    Underfitting,
    /// Neither.
    Balanced,
}

/// The verdict with its evidence.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verdict {
    /// In one word.
    pub fit: Fit,
    /// In a sentence or two.
    pub text: String,
}

/// Reads the curves out of a run's `metrics.jsonl`; lines that are not whole are passed over.
pub fn curves(log: &Path) -> Vec<Point> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut points = vec![];
    let (mut sum, mut count) = (0.0, 0u32);
    for line in text.lines() {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        if let Some(loss) = entry["train/loss"].as_f64() {
            sum += loss;
            count += 1;
        }
        if let (Some(validation), Some(step)) = (entry["val/loss"].as_f64(), entry["step"].as_u64())
            && count > 0
        {
            points.push(Point {
                step,
                train: sum / f64::from(count),
                validation,
            });
            (sum, count) = (0.0, 0);
        }
    }
    points
}

/// Training and validation side by side, the best evaluation marked.
pub fn table(points: &[Point]) -> String {
    let Some(best) = best(points) else {
        return String::new();
    };
    let mut text = String::from("    step    training  validation\n");
    let last = points.len() - 1;
    let rows = ROWS.min(points.len());
    // First, last and best are shown, and others at equal distances between them.
    let mut shown: Vec<usize> = (0..rows).map(|row| row * last / (rows - 1).max(1)).collect();
    shown.push(best);
    shown.sort_unstable();
    shown.dedup();
    for at in shown {
        let Point {
            step,
            train,
            validation,
        } = points[at];
        let mark = if at == best { "  lowest" } else { "" };
        writeln!(text, "{step:>8}  {train:>10.4}  {validation:>10.4}{mark}").expect("a String takes everything");
    }
    text
}

/// What the curves say.
pub fn verdict(points: &[Point]) -> Verdict {
    let verdict = |fit, text| Verdict { fit, text };
    let Some(best) = best(points) else {
        let text = "there was no validation part, so nothing tells over- from underfitting; give `split` one";
        return verdict(Fit::Unknown, text.into());
    };
    let (first, last, best) = (points[0], points[points.len() - 1], points[best]);
    let gap = share(last.validation - last.train, last.train);
    if points.len() == 1 {
        let text = format!(
            "one evaluation shows no course: training {:.4}, validation {:.4}; write `evaluate every …` to see it",
            last.train, last.validation
        );
        return verdict(if gap > GAP { Fit::Gap } else { Fit::Unknown }, text);
    }
    let risen = share(last.validation - best.validation, best.validation);
    if risen > NOTICEABLE {
        let lowest = format!(
            "the validation loss was lowest at step {} ({:.4}) and has risen to {:.4}",
            best.step, best.validation, last.validation
        );
        return if last.train < best.train {
            let advice = "stop earlier (`early_stop loss patience 3`), or add data, dropout or weight decay";
            let text = format!(
                "{lowest} while the training loss fell from {:.4} to {:.4}: overfitting; {advice}",
                best.train, last.train
            );
            verdict(Fit::Overfitting, text)
        } else {
            let text = format!(
                "{lowest}, and the training loss from {:.4} to {:.4}: unstable; lower the rate, or clip the gradient",
                best.train, last.train
            );
            verdict(Fit::Unstable, text)
        };
    }
    let fallen = share(first.train - last.train, first.train);
    // Whether a loss still falls shows over the last quarter of the run, if there is an evaluation that far back.
    let Some(&before) = points.iter().rev().find(|p| 4 * p.step <= 3 * last.step) else {
        let text = format!(
            "too few evaluations to tell (training {:.4}, validation {:.4}): write `evaluate every …` with less",
            last.train, last.validation
        );
        return verdict(Fit::Unknown, text);
    };
    let improving = share(before.validation - last.validation, before.validation);
    if improving > NOTICEABLE && last.train < before.train {
        let text = format!(
            "both losses were still falling (validation from {:.4} to {:.4} since step {}): underfitting; train longer, \
             or raise the rate",
            before.validation, last.validation, before.step
        );
        return verdict(Fit::Underfitting, text);
    }
    if fallen < LEARNED && gap <= GAP {
        let text = format!(
            "the training loss hardly fell (from {:.4} to {:.4}): the model does not learn; check rate, \
             initialisation and loss, or widen the model",
            first.train, last.train
        );
        return verdict(Fit::NotLearning, text);
    }
    if gap > GAP {
        let text = format!(
            "the validation loss has levelled off at {:.4}, well above the training loss of {:.4}: the model knows the \
             training part better than new data; more data, dropout or weight decay may help",
            last.validation, last.train
        );
        return verdict(Fit::Gap, text);
    }
    let text = format!(
        "neither over- nor underfitting shows: the validation loss levelled off at {:.4}, the training loss at {:.4}",
        last.validation, last.train
    );
    verdict(Fit::Balanced, text)
}

/// Where the validation loss is lowest; of equals the first.
fn best(points: &[Point]) -> Option<usize> {
    (0..points.len()).min_by(|&a, &b| points[a].validation.total_cmp(&points[b].validation))
}

/// A difference as a share of a loss, which may be 0 or negative.
fn share(difference: f64, of: f64) -> f64 {
    difference / of.abs().max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: &[(f64, f64)]) -> Vec<Point> {
        let point = |(at, &(train, validation)): (usize, &(f64, f64))| Point {
            step: 100 * (at as u64 + 1),
            train,
            validation,
        };
        losses.iter().enumerate().map(point).collect()
    }

    #[track_caller]
    fn said(losses: &[(f64, f64)], fit: Fit) -> String {
        let verdict = verdict(&points(losses));
        assert_eq!(verdict.fit, fit, "{}", verdict.text);
        verdict.text
    }

    #[test]
    fn overfitting_is_told_with_its_evidence() {
        let text = said(
            &[(2.5, 2.4), (1.8, 1.7), (1.4, 1.62), (1.2, 1.75), (1.05, 1.91)],
            Fit::Overfitting,
        );
        insta::assert_snapshot!(text, @"the validation loss was lowest at step 300 (1.6200) and has risen to 1.9100 while the training loss fell from 1.4000 to 1.0500: overfitting; stop earlier (`early_stop loss patience 3`), or add data, dropout or weight decay");
    }

    #[test]
    fn what_still_falls_is_underfitted() {
        let text = said(&[(4.0, 3.9), (3.0, 2.9), (2.5, 2.4), (2.2, 2.1)], Fit::Underfitting);
        insta::assert_snapshot!(text, @"both losses were still falling (validation from 2.4000 to 2.1000 since step 300): underfitting; train longer, or raise the rate");
    }

    #[test]
    fn other_courses_have_other_words() {
        said(
            &[(4.0, 3.9), (2.0, 1.9), (1.6, 1.7), (1.59, 1.69), (1.58, 1.69)],
            Fit::Balanced,
        );
        said(
            &[(4.0, 3.9), (1.0, 1.9), (0.6, 1.7), (0.5, 1.69), (0.5, 1.69)],
            Fit::Gap,
        );
        said(
            &[(2.31, 2.31), (2.30, 2.31), (2.30, 2.305), (2.30, 2.305)],
            Fit::NotLearning,
        );
        said(&[(2.3, 2.3), (1.9, 1.8), (2.4, 2.5), (3.0, 2.9)], Fit::Unstable);
        said(&[(0.5, 0.9)], Fit::Gap);
        said(&[(0.9, 0.9)], Fit::Unknown);
        let late = [(250, 2.7, 2.41), (300, 2.4, 2.39)].map(|(step, train, validation)| Point {
            step,
            train,
            validation,
        });
        assert_eq!(verdict(&late).fit, Fit::Unknown, "a sixth of a run shows no course");
        said(&[], Fit::Unknown);
        // Likelihoods of densities may be negative.
        said(
            &[(1.0, 1.0), (-1.0, -0.9), (-1.4, -1.2), (-1.9, -0.8)],
            Fit::Overfitting,
        );
        // Noise at the end is no rise.
        said(
            &[(2.0, 2.0), (1.0, 1.05), (0.99, 1.0), (0.99, 1.01), (0.98, 1.005)],
            Fit::Balanced,
        );
    }

    #[test]
    fn curves_are_means_between_evaluations() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("metrics.jsonl");
        let lines = [
            r#"{"step":1,"train/loss":4,"lr":0.1}"#,
            r#"{"step":2,"train/loss":2}"#,
            r#"{"step":2,"val/loss":2.5,"val/accuracy":0.5}"#,
            r#"{"step":3,"train/loss":1}"#,
            r#"{"step":3,"val/loss":2.75}"#,
            r#"{"step":4,"train/lo"#,
        ];
        std::fs::write(&log, lines.join("\n")).unwrap();
        let points = curves(&log);
        insta::assert_snapshot!(table(&points), @r"
            step    training  validation
               2      3.0000      2.5000  lowest
               3      1.0000      2.7500
        ");
        assert_eq!(curves(Path::new("nowhere")), []);
    }

    #[test]
    fn a_long_table_keeps_first_best_and_last() {
        let losses: Vec<(f64, f64)> = (0..50).map(|i| (1.0, if i == 17 { 0.5 } else { 1.0 })).collect();
        let table = table(&points(&losses));
        let steps: Vec<&str> = table
            .lines()
            .skip(1)
            .map(|l| l.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(
            steps,
            ["100", "800", "1500", "1800", "2200", "2900", "3600", "4300", "5000"]
        );
    }
}
