//! Reads of tensors inside equations: each place in a bracket is a position of indices, or an id.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position as Context;
use super::indices::Indices;
use super::ranges::split;
use super::scope::Scope;
use super::value::Value;
use crate::ir::affine::{Affine, Digit, Position};
use crate::ir::ast::{BinaryOperator, Expr as Syntax, ExprKind, Index, UnaryOperator};
use crate::ir::graph::Element;
use crate::ir::model::{Axis, Expr, IndexId, Place};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// `x[.., stride * i + r - pad, c]`, with what is read outside.
    pub fn lower_read(
        &mut self,
        base: &'a Syntax,
        pattern: &'a [Index],
        otherwise: Option<Expr>,
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<(Expr, Element)> {
        let id = match self.evaluate(base, scope, Context::Value)? {
            Value::Tensor(id) => id,
            // The default of an indexed parameter holds for every element.
            value @ (Value::Number(_) | Value::Condition(_) | Value::Step(_)) => return self.constant(&value, span),
            Value::List(_) => {
                let message = "an element of a list is a number of its own: name it before the equation";
                return self.error(Code::WrongKind, span, message);
            }
            other => {
                return self.error(
                    Code::WrongKind,
                    base.span,
                    format!("only a tensor has elements, this is {}", other.describe()),
                );
            }
        };
        let axes = self.axes(id).to_vec();
        let Some(groups) = split(pattern, &axes) else {
            return Err(Wrong);
        };
        let mut places = vec![];
        for (index, group) in pattern.iter().zip(groups) {
            self.places_of(index, group, otherwise.is_some(), scope, indices, &mut places)?;
        }
        let element = self.program.tensor(id).element;
        let element = if otherwise.is_some() && matches!(element, Element::Id { .. }) {
            Element::Real
        } else {
            element
        };
        Ok((
            Expr::Read {
                tensor: id,
                places,
                otherwise: otherwise.map(Box::new),
            },
            element,
        ))
    }

    fn places_of(
        &mut self,
        index: &'a Index,
        group: &[Axis],
        excused: bool,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
        places: &mut Vec<Place>,
    ) -> Checked<()> {
        match index {
            Index::Rest(_) => {
                let rest = indices.rest.clone().unwrap_or_default();
                places.extend(rest.into_iter().map(super::elaborator::read_at));
            }
            Index::Named { name, .. } => {
                if let Some(binding) = scope.find(&name.text)
                    && scope.range(&name.text).is_none()
                {
                    binding.used.set(true);
                    let place = self.place_of_value(binding.value, &group[0], name.span, excused)?;
                    places.push(place);
                    return Ok(());
                }
                match indices.named(&name.text, || scope.range(&name.text)) {
                    Some(id) => places.push(super::elaborator::read_at(id)),
                    None => return self.no_range(name, scope),
                }
            }
            Index::Joined { parts, span } => {
                let position = self.joined_position(parts, *span, scope, indices)?;
                places.push(Place::At { position, exact: None });
            }
            Index::Computed(expr) => {
                let place = self.computed_place(expr, &group[0], excused, scope, indices)?;
                places.push(place);
            }
        }
        Ok(())
    }

    fn place_of_value(&mut self, value: Value<'a>, axis: &Axis, span: Span, excused: bool) -> Checked<Place> {
        match value {
            Value::Number(q) => match q.value.as_whole() {
                Some(whole) => {
                    let position = Position::from(Affine::constant(whole as i64));
                    self.inside(&position, axis, &[], excused, span)?;
                    Ok(Place::At { position, exact: None })
                }
                None => self.error(
                    Code::WrongValue,
                    span,
                    format!("a position must be whole, this is {}", q.value),
                ),
            },
            Value::Tensor(id) if self.axes(id).is_empty() => Ok(Place::Id(Expr::Read {
                tensor: id,
                places: vec![],
                otherwise: None,
            })),
            Value::Wrong => Err(Wrong),
            other => self.error(
                Code::WrongKind,
                span,
                format!("expected an index or a whole number, found {}", other.describe()),
            ),
        }
    }

    fn joined_position(
        &mut self,
        parts: &'a [Index],
        span: Span,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<Position> {
        let mut ids: Vec<IndexId> = vec![];
        for part in parts {
            match part {
                Index::Named { name, .. } => match indices.named(&name.text, || scope.range(&name.text)) {
                    Some(id) => ids.push(id),
                    None => return self.no_range(name, scope),
                },
                Index::Rest(_) => ids.extend(self.left_group(part, scope, indices)?),
                _ => return self.error(Code::Syntax, span, "a joined axis holds index names"),
            }
        }
        let mut stride = 1i64;
        let mut affine = Affine::default();
        for &id in ids.iter().rev() {
            affine = affine.plus(&Affine::axis(id).times(stride));
            stride *= indices.axes[id].size as i64;
        }
        Ok(affine.into())
    }

    fn computed_place(
        &mut self,
        expr: &'a Syntax,
        axis: &Axis,
        excused: bool,
        scope: &Rc<Scope<'a>>,
        indices: &mut Indices,
    ) -> Checked<Place> {
        if self.is_indexed(expr, scope) {
            let (id, element) = self.lower(expr, scope, indices)?;
            let Element::Id { bound } = element else {
                let message = "only ids can be used as an index; a computed number has no bound";
                return self.error(Code::WrongKind, expr.span, message);
            };
            if bound > axis.size {
                let message = format!(
                    "these ids go up to {}, but the axis has {} elements",
                    bound - 1,
                    axis.size
                );
                let diagnostic = Diagnostic::new(Code::OutOfBounds, expr.span, message);
                return self.wrong(diagnostic.note(axis.origin, format!("this {} comes from here", axis.size)));
            }
            return Ok(Place::Id(id));
        }
        if let ExprKind::Binary {
            operator: BinaryOperator::Divide,
            left,
            right,
            ..
        } = &*expr.kind
        {
            let of = self.position(left, scope, indices)?;
            let by = self.quantity(right, scope)?;
            if let (Some(of), Some(by)) = (of.as_affine(), by.value.as_whole().filter(|b| *b >= 1)) {
                if by == 1 {
                    let position: Position = of.clone().into();
                    self.inside(&position, axis, &sizes(indices), excused, expr.span)?;
                    return Ok(Place::At { position, exact: None });
                }
                if !excused {
                    return self.error(
                        Code::OutOfBounds,
                        expr.span,
                        "this position need not be whole: say what it reads then, with `else`",
                    );
                }
                let digit = Digit {
                    coefficient: 1,
                    of: of.clone(),
                    divide: by as i64,
                    modulo: None,
                };
                let position = Position {
                    affine: Affine::default(),
                    digits: vec![digit],
                };
                return Ok(Place::At {
                    position,
                    exact: Some((of.clone(), by as i64)),
                });
            }
        }
        let position = self.position(expr, scope, indices)?;
        self.inside(&position, axis, &sizes(indices), excused, expr.span)?;
        Ok(Place::At { position, exact: None })
    }

    fn inside(&mut self, position: &Position, axis: &Axis, sizes: &[usize], excused: bool, span: Span) -> Checked<()> {
        let (low, high) = position.range(sizes);
        if excused || low >= 0 && high < axis.size as i64 {
            return Ok(());
        }
        let message = format!(
            "this position goes from {low} to {high}, but the axis has {} elements",
            axis.size
        );
        let diagnostic = Diagnostic::new(Code::OutOfBounds, span, message)
            .help("say what is read outside: `(x[…] else 0)`")
            .note(axis.origin, format!("this {} comes from here", axis.size));
        self.wrong(diagnostic)
    }

    /// An expression of indices and whole numbers.
    pub fn position(&mut self, expr: &'a Syntax, scope: &Rc<Scope<'a>>, indices: &mut Indices) -> Checked<Position> {
        match &*expr.kind {
            ExprKind::Name(name) if scope.find(name).is_none() && scope.range(name).is_some() => {
                match indices.named(name, || scope.range(name)) {
                    Some(id) => Ok(Position::axis(id)),
                    None => Err(Wrong),
                }
            }
            ExprKind::Unary {
                operator: UnaryOperator::Negate,
                operand,
            } => Ok(self.position(operand, scope, indices)?.times(-1)),
            ExprKind::Binary {
                operator, left, right, ..
            } if self.mentions_index(expr, scope) => {
                use BinaryOperator::*;
                match operator {
                    Add => Ok(self
                        .position(left, scope, indices)?
                        .plus(&self.position(right, scope, indices)?)),
                    Subtract => Ok(self
                        .position(left, scope, indices)?
                        .plus(&self.position(right, scope, indices)?.times(-1))),
                    Multiply => {
                        let (constant, factor) = if self.mentions_index(left, scope) {
                            (right, left)
                        } else {
                            (left, right)
                        };
                        let constant = self.whole_number(constant, scope)?;
                        Ok(self.position(factor, scope, indices)?.times(constant))
                    }
                    WholeDivide | Modulo => {
                        let of = self.position(left, scope, indices)?;
                        let by = self.whole_number(right, scope)?;
                        self.digit(&of, by, *operator == Modulo, &sizes(indices), expr.span)
                    }
                    _ => self.error(
                        Code::WrongKind,
                        expr.span,
                        "a position is made of indices and whole numbers by + - * div mod",
                    ),
                }
            }
            _ => Ok(Affine::constant(self.whole_number(expr, scope)?).into()),
        }
    }

    fn digit(&mut self, of: &Position, by: i64, modulo: bool, sizes: &[usize], span: Span) -> Checked<Position> {
        if by < 1 {
            return self.error(Code::WrongValue, span, "`div` and `mod` need a divisor of at least 1");
        }
        let digit = match (of.as_affine(), &of.digits[..]) {
            (Some(affine), _) => {
                // `mod` of what may be negative: a multiple of the modulus makes it positive without changing it.
                let (low, _) = affine.range(sizes);
                let lift = if modulo && low < 0 { -low.div_euclid(by) * by } else { 0 };
                let of = affine.plus(&Affine::constant(lift));
                if modulo {
                    Digit {
                        coefficient: 1,
                        of,
                        divide: 1,
                        modulo: Some(by),
                    }
                } else {
                    Digit {
                        coefficient: 1,
                        of,
                        divide: by,
                        modulo: None,
                    }
                }
            }
            (None, [only]) if of.affine == Affine::default() && only.coefficient == 1 && only.modulo.is_none() => {
                if modulo {
                    Digit {
                        modulo: Some(by),
                        ..only.clone()
                    }
                } else {
                    Digit {
                        divide: only.divide * by,
                        ..only.clone()
                    }
                }
            }
            _ => {
                return self.error(
                    Code::NotSupported,
                    span,
                    "`div` and `mod` of a sum that already holds one are not compiled",
                );
            }
        };
        Ok(Position {
            affine: Affine::default(),
            digits: vec![digit],
        })
    }

    fn whole_number(&mut self, expr: &'a Syntax, scope: &Rc<Scope<'a>>) -> Checked<i64> {
        let quantity = self.quantity(expr, scope)?;
        match quantity.value.as_whole().and_then(|w| i64::try_from(w).ok()) {
            Some(whole) => Ok(whole),
            None => self.error(
                Code::WrongValue,
                expr.span,
                format!("a position must be whole, this is {}", quantity.value),
            ),
        }
    }
}

fn sizes(indices: &Indices) -> Vec<usize> {
    indices.axes.iter().map(|a: &Axis| a.size).collect()
}
