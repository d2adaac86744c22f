//! What an evaluation reports: the metrics that the `train` section asks for, which of their values are better, and
//! what only they may use: functions of the whole split, and the data's units.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::fraction::Known;
use super::scope::Scope;
use super::value::{Quantity, Value};
use crate::ir::ast::{Argument, DefinitionKind, Expr, ExprKind, Section};
use crate::ir::graph::Element;
use crate::ir::model::{self, Axis, Better, Definition, MetricDeclaration, Tensor, TensorId, WholeSplit};
use crate::metrics::SplitFunction;
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// The function that tells how many of the data's units a normalised tensor's unit is.
pub const UNIT_OF: &str = "unit_of";

/// The fewest and most points of a curve.
const POINTS: std::ops::RangeInclusive<i128> = 2..=10_001;

impl<'a> Elaborator<'a> {
    /// The metrics, in the order of the spec. Each is a number, a value of each class, or a table.
    pub fn metrics(
        &mut self,
        section: &'a Section,
        value: &Value<'a>,
        scope: &Rc<Scope<'a>>,
    ) -> Vec<(MetricDeclaration, TensorId)> {
        let mut metrics: Vec<(MetricDeclaration, TensorId)> = vec![];
        self.reporting = true;
        for line in Self::lines(section, "metric") {
            for group in &line.groups {
                let [expr] = &group[..] else {
                    let _ = self.error::<()>(Code::WrongSetting, line.span, "metrics are separated by commas");
                    continue;
                };
                let mut reported =
                    |this: &mut Self, value: &Value<'a>| this.reported(expr, value, scope, "a metric", 2).ok();
                for (target, id) in self.of_each_target(value, &mut reported) {
                    let base = match target {
                        Some(target) => format!("{}_{target}", metric_name(expr)),
                        None => metric_name(expr),
                    };
                    let numbered = |name: &str| name.strip_prefix(&format!("{base}_")).is_some_and(is_number);
                    let taken = metrics
                        .iter()
                        .filter(|(m, _)| m.name == base || numbered(&m.name))
                        .count();
                    let name = match taken {
                        0 => base,
                        n => format!("{base}_{}", n + 1),
                    };
                    let metric = MetricDeclaration {
                        name,
                        shape: self.axes(id).iter().map(|a| a.size).collect(),
                        better: self.better(expr),
                    };
                    metrics.push((metric, id));
                }
            }
        }
        self.reporting = false;
        metrics
    }

    /// The value of a loss or metric; it has at most `rank` axes, none of them the batch.
    pub fn reported(
        &mut self,
        expr: &'a Expr,
        value: &Value<'a>,
        scope: &Rc<Scope<'a>>,
        what: &str,
        rank: usize,
    ) -> Checked<TensorId> {
        let found = match self.evaluate(expr, scope, Position::Layer)? {
            Value::Layer(layer) => self.apply(&Value::Layer(layer), value.clone(), expr.span)?,
            other => other,
        };
        match found {
            Value::Tensor(id) if self.axes(id).len() <= rank && !self.axes(id).iter().any(Axis::is_batch) => Ok(id),
            Value::Tensor(id) => {
                let shape = model::shape_text(self.axes(id));
                let message = format!("{what} must be one number, this has {shape}");
                self.wrong(
                    Diagnostic::new(Code::WrongRank, expr.span, message)
                        .help("take the mean: `mean[..] …` in its definition"),
                )
            }
            Value::Wrong => Err(Wrong),
            other => self.error(
                Code::WrongKind,
                expr.span,
                format!("{what} must be a number of the batch, this is {}", other.describe()),
            ),
        }
    }

    /// Of a `loss` lower values are better, of a `metric` higher ones; of anything else nothing is known.
    fn better(&self, expr: &Expr) -> Option<Better> {
        match &*expr.kind {
            ExprKind::Name(name) => match self.library.find(name, super::call::CALLABLE)?.kind {
                DefinitionKind::Loss => Some(Better::Lower),
                DefinitionKind::Metric => Some(Better::Higher),
                _ => None,
            },
            ExprKind::Call { callee, .. } => self.better(callee),
            ExprKind::Flow { layer, .. } | ExprKind::Named { layer, .. } => self.better(layer),
            _ => None,
        }
    }

    /// A call of a function of the whole split: its tensors, then the number of points where it takes one.
    pub fn whole_split(
        &mut self,
        function: &'static dyn SplitFunction,
        arguments: &'a [Argument],
        span: Span,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Value<'a>> {
        let name = function.name();
        if !self.reporting {
            let message = format!("`{name}` takes the values of a whole split, so only a metric can use it");
            return self.error(Code::WrongKind, span, message);
        }
        let tensors = function.operands().len();
        let wanted = tensors + usize::from(function.takes_points());
        if arguments.len() != wanted || arguments.iter().any(|a| a.name.is_some()) {
            let mut takes = function.operands().join(", ");
            if function.takes_points() {
                takes += ", points";
            }
            return self.error(
                Code::WrongArguments,
                span,
                format!("`{name}` takes {takes}, in this order"),
            );
        }
        let mut operands: Vec<TensorId> = vec![];
        for argument in &arguments[..tensors] {
            let value = self.evaluate(&argument.value, scope, Position::Value)?;
            operands.push(self.sample_values(name, value, operands.first().copied(), argument.value.span)?);
        }
        let points = match arguments.get(tensors) {
            Some(argument) => self.points(&argument.value, scope)?,
            None => 0,
        };
        let kept = self.axes(operands[0]).last().expect("two axes or more").clone();
        let behind = function.axes(points).into_iter().map(|size| Axis {
            size,
            label: size.to_string(),
            origin: span,
        });
        let axes = std::iter::once(kept).chain(behind).collect();
        let tensor = Tensor {
            name: name.into(),
            axes,
            element: Element::Real,
            definition: Definition::WholeSplit(WholeSplit {
                function: name,
                operands,
                points,
            }),
            span,
        };
        Ok(Value::Tensor(self.tensor(tensor)?))
    }

    /// An operand of a function of the whole split: real numbers, samples first, of the first operand's shape.
    fn sample_values(
        &mut self,
        name: &str,
        value: Value<'a>,
        first: Option<TensorId>,
        span: Span,
    ) -> Checked<TensorId> {
        let id = match value {
            Value::Tensor(id) if self.program.tensor(id).element == Element::Real => id,
            Value::Wrong => return Err(Wrong),
            other => {
                let message = format!("`{name}` takes tensors of real numbers, found {}", other.describe());
                return self.error(Code::WrongKind, span, message);
            }
        };
        let axes = self.axes(id);
        let shape = model::shape_text(axes);
        if axes.len() < 2 || !axes[0].is_batch() {
            let message = format!("`{name}` takes values of each sample, the last axis kept; this has {shape}");
            return self.error(Code::WrongRank, span, message);
        }
        let sizes = |id: TensorId| self.axes(id).iter().map(|a| a.size).collect::<Vec<_>>();
        match first {
            Some(first) if sizes(first) != sizes(id) => {
                let theirs = model::shape_text(self.axes(first));
                let message = format!("the tensors of `{name}` have one shape; this has {shape}, the first {theirs}");
                self.error(Code::ShapeMismatch, span, message)
            }
            _ => Ok(id),
        }
    }

    fn points(&mut self, expr: &'a Expr, scope: &Rc<Scope<'a>>) -> Checked<usize> {
        let quantity = self.quantity(expr, scope)?;
        match quantity.value.as_whole().filter(|n| POINTS.contains(n)) {
            Some(points) => Ok(points as usize),
            None => {
                let (low, high) = (POINTS.start(), POINTS.end());
                let message = format!("a curve has {low} to {high} points, this is {}", quantity.value);
                let diagnostic = Diagnostic::new(Code::WrongValue, quantity.origin, message);
                self.wrong(diagnostic)
            }
        }
    }

    /// `unit_of(y)`: in a metric, how many of the data's units one unit of a tensor is that the data normalised; 1 of
    /// any other tensor, and 1 in a loss that is trained on, which is computed in the model's unit.
    pub fn unit_of(&mut self, arguments: &'a [Argument], span: Span, scope: &Rc<Scope<'a>>) -> Checked<Value<'a>> {
        let [Argument { name: None, value }] = arguments else {
            return self.error(Code::WrongArguments, span, format!("`{UNIT_OF}` takes one tensor"));
        };
        let unit = match self.evaluate(value, scope, Position::Value)? {
            Value::Tensor(id) if self.reporting => self.unit(id),
            Value::Tensor(_) => 1.0,
            Value::Wrong => return Err(Wrong),
            other => {
                let message = format!("`{UNIT_OF}` takes a tensor, found {}", other.describe());
                return self.error(Code::WrongKind, span, message);
            }
        };
        Ok(Value::Number(Quantity {
            value: if unit == 1.0 {
                Known::whole(1)
            } else {
                Known::Real(unit)
            },
            origin: span,
            label: UNIT_OF.into(),
        }))
    }

    /// Follows reads that only move elements to the data's tensor.
    fn unit(&mut self, id: TensorId) -> f64 {
        match &self.program.tensor(id).definition {
            Definition::Input(input) => {
                let name = &self.program.inputs[input.0 as usize].name;
                if let Some((_, unit)) = self.schema.units.iter().find(|(n, _)| n == name) {
                    return *unit;
                }
                match self.holds_several(name) {
                    true => self.unit_of_targets(),
                    false => 1.0,
                }
            }
            Definition::Equation(equation) => match equation.body {
                model::Expr::Read { tensor, .. } => self.unit(tensor),
                _ => 1.0,
            },
            _ => 1.0,
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn metric_name(expr: &Expr) -> String {
    match &*expr.kind {
        ExprKind::Name(name) => name.clone(),
        ExprKind::Call { callee, .. } => metric_name(callee),
        ExprKind::Flow { layer, .. } => metric_name(layer),
        ExprKind::Named { name, .. } => name.text.clone(),
        _ => "metric".into(),
    }
}
