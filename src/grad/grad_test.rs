//! Gradients of whole graphs: against central differences, and as text.

use super::grad;
use crate::ir::graph::*;
use crate::ops::construct::GraphBuilder;
use crate::ops::generate::generate;
use crate::ops::interpret::interpret_outputs;
use crate::ops::tensor64::Environment;
use crate::ops::verify::verify;

/// The objective before anything is differentiated.
fn objective(graph: &Graph, environment: &Environment) -> f64 {
    let mut forward = Graph::with_declarations_of(graph);
    let last = graph.output(&OutputKind::Objective).unwrap();
    for id in graph.ids().filter(|id| *id <= last) {
        forward.add(graph.node(id).clone());
    }
    let node = last;
    forward.outputs.push(Output {
        kind: OutputKind::Objective,
        node,
    });
    interpret_outputs(&forward, environment)[0].data[0]
}

/// Compares every element of every `d0`, `d1`, … of the differentiated graph.
fn check_differences(seed: u32, graph: &Graph, environment: &Environment) {
    verify(graph).unwrap();
    let differentiated = grad(graph);
    verify(&differentiated).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let outputs = interpret_outputs(&differentiated, environment);
    for (param, found) in outputs[1..].iter().enumerate() {
        for element in 0..found.data.len() {
            let h = 1e-5;
            let at = |shift: f64| {
                let mut moved = environment.clone();
                moved.params[param].data[element] += shift;
                objective(graph, &moved)
            };
            let (found, expected) = (found.data[element], (at(h) - at(-h)) / (2.0 * h));
            // Compositions multiply the third derivatives that h² stands before.
            let close = (found - expected).abs() < 2e-6 * (1.0 + expected.abs());
            assert!(
                close,
                "seed {seed}, d{param}[{element}]: {found} is not {expected}\n{graph}"
            );
        }
    }
}

#[test]
fn generated_graphs_agree_with_central_differences() {
    for seed in 0..120 {
        let (graph, environment) = generate(seed, 5 + seed as usize % 20);
        check_differences(seed, &graph, &environment);
    }
}

fn params(shapes: &[&[usize]]) -> GraphBuilder {
    let mut graph = Graph::default();
    for (i, shape) in shapes.iter().enumerate() {
        graph.params.push(ParamDeclaration {
            path: format!("w{i}"),
            shape: shape.to_vec(),
            initialiser: Initialiser::Constant(0.0),
            frozen: false,
            span: crate::text::Span::NOWHERE,
        });
    }
    GraphBuilder::new(graph)
}

#[test]
fn what_the_objective_does_not_reach_has_gradient_zero() {
    let mut b = params(&[&[2], &[3]]);
    let (x, y) = (b.param(ParamId(0)), b.param(ParamId(1)));
    let stopped = b.stop(y);
    let (x, y) = (b.sum(x, &[0]), b.sum(stopped, &[0]));
    let objective = b.multiply(x, y);
    b.output(OutputKind::Objective, objective);
    for i in 0..2 {
        let (param, gradient) = (b.param(ParamId(i)), b.gradient(ParamId(i)));
        let update = b.subtract(param, gradient);
        b.output(OutputKind::ParamUpdate(ParamId(i)), update);
    }
    let graph = grad(&b.finish());
    verify(&graph).unwrap();
    insta::assert_snapshot!(graph, @r"
    p0 w0 : [2] real ~ Constant(0.0)
    p1 w1 : [3] real ~ Constant(0.0)
    %0 = param p0 : [2] real
    %1 = param p1 : [3] real
    %2 = stop %1 : [3] real
    %3 = reduce.sum [0] %0 : [] real
    %4 = reduce.sum [0] %2 : [] real
    %5 = map.multiply %3 %4 : [] real
    %6 = constant 1 : [] real
    %7 = map.multiply %6 %4 : [] real
    %8 = view [] %7 : [2] real
    %9 = map.subtract %0 %8 : [2] real
    %10 = constant 0 : [3] real
    %11 = map.subtract %1 %10 : [3] real
    objective = %5
    update w0 = %9
    update w1 = %11
    ");
}

#[test]
fn the_unchosen_side_leaves_no_trace() {
    // where(w < 0, 0, log w) at w = -1 and 0: the logarithm is not a number or infinite there.
    let mut b = params(&[&[3]]);
    let w = b.param(ParamId(0));
    let zero = b.constant(&[3], 0.0);
    let condition = b.map(MapFunction::LessEqual, &[w, zero]);
    let logarithm = b.map(MapFunction::Logarithm, &[w]);
    let chosen = b.select(condition, zero, logarithm);
    let objective = b.sum(chosen, &[0]);
    b.output(OutputKind::Objective, objective);
    let gradient = b.gradient(ParamId(0));
    b.output(OutputKind::Value("d".into()), gradient);
    let graph = grad(&b.finish());
    let w = crate::ops::tensor64::Tensor64::new(&[3], vec![-1.0, 0.0, 2.0]);
    let environment = Environment {
        params: vec![w],
        ..Environment::default()
    };
    let found = interpret_outputs(&graph, &environment)[1].data.clone();
    assert_eq!((found[0], found[2]), (0.0, 0.5));
    // 0 · 1/0: the rule of the logarithm divides the zero that it gets.
    assert!(found[1].is_nan());
}

#[test]
fn a_deep_graph_grows_linearly() {
    let nodes = |layers: usize| {
        let mut b = params(&[&[4, 4], &[4]]);
        let (w, mut x) = (b.param(ParamId(0)), b.param(ParamId(1)));
        for _ in 0..layers {
            let product = b.contract(x, &[0], w, &[0, 1], &[1]);
            let active = b.map(MapFunction::HyperbolicTangent, &[product]);
            x = b.add(x, active);
        }
        let objective = b.sum(x, &[0]);
        b.output(OutputKind::Objective, objective);
        for i in 0..2 {
            let gradient = b.gradient(ParamId(i));
            b.output(OutputKind::Value(format!("d{i}")), gradient);
        }
        grad(&b.finish()).len() as i64
    };
    let (some, more, most) = (nodes(10), nodes(20), nodes(40));
    assert_eq!(most - more, 2 * (more - some));
}
