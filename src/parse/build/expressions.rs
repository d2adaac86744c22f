//! Matched expressions and arguments → [`Expr`].

use super::Builder;
use super::climb::{Element, climb};
use super::indices::{indices, reduced};
use super::statements::block;
use crate::ir::ast::{
    Argument, BinaryOperator, Block, Expr, ExprKind, ReductionOperator, Statement, StatementKind, UnaryOperator, Unit,
};
use crate::parse::grammar::{Pair, Rule, part, parts};
use crate::parse::slips;
use crate::text::{Code, Diagnostic};

/// `expression`, `bare_expression`.
pub fn expression(b: &mut Builder, pair: &Pair) -> Expr {
    let run = parts(pair).map(|element| self::element(b, &element)).collect();
    climb(b, run)
}

fn element(b: &mut Builder, pair: &Pair) -> Element {
    let span = b.span(pair);
    let operator = match pair.as_rule() {
        Rule::operand | Rule::bare_operand => return Element::Operand(operand(b, pair)),
        Rule::negate => return Element::Prefix(UnaryOperator::Negate, span),
        Rule::not => return Element::Prefix(UnaryOperator::Not, span),
        Rule::reduction => return reduction(b, pair),
        Rule::arrow => return Element::Arrow(span),
        Rule::or => BinaryOperator::Or,
        Rule::and => BinaryOperator::And,
        Rule::equal => BinaryOperator::Equal,
        Rule::not_equal => BinaryOperator::NotEqual,
        Rule::less => BinaryOperator::Less,
        Rule::less_equal => BinaryOperator::LessEqual,
        Rule::greater => BinaryOperator::Greater,
        Rule::greater_equal => BinaryOperator::GreaterEqual,
        Rule::add => BinaryOperator::Add,
        Rule::subtract => BinaryOperator::Subtract,
        Rule::multiply => BinaryOperator::Multiply,
        Rule::divide => BinaryOperator::Divide,
        Rule::whole_divide => BinaryOperator::WholeDivide,
        Rule::modulo => BinaryOperator::Modulo,
        Rule::power => BinaryOperator::Power,
        other => unreachable!("{other:?} is no element of an expression"),
    };
    Element::Binary(operator, span)
}

fn reduction(b: &mut Builder, pair: &Pair) -> Element {
    let operator = match parts(pair).next().expect("starts with its word").as_str() {
        "sum" => ReductionOperator::Sum,
        "mean" => ReductionOperator::Mean,
        "max" => ReductionOperator::Max,
        "min" => ReductionOperator::Min,
        "prod" => ReductionOperator::Product,
        "argmax" => ReductionOperator::ArgMax,
        _ => ReductionOperator::ArgSort,
    };
    let (indices, condition) = reduced(b, pair);
    Element::Reduction {
        operator,
        indices,
        condition,
        span: b.span(pair),
    }
}

/// The one expression within a rule.
pub fn only_expression(b: &mut Builder, pair: &Pair) -> Expr {
    let inner = parts(pair).find(|p| matches!(p.as_rule(), Rule::expression | Rule::bare_expression));
    expression(b, &inner.expect("the rule holds an expression"))
}

fn operand(b: &mut Builder, pair: &Pair) -> Expr {
    let inner = parts(pair).next().expect("an operand is something");
    let mut layer = primary(b, &inner);
    if let Some(named) = part(pair, Rule::named) {
        let name = b.name(&parts(&named).next().expect("`as` is followed by a name"));
        let span = layer.span.to(name.span);
        layer = Expr {
            kind: Box::new(ExprKind::Named { layer, name }),
            span,
        };
    }
    layer
}

fn primary(b: &mut Builder, pair: &Pair) -> Expr {
    let span = b.span(pair);
    let kind = match pair.as_rule() {
        Rule::quantity => quantity(b, pair),
        Rule::text => ExprKind::Text(text(b, pair)),
        Rule::list => ExprKind::List(parts(pair).map(|item| expression(b, &item)).collect()),
        Rule::counted => {
            let (indices, condition) = reduced(b, pair);
            ExprKind::Reduce {
                operator: ReductionOperator::Count,
                indices,
                condition,
                operand: None,
            }
        }
        Rule::wrong => ExprKind::Wrong,
        Rule::block => ExprKind::Block(block(b, pair)),
        Rule::conditional => return conditional(b, pair),
        Rule::repeat => repeat(b, pair),
        Rule::scan => scan(b, pair),
        Rule::each => ExprKind::Each(b.name(&parts(pair).next().expect("`each` is followed by a name"))),
        Rule::applied => return applied(b, pair),
        Rule::chain => return chain(b, pair),
        other => unreachable!("{other:?} is no operand"),
    };
    Expr {
        kind: Box::new(kind),
        span,
    }
}

fn quantity(b: &mut Builder, pair: &Pair) -> ExprKind {
    let number = part(pair, Rule::number).expect("a quantity starts with a number");
    if let Some(slip) = slips::beyond_numbers(number.as_str()) {
        let span = b.span(&number);
        b.diagnostics.push(slip.diagnostic(span));
    }
    let unit = part(pair, Rule::unit).map(|unit| match unit.as_str().trim_end_matches('s') {
        "%" => Unit::Percent,
        "deg" | "degree" => Unit::Degrees,
        "step" => Unit::Steps,
        "epoch" => Unit::Epochs,
        "token" => Unit::Tokens,
        "sample" => Unit::Samples,
        "second" => Unit::Seconds,
        "minute" => Unit::Minutes,
        _ => Unit::Hours,
    });
    ExprKind::Number {
        text: number.as_str().to_string(),
        unit,
    }
}

/// The characters between the quotes.
pub fn text(b: &mut Builder, pair: &Pair) -> String {
    let written = &pair.as_str()[1..pair.as_str().len() - 1];
    let mut result = String::with_capacity(written.len());
    let mut characters = written.chars();
    while let Some(c) = characters.next() {
        let escaped = if c == '\\' { characters.next() } else { None };
        match (c, escaped) {
            ('\\', Some('n')) => result.push('\n'),
            ('\\', Some('t')) => result.push('\t'),
            ('\\', Some(plain @ ('"' | '\\'))) => result.push(plain),
            ('\\', Some(other)) => {
                let diagnostic = Diagnostic::new(
                    Code::Syntax,
                    b.span(pair),
                    format!("`\\{other}` means nothing in a string"),
                )
                .help("a backslash is written `\\\\`; the others are `\\\"`, `\\n` and `\\t`");
                b.diagnostics.push(diagnostic);
            }
            _ => result.push(c),
        }
    }
    result
}

fn conditional(b: &mut Builder, pair: &Pair) -> Expr {
    let pieces: Vec<Pair> = parts(pair).collect();
    let mut branches = vec![];
    let mut otherwise = None;
    for pair in pieces.chunks(2) {
        match pair {
            [condition, then] => branches.push((expression(b, condition), block(b, then))),
            [last] => otherwise = Some(block(b, last)),
            _ => unreachable!("chunks of two"),
        }
    }
    let mut result: Option<Expr> = None;
    for (condition, then) in branches.into_iter().rev() {
        let end = result
            .as_ref()
            .map(|e| e.span)
            .or(otherwise.as_ref().map(|o| o.span))
            .unwrap_or(then.span);
        let otherwise = match result.take() {
            Some(inner) => Some(Block {
                span: inner.span,
                statements: vec![Statement {
                    span: inner.span,
                    kind: StatementKind::Value(inner),
                }],
            }),
            None => otherwise.take(),
        };
        let span = condition.span.to(end);
        result = Some(Expr {
            kind: Box::new(ExprKind::If {
                condition,
                then,
                otherwise,
            }),
            span,
        });
    }
    let mut result = result.expect("an `if` has a condition");
    result.span = b.span(pair);
    result
}

fn repeat(b: &mut Builder, pair: &Pair) -> ExprKind {
    let index = part(pair, Rule::round).map(|round| b.name(&parts(&round).next().expect("the round has a name")));
    let count = only_expression(b, pair);
    let body = block(b, &part(pair, Rule::block).expect("a `repeat` has a body"));
    ExprKind::Repeat { index, count, body }
}

fn scan(b: &mut Builder, pair: &Pair) -> ExprKind {
    let index = b.name(&part(pair, Rule::name).expect("a `scan` names its axis"));
    let backwards = part(pair, Rule::backwards).map(|backwards| only_expression(b, &backwards));
    let body = block(b, &part(pair, Rule::block).expect("a `scan` has a body"));
    ExprKind::Scan { index, backwards, body }
}

/// `residual { … }` and `level(64) { … }` are calls whose last argument is the block.
fn applied(b: &mut Builder, pair: &Pair) -> Expr {
    let callee = chain(b, &part(pair, Rule::chain).expect("something is applied"));
    let Some(body) = part(pair, Rule::block) else {
        return callee;
    };
    let body = block(b, &body);
    let span = callee.span.to(body.span);
    let last = Argument {
        name: None,
        value: Expr {
            span: body.span,
            kind: Box::new(ExprKind::Block(body)),
        },
    };
    let kind = match *callee.kind {
        ExprKind::Call { callee, mut arguments } => {
            arguments.push(last);
            ExprKind::Call { callee, arguments }
        }
        _ => ExprKind::Call {
            callee,
            arguments: vec![last],
        },
    };
    Expr {
        kind: Box::new(kind),
        span,
    }
}

fn chain(b: &mut Builder, pair: &Pair) -> Expr {
    let mut pieces = parts(pair);
    let first = pieces.next().expect("a chain starts with something");
    let span = b.span(&first);
    let mut value = match first.as_rule() {
        Rule::name => Expr {
            kind: Box::new(ExprKind::Name(first.as_str().to_string())),
            span,
        },
        _ => group(b, &first),
    };
    for piece in pieces {
        let span = value.span.to(b.span(&piece));
        let base = value;
        let kind = match piece.as_rule() {
            Rule::call => ExprKind::Call {
                callee: base,
                arguments: arguments(b, &piece),
            },
            Rule::indices => ExprKind::Element {
                base,
                indices: indices(b, &piece),
            },
            _ => ExprKind::Member {
                base,
                name: b.name(&parts(&piece).next().expect("a dot is followed by a word")),
            },
        };
        value = Expr {
            kind: Box::new(kind),
            span,
        };
    }
    value
}

/// The arguments of `call`.
pub fn arguments(b: &mut Builder, pair: &Pair) -> Vec<Argument> {
    parts(pair)
        .map(|argument| {
            let name = part(&argument, Rule::argument_name).map(|n| b.name(&parts(&n).next().expect("a name")));
            Argument {
                name,
                value: only_expression(b, &argument),
            }
        })
        .collect()
}

/// Parentheses around a value; lists and `..` in them are for indices only.
fn group(b: &mut Builder, pair: &Pair) -> Expr {
    let span = b.span(pair);
    let members: Vec<Pair> = parts(pair).filter(|p| p.as_rule() == Rule::index).collect();
    let [member] = members.as_slice() else {
        b.refuse(
            span,
            "several values in parentheses",
            "`(h, e)` joins indices, inside a bracket only; a list is `[a, b]`",
        );
        return Expr {
            kind: Box::new(ExprKind::Wrong),
            span,
        };
    };
    let inner = parts(member).next().expect("an index is something");
    if inner.as_rule() == Rule::rest {
        b.refuse(
            b.span(member),
            "`..` outside a bracket",
            "`..` stands for axes, as in `x[.., i]`",
        );
        return Expr {
            kind: Box::new(ExprKind::Wrong),
            span,
        };
    }
    let value = expression(b, &inner);
    match part(pair, Rule::otherwise) {
        Some(otherwise) => {
            let otherwise = only_expression(b, &otherwise);
            Expr {
                kind: Box::new(ExprKind::Otherwise { value, otherwise }),
                span,
            }
        }
        None => Expr { span, ..value },
    }
}
