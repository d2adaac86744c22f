//! Bodies: the statements of a definition, the flow of a model or block, layers applied to values.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::scope::{PathScope, Scope};
use super::value::{Layer, Value};
use super::{limits, number};
use crate::ir::ast::{Block, Expr, ExprKind, Name, Statement, StatementKind};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Elaborates the statements of a definition's body; the value is the last one's.
    pub fn statements(&mut self, statements: &'a [Statement], scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let mut last = Err(Wrong);
        for statement in statements {
            last = match &statement.kind {
                StatementKind::Value(expr) => self.evaluate(expr, scope, Position::Value),
                _ => self.statement(statement, scope),
            };
            // What follows a mistake in the library, or a requirement that does not hold, is its consequence.
            let library = self.sources.file(statement.span.file).is_some_and(|f| f.library);
            if last.is_err() && (library || matches!(statement.kind, StatementKind::Require { .. })) {
                return Err(Wrong);
            }
        }
        match last {
            Ok(Value::Wrong) => Err(Wrong),
            last => last,
        }
    }

    /// Runs a flow: each line takes the value that the line above left, unless it starts with a value of its own.
    pub fn flow(&mut self, block: &'a Block, first: Option<Value<'a>>, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let mut flowing = first;
        for statement in &block.statements {
            let StatementKind::Value(expr) = &statement.kind else {
                // A name that can't be made is bound to a mistake, so that the rest is still checked.
                let _ = self.statement(statement, scope);
                continue;
            };
            flowing = Some(match self.flow_line(expr, flowing, scope) {
                Ok(value) => value,
                Err(Wrong) => Value::Wrong,
            });
        }
        match flowing {
            Some(Value::Wrong) => Err(Wrong),
            Some(value) => Ok(value),
            None => self.error(
                Code::EmptyBody,
                block.span,
                "nothing flows here: a body needs at least one line with a value",
            ),
        }
    }

    fn flow_line(&mut self, expr: &'a Expr, flowing: Option<Value<'a>>, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        match self.evaluate(expr, scope, Position::Layer)? {
            Value::Layer(layer) => match flowing {
                Some(Value::Wrong) => Err(Wrong),
                Some(value) => self.apply(&Value::Layer(layer), value, expr.span),
                None => {
                    let message = "no value flows into this layer: start the first line with one";
                    let mut names: Vec<String> = self.schema.tensors.iter().map(|t| format!("`{}`", t.name)).collect();
                    names.truncate(6);
                    let help = format!("the data gives {}", names.join(", "));
                    self.wrong(Diagnostic::new(Code::EmptyBody, expr.span, message).help(help))
                }
            },
            value => Ok(value),
        }
    }

    /// Elaborates one statement.
    pub fn statement(&mut self, statement: &'a Statement, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        self.spend(statement.span)?;
        match &statement.kind {
            StatementKind::Value(expr) => self.evaluate(expr, scope, Position::Value),
            StatementKind::Equation {
                name,
                indices: None,
                value,
            } => {
                let result = self.assigned(name, value, scope);
                self.define(name, result.clone().unwrap_or(Value::Wrong), scope)?;
                result
            }
            StatementKind::Equation {
                name,
                indices: Some(indices),
                value,
            } => {
                let result = self.equation(&name.text, indices, value, statement.span, scope);
                let value = result.map(Value::Tensor);
                self.define(name, value.clone().unwrap_or(Value::Wrong), scope)?;
                value
            }
            StatementKind::Param(list) => {
                let mut failed = false;
                list.iter().for_each(|declaration| {
                    let value = self.declare_param(declaration, scope);
                    if value.is_err() {
                        super::equation::spoil(&declaration.indices, scope);
                        failed = true;
                    }
                    failed |= self
                        .define(&declaration.name, value.unwrap_or(Value::Wrong), scope)
                        .is_err();
                });
                if failed { Err(Wrong) } else { Ok(Value::Condition(true)) }
            }
            StatementKind::State(list) if self.keeps_numbers => self.keep_numbers(list, scope),
            StatementKind::State(list) => {
                for declaration in list {
                    let (value, path) = match self.declare_state(declaration, scope) {
                        Ok(found) => found,
                        Err(Wrong) => (Value::Wrong, String::new()),
                    };
                    if let Some(earlier) =
                        scope.define_state(&declaration.name.text, value, declaration.name.span, path)
                    {
                        return self.twice(&declaration.name, earlier);
                    }
                }
                Ok(Value::Condition(true))
            }
            StatementKind::Update { name, indices, value } => {
                self.update(name, indices.as_deref(), value, statement.span, scope)
            }
            StatementKind::Require { condition, message } => self.require(condition, message, scope),
            StatementKind::Penalty(expr) => {
                let value = self.evaluate(expr, scope, Position::Value)?;
                self.penalty(value, expr.span)
            }
            StatementKind::Carry(_) | StatementKind::Yield(_) => {
                // What it would have made is not missed as well.
                if let StatementKind::Carry(declarations) = &statement.kind {
                    for declaration in declarations {
                        scope.define(&declaration.name.text, Value::Wrong, declaration.name.span);
                    }
                }
                let message = "`carry` and `yield` belong into a `scan`";
                self.error(Code::NotSupported, statement.span, message)
            }
        }
    }

    /// Adds a term to the objective.
    pub fn penalty(&mut self, value: Value<'a>, span: Span) -> Checked<Value<'a>> {
        match value {
            Value::Tensor(id) if self.axes(id).is_empty() => {
                self.penalties.push(id);
                Ok(Value::Tensor(id))
            }
            Value::Wrong => Err(Wrong),
            other => self.error(
                Code::WrongKind,
                span,
                match other {
                    Value::Tensor(id) => {
                        let shape = crate::ir::model::shape_text(self.axes(id));
                        format!("a penalty must be one number, this has {shape}: sum it up with `sum[..] …`")
                    }
                    other => format!("a penalty must be one number, found {}", other.describe()),
                },
            ),
        }
    }

    fn assigned(&mut self, name: &'a Name, value: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        // A layer made with `=` is a part of that name; what a longer flow names is a value.
        let is_layer_call = matches!(&*value.kind, ExprKind::Call { .. } | ExprKind::Name(_));
        let before = scope.path.numbering();
        let result = self.evaluate(value, scope, Position::Value)?;
        match result {
            Value::Layer(layer) if is_layer_call => match &*layer {
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
                _ => Ok(Value::Layer(layer)),
            },
            Value::Tensor(id) => {
                let tensor = &mut self.program.tensors[id.0 as usize];
                if tensor.name.is_empty() {
                    tensor.name = name.text.clone();
                }
                Ok(Value::Tensor(id))
            }
            Value::Number(mut q) => {
                q.label = name.text.clone();
                match self.scheduled_number(&name.text, &q, scope)? {
                    Some(number) => Ok(number),
                    None => Ok(Value::Number(q)),
                }
            }
            other => Ok(other),
        }
    }

    fn define(&mut self, name: &'a Name, value: Value<'a>, scope: &Rc<Scope<'a>>) -> Checked<()> {
        match scope.define(&name.text, value, name.span) {
            Some(earlier) => self.twice(name, earlier),
            None => Ok(()),
        }
    }

    /// Reports a name that is defined twice.
    pub fn twice<T>(&mut self, name: &Name, earlier: Span) -> Checked<T> {
        let message = format!("`{}` is defined twice", name.text);
        let diagnostic = Diagnostic::new(Code::DuplicateName, name.span, message).note(earlier, "first defined here");
        self.wrong(diagnostic.help("give one of them another name"))
    }

    pub(super) fn require(&mut self, condition: &'a Expr, message: &str, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let holds = match self.evaluate(condition, scope, Position::Value)? {
            // A scheduled number is held against what it is at the first step.
            Value::StepCondition(number) => number.at(&|_| 1.0) != 0.0,
            Value::Condition(holds) => holds,
            _ => self.condition(condition, scope)?,
        };
        if holds {
            return Ok(Value::Condition(true));
        }
        let mut text = String::new();
        let mut rest = message;
        let mut diagnostic = Diagnostic::new(Code::Requirement, condition.span, "").label("this must hold");
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            text += before;
            match scope.find(name).map(|b| b.value) {
                Some(Value::Number(q)) => {
                    text += &q.value.to_string();
                    diagnostic = diagnostic.note(q.origin, format!("{name} is {}", q.value));
                }
                Some(Value::Word(word)) => text += &word,
                Some(Value::Step(number)) => {
                    text += &format!(
                        "{} at the first step",
                        super::fraction::Known::Real(number.at(&|_| 1.0))
                    )
                }
                _ => match scope.range(name) {
                    Some(axis) => text += &axis.size.to_string(),
                    None => text += name,
                },
            }
            rest = after;
        }
        diagnostic.message = text + rest;
        self.wrong(diagnostic)
    }

    /// Applies a layer to a value.
    pub fn apply(&mut self, layer: &Value<'a>, value: Value<'a>, span: Span) -> Checked<Value<'a>> {
        self.spend(span)?;
        let Value::Layer(layer) = layer else {
            return self.not_a_layer(layer, span);
        };
        if matches!(value, Value::Wrong) {
            return Err(Wrong);
        }
        match &**layer {
            Layer::Call {
                definition,
                arguments,
                path,
                span,
            } => self.apply_call(definition, arguments, path, *span, value),
            Layer::Function("identity", _) => Ok(value),
            Layer::Function(name, span) => match number::unary_function(name) {
                Some(function) => self.map(function, &[value], *span),
                None => Err(Wrong),
            },
            Layer::Chain(first, second) => {
                let middle = self.apply(&Value::Layer(first.clone()), value, span)?;
                self.apply(&Value::Layer(second.clone()), middle, span)
            }
            Layer::Combine(operator, left, right, span) => {
                let mut sides = [left, right].map(|side| match side {
                    Value::Layer(_) => self.apply(side, value.clone(), *span),
                    other => Ok(other.clone()),
                });
                let right = std::mem::replace(&mut sides[1], Err(Wrong))?;
                let left = std::mem::replace(&mut sides[0], Err(Wrong))?;
                self.binary(*operator, left, right, *span, *span)
            }
            Layer::Block {
                block,
                scope,
                numbering,
            } => {
                let earlier = numbering.borrow().clone();
                let current = scope.path.numbering();
                match earlier {
                    Some(earlier) => {
                        scope.path.set_numbering(earlier);
                        let result = self.flow(block, Some(value), &scope.inner(scope.path.clone()));
                        scope.path.set_numbering(current);
                        result
                    }
                    None => {
                        *numbering.borrow_mut() = Some(current);
                        self.flow(block, Some(value), &scope.inner(scope.path.clone()))
                    }
                }
            }
            Layer::Repeat {
                index,
                count,
                block,
                scope,
                path,
            } => {
                let mut value = value;
                for round in 0..*count {
                    let inner = scope.inner(PathScope::new(if path.is_empty() {
                        round.to_string()
                    } else {
                        format!("{path}.{round}")
                    }));
                    if let Some(index) = index {
                        let label = index.to_string();
                        let q = super::value::Quantity {
                            value: super::fraction::Known::whole(round as i128),
                            origin: span,
                            label,
                        };
                        inner.define(index, Value::Number(q), span);
                    }
                    value = self.flow(block, Some(value), &inner)?;
                }
                Ok(value)
            }
        }
    }

    /// `repeat` as a layer.
    pub fn repeat(
        &mut self,
        index: Option<&'a Name>,
        count: &'a Expr,
        block: &'a Block,
        path: String,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let quantity = self.quantity(count, scope)?;
        let rounds = quantity
            .value
            .as_whole()
            .filter(|n| (0..=limits::REPEAT as i128).contains(n));
        let Some(rounds) = rounds else {
            let message = format!("a `repeat` counts from 0 to {}, not {}", limits::REPEAT, quantity.value);
            let diagnostic = Diagnostic::new(Code::RepeatCount, count.span, message);
            return self.wrong(diagnostic.note(quantity.origin, "the number comes from here"));
        };
        let index = index.map(|n| n.text.as_str());
        Ok(Value::Layer(Rc::new(Layer::Repeat {
            index,
            count: rounds as usize,
            block,
            scope: scope.clone(),
            path,
        })))
    }
}
