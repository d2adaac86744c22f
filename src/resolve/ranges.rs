//! How far every index of an equation goes: read off heads, bounds, and the axes where it stands alone.
//! Two places that disagree are the shape error.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::fraction::Known;
use super::scope::Scope;
use super::value::{Quantity, Value};
use crate::ir::ast::{Expr, ExprKind, Index, Name};
use crate::ir::model::{self, Axis, BATCH, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Matches a head's bracket with the tensor that is given for it.
    pub fn match_head(
        &mut self,
        name: &str,
        pattern: &'a [Index],
        id: TensorId,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<()> {
        let axes = self.axes(id).to_vec();
        let Some(groups) = split(pattern, &axes) else {
            return self.wrong_rank(name, pattern, id, span);
        };
        let takes_batch = |(index, group): (&Index, &[Axis])| match index {
            Index::Named { name, .. } => name.text != BATCH && group[0].is_batch(),
            _ => false,
        };
        let rest = pattern.iter().any(|i| matches!(i, Index::Rest(_)));
        if rest && pattern.iter().zip(groups.iter().copied()).any(takes_batch) {
            return self.wrong_rank(name, pattern, id, span);
        }
        let mut behind = axes.len();
        for (index, group) in pattern.iter().zip(groups) {
            behind -= group.len();
            match index {
                Index::Rest(_) => scope.set_rest(group.to_vec()),
                Index::Named { name, bound } => {
                    scope.set_axes_behind(&name.text, behind);
                    self.unify(name, &group[0], span, scope)?;
                    if let Some(bound) = bound {
                        self.match_bound(bound, &group[0], scope)?;
                    }
                }
                Index::Joined { parts, span } => self.unify_joined(parts, &[], &group[0], *span, scope)?,
                Index::Computed(expr) => {
                    return self.error(Code::Syntax, expr.span, "a head's bracket holds index names only");
                }
            }
        }
        Ok(())
    }

    fn wrong_rank<T>(&mut self, name: &str, pattern: &'a [Index], id: TensorId, span: Span) -> Checked<T> {
        let tensor = self.program.tensor(id);
        let rest = pattern.iter().any(|i| matches!(i, Index::Rest(_)));
        let named = pattern.iter().filter(|i| !matches!(i, Index::Rest(_))).count();
        let shape = model::shape_text(&tensor.axes);
        let message = if !rest && tensor.axes.len() > named && tensor.axes.first().is_some_and(Axis::is_batch) {
            format!("`{name}` has no `..` for the batch, but {shape} has one")
        } else {
            let axes = if named == 1 { "axis" } else { "axes" };
            let batched = tensor.axes.first().is_some_and(Axis::is_batch);
            let (at_least, behind) = match (rest, batched) {
                (true, true) => ("at least ", " behind the batch"),
                (true, false) => ("at least ", ""),
                _ => ("", ""),
            };
            format!("`{name}` needs {at_least}{named} {axes}{behind}, found {shape}")
        };
        let place = self.calls.last().copied().unwrap_or(span);
        let mut diagnostic = Diagnostic::new(Code::WrongRank, place, message).note(span, "these axes are expected");
        if tensor.span != Span::NOWHERE && tensor.span != place {
            diagnostic = diagnostic.note(tensor.span, format!("this has {shape}"));
        }
        self.wrong(diagnostic)
    }

    /// A bound in a head: names the size where the name is new, else must agree.
    fn match_bound(&mut self, bound: &'a Expr, axis: &Axis, scope: &Rc<Scope<'a>>) -> Checked<()> {
        if let ExprKind::Name(name) = &*bound.kind
            && scope.find(name).is_none()
        {
            let value = Known::whole(axis.size as i128);
            let label = if axis.label.is_empty() {
                name.clone()
            } else {
                axis.label.clone()
            };
            scope.define(
                name,
                Value::Number(Quantity {
                    value,
                    origin: axis.origin,
                    label,
                }),
                bound.span,
            );
            return Ok(());
        }
        let quantity = self.quantity(bound, scope)?;
        let size = self.size(&quantity, bound.span)?;
        if size == axis.size {
            return Ok(());
        }
        let message = format!("expected an axis of {size} ({}), found {}", quantity.label, axis.size);
        let place = self.calls.last().copied().unwrap_or(bound.span);
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, place, message)
            .note(quantity.origin, format!("this {size} comes from here"))
            .note(axis.origin, format!("this {} comes from here", axis.size));
        self.wrong(diagnostic)
    }

    /// An index stands alone at an axis: sets its range, or demands that the sizes agree.
    pub fn unify(&mut self, name: &Name, axis: &Axis, span: Span, scope: &Rc<Scope<'a>>) -> Checked<()> {
        if (name.text == BATCH) != axis.is_batch() {
            let message = if axis.is_batch() {
                format!(
                    "`{}` would take the batch: only `..` or an index called `batch` does",
                    name.text
                )
            } else {
                "an index called `batch` takes the batch axis only".into()
            };
            return self.error(Code::WrongRank, name.span, message);
        }
        let Some(range) = scope.range(&name.text) else {
            scope.set_range(&name.text, axis.clone());
            return Ok(());
        };
        if range.size == axis.size {
            return Ok(());
        }
        let message = format!(
            "index `{}` goes over {} ({}) and {} ({}), which must agree",
            name.text, range.size, range.label, axis.size, axis.label
        );
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, name.span, message)
            .label(format!("{} here", axis.size))
            .note(range.origin, format!("this {} comes from here", range.size))
            .note(axis.origin, format!("this {} comes from here", axis.size));
        let _ = span;
        self.wrong(diagnostic)
    }

    /// `(h < heads, e)`: the sizes multiply to the axis's; one of them may be left to be found. `rest` is what `..` stands
    /// for among them.
    pub fn unify_joined(
        &mut self,
        parts: &'a [Index],
        rest: &[Axis],
        axis: &Axis,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<()> {
        let mut product = 1usize;
        let mut open: Option<&Name> = None;
        for part in parts {
            if let Index::Rest(_) = part {
                product = rest.iter().fold(product, |n, a| n.saturating_mul(a.size));
                continue;
            }
            let Index::Named { name, bound } = part else {
                return self.error(Code::Syntax, span, "a joined axis holds index names");
            };
            if let Some(bound) = bound {
                self.set_bound(name, bound, scope)?;
            }
            match scope.range(&name.text) {
                Some(range) => product = product.saturating_mul(range.size),
                None if open.is_none() => open = Some(name),
                None => {
                    let message = format!(
                        "the size of `{}` can't be found: give all indices but one a bound",
                        name.text
                    );
                    return self.error(Code::NoRange, name.span, message);
                }
            }
        }
        match open {
            Some(name) if axis.size.is_multiple_of(product) => {
                let size = axis.size / product;
                let label = if product == 1 {
                    axis.label.clone()
                } else {
                    format!("{} / {product}", axis.label)
                };
                scope.set_range(
                    &name.text,
                    Axis {
                        size,
                        label,
                        origin: axis.origin,
                    },
                );
                Ok(())
            }
            None if product == axis.size => Ok(()),
            _ => {
                let message = match open {
                    Some(_) => format!("{product} must divide the axis of {}", axis.size),
                    None => format!("these indices make {product}, but the axis has {}", axis.size),
                };
                let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, span, message);
                for part in parts {
                    if let Index::Named { name, .. } = part
                        && let Some(range) = scope.range(&name.text)
                    {
                        diagnostic = diagnostic.note(range.origin, format!("`{}` goes over {}", name.text, range.size));
                    }
                }
                self.wrong(diagnostic.note(axis.origin, format!("this {} comes from here", axis.size)))
            }
        }
    }

    /// `i < n` where `n` is a number: sets the range of the index.
    pub fn set_bound(&mut self, name: &Name, bound: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<()> {
        if let (ExprKind::Name(size), Some(range)) = (&*bound.kind, scope.range(&name.text))
            && scope.find(size).is_none()
        {
            return self.match_bound(bound, &range, scope);
        }
        let quantity = match self.evaluate(bound, scope, Position::Value)? {
            Value::Number(quantity) => quantity,
            Value::Wrong => return Err(Wrong),
            other => {
                return self.error(
                    Code::WrongKind,
                    bound.span,
                    format!("a bound is a number, found {}", other.describe()),
                );
            }
        };
        let size = self.size(&quantity, bound.span)?;
        let label = if quantity.label.is_empty() {
            name.text.clone()
        } else {
            quantity.label.clone()
        };
        let axis = Axis {
            size,
            label,
            origin: quantity.origin,
        };
        match scope.range(&name.text) {
            Some(range) if range.size != size => {
                let message = format!(
                    "index `{}` goes over {} here, but over {} before",
                    name.text, size, range.size
                );
                let diagnostic = Diagnostic::new(Code::ShapeMismatch, bound.span, message)
                    .note(range.origin, format!("this {} comes from here", range.size));
                self.wrong(diagnostic.note(axis.origin, format!("this {size} comes from here")))
            }
            Some(_) => Ok(()),
            None => {
                scope.set_range(&name.text, axis);
                Ok(())
            }
        }
    }

    /// The axes that a declaration's bracket names.
    pub fn declared_axes(&mut self, indices: &'a [Index], scope: &Rc<Scope<'a>>) -> Checked<Vec<Axis>> {
        let mut axes = vec![];
        for index in indices {
            match index {
                Index::Rest(span) => match scope.rest() {
                    Some(rest) => axes.extend(rest),
                    None => return self.error(Code::NoRange, *span, "nothing tells what `..` stands for here"),
                },
                Index::Named { name, bound } => {
                    if let Some(bound) = bound {
                        self.set_bound(name, bound, scope)?;
                    }
                    match scope.range(&name.text) {
                        Some(axis) => axes.push(axis),
                        None => return self.no_range(name, scope),
                    }
                }
                Index::Joined { span, .. } => {
                    return self.error(Code::Syntax, *span, "a declaration names each axis alone");
                }
                Index::Computed(expr) => {
                    return self.error(Code::Syntax, expr.span, "a declaration holds index names only");
                }
            }
        }
        Ok(axes)
    }

    /// Reports an index that nothing bounds.
    pub fn no_range<T>(&mut self, name: &Name, scope: &Rc<Scope<'a>>) -> Checked<T> {
        if scope.is_spoiled(&name.text) {
            return Err(Wrong);
        }
        let message = format!("nothing tells how far index `{}` goes", name.text);
        let help = format!("give it a bound, as `{} < size`, or use it alone at an axis", name.text);
        self.wrong(Diagnostic::new(Code::NoRange, name.span, message).help(help))
    }
}

/// Which axes each entry of a bracket stands for; `None` if their number does not fit.
pub fn split<'x>(pattern: &[Index], axes: &'x [Axis]) -> Option<Vec<&'x [Axis]>> {
    let rests = pattern.iter().filter(|i| matches!(i, Index::Rest(_))).count();
    let named = pattern.len() - rests;
    if rests > 1 || axes.len() < named || rests == 0 && axes.len() != named {
        return None;
    }
    let mut groups = vec![];
    let mut at = 0;
    for index in pattern {
        let count = match index {
            Index::Rest(_) => axes.len() - named,
            _ => 1,
        };
        groups.push(&axes[at..at + count]);
        at += count;
    }
    Some(groups)
}
