//! The right side of an equation, lowered to one element as a function of indices.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position as Place_;
use super::fold;
use super::indices::Indices;
use super::reduction::Reduction;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{self, BinaryOperator, Expr as Syntax, ExprKind, UnaryOperator};
use crate::ir::graph::{Element, MapFunction};
use crate::ir::model::{Expr, IndexId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Lowers the right side to an element.
    pub fn lower(
        &mut self,
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        self.spend(expr.span)?;
        match &*expr.kind {
            ExprKind::Name(name) => self.lower_name(name, expr, scope, indices),
            ExprKind::Element { base, indices: pattern } => {
                self.lower_read(base, pattern, None, expr.span, scope, indices)
            }
            ExprKind::Otherwise { value, otherwise } => {
                let ExprKind::Element { base, indices: pattern } = &*value.kind else {
                    return self.error(
                        Code::WrongKind,
                        value.span,
                        "`else` belongs to a read: `(x[.., i - 1] else 0)`",
                    );
                };
                let (otherwise, _) = self.lower(otherwise, scope, indices)?;
                self.lower_read(base, pattern, Some(otherwise), expr.span, scope, indices)
            }
            ExprKind::Reduce {
                operator,
                indices: over,
                condition,
                operand,
            } => {
                let reduction = Reduction {
                    operator: *operator,
                    over,
                    condition: condition.as_ref(),
                    operand: operand.as_ref(),
                    span: expr.span,
                };
                self.lower_reduce(reduction, scope, indices)
            }
            ExprKind::Unary { operator, operand } => {
                let operand = self.lower(operand, scope, indices)?;
                let function = if *operator == UnaryOperator::Negate {
                    MapFunction::Negate
                } else {
                    MapFunction::Not
                };
                Ok(fold::apply(function, vec![operand]))
            }
            ExprKind::Binary {
                operator, left, right, ..
            } => self.lower_binary(*operator, left, right, expr, scope, indices),
            ExprKind::Call { callee, arguments } => self.lower_call(callee, arguments, expr, scope, indices),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                let chosen = if self.condition(condition, scope)? {
                    Some(then)
                } else {
                    otherwise.as_ref()
                };
                match chosen.and_then(|b| b.statements.last()).map(|s| &s.kind) {
                    Some(ast::StatementKind::Value(value)) => self.lower(value, scope, indices),
                    _ => self.error(Code::WrongKind, expr.span, "this `if` gives no value here"),
                }
            }
            _ => {
                let value = self.evaluate(expr, scope, Place_::Value)?;
                self.whole(value, expr.span)
            }
        }
    }

    /// A value without indices inside an equation: a number, or a tensor of one number.
    pub fn whole(&mut self, value: Value<'a>, span: Span) -> Checked<(Expr, Element)> {
        match value {
            Value::Tensor(id) if self.axes(id).is_empty() => Ok((
                Expr::Read {
                    tensor: id,
                    places: vec![],
                    otherwise: None,
                },
                self.program.tensor(id).element,
            )),
            Value::Tensor(id) => {
                let shape = crate::ir::model::shape_text(self.axes(id));
                let message = format!("this tensor of {shape} needs indices here");
                self.wrong(
                    Diagnostic::new(Code::WrongRank, span, message)
                        .help("in an indexed equation every tensor is read with brackets"),
                )
            }
            other => self.constant(&other, span),
        }
    }

    pub(super) fn lower_name(
        &mut self,
        name: &str,
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        if name == "random" {
            return Ok((Expr::Random(self.stream()), Element::Real));
        }
        if scope.find(name).is_none()
            && let Some(id) = indices.named(name, || scope.range(name))
        {
            return Ok((Expr::Index(id), Element::Real));
        }
        let value = self.evaluate(expr, scope, Place_::Value)?;
        self.whole(value, expr.span)
    }

    pub(super) fn lower_binary(
        &mut self,
        operator: BinaryOperator,
        left: &'a Syntax,
        right: &'a Syntax,
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        use BinaryOperator::*;
        if !self.mentions_index(expr, scope) && !self.is_indexed(expr, scope) {
            let value = self.evaluate(expr, scope, Place_::Value)?;
            return self.whole(value, expr.span);
        }
        if matches!(operator, WholeDivide | Modulo) {
            let position = self.position(expr, scope, indices)?;
            return Ok((Expr::Position(position), Element::Real));
        }
        let a = self.lower(left, scope, indices);
        let b = self.lower(right, scope, indices);
        let (a, b) = (a?, b?);
        let function = match operator {
            Add => MapFunction::Add,
            Subtract => MapFunction::Subtract,
            Multiply => MapFunction::Multiply,
            Divide => MapFunction::Divide,
            Power => MapFunction::Power,
            And => MapFunction::And,
            Or => MapFunction::Or,
            Equal | NotEqual => MapFunction::Equal,
            Less | Greater => MapFunction::Less,
            LessEqual | GreaterEqual => MapFunction::LessEqual,
            WholeDivide | Modulo => return Err(Wrong),
        };
        let arithmetic = matches!(operator, Add | Subtract | Multiply | Divide | Power);
        if arithmetic
            && let Some(operand) = [(&a, left), (&b, right)]
                .iter()
                .find(|o| matches!(o.0.1, Element::Id { .. }))
        {
            return self.ids_as_numbers(operand.1.span);
        }
        let conditions = [&a, &b].iter().filter(|x| x.1 == Element::Condition).count();
        let wanted = if matches!(function, MapFunction::And | MapFunction::Or) {
            2
        } else {
            0
        };
        if conditions != wanted && !(function == MapFunction::Equal && conditions == 2) {
            let message = if wanted == 2 {
                "`and` and `or` are for conditions"
            } else {
                "a condition is no number: use `where(c, 1, 0)`"
            };
            return self.error(Code::WrongKind, expr.span, message);
        }
        let operands = if matches!(operator, Greater | GreaterEqual) {
            vec![b, a]
        } else {
            vec![a, b]
        };
        let result = fold::apply(function, operands);
        Ok(if operator == NotEqual {
            fold::apply(MapFunction::Not, vec![result])
        } else {
            result
        })
    }

    /// Reports that ids stand where a number is calculated.
    pub fn ids_as_numbers<T>(&mut self, span: Span) -> Checked<T> {
        let message = format!(
            "`{}` holds ids, which are no numbers to calculate with",
            self.sources.text(span)
        );
        let help = "look them up, as in `embedding(vocab, width)`, or say `real(…)`";
        self.wrong(Diagnostic::new(Code::WrongKind, span, message).help(help))
    }
}

/// The indices of an expression that no reduction inside it binds, in order of appearance.
pub fn free_indices(expr: &Expr, bound: &mut Vec<IndexId>, free: &mut Vec<IndexId>) {
    let note = |i: IndexId, bound: &Vec<IndexId>, free: &mut Vec<IndexId>| {
        if !bound.contains(&i) && !free.contains(&i) {
            free.push(i);
        }
    };
    match expr {
        Expr::Constant(_) | Expr::Number(_) | Expr::Random(_) => {}
        Expr::Index(i) => note(*i, bound, free),
        Expr::Position(position) => position_indices(position)
            .into_iter()
            .for_each(|i| note(i, bound, free)),
        Expr::Read { places, otherwise, .. } => {
            for place in places {
                match place {
                    crate::ir::model::Place::At { position, exact } => {
                        position_indices(position)
                            .into_iter()
                            .for_each(|i| note(i, bound, free));
                        if let Some((of, _)) = exact {
                            of.terms.iter().for_each(|t| note(t.0, bound, free));
                        }
                    }
                    crate::ir::model::Place::Id(id) => free_indices(id, bound, free),
                }
            }
            otherwise.iter().for_each(|o| free_indices(o, bound, free));
        }
        Expr::Apply(_, list) => list.iter().for_each(|e| free_indices(e, bound, free)),
        Expr::Reduce(_, over, body) => {
            let before = bound.len();
            bound.extend(over);
            free_indices(body, bound, free);
            bound.truncate(before);
        }
        Expr::Stop(body) => free_indices(body, bound, free),
    }
}

fn position_indices(position: &crate::ir::affine::Position) -> Vec<IndexId> {
    let affine = position.affine.terms.iter().map(|t| t.0);
    affine
        .chain(position.digits.iter().flat_map(|d| d.of.terms.iter().map(|t| t.0)))
        .collect()
}
