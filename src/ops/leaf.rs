//! What a step starts from: inputs, parameters, states and step numbers, and the placeholder of a gradient.
//! They have no operands; their types are the declarations'.

use super::{Primitive, ShapeError, TensorType, declared, exactly};
use crate::ir::graph::{Graph, InputId, NumberId, ParamId, StateId};

/// [`crate::ir::graph::Op::Input`].
pub struct Input(pub InputId);
/// [`crate::ir::graph::Op::Param`].
pub struct Param(pub ParamId);
/// [`crate::ir::graph::Op::State`].
pub struct State(pub StateId);
/// [`crate::ir::graph::Op::StepNumber`].
pub struct StepNumber(pub NumberId);
/// [`crate::ir::graph::Op::Gradient`].
pub struct Gradient(pub ParamId);

impl Primitive for Input {
    fn name(&self) -> &'static str {
        "input"
    }

    fn result(&self, graph: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        let declaration = declared(&graph.inputs, self.0.0)?;
        Ok(TensorType {
            shape: declaration.shape.clone(),
            element: declaration.element,
        })
    }
}

impl Primitive for Param {
    fn name(&self) -> &'static str {
        "param"
    }

    fn result(&self, graph: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        Ok(TensorType::real(&declared(&graph.params, self.0.0)?.shape))
    }
}

impl Primitive for State {
    fn name(&self) -> &'static str {
        "state"
    }

    fn result(&self, graph: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        Ok(TensorType::real(&declared(&graph.states, self.0.0)?.shape))
    }
}

impl Primitive for StepNumber {
    fn name(&self) -> &'static str {
        "number"
    }

    fn result(&self, graph: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        declared(&graph.numbers, self.0.0)?;
        Ok(TensorType::real(&[]))
    }
}

impl Primitive for Gradient {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn result(&self, graph: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        exactly::<0>(operands)?;
        Ok(TensorType::real(&declared(&graph.params, self.0.0)?.shape))
    }
}
