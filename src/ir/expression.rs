//! The expressions of the syntax tree, and the indices in their brackets. As all of the tree, what the text says:
//! `f(a)` may be a layer or a complete call.

use super::ast::{Block, Name};
use crate::text::Span;

/// One index in a bracket: of a head, a declaration or the left of an equation, or under a reduction.
#[derive(Clone, PartialEq, Debug)]
pub enum Index {
    /// `..`: all axes that the bracket does not name.
    Rest(Span),
    /// `i`, `i < n`.
    Named {
        /// The index.
        name: Name,
        /// How far it goes.
        bound: Option<Expr>,
    },
    /// `(h < heads, e)`: several indices in one axis, the last running fastest.
    Joined {
        /// In order; `(..)` has one [`Index::Rest`].
        parts: Vec<Index>,
        /// With the parentheses.
        span: Span,
    },
    /// Any other expression, as in `size[batch, other + 1]`: an error everywhere but in a read.
    Computed(Expr),
}

/// One argument of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Argument {
    /// `bias = false` has one.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// An expression with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: Box<ExprKind>,
    /// The whole.
    pub span: Span,
}

/// Two operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOperator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    /// `div`: of whole numbers, rounded down.
    WholeDivide,
    /// `mod`: of whole numbers, not negative.
    Modulo,
    Power,
}

/// One operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UnaryOperator {
    Negate,
    Not,
}

/// What a reduction does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ReductionOperator {
    Sum,
    Mean,
    Max,
    Min,
    Product,
    ArgMax,
    ArgSort,
    Count,
}

/// A unit behind a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Unit {
    Percent,
    Degrees,
    Steps,
    Epochs,
    Tokens,
    Samples,
    Seconds,
    Minutes,
    Hours,
}

/// What an expression is.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `1e-3`, `2k`, `50%`, `250 steps`. The text is kept: compile-time numbers are exact fractions.
    Number {
        /// Digits as written, with an exponent and a suffix `k` or `M`, without the unit.
        text: String,
        /// What stands behind it.
        unit: Option<Unit>,
    },
    /// `"data/wine.csv"`.
    Text(String),
    /// `x`, `relu`, `true`, `inf`, `random`, `step`.
    Name(String),
    /// `[16, 32, 64]`.
    List(Vec<Expr>),
    /// `x[.., i]`, `widths[i]`: elements.
    Element {
        /// What is indexed.
        base: Expr,
        /// Each an expression, `..`, or a joined group.
        indices: Vec<Index>,
    },
    /// `wte.table`, `train.optimizer.lr`.
    Member {
        /// A layer or a section.
        base: Expr,
        /// What of it.
        name: Name,
    },
    /// `linear(4 * width, bias = false)`.
    Call {
        /// Usually a [`ExprKind::Name`].
        callee: Expr,
        /// In order.
        arguments: Vec<Argument>,
    },
    /// `-x`, `not c`.
    Unary {
        /// Which.
        operator: UnaryOperator,
        /// Of what.
        operand: Expr,
    },
    /// `a + b`.
    Binary {
        /// Which.
        operator: BinaryOperator,
        /// Where the operator stands.
        operator_span: Span,
        /// The left operand.
        left: Expr,
        /// The right operand.
        right: Expr,
    },
    /// `sum[i where mask[.., i]] x[.., i] * w[i, o]`.
    Reduce {
        /// Which.
        operator: ReductionOperator,
        /// What it goes over.
        indices: Vec<Index>,
        /// What counts.
        condition: Option<Expr>,
        /// The whole product behind it; `None` for `count[..]`.
        operand: Option<Expr>,
    },
    /// `(x[.., i - 1] else 0)`.
    Otherwise {
        /// The read that may fall outside.
        value: Expr,
        /// What it then is.
        otherwise: Expr,
    },
    /// `a -> b`.
    Flow {
        /// The value.
        value: Expr,
        /// What takes it.
        layer: Expr,
    },
    /// `linear(width) as q`.
    Named {
        /// A layer, a `repeat` or a value.
        layer: Expr,
        /// What its parameters are called.
        name: Name,
    },
    /// `{ … }`: a layer.
    Block(Block),
    /// `if c { … } else { … }`.
    If {
        /// Decided when compiling.
        condition: Expr,
        /// If it holds.
        then: Block,
        /// If not; `else if` is a block of one value.
        otherwise: Option<Block>,
    },
    /// `repeat i < n { … }`, `repeat n { … }`.
    Repeat {
        /// The number of the round, from 0.
        index: Option<Name>,
        /// How often.
        count: Expr,
        /// Written anew each time.
        body: Block,
    },
    /// `scan t { … }`, `scan t backwards = true { … }`.
    Scan {
        /// The axis.
        index: Name,
        /// From the end on, if this holds.
        backwards: Option<Expr>,
        /// With `carry` and `yield`.
        body: Block,
    },
    /// `each category -> embedding(8)`: the join of a flow over all columns of a kind.
    Each(Name),
    /// A part of the text that does not parse, already reported: keeps the rest checkable.
    Wrong,
}
