//! The right side of an equation, lowered to one element as a function of indices.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::equation::Indices;
use super::evaluate::Position as Place_;
use super::scope::Scope;
use super::value::Value;
use super::{fold, number};
use crate::ir::ast::{self, BinaryOperator, Expr as Syntax, ExprKind, Index, ReductionOperator, UnaryOperator};
use crate::ir::graph::{Element, MapFunction, ReduceFunction};
use crate::ir::model::{Axis, Definition, Equation, Expr, IndexId, Tensor};
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
            } => self.lower_reduce(
                *operator,
                over,
                condition.as_ref(),
                operand.as_ref(),
                expr.span,
                scope,
                indices,
            ),
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
    fn whole(&mut self, value: Value<'a>, span: Span) -> Checked<(Expr, Element)> {
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

    fn lower_name(
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

    fn lower_binary(
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

    #[allow(clippy::too_many_arguments, reason = "the parts of one reduction")]
    fn lower_reduce(
        &mut self,
        operator: ReductionOperator,
        over: &'a [Index],
        condition: Option<&'a Syntax>,
        operand: Option<&'a Syntax>,
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        let mut ids = vec![];
        for index in over {
            ids.extend(self.left_group(index, scope, indices)?);
        }
        let one = || (Expr::Constant(1.0), Element::Real);
        let body = match operand {
            Some(operand) => self.lower(operand, scope, indices)?,
            None => one(),
        };
        let condition = condition.map(|c| self.lower(c, scope, indices)).transpose()?;
        let kept = |value: (Expr, Element), neutral: f64| match &condition {
            Some(c) => fold::apply(
                MapFunction::Where,
                vec![c.clone(), value, (Expr::Constant(neutral), Element::Real)],
            ),
            None => value,
        };
        let reduce =
            |function, body: (Expr, Element)| (Expr::Reduce(function, ids.clone(), Box::new(body.0)), Element::Real);
        let size: usize = ids.iter().map(|&i| indices.axes[i].size).product();
        match operator {
            ReductionOperator::Sum => Ok(reduce(ReduceFunction::Sum, kept(body, 0.0))),
            ReductionOperator::Max => Ok(reduce(ReduceFunction::Maximum, kept(body, f64::NEG_INFINITY))),
            ReductionOperator::Min => Ok(reduce(ReduceFunction::Minimum, kept(body, f64::INFINITY))),
            ReductionOperator::Product => Ok(reduce(ReduceFunction::Product, kept(body, 1.0))),
            ReductionOperator::Mean | ReductionOperator::Count => {
                // Over a whole split even a plain count must be added up batch by batch.
                let accumulates = !self.training && ids.iter().any(|&i| indices.axes[i].is_batch());
                let whole = !accumulates && matches!(condition, None | Some((Expr::Constant(1.0), _)));
                let count = match whole {
                    true => (Expr::Constant(size as f64), Element::Real),
                    false => reduce(ReduceFunction::Sum, kept(one(), 0.0)),
                };
                if operator == ReductionOperator::Count {
                    return Ok(count);
                }
                let count = if whole {
                    count
                } else {
                    fold::apply(MapFunction::Maximum, vec![count, one()])
                };
                Ok(fold::apply(
                    MapFunction::Divide,
                    vec![reduce(ReduceFunction::Sum, kept(body, 0.0)), count],
                ))
            }
            ReductionOperator::ArgMax => {
                let [index] = ids[..] else {
                    return self.error(Code::WrongKind, span, "`argmax` takes one index");
                };
                let best = reduce(ReduceFunction::Maximum, kept(body.clone(), f64::NEG_INFINITY));
                let hit = fold::apply(MapFunction::Equal, vec![body, best]);
                let nowhere = (Expr::Constant(size as f64), Element::Real);
                let at = fold::apply(
                    MapFunction::Where,
                    vec![hit, (Expr::Index(index), Element::Real), nowhere],
                );
                Ok(reduce(ReduceFunction::Minimum, at))
            }
            ReductionOperator::ArgSort => self.error(Code::NotSupported, span, "`argsort` is not compiled yet"),
        }
    }

    fn lower_call(
        &mut self,
        callee: &'a Syntax,
        arguments: &'a [ast::Argument],
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        if !self.mentions_index(expr, scope) && !self.is_indexed(expr, scope) {
            let value = self.evaluate(expr, scope, Place_::Value)?;
            return self.whole(value, expr.span);
        }
        let ExprKind::Name(name) = &*callee.kind else {
            return self.error(Code::WrongKind, callee.span, "expected the name of a function");
        };
        let known = scope.find(name).is_none();
        if known && matches!(name.as_str(), "stop" | "real") && arguments.len() == 1 {
            let (body, element) = self.lower(&arguments[0].value, scope, indices)?;
            let body = if name == "stop" {
                Expr::Stop(Box::new(body))
            } else {
                body
            };
            return Ok((body, if name == "stop" { element } else { Element::Real }));
        }
        if known && let Some((count, function, _)) = number::function(name) {
            if arguments.len() != count {
                let message = format!(
                    "`{name}` takes {count} argument{}, found {}",
                    if count == 1 { "" } else { "s" },
                    arguments.len()
                );
                return self.error(Code::WrongArguments, expr.span, message);
            }
            let lowered: Vec<_> = arguments.iter().map(|a| self.lower(&a.value, scope, indices)).collect();
            let lowered = lowered.into_iter().collect::<Checked<Vec<_>>>()?;
            if function == MapFunction::Where && lowered[0].1 != Element::Condition {
                return self.error(
                    Code::WrongKind,
                    arguments[0].value.span,
                    "the first argument of `where` is a condition",
                );
            }
            return Ok(fold::apply(function, lowered));
        }
        self.lower_definition_call(callee, arguments, expr, scope, indices)
    }

    /// A definition called on an element, `sigmoid(a[.., 1, j])`: the argument becomes a tensor over its free indices.
    fn lower_definition_call(
        &mut self,
        callee: &'a Syntax,
        arguments: &'a [ast::Argument],
        expr: &'a Syntax,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        let Some((first, others)) = arguments.split_first() else {
            return self.error(
                Code::WrongArguments,
                expr.span,
                "this call needs the element that it applies to",
            );
        };
        let layer = match scope.find(match &*callee.kind {
            ExprKind::Name(name) => name,
            _ => "",
        }) {
            Some(binding) => binding.value,
            None => self.call(callee, others, expr.span, scope, Place_::Layer)?,
        };
        let (body, element) = self.lower(&first.value, scope, indices)?;
        let mut free = vec![];
        free_indices(&body, &mut vec![], &mut free);
        free.sort_unstable();
        let axes: Vec<Axis> = free.iter().map(|&i| indices.axes[i].clone()).collect();
        let left = free.iter().map(|&i| vec![i]).collect();
        let definition = Definition::Equation(Equation {
            indices: indices.sizes(),
            left,
            body,
        });
        let name = String::new();
        let argument = self.tensor(Tensor {
            name,
            axes: axes.clone(),
            element,
            definition,
            span: first.value.span,
        })?;
        let Value::Tensor(result) = self.apply(&layer, Value::Tensor(argument), expr.span)? else {
            return Err(Wrong);
        };
        let same = self.axes(result).iter().map(|a| a.size).eq(axes.iter().map(|a| a.size));
        if !same {
            let message = "a definition called on an element must be element-wise";
            return self.error(Code::WrongRank, expr.span, message);
        }
        let places = free.iter().map(|&i| super::elaborator::read_at(i)).collect();
        Ok((
            Expr::Read {
                tensor: result,
                places,
                otherwise: None,
            },
            self.program.tensor(result).element,
        ))
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
