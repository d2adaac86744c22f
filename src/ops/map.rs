//! Element-wise functions. Every operand has exactly the result's shape; a smaller one is repeated by a view first.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand, map_gradient};
use crate::ir::graph::{Element, Graph, MapFunction, Op, elements};
use crate::ir::graph_print::map_name;
use crate::ir::number::sigmoid;

/// [`crate::ir::graph::Op::Map`].
pub struct Map(pub MapFunction);

/// How many operands a function takes.
pub fn arity(function: MapFunction) -> usize {
    use MapFunction::*;
    match function {
        Add | Subtract | Multiply | Divide | Power | Minimum | Maximum => 2,
        Less | LessEqual | Equal | And | Or => 2,
        Negate | Absolute | SquareRoot | Exponential | Logarithm | Sine | Cosine => 1,
        HyperbolicTangent | Sigmoid | Erf | Floor | RoundBf16 | RoundF16 | Not => 1,
        Where => 3,
    }
}

impl Primitive for Map {
    fn name(&self) -> &'static str {
        map_name(self.0)
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let expected = arity(self.0);
        demand(operands.len() == expected, || {
            format!("expected {expected} operands, found {}", operands.len())
        })?;
        let shape = &operands[0].shape;
        for operand in operands {
            demand(operand.shape == *shape, || {
                format!("expected shape {shape:?}, found {:?}", operand.shape)
            })?;
        }
        Ok(TensorType {
            shape: shape.clone(),
            element: element(self.0, operands)?,
        })
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let mut arguments = vec![0.0; operands.len()];
        let element = |i: usize| {
            for (argument, operand) in arguments.iter_mut().zip(operands) {
                *argument = operand.data[i];
            }
            value(self.0, &arguments)
        };
        Tensor64::new(&result.shape, (0..elements(&result.shape)).map(element).collect())
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        map_gradient::gradient(self.0, backward)
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        Cost::once(flops(self.0) * elements(&result.shape), operands, result)
    }

    fn samples() -> Vec<Sample> {
        FUNCTIONS.iter().map(|&function| sample(function)).collect()
    }
}

fn element(function: MapFunction, operands: &[TensorType]) -> Result<Element, ShapeError> {
    use MapFunction::*;
    let is_condition = |o: &TensorType| o.element == Element::Condition;
    let (conditions, result) = match function {
        And | Or | Not => (operands.len(), Element::Condition),
        Less | LessEqual | Equal => (0, Element::Condition),
        Where => {
            demand(is_condition(&operands[0]), || {
                format!("expected a condition, found {}", operands[0])
            })?;
            return chosen(operands[1].element, operands[2].element);
        }
        _ => (0, Element::Real),
    };
    for operand in operands {
        demand(is_condition(operand) == (conditions > 0), || {
            let expected = if conditions > 0 { "a condition" } else { "a number" };
            format!("expected {expected}, found {operand}")
        })?;
    }
    Ok(result)
}

/// What a choice between two elements is.
fn chosen(a: Element, b: Element) -> Result<Element, ShapeError> {
    match (a, b) {
        (Element::Id { bound: x }, Element::Id { bound: y }) => Ok(Element::Id { bound: x.max(y) }),
        (Element::Condition, Element::Condition) => Ok(Element::Condition),
        (Element::Condition, _) | (_, Element::Condition) => {
            Err(ShapeError(format!("expected two sides of a kind, found {a} and {b}")))
        }
        _ => Ok(Element::Real),
    }
}

/// The function itself, in float64. Conditions are 0 and 1. `libm`, so that every platform gives the same bits.
pub fn value(function: MapFunction, x: &[f64]) -> f64 {
    let truth = |c: bool| if c { 1.0 } else { 0.0 };
    match function {
        MapFunction::Add => x[0] + x[1],
        MapFunction::Subtract => x[0] - x[1],
        MapFunction::Multiply => x[0] * x[1],
        MapFunction::Divide => x[0] / x[1],
        MapFunction::Power => libm::pow(x[0], x[1]),
        MapFunction::Minimum if x[1] < x[0] => x[1],
        MapFunction::Minimum => x[0],
        MapFunction::Maximum if x[1] > x[0] => x[1],
        MapFunction::Maximum => x[0],
        MapFunction::Negate => -x[0],
        MapFunction::Absolute => x[0].abs(),
        MapFunction::SquareRoot => x[0].sqrt(),
        MapFunction::Exponential => libm::exp(x[0]),
        MapFunction::Logarithm => libm::log(x[0]),
        MapFunction::Sine => libm::sin(x[0]),
        MapFunction::Cosine => libm::cos(x[0]),
        MapFunction::HyperbolicTangent => libm::tanh(x[0]),
        MapFunction::Sigmoid => sigmoid(x[0]),
        MapFunction::Erf => libm::erf(x[0]),
        MapFunction::Floor => x[0].floor(),
        MapFunction::RoundBf16 => rounded(x[0], 8, -133, 3.3895313892515355e38),
        MapFunction::RoundF16 => rounded(x[0], 11, -24, 65504.0),
        MapFunction::Less => truth(x[0] < x[1]),
        MapFunction::LessEqual => truth(x[0] <= x[1]),
        MapFunction::Equal => truth(x[0] == x[1]),
        MapFunction::And => truth(x[0] != 0.0 && x[1] != 0.0),
        MapFunction::Or => truth(x[0] != 0.0 || x[1] != 0.0),
        MapFunction::Not => truth(x[0] == 0.0),
        MapFunction::Where => x[if x[0] != 0.0 { 1 } else { 2 }],
    }
}

/// Every function.
pub const FUNCTIONS: [MapFunction; 27] = {
    use MapFunction::*;
    [
        Add,
        Subtract,
        Multiply,
        Divide,
        Power,
        Minimum,
        Maximum,
        Negate,
        Absolute,
        SquareRoot,
        Exponential,
        Logarithm,
        Sine,
        Cosine,
        HyperbolicTangent,
        Sigmoid,
        Erf,
        Floor,
        RoundBf16,
        RoundF16,
        Less,
        LessEqual,
        Equal,
        And,
        Or,
        Not,
        Where,
    ]
};

/// The nearest number with so many bits of significand and no bit below 2^`least`, ties to even; beyond `most` an infinity.
fn rounded(x: f64, bits: i32, least: i32, most: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let (_, exponent) = libm::frexp(x);
    let unit = libm::ldexp(1.0, (exponent - bits).max(least));
    let nearest = (x / unit).round_ties_even() * unit;
    if nearest.abs() > most {
        f64::INFINITY.copysign(x)
    } else {
        nearest
    }
}

/// Of one element; a polynomial's length for functions that need one.
fn flops(function: MapFunction) -> usize {
    use MapFunction::*;
    match function {
        Exponential | Logarithm | Sine | Cosine | HyperbolicTangent | Sigmoid | Erf => 15,
        Power => 30,
        Divide | SquareRoot => 4,
        RoundBf16 | RoundF16 => 4,
        _ => 1,
    }
}

fn sample(function: MapFunction) -> Sample {
    use MapFunction::*;
    let shape = vec![3, 21];
    let of = |element| TensorType {
        shape: shape.clone(),
        element,
    };
    let (element, domain, result) = match function {
        And | Or | Not => (Element::Condition, Domain::Between(0.0, 1.0), Element::Condition),
        Less | LessEqual => (Element::Real, Domain::Distinct(-2.0, 2.0), Element::Condition),
        Equal => (Element::Id { bound: 3 }, Domain::Between(0.0, 1.0), Element::Condition),
        Divide | Power | SquareRoot | Logarithm => (Element::Real, Domain::Between(0.2, 3.0), Element::Real),
        Minimum | Maximum => (Element::Real, Domain::Distinct(-2.0, 2.0), Element::Real),
        _ => (Element::Real, Domain::Between(-2.5, 2.5), Element::Real),
    };
    let mut operands = vec![(of(element), domain); arity(function)];
    if function == Where {
        operands[0].0.element = Element::Condition;
    }
    let sample = Sample::new(Op::Map(function), operands, of(result));
    match function {
        Exponential | Logarithm | Sine | Cosine | HyperbolicTangent | Sigmoid | Erf => {
            sample.tolerance(6e-7, "a polynomial within a few units in the last place")
        }
        Power => sample.tolerance(2e-6, "the logarithm's rounding is multiplied by the exponent"),
        _ => sample,
    }
}
