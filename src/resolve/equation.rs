//! Indexed equations: `y[.., o] = sum[i] x[.., i] * w[i, o]` becomes a tensor whose element is an expression of
//! indices. Ranges are collected first, so that the order of the factors does not matter.

use super::elaborator::{Checked, Elaborator};
use super::element::free_indices;
use super::evaluate::Position as Place_;
use super::indices::{Indices, joined_axis};
use super::ranges::split;
use super::scope::Scope;
use super::value::{Quantity, Value};
use crate::ir::ast::{self, Expr as Syntax, ExprKind, Index, ReductionOperator};
use crate::ir::model::{Axis, Definition, Equation, Expr, IndexId, Tensor, TensorId, WalkId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

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
        indices.left = positions.iter().flatten().copied().collect();
        let (body, element) = self.lower(right, scope, &mut indices)?;
        let mut allowed: Vec<IndexId> = positions.iter().flatten().copied().collect();
        let walked = self.walked(&allowed, &indices, span, scope)?;
        allowed.extend(walked.map(|(_, index)| index));
        self.no_free_index(&body, &allowed, &indices, right.span)?;
        if let Some((_, index)) = walked {
            self.check_step(&body, index, right.span)?;
        }
        let equation = Equation {
            indices: indices.sizes(),
            left: positions,
            body,
            walked,
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

    /// In the step of a scan, the index that is the step's number.
    fn walked(
        &mut self,
        left: &[IndexId],
        indices: &Indices,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Option<(WalkId, IndexId)>> {
        let Some((walk, name)) = scope.walked() else {
            return Ok(None);
        };
        match indices.known(&name) {
            Some(index) if left.contains(&index) => self.one_step(&name, span),
            found => Ok(found.map(|index| (walk, index))),
        }
    }

    /// The index of a scan stands where it would run over all steps.
    pub(super) fn one_step<T>(&mut self, name: &str, span: Span) -> Checked<T> {
        let message = format!("inside `scan {name}`, `{name}` is the step at hand and no axis");
        let help = format!("make what needs all of `{name}` before the `scan`");
        self.wrong(Diagnostic::new(Code::FreeIndex, span, message).help(help))
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
                if axis.is_batch() {
                    count *= self.parts as i128;
                }
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

    pub(super) fn left_group(
        &mut self,
        index: &'a Index,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<Vec<IndexId>> {
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
    pub fn collect(&mut self, expr: &'a Syntax, scope: &Rc<Scope<'a>>, indices: &mut Indices) -> Checked<()> {
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
                            let first = indices.rest_of;
                            let diagnostic = self.rests_disagree(*rest_span, (first, &before), (id, group));
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
                Index::Joined { parts, span } => {
                    let rest = self.joined_rest(parts, scope, indices)?;
                    self.unify_joined(parts, &rest, &group[0], *span, scope)?;
                }
                Index::Computed(_) => {}
            }
        }
        Ok(())
    }

    /// The axes of the `..` in a joined axis; none if there is none.
    fn joined_rest(&mut self, parts: &'a [Index], scope: &Rc<Scope<'a>>, indices: &mut Indices) -> Checked<Vec<Axis>> {
        match parts.iter().find(|p| matches!(p, Index::Rest(_))) {
            Some(rest) => {
                let ids = self.left_group(rest, scope, indices)?;
                Ok(ids.iter().map(|&i| indices.axes[i].clone()).collect())
            }
            None => Ok(vec![]),
        }
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
