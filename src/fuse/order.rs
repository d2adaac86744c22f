//! The order in which the units of a schedule run.

use super::schedule::{Builder, Unit};
use crate::ir::graph::{NodeId, elements};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Elements of a tensor that should not be kept for a kernel that can run at once.
const LARGE: usize = 1 << 16;
/// How many times less a kernel stores than it reads, if that is little.
const LITTLE: usize = 16;

impl Builder<'_> {
    /// Topological: what reads a large tensor and stores little as soon as it can run, so that nothing is kept for it;
    /// else the unit with the earliest node first. A gradient is squared for the norm and used for the update where it is
    /// made, unless the update waits for the norm of all of them.
    pub(super) fn order(&self) -> Vec<usize> {
        let live: Vec<usize> = (0..self.units.len())
            .filter(|&u| match self.units[u] {
                Unit::Group(g) => !self.groups.groups[g].members.is_empty(),
                Unit::Copy { .. } => true,
            })
            .collect();
        let first = |unit: usize| match self.units[unit] {
            Unit::Group(g) => self.groups.groups[g].members[0],
            Unit::Copy { node, .. } => node,
        };
        let priority = |unit: usize| Reverse((!self.gives_back(unit), first(unit), unit));
        let mut waiting: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut behind: Vec<Vec<usize>> = vec![vec![]; self.units.len()];
        for &unit in &live {
            self.before[unit].iter().for_each(|&b| behind[b].push(unit));
        }
        let ready = live.iter().filter(|&&u| waiting[u] == 0);
        let mut ready: BinaryHeap<Reverse<(bool, NodeId, usize)>> = ready.map(|&u| priority(u)).collect();
        let mut order = vec![];
        while let Some(Reverse((_, _, unit))) = ready.pop() {
            order.push(unit);
            for &next in &behind[unit] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(priority(next));
                }
            }
        }
        assert_eq!(
            order.len(),
            live.len(),
            "kernels do not wait for each other in a circle"
        );
        order
    }

    /// Whether a unit reads a large temporary tensor and stores little: it updates parameters or states, or adds up.
    fn gives_back(&self, unit: usize) -> bool {
        let Unit::Group(at) = self.units[unit] else {
            return false;
        };
        let group = &self.groups.groups[at];
        let size = |node: NodeId| elements(&self.program.node(node).shape);
        let is_update = |m: &NodeId| self.of_node[m.0 as usize].is_some_and(|t| self.updated.contains(&t));
        let stored = group
            .members
            .iter()
            .filter(|m| self.written[m.0 as usize] && !is_update(m));
        let stored: usize = stored.map(|&m| size(m)).sum();
        let reads = group.members.iter().flat_map(|m| &self.groups.reads[m.0 as usize]);
        let from_others = reads.filter(|r| self.groups.group_of[r.node.0 as usize].is_some_and(|g| g != at));
        let largest = from_others.map(|r| size(r.node)).max().unwrap_or(0);
        largest >= LARGE && stored * LITTLE <= largest
    }
}
