//! Calls: which definition is meant, which argument goes to which parameter, and what the body makes of them.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::heads::Body;
use super::report::UNIT_OF;
use super::scope::{PathScope, Scope};
use super::value::{Layer, Value};
use super::{limits, number};
use crate::ir::ast::{Argument, Definition, DefinitionKind, Expr, ExprKind, ParameterKind};
use crate::ir::model;
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// The kinds of definitions that an expression of a model or a body may call.
pub const CALLABLE: &[DefinitionKind] = &[DefinitionKind::Layer, DefinitionKind::Loss, DefinitionKind::Metric];

impl<'a> Elaborator<'a> {
    /// Evaluates a call.
    pub fn call(
        &mut self,
        callee: &'a Expr,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
        position: Position,
    ) -> Checked<Value<'a>> {
        let ExprKind::Name(name) = &*callee.kind else {
            let value = self.evaluate(callee, scope, Position::Layer)?;
            return self.call_value(&value, arguments, span, scope);
        };
        if let Some(binding) = scope.find(name) {
            binding.used.set(true);
            return self.call_value(&binding.value, arguments, span, scope);
        }
        if name == "rank" {
            return self.rank(arguments, span, scope);
        }
        if let Some(function) = crate::metrics::find(name) {
            return self.whole_split(function, arguments, span, scope);
        }
        if name == UNIT_OF {
            return self.unit_of(arguments, span, scope);
        }
        if name == "stop" || number::function(name).is_some() {
            return self.call_function(name, arguments, span, scope);
        }
        let Some(definition) = self.library.find(name, CALLABLE) else {
            let mut known = self.library.names(CALLABLE);
            known.extend(number::FUNCTIONS.iter().map(|f| f.0.to_string()));
            if self.reporting {
                known.extend(crate::metrics::names().map(String::from));
            }
            known.extend(scope.known());
            return self.unknown("definition", name, callee.span, &known);
        };
        self.call_definition(definition, arguments, span, scope, position)
    }

    /// Calls a definition that is already found.
    pub fn call_definition(
        &mut self,
        definition: &'a Definition,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
        position: Position,
    ) -> Checked<Value<'a>> {
        let leading = has_leading_tensor(definition);
        let mut first = None;
        if leading
            && position == Position::Value
            && let Some(Argument { name: None, value }) = arguments.first()
            && !matches!(&*value.kind, ExprKind::Number { .. } | ExprKind::Text(_))
        {
            let before = scope.path.numbering();
            let value = self.evaluate(value, scope, Position::Value)?;
            match value {
                Value::Tensor(_) => first = Some(value),
                _ => {
                    scope.path.set_numbering(before);
                }
            }
        }
        let complete = first.is_some()
            || leading
                && arguments.iter().any(|a| {
                    a.name
                        .as_ref()
                        .is_some_and(|n| n.text == definition.parameters[0].name.text)
                });
        let skip = if leading && !complete { 1 } else { 0 };
        let path = scope.path.part(&definition.name.text);
        let bound = self.bind(definition, arguments, skip, first, span, scope)?;
        if leading && !complete {
            return Ok(Value::Layer(Rc::new(Layer::Call {
                definition,
                arguments: bound,
                path,
                span,
            })));
        }
        self.expand(definition, &bound, &path, span)
    }

    /// `rank(x)`: how many axes a tensor has.
    fn rank(&mut self, arguments: &'a [Argument], span: Span, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let [Argument { name: None, value }] = arguments else {
            return self.error(Code::WrongArguments, span, "`rank` takes one tensor");
        };
        match self.evaluate(value, scope, Position::Value)? {
            Value::Tensor(id) => Ok(Self::whole_value(self.axes(id).len(), span, "rank")),
            other => self.error(
                Code::WrongKind,
                value.span,
                format!("`rank` needs a tensor, found {}", other.describe()),
            ),
        }
    }

    fn call_value(
        &mut self,
        value: &Value<'a>,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        match (value, arguments) {
            (Value::Wrong, _) => Err(Wrong),
            (Value::Layer(layer), _) if matches!(&**layer, Layer::Call { definition, .. } if definition.kind == DefinitionKind::Optimizer) => {
                self.inner_optimizer(layer, arguments, span, scope)
            }
            (
                Value::Layer(_),
                [
                    Argument {
                        name: None,
                        value: argument,
                    },
                ],
            ) => {
                let argument = self.evaluate(argument, scope, Position::Value)?;
                self.apply(value, argument, span)
            }
            (Value::Layer(_), _) => self.error(Code::WrongArguments, span, "a layer that has a name takes one tensor"),
            (other, _) => self.error(
                Code::WrongKind,
                span,
                format!("expected a definition or a layer, found {}", other.describe()),
            ),
        }
    }

    fn call_function(
        &mut self,
        name: &'a str,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let angular = std::mem::replace(&mut self.angular, number::takes_an_angle(name));
        let values: Vec<_> = arguments
            .iter()
            .map(|a| self.evaluate(&a.value, scope, Position::Value))
            .collect();
        self.angular = angular;
        let values = values.into_iter().collect::<Checked<Vec<_>>>()?;
        if let Some(named) = arguments.iter().find_map(|a| a.name.as_ref()) {
            return self.error(
                Code::WrongArguments,
                named.span,
                format!("`{name}` has no named arguments"),
            );
        }
        let count = number::function(name).map_or(1, |f| f.0);
        if values.len() != count {
            let message = format!(
                "`{name}` takes {count} argument{}, found {}",
                if count == 1 { "" } else { "s" },
                values.len()
            );
            return self.error(Code::WrongArguments, span, message);
        }
        if name == "stop" {
            return match &values[0] {
                Value::Tensor(id) => {
                    let (axes, element) = (self.axes(*id).to_vec(), self.program.tensor(*id).element);
                    let body = model::Expr::Stop(Box::new(self.read_whole(*id)));
                    Ok(Value::Tensor(self.elementwise(axes, element, body, span)?))
                }
                other => Ok(other.clone()),
            };
        }
        let Some((_, function, _)) = number::function(name) else {
            return Err(Wrong);
        };
        if values.iter().any(|v| matches!(v, Value::Tensor(_))) {
            return self.map(function, &values, span);
        }
        if values.iter().any(|v| matches!(v, Value::Layer(_))) && values.len() == 1 {
            return self.error(
                Code::WrongKind,
                span,
                format!("`{name}` needs a number or a tensor, found a layer"),
            );
        }
        number::apply(self, name, &values, span)
    }

    /// Applies a layer that a call made to its leading tensor.
    pub fn apply_call(
        &mut self,
        definition: &'a Definition,
        arguments: &[(usize, Value<'a>)],
        path: &str,
        span: Span,
        value: Value<'a>,
    ) -> Checked<Value<'a>> {
        if !has_leading_tensor(definition) {
            let message = format!(
                "`{}` takes no tensor, so nothing can flow into it",
                definition.name.text
            );
            return self.error(Code::WrongKind, span, message);
        }
        for (at, parameter) in definition.parameters.iter().enumerate().skip(1) {
            if parameter.default.is_none() && !arguments.iter().any(|(b, _)| *b == at) {
                let message = format!("`{}` needs `{}`", definition.name.text, parameter.name.text);
                let diagnostic = Diagnostic::new(Code::WrongArguments, span, message);
                return self.wrong(diagnostic.note(parameter.span, "this parameter has no default"));
            }
        }
        let mut bound = vec![(0, value)];
        bound.extend(arguments.iter().cloned());
        self.expand(definition, &bound, path, span)
    }

    /// Elaborates a definition's body with its arguments.
    pub fn expand(
        &mut self,
        definition: &'a Definition,
        bound: &[(usize, Value<'a>)],
        path: &str,
        span: Span,
    ) -> Checked<Value<'a>> {
        let scope = Scope::body(PathScope::new(path));
        self.expand_in(definition, bound, &scope, span)
    }

    /// As [`Elaborator::expand`], in a scope that already knows some names.
    pub fn expand_in(
        &mut self,
        definition: &'a Definition,
        bound: &[(usize, Value<'a>)],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Checked<Value<'a>> {
        self.spend(span)?;
        if self.library.is_recursive(definition) {
            return Err(Wrong);
        }
        if self.calls.len() >= limits::CALL_DEPTH {
            let message = format!("calls are nested deeper than {}", limits::CALL_DEPTH);
            return self.error(Code::TooMuchWork, span, message);
        }
        self.calls.push(span);
        self.bodies.push(Body {
            definition,
            scope: scope.clone(),
            call: span,
        });
        let result = self
            .bind_parameters(definition, bound, scope)
            .and_then(|()| self.statements(&definition.body.statements, scope));
        self.bodies.pop();
        self.calls.pop();
        if let Ok(Value::Tensor(id)) = &result {
            let tensor = &mut self.program.tensors[id.0 as usize];
            if tensor.name.is_empty() {
                tensor.name = definition.name.text.clone();
            }
        }
        result
    }
}

/// Whether a call may lack its first argument: a tensor without a default.
pub fn has_leading_tensor(definition: &Definition) -> bool {
    definition
        .parameters
        .first()
        .is_some_and(|p| matches!(p.kind, ParameterKind::Tensor(_)) && p.default.is_none())
}
