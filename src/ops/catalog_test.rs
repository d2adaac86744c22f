//! Invariants of the whole catalog, and every sample's gradient against central differences.

use super::interpret::interpret;
use super::sample::draw;
use super::tensor64::{Environment, Tensor64};
use super::verify::{type_of, verify};
use super::{Backward, CATALOG, Grads, Sample, with};
use crate::ir::graph::*;
use crate::ops::construct::GraphBuilder;
use crate::ops::map::FUNCTIONS;

fn samples() -> Vec<Sample> {
    CATALOG.iter().flat_map(|samples| samples()).collect()
}

/// A graph with the sample's operands as inputs, and their values. The leaves' declarations fit too.
fn sample_graph(sample: &Sample) -> (GraphBuilder, Vec<NodeId>, NodeId, Environment) {
    let mut declarations = Graph::default();
    let mut environment = Environment {
        params: vec![draw(
            &super::TensorType::real(&[3, 4]),
            super::Domain::Between(-1.0, 1.0),
            50,
        )],
        numbers: vec![0.25],
        key: [7, 8],
        ..Environment::default()
    };
    environment.states = environment.params.clone();
    let span = crate::text::Span::NOWHERE;
    let (shape, initialiser) = (vec![3, 4], Initialiser::Constant(0.0));
    declarations.params.push(ParamDeclaration {
        path: "w".into(),
        shape: shape.clone(),
        initialiser,
        frozen: false,
        span,
    });
    declarations.states.push(StateDeclaration {
        path: "s".into(),
        shape,
        initial: 0.0,
        optimizer: false,
    });
    declarations.numbers.push(crate::ir::number::Number::Constant(0.25));
    let mut operands = sample.operands.clone();
    if let Op::Input(_) = sample.op {
        operands.push((sample.result.clone(), super::Domain::Between(-1.0, 1.0)));
    }
    for (i, (kind, domain)) in operands.iter().enumerate() {
        let (shape, element) = (kind.shape.clone(), kind.element);
        declarations.inputs.push(InputDeclaration {
            name: format!("x{i}"),
            shape,
            element,
        });
        environment.inputs.push(draw(kind, *domain, 3 * i as u32));
    }
    let mut builder = GraphBuilder::new(declarations);
    let ids: Vec<NodeId> = (0..sample.operands.len())
        .map(|i| builder.input(InputId(i as u32)))
        .collect();
    let node = builder.push(sample.op.clone(), &ids, sample.result.clone());
    (builder, ids, node, environment)
}

#[test]
fn every_primitive_and_function_has_samples() {
    let mut names: Vec<String> = vec![];
    for sample in samples() {
        let name = format!("{:?}", sample.op);
        let name = name.split([' ', '(', '{']).next().unwrap().to_string();
        if !names.contains(&name) {
            names.push(name);
        }
        assert!(!sample.reason.is_empty());
    }
    let expected =
        "Input Param State StepNumber Constant Index Map Reduce Contract View Gather ScatterAdd Random Stop Sort Scan";
    assert_eq!(names.join(" "), expected);
    for function in FUNCTIONS {
        assert!(samples().iter().any(|s| s.op == Op::Map(function)), "{function:?}");
    }
    let functions: Vec<MapFunction> = FUNCTIONS.to_vec();
    assert!(
        functions.is_sorted_by(|a, b| a < b),
        "in the order of the enum, each once"
    );
}

#[test]
fn samples_have_the_stated_type_and_a_finite_reference() {
    for sample in samples() {
        let (builder, _, node, environment) = sample_graph(&sample);
        verify(builder.graph()).unwrap_or_else(|e| panic!("{:?}: {e}", sample.op));
        let value = &interpret(builder.graph(), &environment)[node.0 as usize];
        assert_eq!(type_of(builder.graph(), node), sample.result);
        assert!(value.data.iter().all(|v| !v.is_nan()), "{:?}", sample.op);
        let cost = with(&sample.op, |p| {
            let operands: Vec<_> = sample.operands.iter().map(|o| o.0.clone()).collect();
            p.cost(&operands, &sample.result)
        });
        assert!(
            cost.bytes > 0 || sample.operands.is_empty() || sample.op == Op::Stop,
            "{:?}",
            sample.op
        );
    }
}

/// ⟨dy, f(x + h·v) − f(x − h·v)⟩ / 2h against ⟨grad, v⟩ for each operand and several directions v.
#[test]
fn gradients_are_what_central_differences_say() {
    for sample in samples() {
        let (mut builder, operands, node, environment) = sample_graph(&sample);
        let dy = draw(&sample.result, super::Domain::Between(-1.0, 1.0), 77);
        let declared = builder.declarations();
        declared.inputs.push(InputDeclaration {
            name: "dy".into(),
            shape: dy.shape.clone(),
            element: Element::Real,
        });
        let last = InputId(declared.inputs.len() as u32 - 1);
        let gradient = builder.input(last);
        let wanted: Vec<bool> = sample.operands.iter().map(|o| o.0.element == Element::Real).collect();
        let mut backward = Backward {
            builder: &mut builder,
            node,
            operands: &operands,
            gradient,
            wanted: &wanted,
        };
        let grads = with(&sample.op, |p| p.grad(&mut backward));
        let Grads::Operands(grads) = grads else { continue };
        verify(builder.graph()).unwrap_or_else(|e| panic!("{:?}: {e}", sample.op));
        let mut environment = environment;
        environment.inputs.push(Tensor64::new(&dy.shape, dy.data.clone()));
        let values = interpret(builder.graph(), &environment);
        for (i, grad) in grads.iter().enumerate() {
            let Some(grad) = grad else { continue };
            let grad = &values[grad.0 as usize];
            for (element, found) in grad.data.iter().enumerate() {
                let h = 1e-5;
                let at = |shift: f64| {
                    let mut moved = environment.clone();
                    moved.inputs[i].data[element] += shift;
                    let y = &interpret(builder.graph(), &moved)[node.0 as usize];
                    y.data.iter().zip(&dy.data).map(|(y, d)| y * d).sum::<f64>()
                };
                let expected = (at(h) - at(-h)) / (2.0 * h);
                // The third derivative times h², and cancellation, are below 1e-8 of numbers of this size.
                let close = (found - expected).abs() < 1e-7 * (1.0 + expected.abs());
                assert!(
                    close,
                    "{:?} operand {i} element {element}: {found} is not {expected}",
                    sample.op
                );
            }
        }
    }
}

#[test]
fn gradients_at_awkward_places() {
    // Function, operands, the gradients by each.
    use MapFunction::*;
    let inf = f64::INFINITY;
    let cases: [(MapFunction, &[f64], &[f64]); 9] = [
        (Power, &[0.0, 2.0], &[0.0, 0.0]),
        (Power, &[0.0, 0.0], &[0.0, 0.0]),
        (Power, &[-2.0, 3.0], &[12.0, 0.0]),
        (Absolute, &[0.0], &[0.0]),
        (Maximum, &[1.0, 1.0], &[1.0, 0.0]),
        (Minimum, &[1.0, 1.0], &[1.0, 0.0]),
        (SquareRoot, &[0.0], &[inf]),
        (Logarithm, &[0.0], &[inf]),
        (HyperbolicTangent, &[inf], &[0.0]),
    ];
    for (function, values, expected) in cases {
        let mut declarations = Graph::default();
        let mut environment = Environment::default();
        for (i, &value) in values.iter().enumerate() {
            let name = format!("x{i}");
            declarations.inputs.push(InputDeclaration {
                name,
                shape: vec![],
                element: Element::Real,
            });
            environment.inputs.push(Tensor64::new(&[], vec![value]));
        }
        let mut b = GraphBuilder::new(declarations);
        let operands: Vec<NodeId> = (0..values.len()).map(|i| b.input(InputId(i as u32))).collect();
        let node = b.map(function, &operands);
        let gradient = b.constant(&[], 1.0);
        let wanted = vec![true; values.len()];
        let mut backward = Backward {
            builder: &mut b,
            node,
            operands: &operands,
            gradient,
            wanted: &wanted,
        };
        let Grads::Operands(grads) = with(&Op::Map(function), |p| p.grad(&mut backward)) else {
            panic!()
        };
        let found = interpret(b.graph(), &environment);
        let found: Vec<f64> = grads.iter().map(|g| found[g.unwrap().0 as usize].data[0]).collect();
        assert_eq!(found, expected, "{function:?} at {values:?}");
    }
}

#[test]
fn ties_of_an_extremum_go_to_the_first() {
    let mut declarations = Graph::default();
    declarations.inputs.push(InputDeclaration {
        name: "x".into(),
        shape: vec![2, 2, 3],
        element: Element::Real,
    });
    let x = Tensor64::new(&[2, 2, 3], vec![1., 3., 3., 3., 0., 1., 2., 2., 2., 2., 2., 2.]);
    let mut b = GraphBuilder::new(declarations);
    let input = b.input(InputId(0));
    let node = b.reduce(ReduceFunction::Maximum, input, &[1, 2]);
    let gradient = b.constant(&[2], 1.0);
    let op = b.graph().node(node).op.clone();
    let mut backward = Backward {
        builder: &mut b,
        node,
        operands: &[input],
        gradient,
        wanted: &[true],
    };
    let Grads::Operands(grads) = with(&op, |p| p.grad(&mut backward)) else {
        panic!()
    };
    let environment = Environment {
        inputs: vec![x],
        ..Environment::default()
    };
    let found = interpret(b.graph(), &environment)[grads[0].unwrap().0 as usize]
        .data
        .clone();
    assert_eq!(found, [0., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0.]);
}
