//! Reading a tensor elsewhere: permute, broadcast, slice, pad, split, join, window, reversal, diagonal.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, demand, exactly, view_gradient};
use crate::ir::affine::{Guard, Position};
use crate::ir::graph::{Element, Graph, elements};

/// The most indices that are tried one by one where no argument proves that a position is inside.
const INDICES_TRIED_MAX: usize = 1 << 16;

/// [`crate::ir::graph::Op::View`].
pub struct View<'a> {
    /// For each axis of the operand.
    pub positions: &'a [Position],
    /// What must hold to be inside.
    pub guards: &'a [Guard],
    /// What a position outside reads.
    pub fill: f64,
}

impl Primitive for View<'_> {
    fn name(&self) -> &'static str {
        "view"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        let [operand] = exactly(operands)?;
        demand(self.positions.len() == operand.shape.len(), || {
            format!("{} positions for shape {:?}", self.positions.len(), operand.shape)
        })?;
        let rank = stated.shape.len();
        let known = |position: &Position| {
            let axes = position.digits.iter().flat_map(|d| &d.of.terms);
            position.affine.terms.iter().chain(axes).all(|t| t.0 < rank)
        };
        let guarded = |guard: &Guard| match guard {
            Guard::Within { of, .. } => known(of),
            Guard::Divisible { of, by } => *by > 1 && known(&Position::from(of.clone())),
        };
        let divisors = self.positions.iter().flat_map(|p| &p.digits);
        demand(
            self.positions.iter().all(known) && self.guards.iter().all(guarded),
            || format!("a position uses an axis that shape {:?} lacks", stated.shape),
        )?;
        demand(
            divisors
                .into_iter()
                .all(|d| d.divide > 0 && d.modulo.is_none_or(|m| m > 0)),
            || "a divisor is not positive".into(),
        )?;
        let fill = match operand.element {
            _ if self.guards.is_empty() => true,
            Element::Real => true,
            Element::Id { bound } => self.fill >= 0.0 && self.fill < bound as f64 && self.fill.fract() == 0.0,
            Element::Condition => self.fill == 0.0 || self.fill == 1.0,
        };
        demand(fill, || format!("{} is no {}", self.fill, operand.element))?;
        self.inside(&operand.shape, &stated.shape)?;
        Ok(TensorType {
            shape: stated.shape.clone(),
            element: operand.element,
        })
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        Tensor64::from_index(&result.shape, |index| {
            if !self.guards.iter().all(|guard| guard.holds(index)) {
                return self.fill;
            }
            let at: Vec<usize> = self.positions.iter().map(|p| p.at(index) as usize).collect();
            operands[0].at(&at)
        })
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        Grads::Operands(vec![Some(view_gradient::gradient(
            self.positions,
            self.guards,
            backward,
        ))])
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(0, operands, result)
    }

    fn samples() -> Vec<Sample> {
        super::view_samples::samples()
    }
}

impl View<'_> {
    /// That every position lies in the operand wherever the guards hold.
    fn inside(&self, operand: &[usize], result: &[usize]) -> Result<(), ShapeError> {
        if elements(result) == 0 {
            return Ok(());
        }
        let unproven = |axis: &usize| {
            let (low, high) = self.bounds(&self.positions[*axis], result);
            low < 0 || high >= operand[*axis] as i64
        };
        let Some(axis) = (0..operand.len()).find(unproven) else {
            return Ok(());
        };
        let outside = || ShapeError(format!("position {} leaves 0..{}", self.positions[axis], operand[axis]));
        if elements(result) > INDICES_TRIED_MAX {
            return Err(outside());
        }
        let mut index = vec![0; result.len()];
        for _ in 0..elements(result) {
            if self.guards.iter().all(|g| g.holds(&index)) {
                let inside = |(p, &size): (&Position, &usize)| (0..size as i64).contains(&p.at(&index));
                demand(self.positions.iter().zip(operand).all(inside), || outside().0)?;
            }
            advance(&mut index, result);
        }
        Ok(())
    }

    /// Least and greatest value of a position where the guards hold (bounds, not always reached).
    fn bounds(&self, position: &Position, sizes: &[usize]) -> (i64, i64) {
        let (mut low, mut high) = position.range(sizes);
        for guard in self.guards {
            let Guard::Within {
                of,
                low: from,
                high: below,
            } = guard
            else {
                continue;
            };
            let rest = position.minus(of).simplified(sizes);
            if rest.digits.is_empty() && rest.affine.terms.is_empty() {
                low = low.max(from + rest.affine.constant);
                high = high.min(below - 1 + rest.affine.constant);
            }
            // ⌊x / d⌋ where x itself is guarded.
            if let ([digit], Some(x)) = (position.digits.as_slice(), of.as_affine())
                && position.affine.terms.is_empty()
                && digit.modulo.is_none()
                && digit.coefficient > 0
                && digit.of.plus(&x.times(-1)).terms.is_empty()
            {
                let shift = digit.of.constant - x.constant;
                let value =
                    |x: i64| position.affine.constant + digit.coefficient * (x + shift).div_euclid(digit.divide);
                low = low.max(value(*from));
                high = high.min(value(below - 1));
            }
        }
        (low, high)
    }
}

/// The next index in row-major order; after the last one the first.
pub fn advance(index: &mut [usize], shape: &[usize]) {
    for (i, &size) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < size {
            return;
        }
        *i = 0;
    }
}
