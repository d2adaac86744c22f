//! Which stored values a node's expression reads, and where: the dry run of emission, over the node's own axes.

use super::position::{Index, composed, composed_guards, linear};
use super::program::{Program, scatters};
use crate::ir::affine::Position;
use crate::ir::graph::{GatherPosition, NodeId, Op};
use std::collections::HashSet;

/// One read of a stored value.
#[derive(Clone, PartialEq, Debug)]
pub struct Read {
    /// Whose.
    pub node: NodeId,
    /// The row-major element, over the axes of the reader's domain; `None`: anywhere.
    pub element: Option<Position>,
}

/// A value below must be stored before the expression can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MustStore(pub NodeId);

/// The shape over which a node's expression runs: a reduction's operand's, else its own.
pub fn domain(program: &Program, id: NodeId) -> &[usize] {
    match program.node(id).op {
        Op::Reduce { .. } => &program.node(program.node(id).operands[0]).shape,
        _ => &program.node(id).shape,
    }
}

/// All reads of an anchor's expression over its own axes, each once.
pub fn reads(program: &Program, id: NodeId) -> Result<Vec<Read>, MustStore> {
    let sizes = domain(program, id).to_vec();
    let index: Index = (0..sizes.len()).map(Position::axis).collect();
    reads_at(program, id, &index, &sizes)
}

/// The same where the domain's index is a function of other axes.
pub fn reads_at(program: &Program, id: NodeId, index: &[Position], sizes: &[usize]) -> Result<Vec<Read>, MustStore> {
    let mut walk = Walk {
        program,
        sizes: sizes.to_vec(),
        seen: HashSet::new(),
        reads: vec![],
    };
    match &program.node(id).op {
        Op::Reduce { .. } => walk.value(program.node(id).operands[0], index, false)?,
        Op::Contract { .. } => {
            for &operand in &program.node(id).operands {
                let stop = |n| program.is_stored(n);
                let (root, _) = super::contract::below_views(&program.graph, operand, &stop);
                walk.read(root, None);
            }
        }
        Op::Scan(scan) => {
            for (number, &operand) in program.node(id).operands.iter().enumerate() {
                let stop = |n| program.is_stored(n);
                let (root, _) = super::scan::stored(&program.graph, scan, number, operand, &stop);
                walk.read(root, None);
            }
        }
        Op::ScatterAdd { positions } if scatters(positions, &program.graph, program.node(id)) => {
            for &operand in &program.node(id).operands {
                let stop = |n| program.is_stored(n);
                let (root, _) = super::contract::below_views(&program.graph, operand, &stop);
                walk.read(root, None);
            }
        }
        _ => walk.expression(id, index, false)?,
    }
    Ok(walk.reads)
}

struct Walk<'a> {
    program: &'a Program,
    sizes: Vec<usize>,
    seen: HashSet<(NodeId, Index)>,
    reads: Vec<Read>,
}

impl Walk<'_> {
    fn read(&mut self, node: NodeId, element: Option<Position>) {
        let read = Read { node, element };
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    fn value(&mut self, id: NodeId, index: &[Position], guarded: bool) -> Result<(), MustStore> {
        if self.program.is_stored(id) {
            let element = linear(&self.program.node(id).shape, index, &self.sizes);
            self.read(id, Some(element));
            return Ok(());
        }
        if !self.seen.insert((id, index.to_vec())) {
            return Ok(());
        }
        self.expression(id, index, guarded)
    }

    fn expression(&mut self, id: NodeId, index: &[Position], guarded: bool) -> Result<(), MustStore> {
        let node = self.program.node(id);
        match &node.op {
            Op::Map(_) => {
                for &operand in &node.operands {
                    self.value(operand, index, guarded)?;
                }
            }
            Op::View { positions, guards, .. } => {
                let operand = node.operands[0];
                let there: Option<Index> = positions.iter().map(|p| composed(p, index, &self.sizes)).collect();
                let there = there.ok_or(MustStore(id))?;
                composed_guards(guards, index, &self.sizes).ok_or(MustStore(id))?;
                self.value(operand, &there, guarded || !guards.is_empty())?;
            }
            Op::Gather { positions } => {
                if guarded {
                    return Err(MustStore(id));
                }
                self.read(node.operands[0], None);
                for position in positions {
                    if let GatherPosition::Ids { operand, axes } = position {
                        let there: Index = axes.iter().map(|&a| index[a].clone()).collect();
                        self.value(node.operands[*operand], &there, guarded)?;
                    }
                }
            }
            Op::ScatterAdd { positions } => {
                let source = self.program.node(node.operands[0]).shape.len();
                let there: Index = (0..source).map(|axis| table_axis(positions, axis, index)).collect();
                self.value(node.operands[0], &there, guarded)?;
                for position in positions {
                    if let GatherPosition::Ids { operand, axes } = position {
                        let ids: Index = axes.iter().map(|&a| there[a].clone()).collect();
                        self.value(node.operands[*operand], &ids, guarded)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where an axis of a collision-free scatter's source stands in the table's index.
pub fn table_axis(positions: &[GatherPosition], axis: usize, index: &[Position]) -> Position {
    let at = positions.iter().position(|p| *p == GatherPosition::Axis(axis));
    at.map_or(Position::default(), |at| index[at].clone())
}
