//! What an equation reads → views and gathers; positions over indices → positions over axes.

use super::lower::{Lowering, Term};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::{GatherPosition, MapFunction, NodeId};
use crate::ir::model::{Expr, IndexId, Place, TensorId};

impl Lowering<'_> {
    /// A position as a number: a view of the numbers from its least to its greatest value.
    pub fn position(&mut self, position: &Position) -> Term {
        let all: Vec<usize> = self.equation.indices.iter().map(|i| i.1).collect();
        let (low, high) = position.range(&all);
        let used: Vec<IndexId> = (0..all.len()).filter(|&i| position.uses(i)).collect();
        let indices = self.sorted(used);
        let numbers = self.builder.index(&[(high - low + 1) as usize], 0);
        let shifted = position.plus(&Affine::constant(-low).into());
        let positions = vec![self.on_axes(&shifted, &indices)];
        let shape = self.shape(&indices);
        let node = self.builder.view(numbers, &shape, positions, vec![], 0.0);
        let node = if low == 0 {
            node
        } else {
            self.builder.map_constant(MapFunction::Add, node, low as f64)
        };
        Term { node, indices }
    }

    /// A position over index ids as one over the axes of a result with these indices.
    fn on_axes(&self, position: &Position, indices: &[IndexId]) -> Position {
        let affine = |a: &Affine| self.affine_on_axes(a, indices);
        let digits = position
            .digits
            .iter()
            .map(|d| Digit {
                of: affine(&d.of),
                ..d.clone()
            })
            .collect();
        Position {
            affine: affine(&position.affine),
            digits,
        }
    }

    fn affine_on_axes(&self, affine: &Affine, indices: &[IndexId]) -> Affine {
        affine
            .terms
            .iter()
            .fold(Affine::constant(affine.constant), |sum, &(index, c)| {
                let axis = indices
                    .iter()
                    .position(|&i| i == index)
                    .expect("a position's index is among the result's");
                sum.plus(&Affine::axis(axis).times(c))
            })
    }

    /// A read of a tensor: a view, with its guards where it may fall outside, or at ids a gather.
    pub fn read(&mut self, tensor: TensorId, places: &[Place], otherwise: Option<&Expr>) -> Term {
        let node = match (self.nodes[tensor.0 as usize], self.outside.as_mut()) {
            (Some(node), _) => node,
            (None, Some(outside)) => outside.take_whole(tensor, self.builder),
            (None, None) => unreachable!("an equation reads tensors above it"),
        };
        if places.iter().any(|p| matches!(p, Place::Id(_))) {
            return self.gather(node, places);
        }
        let sizes = self.builder.shape(node).to_vec();
        let all: Vec<usize> = self.equation.indices.iter().map(|i| i.1).collect();
        let mut used: Vec<IndexId> = vec![];
        for place in places {
            if let Place::At { position, exact } = place {
                used.extend((0..all.len()).filter(|&i| position.uses(i)));
                used.extend(exact.iter().flat_map(|(of, _)| of.terms.iter().map(|t| t.0)));
            }
        }
        let indices = self.sorted(used);
        let (mut positions, mut guards) = (vec![], vec![]);
        for (place, &size) in places.iter().zip(&sizes) {
            let Place::At { position, exact } = place else { continue };
            let (low, high) = position.range(&all);
            let on_axes = self.on_axes(position, &indices);
            if otherwise.is_some() && (low < 0 || high >= size as i64) {
                guards.push(Guard::Within {
                    of: on_axes.clone(),
                    low: 0,
                    high: size as i64,
                });
            }
            if let Some((of, by)) = exact {
                guards.push(Guard::Divisible {
                    of: self.affine_on_axes(of, &indices),
                    by: *by,
                });
            }
            positions.push(on_axes);
        }
        let shape = self.shape(&indices);
        match otherwise {
            Some(Expr::Constant(fill)) => Term {
                node: self.builder.view(node, &shape, positions, guards, *fill),
                indices,
            },
            Some(expr) if !guards.is_empty() => {
                let value = self.builder.view(node, &shape, positions.clone(), guards.clone(), 0.0);
                let ones = self.builder.constant(&sizes, 1.0);
                let inside = self.builder.view(ones, &shape, positions, guards, 0.0);
                let half = self.builder.constant_like(inside, 0.5);
                let inside = Term {
                    node: self.builder.map(MapFunction::Less, &[half, inside]),
                    indices: indices.clone(),
                };
                let outside = self.expr(expr);
                self.apply(MapFunction::Where, &[inside, Term { node: value, indices }, outside])
            }
            _ => Term {
                node: self.builder.view(node, &shape, positions, vec![], 0.0),
                indices,
            },
        }
    }

    /// A read at ids. Places that are no plain index are first viewed, the axes read at ids kept whole.
    fn gather(&mut self, table: NodeId, places: &[Place]) -> Term {
        let sizes = self.builder.shape(table).to_vec();
        let mut used: Vec<IndexId> = vec![];
        for place in places {
            if let Place::At { position, .. } = place {
                used.extend((0..self.equation.indices.len()).filter(|&i| position.uses(i)));
            }
        }
        let plain = self.sorted(used);
        // The viewed table's axes: the plain indices, then the axes that ids read.
        let mut shape = self.shape(&plain);
        let mut positions = vec![];
        let mut ids = vec![];
        for (place, &size) in places.iter().zip(&sizes) {
            match place {
                Place::At { position, .. } => positions.push(self.on_axes(position, &plain)),
                Place::Id(id) => {
                    positions.push(Position::axis(shape.len()));
                    shape.push(size);
                    ids.push(id);
                }
            }
        }
        let natural: Vec<usize> = positions.iter().filter_map(Position::as_axis).collect();
        let mut seen = natural.clone();
        seen.sort_unstable();
        seen.dedup();
        let permutes = natural.len() == positions.len() && seen.len() == natural.len() && natural.len() == shape.len();
        let (table, order) = match permutes {
            true => (table, natural),
            false => (
                self.builder.view(table, &shape, positions, vec![], 0.0),
                (0..shape.len()).collect(),
            ),
        };
        let terms: Vec<Term> = ids.iter().map(|id| self.expr(id)).collect();
        let all = plain
            .iter()
            .chain(terms.iter().flat_map(|t| &t.indices))
            .copied()
            .collect();
        let indices = self.sorted(all);
        let axis_of = |index: &IndexId| indices.iter().position(|i| i == index).expect("an index of the gather");
        let gather_positions = order
            .iter()
            .map(|&axis| match plain.get(axis) {
                Some(index) => GatherPosition::Axis(axis_of(index)),
                None => {
                    let at = axis - plain.len();
                    GatherPosition::Ids {
                        operand: at + 1,
                        axes: terms[at].indices.iter().map(axis_of).collect(),
                    }
                }
            })
            .collect();
        let operands: Vec<NodeId> = terms.iter().map(|t| t.node).collect();
        let shape = self.shape(&indices);
        Term {
            node: self.builder.gather(table, gather_positions, &operands, &shape),
            indices,
        }
    }
}
