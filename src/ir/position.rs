//! Algebra on positions: one canonical form for positions that are equal at every index, substitution of one set of
//! positions into another, and what guards are known to hold. Never changes a value at any index inside the sizes.
//!
//! After [`Position::simplified`] the dividend of every digit is at least 0 at *every* index, guarded or not.

use super::affine::{Affine, Digit, Guard, Position};

/// A guard after simplification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holds {
    /// At every index.
    Always,
    /// At no index.
    Never,
    /// Depends on the index.
    If(Guard),
}

impl Affine {
    /// Without the indices that are always 0.
    pub fn without_unit_axes(&self, sizes: &[usize]) -> Affine {
        let terms = self.terms.iter().copied().filter(|&(axis, _)| sizes[axis] > 1);
        Affine {
            constant: self.constant,
            terms: terms.collect(),
        }
    }
}

impl Position {
    /// A number.
    pub fn constant(constant: i64) -> Position {
        Affine::constant(constant).into()
    }

    /// One digit and nothing else.
    pub fn digit(digit: Digit) -> Position {
        Position {
            affine: Affine::default(),
            digits: vec![digit],
        }
    }

    /// The difference of two.
    pub fn minus(&self, other: &Position) -> Position {
        self.plus(&other.times(-1))
    }

    /// The canonical form of the same function of the indices, each of which goes from 0 below its size.
    pub fn simplified(&self, sizes: &[usize]) -> Position {
        let mut sum = Position::from(self.affine.without_unit_axes(sizes));
        for digit in &self.digits {
            sum = sum.plus(&simplified_digit(digit, sizes));
        }
        while merge_one_pair(&mut sum.digits) {
            let digits = std::mem::take(&mut sum.digits);
            for digit in digits {
                sum = sum.plus(&simplified_digit(&digit, sizes));
            }
        }
        sum.digits.sort_by(|x, y| order_of(x).cmp(&order_of(y)));
        sum
    }

    /// The function of new indices that results where index `a` is `replacement[a]`; `sizes` are the new axes'.
    /// `None` where that is not quasi-affine of one level (a quotient of something that holds a quotient).
    pub fn substitute(&self, replacement: &[Position], sizes: &[usize]) -> Option<Position> {
        let mut sum = substitute_affine(&self.affine, replacement);
        for digit in &self.digits {
            let of = substitute_affine(&digit.of, replacement).simplified(sizes);
            sum = sum.plus(&quotient(&of, digit.divide, digit.modulo, sizes)?.times(digit.coefficient));
        }
        Some(sum.simplified(sizes))
    }
}

impl Guard {
    /// What is known of the guard at all indices.
    pub fn simplified(&self, sizes: &[usize]) -> Holds {
        match self {
            Guard::Within { of, low, high } => {
                let of = of.simplified(sizes);
                let (least, greatest) = of.range(sizes);
                if *low <= least && greatest < *high {
                    Holds::Always
                } else if greatest < *low || *high <= least || high <= low {
                    Holds::Never
                } else {
                    let (low, high) = (*low, *high);
                    Holds::If(Guard::Within { of, low, high })
                }
            }
            Guard::Divisible { of, by } => simplified_divisible(of, *by, sizes),
        }
    }

    /// As [`Position::substitute`].
    pub fn substitute(&self, replacement: &[Position], sizes: &[usize]) -> Option<Guard> {
        Some(match self {
            Guard::Within { of, low, high } => Guard::Within {
                of: of.substitute(replacement, sizes)?,
                low: *low,
                high: *high,
            },
            Guard::Divisible { of, by } => {
                let of = substitute_affine(of, replacement).simplified(sizes);
                match of.as_affine() {
                    Some(affine) => Guard::Divisible {
                        of: affine.clone(),
                        by: *by,
                    },
                    None => Guard::Within {
                        of: quotient(&of, 1, Some(*by), sizes)?,
                        low: 0,
                        high: 1,
                    },
                }
            }
        })
    }
}

/// All guards in canonical form, each once, in the given order; `None` if they can't all hold.
pub fn simplified_guards(guards: &[Guard], sizes: &[usize]) -> Option<Vec<Guard>> {
    let mut kept: Vec<Guard> = vec![];
    for guard in guards {
        match guard.simplified(sizes) {
            Holds::Always => {}
            Holds::Never => return None,
            Holds::If(guard) if kept.contains(&guard) => {}
            Holds::If(guard) => kept.push(guard),
        }
    }
    Some(kept)
}

/// An affine form of positions.
pub fn substitute_affine(affine: &Affine, replacement: &[Position]) -> Position {
    let start = Position::constant(affine.constant);
    let terms = affine.terms.iter();
    terms.fold(start, |sum, &(axis, c)| sum.plus(&replacement[axis].times(c)))
}

/// `⌊of / divide⌋ mod modulo` of a position in canonical form, if one level of digits can say it.
pub fn quotient(of: &Position, divide: i64, modulo: Option<i64>, sizes: &[usize]) -> Option<Position> {
    if modulo == Some(1) {
        return Some(Position::default());
    }
    if let Some(affine) = of.as_affine() {
        let digit = Digit {
            coefficient: 1,
            of: affine.clone(),
            divide,
            modulo,
        };
        return Some(Position::digit(digit).simplified(sizes));
    }
    let mut of = of.clone();
    if let Some(m) = modulo {
        let period = divide * m;
        of = without_moduli(&split_multiples(&of, period).1, period);
        let (low, high) = of.range(sizes);
        let shift = low.div_euclid(period) * period;
        of.affine.constant -= shift;
        if high - shift < period {
            return quotient(&of, divide, None, sizes);
        }
        if of.digits.is_empty() {
            return quotient(&of, divide, modulo, sizes);
        }
    }
    let (whole, rest) = split_multiples(&of, divide);
    let (low, high) = rest.range(sizes);
    let first = low.div_euclid(divide);
    if high < (first + 1) * divide {
        let whole = whole.plus(&Position::constant(first));
        return match modulo {
            None => Some(whole.simplified(sizes)),
            Some(_) if whole.digits.is_empty() => quotient(&whole, 1, modulo, sizes),
            Some(m) => nested(&whole, 1, Some(m), sizes),
        };
    }
    match modulo {
        None if rest.digits.is_empty() => Some(whole.plus(&quotient(&rest, divide, None, sizes)?).simplified(sizes)),
        None => Some(whole.plus(&nested(&rest, divide, None, sizes)?).simplified(sizes)),
        Some(_) => nested(&of, divide, modulo, sizes),
    }
}

/// The same modulo `period`, with fewer digits: `c · (f mod m)` is `c · f` there if `period` divides `c · m`.
fn without_moduli(of: &Position, period: i64) -> Position {
    let mut result = Position::from(of.affine.clone());
    for digit in &of.digits {
        let same = digit.divide == 1 && digit.modulo.is_some_and(|m| digit.coefficient * m % period == 0);
        match same {
            true => result.affine = result.affine.plus(&digit.of.times(digit.coefficient)),
            false => result.digits.push(digit.clone()),
        }
    }
    result
}

/// The quotient of a single digit: `⌊⌊x / a⌋ / d⌋ = ⌊x / (a·d)⌋`, and the like under a modulus.
fn nested(of: &Position, divide: i64, modulo: Option<i64>, sizes: &[usize]) -> Option<Position> {
    let [inner] = of.digits.as_slice() else { return None };
    if of.affine != Affine::default() || inner.coefficient != 1 {
        return None;
    }
    let modulo = match (inner.modulo, modulo) {
        (None, outer) => outer,
        (Some(i), None) if i % divide == 0 => Some(i / divide),
        (Some(i), Some(o)) if i % (divide * o) == 0 => Some(o),
        _ => return None,
    };
    let digit = Digit {
        coefficient: 1,
        of: inner.of.clone(),
        divide: inner.divide * divide,
        modulo,
    };
    Some(Position::digit(digit).simplified(sizes))
}

/// `of = by · first + second`: the terms whose coefficients `by` divides, divided, and the others with the constant.
fn split_multiples(of: &Position, by: i64) -> (Position, Position) {
    let (mut whole, mut rest) = (Position::default(), Position::constant(of.affine.constant));
    for &(axis, c) in &of.affine.terms {
        match c % by == 0 {
            true => whole.affine.terms.push((axis, c / by)),
            false => rest.affine.terms.push((axis, c)),
        }
    }
    for digit in &of.digits {
        let mut digit = digit.clone();
        match digit.coefficient % by == 0 {
            true => {
                digit.coefficient /= by;
                whole.digits.push(digit);
            }
            false => rest.digits.push(digit),
        }
    }
    (whole, rest)
}

fn simplified_digit(digit: &Digit, sizes: &[usize]) -> Position {
    let of = Position::from(digit.of.without_unit_axes(sizes));
    let simple = match digit.modulo {
        None => plain_quotient(&of, digit.divide, sizes),
        Some(1) => Position::default(),
        Some(m) => remainder(&of, digit.divide, m, sizes),
    };
    simple.times(digit.coefficient)
}

/// `⌊of / divide⌋` of an affine form: whole multiples leave the quotient, common factors are cancelled.
fn plain_quotient(of: &Position, divide: i64, sizes: &[usize]) -> Position {
    let (mut whole, mut rest) = split_multiples(of, divide);
    let first = rest.range(sizes).0.div_euclid(divide);
    whole.affine.constant += first;
    rest.affine.constant -= first * divide;
    if rest.range(sizes).1 < divide {
        return whole;
    }
    let (of, _, common) = without_residue(&rest.affine, divide, sizes);
    whole.plus(&Position::digit(Digit {
        coefficient: 1,
        of,
        divide: divide / common,
        modulo: None,
    }))
}

/// `of = common · first + second` with the greatest `common` that divides `divisor` and leaves a `second` that is
/// always from 0 below `common`; so `⌊of / divisor⌋ = ⌊first / (divisor / common)⌋`.
fn without_residue(of: &Affine, divisor: i64, sizes: &[usize]) -> (Affine, Affine, i64) {
    let mut sizes_of_terms: Vec<i64> = of.terms.iter().map(|t| t.1.abs()).collect();
    sizes_of_terms.sort_unstable();
    sizes_of_terms.dedup();
    for least in sizes_of_terms.into_iter().rev() {
        let large = of.terms.iter().filter(|t| t.1.abs() >= least);
        let common = large.fold(divisor, |g, t| gcd(g, t.1));
        let (mut first, mut second) = (Affine::default(), Affine::constant(of.constant.rem_euclid(common)));
        first.constant = of.constant.div_euclid(common);
        for &(axis, c) in &of.terms {
            match c % common == 0 {
                true => first.terms.push((axis, c / common)),
                false => second.terms.push((axis, c)),
            }
        }
        let (low, high) = second.range(sizes);
        if 0 <= low && high < common {
            return (first, second, common);
        }
    }
    (of.clone(), Affine::default(), 1)
}

/// `⌊of / divide⌋ mod modulo` of an affine form.
fn remainder(of: &Position, divide: i64, modulo: i64, sizes: &[usize]) -> Position {
    let period = divide * modulo;
    let mut of = split_multiples(of, period).1;
    let (low, high) = of.range(sizes);
    let shift = low.div_euclid(period) * period;
    of.affine.constant -= shift;
    if high - shift < period {
        return plain_quotient(&of, divide, sizes);
    }
    if divide > 1 {
        let (mut whole, rest) = split_multiples(&of, divide);
        let (low, high) = rest.range(sizes);
        let first = low.div_euclid(divide);
        if high < (first + 1) * divide {
            whole.affine.constant += first;
            return remainder(&whole, 1, modulo, sizes);
        }
        let (of, _, common) = without_residue(&of.affine, divide, sizes);
        return Position::digit(Digit {
            coefficient: 1,
            of,
            divide: divide / common,
            modulo: Some(modulo),
        });
    }
    let (of, rest, common) = without_residue(&of.affine, modulo, sizes);
    let digit = Digit {
        coefficient: common,
        of,
        divide: 1,
        modulo: Some(modulo / common),
    };
    Position::from(rest).plus(&Position::digit(digit))
}

/// `k·m·⌊x / (d·m)⌋ + k·(⌊x / d⌋ mod m) = k·⌊x / d⌋`; equal digits are added.
fn merge_one_pair(digits: &mut Vec<Digit>) -> bool {
    for i in 0..digits.len() {
        for j in 0..digits.len() {
            let (x, y) = (&digits[i], &digits[j]);
            if i == j || x.of != y.of {
                continue;
            }
            let merged = if x.divide == y.divide && x.modulo == y.modulo {
                Digit {
                    coefficient: x.coefficient + y.coefficient,
                    ..x.clone()
                }
            } else {
                match y.modulo {
                    Some(m) if x.divide == y.divide * m && x.coefficient == y.coefficient * m => Digit {
                        modulo: x.modulo.map(|n| n * m),
                        ..y.clone()
                    },
                    _ => continue,
                }
            };
            digits.remove(i.max(j));
            digits.remove(i.min(j));
            if merged.coefficient != 0 {
                digits.push(merged);
            }
            return true;
        }
    }
    false
}

fn simplified_divisible(of: &Affine, by: i64, sizes: &[usize]) -> Holds {
    let of = Position::from(of.without_unit_axes(sizes));
    let mut of = split_multiples(&of, by).1.affine;
    let common = of.terms.iter().fold(by, |g, &(_, c)| gcd(g, c));
    if of.constant % common != 0 {
        return Holds::Never;
    }
    of.constant /= common;
    of.terms.iter_mut().for_each(|t| t.1 /= common);
    let by = by / common;
    if by == 1 {
        return Holds::Always;
    }
    of.constant -= of.range(sizes).0.div_euclid(by) * by;
    Holds::If(Guard::Divisible { of, by })
}

fn order_of(digit: &Digit) -> (&[(usize, i64)], i64, i64, Option<i64>) {
    (&digit.of.terms, digit.of.constant, digit.divide, digit.modulo)
}

/// The greatest common divisor, at least 0.
pub fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

#[cfg(test)]
#[path = "position_test.rs"]
mod tests;
