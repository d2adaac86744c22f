//! The gradients of element-wise functions, one row for each. `d` is the result's gradient, `y` the result.

use super::construct::GraphBuilder;
use super::{Backward, Grads};
use crate::ir::graph::{MapFunction, NodeId};

/// The gradients by the operands of a map.
pub fn gradient(function: MapFunction, backward: &mut Backward) -> Grads {
    use MapFunction::*;
    match function {
        Floor => Grads::none("it is constant almost everywhere"),
        RoundBf16 | RoundF16 => Grads::none("numbers are rounded behind differentiation"),
        Less | LessEqual | Equal | And | Or | Not => Grads::none("a condition has no gradient"),
        Where => Grads::Operands(chosen(backward)),
        Add | Subtract | Multiply | Divide | Power | Minimum | Maximum => Grads::Operands(binary(function, backward)),
        _ => {
            let (x, y, d) = (backward.operands[0], backward.node, backward.gradient);
            Grads::Operands(vec![Some(unary(function, backward.builder, x, y, d))])
        }
    }
}

/// The gradient goes to the chosen side alone, so an infinity on the other side stays without effect.
fn chosen(backward: &mut Backward) -> Vec<Option<NodeId>> {
    let (condition, d) = (backward.operands[0], backward.gradient);
    let zero = backward.builder.constant_like(d, 0.0);
    let then = backward.wanted[1].then(|| backward.builder.select(condition, d, zero));
    let otherwise = backward.wanted[2].then(|| backward.builder.select(condition, zero, d));
    vec![None, then, otherwise]
}

fn binary(function: MapFunction, backward: &mut Backward) -> Vec<Option<NodeId>> {
    use MapFunction::*;
    let [a, b] = [backward.operands[0], backward.operands[1]];
    let (y, d, wanted) = (backward.node, backward.gradient, backward.wanted);
    let g = &mut *backward.builder;
    let mut both = |da: &dyn Fn(&mut GraphBuilder) -> NodeId, db: &dyn Fn(&mut GraphBuilder) -> NodeId| {
        vec![wanted[0].then(|| da(g)), wanted[1].then(|| db(g))]
    };
    match function {
        Add => both(&|_| d, &|_| d),
        Subtract => both(&|_| d, &|g| g.map(Negate, &[d])),
        Multiply => both(&|g| g.multiply(d, b), &|g| g.multiply(d, a)),
        // ∂(a/b)/∂b = −a/b² = −y/b
        Divide => both(&|g| g.divide(d, b), &|g| {
            let quotient = g.divide(y, b);
            let product = g.multiply(d, quotient);
            g.map(Negate, &[product])
        }),
        Power => both(&|g| power_by_base(g, a, b, d), &|g| power_by_exponent(g, a, y, d)),
        // `Minimum` is b where b < a, `Maximum` is b where b > a; else a, the first of equals.
        Minimum => both(&|g| kept(g, [b, a], d, false), &|g| kept(g, [b, a], d, true)),
        Maximum => both(&|g| kept(g, [a, b], d, false), &|g| kept(g, [a, b], d, true)),
        _ => unreachable!("{function:?} does not take two reals"),
    }
}

/// `d` where `pair[0] < pair[1]` is as told, else 0.
fn kept(g: &mut GraphBuilder, pair: [NodeId; 2], d: NodeId, less: bool) -> NodeId {
    let condition = g.map(MapFunction::Less, &pair);
    let zero = g.constant_like(d, 0.0);
    match less {
        true => g.select(condition, d, zero),
        false => g.select(condition, zero, d),
    }
}

/// ∂(a^b)/∂a = b · a^(b−1), and 0 for an exponent of 0, also at a = 0.
fn power_by_base(g: &mut GraphBuilder, a: NodeId, b: NodeId, d: NodeId) -> NodeId {
    match g.as_constant(b) {
        Some(0.0) => g.constant_like(d, 0.0),
        Some(1.0) => d,
        Some(2.0) => {
            let double = g.map_constant(MapFunction::Multiply, a, 2.0);
            g.multiply(d, double)
        }
        Some(exponent) => {
            let lower = g.map_constant(MapFunction::Power, a, exponent - 1.0);
            let slope = g.map_constant(MapFunction::Multiply, lower, exponent);
            g.multiply(d, slope)
        }
        None => {
            let zero = g.constant_like(d, 0.0);
            let one = g.constant_like(d, 1.0);
            let exponent = g.subtract(b, one);
            let lower = g.map(MapFunction::Power, &[a, exponent]);
            let slope = g.multiply(b, lower);
            let is_zero = g.map(MapFunction::Equal, &[b, zero]);
            let slope = g.select(is_zero, zero, slope);
            g.multiply(d, slope)
        }
    }
}

/// ∂(a^b)/∂b = a^b · log a for a above 0, else 0.
fn power_by_exponent(g: &mut GraphBuilder, a: NodeId, y: NodeId, d: NodeId) -> NodeId {
    let zero = g.constant_like(d, 0.0);
    let positive = g.map(MapFunction::Less, &[zero, a]);
    let logarithm = g.map(MapFunction::Logarithm, &[a]);
    let slope = g.multiply(y, logarithm);
    let slope = g.select(positive, slope, zero);
    g.multiply(d, slope)
}

fn unary(function: MapFunction, g: &mut GraphBuilder, x: NodeId, y: NodeId, d: NodeId) -> NodeId {
    use MapFunction::*;
    match function {
        Negate => g.map(Negate, &[d]),
        // 0 at 0.
        Absolute => {
            let zero = g.constant_like(d, 0.0);
            let negated = g.map(Negate, &[d]);
            let negative = g.map(Less, &[x, zero]);
            let positive = g.map(Less, &[zero, x]);
            let otherwise = g.select(negative, negated, zero);
            g.select(positive, d, otherwise)
        }
        SquareRoot => {
            let half = g.map_constant(Multiply, d, 0.5);
            g.divide(half, y)
        }
        Exponential => g.multiply(d, y),
        Logarithm => g.divide(d, x),
        Sine => {
            let slope = g.map(Cosine, &[x]);
            g.multiply(d, slope)
        }
        Cosine => {
            let slope = g.map(Sine, &[x]);
            let product = g.multiply(d, slope);
            g.map(Negate, &[product])
        }
        HyperbolicTangent => {
            let one = g.constant_like(d, 1.0);
            let square = g.multiply(y, y);
            let slope = g.subtract(one, square);
            g.multiply(d, slope)
        }
        Sigmoid => {
            let one = g.constant_like(d, 1.0);
            let rest = g.subtract(one, y);
            let slope = g.multiply(y, rest);
            g.multiply(d, slope)
        }
        // erf′(x) = 2/√π · exp(−x²)
        Erf => {
            let square = g.multiply(x, x);
            let exponent = g.map(Negate, &[square]);
            let bell = g.map(Exponential, &[exponent]);
            let slope = g.map_constant(Multiply, bell, std::f64::consts::FRAC_2_SQRT_PI);
            g.multiply(d, slope)
        }
        _ => unreachable!("{function:?} does not take one real"),
    }
}
