//! `scan t { carry h[.., j] = 0 … yield h }`: a loop along an axis. Its body is elaborated once; equations that read a
//! carry or stand at `t` belong to a step, all others are the same for every step.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{Block, Expr as Syntax, Name, StateDeclaration, StatementKind};
use crate::ir::graph::Element;
use crate::ir::model::{Axis, Carried, Definition, Expr, IndexId, Place, Tensor, TensorId, Walk, WalkId};
use crate::text::{Code, Diagnostic, Span};
use std::collections::HashSet;
use std::rc::Rc;

/// The scan that is being elaborated.
#[derive(Clone, Debug)]
pub struct Walking {
    /// Which.
    pub walk: WalkId,
    /// What belongs to a step.
    pub inside: HashSet<TensorId>,
}

impl<'a> Elaborator<'a> {
    /// Notes whether a tensor belongs to the step of the scan at hand.
    pub fn note_inside(&mut self, id: TensorId) {
        let Some(walking) = &mut self.walking else { return };
        let belongs = match &self.program.tensor(id).definition {
            Definition::Equation(equation) => {
                let mut found = equation.walked.is_some();
                equation.body.reads(&mut |read| found |= walking.inside.contains(&read));
                found
            }
            Definition::Sorted { of, .. } => walking.inside.contains(of),
            Definition::Carry { .. } => true,
            _ => false,
        };
        if belongs {
            walking.inside.insert(id);
        }
    }

    /// Whether an expression reads what belongs to a step.
    pub fn reads_inside(&self, expr: &Expr) -> bool {
        let Some(walking) = &self.walking else { return false };
        let mut found = false;
        expr.reads(&mut |read| found |= walking.inside.contains(&read));
        found
    }

    /// Elaborates a scan; its value has the steps' axis where the definition's head has it.
    pub fn scan(
        &mut self,
        index: &'a Name,
        backwards: Option<&'a Syntax>,
        body: &'a Block,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        if self.walking.is_some() {
            return self.error(
                Code::NotSupported,
                index.span,
                "a `scan` inside a `scan` is not compiled yet",
            );
        }
        let Some(axis) = scope.range(&index.text) else {
            let message = format!("nothing tells how far `{}` goes", index.text);
            let help = format!(
                "name the axis in the definition's head, as in `def layer(x[.., {}, i])`",
                index.text
            );
            return self.wrong(Diagnostic::new(Code::NoRange, index.span, message).help(help));
        };
        let backwards = match backwards {
            Some(condition) => self.condition(condition, scope)?,
            None => false,
        };
        let walk = WalkId(self.program.walks.len() as u32);
        self.program.walks.push(Walk {
            steps: axis.size,
            backwards,
            carries: vec![],
        });
        let inner = scope.inner(scope.path.clone());
        inner.walk(walk, &index.text);
        let states = self.states.clone();
        let penalties = self.penalties.len();
        self.walking = Some(Walking {
            walk,
            inside: HashSet::new(),
        });
        let value = self.scan_body(walk, body, span, scope, &inner);
        self.walking = None;
        let value = value?;
        if self.states.iter().any(|(path, state)| states.get(path) != Some(state)) || self.penalties.len() > penalties {
            let message = "a `state` or `penalty` can't change in the steps of a `scan`";
            return self.error(Code::NotSupported, span, message);
        }
        self.side_by_side(walk, value, axis, &index.text, span, scope)
    }

    fn scan_body(
        &mut self,
        walk: WalkId,
        body: &'a Block,
        span: Span,
        scope: &Rc<Scope<'a>>,
        inner: &Rc<Scope<'a>>,
    ) -> Checked<TensorId> {
        let mut carried: Vec<(&'a Name, TensorId, TensorId)> = vec![];
        let mut yielded: Option<(TensorId, Span)> = None;
        for statement in &body.statements {
            match &statement.kind {
                StatementKind::Carry(list) => {
                    for declaration in list {
                        let number = carried.len();
                        let (carry, initial) = self.carry(walk, number, declaration, scope, inner)?;
                        carried.push((&declaration.name, carry, initial));
                        self.program.walks[walk.0 as usize].carries.push(Carried {
                            carry,
                            initial,
                            next: carry,
                        });
                    }
                }
                StatementKind::Yield(expr) => {
                    if let Some((_, first)) = yielded {
                        let message = "a `scan` yields one value";
                        let diagnostic = Diagnostic::new(Code::DuplicateName, statement.span, message);
                        return self.wrong(diagnostic.note(first, "the first one"));
                    }
                    yielded = Some((self.yielded(expr, inner)?, expr.span));
                }
                _ => {
                    self.statement(statement, inner)?;
                }
            }
        }
        for (number, (name, carry, _)) in carried.iter().enumerate() {
            let newest = inner.find(&name.text).map(|b| b.value);
            let Some(Value::Tensor(next)) = newest else {
                return Err(Wrong);
            };
            if next == *carry {
                let message = format!("`{}` never changes from step to step", name.text);
                let help = format!("update it with `{} <- …`, or define it before the `scan`", name.text);
                return self.wrong(Diagnostic::new(Code::NotUpdatable, name.span, message).help(help));
            }
            self.program.walks[walk.0 as usize].carries[number].next = next;
        }
        match yielded {
            Some((value, _)) => Ok(value),
            None => {
                let diagnostic = Diagnostic::new(Code::EmptyBody, span, "a `scan` needs a value of each step");
                self.wrong(diagnostic.help("say which with `yield`"))
            }
        }
    }

    /// `carry h[.., j] = 0`: the tensor of the step, and what it starts with.
    fn carry(
        &mut self,
        walk: WalkId,
        number: usize,
        declaration: &'a StateDeclaration,
        scope: &Rc<Scope<'a>>,
        inner: &Rc<Scope<'a>>,
    ) -> Checked<(TensorId, TensorId)> {
        let StateDeclaration { name, value, span, .. } = declaration;
        let initial = match &declaration.indices {
            Some(indices) => self.equation(&name.text, indices, value, *span, scope)?,
            None => {
                let found = self.evaluate(value, scope, Position::Value)?;
                match found {
                    Value::Tensor(id) => id,
                    found => {
                        let (body, element) = self.constant(&found, value.span)?;
                        self.elementwise(vec![], element, body, *span)?
                    }
                }
            }
        };
        let Tensor { axes, element, .. } = self.program.tensor(initial).clone();
        if element != Element::Real {
            let message = format!("`{}` must be a number: conditions and ids are not carried", name.text);
            return self.error(Code::WrongKind, value.span, message);
        }
        let carry = self.tensor(Tensor {
            name: name.text.clone(),
            axes,
            element,
            definition: Definition::Carry { walk, number },
            span: *span,
        })?;
        let updates = format!("{walk}, {number}");
        match inner.define_state(&name.text, Value::Tensor(carry), name.span, updates) {
            Some(earlier) => self.twice(name, earlier),
            None => Ok((carry, initial)),
        }
    }

    fn yielded(&mut self, expr: &'a Syntax, inner: &Rc<Scope<'a>>) -> Checked<TensorId> {
        match self.evaluate(expr, inner, Position::Value)? {
            Value::Tensor(id) if self.program.tensor(id).element == Element::Real => Ok(id),
            Value::Wrong => Err(Wrong),
            found => {
                let message = format!("a `scan` yields a tensor of numbers, found {}", found.describe());
                self.error(Code::WrongKind, expr.span, message)
            }
        }
    }

    /// The tensor of all steps: their axis stands as far from the end as in the head, but never before the batch.
    fn side_by_side(
        &mut self,
        walk: WalkId,
        value: TensorId,
        steps: Axis,
        index: &str,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let Tensor { name, mut axes, .. } = self.program.tensor(value).clone();
        let behind = scope.axes_behind(index).unwrap_or(0);
        let batch = usize::from(axes.first().is_some_and(Axis::is_batch));
        let axis = axes.len().saturating_sub(behind).max(batch);
        axes.insert(axis, steps);
        let definition = Definition::Walked { walk, value, axis };
        let id = self.tensor(Tensor {
            name,
            axes,
            element: Element::Real,
            definition,
            span,
        })?;
        Ok(Value::Tensor(id))
    }

    /// In a step, where the step's number stands together with what the step makes, it may only be a plain read.
    pub fn check_step(&mut self, body: &Expr, walked: IndexId, span: Span) -> Checked<()> {
        if self.mixes(body, walked) {
            let message = "ids or an `else` of this step can't stand in a read at the step's number";
            let help = "read at the step first, into a tensor of its own";
            return self.wrong(Diagnostic::new(Code::NotSupported, span, message).help(help));
        }
        Ok(())
    }

    fn mixes(&self, expr: &Expr, walked: IndexId) -> bool {
        match expr {
            Expr::Read { places, otherwise, .. } => {
                let at_step = places.iter().any(|p| match p {
                    Place::At { position, exact } => {
                        let of = exact.iter().any(|(of, _)| of.coefficient(walked) != 0);
                        position.uses(walked) || of
                    }
                    Place::Id(_) => false,
                });
                let ids = places.iter().filter_map(|p| match p {
                    Place::Id(id) => Some(id),
                    Place::At { .. } => None,
                });
                let otherwise = otherwise.iter().map(|o| &**o);
                let inner: Vec<&Expr> = ids.chain(otherwise).collect();
                at_step && inner.iter().any(|e| self.reads_inside(e)) || inner.iter().any(|e| self.mixes(e, walked))
            }
            Expr::Apply(_, list) => list.iter().any(|e| self.mixes(e, walked)),
            Expr::Reduce(_, _, body) | Expr::Stop(body) => self.mixes(body, walked),
            _ => false,
        }
    }
}
