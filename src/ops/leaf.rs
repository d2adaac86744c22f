//! What a step starts from: inputs, parameters, states and step numbers, and the placeholder of a gradient.
//! They have no operands; their types are the declarations'.

use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Grads, Primitive, Sample, ShapeError, TensorType, declared, exactly};
use crate::ir::graph::{Graph, InputId, NumberId, Op, ParamId, StateId};

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

    fn reference(&self, environment: &Environment, _: &[&Tensor64], _: &TensorType) -> Tensor64 {
        environment.inputs[self.0.0 as usize].clone()
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::leaf(Op::Input(InputId(0)), &[3, 4])]
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

    fn reference(&self, environment: &Environment, _: &[&Tensor64], _: &TensorType) -> Tensor64 {
        environment.params[self.0.0 as usize].clone()
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands; grad collects what reaches it")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::leaf(Op::Param(ParamId(0)), &[3, 4])]
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

    fn reference(&self, environment: &Environment, _: &[&Tensor64], _: &TensorType) -> Tensor64 {
        environment.states[self.0.0 as usize].clone()
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::leaf(Op::State(StateId(0)), &[3, 4])]
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

    fn reference(&self, environment: &Environment, _: &[&Tensor64], _: &TensorType) -> Tensor64 {
        Tensor64::new(&[], vec![environment.numbers[self.0.0 as usize]])
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it has no operands")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::leaf(Op::StepNumber(NumberId(0)), &[])]
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

    fn reference(&self, _: &Environment, _: &[&Tensor64], _: &TensorType) -> Tensor64 {
        unreachable!(
            "grad replaces the placeholder of {} before anything is computed",
            self.0
        )
    }

    fn grad(&self, _: &mut Backward) -> Grads {
        Grads::none("it is not there yet when the graph is differentiated")
    }

    fn cost(&self, _: &[TensorType], _: &TensorType) -> Cost {
        Cost::default()
    }

    fn samples() -> Vec<Sample> {
        vec![]
    }
}
