//! What values a position can take where its guards hold: the proof that no load or store leaves its buffer.
//! Interval arithmetic first; where it is too coarse, the few axes involved are tried one by one.

use super::affine::{Affine, Guard, Position};

/// The range of a position that cannot be shown to stay in `0..elements` at the indices below `sizes` at which every
/// guard holds; `None` if it stays.
pub fn escape(position: &Position, guards: &[Guard], sizes: &[usize], elements: usize) -> Option<(i64, i64)> {
    let inside = |(low, high): (i64, i64)| low >= 0 && high < elements as i64;
    let coarse = guarded_range(position, guards, sizes).filter(|&r| !inside(r))?;
    match searched_range(position, guards, sizes) {
        Search::Range(low, high) => Some((low, high)).filter(|&r| !inside(r)),
        Search::Never => None,
        Search::TooLong => Some(coarse),
    }
}

/// The outcome of trying all indices.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Search {
    Range(i64, i64),
    /// The guards never hold together.
    Never,
    TooLong,
}

/// Bounds of `position` where every guard holds. `None` if one never holds.
fn guarded_range(position: &Position, guards: &[Guard], sizes: &[usize]) -> Option<(i64, i64)> {
    let mut form = Form::of(position);
    let mut added = (0, 0);
    for guard in guards {
        let Guard::Within { of, low, high } = guard else {
            continue;
        };
        let limit = Form::of(of);
        let (least, greatest) = limit.range(sizes);
        let (least, greatest) = (least.max(*low), greatest.min(high - 1));
        if least > greatest {
            return None;
        }
        if let Some(factor) = best_factor(&form, &limit, greatest - least, sizes) {
            form = form.minus(&limit, factor);
            added.0 += (factor * least).min(factor * greatest);
            added.1 += (factor * least).max(factor * greatest);
        }
    }
    let (low, high) = form.range(sizes);
    Some((low + added.0, high + added.1))
}

/// The exact range, found by trying all indices of axes that occur together.
fn searched_range(position: &Position, guards: &[Guard], sizes: &[usize]) -> Search {
    const MOST: usize = 1 << 20;
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut join = |axes: Vec<usize>| {
        let (touched, mut rest): (Vec<_>, Vec<_>) = groups.drain(..).partition(|g| g.iter().any(|a| axes.contains(a)));
        let mut joined: Vec<usize> = touched.into_iter().flatten().chain(axes).collect();
        joined.sort_unstable();
        joined.dedup();
        rest.push(joined);
        groups = rest;
    };
    for &(axis, _) in &position.affine.terms {
        join(vec![axis]);
    }
    for digit in &position.digits {
        join(axes_of(&digit.of));
    }
    for guard in guards {
        join(match guard {
            Guard::Within { of, .. } => {
                let digits = of.digits.iter().flat_map(|d| axes_of(&d.of));
                axes_of(&of.affine).into_iter().chain(digits).collect()
            }
            Guard::Divisible { of, .. } => axes_of(of),
        });
    }
    let (mut low, mut high) = (position.affine.constant, position.affine.constant);
    for group in groups {
        if group.iter().map(|&a| sizes[a]).product::<usize>() > MOST {
            return Search::TooLong;
        }
        let Some((a, b)) = search_group(position, guards, sizes, &group) else {
            return Search::Never;
        };
        low += a;
        high += b;
    }
    Search::Range(low, high)
}

/// The range of what a group of axes adds to a position.
fn search_group(position: &Position, guards: &[Guard], sizes: &[usize], group: &[usize]) -> Option<(i64, i64)> {
    let concerns = |affine: &Affine| affine.terms.iter().any(|t| group.contains(&t.0));
    let part = Position {
        affine: Affine {
            constant: 0,
            terms: position
                .affine
                .terms
                .iter()
                .copied()
                .filter(|t| group.contains(&t.0))
                .collect(),
        },
        digits: position.digits.iter().filter(|d| concerns(&d.of)).cloned().collect(),
    };
    let guards: Vec<&Guard> = guards
        .iter()
        .filter(|g| match g {
            Guard::Within { of, .. } => concerns(&of.affine) || of.digits.iter().any(|d| concerns(&d.of)),
            Guard::Divisible { of, .. } => concerns(of),
        })
        .collect();
    let mut indices = vec![0; sizes.len()];
    let mut range = None;
    loop {
        if guards.iter().all(|g| g.holds(&indices)) {
            let at = part.at(&indices);
            range = Some(range.map_or((at, at), |(low, high): (i64, i64)| (low.min(at), high.max(at))));
        }
        let Some(&next) = group.iter().find(|&&a| indices[a] + 1 < sizes[a]) else {
            return range;
        };
        for &axis in group.iter().take_while(|&&a| a != next) {
            indices[axis] = 0;
        }
        indices[next] += 1;
    }
}

fn axes_of(affine: &Affine) -> Vec<usize> {
    affine.terms.iter().map(|t| t.0).collect()
}

/// What a position is a sum of.
#[derive(Clone, PartialEq)]
enum Atom {
    Axis(usize),
    Digit {
        of: Affine,
        divide: i64,
        modulo: Option<i64>,
    },
}

impl Atom {
    fn range(&self, sizes: &[usize]) -> (i64, i64) {
        match self {
            Atom::Axis(axis) => (0, sizes[*axis] as i64 - 1),
            Atom::Digit { of, divide, modulo } => {
                let (low, high) = of.range(sizes);
                let (low, high) = (low.div_euclid(*divide), high.div_euclid(*divide));
                match modulo {
                    Some(m) if low < 0 || high >= *m => (0, m - 1),
                    _ => (low, high),
                }
            }
        }
    }
}

/// `constant + Σ factor · atom`.
#[derive(Clone)]
struct Form {
    constant: i64,
    terms: Vec<(Atom, i64)>,
}

impl Form {
    fn of(position: &Position) -> Form {
        let mut form = Form {
            constant: position.affine.constant,
            terms: vec![],
        };
        for &(axis, factor) in &position.affine.terms {
            form.add(Atom::Axis(axis), factor);
        }
        for digit in &position.digits {
            let atom = Atom::Digit {
                of: digit.of.clone(),
                divide: digit.divide,
                modulo: digit.modulo,
            };
            form.add(atom, digit.coefficient);
        }
        form
    }

    fn add(&mut self, atom: Atom, factor: i64) {
        match self.terms.iter_mut().find(|t| t.0 == atom) {
            Some(term) => term.1 += factor,
            None => self.terms.push((atom, factor)),
        }
    }

    fn minus(&self, other: &Form, factor: i64) -> Form {
        let mut form = self.clone();
        form.constant -= factor * other.constant;
        for (atom, f) in &other.terms {
            form.add(atom.clone(), -factor * f);
        }
        form
    }

    fn range(&self, sizes: &[usize]) -> (i64, i64) {
        let (mut low, mut high) = (self.constant, self.constant);
        for (atom, factor) in &self.terms {
            let (a, b) = atom.range(sizes);
            low += (factor * a).min(factor * b);
            high += (factor * a).max(factor * b);
        }
        (low, high)
    }

    fn width(&self, sizes: &[usize]) -> i64 {
        let (low, high) = self.range(sizes);
        high - low
    }
}

/// The multiple of a limited form that is best taken out of another, if that narrows its range.
fn best_factor(form: &Form, limit: &Form, limit_width: i64, sizes: &[usize]) -> Option<i64> {
    let candidates = limit.terms.iter().filter_map(|(atom, by)| {
        let factor = form.terms.iter().find(|t| t.0 == *atom)?.1;
        (*by != 0 && factor % by == 0 && factor != 0).then(|| factor / by)
    });
    candidates
        .map(|factor| {
            (
                form.minus(limit, factor).width(sizes) + factor.abs() * limit_width,
                factor,
            )
        })
        .min()
        .filter(|&(width, _)| width < form.width(sizes))
        .map(|(_, factor)| factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(of: Affine, low: i64, high: i64) -> Guard {
        Guard::Within {
            of: of.into(),
            low,
            high,
        }
    }

    #[test]
    fn a_window_over_padding_stays_inside() {
        // 28 x 28 image, 3 x 3 window, one row and column of padding: axes 0, 1 the image's, 2, 3 the window's.
        let sizes = [28, 28, 3, 3];
        let column = Affine::axis(0).plus(&Affine::axis(3)).plus(&Affine::constant(-1));
        let row = Affine::axis(1).plus(&Affine::axis(2)).plus(&Affine::constant(-1));
        let position = Position::from(row.times(28).plus(&column));
        assert_eq!(guarded_range(&position, &[], &sizes), Some((-29, 28 * 28 + 28)));
        let guards = [within(row, 0, 28), within(column, 0, 28)];
        assert_eq!(guarded_range(&position, &guards, &sizes), Some((0, 783)));
        assert_eq!(searched_range(&position, &guards, &sizes), Search::Range(0, 783));
        assert_eq!(escape(&position, &guards, &sizes, 784), None);
        assert_eq!(escape(&position, &guards, &sizes, 783), Some((0, 783)));
    }

    #[test]
    fn digits_that_belong_together_are_searched() {
        // (i div 4) * 4 + i mod 4 of i below 6 is i, but its parts' ranges add up to 7.
        let digit = |coefficient, divide, modulo| super::super::affine::Digit {
            coefficient,
            of: Affine::axis(0),
            divide,
            modulo,
        };
        let position = Position {
            affine: Affine::default(),
            digits: vec![digit(4, 4, None), digit(1, 1, Some(4))],
        };
        assert_eq!(guarded_range(&position, &[], &[6]), Some((0, 7)));
        assert_eq!(searched_range(&position, &[], &[6]), Search::Range(0, 5));
        assert_eq!(escape(&position, &[], &[6], 6), None);
    }

    #[test]
    fn guards_that_never_hold_are_noticed() {
        let guard = [within(Affine::axis(0), 9, 12)];
        assert_eq!(guarded_range(&Position::axis(0), &guard, &[9]), None);
        assert_eq!(searched_range(&Position::axis(0), &guard, &[9]), Search::Never);
    }
}
