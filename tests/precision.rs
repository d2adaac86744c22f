//! What a precision of 16 bits computes: contractions read rounded numbers and add them up in 32 bits, forwards and backwards;
//! nothing else is rounded.

use mspec::ir::experiment::Precision;
use mspec::ir::graph::{Element, Graph, InputDeclaration, InputId, MapFunction, Op, OutputKind, ReduceFunction};
use mspec::ops::construct::GraphBuilder;
use mspec::ops::interpret::interpret_outputs;
use mspec::ops::tensor64::{Environment, Tensor64};
use mspec::precision::rounded;

/// `sum(exp(a b))` of two matrices.
fn graph() -> Graph {
    let input = |name: &str, shape: &[usize]| InputDeclaration {
        name: name.into(),
        shape: shape.to_vec(),
        element: Element::Real,
    };
    let inputs = vec![input("a", &[3, 4]), input("b", &[4, 5])];
    let mut builder = GraphBuilder::new(Graph::declaring(inputs, vec![], vec![], vec![]));
    let (a, b) = (builder.input(InputId(0)), builder.input(InputId(1)));
    let product = builder.contract(a, &[0, 1], b, &[1, 2], &[0, 2]);
    let grown = builder.map(MapFunction::Exponential, &[product]);
    let sum = builder.reduce(ReduceFunction::Sum, grown, &[0, 1]);
    builder.output(OutputKind::Value("product".into()), product);
    builder.output(OutputKind::Value("sum".into()), sum);
    builder.finish()
}

#[test]
fn contractions_read_rounded_numbers_and_nothing_else_does() {
    let number = |i: usize| ((i * 37 % 23) as f64 - 11.0) / 7.0;
    let (a, b): (Vec<f64>, Vec<f64>) = ((0..12).map(number).collect(), (0..20).map(|i| number(i + 5)).collect());
    let environment = Environment {
        inputs: vec![Tensor64::new(&[3, 4], a.clone()), Tensor64::new(&[4, 5], b.clone())],
        ..Environment::default()
    };
    for (precision, bits) in [(Precision::Bf16, 8), (Precision::F16, 11)] {
        let short = |x: f64| {
            if x == 0.0 {
                return x;
            }
            let unit = 2f64.powi(x.abs().log2().floor() as i32 + 1 - bits);
            (x / unit).round_ties_even() * unit
        };
        let got = interpret_outputs(&rounded(&graph(), precision), &environment);
        let full = interpret_outputs(&graph(), &environment);
        let mut sum = 0.0;
        for row in 0..3 {
            for column in 0..5 {
                let term = |k: usize| short(a[4 * row + k]) * short(b[5 * k + column]);
                let want: f64 = (0..4).map(term).sum();
                let found = got[0].data[5 * row + column];
                assert!((found - want).abs() < 1e-12, "{precision:?}: {found} instead of {want}");
                sum += want.exp();
            }
        }
        assert!(
            (got[1].data[0] - sum).abs() < 1e-12 * sum,
            "the exponential is not rounded"
        );
        assert!((full[1].data[0] - sum).abs() > 1e-6 * sum, "rounding shows");
    }
}

#[test]
fn views_of_a_tensor_are_of_one_rounded_tensor_unless_they_read_little_of_it() {
    let input = InputDeclaration {
        name: "x".into(),
        shape: vec![8, 6],
        element: Element::Real,
    };
    let mut builder = GraphBuilder::new(Graph::declaring(vec![input], vec![], vec![], vec![]));
    let x = builder.input(InputId(0));
    let turned = builder.permute(x, &[1, 0]);
    let padded = builder.pad(turned, 1, 1, 0, 0.0);
    let ones = builder.pad(x, 1, 1, 0, 1.0);
    let row = builder.slice(x, 0, 2, 1);
    for (name, view) in [("turned", turned), ("padded", padded), ("ones", ones), ("row", row)] {
        let squares = builder.contract(view, &[0, 1], view, &[2, 1], &[0, 2]);
        builder.output(OutputKind::Value(name.into()), squares);
    }
    let graph = rounded(&builder.finish(), Precision::Bf16);
    let roundings = graph
        .ids()
        .filter(|&id| graph.node(id).op == Op::Map(MapFunction::RoundBf16));
    let operands: Vec<_> = roundings.map(|id| graph.node(id).operands[0]).collect();
    let shapes: Vec<&[usize]> = operands.iter().map(|&o| graph.node(o).shape.as_slice()).collect();
    // The two views of the whole, whose outside stays 0, share the first one.
    assert_eq!(shapes, [&[8, 6][..], &[8, 7], &[1, 6]]);
}
