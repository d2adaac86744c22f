//! In which order a contraction's result is read: it is stored so. Attention's gradient by its weights is computed with the
//! queries outside, and read head by head.

use crate::ir::affine::Position;
use crate::ir::graph::{Graph, NodeId, Op};

/// The readers of every node that outputs need.
pub struct Readers<'g> {
    graph: &'g Graph,
    of_node: Vec<Vec<NodeId>>,
    is_output: Vec<bool>,
}

impl Readers<'_> {
    /// Those of a graph; `needed` says which nodes there are.
    pub fn of<'g>(graph: &'g Graph, needed: &[bool]) -> Readers<'g> {
        let mut of_node = vec![vec![]; graph.len()];
        for id in graph.ids().filter(|id| needed[id.0 as usize]) {
            for operand in &graph.node(id).operands {
                of_node[operand.0 as usize].push(id);
            }
        }
        let mut is_output = vec![false; graph.len()];
        for output in &graph.outputs {
            is_output[output.node.0 as usize] = true;
        }
        Readers {
            graph,
            of_node,
            is_output,
        }
    }

    /// The axes of a contraction's result in the order in which all readers go over them, those of one index first; `None`
    /// if it lies so, or if they differ, or if one of them is not element-wise: who multiplies it has demands of his own.
    pub fn order(&self, id: NodeId) -> Option<Vec<usize>> {
        let shape = &self.graph.node(id).shape;
        let mut common: Option<Vec<usize>> = None;
        let itself: Vec<Option<usize>> = (0..shape.len()).map(|axis| (shape[axis] > 1).then_some(axis)).collect();
        let mut at = vec![(id, itself)];
        while let Some((node, axes)) = at.pop() {
            if self.is_output[node.0 as usize] {
                return None;
            }
            for &reader in &self.of_node[node.0 as usize] {
                match self.seen_by(reader, &axes)? {
                    Seen::Through(axes) => at.push((reader, axes)),
                    Seen::ElementWise => {
                        let order: Vec<usize> = axes.iter().copied().flatten().collect();
                        if *common.get_or_insert_with(|| order.clone()) != order {
                            return None;
                        }
                    }
                }
            }
        }
        let common = common?;
        let single = (0..shape.len()).filter(|axis| shape[*axis] == 1);
        let order: Vec<usize> = single.chain(common.iter().copied()).collect();
        let moved = !common.is_sorted() && order.len() == shape.len();
        moved.then_some(order)
    }

    /// How a reader reads a node of which each axis is one of the contraction's, or has one index; `None` if otherwise.
    fn seen_by(&self, reader: NodeId, axes: &[Option<usize>]) -> Option<Seen> {
        let node = self.graph.node(reader);
        match &node.op {
            Op::View { positions, guards, .. } if guards.is_empty() => {
                let mut seen = vec![None; node.shape.len()];
                for (position, axis) in positions.iter().zip(axes) {
                    let Some(axis) = axis else { continue };
                    let at = (0..node.shape.len()).find(|&a| *position == Position::axis(a))?;
                    if seen[at].replace(*axis).is_some() {
                        return None;
                    }
                }
                let spread = node
                    .shape
                    .iter()
                    .zip(&seen)
                    .any(|(&size, axis)| size > 1 && axis.is_none());
                (!spread).then_some(Seen::Through(seen))
            }
            Op::Reduce { axes: reduced, .. } if reduced.iter().all(|&a| axes[a].is_none()) => {
                let kept = (0..axes.len()).filter(|a| !reduced.contains(a));
                Some(Seen::Through(kept.map(|a| axes[a]).collect()))
            }
            Op::Map(_) | Op::Reduce { .. } => Some(Seen::ElementWise),
            _ => None,
        }
    }
}

enum Seen {
    /// As another node, whose axes are these of the contraction.
    Through(Vec<Option<usize>>),
    /// Axis by axis.
    ElementWise,
}
