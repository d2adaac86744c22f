//! Ranges hold: for every primitive's samples and for generated graphs with their gradients, no element that the oracle
//! computes lies outside of what was told of its node.

use super::{Range, range, ranges};
use crate::grad::grad;
use crate::ir::graph::*;
use crate::ops::CATALOG;
use crate::ops::construct::GraphBuilder;
use crate::ops::generate::generate;
use crate::ops::interpret::interpret;
use crate::ops::sample::draw;
use crate::ops::tensor64::{Environment, Tensor64};

/// Rounding of the oracle's long sums.
const SLACK: f64 = 1e-9;

fn hull(tensor: &Tensor64) -> Range {
    let fold = |f: fn(f64, f64) -> f64, from| tensor.data.iter().copied().fold(from, f);
    Range::new(fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY))
}

/// The ranges of a graph whose leaves are known; they must hold of what the oracle computes.
fn check(graph: &Graph, environment: &Environment, what: &str) -> usize {
    let leaf = |node: &Node| match node.op {
        Op::Input(id) => hull(&environment.inputs[id.0 as usize]),
        Op::Param(id) => hull(&environment.params[id.0 as usize]),
        Op::State(id) => hull(&environment.states[id.0 as usize]),
        Op::StepNumber(id) => Range::point(environment.numbers[id.0 as usize]),
        _ => Range::ALL,
    };
    let told = ranges(graph, &leaf);
    let values = interpret(graph, environment);
    let mut bounded = 0;
    for id in graph.ids() {
        let (told, value) = (told[id.0 as usize], &values[id.0 as usize]);
        bounded += usize::from(told != Range::ALL);
        for &x in value.data.iter().filter(|x| !x.is_nan()) {
            let slack = if x.is_finite() { SLACK * (1.0 + x.abs()) } else { 0.0 };
            let holds = x + slack >= told.low && x - slack <= told.high;
            assert!(holds, "{what}: {x} is not in {told:?}: {}", graph.line(id));
        }
    }
    bounded
}

#[test]
fn ranges_hold_for_generated_graphs_and_their_gradients() {
    let (mut bounded, mut all) = (0, 0);
    for seed in 0..200 {
        let (graph, environment) = generate(seed, 5 + seed as usize % 20);
        let differentiated = grad(&graph);
        bounded += check(&differentiated, &environment, &format!("seed {seed}"));
        all += differentiated.len();
    }
    // A bound that is never told would be easy to keep.
    assert!(bounded * 2 > all, "{bounded} of {all} nodes have a bound");
}

#[test]
fn ranges_hold_for_every_primitive() {
    for (number, sample) in CATALOG.iter().flat_map(|samples| samples()).enumerate() {
        if sample.operands.is_empty() {
            continue;
        }
        let mut declarations = Graph::default();
        let mut environment = Environment::default();
        for (i, (kind, domain)) in sample.operands.iter().enumerate() {
            declarations.inputs.push(InputDeclaration {
                name: format!("x{i}"),
                shape: kind.shape.clone(),
                element: kind.element,
            });
            environment.inputs.push(draw(kind, *domain, 3 * i as u32));
        }
        let mut builder = GraphBuilder::new(declarations);
        let inputs = 0..sample.operands.len() as u32;
        let operands: Vec<NodeId> = inputs.map(|i| builder.input(InputId(i))).collect();
        builder.push(sample.op.clone(), &operands, sample.result.clone());
        check(
            &builder.finish(),
            &environment,
            &format!("sample {number}, {:?}", sample.op),
        );
    }
}

fn unary(make: impl Fn(&mut GraphBuilder, NodeId) -> NodeId) -> Range {
    let mut graph = Graph::default();
    graph.inputs.push(InputDeclaration {
        name: "x".into(),
        shape: vec![4],
        element: Element::Real,
    });
    let mut builder = GraphBuilder::new(graph);
    let x = builder.input(InputId(0));
    let made = make(&mut builder, x);
    ranges(&builder.finish(), &|_| Range::ALL)[made.0 as usize]
}

#[test]
fn activations_are_bounded_as_they_are_known_to_be() {
    use MapFunction::*;
    let relu = unary(|b, x| {
        let zero = b.constant_like(x, 0.0);
        let below = b.map(LessEqual, &[x, zero]);
        b.select(below, zero, x)
    });
    assert_eq!(relu, Range::new(0.0, f64::INFINITY));
    let with_tanh = unary(|b, x| {
        let half = b.map_constant(Multiply, x, 0.5);
        let tanh = b.map(HyperbolicTangent, &[half]);
        let sum = b.map_constant(Add, tanh, 1.0);
        b.map_constant(Multiply, sum, 0.5)
    });
    let sigmoid = unary(|b, x| b.map(Sigmoid, &[x]));
    assert_eq!([with_tanh, sigmoid], [Range::new(0.0, 1.0); 2]);
    let softmax = unary(|b, x| {
        let e = b.map(Exponential, &[x]);
        let sum = b.sum(e, &[0]);
        let sum = b.fill(sum, &[4]);
        b.divide(e, sum)
    });
    assert_eq!(softmax, Range::new(0.0, 1.0));
    let square = unary(|b, x| b.multiply(x, x));
    assert_eq!(square, Range::new(0.0, f64::INFINITY));
    let difference = unary(|b, x| b.subtract(x, x));
    assert_eq!(difference, Range::point(0.0));
    let any = unary(|b, x| b.add(x, x));
    assert_eq!(any, Range::ALL);
}

/// A node's range alone, from those of its operands.
#[test]
fn one_node_is_told_from_its_operands() {
    let mut builder = GraphBuilder::new(Graph::default());
    let (a, b) = (builder.constant(&[], 2.0), builder.index(&[5], 0));
    let a = builder.fill(a, &[5]);
    let power = builder.map(MapFunction::Power, &[b, a]);
    let graph = builder.finish();
    let mut known = vec![Range::ALL; graph.len()];
    known[a.0 as usize] = Range::point(2.0);
    known[b.0 as usize] = Range::new(-3.0, 1.0);
    assert_eq!(range(&graph, power, &known, &|_| Range::ALL), Range::new(0.0, 9.0));
}
