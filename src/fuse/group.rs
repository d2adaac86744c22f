//! Groups anchors into kernels: in order of computation, each joins the kernels of what it reads if it reads them at
//! the same element or in the same row and no cycle arises. It makes no instructions.

use super::layout::{Axes, axes_of, member_index};
use super::position::{Index, composed, divided, inverted, linear, unravelled};
use super::program::{Program, scatters};
use super::reason;
use super::walk::{MustStore, Read, domain, reads, reads_at};
use crate::ir::affine::Position;
use crate::ir::graph::{NodeId, Op, elements};
use crate::ir::kernel::{Decision, LANES};
use std::collections::BTreeSet;

/// What kind of kernel a group becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// Element-wise, perhaps with reductions along its rows.
    Rows,
    /// A reduction of other axes than the last ones, and what follows element by element.
    Columns,
    /// A matrix product and what follows.
    Product,
    /// A scatter alone.
    Scatter,
    /// A loop of other kernels.
    Scan,
}

/// A kernel in the making. Its elements are numbered 0 … n-1, row-major.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it becomes.
    pub kind: GroupKind,
    /// Ascending.
    pub members: Vec<NodeId>,
    /// How many elements its space has (a column reduction's: of the result).
    pub size: usize,
    /// Length of its rows, once something is reduced along them.
    pub vector: Option<usize>,
    /// For a column reduction: the operand's axis that becomes the vector axis.
    pub column_axis: usize,
    /// Groups that it reads from.
    pub reads_from: BTreeSet<usize>,
    read_by: BTreeSet<usize>,
    level: u32,
    work: u32,
}

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
    fn plain() -> Placement {
        Placement {
            element: Position::axis(0),
            index: None,
            row: false,
        }
    }
}

/// All groups.
pub struct Groups {
    /// By number; merged ones are empty.
    pub groups: Vec<Group>,
    /// The group of each anchor.
    pub group_of: Vec<Option<usize>>,
    /// Of each anchor.
    pub placement: Vec<Option<Placement>>,
    /// Of each anchor.
    pub reads: Vec<Vec<Read>>,
}

/// Fewer rows than this are not worth giving up the cutting of one large element-wise kernel.
const ROWS_MIN: usize = 16;
/// Elements that one task may work on alone.
const ROW_ALONE_MAX: usize = 1 << 16;
/// Below this size a kernel is not worth waiting for another one, where others wait for it.
const WAITING_MIN: usize = 1 << 14;
/// Instructions (by estimate) beyond which a kernel takes no more members.
const GROUP_WORK_MAX: u32 = 1200;

/// Puts every anchor into a group.
pub fn grouped(program: &mut Program) -> Groups {
    let count = program.graph.len();
    let mut groups = Groups {
        groups: vec![],
        group_of: vec![None; count],
        placement: vec![None; count],
        reads: vec![vec![]; count],
    };
    for id in program.graph.ids().collect::<Vec<_>>() {
        if program.anchor[id.0 as usize] && program.live[id.0 as usize] {
            groups.add(program, id);
        }
    }
    groups
}

impl Groups {
    fn add(&mut self, program: &mut Program, id: NodeId) {
        let found = loop {
            match reads(program, id) {
                Ok(found) => break found,
                Err(MustStore(below)) => {
                    program.require(below, reason::NOT_WRITABLE);
                    self.add(program, below);
                }
            }
        };
        self.reads[id.0 as usize] = found;
        let mut producers: Vec<usize> = self.reads[id.0 as usize]
            .iter()
            .filter_map(|r| self.group_of[r.node.0 as usize])
            .collect();
        producers.sort_unstable_by_key(|&g| (std::cmp::Reverse(self.groups[g].level), g));
        producers.dedup();
        let joins = !matches!(program.node(id).op, Op::Contract { .. } | Op::Scan(_)) && !is_scatter(program, id);
        let mut home = None;
        if joins {
            for &candidate in &producers {
                self.consider(program, id, candidate, &producers, &mut home);
            }
            home = home.or_else(|| self.beside(program, id, &producers));
        }
        let home = home.unwrap_or_else(|| self.fresh(program, id));
        self.group_of[id.0 as usize] = Some(home);
        self.groups[home].members.push(id);
        self.groups[home].work += program.work(id);
        for read in self.reads[id.0 as usize].clone() {
            if let Some(from) = self.group_of[read.node.0 as usize]
                && from != home
            {
                self.connect(from, home);
            }
        }
    }

    fn consider(
        &mut self,
        program: &mut Program,
        id: NodeId,
        candidate: usize,
        producers: &[usize],
        home: &mut Option<usize>,
    ) {
        let decide = |program: &mut Program, reason| {
            let node = program.origin[id.0 as usize];
            program.decisions.push(Decision { node, reason });
        };
        let placed = self.placed(program, id, candidate);
        let (placement, vector) = match placed {
            Ok(placed) => placed,
            Err(reason) => {
                if home.is_none() {
                    decide(program, reason);
                }
                return;
            }
        };
        let others = producers.iter().filter(|&&p| p != candidate && Some(p) != *home);
        if others.clone().any(|&p| self.reaches(candidate, p)) {
            if home.is_none() {
                decide(program, reason::CYCLE);
            }
            return;
        }
        match *home {
            None => {
                let group = &mut self.groups[candidate];
                group.vector = group.vector.or(vector);
                decide(
                    program,
                    match group.kind {
                        GroupKind::Product => reason::JOINED_PRODUCT,
                        GroupKind::Columns => reason::JOINED_COLUMNS,
                        _ if group.vector.is_some() => reason::JOINED_ROWS,
                        _ => reason::JOINED_ELEMENTS,
                    },
                );
                self.placement[id.0 as usize] = Some(placement);
                *home = Some(candidate);
            }
            Some(first) => {
                if self.placement[id.0 as usize].as_ref() == Some(&placement)
                    && self.can_merge(program, first, candidate)
                {
                    self.merge(first, candidate);
                    decide(program, reason::MERGED);
                }
            }
        }
    }

    /// A reduction of columns that reads what this one reads: both take one pass over it.
    fn beside(&mut self, program: &mut Program, id: NodeId, producers: &[usize]) -> Option<usize> {
        let Op::Reduce { axes, .. } = &program.node(id).op else {
            return None;
        };
        let total = elements(domain(program, id));
        let large = |read: &&Read| elements(&program.node(read.node).shape) == total;
        let read: Vec<NodeId> = self.reads[id.0 as usize].iter().filter(large).map(|r| r.node).collect();
        let alike = |at: usize| {
            let group = &self.groups[at];
            let &first = group.members.first()?;
            let Op::Reduce { axes: others, .. } = &program.node(first).op else {
                return None;
            };
            let same =
                group.kind == GroupKind::Columns && axes == others && domain(program, id) == domain(program, first);
            let shares = self.reads[first.0 as usize].iter().any(|r| read.contains(&r.node));
            let fits = group.work + program.work(id) <= GROUP_WORK_MAX && !program.keeps_apart(&[id], &group.members);
            let before = producers.iter().all(|&p| p != at && !self.reaches(at, p));
            (same && shares && fits && before).then_some(at)
        };
        let readers = producers.iter().flat_map(|&p| &self.groups[p].read_by);
        let found = readers.copied().find_map(alike)?;
        self.placement[id.0 as usize] = Some(Placement::plain());
        let node = program.origin[id.0 as usize];
        program.decisions.push(Decision {
            node,
            reason: reason::JOINED_COLUMNS,
        });
        Some(found)
    }

    /// Where an anchor would stand in a group, and the row length that it demands.
    fn placed(&self, program: &Program, id: NodeId, at: usize) -> Result<(Placement, Option<usize>), &'static str> {
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
            if group.size / vector < ROWS_MIN && group.size > ROW_ALONE_MAX {
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

    fn reads_fit(&self, reads: &[Read], at: usize, place: &Position, sizes: &[usize], in_row: bool) -> bool {
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

    fn fresh(&mut self, program: &Program, id: NodeId) -> usize {
        let sizes = domain(program, id);
        let node = program.node(id);
        let size = elements(&node.shape);
        let plain = Placement::plain();
        let column_axis = best_axis(program, sizes, &self.reads[id.0 as usize]);
        let (kind, size, vector, placement) = match &node.op {
            Op::Reduce { axes, .. } => match trailing(sizes, axes) {
                Some(vector) if axes.contains(&column_axis) && in_rows(program, id, axes, vector) => {
                    let size = elements(sizes);
                    (GroupKind::Rows, size, Some(vector), row_placement(size, vector))
                }
                _ => (GroupKind::Columns, size, None, plain),
            },
            Op::Contract { .. } => (GroupKind::Product, size, None, plain),
            Op::Scan(_) => (GroupKind::Scan, size, None, plain),
            _ if is_scatter(program, id) => (GroupKind::Scatter, size, None, plain),
            _ => (GroupKind::Rows, size, None, plain),
        };
        self.placement[id.0 as usize] = Some(placement);
        self.groups.push(Group {
            kind,
            members: vec![],
            size,
            vector,
            column_axis,
            reads_from: BTreeSet::new(),
            read_by: BTreeSet::new(),
            level: 0,
            work: 0,
        });
        self.groups.len() - 1
    }

    fn connect(&mut self, from: usize, to: usize) {
        self.groups[to].reads_from.insert(from);
        self.groups[from].read_by.insert(to);
        self.raise(to, self.groups[from].level + 1);
    }

    /// Keeps every level above those of the groups it reads from.
    fn raise(&mut self, at: usize, least: u32) {
        let mut pending = vec![(at, least)];
        while let Some((at, least)) = pending.pop() {
            if self.groups[at].level < least {
                self.groups[at].level = least;
                pending.extend(self.groups[at].read_by.iter().map(|&g| (g, least + 1)));
            }
        }
    }

    /// Whether one group must run before the other.
    fn reaches(&self, first: usize, then: usize) -> bool {
        let floor = self.groups[first].level;
        let mut seen = BTreeSet::new();
        let mut pending = vec![then];
        while let Some(at) = pending.pop() {
            if at == first {
                return true;
            }
            if self.groups[at].level > floor && seen.insert(at) {
                pending.extend(&self.groups[at].reads_from);
            }
        }
        false
    }

    fn can_merge(&self, program: &Program, first: usize, second: usize) -> bool {
        let (a, b) = (&self.groups[first], &self.groups[second]);
        let alike = a.kind == GroupKind::Rows && b.kind == GroupKind::Rows && a.size == b.size;
        let vectors = a.vector.is_none() || b.vector.is_none() || a.vector == b.vector;
        let waits = a.size < WAITING_MIN && a.level != b.level && self.is_needed(first, second);
        let apart = program.keeps_apart(&a.members, &b.members);
        if !alike || !vectors || waits || apart || a.work + b.work > GROUP_WORK_MAX {
            return false;
        }
        let beside = |g: &Group, other: usize| {
            g.reads_from
                .iter()
                .copied()
                .filter(move |&d| d != other)
                .collect::<Vec<_>>()
        };
        if beside(a, second).into_iter().any(|d| self.reaches(second, d))
            || beside(b, first).into_iter().any(|d| self.reaches(first, d))
        {
            return false;
        }
        let vector = a.vector.or(b.vector);
        if let Some(v) = vector
            && a.size / v < ROWS_MIN
            && a.size > ROW_ALONE_MAX
        {
            return false;
        }
        let fits = |members: &[NodeId], other: usize| {
            members.iter().all(|&id| {
                let (place, in_row) = self.place_of(program, id, vector);
                self.reads_fit(&self.reads[id.0 as usize], other, &place, domain(program, id), in_row)
            })
        };
        let mut whole = a.clone();
        whole.members.extend(&b.members);
        whole.members.sort_unstable();
        whole.vector = vector;
        let axes = axes_of(program, &whole);
        let mut all = a.members.iter().chain(&b.members);
        fits(&a.members, second)
            && fits(&b.members, first)
            && all.all(|&m| {
                let placement = self.placement[m.0 as usize].as_ref().expect("a member is placed");
                writable(program, m, placement, &axes)
            })
    }

    /// Whether others than the two groups themselves read from the earlier one.
    fn is_needed(&self, first: usize, second: usize) -> bool {
        let earlier = if self.groups[first].level < self.groups[second].level {
            first
        } else {
            second
        };
        self.groups[earlier].read_by.iter().any(|&g| g != first && g != second)
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

    fn merge(&mut self, into: usize, from: usize) {
        let group = self.groups[from].clone();
        self.groups[from].members.clear();
        self.groups[from].reads_from.clear();
        self.groups[from].read_by.clear();
        for &id in &group.members {
            self.group_of[id.0 as usize] = Some(into);
        }
        let target = &mut self.groups[into];
        target.members.extend(&group.members);
        target.members.sort_unstable();
        target.vector = target.vector.or(group.vector);
        target.work += group.work;
        target.reads_from.remove(&from);
        target.read_by.remove(&from);
        for &g in &group.reads_from {
            self.groups[g].read_by.remove(&from);
            if g != into {
                self.connect(g, into);
            }
        }
        for &g in &group.read_by {
            self.groups[g].reads_from.remove(&from);
            if g != into {
                self.connect(into, g);
            }
        }
    }

    /// How many reductions stand before each member of a group, in a chain.
    pub fn depths(&self, program: &Program, at: usize) -> Vec<usize> {
        let members = &self.groups[at].members;
        let mut depths: Vec<usize> = vec![];
        for &id in members {
            let depth = self.reads[id.0 as usize]
                .iter()
                .filter_map(|read| {
                    let position = members.binary_search(&read.node).ok().filter(|&p| p < depths.len())?;
                    let reduces = matches!(program.node(read.node).op, Op::Reduce { .. });
                    Some(depths[position] + usize::from(reduces))
                })
                .max();
            depths.push(depth.unwrap_or(0));
        }
        depths
    }
}

/// Whether a member's expression can be written over the axes of a group.
fn writable(program: &Program, id: NodeId, placement: &Placement, axes: &Axes) -> bool {
    if axes.sizes == domain(program, id) && placement.index.is_none() {
        return true;
    }
    let index = member_index(program, id, placement, axes);
    index.is_some_and(|index| reads_at(program, id, &index, &axes.sizes).is_ok())
}

/// Whether the node is a scatter with a kernel of its own.
pub fn is_scatter(program: &Program, id: NodeId) -> bool {
    let node = program.node(id);
    matches!(&node.op, Op::ScatterAdd { positions } if scatters(positions, &program.graph, node))
}

fn row_placement(size: usize, vector: usize) -> Placement {
    let row = divided(&Position::axis(0), vector as i64, None, &[size]).expect("an axis can be divided");
    Placement {
        element: row,
        index: None,
        row: true,
    }
}

/// The axis along which most of what is read lies side by side; the last one if none is better.
fn best_axis(program: &Program, sizes: &[usize], reads: &[Read]) -> usize {
    let Some(last) = (0..sizes.len()).rev().find(|&a| sizes[a] > 1) else {
        return 0;
    };
    let total = elements(sizes);
    let mut scores = vec![0; sizes.len()];
    for read in reads {
        // A window that moves by two in two directions reads a quarter of its space; what repeats more does not count.
        let large = elements(&program.node(read.node).shape) * 4 >= total;
        let Some(element) = read.element.as_ref().filter(|_| large) else {
            continue;
        };
        for (axis, score) in scores.iter_mut().enumerate() {
            let beside = element.affine.coefficient(axis) == 1
                || element
                    .digits
                    .iter()
                    .any(|d| d.coefficient == 1 && d.divide == 1 && d.of.coefficient(axis) == 1);
            if beside {
                *score += sizes[axis].min(LANES);
            }
        }
    }
    let best = (0..sizes.len())
        .max_by_key(|&a| (scores[a], a == last))
        .expect("there are axes");
    if scores[best] > scores[last] { best } else { last }
}

/// Whether a reduction of the last axes can be written over one vector axis.
fn in_rows(program: &Program, id: NodeId, reduced: &[usize], vector: usize) -> bool {
    let shape = domain(program, id);
    if reduced.iter().filter(|&&a| shape[a] > 1).count() <= 1 {
        return true;
    }
    let mut sizes: Vec<usize> = program.node(id).shape.clone();
    sizes.push(vector);
    let all: Index = (0..sizes.len()).map(Position::axis).collect();
    let index = unravelled(shape, &linear(&sizes, &all, &sizes), &sizes);
    index.is_some_and(|index| reads_at(program, id, &index, &sizes).is_ok())
}

/// The product of the reduced axes' sizes, if no kept axis lies behind one.
pub fn trailing(sizes: &[usize], axes: &[usize]) -> Option<usize> {
    let first = axes.iter().copied().find(|&a| sizes[a] > 1).unwrap_or(sizes.len());
    let fits = (first..sizes.len()).all(|axis| sizes[axis] == 1 || axes.contains(&axis));
    fits.then(|| sizes[first..].iter().product())
}
