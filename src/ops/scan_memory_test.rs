//! What the steps of small loops keep, as text.

use super::scan_memory::remembering;
use super::*;
use crate::ir::graph::{InputDeclaration, InputId, MapFunction, OutputKind};
use crate::ir::scan::Scan;
use insta::assert_snapshot;
use std::sync::Arc;

const ROWS: usize = 2;
const SIZE: usize = 5;

/// A step with the carry `h[2, 5]`, the slice `x[2, 3, 5]` and the weights `w[5, 3, 5]`: `next` is given what it adds,
/// `h w + x`, and gives the new `h`.
fn kept(next: impl Fn(&mut GraphBuilder, NodeId, NodeId) -> NodeId) -> String {
    let input = |name: &str, shape: &[usize]| InputDeclaration {
        name: name.into(),
        shape: shape.to_vec(),
        element: Element::Real,
    };
    let inputs = vec![
        input("h", &[ROWS, SIZE]),
        input("x", &[ROWS, 3, SIZE]),
        input("w", &[SIZE, 3, SIZE]),
    ];
    let mut b = GraphBuilder::new(Graph::declaring(inputs, vec![], vec![], vec![]));
    let [h, x, w] = [0, 1, 2].map(|i| b.input(InputId(i)));
    let product = b.contract(h, &[0, 1], w, &[1, 2, 3], &[0, 2, 3]);
    let sum = b.add(x, product);
    let new = next(&mut b, sum, h);
    b.output(OutputKind::Value("next h".into()), new);
    let scan = Scan {
        steps: 4,
        backwards: false,
        body: b.finish(),
        carries: 1,
        slices: 1,
    };
    let body = remembering(&Arc::new(scan)).body.clone();
    super::verify::verify(&body).unwrap();
    let lines = body.outputs[1..].iter().map(|output| body.line(output.node));
    lines.collect::<Vec<_>>().join("\n")
}

/// One of the three gates.
fn gate(b: &mut GraphBuilder, sum: NodeId, gate: usize) -> NodeId {
    let part = b.slice(sum, 1, gate, 1);
    b.reshape(part, &[ROWS, SIZE])
}

fn tanh(b: &mut GraphBuilder, x: NodeId) -> NodeId {
    b.map(MapFunction::HyperbolicTangent, &[x])
}

#[test]
fn gates_are_kept_and_not_what_they_are_of() {
    let found = kept(|b, sum, h| {
        let [i, f, g] = [0, 1, 2].map(|n| {
            let x = gate(b, sum, n);
            tanh(b, x)
        });
        let i = b.map_constant(MapFunction::Add, i, 1.0);
        let (kept, new) = (b.multiply(f, h), b.multiply(i, g));
        b.add(kept, new)
    });
    assert_snapshot!(found, @r"
    %7 = map.hyperbolic_tangent %6 : [2, 5] real
    %10 = map.hyperbolic_tangent %9 : [2, 5] real
    %13 = map.hyperbolic_tangent %12 : [2, 5] real
    ");
}

#[test]
fn the_part_of_a_product_that_is_read_is_kept_alone() {
    let found = kept(|b, sum, h| {
        let [r, a, n] = [0, 1, 2].map(|n| gate(b, sum, n));
        let r = tanh(b, r);
        let reset = b.multiply(r, a);
        let new = b.add(reset, n);
        b.add(new, h)
    });
    assert_snapshot!(found, @r"
    %8 = view [i0, 1, i1] %4 : [2, 5] real
    %11 = map.hyperbolic_tangent %6 : [2, 5] real
    ");
}

#[test]
fn nothing_is_kept_where_the_carry_says_it() {
    let found = kept(|b, sum, _| {
        let x = gate(b, sum, 0);
        tanh(b, x)
    });
    assert_snapshot!(found, @"");
    let found = kept(|b, sum, h| {
        let x = gate(b, sum, 0);
        b.add(x, h)
    });
    assert_snapshot!(found, @"");
}

#[test]
fn what_is_larger_than_all_else_is_computed_again() {
    let found = kept(|b, sum, _| {
        let x = gate(b, sum, 0);
        let wide = b.broadcast(x, &[ROWS, SIZE, 4], &[0, 1]);
        let index = b.index(&[ROWS, SIZE, 4], 2);
        let scaled = b.multiply(wide, index);
        let wave = b.map(MapFunction::Sine, &[scaled]);
        b.sum(wave, &[2])
    });
    assert_snapshot!(found, @"%3 = contract ab,bcd->acd %0 %2 : [2, 3, 5] real");
}
