//! How a contraction lies in memory as a matrix product: which labels are batch, rows, columns and summed, and
//! whether each group has one stride in each operand. It decides nothing about fusion.

use super::position::{composed, linear};
use crate::ir::affine::Position;
use crate::ir::graph::{Graph, NodeId, Op, elements};
use crate::ir::kernel::PRODUCT_CHUNK;

/// A label with its size and its strides in both operands (0 where it does not occur).
#[derive(Clone, Debug)]
pub struct Run {
    pub label: u8,
    pub size: usize,
    pub a: i64,
    pub b: i64,
}

/// A contraction as a matrix product.
#[derive(Clone, Debug)]
pub struct Arrangement {
    /// What the operands' views read, and the first element of each; changed places where the first operand
    /// has the result's last axis.
    pub roots: [(NodeId, i64); 2],
    /// Independent products.
    pub batch: Vec<Run>,
    /// Labels of the rows that have no one stride with the rest of them, outermost first.
    pub strips: Vec<Run>,
    /// Labels of the rows, outermost first: of those of a strip.
    pub rows: Vec<Run>,
    /// Labels of the columns, outermost first.
    pub columns: Vec<Run>,
    /// Labels of the sums that have no one stride with the rest of them in both operands, outermost first.
    pub turns: Vec<Run>,
    /// Labels of the sums, outermost first: of those of a turn.
    pub summed: Vec<Run>,
}

/// Sizes of the groups of a contraction.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    pub batch: Vec<u8>,
    pub rows: Vec<u8>,
    pub columns: Vec<u8>,
    pub summed: Vec<u8>,
    /// In one operand alone and not in the result, or twice in one operand.
    pub odd: bool,
}

/// Sorts the labels.
pub fn groups(a: &[u8], b: &[u8], out: &[u8]) -> Groups {
    let mut groups = Groups::default();
    let twice = |labels: &[u8]| (1..labels.len()).any(|i| labels[..i].contains(&labels[i]));
    groups.odd = twice(a) || twice(b) || twice(out);
    for &label in out {
        match (a.contains(&label), b.contains(&label)) {
            (true, true) => groups.batch.push(label),
            (true, false) => groups.rows.push(label),
            _ => groups.columns.push(label),
        }
    }
    for &label in a.iter().filter(|l| !out.contains(l)) {
        match b.contains(&label) {
            true => groups.summed.push(label),
            false => groups.odd = true,
        }
    }
    groups.odd |= b.iter().any(|l| !out.contains(l) && !a.contains(l));
    groups
}

/// The size of a label.
pub fn size_of(label: u8, a: (&[u8], &[usize]), b: (&[u8], &[usize])) -> usize {
    let find = |(labels, shape): (&[u8], &[usize])| labels.iter().position(|&l| l == label).map(|at| shape[at]);
    find(a).or_else(|| find(b)).expect("a label occurs in an operand")
}

/// What a chain of views without guards reads: the node below and the element as a function of the operand's indices.
pub fn below_views(graph: &Graph, operand: NodeId, stop: &dyn Fn(NodeId) -> bool) -> (NodeId, Position) {
    let sizes = graph.node(operand).shape.clone();
    let mut index: Vec<Position> = (0..sizes.len()).map(Position::axis).collect();
    let mut at = operand;
    while !stop(at) {
        let node = graph.node(at);
        let Op::View { positions, guards, .. } = &node.op else {
            break;
        };
        if !guards.is_empty() {
            break;
        }
        let Some(next) = positions
            .iter()
            .map(|p| composed(p, &index, &sizes))
            .collect::<Option<Vec<_>>>()
        else {
            break;
        };
        index = next;
        at = node.operands[0];
    }
    (at, linear(&graph.node(at).shape, &index, &sizes))
}

/// Which operand stands in the way of a matrix product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    First,
    Second,
}

/// The least columns that remain when outer ones are treated as independent products.
const COLUMNS_MIN: usize = 16;
/// The least rows of a strip, where it is not better to copy the operand.
const STRIP_MIN: usize = 6;
/// The least products of a turn, likewise.
const TURN_MIN: usize = 8;

/// Finds the arrangement, or the operand that must be copied into shape before.
pub fn arranged(graph: &Graph, id: NodeId, stop: &dyn Fn(NodeId) -> bool) -> Result<Arrangement, Obstacle> {
    let node = graph.node(id);
    let Op::Contract { a, b, out } = &node.op else {
        unreachable!("only contractions are arranged")
    };
    let mut operands = [(a, node.operands[0]), (b, node.operands[1])];
    let sorted = groups(a, b, out);
    let swapped = out.last().is_some_and(|last| sorted.rows.contains(last));
    if swapped {
        operands.swap(0, 1);
    }
    let (rows, columns) = match swapped {
        true => (&sorted.columns, &sorted.rows),
        false => (&sorted.rows, &sorted.columns),
    };
    let blame = |which: usize| match (which == 0) != swapped {
        true => Obstacle::First,
        false => Obstacle::Second,
    };
    let mut roots = [(NodeId(0), 0); 2];
    let mut strides: [Vec<(u8, i64)>; 2] = [vec![], vec![]];
    for (which, (labels, operand)) in operands.iter().enumerate() {
        let (root, element) = below_views(graph, *operand, stop);
        let affine = element.as_affine().ok_or(blame(which))?;
        roots[which] = (root, affine.constant);
        strides[which] = labels
            .iter()
            .enumerate()
            .map(|(axis, &l)| (l, affine.coefficient(axis)))
            .collect();
    }
    let shapes = operands.map(|(labels, id)| (labels.as_slice(), graph.node(id).shape.as_slice()));
    let run = |label: u8| Run {
        label,
        size: size_of(label, shapes[0], shapes[1]),
        a: strides[0].iter().find(|s| s.0 == label).map_or(0, |s| s.1),
        b: strides[1].iter().find(|s| s.0 == label).map_or(0, |s| s.1),
    };
    let mut batch: Vec<Run> = sorted.batch.iter().map(|&l| run(l)).collect();
    let smaller = usize::from(elements(shapes[1].1) < elements(shapes[0].1));
    let summed = sorted.summed.iter().map(|&l| run(l)).collect();
    let (turns, summed) = in_order(summed, smaller).map_err(blame)?;
    let mut rows: Vec<Run> = rows.iter().map(|&l| run(l)).collect();
    if merged(&rows, |r| r.a).is_none() {
        // The rows may come in any order; in that of memory they may have one stride.
        let mut by_stride = rows.clone();
        by_stride.sort_by_key(|r| std::cmp::Reverse(r.a));
        if merged(&by_stride, |r| r.a).is_some() {
            rows = by_stride;
        }
    }
    let columns: Vec<Run> = columns.iter().map(|&l| run(l)).collect();
    let (strips, rows) = mergeable_suffix(rows, |r| r.a);
    if !strips.is_empty() && extent(&rows) < STRIP_MIN {
        return Err(blame(0));
    }
    let (outer, columns) = mergeable_suffix(columns, |r| r.b);
    if !outer.is_empty() && extent(&columns) < COLUMNS_MIN {
        return Err(blame(1));
    }
    batch.extend(outer);
    batch.retain(|r| r.size > 1);
    Ok(Arrangement {
        roots,
        batch,
        strips,
        rows,
        columns,
        turns,
        summed,
    })
}

/// The labels of the sums in an order of memory, with those in front that fall into turns; or which operand must be
/// copied. `smaller` is the operand of fewer elements.
fn in_order(mut summed: Vec<Run>, smaller: usize) -> Result<(Vec<Run>, Vec<Run>), usize> {
    let of_first = |runs: &[Run]| merged(runs, |r| r.a).is_some();
    let of_second = |runs: &[Run]| merged(runs, |r| r.b).is_some();
    summed.sort_by_key(|r| std::cmp::Reverse((r.a, r.b)));
    if of_first(&summed) && of_second(&summed) {
        return Ok((vec![], summed));
    }
    let mut by_second = summed.clone();
    by_second.sort_by_key(|r| std::cmp::Reverse((r.b, r.a)));
    let alone = (of_first(&summed), of_second(&by_second));
    // In the order of the larger one the sum may fall into turns.
    let (mut turns, of_larger) = match smaller {
        0 => {
            let start = suffix(&by_second, of_second);
            (by_second, start)
        }
        _ => {
            let start = suffix(&summed, of_first);
            (summed, start)
        }
    };
    let of_both = suffix(&turns, |runs| of_first(runs) && of_second(runs));
    let long = of_larger > 0 && extent(&turns[of_larger..]) >= TURN_MIN;
    // Turns of whole chunks are no more work than one sum.
    let free = extent(&turns[of_both..]).is_multiple_of(PRODUCT_CHUNK);
    if long && of_larger == of_both || free {
        let inner = turns.split_off(of_both);
        return Ok((turns, inner));
    }
    // Where each alone would do, the smaller one takes the order of the other.
    Err(match alone {
        (true, true) => smaller,
        (true, false) => 1,
        _ if long => smaller,
        _ => 0,
    })
}

impl Arrangement {
    /// The same with all labels of the sums but the last one in turns, if these are of whole chunks.
    pub fn in_turns(&self) -> Option<Arrangement> {
        let mut result = self.clone();
        result.summed.retain(|r| r.size > 1);
        let last = result.summed.pop()?;
        if result.summed.is_empty() || !last.size.is_multiple_of(PRODUCT_CHUNK) {
            return None;
        }
        result.turns.append(&mut result.summed);
        result.summed = vec![last];
        Some(result)
    }
}

/// How many indices a group has.
pub fn extent(runs: &[Run]) -> usize {
    runs.iter().map(|r| r.size).product()
}

/// The one stride of a group, if it has one.
pub fn merged(runs: &[Run], stride: impl Fn(&Run) -> i64) -> Option<i64> {
    let runs: Vec<&Run> = runs.iter().filter(|r| r.size > 1).collect();
    let fits = runs.windows(2).all(|w| stride(w[0]) == stride(w[1]) * w[1].size as i64);
    fits.then(|| runs.last().map_or(0, |r| stride(r)))
}

fn mergeable_suffix(runs: Vec<Run>, stride: impl Fn(&Run) -> i64) -> (Vec<Run>, Vec<Run>) {
    let mut outer = runs;
    let inner = outer.split_off(suffix(&outer, |runs| merged(runs, &stride).is_some()));
    (outer, inner)
}

/// Where the longest suffix begins of which something holds, and of all shorter ones.
fn suffix(runs: &[Run], holds: impl Fn(&[Run]) -> bool) -> usize {
    let starts = (0..runs.len()).rev();
    starts
        .take_while(|&start| holds(&runs[start..]))
        .last()
        .unwrap_or(runs.len())
}
