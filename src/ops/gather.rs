//! Reading a table at ids.

use super::{Primitive, ShapeError, TensorType, demand};
use crate::ir::graph::{Element, GatherPosition, Graph};

/// [`crate::ir::graph::Op::Gather`].
pub struct Gather<'a> {
    /// For each axis of the table.
    pub positions: &'a [GatherPosition],
}

impl Primitive for Gather<'_> {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], stated: &TensorType) -> Result<TensorType, ShapeError> {
        let Some(table) = operands.first() else {
            return Err(ShapeError("expected a table, found no operand".into()));
        };
        check_positions(self.positions, &table.shape, operands, &stated.shape)?;
        Ok(TensorType {
            shape: stated.shape.clone(),
            element: table.element,
        })
    }
}

/// That a table of this shape, read (or written) at these positions, follows the axes of `indexed`.
pub fn check_positions(
    positions: &[GatherPosition],
    table: &[usize],
    operands: &[TensorType],
    indexed: &[usize],
) -> Result<(), ShapeError> {
    demand(positions.len() == table.len(), || {
        format!("{} positions for a table of shape {table:?}", positions.len())
    })?;
    let mut ids_used = vec![];
    let mut followed = vec![false; indexed.len()];
    for (position, &size) in positions.iter().zip(table) {
        match position {
            GatherPosition::Axis(axis) => {
                let found = indexed.get(*axis);
                demand(found == Some(&size), || {
                    format!("expected size {size} at axis {axis}, found {found:?}")
                })?;
                followed[*axis] = true;
            }
            GatherPosition::Ids { operand, axes } => {
                let ids = operands.get(*operand).filter(|_| *operand > 0);
                let ids = ids.ok_or_else(|| ShapeError(format!("there are no ids at operand {operand}")))?;
                ids_used.push(*operand);
                let sizes: Option<Vec<usize>> = axes.iter().map(|&a| indexed.get(a).copied()).collect();
                demand(sizes.as_ref() == Some(&ids.shape), || {
                    format!("ids of shape {:?} at axes {axes:?} of {indexed:?}", ids.shape)
                })?;
                let inside = matches!(ids.element, Element::Id { bound } if bound <= size);
                demand(inside, || format!("expected id < {size}, found {}", ids.element))?;
                axes.iter().for_each(|&a| followed[a] = true);
            }
        }
    }
    demand((1..operands.len()).all(|o| ids_used.contains(&o)), || {
        "an operand is not used".into()
    })?;
    demand(followed.iter().all(|&f| f), || {
        "an axis of the result is followed by nothing".into()
    })
}
