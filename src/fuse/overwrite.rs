//! Where outputs are stored: an update goes into the tensor that it updates, if nobody reads the old value then, and old
//! values that are read later are copied before.

use super::group::GroupKind;
use super::position::composed;
use super::reason;
use super::schedule::{Builder, Unit};
use super::walk::domain;
use crate::ir::graph::*;
use crate::ir::kernel::*;
use std::collections::BTreeSet;

impl Builder<'_> {
    /// Updates go into the tensor that they update if its old value is no longer read then; other outputs get their own.
    pub(super) fn place_outputs(&mut self) {
        let outputs = self.program.graph.outputs.clone();
        let target_of = |builder: &Self, output: &Output| match output.kind {
            OutputKind::ParamUpdate(id) => builder.leaf(&Op::Param(id)),
            OutputKind::StateUpdate(id) => builder.leaf(&Op::State(id)),
            _ => None,
        };
        for output in &outputs {
            if let Some(target) = target_of(self, output)
                && self.of_node[output.node.0 as usize] != Some(target)
            {
                self.updated.insert(target);
            }
        }
        for output in &outputs {
            let tensor = match target_of(self, output) {
                Some(target) => {
                    self.place_update(output.node, target);
                    target
                }
                None if self.is_overwritten(output.node) => self.kept(output.node).1,
                None => self.tensor_of(output.node),
            };
            self.outputs.push((output.kind.clone(), tensor));
        }
        // Old values are kept before anyone writes new ones.
        for (tensor, (copy, _)) in std::mem::take(&mut self.kept) {
            for unit in 0..self.units.len() {
                if unit != copy && self.writes(unit, tensor) {
                    self.before[unit].insert(copy);
                }
            }
        }
    }

    fn is_overwritten(&self, node: NodeId) -> bool {
        let tensor = self.of_node[node.0 as usize];
        self.program.is_leaf(node) && tensor.is_some_and(|t| self.updated.contains(&t))
    }

    /// A copy of a leaf's old value, and the unit that makes it.
    fn kept(&mut self, leaf: NodeId) -> (usize, TensorId) {
        let tensor = self.tensor_of(leaf);
        if let Some(&kept) = self.kept.get(&tensor) {
            return kept;
        }
        let Tensor { storage, elements, .. } = self.tensors[tensor.0 as usize];
        let to = self.tensor(TensorKind::Temporary, storage, elements, None);
        self.copy(tensor, to, leaf);
        let kept = (self.units.len() - 1, to);
        self.kept.insert(tensor, kept);
        kept
    }

    fn writes(&self, unit: usize, tensor: TensorId) -> bool {
        match self.units[unit] {
            Unit::Copy { to, .. } => to == tensor,
            Unit::Group(group) => self.groups.groups[group]
                .members
                .iter()
                .any(|m| self.of_node[m.0 as usize] == Some(tensor)),
        }
    }

    fn place_update(&mut self, node: NodeId, target: TensorId) {
        let leaf = self.leaf_of.get(&target).copied();
        if leaf == Some(node) {
            return;
        }
        let group = self.groups.group_of[node.0 as usize];
        if let Some(group) = group
            && self.of_node[node.0 as usize].is_none()
            && self.in_place(node, group, leaf)
        {
            self.decide(node, reason::IN_PLACE);
            self.of_node[node.0 as usize] = Some(target);
            if let Some(leaf) = leaf {
                let others: Vec<usize> = self.readers[leaf.0 as usize]
                    .iter()
                    .copied()
                    .filter(|&g| g != group)
                    .collect();
                self.before[group].extend(others);
            }
            return;
        }
        self.decide(node, reason::NOT_IN_PLACE);
        let kept = self.is_overwritten(node).then(|| self.kept(node));
        let from = kept.map_or_else(|| self.tensor_of(node), |k| k.1);
        self.copy(from, target, node);
        let copy = self.units.len() - 1;
        self.before[copy].extend(kept.map(|k| k.0));
        if let Some(leaf) = leaf {
            let readers = self.readers[leaf.0 as usize].clone();
            self.before[copy].extend(readers);
        }
    }

    fn decide(&mut self, node: NodeId, reason: &'static str) {
        let node = self.program.origin[node.0 as usize];
        self.decisions.push(Decision { node, reason });
    }

    /// Whether the group may overwrite the leaf: it reads it only where it writes it, and no reader waits for the group.
    fn in_place(&self, node: NodeId, group: usize, leaf: Option<NodeId>) -> bool {
        let Some(leaf) = leaf else { return true };
        if self.program.node(leaf).shape != self.program.node(node).shape {
            return false;
        }
        let mut others = self.readers[leaf.0 as usize].iter().filter(|&&g| g != group);
        if others.any(|&g| self.waits_for(g, group)) {
            return false;
        }
        let own = self.groups.placement[node.0 as usize]
            .as_ref()
            .expect("a member is placed");
        let members = &self.groups.groups[group].members;
        // Later passes may read again what the store would have overwritten.
        let depths = self.groups.depths(self.program, group);
        let at = members.binary_search(&node).expect("a member of its group");
        if depths.iter().any(|&d| d > depths[at]) {
            return false;
        }
        members.iter().all(|&member| {
            let mut reads = self.groups.reads[member.0 as usize].iter().filter(|r| r.node == leaf);
            let sizes = domain(self.program, member);
            let (place, in_row) = self
                .groups
                .place_of(self.program, member, self.groups.groups[group].vector);
            reads.all(|read| {
                let same = composed(&own.element, std::slice::from_ref(&place), sizes);
                in_row == own.row && self.groups.groups[group].kind != GroupKind::Columns && same == read.element
            })
        })
    }

    /// Whether a unit runs behind another.
    fn waits_for(&self, unit: usize, other: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![unit];
        while let Some(at) = pending.pop() {
            if at == other {
                return true;
            }
            if seen.insert(at) {
                pending.extend(&self.before[at]);
            }
        }
        false
    }
}
