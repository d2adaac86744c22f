//! The transpose of a view: the view of the result's gradient whose sum is the operand's.
//!
//! A view reads `x[p]` at `p = position(o)` for each index `o` of its result, so `dx[p] = Σ dy[o]` over all `o` with
//! `position(o) = p`. The equations, one for each axis of `x`, are solved for `o` as functions of `p`. What they leave
//! open runs freely and is summed. The unknowns are the axes of the result and the digits `⌊f / d⌋ mod m`:
//!
//! - `p = Σ c·u` is solved for those unknowns whose terms don't overlap, like digits of a mixed radix (`4·h + e`
//!   with `e < 4`, or a single term); the others, the smallest, run freely (`r` of a window `2·i + r − 1`).
//! - Digits of one form `f` are put together, `f = Σ d·digit`, with a free part where one is missing
//!   (`i div 2` leaves `i mod 2` open), and `f = Σ c·axis` is one more equation.
//! - An equation without unknowns becomes a guard (the diagonal `x[b, b]`).

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::position::quotient;

/// A view of the gradient: the operand's axes, then those that are summed.
pub struct Transposed {
    /// Sizes of its axes.
    pub sizes: Vec<usize>,
    /// Where it reads the gradient.
    pub positions: Vec<Position>,
    /// Where it reads at all.
    pub guards: Vec<Guard>,
}

/// What an equation is solved for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unknown {
    /// An axis of the view's result.
    Axis(usize),
    /// An entry of [`Solver::digits`].
    Digit(usize),
}

/// `Σ coefficient · unknown = known`.
struct Equation {
    terms: Vec<(i64, Unknown)>,
    known: Position,
}

struct Solver<'a> {
    /// Of the view's result.
    result: &'a [usize],
    /// The operand's axes and the free ones.
    sizes: Vec<usize>,
    guards: Vec<Guard>,
    axes: Vec<Option<Position>>,
    /// Distinct, with coefficient 1.
    digits: Vec<(Digit, Option<Position>)>,
}

/// The view that reads, for each element of the operand, where the given one read that: its positions and guards, the
/// operand's sizes and the result's. `None` where the equations have no solution that can be written.
pub fn transpose(positions: &[Position], guards: &[Guard], operand: &[usize], result: &[usize]) -> Option<Transposed> {
    let mut solver = Solver {
        result,
        sizes: operand.to_vec(),
        guards: vec![],
        axes: vec![None; result.len()],
        digits: vec![],
    };
    let equations = positions
        .iter()
        .enumerate()
        .map(|(axis, p)| solver.equation(axis, p))
        .collect();
    solver.solve_all(equations)?;
    let forms: Vec<Affine> = solver.digits.iter().map(|(digit, _)| digit.of.clone()).collect();
    for (i, form) in forms.iter().enumerate() {
        if !forms[..i].contains(form) {
            let equation = solver.put_together(form)?;
            solver.solve_all(vec![equation])?;
        }
    }
    let mut positions = vec![];
    for (axis, &size) in result.iter().enumerate() {
        positions.push(solver.axes[axis].clone().unwrap_or_else(|| solver.free(size)));
    }
    for guard in guards {
        solver.guards.push(guard.substitute(&positions, &solver.sizes)?);
    }
    Some(Transposed {
        sizes: solver.sizes,
        positions,
        guards: solver.guards,
    })
}

impl Solver<'_> {
    /// `position = index of the operand's axis`.
    fn equation(&mut self, axis: usize, position: &Position) -> Equation {
        let mut terms: Vec<(i64, Unknown)> = vec![];
        terms.extend(position.affine.terms.iter().map(|&(axis, c)| (c, Unknown::Axis(axis))));
        for digit in &position.digits {
            let plain = Digit {
                coefficient: 1,
                ..digit.clone()
            };
            let known = self.digits.iter().position(|(d, _)| *d == plain);
            let number = known.unwrap_or_else(|| {
                self.digits.push((plain, None));
                self.digits.len() - 1
            });
            terms.push((digit.coefficient, Unknown::Digit(number)));
        }
        let known = Position::axis(axis).minus(&Position::constant(position.affine.constant));
        Equation { terms, known }
    }

    /// Solves equations, those with the fewest unknowns first.
    fn solve_all(&mut self, mut equations: Vec<Equation>) -> Option<()> {
        while !equations.is_empty() {
            for equation in &mut equations {
                self.move_solved(equation)?;
            }
            let digits = |e: &Equation| e.terms.iter().filter(|t| matches!(t.1, Unknown::Digit(_))).count();
            let next = (0..equations.len()).min_by_key(|&i| (digits(&equations[i]), equations[i].terms.len()))?;
            let equation = equations.remove(next);
            self.solve(equation)?;
        }
        Some(())
    }

    /// Moves what is solved already to the known side.
    fn move_solved(&mut self, equation: &mut Equation) -> Option<()> {
        let mut open = vec![];
        for (c, unknown) in std::mem::take(&mut equation.terms) {
            match self.solution(unknown)? {
                Some(value) => equation.known = equation.known.minus(&value.times(c)).simplified(&self.sizes),
                None => open.push((c, unknown)),
            }
        }
        equation.terms = open;
        Some(())
    }

    /// The value of an unknown, if it is known; `None` outside if it is known and can't be written.
    fn solution(&mut self, unknown: Unknown) -> Option<Option<Position>> {
        let number = match unknown {
            Unknown::Axis(axis) => return Some(self.axes[axis].clone()),
            Unknown::Digit(number) => number,
        };
        if self.digits[number].1.is_none() {
            let digit = self.digits[number].0.clone();
            if digit.of.terms.iter().all(|t| self.axes[t.0].is_some()) {
                let axes: Vec<Position> = self.axes.iter().map(|a| a.clone().unwrap_or_default()).collect();
                let value = Position::digit(digit).substitute(&axes, &self.sizes)?;
                self.digits[number].1 = Some(value);
            }
        }
        Some(self.digits[number].1.clone())
    }

    fn size(&self, unknown: Unknown) -> i64 {
        match unknown {
            Unknown::Axis(axis) => self.result[axis] as i64,
            Unknown::Digit(number) => Position::digit(self.digits[number].0.clone()).range(self.result).1 + 1,
        }
    }

    fn set(&mut self, unknown: Unknown, value: Position) {
        match unknown {
            Unknown::Axis(axis) => self.axes[axis] = Some(value),
            Unknown::Digit(number) => self.digits[number].1 = Some(value),
        }
    }

    /// A new axis that is summed.
    fn free(&mut self, size: usize) -> Position {
        self.sizes.push(size);
        Position::axis(self.sizes.len() - 1)
    }

    fn within(&mut self, of: Position, low: i64, high: i64) {
        self.guards.push(Guard::Within { of, low, high });
    }

    fn solve(&mut self, equation: Equation) -> Option<()> {
        let mut x = equation.known;
        if equation.terms.is_empty() {
            self.within(x, 0, 1);
            return Some(());
        }
        let chosen = self.choose(&equation.terms);
        for &(c, unknown) in equation.terms.iter().filter(|t| !chosen.contains(t)) {
            let value = self.free(self.size(unknown) as usize);
            x = x.minus(&value.times(c));
            self.set(unknown, value);
        }
        // A term that falls is read from its other end: u = size − 1 − u′.
        for &(c, unknown) in chosen.iter().filter(|t| t.0 < 0) {
            x = x.minus(&Position::constant(c * (self.size(unknown) - 1)));
        }
        let x = x.simplified(&self.sizes);
        let first = chosen[0].0.abs();
        self.within(x.clone(), 0, first * self.size(chosen[0].1));
        for (i, &(c, unknown)) in chosen.iter().enumerate() {
            let size = self.size(unknown);
            let modulo = (i > 0).then(|| chosen[i - 1].0.abs() / c.abs());
            let value = quotient(&x, c.abs(), modulo, &self.sizes)?;
            if i > 0 {
                self.within(value.clone(), 0, size);
            }
            let value = match c < 0 {
                true => Position::constant(size - 1).minus(&value),
                false => value,
            };
            self.set(unknown, value);
        }
        let last = chosen[chosen.len() - 1].0.abs();
        if last > 1 {
            let remainder = quotient(&x, 1, Some(last), &self.sizes)?;
            match x.as_affine() {
                Some(affine) => self.guards.push(Guard::Divisible {
                    of: affine.clone(),
                    by: last,
                }),
                None => self.within(remainder, 0, 1),
            }
        }
        Some(())
    }

    /// The terms that are solved for, greatest coefficient first: of all sets whose terms do not overlap the one that
    /// leaves the fewest combinations to sum.
    fn choose(&self, terms: &[(i64, Unknown)]) -> Vec<(i64, Unknown)> {
        let mut sorted = terms.to_vec();
        sorted.sort_by_key(|t| -t.0.abs());
        let mut best: (i64, Vec<(i64, Unknown)>) = (0, vec![]);
        for set in 1..1u32 << sorted.len() {
            let chosen: Vec<_> = (0..sorted.len())
                .filter(|i| set >> i & 1 == 1)
                .map(|i| sorted[i])
                .collect();
            let apart = chosen.windows(2).all(|pair| {
                let [(outer, _), (inner, unknown)] = [pair[0], pair[1]];
                outer % inner == 0 && inner.abs() * self.size(unknown) <= outer.abs()
            });
            let count = chosen.iter().map(|t| self.size(t.1)).product();
            if apart && count > best.0 {
                best = (count, chosen);
            }
        }
        best.1
    }

    /// The form whose digits are known, from them: an equation for its axes.
    fn put_together(&mut self, form: &Affine) -> Option<Equation> {
        let mut digits: Vec<(i64, Option<i64>, Position)> = vec![];
        for number in 0..self.digits.len() {
            if self.digits[number].0.of == *form {
                let value = self.solution(Unknown::Digit(number))??;
                digits.push((self.digits[number].0.divide, self.digits[number].0.modulo, value));
            }
        }
        digits.sort_by_key(|d| d.0);
        let mut sum = Position::default();
        // What the parts so far tell apart; `None` behind a digit without a modulus.
        let mut covered = Some(1);
        for (divide, modulo, value) in digits {
            let so_far = covered.filter(|c| divide % c == 0)?;
            if divide > so_far {
                let missing = self.free((divide / so_far) as usize);
                sum = sum.plus(&missing.times(so_far));
            }
            if let Some(m) = modulo {
                self.within(value.clone(), 0, m);
            }
            sum = sum.plus(&value.times(divide));
            covered = modulo.map(|m| m * divide);
        }
        let mut sum = sum.simplified(&self.sizes);
        if let Some(period) = covered {
            let (low, high) = form.range(self.result);
            if high - low < period {
                // form = low + (sum − low) mod period
                let shifted = sum.minus(&Position::constant(low));
                let offset = quotient(&shifted, 1, Some(period), &self.sizes)?;
                sum = offset.plus(&Position::constant(low));
            } else {
                let turns = self.free((high / period + 1) as usize);
                sum = sum.plus(&turns.times(period));
            }
        }
        Some(Equation {
            terms: form.terms.iter().map(|&(axis, c)| (c, Unknown::Axis(axis))).collect(),
            known: sum.minus(&Position::constant(form.constant)).simplified(&self.sizes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::graph::Op;
    use crate::ops::CATALOG;
    use crate::ops::sample::draw;
    use crate::ops::tensor64::Tensor64;

    /// The transpose of every sample adds each element of the result's gradient exactly where it was read.
    #[test]
    fn transposes_add_where_the_view_read() {
        let mut seen = 0;
        for sample in CATALOG.iter().flat_map(|samples| samples()) {
            let Op::View { positions, guards, .. } = &sample.op else {
                continue;
            };
            let operand = &sample.operands[0].0.shape;
            let dy = draw(&sample.result, crate::ops::Domain::Between(-1.0, 1.0), seen);
            let mut expected = Tensor64::from_index(operand, |_| 0.0);
            Tensor64::from_index(&sample.result.shape, |o| {
                if guards.iter().all(|g| g.holds(o)) {
                    let at: Vec<usize> = positions.iter().map(|p| p.at(o) as usize).collect();
                    let offset = expected.offset(&at);
                    expected.data[offset] += dy.at(o);
                }
                0.0
            });
            let t = transpose(positions, guards, operand, &sample.result.shape).expect("the sample has a transpose");
            let mut found = Tensor64::from_index(operand, |_| 0.0);
            Tensor64::from_index(&t.sizes, |index| {
                if t.guards.iter().all(|g| g.holds(index)) {
                    let at: Vec<usize> = t.positions.iter().map(|p| p.at(index) as usize).collect();
                    let offset = found.offset(&index[..operand.len()]);
                    found.data[offset] += dy.at(&at);
                }
                0.0
            });
            for (found, expected) in found.data.iter().zip(&expected.data) {
                assert!((found - expected).abs() < 1e-12, "{:?}", sample.op);
            }
            seen += 1;
        }
        assert!(seen > 20);
    }
}
