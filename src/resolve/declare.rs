//! Parameters, states and their updates.

use super::elaborator::{Checked, DeferredInitialiser, Elaborator, Wrong};
use super::evaluate::Position;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{Expr, Index, Name, ParameterDeclaration, StateDeclaration};
use crate::ir::graph::{self, Element, Initialiser, ParamId, StateId};
use crate::ir::model::{self, Definition, Tensor, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// `param w[i, o] ~ …`: makes the parameter, or finds it where its layer is applied again.
    pub fn declare_param(
        &mut self,
        declaration: &'a ParameterDeclaration,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let axes = self.declared_axes(&declaration.indices, scope)?;
        if axes.iter().any(model::Axis::is_batch) {
            return self.error(
                Code::WrongRank,
                declaration.span,
                "a parameter can't have the batch axis",
            );
        }
        let path = scope.path.join(&declaration.name.text);
        let shape: Vec<usize> = axes.iter().map(|a| a.size).collect();
        if let Some(&id) = self.params.get(&path) {
            let before: Vec<usize> = self.axes(id).iter().map(|a| a.size).collect();
            if before != shape {
                let (a, b) = (model::shape_text(self.axes(id)), model::shape_text(&axes));
                let message = format!(
                    "the shared layer's `{}` is {a} at its first use and {b} here",
                    declaration.name.text
                );
                let place = self.calls.last().copied().unwrap_or(declaration.span);
                return self.wrong(
                    Diagnostic::new(Code::ShapeMismatch, place, message).note(declaration.span, "declared here"),
                );
            }
            return Ok(Value::Tensor(id));
        }
        let param = ParamId(self.program.params.len() as u32);
        self.program.params.push(graph::ParamDeclaration {
            path: path.clone(),
            shape,
            initialiser: Initialiser::Constant(0.0),
            frozen: false,
            span: declaration.span,
        });
        let id = self.tensor(Tensor {
            name: declaration.name.text.clone(),
            axes,
            element: Element::Real,
            definition: Definition::Param(param),
            span: declaration.span,
        });
        let id = match id {
            Ok(id) => id,
            Err(Wrong) => {
                self.program.params.pop();
                return Err(Wrong);
            }
        };
        self.initialisers.push(DeferredInitialiser {
            param,
            text: &declaration.initialiser,
            scope: scope.clone(),
        });
        self.params.insert(path, id);
        Ok(Value::Tensor(id))
    }

    /// `state m[..] = 0`: the tensor and its path.
    pub fn declare_state(
        &mut self,
        declaration: &'a StateDeclaration,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<(Value<'a>, String)> {
        let axes = match &declaration.indices {
            Some(indices) => self.declared_axes(indices, scope)?,
            None => vec![],
        };
        let path = scope.path.join(&declaration.name.text);
        if let Some((_, newest)) = self.states.get(&path) {
            return Ok((Value::Tensor(*newest), path));
        }
        let initial = match self.evaluate(&declaration.value, scope, Position::Value)? {
            Value::Number(q) => super::number::stored(self, &q, declaration.span)?,
            other => {
                let message = format!(
                    "a state starts with a number that is known when compiling, found {}",
                    other.describe()
                );
                return self.error(Code::WrongKind, declaration.value.span, message);
            }
        };
        let state = StateId(self.program.states.len() as u32);
        let shape = axes.iter().map(|a| a.size).collect();
        let optimizer = path.contains('/');
        self.program.states.push(graph::StateDeclaration {
            path: path.clone(),
            shape,
            initial,
            optimizer,
        });
        let id = self.tensor(Tensor {
            name: declaration.name.text.clone(),
            axes,
            element: Element::Real,
            definition: Definition::State(state),
            span: declaration.span,
        })?;
        self.states.insert(path.clone(), (state, id));
        Ok((Value::Tensor(id), path))
    }

    /// `m <- …`.
    pub fn update(
        &mut self,
        name: &'a Name,
        indices: Option<&'a [Index]>,
        value: &'a Expr,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let Some(binding) = scope.find(&name.text) else {
            return self.unknown("name", &name.text, name.span, &scope.known());
        };
        let Some(path) = binding.updates else {
            let message = format!("`{}` can't be updated", name.text);
            let diagnostic = Diagnostic::new(Code::NotUpdatable, name.span, message).note(binding.span, "defined here");
            return self.wrong(diagnostic.help("only `state`, `carry` and an optimizer's `param` take `<-`"));
        };
        if let Value::Step(_) = binding.value {
            return self.keep_number(name, &path, value, scope);
        }
        let Value::Tensor(old) = binding.value else {
            return Err(Wrong);
        };
        let new = match indices {
            Some(indices) => self.equation(&name.text, indices, value, span, scope)?,
            None => match self.evaluate(value, scope, Position::Value)? {
                Value::Tensor(id) => id,
                other => {
                    let (body, _) = self.constant(&other, value.span)?;
                    let axes = self.axes(old).to_vec();
                    self.elementwise(axes, Element::Real, body, span)?
                }
            },
        };
        let new = self.fit(old, new, span)?;
        let tensor = &mut self.program.tensors[new.0 as usize];
        if tensor.name.is_empty() {
            tensor.name = name.text.clone();
        }
        scope.update(&name.text, Value::Tensor(new));
        if let Some((_, newest)) = self.states.get_mut(&path) {
            *newest = new;
        }
        Ok(Value::Tensor(new))
    }

    /// A new value must have the old one's shape; one number is repeated.
    fn fit(&mut self, old: TensorId, new: TensorId, span: Span) -> Checked<TensorId> {
        let sizes = |axes: &[model::Axis]| axes.iter().map(|a| a.size).collect::<Vec<_>>();
        if sizes(self.axes(old)) == sizes(self.axes(new)) {
            return Ok(new);
        }
        if self.axes(new).is_empty() {
            let axes = self.axes(old).to_vec();
            let body = model::Expr::Read {
                tensor: new,
                places: vec![],
                otherwise: None,
            };
            return self.elementwise(axes, Element::Real, body, span);
        }
        let (a, b) = (model::shape_text(self.axes(old)), model::shape_text(self.axes(new)));
        self.error(
            Code::ShapeMismatch,
            span,
            format!("the new value has {b}, but this has {a}"),
        )
    }
}
