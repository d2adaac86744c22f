//! A training program for a part of the batch → the programs of a step that goes over the batch part by part: one that adds
//! up the gradient, and one that updates from the sum. The sum is the large batch's to rounding, because what the loss
//! divides by (how much counts) is of the whole batch: where it follows from the data, a program of its own finds it first.

use super::summand::{Summed, summed};
use crate::ir::experiment::{Accumulation, BEFORE, OVERFLOW, SUM};
use crate::ir::graph::{Element, MapFunction, NumberId, OutputKind, ReduceFunction, StateDeclaration, StateId};
use crate::ir::model::{Axis, Definition, Equation, Expr, Output, Place, Program, Tensor, TensorId};
use crate::ir::number::{Number, NumberFunction, StepVariable};
use crate::text::Span;

/// Keeps the length of a look aside finite where the gradient is 0.
const LEAST_NORM: f64 = 1e-12;

/// Splits a training program for one of `parts` equal parts of the batch. With a radius, the gradient is that of a point
/// so far uphill from the parameters (sharpness-aware minimisation, Foret et al. 2020). `scaled` multiplies the objective
/// by the loss scale and the gradient by its inverse, and tells whether the sum is finite.
///
/// Graphs still hold placeholders for gradients. Errors name what keeps a loss from being added up part by part.
pub fn accumulation(
    program: &Program,
    parts: usize,
    radius: Option<f64>,
    scaled: bool,
) -> Result<Accumulation, String> {
    let Summed {
        mut program,
        counts,
        totals,
    } = summed(program, parts)?;
    let sums = add_states(&mut program, SUM);
    let before = radius.map(|_| add_states(&mut program, BEFORE));
    let gradient = gradient_program(&program, &sums, true, scaled);
    let mut update = update_program(&program, &sums);
    let aside = radius.zip(before.as_ref()).map(|(radius, before)| {
        let aside = aside_program(&program, &sums, before, radius);
        for tensor in &mut update.tensors {
            if let Definition::Param(param) = tensor.definition {
                tensor.definition = Definition::State(before[param.0 as usize]);
            }
        }
        super::build(&aside)
    });
    let again = aside
        .as_ref()
        .map(|_| super::build(&gradient_program(&program, &sums, false, scaled)));
    let back = before
        .filter(|_| scaled)
        .map(|before| super::build(&back_program(&program, &before)));
    let counts = (!totals.is_empty()).then(|| {
        let states = program.states.clone();
        super::build(&Program { states, ..counts })
    });
    Ok(Accumulation {
        parts,
        counts,
        totals,
        gradient: super::build(&gradient),
        aside,
        again,
        back,
        update: super::build(&update),
    })
}

/// A state for each parameter; the ids in the order of parameters.
fn add_states(program: &mut Program, suffix: &str) -> Vec<StateId> {
    let first = program.states.len() as u32;
    for param in &program.params {
        program.states.push(StateDeclaration {
            path: format!("{}{suffix}", param.path),
            shape: param.shape.clone(),
            initial: 0.0,
            optimizer: true,
        });
    }
    (first..first + program.params.len() as u32).map(StateId).collect()
}

/// Loss, gradients added to their sums, and the model's states.
fn gradient_program(program: &Program, sums: &[StateId], with_states: bool, scaled: bool) -> Program {
    let mut result = program.clone();
    result.outputs.retain(|o| match o.kind {
        OutputKind::Loss | OutputKind::Objective => true,
        OutputKind::StateUpdate(id) => with_states && !program.states[id.0 as usize].optimizer,
        _ => false,
    });
    if scaled && with_states {
        keep_finite(&mut result);
    }
    let first = number(&mut result, StepVariable::Part, 1.0);
    let inverse = scaled.then(|| scale(&mut result));
    let mut sizes: Option<Expr> = None;
    for at in 0..program.tensors.len() {
        let Definition::Gradient(param) = program.tensors[at].definition else {
            continue;
        };
        let sum = sums[param.0 as usize];
        let old = result.add(Tensor {
            definition: Definition::State(sum),
            ..program.tensors[at].clone()
        });
        let new = Expr::Read {
            tensor: TensorId(at as u32),
            places: places(&program.tensors[at]),
            otherwise: None,
        };
        let new = match &inverse {
            Some(inverse) => Expr::Apply(MapFunction::Multiply, vec![new, inverse.clone()]),
            None => new,
        };
        let old = read(&result, old);
        let added = Expr::Apply(MapFunction::Add, vec![old, new.clone()]);
        let body = Expr::Apply(MapFunction::Where, vec![first.clone(), new, added]);
        let tensor = equation(&mut result, at, body);
        result.outputs.push(Output {
            kind: OutputKind::StateUpdate(sum),
            tensor,
        });
        if scaled {
            let size = total_size(&mut result, tensor);
            sizes = Some(match sizes {
                None => size,
                Some(sum) => scalar(&mut result, vec![], Expr::Apply(MapFunction::Add, vec![sum, size])),
            });
        }
    }
    if let Some(Expr::Read { tensor, .. }) = sizes {
        result.outputs.push(Output {
            kind: OutputKind::Value(OVERFLOW.into()),
            tensor,
        });
    }
    result
}

/// Leaves each element of the model's states as it was where its new value is not finite: the step is then skipped, and a
/// running mean that has become infinite once would stay so. What is finite changes though the step may be skipped, as
/// in a forward pass of PyTorch, where the gradient's scaler knows of the optimizer alone.
fn keep_finite(program: &mut Program) {
    for at in 0..program.outputs.len() {
        let Output {
            kind: OutputKind::StateUpdate(state),
            tensor: new,
        } = program.outputs[at]
        else {
            continue;
        };
        let own = program
            .tensors
            .iter()
            .position(|t| t.definition == Definition::State(state));
        let old = match own {
            Some(own) => TensorId(own as u32),
            None => program.add(Tensor {
                definition: Definition::State(state),
                ..program.tensor(new).clone()
            }),
        };
        let (old, value) = (read(program, old), read(program, new));
        let size = Expr::Apply(MapFunction::Absolute, vec![value.clone()]);
        let finite = Expr::Apply(MapFunction::Less, vec![size, Expr::Constant(f64::INFINITY)]);
        let body = Expr::Apply(MapFunction::Where, vec![finite, value, old]);
        program.outputs[at].tensor = equation(program, new.0 as usize, body);
    }
}

/// Multiplies the objective by the loss scale; gives what brings gradients back.
fn scale(program: &mut Program) -> Expr {
    let variable = Number::Variable(StepVariable::LossScale);
    let mut number = |number| {
        program.numbers.push(number);
        Expr::Number(NumberId(program.numbers.len() as u32 - 1))
    };
    let factor = number(variable.clone());
    let inverse = number(Number::apply(
        NumberFunction::Divide,
        vec![Number::Constant(1.0), variable],
    ));
    let at = program.outputs.iter().position(|o| o.kind == OutputKind::Objective);
    let at = at.expect("a training program has an objective");
    let objective = read(program, program.outputs[at].tensor);
    let scaled = scalar(
        program,
        vec![],
        Expr::Apply(MapFunction::Multiply, vec![objective, factor]),
    );
    if let Expr::Read { tensor, .. } = scaled {
        program.outputs[at].tensor = tensor;
    }
    inverse
}

/// The sum of a tensor's absolute values.
fn total_size(program: &mut Program, tensor: TensorId) -> Expr {
    let mut body = Expr::Apply(MapFunction::Absolute, vec![read(program, tensor)]);
    let rank = program.tensor(tensor).axes.len();
    if rank > 0 {
        body = Expr::Reduce(ReduceFunction::Sum, (0..rank).collect(), Box::new(body));
    }
    let indices = indices(program.tensor(tensor));
    scalar(program, indices, body)
}

/// What the optimizers make of the sums.
fn update_program(program: &Program, sums: &[StateId]) -> Program {
    let mut result = program.clone();
    for tensor in &mut result.tensors {
        if let Definition::Gradient(param) = tensor.definition {
            tensor.definition = Definition::State(sums[param.0 as usize]);
        }
    }
    result.inputs.clear();
    result.outputs.retain(|o| match o.kind {
        OutputKind::ParamUpdate(_) | OutputKind::GradientNorm | OutputKind::ParamGradient(_) => true,
        OutputKind::StateUpdate(id) => program.states[id.0 as usize].optimizer,
        _ => false,
    });
    result
}

/// Keeps every parameter and moves it uphill, all together by the radius.
fn aside_program(program: &Program, sums: &[StateId], before: &[StateId], radius: f64) -> Program {
    let mut result = program.clone();
    result.inputs.clear();
    result.outputs.clear();
    let trained: Vec<usize> = (0..program.tensors.len())
        .filter(|&at| matches!(program.tensors[at].definition, Definition::Gradient(_)))
        .collect();
    let mut squares: Option<Expr> = None;
    for &at in &trained {
        let Definition::Gradient(param) = program.tensors[at].definition else {
            continue;
        };
        result.tensors[at].definition = Definition::State(sums[param.0 as usize]);
        let read = read(&result, TensorId(at as u32));
        let mut body = Expr::Apply(MapFunction::Multiply, vec![read.clone(), read]);
        let rank = program.tensors[at].axes.len();
        if rank > 0 {
            body = Expr::Reduce(ReduceFunction::Sum, (0..rank).collect(), Box::new(body));
        }
        let indices = indices(&program.tensors[at]);
        let one = scalar(&mut result, indices, body);
        squares = Some(match squares {
            None => one,
            Some(sum) => scalar(&mut result, vec![], Expr::Apply(MapFunction::Add, vec![sum, one])),
        });
    }
    let norm = squares.map_or(Expr::Constant(1.0), |s| Expr::Apply(MapFunction::SquareRoot, vec![s]));
    let guarded = Expr::Apply(MapFunction::Add, vec![norm, Expr::Constant(LEAST_NORM)]);
    let length = Expr::Apply(MapFunction::Divide, vec![Expr::Constant(radius), guarded]);
    let length = scalar(&mut result, vec![], length);
    for at in 0..program.tensors.len() {
        let Definition::Param(param) = program.tensors[at].definition else {
            continue;
        };
        let own = read(&result, TensorId(at as u32));
        result.outputs.push(Output {
            kind: OutputKind::StateUpdate(before[param.0 as usize]),
            tensor: TensorId(at as u32),
        });
        let gradient = trained
            .iter()
            .find(|&&g| program.tensors[g].definition == Definition::Gradient(param));
        let Some(&gradient) = gradient else { continue };
        let move_ = Expr::Apply(
            MapFunction::Multiply,
            vec![length.clone(), read(&result, TensorId(gradient as u32))],
        );
        let tensor = equation(&mut result, at, Expr::Apply(MapFunction::Add, vec![own, move_]));
        result.outputs.push(Output {
            kind: OutputKind::ParamUpdate(param),
            tensor,
        });
    }
    result
}

/// Gives every parameter the value that it had before it was moved.
fn back_program(program: &Program, before: &[StateId]) -> Program {
    let mut result = program.clone();
    result.inputs.clear();
    result.outputs.clear();
    for (at, tensor) in program.tensors.iter().enumerate() {
        if let Definition::Param(param) = tensor.definition {
            result.tensors[at].definition = Definition::State(before[param.0 as usize]);
            result.outputs.push(Output {
                kind: OutputKind::ParamUpdate(param),
                tensor: TensorId(at as u32),
            });
        }
    }
    result
}

/// The condition that a number of the step equals a value.
fn number(program: &mut Program, variable: StepVariable, value: f64) -> Expr {
    let equal = vec![Number::Variable(variable), Number::Constant(value)];
    program.numbers.push(Number::apply(NumberFunction::Equal, equal));
    let number = Expr::Number(NumberId(program.numbers.len() as u32 - 1));
    Expr::Apply(MapFunction::Less, vec![Expr::Constant(0.5), number])
}

fn indices(tensor: &Tensor) -> Vec<(String, usize)> {
    let name = |(at, axis): (usize, &Axis)| (format!("i_{at}"), axis.size);
    tensor.axes.iter().enumerate().map(name).collect()
}

fn places(tensor: &Tensor) -> Vec<Place> {
    let at = |index| Place::At {
        position: crate::ir::affine::Position::axis(index),
        exact: None,
    };
    (0..tensor.axes.len()).map(at).collect()
}

fn read(program: &Program, tensor: TensorId) -> Expr {
    Expr::Read {
        tensor,
        places: places(program.tensor(tensor)),
        otherwise: None,
    }
}

/// Adds a tensor with the axes of another.
fn equation(program: &mut Program, like: usize, body: Expr) -> TensorId {
    let like = program.tensors[like].clone();
    let left = (0..like.axes.len()).map(|i| vec![i]).collect();
    let definition = Definition::Equation(Equation {
        indices: indices(&like),
        left,
        body,
        walked: None,
    });
    program.add(Tensor { definition, ..like })
}

/// Adds one number, and reads it.
fn scalar(program: &mut Program, indices: Vec<(String, usize)>, body: Expr) -> Expr {
    let tensor = program.add(Tensor {
        name: String::new(),
        axes: vec![],
        element: Element::Real,
        definition: Definition::Equation(Equation {
            indices,
            left: vec![],
            body,
            walked: None,
        }),
        span: Span::NOWHERE,
    });
    read(program, tensor)
}
