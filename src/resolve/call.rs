//! Calls: which definition is meant, which argument goes to which parameter, and what the body makes of them.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::heads::Body;
use super::report::UNIT_OF;
use super::scope::{PathScope, Scope};
use super::value::{Layer, Value};
use super::{limits, number};
use crate::ir::ast::{Argument, Definition, DefinitionKind, Expr, ExprKind, Parameter, ParameterKind, StatementKind};
use crate::ir::graph::Element;
use crate::ir::model;
use crate::text::{Code, Diagnostic, Span, suggest};
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
        let values: Vec<_> = arguments
            .iter()
            .map(|a| self.evaluate(&a.value, scope, Position::Value))
            .collect();
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

    /// Assigns arguments to parameters; positional ones begin behind `skip` parameters.
    pub fn bind(
        &mut self,
        definition: &'a Definition,
        arguments: &'a [Argument],
        skip: usize,
        first: Option<Value<'a>>,
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Vec<(usize, Value<'a>)>> {
        let mut bound: Vec<(usize, Value<'a>)> = vec![];
        let mut next = skip;
        let mut failed = false;
        for (i, argument) in arguments.iter().enumerate() {
            let at = match &argument.name {
                Some(name) => match definition.parameters.iter().position(|p| p.name.text == name.text) {
                    Some(at) => at,
                    None => {
                        failed = true;
                        let _ = self.unknown_parameter::<()>(definition, name, skip);
                        continue;
                    }
                },
                None => {
                    next += 1;
                    next - 1
                }
            };
            let Some(parameter) = definition.parameters.get(at) else {
                let most = definition.parameters.len() - skip;
                let message = format!(
                    "`{}` takes {most} argument{} here, found more",
                    definition.name.text,
                    if most == 1 { "" } else { "s" }
                );
                let diagnostic = Diagnostic::new(Code::WrongArguments, argument.value.span, message);
                return self.wrong(diagnostic.note(definition.name.span, "defined here"));
            };
            if bound.iter().any(|(b, _)| *b == at) {
                failed = true;
                let message = format!("`{}` is given twice", parameter.name.text);
                let _ = self.error::<()>(Code::WrongArguments, argument.value.span, message);
                continue;
            }
            let value = match (&first, i) {
                (Some(value), 0) => Ok(value.clone()),
                _ if definition.kind == DefinitionKind::Optimizer && parameter.kind == ParameterKind::Layer => {
                    self.optimizer_argument(&argument.value, scope)
                }
                _ => self.argument(parameter, &argument.value, scope),
            };
            match value {
                Ok(value) => bound.push((at, value)),
                Err(Wrong) => failed = true,
            }
        }
        for (at, parameter) in definition.parameters.iter().enumerate().skip(skip) {
            if parameter.default.is_none() && !bound.iter().any(|(b, _)| *b == at) && !failed {
                let message = format!("`{}` needs `{}`", definition.name.text, parameter.name.text);
                let diagnostic = Diagnostic::new(Code::WrongArguments, span, message);
                let _ = self.wrong::<()>(diagnostic.note(parameter.span, "this parameter has no default"));
                failed = true;
            }
        }
        if failed { Err(Wrong) } else { Ok(bound) }
    }

    fn unknown_parameter<T>(
        &mut self,
        definition: &'a Definition,
        name: &crate::ir::ast::Name,
        skip: usize,
    ) -> Checked<T> {
        let known: Vec<&str> = definition.parameters[skip..]
            .iter()
            .map(|p| p.name.text.as_str())
            .collect();
        let message = format!("`{}` has no parameter `{}`", definition.name.text, name.text);
        let mut diagnostic = Diagnostic::new(Code::UnknownParameter, name.span, message);
        match suggest::nearest(&name.text, known.iter().copied())[..] {
            [] if known.is_empty() => {}
            [] => {
                diagnostic = diagnostic.help(format!(
                    "it has {}",
                    known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
                ))
            }
            [near, ..] => diagnostic = diagnostic.help(format!("did you mean `{near}`?")).fix(name.span, near),
        }
        self.wrong(diagnostic.note(definition.name.span, "defined here"))
    }

    fn argument(&mut self, parameter: &'a Parameter, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        match (&parameter.kind, &*expr.kind) {
            (ParameterKind::Words(words), ExprKind::Name(name)) => {
                if words.iter().any(|w| w.text == *name) {
                    return Ok(Value::Word(name.clone()));
                }
                if let Some(Value::Word(word)) = scope.find(name).map(|b| b.value) {
                    return Ok(Value::Word(word));
                }
                let known: Vec<String> = words.iter().map(|w| w.text.clone()).collect();
                let list = known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
                let message = format!("`{}` is one of {list}, found `{name}`", parameter.name.text);
                let mut diagnostic = Diagnostic::new(Code::WrongValue, expr.span, message);
                if let Some(help) = suggest::did_you_mean(name, known.iter().map(String::as_str)) {
                    diagnostic = diagnostic.help(help);
                }
                self.wrong(diagnostic)
            }
            (ParameterKind::Layer, _) => match self.evaluate(expr, scope, Position::Layer)? {
                Value::Layer(layer) => Ok(Value::Layer(layer)),
                other => {
                    let message = format!("`{}` needs a layer, found {}", parameter.name.text, other.describe());
                    let diagnostic = Diagnostic::new(Code::WrongKind, expr.span, message);
                    self.wrong(diagnostic.note(parameter.span, "declared here"))
                }
            },
            (kind, literal) => match (kind, self.evaluate(expr, scope, Position::Value)?) {
                (_, Value::Number(mut q)) => {
                    match literal {
                        ExprKind::Number { .. } => q.label = parameter.name.text.clone(),
                        ExprKind::Name(_) => {}
                        _ => q.label = self.sources.text(expr.span).to_string(),
                    }
                    Ok(Value::Number(q))
                }
                (ParameterKind::Number, value @ (Value::Layer(_) | Value::Tensor(_)))
                | (ParameterKind::Tensor(_), value @ Value::Layer(_)) => {
                    let what = if matches!(kind, ParameterKind::Number) {
                        "a number"
                    } else {
                        "a tensor"
                    };
                    let message = format!("`{}` needs {what}, found {}", parameter.name.text, value.describe());
                    let diagnostic = Diagnostic::new(Code::WrongKind, expr.span, message);
                    self.wrong(diagnostic.note(parameter.span, "declared here"))
                }
                (_, value) => Ok(value),
            },
        }
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

    /// Gives a body's parameters their values.
    pub fn bind_parameters(
        &mut self,
        definition: &'a Definition,
        bound: &[(usize, Value<'a>)],
        scope: &Rc<Scope<'a>>,
    ) -> Checked<()> {
        let given = |at: usize| bound.iter().find(|(b, _)| *b == at).map(|(_, v)| v.clone());
        let parameters = || definition.parameters.iter().enumerate();
        // Numbers first: the heads of tensors may name them; then tensors, whose heads give the sizes that defaults use.
        for (at, parameter) in parameters().filter(|(_, p)| !matches!(p.kind, ParameterKind::Tensor(_))) {
            if let Some(value) = given(at) {
                scope.define(&parameter.name.text, value, parameter.name.span);
            }
        }
        for (at, parameter) in parameters() {
            let ParameterKind::Tensor(indices) = &parameter.kind else {
                continue;
            };
            let Some(value) = given(at) else { continue };
            if let Value::Tensor(id) = value {
                self.match_head(&parameter.name.text, indices, id, parameter.span, scope)?;
                self.match_ids(parameter, id, scope)?;
            }
            scope.define(&parameter.name.text, value, parameter.name.span);
        }
        self.early_requirements(definition, scope)?;
        for (at, parameter) in parameters().filter(|(at, _)| given(*at).is_none()) {
            let Some(default) = &parameter.default else {
                if at == 0 && has_leading_tensor(definition) {
                    continue;
                }
                return Err(Wrong);
            };
            let value = match (&parameter.kind, &*default.kind) {
                (ParameterKind::Words(words), ExprKind::Name(name)) if words.iter().any(|w| w.text == *name) => {
                    Value::Word(name.clone())
                }
                (ParameterKind::Tensor(indices), _) if self.is_indexed(default, scope) => {
                    Value::Tensor(self.equation(&parameter.name.text, indices, default, parameter.span, scope)?)
                }
                (ParameterKind::Layer, _) => self.evaluate(default, scope, Position::Layer)?,
                _ => match self.evaluate(default, scope, Position::Value)? {
                    Value::Number(mut q) => {
                        if matches!(&*default.kind, ExprKind::Number { .. }) {
                            q.label = parameter.name.text.clone();
                        }
                        Value::Number(q)
                    }
                    value => value,
                },
            };
            scope.define(&parameter.name.text, value, parameter.name.span);
        }
        Ok(())
    }

    /// Checks the requirements that name nothing but what is given, before defaults are made of wrong values.
    fn early_requirements(&mut self, definition: &'a Definition, scope: &Rc<Scope<'a>>) -> Checked<()> {
        for statement in &definition.body.statements {
            let StatementKind::Require { condition, message } = &statement.kind else {
                continue;
            };
            let mut names = vec![];
            super::library::names_in(condition, &mut names);
            if names.iter().all(|name| scope.find(name).is_some()) {
                self.require(condition, message, scope)?;
            }
        }
        Ok(())
    }

    fn match_ids(&mut self, parameter: &'a Parameter, id: model::TensorId, scope: &Rc<Scope<'a>>) -> Checked<()> {
        let Some(below) = &parameter.below else { return Ok(()) };
        let tensor = self.program.tensor(id).clone();
        let Element::Id { bound } = tensor.element else {
            let message = format!(
                "`{}` needs ids, found {}",
                parameter.name.text,
                describe(tensor.element)
            );
            let diagnostic = Diagnostic::new(
                Code::WrongKind,
                self.calls.last().copied().unwrap_or(parameter.span),
                message,
            );
            return self.wrong(diagnostic.note(parameter.span, "declared here"));
        };
        if let ExprKind::Name(name) = &*below.kind
            && scope.find(name).is_none()
        {
            let value = super::fraction::Known::whole(bound as i128);
            let quantity = super::value::Quantity {
                value,
                origin: below.span,
                label: name.clone(),
            };
            scope.define(name, Value::Number(quantity), below.span);
            return Ok(());
        }
        let limit = self.quantity(below, scope)?;
        if limit.value.as_whole().is_some_and(|l| l >= bound as i128) {
            return Ok(());
        }
        let message = format!(
            "`{}` has ids below {bound}, but only {} are expected here",
            tensor.name, limit.value
        );
        let diagnostic = Diagnostic::new(
            Code::OutOfBounds,
            self.calls.last().copied().unwrap_or(parameter.span),
            message,
        );
        self.wrong(diagnostic.note(limit.origin, format!("this {} comes from here", limit.value)))
    }
}

/// Whether a call may lack its first argument: a tensor without a default.
pub fn has_leading_tensor(definition: &Definition) -> bool {
    definition
        .parameters
        .first()
        .is_some_and(|p| matches!(p.kind, ParameterKind::Tensor(_)) && p.default.is_none())
}

/// What a tensor holds, for messages.
pub fn describe(element: Element) -> &'static str {
    match element {
        Element::Real => "real numbers",
        Element::Id { .. } => "ids",
        Element::Condition => "conditions",
    }
}
