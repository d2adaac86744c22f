//! A loop along an axis that carries values from step to step: recurrent networks, and whatever walks a sequence.

use super::construct::GraphBuilder;
use super::interpret::interpret_outputs;
use super::tensor64::{Environment, Tensor64};
use super::{Backward, Cost, Domain, Grads, Primitive, Sample, ShapeError, TensorType, demand, scan_gradient, with};
use crate::ir::graph::{Element, Graph, InputDeclaration, InputId, MapFunction, Op, OutputKind, elements};
use crate::ir::scan::Scan;
use std::sync::Arc;

/// [`crate::ir::graph::Op::Scan`].
pub struct Loop<'a>(pub &'a Arc<Scan>);

impl Primitive for Loop<'_> {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn result(&self, _: &Graph, operands: &[TensorType], _: &TensorType) -> Result<TensorType, ShapeError> {
        let scan = self.0;
        demand(scan.steps > 0, || "a scan without steps".into())?;
        demand(operands.len() == scan.body.inputs.len(), || {
            format!("{} operands for {} inputs", operands.len(), scan.body.inputs.len())
        })?;
        for (number, operand) in operands.iter().enumerate() {
            let (shape, element) = scan.operand(number).expect("there are as many inputs as operands");
            demand((&operand.shape, operand.element) == (&shape, element), || {
                format!("operand {number} is {operand}, expected {shape:?} {element}")
            })?;
        }
        let leaf = |op: &Op| match op {
            Op::Param(_) | Op::State(_) | Op::StepNumber(_) | Op::Random { .. } | Op::Gradient(_) | Op::Scan(_) => true,
            Op::Input(_) => false,
            _ => false,
        };
        demand(!scan.body.ids().any(|id| leaf(&scan.body.node(id).op)), || {
            "the body of a scan reads its inputs alone".into()
        })?;
        demand(scan.body.outputs.len() >= scan.carries, || {
            "a carry without a next value".into()
        })?;
        for (number, output) in scan.body.outputs.iter().enumerate() {
            let node = scan.body.node(output.node);
            demand(node.element == Element::Real, || {
                format!("output {number} is {}", node.element)
            })?;
            let fits = number >= scan.carries || scan.body.inputs[number].shape == node.shape;
            demand(fits, || format!("carry {number} changes its shape to {:?}", node.shape))?;
        }
        super::verify::verify(&scan.body).map_err(|error| ShapeError(error.to_string()))?;
        Ok(TensorType::real(&[scan.stacks().1]))
    }

    fn reference(&self, _: &Environment, operands: &[&Tensor64], result: &TensorType) -> Tensor64 {
        let scan = self.0;
        let stacks = scan.stacks().0;
        let mut flat = Tensor64::from_index(&result.shape, |_| 0.0);
        let mut put = |output: usize, slot: usize, value: &Tensor64| {
            let start = stacks[output].offset + slot * stacks[output].stride;
            flat.data[start..start + value.data.len()].copy_from_slice(&value.data);
        };
        let mut carries: Vec<Tensor64> = operands[..scan.carries].iter().map(|&t| t.clone()).collect();
        carries.iter().enumerate().for_each(|(n, carry)| put(n, 0, carry));
        for step in 0..scan.steps {
            let place = scan.place(step);
            let mut environment = Environment::default();
            for (number, operand) in operands.iter().enumerate() {
                environment.inputs.push(match number {
                    n if n < scan.carries => carries[n].clone(),
                    n if n < scan.carries + scan.slices => {
                        let size = elements(&operand.shape[1..]);
                        let data = operand.data[place * size..(place + 1) * size].to_vec();
                        Tensor64::new(&operand.shape[1..], data)
                    }
                    _ => (*operand).clone(),
                });
            }
            let outputs = interpret_outputs(&scan.body, &environment);
            for (number, output) in outputs.iter().enumerate() {
                put(number, if number < scan.carries { step + 1 } else { place }, output);
            }
            carries = outputs[..scan.carries].to_vec();
        }
        flat
    }

    fn grad(&self, backward: &mut Backward) -> Grads {
        Grads::Operands(scan_gradient::gradient(self.0, backward))
    }

    fn cost(&self, operands: &[TensorType], result: &TensorType) -> Cost {
        let body = &self.0.body;
        let step: u64 = body
            .ids()
            .map(|id| {
                let node = body.node(id);
                let types: Vec<TensorType> = node.operands.iter().map(|&o| super::verify::type_of(body, o)).collect();
                with(&node.op, |p| p.cost(&types, &super::verify::type_of(body, id)).flops)
            })
            .sum();
        let mut cost = Cost::once(0, operands, result);
        cost.flops = step * self.0.steps as u64;
        cost
    }

    fn samples() -> Vec<Sample> {
        samples(2, 3)
    }
}

/// Forwards and backwards, with and without something kept of each step; a state has so many rows and columns.
pub fn samples(rows: usize, size: usize) -> Vec<Sample> {
    let both = [false, true];
    both.into_iter()
        .flat_map(|backwards| both.map(|kept| sample(backwards, kept, [rows, size])))
        .collect()
}

/// `h <- tanh(x + h w + c) * s`, a second carry that counts, and `h x` kept of each step if asked for.
fn sample(backwards: bool, kept: bool, [rows, size]: [usize; 2]) -> Sample {
    let input = |name: &str, shape: &[usize]| InputDeclaration {
        name: name.into(),
        shape: shape.to_vec(),
        element: Element::Real,
    };
    let inputs = vec![
        input("h", &[rows, size]),
        input("n", &[]),
        input("x", &[rows, size]),
        input("s", &[]),
        input("w", &[size, size]),
        input("c", &[size]),
    ];
    let mut b = GraphBuilder::new(Graph::declaring(inputs, vec![], vec![], vec![]));
    let [h, n, x, s, w, c] = [0, 1, 2, 3, 4, 5].map(|i| b.input(InputId(i)));
    let product = b.contract(h, &[0, 1], w, &[1, 2], &[0, 2]);
    let c = b.broadcast(c, &[rows, size], &[1]);
    let sum = b.add(x, product);
    let sum = b.add(sum, c);
    let tanh = b.map(MapFunction::HyperbolicTangent, &[sum]);
    let scale = b.fill(s, &[rows, size]);
    let next = b.multiply(tanh, scale);
    let count = b.map_constant(MapFunction::Multiply, n, 0.5);
    let count = b.add(count, s);
    let both = b.multiply(next, x);
    b.output(OutputKind::Value("next h".into()), next);
    b.output(OutputKind::Value("next n".into()), count);
    if kept {
        b.output(OutputKind::Value("kept".into()), both);
    }
    let scan = Scan {
        steps: 4,
        backwards,
        body: b.finish(),
        carries: 2,
        slices: 2,
    };
    let result = TensorType::real(&[scan.stacks().1]);
    let operand = |number: usize| {
        let shape = scan.operand(number).expect("an input for each operand").0;
        (TensorType::real(&shape), Domain::Between(-1.0, 1.0))
    };
    let operands = (0..6).map(operand).collect();
    Sample::new(Op::Scan(Arc::new(scan)), operands, result)
        .tolerance(4e-6, "four steps of sums and a tanh, each rounded")
}
