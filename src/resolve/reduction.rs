//! Reductions of an equation: sums, means, counts, extremes and their positions, with what they keep.

use super::elaborator::{Checked, Elaborator};
use super::indices::Indices;
use super::scope::Scope;
use super::{fold, limits};
use crate::ir::ast::{Expr as Syntax, Index, ReductionOperator};
use crate::ir::graph::{Element, MapFunction, ReduceFunction};
use crate::ir::model::{Definition, Expr, IndexId, Tensor};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// A reduction as it is written.
pub(super) struct Reduction<'a> {
    pub operator: ReductionOperator,
    pub over: &'a [Index],
    pub condition: Option<&'a Syntax>,
    pub operand: Option<&'a Syntax>,
    pub span: Span,
}

impl<'a> Elaborator<'a> {
    pub(super) fn lower_reduce(
        &mut self,
        reduction: Reduction<'a>,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        let Reduction {
            operator,
            over,
            condition,
            operand,
            span,
        } = reduction;
        let walked = scope.walked();
        let mut ids = vec![];
        for index in over {
            if let (Index::Named { name, .. }, Some((_, step))) = (index, &walked)
                && name.text == *step
            {
                return self.one_step(step, name.span);
            }
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
        let parts = if ids.iter().any(|&i| indices.axes[i].is_batch()) {
            self.parts
        } else {
            1
        };
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
                    true => (Expr::Constant((size * parts) as f64), Element::Real),
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
            ReductionOperator::ArgSort => match (&ids[..], &condition) {
                ([index], None) => self.order(body, *index, span, scope, indices),
                _ => self.error(Code::WrongKind, span, "`argsort` takes one index and no condition"),
            },
        }
    }

    /// `id[.., r < k] = argsort[e] -p[.., e]`: which element along `index` has the rank that the left asks for.
    fn order(
        &mut self,
        body: (Expr, Element),
        index: IndexId,
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        if body.1 != Element::Real {
            return self.error(Code::WrongKind, span, "`argsort` orders numbers");
        }
        let size = indices.axes[index].size;
        if size > limits::SORTED {
            let message = format!("`argsort` orders at most {} elements, these are {size}", limits::SORTED);
            return self
                .wrong(Diagnostic::new(Code::SizeTooLarge, span, message).help("`argmax` finds one of any number"));
        }
        let (of, free) = self.element_tensor(body, span, scope, indices)?;
        let Some(axis) = free.iter().position(|&i| i == index) else {
            let message = format!("what is sorted does not depend on `{}`", indices.names[index]);
            return self.error(Code::FreeIndex, span, message);
        };
        let ranks: Vec<IndexId> = match indices.left.contains(&index) {
            true => vec![index],
            false => indices.left.iter().copied().filter(|i| !free.contains(i)).collect(),
        };
        let &[rank] = &ranks[..] else {
            let message = "`argsort` needs one index on the left that stands for the rank";
            let help = "as in `best[.., r < 3] = argsort[e] -x[.., e]`: the three greatest";
            return self.wrong(Diagnostic::new(Code::FreeIndex, span, message).help(help));
        };
        if indices.axes[rank].size > size {
            let message = format!(
                "`{}` goes over {} ranks, but there are {size}",
                indices.names[rank], indices.axes[rank].size
            );
            let diagnostic = Diagnostic::new(Code::ShapeMismatch, span, message);
            return self.wrong(diagnostic.note(indices.axes[rank].origin, "the number of ranks comes from here"));
        }
        let element = Element::Id { bound: size };
        let sorted = self.tensor(Tensor {
            name: String::new(),
            axes: self.axes(of).to_vec(),
            element,
            definition: Definition::Sorted { of, axis },
            span,
        })?;
        let places = free
            .iter()
            .map(|&i| super::elaborator::read_at(if i == index { rank } else { i }));
        let read = Expr::Read {
            tensor: sorted,
            places: places.collect(),
            otherwise: None,
        };
        Ok((read, element))
    }
}
