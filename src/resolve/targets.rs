//! Metrics of several targets, each of which has a unit of its own: a metric that asks for the unit is worked out once
//! for each of them, on what belongs to it.

use super::elaborator::Elaborator;
use super::value::Value;
use crate::ir::affine::{Affine, Position};
use crate::ir::experiment::SchemaTensor;
use crate::ir::graph::Element;
use crate::ir::model::{self, Definition, Equation, Place, Tensor, TensorId};

/// The label of the axis of several targets.
const TARGETS: &str = "targets";

/// What is known of units while a metric is worked out.
#[derive(Default)]
pub struct Units {
    /// The target that it is worked out for, by its place.
    pub target: Option<usize>,
    /// Whether the unit of several targets was asked for.
    pub mixed: bool,
}

fn several(tensor: &SchemaTensor) -> bool {
    tensor.element == Element::Real && tensor.axes.last().is_some_and(|axis| axis.0 == TARGETS)
}

impl<'a> Elaborator<'a> {
    /// The metric's value of all targets, or of each where their units matter; with the ends of their names.
    pub fn of_each_target(
        &mut self,
        value: &Value<'a>,
        reported: &mut dyn FnMut(&mut Self, &Value<'a>) -> Option<TensorId>,
    ) -> Vec<(Option<&'a str>, TensorId)> {
        self.units = Units::default();
        let Some(whole) = reported(self, value) else {
            return vec![];
        };
        if !std::mem::take(&mut self.units.mixed) {
            return vec![(None, whole)];
        }
        let mut each = vec![];
        let schema = self.schema;
        for (at, (target, _)) in schema.target_units.iter().enumerate() {
            self.units.target = Some(at);
            let value = self.of_target(value.clone());
            each.extend(reported(self, &value).map(|id| (Some(target.as_str()), id)));
        }
        self.units = Units::default();
        each
    }

    /// A name that stands in the metric itself: of a tensor of all targets, what belongs to the one at hand.
    pub fn of_target(&mut self, value: Value<'a>) -> Value<'a> {
        match (value, self.units.target) {
            (Value::Tensor(id), Some(target)) if self.calls.is_empty() && self.holds_targets(id) => {
                Value::Tensor(self.one_target(id, target))
            }
            (value, _) => value,
        }
    }

    /// Whether a tensor is shaped as the data's of several targets: samples first, targets last.
    fn holds_targets(&self, id: TensorId) -> bool {
        let axes = self.axes(id);
        let Some(told) = self.schema.tensors.iter().find(|t| several(t)) else {
            return false;
        };
        let sizes = axes.iter().skip(1).map(|a| a.size);
        axes.first().is_some_and(model::Axis::is_batch) && sizes.eq(told.axes.iter().map(|a| a.1))
    }

    fn one_target(&mut self, id: TensorId, target: usize) -> TensorId {
        let whole = self.program.tensor(id).clone();
        let kept = whole.axes.len() - 1;
        let at = |position| Place::At { position, exact: None };
        let mut places: Vec<Place> = (0..kept).map(|axis| at(Position::axis(axis))).collect();
        places.push(at(Affine::constant(target as i64).into()));
        let equation = Equation {
            indices: whole.axes[..kept].iter().map(|a| (a.label.clone(), a.size)).collect(),
            left: (0..kept).map(|axis| vec![axis]).collect(),
            body: model::Expr::Read {
                tensor: id,
                places,
                otherwise: None,
            },
            walked: None,
        };
        self.program.add(Tensor {
            axes: whole.axes[..kept].to_vec(),
            definition: Definition::Equation(equation),
            ..whole
        })
    }

    /// Whether the data's tensor of this name has several targets that were normalised.
    pub fn holds_several(&self, name: &str) -> bool {
        let told = self.schema.tensors.iter().find(|t| t.name == name);
        !self.schema.target_units.is_empty() && told.is_some_and(several)
    }

    /// The unit of several targets: that of the one at hand, else none that all have.
    pub fn unit_of_targets(&mut self) -> f64 {
        match self.units.target {
            Some(target) => self.schema.target_units[target].1,
            None => {
                self.units.mixed = true;
                1.0
            }
        }
    }
}
