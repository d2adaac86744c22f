//! Arithmetic on numbers alone: exact while known, an expression of the step where not.

use super::elaborator::{Checked, Elaborator};
use super::fraction::Known;
use super::value::{Quantity, Value};
use crate::ir::ast::BinaryOperator;
use crate::ir::graph::MapFunction;
use crate::ir::number::{Number, NumberFunction};
use crate::text::{Code, Span};
use std::cmp::Ordering;

/// The functions of one element or number that are no definitions: name, number of arguments, and their two forms.
pub const FUNCTIONS: &[(&str, usize, MapFunction, NumberFunction)] = &[
    ("exp", 1, MapFunction::Exponential, NumberFunction::Exponential),
    ("log", 1, MapFunction::Logarithm, NumberFunction::Logarithm),
    ("sqrt", 1, MapFunction::SquareRoot, NumberFunction::SquareRoot),
    ("sin", 1, MapFunction::Sine, NumberFunction::Sine),
    ("cos", 1, MapFunction::Cosine, NumberFunction::Cosine),
    (
        "tanh",
        1,
        MapFunction::HyperbolicTangent,
        NumberFunction::HyperbolicTangent,
    ),
    ("sigmoid", 1, MapFunction::Sigmoid, NumberFunction::Sigmoid),
    ("erf", 1, MapFunction::Erf, NumberFunction::Erf),
    ("abs", 1, MapFunction::Absolute, NumberFunction::Absolute),
    ("floor", 1, MapFunction::Floor, NumberFunction::Floor),
    ("min", 2, MapFunction::Minimum, NumberFunction::Minimum),
    ("max", 2, MapFunction::Maximum, NumberFunction::Maximum),
    ("where", 3, MapFunction::Where, NumberFunction::Where),
];

/// The function of a name.
pub fn function(name: &str) -> Option<(usize, MapFunction, NumberFunction)> {
    FUNCTIONS
        .iter()
        .find(|f| f.0 == name)
        .map(|&(_, count, map, number)| (count, map, number))
}

/// Whether a function's argument may be written in degrees.
pub fn takes_an_angle(name: &str) -> bool {
    matches!(name, "sin" | "cos")
}

/// The function of a name, if it takes one argument and so can be a layer.
pub fn unary_function(name: &str) -> Option<MapFunction> {
    function(name).filter(|f| f.0 == 1).map(|f| f.1)
}

/// Combines two values that are no tensors.
pub fn combine<'a>(
    elaborator: &mut Elaborator<'a>,
    operator: BinaryOperator,
    left: &Value<'a>,
    right: &Value<'a>,
    span: Span,
) -> Checked<Value<'a>> {
    use BinaryOperator::*;
    match (operator, left, right) {
        (_, Value::Number(a), Value::Number(b)) => known(elaborator, operator, a, b, span),
        (And, Value::Condition(a), Value::Condition(b)) => Ok(Value::Condition(*a && *b)),
        (Or, Value::Condition(a), Value::Condition(b)) => Ok(Value::Condition(*a || *b)),
        (Equal, Value::Condition(a), Value::Condition(b)) => Ok(Value::Condition(a == b)),
        (NotEqual, Value::Condition(a), Value::Condition(b)) => Ok(Value::Condition(a != b)),
        (Equal, Value::Word(a), Value::Word(b)) => Ok(Value::Condition(a == b)),
        (NotEqual, Value::Word(a), Value::Word(b)) => Ok(Value::Condition(a != b)),
        (And | Or, _, _) => match (condition_number(left), condition_number(right)) {
            (Some(a), Some(b)) => {
                let function = if operator == And {
                    NumberFunction::And
                } else {
                    NumberFunction::Or
                };
                Ok(Value::StepCondition(Number::apply(function, vec![a, b])))
            }
            _ => mismatch(elaborator, left, right, span),
        },
        _ => match (left.as_number(), right.as_number()) {
            (Some(a), Some(b)) => Ok(step(operator, a, b)),
            _ => mismatch(elaborator, left, right, span),
        },
    }
}

fn condition_number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Condition(c) => Some(Number::Constant(if *c { 1.0 } else { 0.0 })),
        Value::StepCondition(n) => Some(n.clone()),
        _ => None,
    }
}

fn mismatch<'a>(e: &mut Elaborator<'a>, left: &Value<'a>, right: &Value<'a>, span: Span) -> Checked<Value<'a>> {
    let message = format!(
        "this operator does not apply to {} and {}",
        left.describe(),
        right.describe()
    );
    e.error(Code::WrongKind, span, message)
}

fn known<'a>(
    e: &mut Elaborator<'a>,
    operator: BinaryOperator,
    a: &Quantity,
    b: &Quantity,
    span: Span,
) -> Checked<Value<'a>> {
    use BinaryOperator::*;
    let order = a.value.compare(b.value);
    let value = match operator {
        Add => a.value.plus(b.value),
        Subtract => a.value.plus(b.value.negative()),
        Multiply => a.value.times(b.value),
        Power => a.value.power(b.value),
        Divide => match a.value.over(b.value) {
            Some(value) => value,
            None => return e.error(Code::WrongValue, span, "division by zero"),
        },
        WholeDivide | Modulo => {
            let value = if operator == Modulo {
                a.value.remainder(b.value)
            } else {
                a.value.whole_quotient(b.value)
            };
            match value {
                Some(value) => value,
                None => {
                    let sign = if operator == Modulo { "mod" } else { "div" };
                    let message = format!(
                        "`{sign}` needs whole numbers and a divisor that is not 0, found {} and {}",
                        a.value, b.value
                    );
                    return e.error(Code::WrongValue, span, message);
                }
            }
        }
        Equal => return Ok(Value::Condition(order == Some(Ordering::Equal))),
        NotEqual => return Ok(Value::Condition(order != Some(Ordering::Equal))),
        Less => return Ok(Value::Condition(order == Some(Ordering::Less))),
        LessEqual => {
            return Ok(Value::Condition(matches!(
                order,
                Some(Ordering::Less | Ordering::Equal)
            )));
        }
        Greater => return Ok(Value::Condition(order == Some(Ordering::Greater))),
        GreaterEqual => {
            return Ok(Value::Condition(matches!(
                order,
                Some(Ordering::Greater | Ordering::Equal)
            )));
        }
        And | Or => {
            return e.error(
                Code::WrongKind,
                span,
                "`and` and `or` are for conditions, not for numbers",
            );
        }
    };
    // What goes beyond all numbers, or is none, comes of a mistake, unless it went in.
    if !value.real().is_finite() && a.value.real().is_finite() && b.value.real().is_finite() {
        return no_number(e, value.real(), span);
    }
    let label = e.sources.text(span).to_string();
    Ok(Value::Number(Quantity {
        value,
        origin: span,
        label,
    }))
}

/// Reports a result that is beyond all numbers, or none.
fn no_number<T>(e: &mut Elaborator<'_>, result: f64, span: Span) -> Checked<T> {
    if result.is_nan() {
        e.error(Code::WrongValue, span, "this is not a number")
    } else if result < 0.0 {
        e.error(Code::WrongValue, span, "this is below the least number, about -1.8e308")
    } else {
        e.error(
            Code::SizeTooLarge,
            span,
            "this is beyond the greatest number, about 1.8e308",
        )
    }
}

/// A number as an element of a tensor or a number of a program holds it, in float32: `inf` stays, but what is written as
/// a number does not become infinite, and does not become 0.
pub fn stored(e: &mut Elaborator<'_>, quantity: &Quantity, span: Span) -> Checked<f64> {
    let real = quantity.value.real();
    let kept = real as f32;
    let message = if real.is_finite() && kept.is_infinite() {
        format!("{real:e} is beyond what is computed with: float32 goes to about 3.4e38")
    } else if real != 0.0 && kept == 0.0 {
        format!("{real:e} would be 0 where it is computed with: float32 begins at about 1.4e-45")
    } else {
        return Ok(real);
    };
    let place = if quantity.origin == Span::NOWHERE {
        span
    } else {
        quantity.origin
    };
    e.error(Code::WrongValue, place, message)
}

fn step<'a>(operator: BinaryOperator, a: Number, b: Number) -> Value<'a> {
    use BinaryOperator::*;
    let apply = |function, list| Number::apply(function, list);
    match operator {
        Add => Value::Step(apply(NumberFunction::Add, vec![a, b])),
        Subtract => Value::Step(apply(NumberFunction::Subtract, vec![a, b])),
        Multiply => Value::Step(apply(NumberFunction::Multiply, vec![a, b])),
        Divide => Value::Step(apply(NumberFunction::Divide, vec![a, b])),
        Power => Value::Step(apply(NumberFunction::Power, vec![a, b])),
        WholeDivide => Value::Step(apply(
            NumberFunction::Floor,
            vec![apply(NumberFunction::Divide, vec![a, b])],
        )),
        Modulo => Value::Step(apply(NumberFunction::Modulo, vec![a, b])),
        Equal => Value::StepCondition(apply(NumberFunction::Equal, vec![a, b])),
        NotEqual => Value::StepCondition(apply(
            NumberFunction::Not,
            vec![apply(NumberFunction::Equal, vec![a, b])],
        )),
        Less => Value::StepCondition(apply(NumberFunction::Less, vec![a, b])),
        LessEqual => Value::StepCondition(apply(NumberFunction::LessEqual, vec![a, b])),
        Greater => Value::StepCondition(apply(NumberFunction::Less, vec![b, a])),
        GreaterEqual => Value::StepCondition(apply(NumberFunction::LessEqual, vec![b, a])),
        And => Value::StepCondition(apply(NumberFunction::And, vec![a, b])),
        Or => Value::StepCondition(apply(NumberFunction::Or, vec![a, b])),
    }
}

/// Applies a function to values that are no tensors.
pub fn apply<'a>(e: &mut Elaborator<'a>, name: &str, arguments: &[Value<'a>], span: Span) -> Checked<Value<'a>> {
    let Some((_, _, function)) = function(name) else {
        return Err(super::elaborator::Wrong);
    };
    if let (NumberFunction::Where, [Value::Condition(c), then, otherwise]) = (function, arguments) {
        return Ok(if *c { then.clone() } else { otherwise.clone() });
    }
    let numbers: Option<Vec<Number>> = arguments
        .iter()
        .map(|a| a.as_number().or_else(|| condition_number(a)))
        .collect();
    let Some(numbers) = numbers else {
        let odd = arguments
            .iter()
            .find(|a| a.as_number().is_none())
            .map_or("nothing", |a| a.describe());
        return e.error(
            Code::WrongKind,
            span,
            format!("`{name}` needs numbers or tensors, found {odd}"),
        );
    };
    if let (NumberFunction::Minimum | NumberFunction::Maximum, [Value::Number(a), Value::Number(b)]) =
        (function, arguments)
    {
        let less = a.value.compare(b.value) == Some(Ordering::Less);
        let chosen = if less == (function == NumberFunction::Minimum) {
            a
        } else {
            b
        };
        return Ok(Value::Number(chosen.clone()));
    }
    let label = e.sources.text(span).to_string();
    let finite = |n: &Number| n.as_constant().is_none_or(f64::is_finite);
    let from_finite = numbers.iter().all(finite);
    Ok(match Number::apply(function, numbers) {
        Number::Constant(real) if from_finite && !real.is_finite() => {
            return no_number(e, real, span);
        }
        Number::Constant(real) => {
            let exact = matches!(function, NumberFunction::Absolute | NumberFunction::Floor)
                && real.abs() < 1e15
                && real.fract() == 0.0;
            let value = if exact {
                Known::whole(real as i128)
            } else {
                Known::Real(real)
            };
            Value::Number(Quantity {
                value,
                origin: span,
                label,
            })
        }
        changing => Value::Step(changing),
    })
}
