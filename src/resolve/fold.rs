//! Applies element-wise functions to elements of equations, at once where the result is known without them:
//! a mask that is not given or a window that is infinite must cost nothing.

use crate::ir::graph::{Element, MapFunction};
use crate::ir::model::Expr;

/// The element of a function of elements.
pub fn apply(function: MapFunction, arguments: Vec<(Expr, Element)>) -> (Expr, Element) {
    let element = match function {
        MapFunction::Less | MapFunction::LessEqual | MapFunction::Equal => Element::Condition,
        MapFunction::And | MapFunction::Or | MapFunction::Not => Element::Condition,
        MapFunction::Where if arguments[1].1 == arguments[2].1 => arguments[1].1,
        _ => Element::Real,
    };
    let list: Vec<Expr> = arguments.into_iter().map(|a| a.0).collect();
    (fold(function, list), element)
}

fn fold(function: MapFunction, mut list: Vec<Expr>) -> Expr {
    use MapFunction::*;
    let known = |e: &Expr| match e {
        Expr::Constant(c) => Some(*c),
        _ => None,
    };
    let truth = |c: bool| Expr::Constant(if c { 1.0 } else { 0.0 });
    match (function, list.as_slice()) {
        (And, [a, b]) => match (known(a), known(b)) {
            (Some(0.0), _) | (_, Some(0.0)) => truth(false),
            (Some(_), _) => list.swap_remove(1),
            (_, Some(_)) => list.swap_remove(0),
            _ => Expr::Apply(function, list),
        },
        (Or, [a, b]) => match (known(a), known(b)) {
            (Some(0.0), _) => list.swap_remove(1),
            (_, Some(0.0)) => list.swap_remove(0),
            (Some(_), _) | (_, Some(_)) => truth(true),
            _ => Expr::Apply(function, list),
        },
        (Not, [a]) => match known(a) {
            Some(c) => truth(c == 0.0),
            None => Expr::Apply(function, list),
        },
        (Where, [c, _, _]) => match known(c) {
            Some(0.0) => list.swap_remove(2),
            Some(_) => list.swap_remove(1),
            None if list[1] == list[2] => list.swap_remove(1),
            None => Expr::Apply(function, list),
        },
        (Less | LessEqual, [a, Expr::Constant(b)]) if *b == f64::INFINITY && is_finite(a) => truth(true),
        (Less | LessEqual, [Expr::Constant(a), b]) if *a == f64::NEG_INFINITY && is_finite(b) => truth(true),
        // A draw is at least 0, so that dropout at a rate of 0 is no dropout.
        (Less, [Expr::Random(_), Expr::Constant(b)]) if *b <= 0.0 => truth(false),
        // What is weighted by 0 is left out: a decay or a momentum that is not wanted.
        (Multiply, [Expr::Constant(0.0), _] | [_, Expr::Constant(0.0)]) => Expr::Constant(0.0),
        (Add, [Expr::Constant(0.0), _]) => list.swap_remove(1),
        (Add | Subtract, [_, Expr::Constant(0.0)]) => list.swap_remove(0),
        (Multiply, [Expr::Constant(1.0), _]) => list.swap_remove(1),
        (Multiply | Divide | Power, [_, Expr::Constant(1.0)]) => list.swap_remove(0),
        (Power, [a, Expr::Constant(2.0)]) => Expr::Apply(Multiply, vec![a.clone(), a.clone()]),
        (Subtract, [Expr::Constant(a), Expr::Constant(b)]) => Expr::Constant(a - b),
        (Add, [Expr::Constant(a), Expr::Constant(b)]) => Expr::Constant(a + b),
        (Multiply, [Expr::Constant(a), Expr::Constant(b)]) => Expr::Constant(a * b),
        (Divide, [Expr::Constant(a), Expr::Constant(b)]) => Expr::Constant(a / b),
        (Negate, [Expr::Constant(a)]) => Expr::Constant(-a),
        (Less, [Expr::Constant(a), Expr::Constant(b)]) => truth(a < b),
        (LessEqual, [Expr::Constant(a), Expr::Constant(b)]) => truth(a <= b),
        (Equal, [Expr::Constant(a), Expr::Constant(b)]) => truth(a == b),
        _ => Expr::Apply(function, list),
    }
}

/// Whether an element is made of indices and finite constants alone, by functions that keep them finite.
fn is_finite(expr: &Expr) -> bool {
    match expr {
        Expr::Index(_) | Expr::Position(_) => true,
        Expr::Constant(c) => c.is_finite(),
        Expr::Apply(function, list) => {
            use MapFunction::*;
            let keeps = matches!(
                function,
                Add | Subtract | Multiply | Negate | Absolute | Minimum | Maximum | Floor | Where
            );
            keeps && list.iter().all(is_finite)
        }
        _ => false,
    }
}
