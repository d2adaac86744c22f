//! Between which numbers a value of a graph lies: abstract interpretation by intervals, from the leaves on.
//! What it tells always holds; where it does not know, it says that any number may be.

use super::structure;
use crate::ir::graph::{Element, Graph, MapFunction, Node, NodeId, Op, ReduceFunction, elements};
use crate::ir::number::sigmoid;

/// The numbers from `low` to `high`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    /// No element is below it.
    pub low: f64,
    /// No element is above it.
    pub high: f64,
}

impl Range {
    /// Any number.
    pub const ALL: Range = Range {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// From one number to another.
    pub fn new(low: f64, high: f64) -> Range {
        if low.is_nan() || high.is_nan() {
            return Range::ALL;
        }
        Range { low, high }
    }

    /// One number.
    pub fn point(value: f64) -> Range {
        Range::new(value, value)
    }

    /// The number, if there is only one.
    pub fn as_point(self) -> Option<f64> {
        (self.low == self.high).then_some(self.low)
    }

    /// Whether all numbers are within these bounds.
    pub fn is_within(self, low: f64, high: f64) -> bool {
        self.low >= low && self.high <= high
    }

    fn join(self, other: Range) -> Range {
        Range::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// The hull of a function's values at the corners of two ranges; exact for functions that are monotone in each argument.
    fn corners(self, other: Range, f: impl Fn(f64, f64) -> f64) -> Range {
        let values = [
            f(self.low, other.low),
            f(self.low, other.high),
            f(self.high, other.low),
            f(self.high, other.high),
        ];
        if values.iter().any(|v| v.is_nan()) {
            return Range::ALL;
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        Range::new(low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    fn monotone(self, f: impl Fn(f64) -> f64) -> Range {
        Range::new(f(self.low), f(self.high))
    }

    fn times(self, count: f64) -> Range {
        self.corners(Range::point(count), product)
    }
}

/// The range of every node. `leaf` tells that of inputs, parameters, states, numbers of the step and gradients.
pub fn ranges(graph: &Graph, leaf: &dyn Fn(&Node) -> Range) -> Vec<Range> {
    let mut ranges = Vec::with_capacity(graph.len());
    for id in graph.ids() {
        let range = range(graph, id, &ranges, leaf);
        ranges.push(range);
    }
    ranges
}

/// The range of one node from those of its operands.
pub fn range(graph: &Graph, id: NodeId, known: &[Range], leaf: &dyn Fn(&Node) -> Range) -> Range {
    let node = graph.node(id);
    let of = |number: usize| known[node.operands[number].0 as usize];
    match &node.op {
        Op::Input(_) | Op::Param(_) | Op::State(_) | Op::StepNumber(_) | Op::Gradient(_) => leaf(node),
        Op::Constant(value) => Range::point(*value),
        Op::Index { axis } => Range::new(0.0, node.shape[*axis] as f64 - 1.0),
        Op::Map(function) => map(graph, node, *function, known),
        Op::Reduce { function, axes } => {
            let shape = &graph.node(node.operands[0]).shape;
            let count = axes.iter().map(|&a| shape[a] as f64).product();
            match function {
                ReduceFunction::Sum => of(0).times(count),
                ReduceFunction::Maximum | ReduceFunction::Minimum => of(0),
                ReduceFunction::Product if of(0).is_within(0.0, 1.0) => Range::new(0.0, 1.0),
                ReduceFunction::Product => Range::ALL,
            }
        }
        Op::Contract { .. } => {
            let factor = |number: usize| elements(&graph.node(node.operands[number]).shape);
            let all = factor(0) as u128 * factor(1) as u128;
            let result = elements(&node.shape).max(1) as u128;
            // At most so many products are added; their number does not matter where a bound is 0 or infinite.
            of(0)
                .corners(of(1), product)
                .times((all / result) as f64)
                .join(Range::point(0.0))
        }
        Op::View { guards, fill, .. } if !guards.is_empty() => of(0).join(Range::point(*fill)),
        Op::View { .. } | Op::Stop | Op::Gather { .. } => of(0),
        Op::Random { .. } => Range::new(0.0, 1.0),
        Op::Sort { axis } => Range::new(0.0, node.shape[*axis] as f64 - 1.0),
        Op::ScatterAdd { .. } | Op::Scan(_) => Range::ALL,
    }
}

/// The range of what a batch brings, if nothing is known of the data.
pub fn of_element(element: Element) -> Range {
    match element {
        Element::Real => Range::ALL,
        Element::Id { bound } => Range::new(0.0, bound as f64 - 1.0),
        Element::Condition => Range::new(0.0, 1.0),
    }
}

/// A product in which 0 times infinity is 0: a bound at infinity is never reached.
fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

fn map(graph: &Graph, node: &Node, function: MapFunction, known: &[Range]) -> Range {
    use MapFunction::*;
    let of = |number: usize| known[node.operands[number].0 as usize];
    let same = node.operands.len() == 2 && node.operands[0] == node.operands[1];
    let condition = Range::new(0.0, 1.0);
    match function {
        Add => Range::new(of(0).low + of(1).low, of(0).high + of(1).high),
        Subtract if same => Range::point(0.0),
        Subtract => Range::new(of(0).low - of(1).high, of(0).high - of(1).low),
        Multiply if same => square(of(0)),
        Multiply => of(0).corners(of(1), product),
        Divide if structure::is_softmax(graph, node, known) => condition,
        Divide => quotient(of(0), of(1)),
        Power => power(of(0), of(1)),
        Minimum => Range::new(of(0).low.min(of(1).low), of(0).high.min(of(1).high)),
        Maximum => Range::new(of(0).low.max(of(1).low), of(0).high.max(of(1).high)),
        Negate => Range::new(-of(0).high, -of(0).low),
        Absolute => magnitude(of(0)),
        SquareRoot => of(0).monotone(|x| x.max(0.0).sqrt()),
        Exponential => of(0).monotone(libm::exp),
        Logarithm => of(0).monotone(|x| libm::log(x.max(0.0))),
        Sine | Cosine => match of(0).as_point() {
            Some(x) if function == Sine => Range::point(libm::sin(x)),
            Some(x) => Range::point(libm::cos(x)),
            None => Range::new(-1.0, 1.0),
        },
        HyperbolicTangent => of(0).monotone(libm::tanh),
        Sigmoid => of(0).monotone(sigmoid),
        Erf => of(0).monotone(libm::erf),
        Floor => of(0).monotone(f64::floor),
        RoundBf16 => rounded(of(0), (1.0 / 256.0, 1e-38), f64::INFINITY),
        RoundF16 => rounded(of(0), (1.0 / 2048.0, 6e-8), 65504.0),
        Less => decided(of(0).high < of(1).low, of(0).low >= of(1).high),
        LessEqual => decided(of(0).high <= of(1).low, of(0).low > of(1).high),
        Equal => match (of(0).as_point(), of(1).as_point()) {
            (Some(a), Some(b)) => decided(a == b, a != b),
            _ => decided(false, of(0).high < of(1).low || of(1).high < of(0).low),
        },
        And => Range::new(of(0).low.min(of(1).low), of(0).high.min(of(1).high)),
        Or => Range::new(of(0).low.max(of(1).low), of(0).high.max(of(1).high)),
        Not => Range::new(1.0 - of(0).high, 1.0 - of(0).low),
        Where => chosen(graph, node, known),
    }
}

fn decided(holds: bool, fails: bool) -> Range {
    match (holds, fails) {
        (true, _) => Range::point(1.0),
        (_, true) => Range::point(0.0),
        _ => Range::new(0.0, 1.0),
    }
}

/// Rounded by at most a share of each number's size, near 0 by a fixed amount; beyond the greatest to infinity.
fn rounded(x: Range, (share, least): (f64, f64), greatest: f64) -> Range {
    let low = x.low - (share * x.low.abs()).max(least);
    let high = x.high + (share * x.high.abs()).max(least);
    Range::new(
        if low < -greatest { f64::NEG_INFINITY } else { low },
        if high > greatest { f64::INFINITY } else { high },
    )
}

fn magnitude(x: Range) -> Range {
    let high = x.low.abs().max(x.high.abs());
    let low = if x.low <= 0.0 && x.high >= 0.0 {
        0.0
    } else {
        x.low.abs().min(x.high.abs())
    };
    Range::new(low, high)
}

fn square(x: Range) -> Range {
    magnitude(x).monotone(|x| x * x)
}

fn quotient(a: Range, b: Range) -> Range {
    if b.low > 0.0 || b.high < 0.0 {
        return a.corners(b, |x, y| if x == 0.0 { 0.0 } else { x / y });
    }
    match a.low >= 0.0 && b.low >= 0.0 {
        true => Range::new(0.0, f64::INFINITY),
        false => Range::ALL,
    }
}

fn power(base: Range, exponent: Range) -> Range {
    match exponent.as_point() {
        Some(e) if e.fract() == 0.0 && e > 0.0 && e % 2.0 == 0.0 => magnitude(base).monotone(|x| libm::pow(x, e)),
        Some(e) if e.fract() == 0.0 && e > 0.0 => base.monotone(|x| libm::pow(x, e)),
        _ if base.low >= 0.0 => base.corners(exponent, libm::pow),
        _ => Range::ALL,
    }
}

/// `where(x <= 0, 0, x)`: a side that stands in the condition is narrowed by it.
fn chosen(graph: &Graph, node: &Node, known: &[Range]) -> Range {
    let of = |id: NodeId| known[id.0 as usize];
    let [condition, then, otherwise] = [node.operands[0], node.operands[1], node.operands[2]];
    match of(condition).as_point() {
        Some(0.0) => return of(otherwise),
        Some(_) => return of(then),
        None => {}
    }
    let (mut chosen, mut left) = (of(then), of(otherwise));
    let test = graph.node(condition);
    if let Op::Map(MapFunction::Less | MapFunction::LessEqual) = test.op {
        let [less, more] = [test.operands[0], test.operands[1]];
        if then == less {
            chosen.high = chosen.high.min(of(more).high);
        }
        if then == more {
            chosen.low = chosen.low.max(of(less).low);
        }
        if otherwise == less {
            left.low = left.low.max(of(more).low);
        }
        if otherwise == more {
            left.high = left.high.min(of(less).high);
        }
    }
    chosen.join(left)
}

#[cfg(test)]
#[path = "range_test.rs"]
mod tests;
