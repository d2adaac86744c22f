//! The gradient by the input of a convolution that moves by more than one: an element of the input is in those windows
//! whose place, a quotient, is whole. Along an axis `h` of the input and an axis `r` of the window that condition is
//! `h - r + c` divisible by the stride `s`. With `h = s * g + a` and `r = s * d + a + t` it always holds: for each phase `a`
//! of the input every `s`th element of the window counts, and all phases together are one convolution that moves by one,
//! with `s` times as many results at each place (Shi et al. 2016 call it sub-pixel convolution).

use super::position::{composed, composed_guards};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::{Node, Op};

/// One pair of axes of a view with the stride between them.
struct Phase {
    /// The view's axis that is kept, and the one that is summed.
    kept: usize,
    summed: usize,
    stride: i64,
    /// `r = stride * d + a + shift`.
    shift: i64,
    /// How many values `d` has.
    count: usize,
}

/// How the axes of a view that is summed fall into phases.
pub(super) struct Phases {
    pairs: Vec<Phase>,
    /// The new view's axes that are summed.
    pub(super) summed: Vec<usize>,
    /// For each axis of the old view, the first of its axes in the new one.
    first: Vec<usize>,
}

impl Phases {
    /// Whether a view, some axes of which are summed, asks for whole quotients of which each is about one kept axis and
    /// one summed axis.
    pub(super) fn of(view: &Node, axes: &[usize]) -> Option<Phases> {
        let Op::View { guards, .. } = &view.op else { return None };
        let mut pairs: Vec<Phase> = vec![];
        for guard in guards {
            let Guard::Divisible { of, by } = guard else { continue };
            let [(one, _), (other, _)] = of.terms[..] else {
                return None;
            };
            let (kept, summed) = match axes.contains(&one) {
                true => (other, one),
                false => (one, other),
            };
            let fits = of.coefficient(kept) == 1 && of.coefficient(summed) == -1;
            let whole = view.shape[kept].is_multiple_of(*by as usize);
            let used = pairs.iter().any(|p| p.kept == kept || p.summed == summed);
            if !fits || !whole || used || axes.contains(&kept) || !axes.contains(&summed) {
                return None;
            }
            let rest = of.constant.rem_euclid(*by);
            let shift = if rest == 0 { 0 } else { rest - by };
            let count = (view.shape[summed] as i64 - 1 - shift) / by + 1;
            pairs.push(Phase {
                kept,
                summed,
                stride: *by,
                shift,
                count: count as usize,
            });
        }
        if pairs.is_empty() {
            return None;
        }
        let width = |axis: usize| 1 + usize::from(pairs.iter().any(|p| p.kept == axis));
        let first: Vec<usize> = (0..view.shape.len()).map(|axis| (0..axis).map(width).sum()).collect();
        let summed = axes.iter().map(|&axis| first[axis]).collect();
        Some(Phases { pairs, summed, first })
    }

    /// The same view over places and phases.
    pub(super) fn view(&self, view: &Node) -> Option<Node> {
        let Op::View {
            positions,
            guards,
            fill,
        } = &view.op
        else {
            return None;
        };
        let mut shape = vec![];
        for (axis, &size) in view.shape.iter().enumerate() {
            match self.pairs.iter().find(|p| p.kept == axis || p.summed == axis) {
                Some(pair) if pair.kept == axis => shape.extend([size / pair.stride as usize, pair.stride as usize]),
                Some(pair) => shape.push(pair.count),
                None => shape.push(size),
            }
        }
        let mut index: Vec<Position> = self.first.iter().map(|&axis| Position::axis(axis)).collect();
        let mut inside = vec![];
        for pair in &self.pairs {
            let (place, phase, step) = (
                self.first[pair.kept],
                self.first[pair.kept] + 1,
                self.first[pair.summed],
            );
            let moved = |axis: usize| Affine::axis(axis).times(pair.stride).plus(&Affine::axis(phase));
            index[pair.kept] = moved(place).into();
            index[pair.summed] = moved(step).plus(&Affine::constant(pair.shift)).into();
            inside.push(Guard::Within {
                of: index[pair.summed].clone(),
                low: 0,
                high: view.shape[pair.summed] as i64,
            });
        }
        let positions = positions.iter().map(|p| composed(p, &index, &shape));
        let guards = composed_guards(guards, &index, &shape)?;
        let guards = guards.into_iter().map(in_whole_steps).chain(inside).collect();
        Some(Node {
            op: Op::View {
                positions: positions.collect::<Option<_>>()?,
                guards,
                fill: *fill,
            },
            shape,
            ..view.clone()
        })
    }

    /// Lets the contraction of the new view have its phases behind its places, and gives the view of it that is the sum.
    pub(super) fn together(&self, contract: &mut Node, view: &Node, sum: &Node) -> Node {
        let Op::Contract { out, .. } = &mut contract.op else {
            unreachable!("a contraction")
        };
        let is_phase = |axis: u8| self.pairs.iter().any(|p| self.first[p.kept] + 1 == axis as usize);
        let behind = out.iter().rposition(|&axis| is_phase(axis)).expect("there are phases");
        let (phases, places): (Vec<u8>, Vec<u8>) = out[..behind].iter().partition(|&&axis| is_phase(axis));
        let rest = out.split_off(behind);
        *out = [places, phases, rest].concat();
        contract.shape = out.iter().map(|&axis| view.shape[axis as usize]).collect();
        // The sum's axes are those of the old view that are kept, in order.
        let of_sum = |old: usize| {
            (0..old)
                .filter(|&axis| !self.summed.contains(&self.first[axis]))
                .count()
        };
        let positions = out.iter().map(|&axis| {
            let old = self
                .first
                .iter()
                .rposition(|&first| first <= axis as usize)
                .expect("the first axis is 0");
            let at = Affine::axis(of_sum(old));
            let Some(pair) = self.pairs.iter().find(|p| p.kept == old) else {
                return at.into();
            };
            let (divide, modulo) = match is_phase(axis) {
                true => (1, Some(pair.stride)),
                false => (pair.stride, None),
            };
            let digit = Digit {
                coefficient: 1,
                of: at,
                divide,
                modulo,
            };
            Position {
                digits: vec![digit],
                ..Position::default()
            }
        });
        Node {
            op: Op::View {
                positions: positions.collect(),
                guards: vec![],
                fill: 0.0,
            },
            operands: vec![],
            ..sum.clone()
        }
    }
}

/// `low <= f * x + c < high` as bounds of `x` alone.
fn in_whole_steps(guard: Guard) -> Guard {
    let Guard::Within { of, low, high } = &guard else {
        return guard;
    };
    let factor = of
        .affine
        .terms
        .iter()
        .fold(0, |so_far, term| divisor(so_far, term.1.abs()));
    if factor < 2 || !of.digits.is_empty() {
        return guard;
    }
    let rest = of.affine.constant.rem_euclid(factor);
    let mut steps = of.affine.clone();
    steps.terms.iter_mut().for_each(|term| term.1 /= factor);
    steps.constant = (of.affine.constant - rest) / factor;
    let bound = |bound: i64| (bound - rest + factor - 1).div_euclid(factor);
    Guard::Within {
        of: steps.into(),
        low: bound(*low),
        high: bound(*high),
    }
}

/// The greatest common one.
fn divisor(a: i64, b: i64) -> i64 {
    match b {
        0 => a,
        _ => divisor(b, a % b),
    }
}
