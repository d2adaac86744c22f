//! Which argument goes to which parameter, and what a definition's body knows of them.

use super::call::has_leading_tensor;
use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::scope::Scope;
use super::settings::literal;
use super::value::Value;
use crate::ir::ast::{
    Argument, Definition, DefinitionKind, Expr, ExprKind, Parameter, ParameterKind, StatementKind, Unit,
};
use crate::ir::graph::Element;
use crate::ir::model;
use crate::text::{Code, Diagnostic, Span, suggest};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
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
                _ => self.argument(definition, parameter, &argument.value, scope),
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

    /// Evaluates an argument; one that stands for steps, and is written as such, may have a unit.
    fn argument(
        &mut self,
        definition: &Definition,
        parameter: &'a Parameter,
        expr: &'a Expr,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let written = |e: &Expr| literal(e).is_some();
        let stands_for_steps = takes_steps(definition, parameter);
        if !stands_for_steps
            && definition.kind == DefinitionKind::Schedule
            && let Some((_, Some(Unit::Steps | Unit::Epochs))) = literal(expr)
        {
            let written = self.sources.text(expr.span).to_string();
            let message = format!(
                "`{written}` has a unit, but `{}` is a plain number",
                parameter.name.text
            );
            let diagnostic = Diagnostic::new(Code::WrongValue, expr.span, message);
            let timed = definition.parameters.iter().filter(|p| takes_steps(definition, p));
            let names: Vec<String> = timed.map(|p| format!("`{}`", p.name.text)).collect();
            let diagnostic = match names[..] {
                [] => diagnostic,
                _ => diagnostic.help(format!("steps and epochs are what {} takes", names.join(" or "))),
            };
            return self.wrong(diagnostic.note(parameter.span, "declared here"));
        }
        let timed = stands_for_steps
            && match &*expr.kind {
                ExprKind::List(list) => list.iter().all(written),
                _ => written(expr),
            };
        let timed = std::mem::replace(&mut self.timed, timed);
        let value = self.untimed_argument(parameter, expr, scope);
        self.timed = timed;
        value
    }

    fn untimed_argument(
        &mut self,
        parameter: &'a Parameter,
        expr: &'a Expr,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
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
                (
                    ParameterKind::Number | ParameterKind::Steps,
                    value @ (Value::Layer(_) | Value::Tensor(_) | Value::Text(_)),
                )
                | (ParameterKind::Tensor(_), value @ Value::Layer(_)) => {
                    let what = if matches!(kind, ParameterKind::Number | ParameterKind::Steps) {
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

/// Whether a parameter stands for steps of the run: by its kind, or as the length of a schedule's phase.
pub fn takes_steps(definition: &Definition, parameter: &Parameter) -> bool {
    parameter.kind == ParameterKind::Steps
        || definition.kind == DefinitionKind::Schedule && parameter.name.text == "length"
}

/// What a tensor holds, for messages.
pub fn describe(element: Element) -> &'static str {
    match element {
        Element::Real => "real numbers",
        Element::Id { .. } => "ids",
        Element::Condition => "conditions",
    }
}
