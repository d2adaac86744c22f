//! Expressions without indices: numbers, conditions, layers, and tensors as wholes.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::fraction::Known;
use super::number;
use super::scope::Scope;
use super::value::{Layer, Quantity, Value};
use crate::ir::ast::{DefinitionKind, Expr, ExprKind, Name, Unit};
use crate::text::{Code, Diagnostic, Severity, Span, suggest};
use std::rc::Rc;

/// How the place of an expression bears on calls in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// A call with its leading tensor is complete.
    Value,
    /// After an arrow or at the start of a flow's line: a call lacks its leading tensor.
    Layer,
}

impl<'a> Elaborator<'a> {
    /// Evaluates an expression to a value.
    pub fn evaluate(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>, position: Position) -> Checked<Value<'a>> {
        self.spend(expr.span)?;
        match &*expr.kind {
            ExprKind::Number { text, unit } => self.literal(text, *unit, expr.span),
            ExprKind::Text(text) => Ok(Value::Text(text.clone())),
            ExprKind::Name(name) => {
                let value = self.name(name, expr.span, scope)?;
                Ok(self.of_target(value))
            }
            ExprKind::List(list) => {
                let values: Vec<_> = list.iter().map(|e| self.evaluate(e, scope, Position::Value)).collect();
                Ok(Value::List(values.into_iter().collect::<Checked<_>>()?))
            }
            ExprKind::Element { base, indices } => match &*base.kind {
                ExprKind::Name(name) if self.is_list(name, scope) => self.list_element(base, indices, expr.span, scope),
                _ => self.equation_value(expr, scope),
            },
            ExprKind::Reduce { .. } => match self.over_list(expr, scope) {
                Some(count) => self.reduce_list(expr, count, scope),
                None => self.equation_value(expr, scope),
            },
            ExprKind::Otherwise { .. } => self.equation_value(expr, scope),
            ExprKind::Member { base, name } => self.member(base, name, expr.span, scope),
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span, scope, position),
            ExprKind::Unary { operator, operand } => {
                if self.is_indexed(expr, scope) {
                    return self.equation_value(expr, scope);
                }
                let value = self.evaluate(operand, scope, Position::Value)?;
                self.unary(*operator, value, expr.span)
            }
            ExprKind::Binary {
                operator,
                left,
                right,
                operator_span,
            } => {
                if self.is_indexed(expr, scope) {
                    return self.equation_value(expr, scope);
                }
                // A word is compared with a word: `join == times`.
                if let (ExprKind::Name(name), ExprKind::Name(word)) = (&*left.kind, &*right.kind)
                    && let Some(Value::Word(given)) = scope.find(name).map(|b| b.value)
                    && scope.find(word).is_none()
                {
                    let (a, b) = (Value::Word(given), Value::Word(word.clone()));
                    return self.binary(*operator, a, b, expr.span, *operator_span);
                }
                let a = self.evaluate(left, scope, position);
                let b = self.evaluate(right, scope, position);
                self.binary(*operator, a?, b?, expr.span, *operator_span)
            }
            ExprKind::Flow { value, layer } => {
                let value = self.evaluate(value, scope, position)?;
                let layer_value = self.evaluate(layer, scope, Position::Layer)?;
                match (value, layer_value) {
                    (Value::Wrong, _) | (_, Value::Wrong) => Err(Wrong),
                    (Value::Layer(first), Value::Layer(second)) => {
                        Ok(Value::Layer(Rc::new(Layer::Chain(first, second))))
                    }
                    (Value::Layer(_), other) => self.not_a_layer(&other, layer.span),
                    (value, layer_value) => self.apply(&layer_value, value, layer.span),
                }
            }
            ExprKind::Named { layer, name } => self.named(layer, name, scope, position),
            ExprKind::Block(block) => Ok(Value::Layer(Rc::new(Layer::Block {
                block,
                scope: scope.clone(),
                numbering: Default::default(),
            }))),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                let holds = self.condition(condition, scope)?;
                let block = if holds { Some(then) } else { otherwise.as_ref() };
                match block {
                    Some(block) => self.statements(&block.statements, scope),
                    None => Ok(Value::Layer(Rc::new(Layer::Chain(
                        identity(expr.span),
                        identity(expr.span),
                    )))),
                }
            }
            ExprKind::Repeat { index, count, body } => {
                let path = scope.path.prefix.clone();
                let part = scope.path.part("repeat");
                let path = if part.ends_with("repeat") { path } else { part };
                self.repeat(index.as_ref(), count, body, path, scope)
            }
            ExprKind::Scan { index, backwards, body } => self.scan(index, backwards.as_ref(), body, expr.span, scope),
            ExprKind::Each(name) => self.error(
                Code::NotSupported,
                name.span,
                "`each` needs columns of words: it joins layers over the categories of a table",
            ),
            ExprKind::Wrong => Err(Wrong),
        }
    }

    /// Evaluates a condition that must be known when compiling.
    pub fn condition(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<bool> {
        match self.evaluate(expr, scope, Position::Value)? {
            Value::Condition(holds) => Ok(holds),
            Value::Wrong => Err(Wrong),
            other => {
                let message = match &*expr.kind {
                    ExprKind::Name(name) => format!("`{name}` must be `true` or `false`, found {}", other.describe()),
                    _ => format!(
                        "expected a condition that is known when compiling, found {}",
                        other.describe()
                    ),
                };
                let mut diagnostic = Diagnostic::new(Code::WrongKind, expr.span, message);
                if matches!(other, Value::StepCondition(_) | Value::Tensor(_)) {
                    diagnostic = diagnostic.help("use `where(condition, then, else)` for what changes while training");
                }
                self.wrong(diagnostic)
            }
        }
    }

    /// Evaluates a number that must be known when compiling.
    pub fn quantity(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<Quantity> {
        match self.evaluate(expr, scope, Position::Value)? {
            Value::Number(quantity) => Ok(quantity),
            Value::Wrong => Err(Wrong),
            other => {
                let message = format!(
                    "expected a number that is known when compiling, found {}",
                    other.describe()
                );
                self.error(Code::WrongKind, expr.span, message)
            }
        }
    }

    fn literal(&mut self, text: &str, unit: Option<Unit>, span: Span) -> Checked<Value<'a>> {
        let Some(value) = Known::parse(text) else {
            return self.error(Code::Syntax, span, format!("`{text}` is not a number"));
        };
        let value = match unit {
            Some(
                Unit::Steps | Unit::Epochs | Unit::Tokens | Unit::Samples | Unit::Seconds | Unit::Minutes | Unit::Hours,
            ) if !(self.timed && matches!(unit, Some(Unit::Steps | Unit::Epochs))) => {
                let written = self.sources.text(span).to_string();
                let message = format!("`{written}` has a unit, and a plain number is expected here");
                let diagnostic = Diagnostic::new(Code::WrongValue, span, message);
                return self.wrong(diagnostic.help(format!("write `{text}`")));
            }
            Some(Unit::Degrees) if !self.angular => {
                let written = self.sources.text(span).to_string();
                let message = format!("`{written}` is an angle, and a plain number is expected here");
                let help = format!("write `{text}`; a sine or cosine takes degrees, `cos({written})`");
                return self.wrong(Diagnostic::new(Code::WrongValue, span, message).help(help));
            }
            Some(Unit::Percent) => value.times(Known::fraction(1, 100)),
            Some(Unit::Degrees) => Known::Real(value.real() * std::f64::consts::PI / 180.0),
            _ => value,
        };
        Ok(Value::Number(Quantity {
            value,
            origin: span,
            label: self.sources.text(span).to_string(),
        }))
    }

    fn name(&mut self, name: &str, span: Span, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        if let Some(binding) = scope.find(name) {
            binding.used.set(true);
            return match binding.value {
                Value::Wrong => Err(Wrong),
                value => Ok(value),
            };
        }
        let real = |r: f64| Quantity {
            value: Known::Real(r),
            origin: span,
            label: name.to_string(),
        };
        match name {
            "true" => return Ok(Value::Condition(true)),
            "false" => return Ok(Value::Condition(false)),
            "inf" => return Ok(Value::Number(real(f64::INFINITY))),
            "pi" => return Ok(Value::Number(real(std::f64::consts::PI))),
            "training" => return Ok(Value::Condition(self.training)),
            _ => {}
        }
        if let Some(value) = self.data_name(name) {
            return Ok(value);
        }
        if let Some(definition) = self.library.find(
            name,
            &[DefinitionKind::Layer, DefinitionKind::Loss, DefinitionKind::Metric],
        ) {
            let path = scope.path.part(name);
            return Ok(Value::Layer(Rc::new(Layer::Call {
                definition,
                arguments: vec![],
                path,
                span,
            })));
        }
        if let Some(function) = number::unary_function(name) {
            let _ = function;
            return Ok(Value::Layer(Rc::new(Layer::Function(self.intern(name, span), span))));
        }
        let mut known = scope.known();
        known.extend(self.data_names());
        known.extend(
            self.library
                .names(&[DefinitionKind::Layer, DefinitionKind::Loss, DefinitionKind::Metric]),
        );
        known.extend(number::FUNCTIONS.iter().map(|f| f.0.to_string()));
        let vague = !self.diagnostics.is_full(Severity::Error)
            && self.library.kind(name).is_none()
            && suggest::nearest(name, known.iter().map(String::as_str)).is_empty();
        if self.library.is_index_of_head(name, span) {
            let message = format!("`{name}` is an index of the head, not a number");
            let help = format!("name the size of its axis, `{name} < size`, and use that");
            return self.wrong(Diagnostic::new(Code::UnknownName, span, message).help(help));
        }
        if vague && !self.schema.tensors.is_empty() {
            let given: Vec<String> = self.schema.tensors.iter().map(|t| format!("`{}`", t.name)).collect();
            let diagnostic = Diagnostic::new(Code::UnknownName, span, format!("unknown name `{name}`"));
            return self.wrong(diagnostic.help(format!("the data gives {}", given.join(", "))));
        }
        self.unknown("name", name, span, &known)
    }

    fn intern(&self, name: &str, _span: Span) -> &'static str {
        number::FUNCTIONS.iter().find(|f| f.0 == name).map_or("", |f| f.0)
    }

    fn is_list(&self, name: &str, scope: &Rc<Scope<'a>>) -> bool {
        matches!(scope.find(name).map(|b| b.value), Some(Value::List(_)))
    }

    fn list_element(
        &mut self,
        base: &'a Expr,
        indices: &'a [crate::ir::ast::Index],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let Value::List(list) = self.evaluate(base, scope, Position::Value)? else {
            return Err(Wrong);
        };
        let at = match indices {
            [crate::ir::ast::Index::Named { name, bound: None }] => match scope.find(&name.text) {
                Some(binding) => {
                    binding.used.set(true);
                    binding.value
                }
                None => return self.unknown("name", &name.text, name.span, &scope.known()),
            },
            [crate::ir::ast::Index::Computed(expr)] => self.evaluate(expr, scope, Position::Value)?,
            _ => return self.error(Code::WrongKind, span, "a list takes one number in brackets"),
        };
        let Value::Number(Quantity { value, .. }) = at else {
            return self.error(
                Code::WrongKind,
                span,
                format!("expected a whole number, found {}", at.describe()),
            );
        };
        match value
            .as_whole()
            .and_then(|i| usize::try_from(i).ok())
            .and_then(|i| list.get(i).cloned())
        {
            Some(value) => Ok(value),
            None => {
                let message = format!(
                    "the list has {} elements, numbered from 0; there is no {value}",
                    list.len()
                );
                self.error(Code::OutOfBounds, span, message)
            }
        }
    }

    fn member(&mut self, base: &'a Expr, name: &'a Name, span: Span, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        match self.evaluate(base, scope, Position::Layer)? {
            Value::Layer(layer) => {
                let Layer::Call { path, .. } = &*layer else {
                    return self.error(Code::WrongKind, base.span, "only a named layer has members");
                };
                let full = format!("{path}.{}", name.text);
                if let Some(&id) = self.params.get(&full) {
                    return Ok(Value::Tensor(id));
                }
                let inside = format!("{path}.");
                let known: Vec<String> = self
                    .params
                    .keys()
                    .filter_map(|p| p.strip_prefix(&inside))
                    .map(String::from)
                    .collect();
                if known.is_empty() {
                    let message = "this layer has no parameters yet: it gets them where it is first applied";
                    return self.error(Code::UnknownName, span, message);
                }
                self.unknown("parameter", &name.text, name.span, &known)
            }
            Value::Wrong => Err(Wrong),
            other => self.error(
                Code::WrongKind,
                base.span,
                format!("expected a layer, found {}", other.describe()),
            ),
        }
    }

    fn named(
        &mut self,
        layer: &'a Expr,
        name: &'a Name,
        scope: &Rc<Scope<'a>>,
        position: Position,
    ) -> Checked<Value<'a>> {
        if let ExprKind::Repeat { index, count, body } = &*layer.kind {
            let path = scope.path.part(&name.text);
            return self.repeat(index.as_ref(), count, body, path, scope);
        }
        if let ExprKind::Block(block) = &*layer.kind {
            let inner = scope.inner(super::scope::PathScope::new(scope.path.part(&name.text)));
            return Ok(Value::Layer(Rc::new(Layer::Block {
                block,
                scope: inner,
                numbering: Default::default(),
            })));
        }
        let before = scope.path.numbering();
        match self.evaluate(layer, scope, position)? {
            Value::Layer(found) => match &*found {
                Layer::Call {
                    definition,
                    arguments,
                    span,
                    ..
                } => {
                    scope.path.set_numbering(before);
                    let path = scope.path.part(&name.text);
                    let arguments = arguments.clone();
                    Ok(Value::Layer(Rc::new(Layer::Call {
                        definition,
                        arguments,
                        path,
                        span: *span,
                    })))
                }
                _ => Ok(Value::Layer(found)),
            },
            other => Ok(other),
        }
    }

    /// Reports that something stands where a layer is needed.
    pub fn not_a_layer<T>(&mut self, found: &Value<'a>, span: Span) -> Checked<T> {
        if matches!(found, Value::Wrong) {
            return Err(Wrong);
        }
        let message = format!("expected a layer after `->`, found {}", found.describe());
        self.error(Code::WrongKind, span, message)
    }
}

fn identity<'a>(span: Span) -> Rc<Layer<'a>> {
    Rc::new(Layer::Function("identity", span))
}
