//! Reading a table at ids.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand};
use crate::ir::graph::{Element, GatherPosition, Graph, MapFunction, NodeId, Op};

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

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        Tensor64::from_index(&result.shape, |index| {
            operands[0].at(&table_index(self.positions, operands, index))
        })
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        let dtable = match self.single_reader(backward) {
            Some(ids_axis) => self.dense_gradient(backward, ids_axis),
            None => {
                let shape = backward.builder.shape(backward.operands[0]).to_vec();
                let ids = &backward.operands[1..];
                backward
                    .builder
                    .scatter_add(backward.gradient, self.positions.to_vec(), ids, &shape)
            }
        };
        let mut grads = vec![None; backward.operands.len()];
        grads[0] = Some(dtable);
        Grads::Operands(grads)
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        let table = TensorType::real(&result.shape);
        Cost::once(0, &[&[table], &operands[1..]].concat(), result)
    }

    fn samples() -> Vec<Sample> {
        use GatherPosition::{Axis, Ids};
        let ids = |shape: &[usize], bound| {
            let shape = shape.to_vec();
            let element = Element::Id { bound };
            (TensorType { shape, element }, Domain::Between(0.0, 1.0))
        };
        let real = |shape: &[usize]| (TensorType::real(shape), Domain::Between(-1.0, 1.0));
        let at = |operand, axes: &[usize]| Ids {
            operand,
            axes: axes.to_vec(),
        };
        let sample = |positions, operands, shape: &[usize]| {
            Sample::new(Op::Gather { positions }, operands, TensorType::real(shape))
        };
        vec![
            sample(
                vec![at(1, &[0, 1]), Axis(2)],
                vec![real(&[5, 3]), ids(&[2, 4], 5)],
                &[2, 4, 3],
            ),
            sample(
                vec![Axis(0), Axis(1), at(1, &[0, 1])],
                vec![real(&[2, 3, 5]), ids(&[2, 3], 5)],
                &[2, 3],
            ),
            sample(
                vec![Axis(0), at(1, &[0, 1])],
                vec![real(&[2, 5]), ids(&[2, 3], 5)],
                &[2, 3],
            ),
            sample(
                vec![at(1, &[0]), at(2, &[0])],
                vec![real(&[4, 5]), ids(&[6], 4), ids(&[6], 5)],
                &[6],
            ),
            sample(vec![at(1, &[])], vec![real(&[4]), ids(&[], 4)], &[]),
        ]
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

/// Where a result's index reads the table.
pub fn table_index(positions: &[GatherPosition], operands: &[&Tensor64], index: &[usize]) -> Vec<usize> {
    let place = |position: &GatherPosition| match position {
        GatherPosition::Axis(axis) => index[*axis],
        GatherPosition::Ids { operand, axes } => {
            let at: Vec<usize> = axes.iter().map(|&a| index[a]).collect();
            operands[*operand].at(&at) as usize
        }
    };
    positions.iter().map(place).collect()
}

impl Gather<'_> {
    /// The table's axis of ids, if it is the only one and every axis of the result is also a plain axis of the table:
    /// then an element of the table is read at most once.
    fn single_reader(&self, backward: &Backward) -> Option<usize> {
        let is_ids = |p: &GatherPosition| matches!(p, GatherPosition::Ids { .. });
        let ids_axis = self.positions.iter().position(is_ids)?;
        let rank = backward.builder.shape(backward.gradient).len();
        let plain = |axis| self.positions.contains(&GatherPosition::Axis(axis));
        let alone = self.positions.iter().filter(|p| is_ids(p)).count() == 1;
        let mut axes: Vec<&GatherPosition> = self.positions.iter().filter(|p| !is_ids(p)).collect();
        axes.dedup();
        let each_once = axes.len() == rank && self.positions.len() == rank + 1;
        (alone && each_once && (0..rank).all(plain)).then_some(ids_axis)
    }

    /// The gradient where the index is the id, 0 elsewhere: element-wise, so that it fuses with what follows.
    fn dense_gradient(&self, backward: &mut Backward, ids_axis: usize) -> NodeId {
        let b = &mut *backward.builder;
        let GatherPosition::Ids {
            operand,
            axes: ids_axes,
        } = &self.positions[ids_axis]
        else {
            unreachable!("single_reader gave an axis of ids")
        };
        let ids = backward.operands[*operand];
        let shape = b.shape(backward.operands[0]).to_vec();
        // The table's axis that follows an axis of the result.
        let follows = |axis: usize| {
            let plain = GatherPosition::Axis(axis);
            self.positions
                .iter()
                .position(|p| *p == plain)
                .expect("every axis is plain")
        };
        let rank = b.shape(backward.gradient).len();
        let d = b.broadcast(backward.gradient, &shape, &(0..rank).map(follows).collect::<Vec<_>>());
        let ids = b.broadcast(ids, &shape, &ids_axes.iter().map(|&a| follows(a)).collect::<Vec<_>>());
        let index = b.index_id(&shape, ids_axis);
        let read = b.map(MapFunction::Equal, &[index, ids]);
        let zero = b.constant(&shape, 0.0);
        b.select(read, d, zero)
    }
}
