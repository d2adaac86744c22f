//! What a name can stand for while a spec is elaborated.

use super::fraction::Known;
use super::scope::Scope;
use crate::ir::ast::{BinaryOperator, Block, Definition};
use crate::ir::graph::Initialiser;
use crate::ir::model::TensorId;
use crate::ir::number::Number;
use crate::text::Span;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A value of the language.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A number known when compiling, with its origin.
    Number(Quantity),
    /// A number that changes from step to step.
    Step(Number),
    /// A condition on such numbers.
    StepCondition(Number),
    /// A condition known when compiling.
    Condition(bool),
    /// A word, where a parameter lists words.
    Word(String),
    /// A quoted text.
    Text(String),
    /// A constant list.
    List(Vec<Value<'a>>),
    /// A tensor.
    Tensor(TensorId),
    /// A layer.
    Layer(Rc<Layer<'a>>),
    /// How a parameter starts.
    Initialiser(Initialiser),
    /// Stands for what an error was already reported for.
    Wrong,
}

/// A number known when compiling, and where it comes from.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// The number.
    pub value: Known,
    /// Where it was written.
    pub origin: Span,
    /// What it is called there: `width`, `4 * width`.
    pub label: String,
}

/// Something that takes a tensor and gives one.
#[derive(Debug)]
pub enum Layer<'a> {
    /// A call of a definition without its leading tensor.
    Call {
        /// The definition.
        definition: &'a Definition,
        /// The arguments that were given, by the parameter's position.
        arguments: Vec<(usize, Value<'a>)>,
        /// The path of its parameters.
        path: String,
        /// The call.
        span: Span,
    },
    /// `{ … }`.
    Block {
        /// The text.
        block: &'a Block,
        /// Where it stands.
        scope: Rc<Scope<'a>>,
        /// How parts were numbered when it was first applied: applied again, it means the same parts.
        numbering: RefCell<Option<HashMap<String, usize>>>,
    },
    /// `repeat n { … }`.
    Repeat {
        /// The name of the round's number.
        index: Option<&'a str>,
        /// How often.
        count: usize,
        /// The text.
        block: &'a Block,
        /// Where it stands.
        scope: Rc<Scope<'a>>,
        /// The path above the round's number.
        path: String,
    },
    /// One behind the other.
    Chain(Rc<Layer<'a>>, Rc<Layer<'a>>),
    /// A sum, difference, product or quotient; an operand that is no layer stands for itself.
    Combine(BinaryOperator, Value<'a>, Value<'a>, Span),
    /// A function of one element, such as `tanh`.
    Function(&'a str, Span),
}

impl Value<'_> {
    /// What it is, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Number(_) => "a number",
            Value::Step(_) => "a number that changes from step to step",
            Value::StepCondition(_) | Value::Condition(_) => "a condition",
            Value::Word(_) => "a word",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Tensor(_) => "a tensor",
            Value::Layer(_) => "a layer",
            Value::Initialiser(_) => "an initialiser",
            Value::Wrong => "a mistake",
        }
    }

    /// The number behind it, whether or not it changes.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Value::Number(q) => Some(Number::Constant(q.value.real())),
            Value::Step(n) => Some(n.clone()),
            _ => None,
        }
    }
}
