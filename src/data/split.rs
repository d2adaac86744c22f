//! A number of samples in, the samples of the training, validation and test part out.
//! The division is the same for every seed of the training, so that runs can be compared, and never changes
//! between a run and its evaluation.

use super::random::Stream;
use super::{DataError, Part};
use crate::ir::experiment::Split;
use std::ops::Range;

/// The samples of each part, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Division {
    /// In the order of [`Part::ALL`].
    pub parts: [Vec<u32>; 3],
}

/// What samples are assigned by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment<'a> {
    /// At random; else by position, in file order.
    pub random: bool,
    /// The class of each sample, where the classes' proportions are asked for.
    pub classes: Option<&'a [u32]>,
}

impl<'a> Assignment<'a> {
    fn classes(&self, stratified: bool) -> Option<&'a [u32]> {
        self.classes.filter(|_| stratified)
    }
}

/// Where the parts of `n` things end when they are cut by position: whole things, rounded down.
pub fn cut(n: usize, split: &Split) -> [usize; 3] {
    let total = split.train + split.validation + split.test;
    let end = |share: f64| {
        if share > total - 1e-9 && total > 1.0 - 1e-9 {
            n
        } else {
            ((n as f64 * share + 1e-9).floor() as usize).min(n)
        }
    };
    [
        end(split.train),
        end(split.train + split.validation),
        end(split.train + split.validation + split.test),
    ]
}

/// Divides samples `0..n`. `what` names them in errors, as "rows of wine.csv".
pub fn divide(n: usize, split: &Split, assignment: Assignment, what: &str) -> Result<Division, DataError> {
    let mut division = Division::default();
    match assignment.classes(split.stratified) {
        None => {
            let mut order: Vec<u32> = (0..n as u32).collect();
            if assignment.random {
                Stream::new(0, "data/split").shuffle(0, &mut order);
            }
            share(order, split, &mut division);
        }
        Some(classes) => {
            for (class, mut order) in by_class((0..n as u32).collect(), classes) {
                Stream::new(0, "data/split").shuffle(class, &mut order);
                share(order, split, &mut division);
            }
        }
    }
    division.parts.iter_mut().for_each(|part| part.sort_unstable());
    for (part, share) in Part::ALL.into_iter().zip([split.train, split.validation, split.test]) {
        // Training and validation part become one when there are folds.
        let joined = split.fold.is_some() && part == Part::Validation;
        if share > 0.0 && division.parts[part as usize].is_empty() && !joined {
            return Err(empty(part, share, n, what, split));
        }
    }
    fold(division, split, assignment, what)
}

/// Joins training and validation part, and puts one of their folds in the place of the latter; the test part stays as
/// it is. Each sample is in exactly one fold, and two folds differ by at most one sample, also of each class if they
/// are stratified (as scikit-learn's `KFold` and `StratifiedKFold`).
pub fn fold(mut division: Division, split: &Split, assignment: Assignment, what: &str) -> Result<Division, DataError> {
    let Some(fold) = &split.fold else {
        return Ok(division);
    };
    let mut order = [
        std::mem::take(&mut division.parts[0]),
        std::mem::take(&mut division.parts[1]),
    ]
    .concat();
    order.sort_unstable();
    let n = order.len();
    if n < fold.of {
        let message = format!("{n} {what} can't be divided into {} folds", fold.of);
        return Err(DataError::new(fold.span, message).help("ask for fewer folds, or give `train` a larger share"));
    }
    let stream = Stream::new(0, "data/fold");
    let in_order = match assignment.classes(split.stratified || fold.stratified) {
        Some(classes) => {
            let mut sorted = Vec::with_capacity(n);
            for (class, mut of_class) in by_class(order, classes) {
                stream.shuffle(class, &mut of_class);
                sorted.extend(of_class);
            }
            order = sorted;
            false
        }
        None if assignment.random => {
            stream.shuffle(0, &mut order);
            false
        }
        None => true,
    };
    for (position, sample) in order.into_iter().enumerate() {
        // Samples in file order stay together; others are dealt like cards, one class behind the other.
        let of = match in_order {
            true => position * fold.of / n,
            false => position % fold.of,
        };
        division.parts[usize::from(of + 1 == fold.number)].push(sample);
    }
    division.parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(division)
}

/// The rows of each part of a series, in the order of time: training, validation, test. With a fold, the rows of the
/// training and the validation part are cut into as many pieces as there are folds and one more, the first one as large
/// as the division leaves it; a fold trains on all pieces before its own, and nothing ever on what comes later (as
/// scikit-learn's `TimeSeriesSplit`).
pub fn in_time(n: usize, split: &Split, what: &str) -> Result<[Range<usize>; 3], DataError> {
    let [train, validation, test] = cut(n, split);
    let Some(fold) = &split.fold else {
        return Ok([0..train, train..validation, validation..test]);
    };
    let piece = validation / (fold.of + 1);
    if piece == 0 {
        let message = format!(
            "{validation} {what} can't be cut into {} pieces, one more than the folds",
            fold.of + 1
        );
        return Err(DataError::new(fold.span, message).help("ask for fewer folds, or give `train` a larger share"));
    }
    let start = validation - (fold.of + 1 - fold.number) * piece;
    Ok([0..start, start..start + piece, validation..test])
}

/// The samples of each class, in their order.
fn by_class(samples: Vec<u32>, classes: &[u32]) -> impl Iterator<Item = (u32, Vec<u32>)> {
    let count = samples.iter().map(|&i| classes[i as usize] + 1).max().unwrap_or(0);
    (0..count).map(move |class| {
        let of_class = samples.iter().copied().filter(|&i| classes[i as usize] == class);
        (class, of_class.collect())
    })
}

/// The error for a part that gets nothing.
pub fn empty(part: Part, share: f64, n: usize, what: &str, split: &Split) -> DataError {
    DataError::new(
        split.span,
        format!(
            "the {part} part is empty: {}% of {n} {what} is less than one",
            (share * 1e6).round() / 1e4
        ),
    )
    .help(format!("give {part} a larger share, or leave it out of `split`"))
}

fn share(order: Vec<u32>, split: &Split, into: &mut Division) {
    let mut start = 0;
    for (part, end) in into.parts.iter_mut().zip(cut(order.len(), split)) {
        part.extend(&order[start..end]);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::experiment::Fold;
    use crate::text::Span;

    const RANDOM: Assignment = Assignment {
        random: true,
        classes: None,
    };
    const IN_ORDER: Assignment = Assignment {
        random: false,
        classes: None,
    };

    fn stratified(classes: &[u32]) -> Assignment<'_> {
        Assignment {
            random: true,
            classes: Some(classes),
        }
    }

    fn split(train: f64, validation: f64, test: f64) -> Split {
        Split {
            train,
            validation,
            test,
            stratified: false,
            fold: None,
            span: Span::NOWHERE,
        }
    }

    #[test]
    fn parts_are_disjoint_and_cover_everything() {
        let division = divide(178, &split(0.7, 0.15, 0.15), RANDOM, "rows").unwrap();
        assert_eq!(division.parts.each_ref().map(Vec::len), [124, 27, 27]);
        let mut all: Vec<u32> = division.parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..178).collect::<Vec<u32>>());
    }

    #[test]
    fn a_cut_by_position_rounds_down_and_survives_sums_of_shares() {
        assert_eq!(cut(1_115_394, &split(0.9, 0.1, 0.0)), [1_003_854, 1_115_394, 1_115_394]);
        assert_eq!(cut(100, &split(0.7, 0.15, 0.15)), [70, 85, 100]);
        assert_eq!(cut(10, &split(0.5, 0.2, 0.0)), [5, 7, 7]);
    }

    #[test]
    fn stratified_parts_have_each_class_in_proportion() {
        let classes: Vec<u32> = (0..100).map(|i| u32::from(i >= 80)).collect();
        let division = divide(
            100,
            &Split {
                stratified: true,
                ..split(0.5, 0.5, 0.0)
            },
            stratified(&classes),
            "rows",
        )
        .unwrap();
        let rare = |part: &Vec<u32>| part.iter().filter(|&&i| i >= 80).count();
        assert_eq!(division.parts.each_ref().map(rare), [10, 10, 0]);
    }

    #[test]
    fn an_empty_part_is_an_error() {
        let error = divide(5, &split(0.95, 0.04, 0.01), IN_ORDER, "rows of a.csv").unwrap_err();
        insta::assert_snapshot!(error, @"the validation part is empty: 4% of 5 rows of a.csv is less than one");
    }

    /// The validation part of each fold; training parts are checked to be all the rest.
    fn folds(n: usize, of: usize, base: &Split, assignment: Assignment) -> Vec<Vec<u32>> {
        let whole = divide(n, base, assignment, "rows").unwrap();
        let mut pool = [&whole.parts[0][..], &whole.parts[1]].concat();
        pool.sort_unstable();
        let number = |number| {
            let fold = Fold {
                number,
                of,
                stratified: assignment.classes.is_some(),
                span: Span::NOWHERE,
            };
            let split = Split {
                fold: Some(fold),
                ..base.clone()
            };
            let [train, validation, test] = divide(n, &split, assignment, "rows").unwrap().parts;
            assert_eq!(test, whole.parts[2], "the test part stays as it is");
            let mut both = [&train[..], &validation].concat();
            both.sort_unstable();
            assert_eq!(both, pool);
            validation
        };
        let folds: Vec<Vec<u32>> = (1..=of).map(number).collect();
        let mut all = folds.concat();
        all.sort_unstable();
        assert_eq!(all, pool, "each row is in exactly one fold");
        let sizes = folds.iter().map(Vec::len);
        assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        folds
    }

    #[test]
    fn each_row_outside_of_the_test_part_is_in_one_fold() {
        for n in [10, 11, 97, 178] {
            for of in [2, 3, 5, 8] {
                let random = folds(n, of, &split(0.6, 0.2, 0.2), RANDOM);
                assert_ne!(random[0], (0..random[0].len() as u32).collect::<Vec<u32>>());
                for block in folds(n, of, &split(0.8, 0.0, 0.2), IN_ORDER) {
                    assert!(block.windows(2).all(|w| w[0] + 1 == w[1]), "{block:?} is one piece");
                }
            }
        }
        // What `split` gives to no part is in no fold.
        assert_eq!(folds(100, 5, &split(0.5, 0.2, 0.0), RANDOM).concat().len(), 70);
    }

    #[test]
    fn stratified_folds_differ_by_at_most_one_row_of_each_class() {
        let classes: Vec<u32> = (0..178).map(|i| [0, 0, 1, 1, 1, 2, 0][i % 7]).collect();
        for stratified_split in [false, true] {
            let base = Split {
                stratified: stratified_split,
                ..split(0.7, 0.15, 0.15)
            };
            for of in [2, 4, 5, 10] {
                let folds = folds(178, of, &base, stratified(&classes));
                for class in 0..3 {
                    let count = |fold: &Vec<u32>| fold.iter().filter(|&&i| classes[i as usize] == class).count();
                    let counts = folds.iter().map(count);
                    assert!(
                        counts.clone().max().unwrap() - counts.min().unwrap() <= 1,
                        "class {class}"
                    );
                }
            }
        }
    }

    /// Where each fold starts and ends, as scikit-learn 1.x tells: `TimeSeriesSplit(of).split(np.zeros(n))`.
    #[test]
    fn folds_of_a_series_are_those_of_scikit_learn() {
        let expected: [(usize, &[(usize, usize)]); 3] = [
            (10, &[(4, 6), (6, 8), (8, 10)]),
            (23, &[(8, 11), (11, 14), (14, 17), (17, 20), (20, 23)]),
            (100, &[(20, 40), (40, 60), (60, 80), (80, 100)]),
        ];
        for (n, folds) in expected {
            for (number, &(start, end)) in (1..).zip(folds) {
                let fold = Fold {
                    number,
                    of: folds.len(),
                    stratified: false,
                    span: Span::NOWHERE,
                };
                // A fifth more rows, which are the test part in every fold.
                let rows = n + n / 4;
                let share = n as f64 / rows as f64;
                let split = Split {
                    fold: Some(fold),
                    ..split(share / 2.0, share / 2.0, 1.0 - share)
                };
                assert_eq!(in_time(rows, &split, "rows").unwrap(), [0..start, start..end, n..rows]);
            }
        }
    }

    #[test]
    fn more_folds_than_rows_are_an_error() {
        let fold = Fold {
            number: 1,
            of: 5,
            stratified: false,
            span: Span::NOWHERE,
        };
        let split = Split {
            fold: Some(fold),
            ..split(0.5, 0.0, 0.5)
        };
        let error = divide(8, &split, RANDOM, "rows of a.csv").unwrap_err();
        insta::assert_snapshot!(error, @"4 rows of a.csv can't be divided into 5 folds");
    }
}
