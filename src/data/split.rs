//! A number of samples in, the samples of the training, validation and test part out.
//! The division is the same for every seed of the training, so that runs can be compared, and never changes
//! between a run and its evaluation.

use super::random::Stream;
use super::{DataError, Part};
use crate::ir::experiment::Split;

/// The samples of each part, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Division {
    /// In the order of [`Part::ALL`].
    pub parts: [Vec<u32>; 3],
}

/// How samples are assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignment<'a> {
    /// By position, in file order.
    InOrder,
    /// At random.
    Random,
    /// At random, in the same way within each class; the class of each sample.
    Stratified(&'a [u32]),
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
    match assignment {
        Assignment::InOrder => share((0..n as u32).collect(), split, &mut division),
        Assignment::Random => {
            let mut order: Vec<u32> = (0..n as u32).collect();
            Stream::new(0, "data/split").shuffle(0, &mut order);
            share(order, split, &mut division);
        }
        Assignment::Stratified(classes) => {
            let count = classes.iter().max().map_or(0, |c| c + 1);
            for class in 0..count {
                let mut order: Vec<u32> = (0..n as u32).filter(|&i| classes[i as usize] == class).collect();
                Stream::new(0, "data/split").shuffle(class, &mut order);
                share(order, split, &mut division);
            }
        }
    }
    division.parts.iter_mut().for_each(|part| part.sort_unstable());
    for (part, share) in Part::ALL.into_iter().zip([split.train, split.validation, split.test]) {
        if share > 0.0 && division.parts[part as usize].is_empty() {
            return Err(empty(part, share, n, what, split));
        }
    }
    Ok(division)
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
    use crate::text::Span;

    fn split(train: f64, validation: f64, test: f64) -> Split {
        Split {
            train,
            validation,
            test,
            stratified: false,
            span: Span::NOWHERE,
        }
    }

    #[test]
    fn parts_are_disjoint_and_cover_everything() {
        let division = divide(178, &split(0.7, 0.15, 0.15), Assignment::Random, "rows").unwrap();
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
        let division = divide(100, &split(0.5, 0.5, 0.0), Assignment::Stratified(&classes), "rows").unwrap();
        let rare = |part: &Vec<u32>| part.iter().filter(|&&i| i >= 80).count();
        assert_eq!(division.parts.each_ref().map(rare), [10, 10, 0]);
    }

    #[test]
    fn an_empty_part_is_an_error() {
        let error = divide(5, &split(0.95, 0.04, 0.01), Assignment::InOrder, "rows of a.csv").unwrap_err();
        insta::assert_snapshot!(error, @"the validation part is empty: 4% of 5 rows of a.csv is less than one");
    }
}
