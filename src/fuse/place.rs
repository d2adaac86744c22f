//! Where the values of a group's members stand in its space, and whether an anchor has a place there: it reads the group
//! at the same element, in another order of the axes, or in the same row.

use super::group::{GROUP_WORK_MAX, GroupKind, Groups, trailing};
use super::layout::{Axes, axes_of, member_index};
use super::position::{Index, composed, divided, inverted, linear};
use super::program::Program;
use super::reason;
use super::walk::{Read, domain, reads_at};
use crate::ir::affine::Position;
use crate::ir::graph::{NodeId, Op, elements};

/// Fewer rows than this are not worth giving up the cutting of one large element-wise kernel.
const ROWS_MIN: usize = 16;
/// Elements that one task may work on alone.
const ROW_ALONE_MAX: usize = 1 << 16;

/// Where a member's elements stand in its group's space.
#[derive(Clone, PartialEq, Debug)]
pub struct Placement {
    /// Its element at the space's element (axis 0).
    pub element: Position,
    /// Its index there, if that is not the row-major one.
    pub index: Option<Index>,
    /// One for each row.
    pub row: bool,
}

impl Placement {
    /// Element by element.
    pub(super) fn plain() -> Placement {
        Placement {
            element: Position::axis(0),
            index: None,
            row: false,
        }
    }
}

impl Groups {
    /// Where an anchor would stand in a group, and the row length that it demands.
    pub(super) fn placed(
        &self,
        program: &Program,
        id: NodeId,
        at: usize,
    ) -> Result<(Placement, Option<usize>), &'static str> {
        let group = &self.groups[at];
        match group.kind {
            GroupKind::Scatter => return Err(reason::BEHIND_SCATTER),
            GroupKind::Scan => return Err(reason::BEHIND_SCAN),
            _ => {}
        }
        if group.work + program.work(id) > GROUP_WORK_MAX {
            return Err(reason::TOO_LONG);
        }
        if program.keeps_apart(&[id], &group.members) {
            return Err(reason::AGAIN);
        }
        let sizes = domain(program, id);
        let identity: Index = (0..sizes.len()).map(Position::axis).collect();
        let mut place = linear(sizes, &identity, sizes);
        let node = program.node(id);
        let size = elements(&node.shape);
        let (placement, vector) = if let Op::Reduce { axes, .. } = &node.op {
            let vector = trailing(sizes, axes).ok_or(reason::OTHER_SIZE)?;
            match group.kind {
                GroupKind::Rows => {}
                GroupKind::Product => return Err(reason::NO_REDUCTION_IN_PRODUCT),
                _ => return Err(reason::OTHER_SIZE),
            }
            if elements(sizes) != group.size || group.vector.is_some_and(|v| v != vector) {
                return Err(reason::OTHER_SIZE);
            }
            if too_few_rows(group.size, vector) {
                return Err(reason::ONE_ROW);
            }
            (row_placement(group.size, vector), Some(vector))
        } else if size == group.size {
            let placement = self.full_placement(program, id, at, &mut place)?;
            (placement, None)
        } else if let Some(vector) = group.vector
            && group.kind == GroupKind::Rows
            && size * vector == group.size
        {
            place = place.times(vector as i64);
            (row_placement(group.size, vector), None)
        } else {
            return Err(reason::OTHER_SIZE);
        };
        let in_row = placement.row && !matches!(node.op, Op::Reduce { .. });
        if !self.reads_fit(&self.reads[id.0 as usize], at, &place, sizes, in_row) {
            return Err(reason::OTHER_ELEMENT);
        }
        let mut whole = group.clone();
        whole.members.push(id);
        whole.vector = group.vector.or(vector);
        let axes = axes_of(program, &whole);
        let newly = vector.is_some() && group.vector.is_none();
        let others = group.members.iter().filter(|_| newly);
        let writable = others
            .map(|&m| (m, self.placement[m.0 as usize].as_ref().expect("a member is placed")))
            .chain([(id, &placement)])
            .all(|(member, placement)| writable(program, member, placement, &axes));
        match writable {
            true => Ok((placement, vector)),
            false => Err(reason::NOT_COMPOSABLE),
        }
    }

    /// An element-wise node stands where it reads the group: in the same order, or in a permuted one.
    fn full_placement(
        &self,
        program: &Program,
        id: NodeId,
        at: usize,
        place: &mut Position,
    ) -> Result<Placement, &'static str> {
        let group = &self.groups[at];
        let sizes = &program.node(id).shape;
        let read = self.reads[id.0 as usize].iter().find(|r| {
            let placement = &self.placement[r.node.0 as usize];
            self.group_of[r.node.0 as usize] == Some(at)
                && placement.as_ref().is_some_and(|p| !p.row && p.index.is_none())
        });
        let plain = Placement::plain();
        let Some(element) = read.and_then(|r| r.element.clone()) else {
            return Ok(plain);
        };
        if element == *place {
            return Ok(plain);
        }
        let index = inverted(&element, sizes).ok_or(reason::OTHER_ELEMENT)?;
        *place = element;
        Ok(Placement {
            element: linear(sizes, &index, &[group.size]),
            index: Some(index),
            row: false,
        })
    }

    /// Whether what is read of a group's members is at the element, or in the row, where the reader stands.
    pub(super) fn reads_fit(&self, reads: &[Read], at: usize, place: &Position, sizes: &[usize], in_row: bool) -> bool {
        let place = std::slice::from_ref(place);
        reads
            .iter()
            .filter(|r| self.group_of[r.node.0 as usize] == Some(at))
            .all(|read| {
                let placement = self.placement[read.node.0 as usize]
                    .as_ref()
                    .expect("a member is placed");
                (placement.row || !in_row)
                    && read.element.is_some()
                    && composed(&placement.element, place, sizes) == read.element
            })
    }

    /// The element of the group's space as a function of a member's domain.
    pub fn place_of(&self, program: &Program, id: NodeId, vector: Option<usize>) -> (Position, bool) {
        let sizes = domain(program, id);
        let identity: Index = (0..sizes.len()).map(Position::axis).collect();
        let place = linear(sizes, &identity, sizes);
        let placement = self.placement[id.0 as usize].as_ref().expect("a member is placed");
        let reduces = matches!(program.node(id).op, Op::Reduce { .. });
        if placement.row && !reduces {
            return (place.times(vector.expect("rows have a length") as i64), true);
        }
        let inverse = placement
            .index
            .as_ref()
            .and_then(|_| inverted(&placement.element, &[elements(sizes)]));
        match inverse {
            Some(back) => (
                composed(&back[0], std::slice::from_ref(&place), sizes).unwrap_or(place),
                false,
            ),
            None => (place, false),
        }
    }
}

/// Whether a member's expression can be written over the axes of a group.
pub(super) fn writable(program: &Program, id: NodeId, placement: &Placement, axes: &Axes) -> bool {
    if axes.sizes == domain(program, id) && placement.index.is_none() {
        return true;
    }
    let index = member_index(program, id, placement, axes);
    index.is_some_and(|index| reads_at(program, id, &index, &axes.sizes).is_ok())
}

/// Whether rows of a length are so few that threads would be left without work.
pub(super) fn too_few_rows(size: usize, vector: usize) -> bool {
    size / vector < ROWS_MIN && size > ROW_ALONE_MAX
}

/// One value for each row of a length.
pub(super) fn row_placement(size: usize, vector: usize) -> Placement {
    let row = divided(&Position::axis(0), vector as i64, None, &[size]).expect("an axis can be divided");
    Placement {
        element: row,
        index: None,
        row: true,
    }
}
