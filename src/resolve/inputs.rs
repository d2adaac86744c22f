//! Names that the data give: tensors of the batch, sizes, the weights of classes.

use super::elaborator::Elaborator;
use super::value::{Quantity, Value};
use crate::ir::experiment::SchemaTensor;
use crate::ir::graph::{Element, InputDeclaration, InputId, MapFunction};
use crate::ir::model::{Axis, BATCH, Definition, Equation, Expr, Tensor, TensorId};
use crate::text::Span;

/// What the weights of classes are called with which all classes count alike.
const BALANCED: &str = "balanced";

impl<'a> Elaborator<'a> {
    /// A name that the data gives: a tensor of the batch, or a size.
    pub fn data_name(&mut self, name: &str) -> Option<Value<'a>> {
        if let Some(&id) = self.inputs.get(name) {
            return Some(Value::Tensor(id));
        }
        if let Some((label, size)) = self.schema.sizes.iter().find(|(n, _)| n == name) {
            let value = super::fraction::Known::whole(*size as i128);
            return Some(Value::Number(Quantity {
                value,
                origin: Span::NOWHERE,
                label: label.clone(),
            }));
        }
        let schema = self.schema;
        if let Some(tensor) = schema.tensors.iter().find(|t| t.name == name) {
            return Some(Value::Tensor(self.input(tensor)));
        }
        (name == BALANCED && !schema.balanced.is_empty()).then(|| Value::Tensor(self.balanced()))
    }

    /// Names that the data gives, for suggestions.
    pub fn data_names(&self) -> Vec<String> {
        let tensors = self.schema.tensors.iter().map(|t| t.name.clone());
        tensors
            .chain(self.schema.sizes.iter().map(|(n, _)| n.clone()))
            .collect()
    }

    /// The weights of the classes that data computes from the training part.
    fn balanced(&mut self) -> TensorId {
        let weights = &self.schema.balanced;
        let axes = vec![Axis {
            size: weights.len(),
            label: "classes".into(),
            origin: Span::NOWHERE,
        }];
        let definition = Definition::Equation(Equation {
            indices: vec![("class".into(), weights.len())],
            left: vec![vec![0]],
            body: chosen(weights, 0),
            walked: None,
        });
        let id = self.program.add(Tensor {
            name: BALANCED.into(),
            axes,
            element: Element::Real,
            definition,
            span: Span::NOWHERE,
        });
        self.inputs.insert(BALANCED.into(), id);
        id
    }

    fn input(&mut self, tensor: &SchemaTensor) -> TensorId {
        let mut axes = vec![Axis {
            size: self.batch,
            label: BATCH.into(),
            origin: Span::NOWHERE,
        }];
        axes.extend(tensor.axes.iter().map(|(label, size)| Axis {
            size: *size,
            label: label.clone(),
            origin: Span::NOWHERE,
        }));
        let shape = axes.iter().map(|a| a.size).collect();
        self.program.inputs.push(InputDeclaration {
            name: tensor.name.clone(),
            shape,
            element: tensor.element,
        });
        let definition = Definition::Input(InputId(self.program.inputs.len() as u32 - 1));
        let id = self.program.add(Tensor {
            name: tensor.name.clone(),
            axes,
            element: tensor.element,
            definition,
            span: Span::NOWHERE,
        });
        self.inputs.insert(tensor.name.clone(), id);
        id
    }
}

/// The number of a list that the first index says: a choice between halves of the list, and so on.
fn chosen(list: &[f64], first: usize) -> Expr {
    if let [number] = list {
        return Expr::Constant(*number);
    }
    let (before, after) = list.split_at(list.len() / 2);
    let border = Expr::Constant((first + before.len()) as f64);
    let is_before = Expr::Apply(MapFunction::Less, vec![Expr::Index(0), border]);
    let halves = [chosen(before, first), chosen(after, first + before.len())];
    Expr::Apply(MapFunction::Where, std::iter::once(is_before).chain(halves).collect())
}
