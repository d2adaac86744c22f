//! Expressions of numbers alone that change from step to step: rates, `1 - beta2^step`, schedules.
//! They are evaluated in float64 once a step, outside the kernels.

use std::fmt;

/// What changes from step to step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StepVariable {
    /// The number of the step, from 1.
    Step,
    /// Updates that one epoch has (0 where the data has no epochs).
    StepsPerEpoch,
    /// Which part of the batch is at hand, from 1.
    Part,
    /// What the objective is multiplied by.
    LossScale,
    /// A [`KeptNumber`], by its place in the program's list.
    Kept(u32),
    /// What the last evaluation gave; less is better. Only updates of kept numbers read it.
    Watched,
}

/// A number that the trainer keeps from evaluation to evaluation, as the factor of a plateau schedule.
#[derive(Clone, PartialEq, Debug)]
pub struct KeptNumber {
    /// Before the first evaluation.
    pub initial: f64,
    /// Behind an evaluation, from the kept numbers as they were before it.
    pub update: Number,
}

/// A function of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NumberFunction {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Negate,
    Minimum,
    Maximum,
    Floor,
    Modulo,
    Absolute,
    SquareRoot,
    Exponential,
    Logarithm,
    Sine,
    Cosine,
    HyperbolicTangent,
    Sigmoid,
    Erf,
    Less,
    LessEqual,
    Equal,
    And,
    Or,
    Not,
    /// Condition, then, else.
    Where,
}

/// A number that may depend on the step. Conditions are 0 and 1.
#[derive(Clone, PartialEq, Debug)]
pub enum Number {
    /// Always the same.
    Constant(f64),
    /// From the trainer.
    Variable(StepVariable),
    /// A function of others.
    Apply(NumberFunction, Vec<Number>),
}

impl Number {
    /// Applies a function, at once where the result is known; factors of 0 and 1 and terms of 0 vanish.
    pub fn apply(function: NumberFunction, arguments: Vec<Number>) -> Number {
        if arguments.iter().all(|a| matches!(a, Number::Constant(_))) {
            let values: Vec<f64> = arguments
                .iter()
                .map(|a| a.at(&|_| unreachable!("all arguments are constant")))
                .collect();
            return Number::Constant(function.of(&values));
        }
        match (function, &arguments[..]) {
            (NumberFunction::Multiply, [Number::Constant(c), _] | [_, Number::Constant(c)]) if *c == 0.0 => {
                Number::Constant(0.0)
            }
            (NumberFunction::Multiply, [Number::Constant(c), x]) if *c == 1.0 => x.clone(),
            (NumberFunction::Multiply | NumberFunction::Divide, [x, Number::Constant(c)]) if *c == 1.0 => x.clone(),
            (NumberFunction::Add, [Number::Constant(c), x]) if *c == 0.0 => x.clone(),
            (NumberFunction::Add | NumberFunction::Subtract, [x, Number::Constant(c)]) if *c == 0.0 => x.clone(),
            (NumberFunction::Where, [Number::Constant(c), then, otherwise]) => {
                let chosen = if *c == 0.0 { otherwise } else { then };
                chosen.clone()
            }
            _ => Number::Apply(function, arguments),
        }
    }

    /// The value, given the variables'.
    pub fn at(&self, variable: &dyn Fn(StepVariable) -> f64) -> f64 {
        match self {
            Number::Constant(value) => *value,
            Number::Variable(v) => variable(*v),
            Number::Apply(function, arguments) => {
                // No function takes more than three, and a step allocates nothing.
                let mut values = [0.0; 3];
                for (value, argument) in values.iter_mut().zip(arguments) {
                    *value = argument.at(variable);
                }
                function.of(&values[..arguments.len()])
            }
        }
    }

    /// Whether the value depends on a variable.
    pub fn reads(&self, variable: StepVariable) -> bool {
        match self {
            Number::Constant(_) => false,
            Number::Variable(v) => *v == variable,
            Number::Apply(_, arguments) => arguments.iter().any(|a| a.reads(variable)),
        }
    }

    /// The value, if it does not change.
    pub fn as_constant(&self) -> Option<f64> {
        match self {
            Number::Constant(value) => Some(*value),
            _ => None,
        }
    }
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

impl NumberFunction {
    /// The function itself; `libm`, so that every platform gives the same bits.
    pub fn of(self, x: &[f64]) -> f64 {
        let truth = |c: bool| if c { 1.0 } else { 0.0 };
        match self {
            NumberFunction::Add => x[0] + x[1],
            NumberFunction::Subtract => x[0] - x[1],
            NumberFunction::Multiply => x[0] * x[1],
            NumberFunction::Divide => x[0] / x[1],
            NumberFunction::Power => libm::pow(x[0], x[1]),
            NumberFunction::Negate => -x[0],
            NumberFunction::Minimum => x[0].min(x[1]),
            NumberFunction::Maximum => x[0].max(x[1]),
            NumberFunction::Floor => x[0].floor(),
            NumberFunction::Modulo => x[0] - x[1] * (x[0] / x[1]).floor(),
            NumberFunction::Absolute => x[0].abs(),
            NumberFunction::SquareRoot => x[0].sqrt(),
            NumberFunction::Exponential => libm::exp(x[0]),
            NumberFunction::Logarithm => libm::log(x[0]),
            NumberFunction::Sine => libm::sin(x[0]),
            NumberFunction::Cosine => libm::cos(x[0]),
            NumberFunction::HyperbolicTangent => libm::tanh(x[0]),
            NumberFunction::Sigmoid => sigmoid(x[0]),
            NumberFunction::Erf => libm::erf(x[0]),
            NumberFunction::Less => truth(x[0] < x[1]),
            NumberFunction::LessEqual => truth(x[0] <= x[1]),
            NumberFunction::Equal => truth(x[0] == x[1]),
            NumberFunction::And => truth(x[0] != 0.0 && x[1] != 0.0),
            NumberFunction::Or => truth(x[0] != 0.0 || x[1] != 0.0),
            NumberFunction::Not => truth(x[0] == 0.0),
            NumberFunction::Where => {
                if x[0] != 0.0 {
                    x[1]
                } else {
                    x[2]
                }
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Constant(value) => write!(f, "{value}"),
            Number::Variable(StepVariable::Step) => write!(f, "step"),
            Number::Variable(StepVariable::StepsPerEpoch) => write!(f, "steps_per_epoch"),
            Number::Variable(StepVariable::Part) => write!(f, "part"),
            Number::Variable(StepVariable::LossScale) => write!(f, "loss_scale"),
            Number::Variable(StepVariable::Kept(at)) => write!(f, "kept{at}"),
            Number::Variable(StepVariable::Watched) => write!(f, "watched"),
            Number::Apply(function, arguments) => {
                let name = format!("{function:?}").to_lowercase();
                let list: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                write!(f, "{name}({})", list.join(", "))
            }
        }
    }
}
