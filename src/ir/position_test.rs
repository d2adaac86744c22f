//! Canonical forms and substitutions against evaluation at every index.

use super::*;

/// Every index within the sizes, in row-major order.
fn every_index(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![vec![]], |all, &size| {
        all.iter()
            .flat_map(|index| (0..size).map(move |i| [index.clone(), vec![i]].concat()))
            .collect()
    })
}

fn affine(constant: i64, terms: &[(usize, i64)]) -> Affine {
    let terms = terms.iter().copied().filter(|t| t.1 != 0).collect();
    Affine { constant, terms }
}

fn digit(coefficient: i64, of: Affine, divide: i64, modulo: Option<i64>) -> Digit {
    Digit {
        coefficient,
        of,
        divide,
        modulo,
    }
}

fn check(sizes: &[usize], position: Position, expected: &str) {
    let simple = position.simplified(sizes);
    for index in every_index(sizes) {
        assert_eq!(
            position.at(&index),
            simple.at(&index),
            "{position} against {simple} at {index:?}"
        );
        assert!(
            simple.digits.iter().all(|d| d.of.at(&index) >= 0),
            "{simple} at {index:?}"
        );
    }
    assert_eq!(simple.to_string(), expected);
}

fn sum(digits: Vec<Digit>) -> Position {
    Position {
        affine: Affine::default(),
        digits,
    }
}

#[test]
fn splitting_and_joining_cancel() {
    let c = Affine::axis(0);
    check(
        &[12],
        sum(vec![digit(4, c.clone(), 4, None), digit(1, c, 1, Some(4))]),
        "i0",
    );
    let joined = affine(0, &[(0, 4), (1, 1)]);
    check(&[3, 4], Position::digit(digit(1, joined.clone(), 4, None)), "i0");
    check(&[3, 4], Position::digit(digit(1, joined, 1, Some(4))), "i1");
}

#[test]
fn whole_multiples_and_common_factors_leave_a_quotient() {
    check(
        &[3, 8],
        Position::digit(digit(1, affine(0, &[(0, 8), (1, 1)]), 4, None)),
        "2*i0 + (i1 div 4)",
    );
    check(
        &[9],
        Position::digit(digit(1, affine(1, &[(0, 2)]), 4, None)),
        "(i0 div 2)",
    );
    check(
        &[9],
        Position::digit(digit(1, affine(0, &[(0, 2)]), 1, Some(4))),
        "2*(i0 mod 2)",
    );
    check(
        &[6],
        Position::digit(digit(1, affine(-3, &[(0, 1)]), 1, Some(6))),
        "((i0 + 3) mod 6)",
    );
    check(&[1, 4], Position::axis(0), "0");
    check(&[8], Position::digit(digit(1, Affine::axis(0), 2, Some(1))), "0");
}

#[test]
fn substitution_agrees_with_evaluation_wherever_it_succeeds() {
    let mut state = 7u32;
    let mut next = |n: i64| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i64::from(state >> 8) % n
    };
    let sizes = [3, 4, 5];
    let mut succeeded = 0;
    for _ in 0..3000 {
        let inner: Vec<Position> = (0..2)
            .map(|_| {
                let of = affine(next(4), &[(0, next(13)), (1, next(7)), (2, next(4))]);
                let modulo = [None, Some(2 + next(6))][next(2) as usize];
                let one = digit(1, of, 1 + next(6), modulo);
                match next(3) {
                    0 => Position::from(affine(next(3), &[(1, next(5)), (2, next(3))])),
                    1 => Position::digit(one),
                    _ => Position::from(affine(next(3), &[(0, next(5))])).plus(&Position::digit(one)),
                }
            })
            .collect();
        let of = affine(next(3), &[(0, next(5)), (1, next(5))]);
        let outer = Position::digit(digit(
            1 + next(3),
            of,
            1 + next(8),
            [None, Some(1 + next(6))][next(2) as usize],
        ));
        let Some(composed) = outer.substitute(&inner, &sizes) else {
            continue;
        };
        succeeded += 1;
        for index in every_index(&sizes) {
            let at: Vec<usize> = inner.iter().map(|p| p.at(&index) as usize).collect();
            assert_eq!(
                outer.at(&at),
                composed.at(&index),
                "{outer} of {inner:?} is {composed} at {index:?}"
            );
        }
    }
    assert!(succeeded > 800, "{succeeded}");
}

#[test]
fn guards_that_always_or_never_hold_are_known() {
    let within = |low, high| Guard::Within {
        of: affine(-1, &[(0, 1), (1, 1)]).into(),
        low,
        high,
    };
    assert_eq!(within(-1, 9).simplified(&[5, 4]), Holds::Always);
    assert_eq!(within(7, 9).simplified(&[5, 4]), Holds::Never);
    assert!(matches!(within(0, 5).simplified(&[5, 4]), Holds::If(_)));
    let divisible = |constant, by| Guard::Divisible {
        of: affine(constant, &[(0, 4), (1, 2)]),
        by,
    };
    assert_eq!(divisible(1, 2).simplified(&[5, 4]), Holds::Never);
    assert_eq!(divisible(2, 2).simplified(&[5, 4]), Holds::Always);
    let Holds::If(guard) = divisible(-6, 4).simplified(&[5, 4]) else {
        panic!()
    };
    assert_eq!(guard.to_string(), "2 divides i1 + 1");
}
