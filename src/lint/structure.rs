//! What a piece of a graph means, by its structure: softmax, log-softmax, the logarithm of a sum of exponentials, a mean, a
//! logistic function, dropout. A user's own definition is found like the library's.

use super::range::Range;
use crate::ir::graph::{Graph, MapFunction, Node, NodeId, Op, ReduceFunction};

/// The operands of a map of this function.
pub fn operands_of(graph: &Graph, id: NodeId, function: MapFunction) -> Option<&[NodeId]> {
    let node = graph.node(id);
    (node.op == Op::Map(function)).then_some(&node.operands[..])
}

/// The constant that a node is everywhere.
pub fn constant(graph: &Graph, id: NodeId) -> Option<f64> {
    match graph.node(id).op {
        Op::Constant(value) => Some(value),
        _ => None,
    }
}

/// How far formulas are looked into: graphs share their parts, so that all ways through one may be very many.
const DEPTH: usize = 6;

/// Whether a value is the same along some of its axes; false where it takes too long to tell.
pub fn is_same_along(graph: &Graph, id: NodeId, axes: &[usize]) -> bool {
    is_same_within(graph, id, axes, DEPTH)
}

fn is_same_within(graph: &Graph, id: NodeId, axes: &[usize], depth: usize) -> bool {
    match &graph.node(id).op {
        Op::Constant(_) => true,
        Op::View { positions, guards, .. } => {
            guards.is_empty() && axes.iter().all(|&axis| positions.iter().all(|p| !p.uses(axis)))
        }
        Op::Index { axis } => !axes.contains(axis),
        Op::Map(_) | Op::Stop if depth > 0 => {
            let mut operands = graph.node(id).operands.iter();
            operands.all(|&o| is_same_within(graph, o, axes, depth - 1))
        }
        _ => axes.iter().all(|&axis| graph.node(id).shape[axis] == 1),
    }
}

/// What a node reads elsewhere without changing it: the source of a view that leaves nothing outside.
pub fn viewed(graph: &Graph, id: NodeId) -> Option<NodeId> {
    match &graph.node(id).op {
        Op::View { guards, .. } if guards.is_empty() => Some(graph.node(id).operands[0]),
        _ => None,
    }
}

/// The node behind all views.
pub fn behind_views(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Some(source) = viewed(graph, id) {
        id = source;
    }
    id
}

/// For each axis of a view's source, the axis of the view that reads it; `None` unless the view only moves axes about.
pub fn moved_axes(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    let node = graph.node(id);
    let Op::View { positions, guards, .. } = &node.op else {
        return None;
    };
    let source = graph.node(node.operands[0]);
    if !guards.is_empty() || source.shape.len() != node.shape.len() {
        return None;
    }
    let mut axes: Vec<Option<usize>> = positions.iter().map(|p| p.as_axis()).collect();
    // An axis of one element is read at 0, wherever it lies: it takes an axis that is left.
    for at in 0..axes.len() {
        if axes[at].is_none() && source.shape[at] == 1 {
            axes[at] = (0..node.shape.len()).find(|a| node.shape[*a] == 1 && !axes.contains(&Some(*a)));
        }
    }
    let axes: Option<Vec<usize>> = axes.into_iter().collect();
    axes.filter(|axes| {
        let sizes = axes.iter().zip(&source.shape);
        (0..axes.len()).all(|a| axes.contains(&a)) && sizes.into_iter().all(|(a, size)| node.shape[*a] == *size)
    })
}

/// What a sum over axes adds, as a node whose own axes these are: `(x, axes)` of `sum[axes] x`.
pub fn summed(graph: &Graph, id: NodeId) -> Option<(NodeId, Vec<usize>)> {
    let node = graph.node(id);
    let Op::Reduce {
        function: ReduceFunction::Sum,
        axes,
    } = &node.op
    else {
        return None;
    };
    let operand = node.operands[0];
    match moved_axes(graph, operand) {
        Some(moved) => {
            let own = (0..moved.len()).filter(|&a| axes.contains(&moved[a]));
            Some((graph.node(operand).operands[0], own.collect()))
        }
        None => Some((operand, axes.clone())),
    }
}

/// A sum that something small keeps from 0: the node behind `max(x, 1e-30)` or `x + eps`.
fn guarded(graph: &Graph, id: NodeId) -> NodeId {
    for function in [MapFunction::Maximum, MapFunction::Add] {
        if let Some([a, b]) = operands_of(graph, id, function) {
            for (x, guard) in [(*a, *b), (*b, *a)] {
                if constant(graph, guard).is_some_and(|g| (0.0..1e-3).contains(&g)) {
                    return x;
                }
            }
        }
    }
    id
}

/// The axes along which a quotient's elements add up to 1: `a / sum a`.
fn shares(graph: &Graph, node: &Node) -> Option<Vec<usize>> {
    if node.op != Op::Map(MapFunction::Divide) {
        return None;
    }
    let [a, b] = [node.operands[0], node.operands[1]];
    let (of, axes) = summed(graph, guarded(graph, viewed(graph, b)?))?;
    (of == a && is_same_along(graph, b, &axes)).then_some(axes)
}

/// Whether a quotient gives shares of what is not negative.
pub fn is_softmax(graph: &Graph, node: &Node, known: &[Range]) -> bool {
    known[node.operands[0].0 as usize].low >= 0.0 && shares(graph, node).is_some()
}

/// `x` and the axes of `log sum[axes] exp(x)`, also with a number that was taken off inside and added outside.
pub fn log_sum_exp(graph: &Graph, id: NodeId) -> Option<(NodeId, Vec<usize>)> {
    log_sum_exp_within(graph, id, 1)
}

fn log_sum_exp_within(graph: &Graph, id: NodeId, depth: usize) -> Option<(NodeId, Vec<usize>)> {
    if let Some([sum]) = operands_of(graph, id, MapFunction::Logarithm) {
        let (of, axes) = summed(graph, guarded(graph, *sum))?;
        let [x] = operands_of(graph, of, MapFunction::Exponential)? else {
            return None;
        };
        return Some((*x, axes));
    }
    let added = operands_of(graph, id, MapFunction::Add).filter(|_| depth > 0)?;
    for (added, rest) in [(added[0], added[1]), (added[1], added[0])] {
        if let Some((x, axes)) = log_sum_exp_within(graph, rest, depth - 1)
            && let Some([whole, off]) = operands_of(graph, x, MapFunction::Subtract)
            && viewed(graph, *off) == Some(added)
            && is_same_along(graph, *off, &axes)
        {
            return Some((*whole, axes));
        }
    }
    None
}

/// That a value's elements, or their exponentials, are at least 0 and add up to 1 along axes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Normalised {
    /// Along which axes.
    pub axes: Vec<usize>,
    /// It is true of the exponentials: the elements are logarithms of probabilities.
    pub logarithms: bool,
}

/// Which nodes are normalised.
pub fn normalised(graph: &Graph, ranges: &[Range]) -> Vec<Option<Normalised>> {
    let mut known: Vec<Option<Normalised>> = vec![];
    for id in graph.ids() {
        let found = normalised_node(graph, id, ranges, &known);
        known.push(found);
    }
    known
}

fn normalised_node(graph: &Graph, id: NodeId, ranges: &[Range], known: &[Option<Normalised>]) -> Option<Normalised> {
    let node = graph.node(id);
    let of = |id: NodeId| known[id.0 as usize].clone();
    match &node.op {
        Op::Stop | Op::Map(MapFunction::RoundBf16 | MapFunction::RoundF16) => of(node.operands[0]),
        Op::View { .. } => {
            let inner = of(viewed(graph, id)?)?;
            let Op::View { positions, .. } = &node.op else {
                return None;
            };
            let source = &graph.node(node.operands[0]).shape;
            let whole = |&a: &usize| positions[a].as_axis().filter(|&new| node.shape[new] == source[a]);
            let axes: Option<Vec<usize>> = inner.axes.iter().map(whole).collect();
            Some(Normalised { axes: axes?, ..inner })
        }
        Op::Map(MapFunction::Divide) if ranges[node.operands[0].0 as usize].low >= 0.0 => Some(Normalised {
            axes: shares(graph, node)?,
            logarithms: false,
        }),
        Op::Map(MapFunction::Logarithm) => {
            let inner = of(guarded(graph, node.operands[0]))?;
            (!inner.logarithms).then_some(Normalised {
                logarithms: true,
                ..inner
            })
        }
        Op::Map(MapFunction::Exponential) => {
            let inner = of(node.operands[0])?;
            inner.logarithms.then_some(Normalised {
                logarithms: false,
                ..inner
            })
        }
        Op::Map(MapFunction::Subtract) => {
            let (x, axes) = log_sum_exp(graph, viewed(graph, node.operands[1])?)?;
            let whole = x == node.operands[0] && is_same_along(graph, node.operands[1], &axes);
            whole.then_some(Normalised { axes, logarithms: true })
        }
        _ => None,
    }
}

/// A softmax's argument without what is the same along its axes: that changes nothing.
pub fn unshifted(graph: &Graph, mut id: NodeId, axes: &[usize], ends: &dyn Fn(NodeId) -> bool) -> NodeId {
    while !ends(id)
        && let Some(&[whole, off]) = operands_of(graph, id, MapFunction::Subtract)
        && is_same_along(graph, off, axes)
    {
        id = whole;
    }
    id
}

/// The same without a temperature.
pub fn unscaled(graph: &Graph, mut id: NodeId, axes: &[usize], ends: &dyn Fn(NodeId) -> bool) -> NodeId {
    while !ends(id) {
        let node = graph.node(id);
        id = match node.op {
            Op::Map(MapFunction::Divide | MapFunction::Multiply) if is_same_along(graph, node.operands[1], axes) => {
                node.operands[0]
            }
            Op::Map(MapFunction::Multiply) if is_same_along(graph, node.operands[0], axes) => node.operands[1],
            _ => return id,
        };
    }
    id
}

/// The argument of `sigmoid(x)`, of `log(1 + exp(x))` or of `1 + tanh(x)`: a logistic function, whatever surrounds it.
pub fn logistic(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let one_plus = |id: NodeId, function: MapFunction| -> Option<NodeId> {
        let [a, b] = operands_of(graph, id, MapFunction::Add)? else {
            return None;
        };
        for (one, x) in [(*a, *b), (*b, *a)] {
            if constant(graph, one) == Some(1.0)
                && let Some([x]) = operands_of(graph, x, function)
            {
                return Some(*x);
            }
        }
        None
    };
    if let Some([sum]) = operands_of(graph, id, MapFunction::Logarithm) {
        return one_plus(*sum, MapFunction::Exponential);
    }
    match operands_of(graph, id, MapFunction::Sigmoid) {
        Some([x]) => Some(*x),
        _ => one_plus(id, MapFunction::HyperbolicTangent),
    }
}

/// What a logistic function's argument is but for sign, scale and choice of a sign.
pub fn unsigned(graph: &Graph, mut id: NodeId, ends: &dyn Fn(NodeId) -> bool) -> NodeId {
    use MapFunction::*;
    while !ends(id) {
        let node = graph.node(id);
        let known = |number: usize| constant(graph, node.operands[number]).is_some();
        id = match node.op {
            Op::Map(Negate | Absolute) | Op::Stop => node.operands[0],
            Op::View { .. } if viewed(graph, id).is_some() => node.operands[0],
            Op::Map(Multiply) if known(0) => node.operands[1],
            Op::Map(Multiply | Divide) if known(1) => node.operands[0],
            Op::Map(Where) if is_mirrored(graph, node) => node.operands[1],
            _ => return id,
        };
    }
    id
}

/// `where(c, x, -x)`.
fn is_mirrored(graph: &Graph, node: &Node) -> bool {
    let negated = |id: NodeId| operands_of(graph, id, MapFunction::Negate).map(|o| o[0]);
    let [then, otherwise] = [node.operands[1], node.operands[2]];
    negated(then) == Some(otherwise) || negated(otherwise) == Some(then)
}

/// Whether a value is 0 by a draw of its own for each element, and another value else: dropout.
pub fn is_dropout(graph: &Graph, id: NodeId) -> bool {
    let Some([condition, then, otherwise]) = operands_of(graph, id, MapFunction::Where) else {
        return false;
    };
    let zero = |id: NodeId| constant(graph, id) == Some(0.0);
    let test = graph.node(*condition);
    let drawn = |id: &NodeId| matches!(graph.node(*id).op, Op::Random { .. });
    matches!(test.op, Op::Map(MapFunction::Less | MapFunction::LessEqual))
        && test.operands.iter().any(drawn)
        && (zero(*then) || zero(*otherwise))
}
