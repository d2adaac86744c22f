//! Indexed equations: `y[.., o] = sum[i] x[.., i] * w[i, o]` becomes a tensor whose element is an expression of
//! indices. Ranges are collected first, so that the order of the factors does not matter.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position as Place_;
use super::ranges::split;
use super::scope::Scope;
use super::value::{Quantity, Value};
use super::{fold, number};
use crate::ir::ast::{self, BinaryOperator, Expr as Syntax, ExprKind, Index, ReductionOperator, UnaryOperator};
use crate::ir::graph::{Element, MapFunction, ReduceFunction};
use crate::ir::model::{Axis, Definition, Equation, Expr, IndexId, Tensor, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::collections::HashMap;
use std::rc::Rc;

/// The indices of the equation at hand.
#[derive(Default)]
pub struct Indices {
    /// Their axes, by id.
    pub axes: Vec<Axis>,
    /// Their names, by id.
    pub names: Vec<String>,
    by_name: HashMap<String, IndexId>,
    /// What `..` stands for.
    pub rest: Option<Vec<IndexId>>,
    /// The tensor that told it.
    rest_of: Option<TensorId>,
}

impl Indices {
    fn add(&mut self, name: &str, axis: Axis) -> IndexId {
        self.axes.push(axis);
        self.names.push(name.to_string());
        self.axes.len() - 1
    }

    /// The id of a name, given its range.
    pub fn named(&mut self, name: &str, range: impl FnOnce() -> Option<Axis>) -> Option<IndexId> {
        if let Some(&id) = self.by_name.get(name) {
            return Some(id);
        }
        let id = self.add(name, range()?);
        self.by_name.insert(name.to_string(), id);
        Some(id)
    }

    fn set_rest(&mut self, axes: &[Axis]) {
        let ids = axes
            .iter()
            .enumerate()
            .map(|(i, a)| self.add(&rest_name(a, i), a.clone()))
            .collect();
        self.rest = Some(ids);
    }

    fn sizes(&self) -> Vec<(String, usize)> {
        self.names
            .iter()
            .cloned()
            .zip(self.axes.iter().map(|a| a.size))
            .collect()
    }
}

fn rest_name(axis: &Axis, at: usize) -> String {
    if axis.is_batch() {
        "batch".into()
    } else {
        format!("..{at}")
    }
}

impl<'a> Elaborator<'a> {
    /// Elaborates `name[left] = right`. Where it is wrong, what its indices lack is told once.
    pub fn equation(
        &mut self,
        name: &str,
        left: &'a [Index],
        right: &'a Syntax,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<TensorId> {
        let result = self.sound_equation(name, left, right, span, scope);
        if result.is_err() {
            spoil(left, scope);
        }
        result
    }

    fn sound_equation(
        &mut self,
        name: &str,
        left: &'a [Index],
        right: &'a Syntax,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<TensorId> {
        self.spend(span)?;
        let mut indices = Indices::default();
        for index in left {
            self.bound_of(index, scope)?;
        }
        self.collect(right, scope, &mut indices)?;
        let mut positions = vec![];
        let mut axes = vec![];
        for index in left {
            let group = self.left_group(index, scope, &mut indices)?;
            match index {
                Index::Rest(_) => {
                    for id in group {
                        axes.push(indices.axes[id].clone());
                        positions.push(vec![id]);
                    }
                }
                _ => {
                    axes.push(joined_axis(&indices, &group, span));
                    positions.push(group);
                }
            }
        }
        let (body, element) = self.lower(right, scope, &mut indices)?;
        let allowed: Vec<IndexId> = positions.iter().flatten().copied().collect();
        self.no_free_index(&body, &allowed, &indices, right.span)?;
        let equation = Equation {
            indices: indices.sizes(),
            left: positions,
            body,
        };
        let definition = Definition::Equation(equation);
        self.tensor(Tensor {
            name: name.to_string(),
            axes,
            element,
            definition,
            span,
        })
    }

    /// An indexed expression without a left side: one number, or an index-free count.
    pub fn equation_value(&mut self, expr: &'a Syntax, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        if let ExprKind::Reduce {
            operator: ReductionOperator::Count,
            indices: over,
            condition: None,
            operand: None,
        } = &*expr.kind
        {
            let mut count = 1i128;
            for axis in self.declared_axes(over, scope)? {
                count *= axis.size as i128;
            }
            let label = self.sources.text(expr.span).to_string();
            let value = super::fraction::Known::whole(count);
            return Ok(Value::Number(Quantity {
                value,
                origin: expr.span,
                label,
            }));
        }
        Ok(Value::Tensor(self.equation("", &[], expr, expr.span, scope)?))
    }

    fn bound_of(&mut self, index: &'a Index, scope: &Rc<Scope<'a>>) -> Checked<()> {
        match index {
            Index::Named {
                name,
                bound: Some(bound),
            } => self.set_bound(name, bound, scope),
            Index::Joined { parts, .. } => parts.iter().try_for_each(|p| self.bound_of(p, scope)),
            Index::Computed(expr) => self.error(
                Code::Syntax,
                expr.span,
                "the left of an equation holds index names only",
            ),
            _ => Ok(()),
        }
    }

    fn left_group(&mut self, index: &'a Index, scope: &Rc<Scope<'a>>, indices: &mut Indices) -> Checked<Vec<IndexId>> {
        match index {
            Index::Rest(span) => {
                if indices.rest.is_none() {
                    let Some(rest) = scope.rest() else {
                        return self.error(Code::NoRange, *span, "nothing tells what `..` stands for here");
                    };
                    indices.set_rest(&rest);
                }
                Ok(indices.rest.clone().unwrap_or_default())
            }
            Index::Named { name, .. } => match indices.named(&name.text, || scope.range(&name.text)) {
                Some(id) => Ok(vec![id]),
                None => self.no_range(name, scope),
            },
            Index::Joined { parts, .. } => {
                let mut group = vec![];
                for part in parts {
                    group.extend(self.left_group(part, scope, indices)?);
                }
                Ok(group)
            }
            Index::Computed(expr) => self.error(
                Code::Syntax,
                expr.span,
                "the left of an equation holds index names only",
            ),
        }
    }

    fn no_free_index(&mut self, body: &Expr, allowed: &[IndexId], indices: &Indices, span: Span) -> Checked<()> {
        let mut free = vec![];
        free_indices(body, &mut vec![], &mut free);
        match free.iter().find(|i| !allowed.contains(i)) {
            None => Ok(()),
            Some(&index) => {
                let name = indices.names[index].trim_end_matches(char::is_numeric);
                let message = format!("index `{name}` is neither on the left nor under a reduction");
                let help = format!("write it on the left, or reduce it: `sum[{name}] …`");
                self.wrong(Diagnostic::new(Code::FreeIndex, span, message).help(help))
            }
        }
    }

    /// Walks the right side and unifies the range of every index that stands alone at an axis.
    fn collect(&mut self, expr: &'a Syntax, scope: &Rc<Scope<'a>>, indices: &mut Indices) -> Checked<()> {
        self.spend(expr.span)?;
        match &*expr.kind {
            ExprKind::Element { base, indices: pattern } => {
                for index in pattern {
                    if let Index::Computed(inner) = index {
                        self.collect(inner, scope, indices)?;
                    }
                }
                let ExprKind::Name(_) = &*base.kind else { return Ok(()) };
                if let Ok(Value::Tensor(id)) = self.evaluate(base, scope, Place_::Value) {
                    self.collect_read(pattern, id, expr.span, scope, indices)?;
                }
                Ok(())
            }
            ExprKind::Reduce {
                indices: over,
                condition,
                operand,
                ..
            } => {
                over.iter().try_for_each(|i| self.bound_of(i, scope))?;
                condition
                    .iter()
                    .chain(operand)
                    .try_for_each(|e| self.collect(e, scope, indices))
            }
            ExprKind::Unary { operand, .. } => self.collect(operand, scope, indices),
            ExprKind::Binary { left, right, .. }
            | ExprKind::Otherwise {
                value: left,
                otherwise: right,
            } => {
                self.collect(left, scope, indices)?;
                self.collect(right, scope, indices)
            }
            ExprKind::Call { arguments, .. } => arguments
                .iter()
                .try_for_each(|a| self.collect(&a.value, scope, indices)),
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
                    Some(ast::StatementKind::Value(value)) => self.collect(value, scope, indices),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn collect_read(
        &mut self,
        pattern: &'a [Index],
        id: TensorId,
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<()> {
        let axes = self.axes(id).to_vec();
        let Some(groups) = split(pattern, &axes) else {
            return self.wrong_read_rank(pattern, id, span);
        };
        for (index, group) in pattern.iter().zip(groups) {
            match index {
                Index::Rest(rest_span) => match &indices.rest {
                    None => {
                        indices.set_rest(group);
                        indices.rest_of = Some(id);
                    }
                    Some(ids) => {
                        let before: Vec<Axis> = ids.iter().map(|&i| indices.axes[i].clone()).collect();
                        let sizes = |axes: &[Axis]| axes.iter().map(|a| a.size).collect::<Vec<_>>();
                        if sizes(&before) != sizes(group) {
                            let (a, b) = (
                                crate::ir::model::shape_text(&before),
                                crate::ir::model::shape_text(group),
                            );
                            let message = format!("`..` stands for {a} and for {b}, which must agree");
                            let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, *rest_span, message);
                            for id in indices.rest_of.into_iter().chain([id]) {
                                let tensor = self.program.tensor(id);
                                let shape = crate::ir::model::shape_text(&tensor.axes);
                                diagnostic = diagnostic.note(tensor.span, format!("`{}` has {shape}", tensor.name));
                            }
                            return self.wrong(diagnostic);
                        }
                    }
                },
                Index::Named { name, bound } => {
                    if let Some(bound) = bound {
                        self.set_bound(name, bound, scope)?;
                    }
                    if scope.range(&name.text).is_some() || scope.find(&name.text).is_none() {
                        self.unify(name, &group[0], span, scope)?;
                    }
                }
                Index::Joined { parts, .. } if matches!(parts[..], [Index::Rest(_)]) => {}
                Index::Joined { parts, span } => self.unify_joined(parts, &group[0], *span, scope)?,
                Index::Computed(_) => {}
            }
        }
        Ok(())
    }

    fn wrong_read_rank<T>(&mut self, pattern: &[Index], id: TensorId, span: Span) -> Checked<T> {
        let tensor = self.program.tensor(id);
        let (named, there) = (pattern.len(), tensor.axes.len());
        let shape = crate::ir::model::shape_text(&tensor.axes);
        let message = format!("this bracket has {named} of the tensor's {there} axes, {shape}");
        let mut diagnostic = Diagnostic::new(Code::WrongRank, span, message);
        if tensor.span != Span::NOWHERE {
            diagnostic = diagnostic.note(tensor.span, "defined here");
        }
        self.wrong(diagnostic)
    }

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

/// Notes that a mistake was reported where these indices should have got their ranges.
pub fn spoil(indices: &[Index], scope: &Scope<'_>) {
    for index in indices {
        match index {
            Index::Named { name, .. } => scope.spoil(&name.text),
            Index::Joined { parts, .. } => spoil(parts, scope),
            _ => {}
        }
    }
}

fn joined_axis(indices: &Indices, group: &[IndexId], span: Span) -> Axis {
    if let [only] = group {
        return indices.axes[*only].clone();
    }
    let size = group
        .iter()
        .fold(1usize, |n, &i| n.saturating_mul(indices.axes[i].size));
    let labels: Vec<String> = group
        .iter()
        .filter(|&&i| indices.axes[i].size > 1)
        .map(|&i| indices.axes[i].label.clone())
        .collect();
    let batch = group.iter().any(|&i| indices.axes[i].is_batch());
    let origin = group.first().map_or(span, |&i| indices.axes[i].origin);
    Axis {
        size,
        label: if batch {
            crate::ir::model::BATCH.into()
        } else {
            labels.join(" * ")
        },
        origin,
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
