//! The syntax tree: what the text says, with spans, before any name is looked up.
//! Nothing is resolved here: `f(a)` may be a layer or a complete call, `x[.., i]` a declaration or a read.

use crate::text::Span;

pub use super::expression::{Argument, BinaryOperator, Expr, ExprKind, Index, ReductionOperator, UnaryOperator, Unit};

/// The words that are no names.
pub const RESERVED: [&str; 17] = [
    "if", "else", "repeat", "scan", "each", "as", "and", "or", "not", "div", "mod", "state", "carry", "require",
    "penalty", "yield", "where",
];

/// Whether a text can stand in a spec as a name.
pub fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !RESERVED.contains(&text)
}

/// A word of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// As written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct File {
    /// In the order of the text.
    pub items: Vec<Item>,
}

/// What stands at a file's top level.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// `import "blocks.ms"`.
    Import {
        /// The path, relative to the file that names it.
        path: String,
        /// The whole line.
        span: Span,
    },
    /// `def`, `loss`, `metric`, `optimizer`, `schedule` or `init`.
    Definition(Definition),
    /// `model gpt(tokens: ids[time] < vocab) -> logits[time, vocab] { … }`.
    Model(Model),
    /// `data`, `train` or `tune`.
    Section(Section),
}

/// What a definition defines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum DefinitionKind {
    /// `def`: a layer, an activation, a norm, a combinator, a function of tensors.
    Layer,
    /// `loss`.
    Loss,
    /// `metric`: of a batch.
    Metric,
    /// `optimizer`.
    Optimizer,
    /// `schedule`.
    Schedule,
    /// `init`.
    Initialiser,
}

/// `def linear(x[.., i < in], out, bias = true) { … }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Definition {
    /// Which keyword.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: Name,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// `= expression` is a block of one [`StatementKind::Value`] with `short` set.
    pub body: Block,
    /// Written with `=` and without braces.
    pub short: bool,
    /// The whole definition.
    pub span: Span,
    /// The comment lines directly above, without `#`: its documentation.
    pub documentation: Vec<String>,
}

/// What a definition's parameter takes.
#[derive(Clone, PartialEq, Debug)]
pub enum ParameterKind {
    /// `x[.., i < in]`: a tensor with these axes.
    Tensor(Vec<Index>),
    /// `body: layer`.
    Layer,
    /// `average: micro | macro | weighted = macro`.
    Words(Vec<Name>),
    /// `every: steps`: a number of steps, or of epochs, of which a list may hold several.
    Steps,
    /// A number, a condition or a list.
    Number,
}

/// One parameter in a definition's head.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// What it takes.
    pub kind: ParameterKind,
    /// `id[..] < vocab`: the values are ids below this.
    pub below: Option<Expr>,
    /// `= true`.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// The element type that a model's signature states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElementType {
    /// `ids`.
    Ids,
    /// `real`.
    Real,
    /// `condition`.
    Condition,
}

/// One input of a model's signature: `tokens: ids[time] < vocab`.
#[derive(Clone, PartialEq, Debug)]
pub struct SignatureInput {
    /// The data's name for it.
    pub name: Name,
    /// What its elements are.
    pub element: ElementType,
    /// Sizes, without the batch.
    pub axes: Vec<Expr>,
    /// For ids.
    pub below: Option<Expr>,
    /// The whole.
    pub span: Span,
}

/// One output of a model's signature: `logits[time, vocab]`.
#[derive(Clone, PartialEq, Debug)]
pub struct SignatureOutput {
    /// A value of the model, or a name for its last value.
    pub name: Name,
    /// Sizes, without the batch.
    pub axes: Vec<Expr>,
    /// The whole.
    pub span: Span,
}

/// `model NAME { … }`, with or without a signature.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// Its name: the first part of its parameters' paths.
    pub name: Name,
    /// Stated inputs, `None` if it has no signature.
    pub inputs: Option<Vec<SignatureInput>>,
    /// Stated outputs; empty if none.
    pub outputs: Vec<SignatureOutput>,
    /// A flow.
    pub body: Block,
    /// The whole.
    pub span: Span,
}

/// `data { … }`, `train { … }`, `tune { … }`: lines of settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Section {
    /// `data`, `train` or `tune`.
    pub name: Name,
    /// In order.
    pub settings: Vec<Setting>,
    /// The whole.
    pub span: Span,
}

/// One line of a section: a key and what follows it.
///
/// `split train 90%, validation 10% stratified` has the groups `[train, 90%]` and `[validation, 10%, stratified]`;
/// `init normal(0.02) on "*.w"` has one group and `on`; `train.optimizer.lr = [1e-4, 1e-3]` has a dotted key.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// The key, in parts: one unless it is dotted.
    pub key: Vec<Name>,
    /// Written `key = …`.
    pub assigned: bool,
    /// Comma-separated groups of items that stand side by side.
    pub groups: Vec<Vec<Expr>>,
    /// `on "*.w"`, `on matrices`, `on vectors`: patterns of parameter names, comma-separated.
    pub on: Vec<Expr>,
    /// `augment { … }`, `grid { … }`: settings in braces.
    pub block: Option<Vec<Setting>>,
    /// The whole line.
    pub span: Span,
}

/// Statements between braces.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// In order.
    pub statements: Vec<Statement>,
    /// With the braces.
    pub span: Span,
}

/// One statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// What it does.
    pub kind: StatementKind,
    /// The whole.
    pub span: Span,
}

/// `w[i, o < out] ~ uniform_fan_in`.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterDeclaration {
    /// The parameter's name.
    pub name: Name,
    /// Its axes, empty for one number.
    pub indices: Vec<Index>,
    /// What follows `~`.
    pub initialiser: Expr,
    /// The whole.
    pub span: Span,
}

/// `m[..] = 0` after `state` or `carry`.
#[derive(Clone, PartialEq, Debug)]
pub struct StateDeclaration {
    /// Its name.
    pub name: Name,
    /// Its axes; `None` without a bracket: one number.
    pub indices: Option<Vec<Index>>,
    /// Its first value.
    pub value: Expr,
    /// The whole.
    pub span: Span,
}

/// What a statement is.
#[derive(Clone, PartialEq, Debug)]
pub enum StatementKind {
    /// An expression on its own: a line of a flow, or the last line of a definition.
    Value(Expr),
    /// `h = a -> b`, `y[.., o] = …`.
    Equation {
        /// What is named.
        name: Name,
        /// The left side's bracket; `None` if there is none.
        indices: Option<Vec<Index>>,
        /// The right side.
        value: Expr,
    },
    /// `param w[i, o] ~ …, b[o] ~ 0`.
    Param(Vec<ParameterDeclaration>),
    /// `state m[..] = 0, v[..] = 0`.
    State(Vec<StateDeclaration>),
    /// `carry h[.., j] = 0`.
    Carry(Vec<StateDeclaration>),
    /// `m <- …`, `h[.., j] <- …`.
    Update {
        /// A state, a carried value or an optimizer's `param`.
        name: Name,
        /// The left side's bracket; `None` if there is none.
        indices: Option<Vec<Index>>,
        /// The new value.
        value: Expr,
    },
    /// `require width mod heads == 0, "heads ({heads}) must divide width ({width})"`.
    Require {
        /// What must hold.
        condition: Expr,
        /// The error's message; `{name}` is replaced by a value.
        message: String,
    },
    /// `penalty expression`: a term of the loss.
    Penalty(Expr),
    /// `yield h`.
    Yield(Expr),
}
