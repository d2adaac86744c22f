//! Corners of matrix products: where a mask makes a factor zero, or makes nobody read the result, because one index is
//! too far beyond another, as in attention that looks back only. Products there are left out in whole blocks.

use super::contract::{Arrangement, Run};
use super::program::Program;
use crate::ir::affine::Position;
use crate::ir::corner::{CORNER_BLOCK, Corner, ProductAxis};
use crate::ir::graph::{MapFunction, NodeId, Op};
use std::collections::HashMap;

/// A part of a tensor: where the index along axis `greater` minus that along axis `lesser` is above `by`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    greater: usize,
    lesser: usize,
    by: i64,
}

/// How many steps operands and users of a value are followed.
const DEPTH: usize = 40;

/// What is known of values: each is looked at once.
struct Known<'p> {
    program: &'p Program,
    zero: HashMap<NodeId, Option<Part>>,
    unread: HashMap<NodeId, Option<Part>>,
}

/// What may be left out of a contraction that is a product in memory; at most one of them can be.
pub fn corners(program: &Program, id: NodeId, arranged: &Arrangement) -> Vec<Corner> {
    let node = program.node(id);
    let Op::Contract { a, b, out } = &node.op else {
        return vec![];
    };
    let mut known = Known {
        program,
        zero: HashMap::new(),
        unread: HashMap::new(),
    };
    let of_operands = [a, b].into_iter().zip(&node.operands);
    let zero: Vec<Part> = of_operands
        .filter_map(|(labels, &operand)| {
            let part = known.zero_in(operand, DEPTH)?;
            Some(Part {
                greater: labels[part.greater].into(),
                lesser: labels[part.lesser].into(),
                ..part
            })
        })
        .collect();
    let unread = known.unread_in(id, DEPTH).map(|part| Part {
        greater: out[part.greater].into(),
        lesser: out[part.lesser].into(),
        ..part
    });
    zero.into_iter()
        .chain(unread)
        .filter_map(|part| placed(part, arranged))
        .collect()
}

/// Where the index of a label stands among those of an axis of a product.
struct Place {
    axis: ProductAxis,
    size: usize,
    /// Rows, columns or products behind each other that have the same one.
    repeat: usize,
    /// Whether it is the axis's index.
    whole: bool,
}

/// A part of labels as a corner of the product's axes.
fn placed(part: Part, arranged: &Arrangement) -> Option<Corner> {
    let axis_of = |label: usize| {
        let is = |run: &Run| usize::from(run.label) == label;
        let axes = [
            (ProductAxis::Row, &arranged.rows),
            (ProductAxis::Column, &arranged.columns),
            (ProductAxis::Sum, &arranged.summed),
        ];
        axes.into_iter().find_map(|(axis, runs)| {
            let longer: Vec<&Run> = runs.iter().filter(|r| r.size > 1).collect();
            let at = longer.iter().position(|r| is(r))?;
            let repeat: usize = longer[at + 1..].iter().map(|r| r.size).product();
            Some(Place {
                axis,
                size: longer[at].size,
                repeat,
                whole: at == 0 && repeat == 1,
            })
        })
    };
    let (greater, lesser) = (axis_of(part.greater)?, axis_of(part.lesser)?);
    let rank = |axis| match axis {
        ProductAxis::Row => 0,
        ProductAxis::Column => 1,
        ProductAxis::Sum => 2,
    };
    let other_is_greater = rank(greater.axis) > rank(lesser.axis);
    let (of, other) = if other_is_greater {
        (lesser, greater)
    } else {
        (greater, lesser)
    };
    // Two blocks at least, so that there is something to leave out.
    let large = of.size >= 2 * CORNER_BLOCK && other.size >= 2 * CORNER_BLOCK;
    (other.whole && large && of.axis != other.axis).then_some(Corner {
        of: of.axis,
        period: of.size,
        repeat: of.repeat,
        other: other.axis,
        other_is_greater,
        by: part.by,
    })
}

/// Where a condition is false.
fn false_in(program: &Program, id: NodeId, depth: usize) -> Option<Part> {
    let node = program.node(id);
    let depth = depth.checked_sub(1)?;
    let compared = |beyond: i64| {
        let [greater, lesser] = [0, 1].map(|at| index_of(program, node.operands[at], depth));
        Some(Part {
            greater: greater?,
            lesser: lesser?,
            by: beyond,
        })
    };
    match &node.op {
        Op::Map(MapFunction::LessEqual) => compared(0),
        Op::Map(MapFunction::Less) => compared(-1),
        Op::Map(MapFunction::And) => node.operands.iter().find_map(|&o| false_in(program, o, depth)),
        Op::View { positions, guards, .. } if guards.is_empty() => {
            moved(false_in(program, node.operands[0], depth)?, positions)
        }
        _ => None,
    }
}

/// The axis whose index a value is.
fn index_of(program: &Program, id: NodeId, depth: usize) -> Option<usize> {
    let node = program.node(id);
    let depth = depth.checked_sub(1)?;
    match &node.op {
        Op::Index { axis } => Some(*axis),
        Op::View { positions, guards, .. } if guards.is_empty() => {
            positions[index_of(program, node.operands[0], depth)?].as_axis()
        }
        _ => None,
    }
}

/// The part of a view that reads a part of its operand.
fn moved(part: Part, positions: &[Position]) -> Option<Part> {
    Some(Part {
        greater: positions[part.greater].as_axis()?,
        lesser: positions[part.lesser].as_axis()?,
        ..part
    })
}

fn is_constant(program: &Program, id: NodeId, number: f64) -> bool {
    match program.node(id).op {
        Op::Constant(value) => value == number,
        Op::View { .. } => is_constant(program, program.node(id).operands[0], number),
        _ => false,
    }
}

/// Where a value is minus infinity.
fn lowest_in(program: &Program, id: NodeId, depth: usize) -> Option<Part> {
    let node = program.node(id);
    let depth = depth.checked_sub(1)?;
    let operand = |at: usize| node.operands[at];
    match &node.op {
        Op::Map(MapFunction::Where) if is_constant(program, operand(2), f64::NEG_INFINITY) => {
            false_in(program, operand(0), depth)
        }
        Op::Map(MapFunction::Subtract) => lowest_in(program, operand(0), depth),
        Op::View { positions, guards, .. } if guards.is_empty() => {
            moved(lowest_in(program, operand(0), depth)?, positions)
        }
        _ => None,
    }
}

impl Known<'_> {
    /// Where a value is zero, whatever else it depends on.
    fn zero_in(&mut self, id: NodeId, depth: usize) -> Option<Part> {
        if let Some(&known) = self.zero.get(&id) {
            return known;
        }
        let part = depth.checked_sub(1).and_then(|depth| self.found_zero(id, depth));
        self.zero.insert(id, part);
        part
    }

    fn found_zero(&mut self, id: NodeId, depth: usize) -> Option<Part> {
        let program = self.program;
        let node = program.node(id);
        let operand = |at: usize| node.operands[at];
        match &node.op {
            Op::Map(MapFunction::Where) if is_constant(program, operand(1), 0.0) => self.zero_in(operand(2), depth),
            Op::Map(MapFunction::Where) if is_constant(program, operand(2), 0.0) => {
                false_in(program, operand(0), depth).or_else(|| self.zero_in(operand(1), depth))
            }
            Op::Map(MapFunction::Multiply) => node.operands.iter().find_map(|&o| self.zero_in(o, depth)),
            Op::Map(MapFunction::Divide | MapFunction::Negate | MapFunction::RoundBf16 | MapFunction::RoundF16) => {
                self.zero_in(operand(0), depth)
            }
            Op::Map(MapFunction::Exponential) => lowest_in(program, operand(0), depth),
            Op::View { positions, guards, .. } if guards.is_empty() => {
                moved(self.zero_in(operand(0), depth)?, positions)
            }
            _ => None,
        }
    }

    /// Where no user of a value depends on it: it stands in a branch that is not taken, or is multiplied by zero.
    fn unread_in(&mut self, id: NodeId, depth: usize) -> Option<Part> {
        if let Some(&known) = self.unread.get(&id) {
            return known;
        }
        let part = depth.checked_sub(1).and_then(|depth| self.found_unread(id, depth));
        self.unread.insert(id, part);
        part
    }

    fn found_unread(&mut self, id: NodeId, depth: usize) -> Option<Part> {
        let program = self.program;
        if program.is_output(id) {
            return None;
        }
        let mut common: Option<Part> = None;
        for &user in program.users(id) {
            let part = self.unread_by(id, user, depth)?;
            common = match common {
                None => Some(part),
                Some(so_far) if (so_far.greater, so_far.lesser) == (part.greater, part.lesser) => Some(Part {
                    by: so_far.by.max(part.by),
                    ..part
                }),
                Some(_) => return None,
            };
        }
        common
    }

    fn unread_by(&mut self, id: NodeId, user: NodeId, depth: usize) -> Option<Part> {
        let program = self.program;
        let node = program.node(user);
        match &node.op {
            Op::Map(MapFunction::Where) if node.operands[0] != id && node.operands[2] != id => {
                false_in(program, node.operands[0], depth).or_else(|| self.unread_in(user, depth))
            }
            Op::Map(MapFunction::Multiply) => {
                let others = node.operands.iter().filter(|&&o| o != id);
                let zero = others.clone().find_map(|&o| self.zero_in(o, depth));
                zero.or_else(|| self.unread_in(user, depth))
            }
            Op::Map(_) => self.unread_in(user, depth),
            // The part of the operand of which the view's part is read.
            Op::View { positions, guards, .. } if guards.is_empty() => {
                let part = self.unread_in(user, depth)?;
                let axis_of = |axis: usize| positions.iter().position(|p| p.as_axis() == Some(axis));
                let whole = |axis: usize| {
                    program.node(id).shape[axis_of(axis)?]
                        .eq(&node.shape[axis])
                        .then_some(())
                };
                whole(part.greater)?;
                whole(part.lesser)?;
                Some(Part {
                    greater: axis_of(part.greater)?,
                    lesser: axis_of(part.lesser)?,
                    ..part
                })
            }
            _ => None,
        }
    }
}
