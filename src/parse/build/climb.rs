//! A flat run of operands and operators → a tree, by precedence climbing.
//!
//! Loosest first: `->`; `or`; `and`; `not`; comparisons (not chained); `+ -`; `* / div mod`, in whose product a leading
//! minus or reduction reaches to the end; `^`, to the right.

use super::Builder;
use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index, ReductionOperator, UnaryOperator};
use crate::text::{Code, Diagnostic, Span};
use std::iter::Peekable;
use std::vec::IntoIter;

/// An element of the run.
pub enum Element {
    /// `-`, `not`.
    Prefix(UnaryOperator, Span),
    /// `sum[i where c]`, which waits for its operand.
    Reduction {
        operator: ReductionOperator,
        indices: Vec<Index>,
        condition: Option<Expr>,
        span: Span,
    },
    /// Anything that is complete.
    Operand(Expr),
    /// `->`.
    Arrow(Span),
    /// The other operators.
    Binary(BinaryOperator, Span),
}

const FLOW: u8 = 1;
const NOT: u8 = 4;
const COMPARISON: u8 = 5;
const PRODUCT: u8 = 7;
/// What may stand right of a factor's operator.
const FACTOR: u8 = 8;
const POWER: u8 = 9;

fn level(operator: BinaryOperator) -> u8 {
    match operator {
        BinaryOperator::Or => 2,
        BinaryOperator::And => 3,
        BinaryOperator::Equal | BinaryOperator::NotEqual => COMPARISON,
        BinaryOperator::Less | BinaryOperator::LessEqual => COMPARISON,
        BinaryOperator::Greater | BinaryOperator::GreaterEqual => COMPARISON,
        BinaryOperator::Add | BinaryOperator::Subtract => 6,
        BinaryOperator::Multiply | BinaryOperator::Divide => PRODUCT,
        BinaryOperator::WholeDivide | BinaryOperator::Modulo => PRODUCT,
        BinaryOperator::Power => POWER,
    }
}

/// Makes a tree of a run that alternates as the grammar demands.
pub fn climb(builder: &mut Builder, run: Vec<Element>) -> Expr {
    Climber {
        builder,
        run: run.into_iter().peekable(),
    }
    .flow()
}

struct Climber<'a, 'b> {
    builder: &'a mut Builder<'b>,
    run: Peekable<IntoIter<Element>>,
}

impl Climber<'_, '_> {
    fn flow(&mut self) -> Expr {
        let length = self.run.len();
        let mut value = self.binary(FLOW + 1);
        let operated = length - self.run.len() > 1;
        if operated && matches!(self.run.peek(), Some(Element::Arrow(_))) {
            self.refuse_operator_before_arrow(value.span);
        }
        while self
            .run
            .next_if(|element| matches!(element, Element::Arrow(_)))
            .is_some()
        {
            let layer = self.binary(FLOW + 1);
            let span = value.span.to(layer.span);
            value = Expr {
                kind: Box::new(ExprKind::Flow { value, layer }),
                span,
            };
        }
        value
    }

    fn binary(&mut self, least: u8) -> Expr {
        let mut left = self.operand(least);
        let mut compared = false;
        while let Some(Element::Binary(operator, operator_span)) = self.run.next_if(|element| match element {
            Element::Binary(operator, _) => level(*operator) >= least,
            _ => false,
        }) {
            let level = level(operator);
            if level == COMPARISON && std::mem::replace(&mut compared, true) {
                self.refuse_chain(operator_span, left.span);
            }
            let right = self.binary(if operator == BinaryOperator::Power {
                level
            } else {
                level + 1
            });
            let span = left.span.to(right.span);
            left = Expr {
                kind: Box::new(ExprKind::Binary {
                    operator,
                    operator_span,
                    left,
                    right,
                }),
                span,
            };
        }
        left
    }

    /// An operand with what stands in front of it. `least` tells what is to the left: behind a factor a minus
    /// takes only a power, behind anything looser the whole product.
    fn operand(&mut self, least: u8) -> Expr {
        match self.run.next() {
            Some(Element::Operand(operand)) => operand,
            Some(Element::Prefix(operator, span)) => {
                let own = match operator {
                    UnaryOperator::Not => NOT,
                    UnaryOperator::Negate => PRODUCT,
                };
                if least > own && operator == UnaryOperator::Not {
                    self.refuse_prefix(span, "`not` behind an operator needs parentheses");
                }
                let operand = self.binary(if least > own { POWER } else { own });
                let span = span.to(operand.span);
                Expr {
                    kind: Box::new(ExprKind::Unary { operator, operand }),
                    span,
                }
            }
            Some(Element::Reduction {
                operator,
                indices,
                condition,
                span,
            }) => {
                if least > FACTOR {
                    self.refuse_prefix(span, "a reduction as an exponent needs parentheses");
                }
                let operand = self.binary(PRODUCT);
                let span = span.to(operand.span);
                let operand = Some(operand);
                Expr {
                    kind: Box::new(ExprKind::Reduce {
                        operator,
                        indices,
                        condition,
                        operand,
                    }),
                    span,
                }
            }
            Some(Element::Arrow(span) | Element::Binary(_, span)) => Expr {
                kind: Box::new(ExprKind::Wrong),
                span,
            },
            None => Expr {
                kind: Box::new(ExprKind::Wrong),
                span: Span::NOWHERE,
            },
        }
    }

    fn refuse_operator_before_arrow(&mut self, span: Span) {
        let written = self.builder.written(span);
        let diagnostic = Diagnostic::new(
            Code::Syntax,
            span,
            "an operator left of the first `->` needs parentheses",
        )
        .label("does `->` take all of this, or its last part only?")
        .fix(span, format!("({written})"));
        self.builder.diagnostics.push(diagnostic);
    }

    fn refuse_chain(&mut self, operator: Span, left: Span) {
        let diagnostic = Diagnostic::new(Code::Syntax, operator, "comparisons are not chained")
            .label("a second comparison")
            .note(left, "this is one already")
            .help("write `a < b and b < c`");
        self.builder.diagnostics.push(diagnostic);
    }

    fn refuse_prefix(&mut self, span: Span, message: &str) {
        let diagnostic = Diagnostic::new(Code::Syntax, span, message).help("put it and its operand into `( )`");
        self.builder.diagnostics.push(diagnostic);
    }
}
