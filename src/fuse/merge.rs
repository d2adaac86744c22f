//! The order of groups: which must run before which, and two that become one.

use super::group::{GROUP_WORK_MAX, Group, GroupKind, Groups};
use super::layout::axes_of;
use super::place::{too_few_rows, writable};
use super::program::Program;
use super::walk::domain;
use crate::ir::graph::NodeId;
use std::collections::BTreeSet;

/// Below this size a kernel is not worth waiting for another one, where others wait for it.
const WAITING_MIN: usize = 1 << 14;

impl Groups {
    pub(super) fn connect(&mut self, from: usize, to: usize) {
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
    pub(super) fn reaches(&self, first: usize, then: usize) -> bool {
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

    pub(super) fn can_merge(&self, program: &Program, first: usize, second: usize) -> bool {
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
        if vector.is_some_and(|v| too_few_rows(a.size, v)) {
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

    pub(super) fn merge(&mut self, into: usize, from: usize) {
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
}
