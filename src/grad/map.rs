//! The gradient rules of the element-wise functions, in one table. `y` is the function's own value.

use crate::ir::graph::{MapFunction, Node, NodeId};
use crate::ops::construct::GraphBuilder;

/// What each operand that takes a gradient receives.
pub fn contributions(
    b: &mut GraphBuilder,
    function: MapFunction,
    y: NodeId,
    node: &Node,
    d: NodeId,
    takes: &[bool],
) -> Vec<(usize, NodeId)> {
    (0..node.operands.len())
        .filter(|&operand| takes[operand])
        .filter_map(|operand| rule(b, function, operand, y, &node.operands, d).map(|c| (operand, c)))
        .collect()
}

fn rule(
    b: &mut GraphBuilder,
    function: MapFunction,
    operand: usize,
    y: NodeId,
    x: &[NodeId],
    d: NodeId,
) -> Option<NodeId> {
    use MapFunction::*;
    let zero = b.constant_like(d, 0.0);
    Some(match (function, operand) {
        (Add, _) | (Subtract, 0) => d,
        (Subtract, _) | (Negate, _) => b.map(Negate, &[d]),
        (Multiply, _) => b.multiply(d, x[1 - operand]),
        (Divide, 0) => b.divide(d, x[1]),
        // ∂(a / b)/∂b = −y / b.
        (Divide, _) => {
            let dy = b.multiply(d, y);
            let quotient = b.divide(dy, x[1]);
            b.map(Negate, &[quotient])
        }
        (Power, 0) => power_base(b, x, d),
        // ∂(aᵇ)/∂b = aᵇ ln a.
        (Power, _) => {
            let log = b.map(Logarithm, &[x[0]]);
            let slope = b.multiply(y, log);
            b.multiply(d, slope)
        }
        // Minimum(a, b) gives b where b < a, else a; Maximum gives b where b > a, else a.
        (Minimum, _) => {
            let second = b.map(Less, &[x[1], x[0]]);
            if operand == 0 {
                b.select(second, zero, d)
            } else {
                b.select(second, d, zero)
            }
        }
        (Maximum, _) => {
            let second = b.map(Less, &[x[0], x[1]]);
            if operand == 0 {
                b.select(second, zero, d)
            } else {
                b.select(second, d, zero)
            }
        }
        (Where, 1) => b.select(x[0], d, zero),
        (Where, 2) => b.select(x[0], zero, d),
        (Absolute, _) => {
            let positive = b.map(Less, &[zero, x[0]]);
            let negative = b.map(Less, &[x[0], zero]);
            let minus = b.map(Negate, &[d]);
            let otherwise = b.select(negative, minus, zero);
            b.select(positive, d, otherwise)
        }
        (SquareRoot, _) => {
            let half = b.map_constant(Multiply, d, 0.5);
            b.divide(half, y)
        }
        (Exponential, _) => b.multiply(d, y),
        (Logarithm, _) => b.divide(d, x[0]),
        (Sine, _) => {
            let slope = b.map(Cosine, &[x[0]]);
            b.multiply(d, slope)
        }
        (Cosine, _) => {
            let slope = b.map(Sine, &[x[0]]);
            let product = b.multiply(d, slope);
            b.map(Negate, &[product])
        }
        // 1 − y².
        (HyperbolicTangent, _) => {
            let square = b.multiply(y, y);
            let one = b.constant_like(d, 1.0);
            let slope = b.subtract(one, square);
            b.multiply(d, slope)
        }
        // 2/√π · exp(−x²).
        (Erf, _) => {
            let square = b.multiply(x[0], x[0]);
            let minus = b.map(Negate, &[square]);
            let bell = b.map(Exponential, &[minus]);
            let slope = b.map_constant(Multiply, bell, std::f64::consts::FRAC_2_SQRT_PI);
            b.multiply(d, slope)
        }
        // Constant between its steps; conditions have no slope.
        (Floor | Less | LessEqual | Equal | And | Or | Not | Where, _) => return None,
    })
}

/// ∂(aᵇ)/∂a = b · aᵇ⁻¹, with what a constant exponent makes simpler.
fn power_base(b: &mut GraphBuilder, x: &[NodeId], d: NodeId) -> NodeId {
    use MapFunction::*;
    let slope = match b.as_constant(x[1]) {
        Some(0.0) => return b.constant_like(d, 0.0),
        Some(1.0) => return d,
        Some(2.0) => b.map_constant(Multiply, x[0], 2.0),
        Some(exponent) => {
            let power = b.map_constant(Power, x[0], exponent - 1.0);
            b.map_constant(Multiply, power, exponent)
        }
        None => {
            let one = b.constant_like(d, 1.0);
            let less = b.subtract(x[1], one);
            let power = b.map(Power, &[x[0], less]);
            b.multiply(x[1], power)
        }
    };
    b.multiply(d, slope)
}
