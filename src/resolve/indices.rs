//! The indices of an equation: their names and ranges, and which expressions mention them.

use super::elaborator::Elaborator;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{Expr as Syntax, ExprKind};
use crate::ir::model::{Axis, IndexId, TensorId};
use crate::text::Span;
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
    pub(super) rest_of: Option<TensorId>,
    /// What stands on the left.
    pub left: Vec<IndexId>,
}

impl Indices {
    pub(super) fn add(&mut self, name: &str, axis: Axis) -> IndexId {
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

    /// The id of a name that was met.
    pub(super) fn known(&self, name: &str) -> Option<IndexId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn set_rest(&mut self, axes: &[Axis]) {
        let ids = axes
            .iter()
            .enumerate()
            .map(|(i, a)| self.add(&rest_name(a, i), a.clone()))
            .collect();
        self.rest = Some(ids);
    }

    pub(super) fn sizes(&self) -> Vec<(String, usize)> {
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

pub(super) fn joined_axis(indices: &Indices, group: &[IndexId], span: Span) -> Axis {
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

impl<'a> Elaborator<'a> {
    /// Whether an index of this body stands in an expression.
    pub fn mentions_index(&self, expr: &Syntax, scope: &Rc<Scope<'a>>) -> bool {
        match &*expr.kind {
            ExprKind::Name(name) => name == "random" || scope.find(name).is_none() && scope.range(name).is_some(),
            ExprKind::Unary { operand, .. } => self.mentions_index(operand, scope),
            ExprKind::Binary { left, right, .. } => {
                self.mentions_index(left, scope) || self.mentions_index(right, scope)
            }
            ExprKind::Call { arguments, .. } => arguments.iter().any(|a| self.mentions_index(&a.value, scope)),
            ExprKind::If { then, otherwise, .. } => {
                let last = |b: &crate::ir::ast::Block| match b.statements.last().map(|s| &s.kind) {
                    Some(crate::ir::ast::StatementKind::Value(e)) => self.mentions_index(e, scope),
                    _ => false,
                };
                last(then) || otherwise.as_ref().is_some_and(last)
            }
            _ => false,
        }
    }

    /// Whether an expression reads elements or reduces, so that it is an equation.
    pub fn is_indexed(&self, expr: &Syntax, scope: &Rc<Scope<'a>>) -> bool {
        match &*expr.kind {
            ExprKind::Element { base, .. } => match &*base.kind {
                ExprKind::Name(name) => !matches!(scope.find(name).map(|b| b.value), Some(Value::List(_))),
                _ => true,
            },
            ExprKind::Reduce { .. } if self.over_list(expr, scope).is_some() => false,
            ExprKind::Reduce {
                operator,
                operand,
                condition,
                ..
            } => {
                // A count of axes alone is a number.
                !(*operator == crate::ir::ast::ReductionOperator::Count && operand.is_none() && condition.is_none())
            }
            ExprKind::Otherwise { .. } => true,
            ExprKind::Name(name) => name == "random",
            ExprKind::Unary { operand, .. } => self.is_indexed(operand, scope),
            ExprKind::Binary { left, right, .. } => self.is_indexed(left, scope) || self.is_indexed(right, scope),
            ExprKind::Call { arguments, .. } => arguments.iter().any(|a| self.is_indexed(&a.value, scope)),
            _ => false,
        }
    }
}
