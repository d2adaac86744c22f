//! The gradient of a view: which elements of the result read a given element of the operand.
//!
//! The operand's axes are called `a`, the result's `o`; the view reads `a = P(o)` where its guards hold. The gradient
//! is `Σ d[o]` over all `o` with `P(o) = a`. Each position is solved for the result's axes in it; what stays open is
//! summed over. Permutations, splits, joins, slices and pads solve completely and sum over nothing; a broadcast leaves
//! its new axes open; a window leaves one axis of each pair open; a division by the stride needs it to be whole.

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::NodeId;
use crate::ops::construct::GraphBuilder;

/// What is known of the result's axes, in terms of the gradient's axes: the operand's first, then the open ones.
struct Solution {
    /// For each axis of the result.
    axes: Vec<Option<Position>>,
    /// What must hold for a result's element to exist.
    guards: Vec<Guard>,
    /// Sizes of the gradient's axes before the open ones are summed.
    sizes: Vec<usize>,
}

/// The gradient by a view's operand of shape `operand`, from the gradient `d` by its result of shape `result`.
pub fn transpose(
    b: &mut GraphBuilder,
    d: NodeId,
    result: &[usize],
    positions: &[Position],
    guards: &[Guard],
    operand: &[usize],
) -> NodeId {
    let mut solution = Solution {
        axes: vec![None; result.len()],
        guards: vec![],
        sizes: operand.to_vec(),
    };
    let mut equations: Vec<(usize, Affine)> = vec![];
    let mut digits: Vec<(usize, Digit)> = vec![];
    for (axis, position) in positions.iter().enumerate() {
        match (position.as_affine(), position.digits.as_slice()) {
            (Some(affine), _) => equations.push((axis, affine.clone())),
            (None, [digit]) if position.affine == Affine::default() && digit.coefficient == 1 => {
                if divides_wholly(digit, guards) {
                    // of / by = a, whole: of − by · a = 0.
                    equations.push((axis, digit.of.clone()));
                    solution.sizes[axis] = operand[axis];
                }
                digits.push((axis, digit.clone()));
            }
            _ => unreachable!("a view's position is affine or one digit: {position}"),
        }
    }
    let whole: Vec<(usize, i64)> = digits
        .iter()
        .filter(|(_, g)| divides_wholly(g, guards))
        .map(|(a, g)| (*a, g.divide))
        .collect();
    digits.retain(|(_, digit)| !divides_wholly(digit, guards));
    solve_digits(&digits, result, &mut solution);
    for (axis, affine) in &equations {
        let factor = whole.iter().find(|(a, _)| a == axis).map_or(1, |(_, by)| *by);
        solve_affine(*axis, affine, factor, result, &mut solution);
    }
    for (axis, size) in result.iter().enumerate() {
        if solution.axes[axis].is_none() {
            solution.open(axis, *size);
        }
    }
    // Guards of positions hold by themselves: `a` is inside. What is left are guards on something else.
    for guard in guards {
        if let Guard::Within { of, low, high } = guard
            && !positions.contains(of)
        {
            let of = solution.substitute(of);
            solution.guards.push(Guard::Within {
                of,
                low: *low,
                high: *high,
            });
        }
    }
    let reads: Vec<Position> = solution
        .axes
        .iter()
        .map(|a| a.clone().expect("every axis is solved or open"))
        .collect();
    let open: Vec<usize> = (operand.len()..solution.sizes.len()).collect();
    let gathered = b.view(d, &solution.sizes, reads, solution.guards, 0.0);
    b.sum(gathered, &open)
}

/// A digit that is guarded to divide: an exact quotient.
fn divides_wholly(digit: &Digit, guards: &[Guard]) -> bool {
    let exact = |g: &Guard| matches!(g, Guard::Divisible { of, by } if *of == digit.of && *by == digit.divide);
    digit.modulo.is_none() && guards.iter().any(exact)
}

impl Solution {
    /// Leaves an axis of the result open: it becomes an axis of the gradient that is summed.
    fn open(&mut self, axis: usize, size: usize) {
        self.axes[axis] = Some(Position::axis(self.sizes.len()));
        self.sizes.push(size);
    }

    /// A position over the result's axes, all solved, as one over the gradient's.
    fn substitute(&self, position: &Position) -> Position {
        let solved = |axis: usize| self.axes[axis].clone().expect("a guard's axes are solved");
        let affine = |a: &Affine| {
            a.terms
                .iter()
                .fold(Position::from(Affine::constant(a.constant)), |sum, &(axis, c)| {
                    sum.plus(&solved(axis).times(c))
                })
        };
        position.digits.iter().fold(affine(&position.affine), |sum, digit| {
            let of = affine(&digit.of);
            let of = of
                .as_affine()
                .expect("a digit of a digit does not occur in a guard")
                .clone();
            sum.plus(&Position {
                affine: Affine::default(),
                digits: vec![Digit { of, ..digit.clone() }],
            })
        })
    }

    /// Demands that a solved axis is inside.
    fn demand_inside(&mut self, position: &Position, size: usize) {
        let (low, high) = position.range(&self.sizes);
        if low < 0 || high >= size as i64 {
            self.guards.push(Guard::Within {
                of: position.clone(),
                low: 0,
                high: size as i64,
            });
        }
    }
}

/// Solves positions that are digits of one affine form: `(c div E, c mod E)` are the digits of a joined axis.
fn solve_digits(digits: &[(usize, Digit)], result: &[usize], solution: &mut Solution) {
    let mut forms: Vec<&Affine> = vec![];
    for (_, digit) in digits {
        if !forms.contains(&&digit.of) {
            forms.push(&digit.of);
        }
    }
    for form in forms {
        let mut own: Vec<&(usize, Digit)> = digits.iter().filter(|(_, d)| d.of == *form).collect();
        own.sort_by_key(|(_, d)| d.divide);
        // The value of the form: Σ digit · weight, with an open axis for each digit that no position reads.
        let (_, high) = form.range(result);
        let mut value = Affine::default();
        let mut weight = 1i64;
        for (axis, digit) in &own {
            if digit.divide > weight {
                let size = digit.divide / weight;
                value = value.plus(&Affine::axis(solution.sizes.len()).times(weight));
                solution.sizes.push(size as usize);
                weight = digit.divide;
            }
            value = value.plus(&Affine::axis(*axis).times(weight));
            weight = digit.modulo.map_or(i64::MAX, |m| weight.saturating_mul(m));
        }
        if weight <= high && form.terms.len() == 1 && own.len() == 1 && own[0].1.divide == 1 {
            // A rotation `(e + h) mod n` with n the axis's own size: one turn more or less gives the same element.
            let (axis, modulo) = (own[0].0, weight);
            let (target, c) = form.terms[0];
            if c == 1 && result[target] as i64 == modulo {
                let turned = Affine::axis(axis).plus(&Affine::constant(
                    modulo * (form.constant.div_euclid(modulo) + 1) - form.constant,
                ));
                let digit = Digit {
                    coefficient: 1,
                    of: turned,
                    divide: 1,
                    modulo: Some(modulo),
                };
                solution.axes[target] = Some(Position {
                    affine: Affine::default(),
                    digits: vec![digit],
                });
                continue;
            }
        }
        if weight <= high {
            let size = (high / weight + 1) as usize;
            value = value.plus(&Affine::axis(solution.sizes.len()).times(weight));
            solution.sizes.push(size);
        }
        equate(form, &value, result, solution);
    }
}

fn solve_affine(axis: usize, form: &Affine, factor: i64, result: &[usize], solution: &mut Solution) {
    let value = Affine::axis(axis).times(factor);
    if factor == 1 && solve_split(axis, form, result, solution) {
        return;
    }
    equate(form, &value, result, solution);
}

/// `h · E + e` with `e` below E: the digits of the operand's index.
fn solve_split(axis: usize, form: &Affine, result: &[usize], solution: &mut Solution) -> bool {
    let mut terms = form.terms.clone();
    terms.sort_by_key(|t| t.1);
    if terms.len() < 2 || form.constant != 0 || terms.iter().any(|t| solution.axes[t.0].is_some()) {
        return false;
    }
    let mut weight = 1i64;
    for &(target, c) in &terms {
        if c != weight {
            return false;
        }
        weight *= result[target] as i64;
    }
    if weight < solution.sizes[axis] as i64 {
        return false;
    }
    for (i, &(target, c)) in terms.iter().enumerate() {
        let last = i + 1 == terms.len();
        let modulo = (!last).then_some(result[target] as i64);
        let digit = Digit {
            coefficient: 1,
            of: Affine::axis(axis),
            divide: c,
            modulo,
        };
        solution.axes[target] = Some(Position {
            affine: Affine::default(),
            digits: vec![digit],
        });
    }
    true
}

/// Solves `form(o) = value` for one axis of the result that is not solved yet; the others become open.
fn equate(form: &Affine, value: &Affine, result: &[usize], solution: &mut Solution) {
    let unsolved: Vec<(usize, i64)> = form
        .terms
        .iter()
        .copied()
        .filter(|t| solution.axes[t.0].is_none())
        .collect();
    // The axis with the smallest factor: with ±1 no division is needed.
    let chosen = unsolved
        .iter()
        .copied()
        .min_by_key(|t| (t.1.abs(), std::cmp::Reverse(result[t.0])));
    for &(axis, _) in unsolved.iter().filter(|t| Some(**t) != chosen) {
        solution.open(axis, result[axis]);
    }
    // value − constant − Σ others.
    let mut left = Position::from(value.plus(&Affine::constant(-form.constant)));
    for &(axis, c) in form.terms.iter().filter(|t| Some(**t) != chosen) {
        let other = solution.axes[axis].clone().expect("the other axes are solved or open");
        left = left.plus(&other.times(-c));
    }
    match chosen {
        None => {
            let (low, high) = left.range(&solution.sizes);
            if (low, high) != (0, 0) {
                solution.guards.push(Guard::Within {
                    of: left,
                    low: 0,
                    high: 1,
                });
            }
        }
        Some((axis, c)) if c.abs() == 1 => {
            let position = left.times(c);
            solution.demand_inside(&position, result[axis]);
            solution.axes[axis] = Some(position);
        }
        Some((axis, c)) => {
            let of = left.times(c.signum());
            let of = of
                .as_affine()
                .expect("a stride and a digit do not meet in one position")
                .clone();
            let by = c.abs();
            solution.guards.push(Guard::Divisible { of: of.clone(), by });
            solution.guards.push(Guard::Within {
                of: of.clone().into(),
                low: 0,
                high: by * result[axis] as i64,
            });
            // Where the guards hold the quotient is exact.
            let digit = Digit {
                coefficient: 1,
                of,
                divide: by,
                modulo: None,
            };
            solution.axes[axis] = Some(Position {
                affine: Affine::default(),
                digits: vec![digit],
            });
        }
    }
}
