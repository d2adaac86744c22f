//! Groups anchors into kernels: in order of computation, each joins the kernels of what it reads if it reads them at
//! the same element or in the same row (see `place`) and no cycle arises (see `merge`). It makes no instructions.

use super::place::{Placement, row_placement};
use super::position::{Index, linear, unravelled};
use super::program::Program;
use super::reason;
use super::scatter::is_scatter;
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
    /// Reductions of the same axes, other ones than the last, and what follows element by element.
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
    pub(super) read_by: BTreeSet<usize>,
    pub(super) level: u32,
    pub(super) work: u32,
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

/// Instructions (by estimate) beyond which a kernel takes no more members.
pub(super) const GROUP_WORK_MAX: u32 = 1200;

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
            let beside = group.kind == GroupKind::Columns
                && axes == others
                && domain(program, id) == domain(program, first)
                && self.reads[first.0 as usize].iter().any(|r| read.contains(&r.node))
                && group.work + program.work(id) <= GROUP_WORK_MAX
                && !program.keeps_apart(&[id], &group.members)
                && producers.iter().all(|&p| p != at && !self.reaches(at, p));
            beside.then_some(at)
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
