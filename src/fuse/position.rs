//! Algebra of positions: composing views, dividing, recombining what was split, taking indices apart and joining them.
//! It knows sizes of axes and nothing of nodes or kernels. Where a form cannot be written, the answer is `None`.

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::position::gcd;

/// The indices of a tensor's axes as functions of a kernel's axes.
pub type Index = Vec<Position>;

/// Elements from index to index of each axis of a row-major tensor.
pub fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as i64;
    }
    strides
}

/// The row-major element at an index.
pub fn linear(shape: &[usize], index: &[Position], sizes: &[usize]) -> Position {
    let mut sum = Position::default();
    for (stride, position) in strides(shape).into_iter().zip(index) {
        sum = sum.plus(&position.times(stride));
    }
    simplified(&sum, sizes)
}

/// The index of a row-major element.
pub fn unravelled(shape: &[usize], element: &Position, sizes: &[usize]) -> Option<Index> {
    let strides = strides(shape);
    (0..shape.len())
        .map(|axis| {
            if shape[axis] == 1 {
                return Some(Position::default());
            }
            divided(element, strides[axis], Some(shape[axis] as i64), sizes)
        })
        .collect()
}

/// A position with other positions in place of its axes.
pub fn composed(position: &Position, index: &[Position], sizes: &[usize]) -> Option<Position> {
    if let Some(axis) = position.as_axis() {
        return Some(index[axis].clone());
    }
    let mut sum = substituted(&position.affine, index);
    for digit in &position.digits {
        let of = simplified(&substituted(&digit.of, index), sizes);
        sum = sum.plus(&divided(&of, digit.divide, digit.modulo, sizes)?.times(digit.coefficient));
    }
    Some(simplified(&sum, sizes))
}

/// The guards of a view with positions in place of the view's axes; those that always hold are left out.
pub fn composed_guards(guards: &[Guard], index: &[Position], sizes: &[usize]) -> Option<Vec<Guard>> {
    let mut result = vec![];
    for guard in guards {
        match guard {
            Guard::Within { of, low, high } => {
                let of = composed(of, index, sizes)?;
                let (least, greatest) = of.range(sizes);
                if least < *low || greatest >= *high {
                    result.push(Guard::Within {
                        of,
                        low: *low,
                        high: *high,
                    });
                }
            }
            Guard::Divisible { of, by } => {
                let of = simplified(&substituted(of, index), sizes);
                let of = of.as_affine()?.clone();
                if of.constant % by != 0 || of.terms.iter().any(|t| t.1 % by != 0) {
                    result.push(Guard::Divisible { of, by: *by });
                }
            }
        }
    }
    Some(result)
}

fn substituted(affine: &Affine, index: &[Position]) -> Position {
    affine
        .terms
        .iter()
        .fold(Affine::constant(affine.constant).into(), |sum: Position, &(axis, c)| {
            sum.plus(&index[axis].times(c))
        })
}

/// The same function in a normal form: no digit that is affine, no pair of digits that one digit can say.
pub fn simplified(position: &Position, sizes: &[usize]) -> Position {
    let mut affine = position.affine.clone();
    affine.terms.retain(|&mut (axis, _)| sizes[axis] > 1);
    let mut result = Position { affine, digits: vec![] };
    for digit in &position.digits {
        let of = Position::from(digit.of.clone());
        let plain = divided(&of, digit.divide, digit.modulo, sizes).expect("an affine form can be divided");
        result = result.plus(&plain.times(digit.coefficient));
    }
    while recombine(&mut result) {
        let digits = std::mem::take(&mut result.digits);
        for digit in digits {
            let of = Position::from(digit.of.clone());
            let plain = divided(&of, digit.divide, digit.modulo, sizes).expect("an affine form can be divided");
            result = result.plus(&plain.times(digit.coefficient));
        }
    }
    let key = |d: &Digit| (d.of.terms.clone(), d.of.constant, d.divide, d.modulo, d.coefficient);
    result.digits.sort_by_key(key);
    result
}

/// Joins one pair of digits of the same form: `k·m·⌊x/(a·m)⌋ + k·(⌊x/a⌋ mod m) = k·⌊x/a⌋`, or equal ones.
fn recombine(position: &mut Position) -> bool {
    for i in 0..position.digits.len() {
        for j in 0..position.digits.len() {
            if i == j {
                continue;
            }
            let (low, high) = (&position.digits[i], &position.digits[j]);
            if low.of != high.of {
                continue;
            }
            let joined = if low.divide == high.divide && low.modulo == high.modulo {
                let coefficient = low.coefficient + high.coefficient;
                Digit {
                    coefficient,
                    ..low.clone()
                }
            } else if let Some(m) = low.modulo
                && high.divide == low.divide * m
                && high.coefficient == low.coefficient * m
            {
                let modulo = high.modulo.map(|n| n * m);
                Digit { modulo, ..low.clone() }
            } else {
                continue;
            };
            position.digits.remove(i.max(j));
            position.digits.remove(i.min(j));
            if joined.coefficient != 0 {
                position.digits.push(joined);
            }
            return true;
        }
    }
    false
}

/// `⌊p / divide⌋ mod modulo`.
pub fn divided(p: &Position, divide: i64, modulo: Option<i64>, sizes: &[usize]) -> Option<Position> {
    let (mut whole, rest) = split(p, divide);
    let (low, high) = rest.range(sizes);
    let mut below = None;
    if low < 0 || high >= divide {
        if rest.digits.is_empty() {
            let (of, by) = reduced(rest.affine, divide, sizes);
            if by != divide {
                // ⌊⌊x/g⌋ / (divide/g)⌋: what is left may be divisible by more.
                let whole = whole.times(by).plus(&of.into());
                return divided(&whole, by, modulo, sizes);
            }
            below = Some(of);
        } else {
            whole = whole.plus(&nested(&rest, divide)?);
        }
    }
    let Some(m) = modulo else {
        let digits = below.map(|of| Digit {
            coefficient: 1,
            of,
            divide,
            modulo: None,
        });
        return Some(whole.plus(&Position {
            affine: Affine::default(),
            digits: digits.into_iter().collect(),
        }));
    };
    let (_, whole) = split(&whole, m);
    let quotient_range = |whole: &Position, below: &Option<Affine>| {
        let (mut low, mut high) = whole.range(sizes);
        if let Some(of) = below {
            let (a, b) = of.range(sizes);
            low += a.div_euclid(divide);
            high += b.div_euclid(divide);
        }
        (low, high)
    };
    let (low, high) = quotient_range(&whole, &below);
    let inside = low >= 0 && high < m;
    match below {
        None if inside => Some(whole),
        None if whole.digits.is_empty() => Some(digit(whole.affine, 1, Some(m))),
        None => nested_modulo(&whole, m),
        Some(of) if inside => Some(whole.plus(&digit(of, divide, None))),
        Some(of) => {
            let of = whole.as_affine()?.times(divide).plus(&of);
            Some(digit(of, divide, Some(m)))
        }
    }
}

/// Divides form and divisor by the greatest factor whose remainder is always below it.
fn reduced(of: Affine, divide: i64, sizes: &[usize]) -> (Affine, i64) {
    let mut best = 1;
    for &(_, c) in &of.terms {
        let factor = gcd(c.abs(), divide);
        let (_, rest) = split(&of.clone().into(), factor);
        let (low, high) = rest.range(sizes);
        if factor > best && low >= 0 && high < factor {
            best = factor;
        }
    }
    let (whole, _) = split(&of.into(), best);
    (whole.affine, divide / best)
}

fn digit(of: Affine, divide: i64, modulo: Option<i64>) -> Position {
    Position {
        affine: Affine::default(),
        digits: vec![Digit {
            coefficient: 1,
            of,
            divide,
            modulo,
        }],
    }
}

/// `p = by · whole + rest`, with everything that is divisible in `whole` (already divided).
fn split(p: &Position, by: i64) -> (Position, Position) {
    let mut whole = Position::from(Affine::constant(p.affine.constant.div_euclid(by)));
    let mut rest = Position::from(Affine::constant(p.affine.constant.rem_euclid(by)));
    for &(axis, c) in &p.affine.terms {
        match c % by {
            0 => whole.affine.terms.push((axis, c / by)),
            _ => rest.affine.terms.push((axis, c)),
        }
    }
    for d in &p.digits {
        match d.coefficient % by {
            0 => whole.digits.push(Digit {
                coefficient: d.coefficient / by,
                ..d.clone()
            }),
            _ => rest.digits.push(d.clone()),
        }
    }
    (whole, rest)
}

/// A digit of a digit: `⌊(⌊x/a⌋ mod n) / b⌋ = ⌊x/(a·b)⌋ mod (n/b)` if `b` divides `n`.
fn nested(p: &Position, by: i64) -> Option<Position> {
    let [d] = p.digits.as_slice() else { return None };
    if d.coefficient != 1 || p.affine != Affine::default() {
        return None;
    }
    match d.modulo {
        None => Some(digit(d.of.clone(), d.divide * by, None)),
        Some(n) if n % by == 0 => Some(digit(d.of.clone(), d.divide * by, Some(n / by))),
        Some(_) => None,
    }
}

/// `(⌊x/a⌋ mod n) mod m = ⌊x/a⌋ mod m` if `m` divides `n`.
fn nested_modulo(p: &Position, m: i64) -> Option<Position> {
    let [d] = p.digits.as_slice() else { return None };
    if d.coefficient != 1 {
        return None;
    }
    if d.modulo.is_some_and(|n| n % m != 0) {
        return None;
    }
    // What stands beside the digit joins what it divides.
    let of = d.of.plus(&p.affine.times(d.divide));
    Some(digit(of, d.divide, Some(m)))
}

/// If the position runs through 0 … n-1 exactly once while the axes run, the axes' indices as functions of
/// that element: the inverse of a permutation of (parts of) axes. `None` where it is no such bijection.
/// The answer's axis 0 is the element.
pub fn inverted(element: &Position, sizes: &[usize]) -> Option<Vec<Position>> {
    let mut parts = parts(element, sizes)?;
    parts.sort_by_key(|p| std::cmp::Reverse((p.coefficient, p.size)));
    let mut next: i64 = sizes.iter().product::<usize>() as i64;
    for part in &parts {
        if next != part.coefficient * part.size {
            return None;
        }
        next = part.coefficient;
    }
    if next != 1 {
        return None;
    }
    let total = [sizes.iter().product::<usize>()];
    let mut index = vec![Position::default(); sizes.len()];
    for part in &parts {
        let digit = divided(&Position::axis(0), part.coefficient, Some(part.size), &total)?;
        index[part.axis] = index[part.axis].plus(&digit.times(part.weight));
    }
    Some(index.into_iter().map(|p| simplified(&p, &total)).collect())
}

/// A run of an axis: `weight · (0 … size-1)` of it contributes `coefficient` times its number.
struct Part {
    axis: usize,
    weight: i64,
    size: i64,
    coefficient: i64,
}

/// Takes each axis apart at the digits' boundaries. Only plain digits of single axes without constants.
fn parts(element: &Position, sizes: &[usize]) -> Option<Vec<Part>> {
    if element.affine.constant != 0 {
        return None;
    }
    let mut parts = vec![];
    for (axis, &size) in sizes.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let mut cuts = vec![1, size as i64];
        for d in &element.digits {
            if d.of.as_axis()? == axis {
                cuts.push(d.divide);
                cuts.extend(d.modulo.map(|m| m * d.divide));
            }
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts.retain(|&c| c <= size as i64);
        if cuts.windows(2).any(|w| w[1] % w[0] != 0) {
            return None;
        }
        for cut in cuts.windows(2) {
            let mut coefficient = element.affine.coefficient(axis) * cut[0];
            for d in element.digits.iter().filter(|d| d.of.coefficient(axis) != 0) {
                let end = d.modulo.map_or(i64::MAX, |m| m * d.divide);
                if d.divide <= cut[0] && cut[0] < end {
                    coefficient += d.coefficient * (cut[0] / d.divide);
                }
            }
            parts.push(Part {
                axis,
                weight: cut[0],
                size: cut[1] / cut[0],
                coefficient,
            });
        }
    }
    Some(parts)
}

/// Where the digits of positions would cut the axis, so that parts of it give affine forms: ascending, from 1 to the size.
pub fn cuts<'a>(axis: usize, size: usize, positions: impl Iterator<Item = &'a Position>) -> Vec<i64> {
    let mut cuts = vec![1, size as i64];
    for d in positions.flat_map(|p| &p.digits) {
        if d.of.as_axis() == Some(axis) {
            cuts.push(d.divide);
            cuts.extend(d.modulo.map(|m| m * d.divide));
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts.retain(|&c| c <= size as i64);
    // Only a chain of divisors can be cut.
    let mut chain: Vec<i64> = vec![1];
    for cut in cuts {
        if cut % chain[chain.len() - 1] == 0 && cut != chain[chain.len() - 1] && size as i64 % cut == 0 {
            chain.push(cut);
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape_in: &[usize], shape_out: &[usize], expected: &str) {
        let total: usize = shape_in.iter().product();
        assert_eq!(total, shape_out.iter().product::<usize>());
        let index: Index = (0..shape_in.len()).map(Position::axis).collect();
        let element = linear(shape_in, &index, shape_in);
        let there = unravelled(shape_out, &element, shape_in).expect("a reshape can be written");
        let text: Vec<String> = there.iter().map(ToString::to_string).collect();
        assert_eq!(text.join(", "), expected);
        assert_eq!(linear(shape_out, &there, shape_in), element, "and back");
    }

    #[test]
    fn reshapes_take_apart_and_recombine() {
        check(&[4, 6], &[24], "6*i0 + i1");
        check(&[24], &[4, 6], "(i0 div 6), (i0 mod 6)");
        check(&[4, 6, 5], &[24, 5], "6*i0 + i1, i2");
        check(&[24, 5], &[2, 2, 6, 5], "(i0 div 12), (i0 div 6 mod 2), (i0 mod 6), i1");
        check(&[4, 1, 6], &[2, 2, 1, 6], "(i0 div 2), (i0 mod 2), 0, i2");
        check(&[4, 6], &[8, 3], "2*i0 + (i1 div 3), (i1 mod 3)");
    }

    #[test]
    fn composition_agrees_with_evaluation() {
        // y[b, t, c] = x[b, c div 5, t, c mod 5], read by z[i] over 2·3·20.
        let view = [
            Position::axis(0),
            digit(Affine::axis(2), 5, None),
            Position::axis(1),
            digit(Affine::axis(2), 1, Some(5)),
        ];
        let sizes = [120];
        let index = unravelled(&[2, 3, 20], &Position::axis(0), &sizes).unwrap();
        let there: Index = view.iter().map(|p| composed(p, &index, &sizes).unwrap()).collect();
        for i in 0..120 {
            let plain: Vec<usize> = vec![i / 60, i / 20 % 3, i % 20];
            for (p, q) in view.iter().zip(&there) {
                assert_eq!(p.at(&plain), q.at(&[i]));
            }
        }
    }

    #[test]
    fn a_permutation_of_parts_inverts() {
        // element of x[b, h, t, e] that y[b, t, (h, e)] reads; sizes b 2, t 3, h 4, e 5.
        let sizes = [2, 3, 20];
        let read = [
            Position::axis(0),
            digit(Affine::axis(2), 5, None),
            Position::axis(1),
            digit(Affine::axis(2), 1, Some(5)),
        ];
        let element = linear(&[2, 4, 3, 5], &read, &sizes);
        let back = inverted(&element, &sizes).unwrap();
        for b in 0..2 {
            for t in 0..3 {
                for c in 0..20 {
                    let at = element.at(&[b, t, c]) as usize;
                    let found: Vec<i64> = back.iter().map(|p| p.at(&[at])).collect();
                    assert_eq!(found, [b as i64, t as i64, c as i64]);
                }
            }
        }
        assert_eq!(inverted(&Position::axis(0), &sizes), None);
    }
}
