//! What the gradient reads of the model may be computed again where it is read, rather than kept from the model to the
//! gradient: activations, normalised values, dropout's masks, attention's weights. What comes of what is kept anyway,
//! for little work, is written down again behind the loss; the plan's peak is the less by it, and no bit changes, as
//! the same functions take the same operands. Related: gradient checkpointing (Chen et al. 2016), which trades whole
//! layers; here only what costs about as much to read as to compute.

use super::contract::below_views;
use super::normalise::Normal;
use super::program::{Program, weight};
use crate::ir::graph::{Node, NodeId, Op, OutputKind, elements};
use std::collections::BTreeSet;

/// Elements kept for the gradient from which on memory is worth some work; fewer stay near the cores.
pub const KEPT_MIN: usize = 32 << 20;
/// Instructions (by estimate) for an element that is computed again.
const WORK_MAX: u32 = 96;
/// Large tensors that may be read to make one.
const SOURCES_MAX: usize = 2;
/// So many times smaller is a tensor that does not count: rows' sums beside rows.
const SMALL: usize = 8;
/// So many times larger than its operands is a product that is worth making again: a row of attention's weights, which
/// is as long as the sequence, comes of vectors as long as a head is wide.
const PRODUCT_GROWS: usize = 2;

impl Normal {
    /// The same graph where the gradient computes again what costs little, if at least `kept_min` elements are kept for
    /// it. Its outputs are the same.
    pub(super) fn computed_again(self, in_16_bits: bool, kept_min: usize) -> Normal {
        let loss = self.graph.outputs.iter().find(|o| o.kind == OutputKind::Loss);
        let Some(loss) = loss.map(|o| o.node) else {
            return self;
        };
        let program = Program::new(self.clone(), in_16_bits);
        let mut plan = Again {
            program: &program,
            loss,
            kept: vec![false; self.graph.len()],
            again: vec![false; self.graph.len()],
        };
        plan.find_kept();
        let size = |id: NodeId| elements(&self.graph.node(id).shape);
        let kept = self
            .graph
            .ids()
            .filter(|id| plan.kept[id.0 as usize] && !program.is_leaf(*id));
        if kept.map(size).sum::<usize>() < kept_min {
            return self;
        }
        plan.choose();
        let again = plan.again;
        Rewritten::of(self, loss, &again, &program)
    }
}

/// Which values of the model the gradient reads, and which of them it computes again.
struct Again<'p> {
    program: &'p Program,
    /// The last node of the model.
    loss: NodeId,
    /// Stored before the gradient, read by it.
    kept: Vec<bool>,
    again: Vec<bool>,
}

/// What it takes to compute a value again.
#[derive(Default)]
struct Recipe {
    work: u32,
    seen: BTreeSet<NodeId>,
    sources: BTreeSet<NodeId>,
    /// What is stored before the loss, yet not kept.
    made: Vec<NodeId>,
}

impl Again<'_> {
    fn find_kept(&mut self) {
        let program = self.program;
        let graph = &program.graph;
        let late = graph.ids().filter(|&id| id > self.loss && program.live[id.0 as usize]);
        let mut pending: Vec<NodeId> = late.flat_map(|id| graph.node(id).operands.clone()).collect();
        pending.retain(|&id| id <= self.loss);
        let mut seen = vec![false; graph.len()];
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            match program.is_stored(id) {
                true => self.kept[id.0 as usize] = true,
                false => pending.extend(&graph.node(id).operands),
            }
        }
    }

    fn choose(&mut self) {
        for id in self.program.graph.ids().take_while(|&id| id <= self.loss) {
            if !self.kept[id.0 as usize] || self.program.is_leaf(id) || self.program.is_output(id) {
                continue;
            }
            let mut recipe = Recipe::default();
            let found = self.expression(id, id, &mut recipe);
            if found.is_some() && recipe.work <= WORK_MAX && recipe.sources.len() <= SOURCES_MAX {
                self.again[id.0 as usize] = true;
                recipe.made.iter().for_each(|m| self.again[m.0 as usize] = true);
            }
        }
    }

    fn size(&self, id: NodeId) -> usize {
        elements(&self.program.node(id).shape)
    }

    /// Adds what it takes to compute a node of the value `of`; none if that can't be.
    fn expression(&self, of: NodeId, id: NodeId, recipe: &mut Recipe) -> Option<()> {
        if !recipe.seen.insert(id) {
            return Some(());
        }
        let node = self.program.node(id);
        match &node.op {
            Op::Map(_) | Op::Constant(_) | Op::Index { .. } | Op::StepNumber(_) | Op::Random { .. } => {}
            Op::View { guards, .. } if guards.is_empty() => {}
            _ => return None,
        }
        recipe.work += weight(&self.program.graph, node);
        node.operands
            .iter()
            .try_for_each(|&operand| self.operand(of, operand, recipe))
    }

    fn operand(&self, of: NodeId, id: NodeId, recipe: &mut Recipe) -> Option<()> {
        let small = self.program.is_leaf(id) || self.size(id) * SMALL <= self.size(of);
        let made_again = !self.program.is_stored(id) || self.again[id.0 as usize];
        if self.is_grown(of, id) {
            recipe.made.push(id);
        } else if !made_again && self.kept[id.0 as usize] && !small {
            recipe.sources.insert(id);
        } else if made_again || !small {
            recipe.made.push(id);
            return self.expression(of, id, recipe);
        }
        Some(())
    }

    /// Whether a value is a product that is much larger than its operands, and these are kept.
    fn is_grown(&self, of: NodeId, id: NodeId) -> bool {
        let node = self.program.node(id);
        if !matches!(node.op, Op::Contract { .. }) || self.size(id) != self.size(of) || self.kept[id.0 as usize] {
            return false;
        }
        let stored = |id: NodeId| self.program.is_stored(id);
        let roots = node
            .operands
            .iter()
            .map(|&o| below_views(&self.program.graph, o, &stored).0);
        let roots: Vec<NodeId> = roots.collect();
        let kept = |id: &NodeId| self.program.is_leaf(*id) || (self.kept[id.0 as usize] && !self.again[id.0 as usize]);
        let operands: usize = roots.iter().map(|&root| self.size(root)).sum();
        roots.iter().all(kept) && operands * PRODUCT_GROWS <= self.size(id)
    }
}

/// The graph being written.
struct Rewritten<'a> {
    old: &'a Normal,
    new: Normal,
    again: &'a [bool],
    program: &'a Program,
    /// What stands for each node before the loss, and behind it.
    early: Vec<Option<NodeId>>,
    late: Vec<Option<NodeId>>,
}

impl Rewritten<'_> {
    fn of(old: Normal, loss: NodeId, again: &[bool], program: &Program) -> Normal {
        let count = old.graph.len();
        let new = Normal::empty(&old.graph);
        let mut rewritten = Rewritten {
            old: &old,
            new,
            again,
            program,
            early: vec![None; count],
            late: vec![None; count],
        };
        for id in old.graph.ids() {
            if !program.live[id.0 as usize] {
                continue;
            }
            let node = old.graph.node(id).clone();
            let operands = node.operands.iter().map(|&o| match id > loss && o <= loss {
                true => rewritten.late(o),
                false => rewritten.early[o.0 as usize].expect("operands come first"),
            });
            let operands = operands.collect();
            rewritten.early[id.0 as usize] = Some(rewritten.add(id, Node { operands, ..node }));
            if id == loss {
                rewritten.new.behind_loss = Some(NodeId(rewritten.new.graph.len() as u32));
            }
        }
        let mut new = rewritten.new;
        for output in &old.graph.outputs {
            let mut output = output.clone();
            output.node = rewritten.early[output.node.0 as usize].expect("outputs are live");
            new.graph.outputs.push(output);
        }
        new
    }

    fn add(&mut self, old: NodeId, node: Node) -> NodeId {
        let id = self.new.push(node, self.old.origin[old.0 as usize]);
        if self.old.copies.contains(&old) {
            self.new.copies.push(id);
        }
        id
    }

    /// What the gradient reads for a node of the model.
    fn late(&mut self, id: NodeId) -> NodeId {
        let at = id.0 as usize;
        if let Some(known) = self.late[at] {
            return known;
        }
        let early = self.early[at].expect("the model comes first");
        let mut late = early;
        if self.again[at] || !(self.program.is_stored(id) || self.program.is_output(id)) {
            let node = self.old.graph.node(id).clone();
            let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.late(o)).collect();
            if self.again[at] || operands != self.new.graph.node(early).operands {
                late = self.add(id, Node { operands, ..node });
                self.new.again.push(late);
            }
        }
        self.late[at] = Some(late);
        late
    }
}
