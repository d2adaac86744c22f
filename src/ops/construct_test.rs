//! What builders make: text of small graphs.

use super::TensorType;
use super::construct::GraphBuilder;
use super::interpret::interpret;
use super::tensor64::{Environment, Tensor64};
use super::verify::verify;
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::*;

fn builder(shapes: &[&[usize]]) -> (GraphBuilder, Vec<NodeId>) {
    let mut builder = GraphBuilder::new(Graph::default());
    let mut ids = vec![];
    for (i, shape) in shapes.iter().enumerate() {
        builder.declarations().inputs.push(InputDeclaration {
            name: format!("x{i}"),
            shape: shape.to_vec(),
            element: Element::Real,
        });
        ids.push(builder.input(InputId(i as u32)));
    }
    (builder, ids)
}

fn check(builder: GraphBuilder) -> String {
    let graph = builder.finish();
    verify(&graph).unwrap();
    graph.to_string()
}

#[test]
fn views_of_views_are_one_view() {
    let (mut b, x) = builder(&[&[2, 6, 3]]);
    let split = b.split(x[0], 1, &[2, 3]);
    let heads = b.permute(split, &[0, 2, 1, 3]);
    let back = b.permute(heads, &[0, 2, 1, 3]);
    let joined = b.join(back, 1..3);
    assert_eq!(joined, x[0]);
    let flat = b.reshape(x[0], &[36]);
    let folded = b.reshape(flat, &[4, 9]);
    let padded = b.pad(folded, 1, 1, 1, 0.0);
    b.slice(padded, 1, 2, 4);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [2, 6, 3] real
    %0 = input in0 : [2, 6, 3] real
    %1 = view [i0, 3*i1 + i2, i3] %0 : [2, 2, 3, 3] real
    %2 = view [i0, i1 + 3*i2, i3] %0 : [2, 3, 2, 3] real
    %3 = view [(i0 div 18), (i0 div 3 mod 6), (i0 mod 3)] %0 : [36] real
    %4 = view [(i0 div 2), ((9*i0 + i1) div 3 mod 6), (i1 mod 3)] %0 : [4, 9] real
    %5 = view [(i0 div 2), ((9*i0 + i1 + 17) div 3 mod 6), ((i1 + 2) mod 3)] where 0 <= i1 - 1 < 9 else 0 %0 : [4, 11] real
    %6 = view [(i0 div 2), ((9*i0 + i1 + 1) div 3 mod 6), ((i1 + 1) mod 3)] %0 : [4, 4] real
    ");
}

#[test]
fn equal_nodes_are_made_once_and_constants_fold() {
    let (mut b, x) = builder(&[&[4]]);
    let two = b.constant(&[], 2.0);
    let twos = b.fill(two, &[4]);
    let root = b.map(MapFunction::SquareRoot, &[twos]);
    let first = b.multiply(x[0], root);
    let second = b.multiply(x[0], root);
    assert_eq!(first, second);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [4] real
    %0 = input in0 : [4] real
    %1 = constant 2 : [] real
    %2 = constant 2 : [4] real
    %3 = constant 1.4142135623730951 : [4] real
    %4 = map.multiply %0 %3 : [4] real
    ");
}

#[test]
fn convolution_window_and_its_transpose_are_inside() {
    let (mut b, x) = builder(&[&[2, 9]]);
    let at = Affine {
        constant: -1,
        terms: smallvec::smallvec![(1, 2), (2, 1)],
    };
    let guard = Guard::Within {
        of: at.clone().into(),
        low: 0,
        high: 9,
    };
    let window = b.view(x[0], &[2, 5, 3], vec![Position::axis(0), at.into()], vec![guard], 0.0);
    let at = Affine {
        constant: 1,
        terms: smallvec::smallvec![(1, 1), (2, -1)],
    };
    let half = Position::digit(Digit {
        coefficient: 1,
        of: at.clone(),
        divide: 2,
        modulo: None,
    });
    let guards = vec![
        Guard::Divisible { of: at.clone(), by: 2 },
        Guard::Within {
            of: at.into(),
            low: 0,
            high: 10,
        },
    ];
    let slice = b.slice(window, 2, 0, 1);
    let slice = b.reshape(slice, &[2, 5]);
    b.view(slice, &[2, 9, 3], vec![Position::axis(0), half], guards, 0.0);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [2, 9] real
    %0 = input in0 : [2, 9] real
    %1 = view [i0, 2*i1 + i2 - 1] where 0 <= 2*i1 + i2 - 1 < 9 else 0 %0 : [2, 5, 3] real
    %2 = view [i0, 2*i1 - 1] where 0 <= 2*i1 - 1 < 9 else 0 %0 : [2, 5, 1] real
    %3 = view [i0, 2*i1 - 1] where 0 <= 2*i1 - 1 < 9 else 0 %0 : [2, 5] real
    %4 = view [i0, -3 + 2*((i1 - i2 + 3) div 2)] where 2 divides i1 - i2 + 3, 0 <= i1 - i2 + 1 < 10, 0 <= -3 + 2*((i1 - i2 + 3) div 2) < 9 else 0 %0 : [2, 9, 3] real
    ");
}

#[test]
fn verify_names_the_broken_rule() {
    let check = |op: Op, shape: &[usize]| {
        let (b, x) = builder(&[&[4, 3]]);
        let mut graph = b.finish();
        graph.add(Node {
            op,
            operands: vec![x[0]],
            shape: shape.to_vec(),
            element: Element::Real,
            span: crate::text::Span::NOWHERE,
            caller: crate::text::Span::NOWHERE,
        });
        verify(&graph).unwrap_err().to_string()
    };
    let view = |positions: Vec<Position>| Op::View {
        positions,
        guards: vec![],
        fill: 0.0,
    };
    insta::assert_snapshot!(check(view(vec![Position::axis(0), Position::axis(0)]), &[4]), @"%1 = view [i0, i0] %0 : [4] real: position i0 leaves 0..3");
    insta::assert_snapshot!(check(view(vec![Position::axis(0)]), &[4]), @"%1 = view [i0] %0 : [4] real: 1 positions for shape [4, 3]");
    insta::assert_snapshot!(check(Op::Map(MapFunction::Add), &[4, 3]), @"%1 = map.add %0 : [4, 3] real: expected 2 operands, found 1");
    insta::assert_snapshot!(check(Op::Map(MapFunction::Not), &[4, 3]), @"%1 = map.not %0 : [4, 3] real: expected a condition, found [4, 3] real");
    insta::assert_snapshot!(check(Op::Map(MapFunction::Sine), &[3, 4]), @"%1 = map.sine %0 : [3, 4] real: the rule gives [4, 3] real");
    insta::assert_snapshot!(check(Op::Reduce { function: ReduceFunction::Sum, axes: vec![2] }, &[4]), @"%1 = reduce.sum [2] %0 : [4] real: axes [2] of a tensor with 2 axes");
    let ids = GatherPosition::Ids {
        operand: 1,
        axes: vec![0],
    };
    insta::assert_snapshot!(check(Op::Gather { positions: vec![GatherPosition::Axis(0), ids] }, &[4]), @"%1 = gather [i0, ids1[i0]] %0 : [4] real: there are no ids at operand 1");
}

#[test]
fn contractions_read_permuted_operands_as_they_lie() {
    let (mut b, x) = builder(&[&[3, 5], &[7, 5]]);
    let turned = b.permute(x[1], &[1, 0]);
    b.contract(x[0], &[0, 1], turned, &[1, 2], &[0, 2]);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [3, 5] real
    in1 x1 : [7, 5] real
    %0 = input in0 : [3, 5] real
    %1 = input in1 : [7, 5] real
    %2 = view [i1, i0] %1 : [5, 7] real
    %3 = contract ab,cb->ac %0 %1 : [3, 7] real
    ");
}

/// A builder with a table, ids for it, and a matrix.
fn lookups(rows: usize, ids: &[usize]) -> (GraphBuilder, NodeId, NodeId) {
    let (mut b, x) = builder(&[&[rows, 3], &[3, 2, 4]]);
    b.declarations().inputs.push(InputDeclaration {
        name: "ids".into(),
        shape: ids.to_vec(),
        element: Element::Id { bound: rows },
    });
    let of = b.input(InputId(2));
    let at = GatherPosition::Ids {
        operand: 1,
        axes: (0..ids.len()).collect(),
    };
    let shape = [ids, &[3]].concat();
    let gathered = b.gather(x[0], vec![at, GatherPosition::Axis(ids.len())], &[of], &shape);
    (b, gathered, x[1])
}

#[test]
fn rows_that_are_gathered_often_are_multiplied_once() {
    let (mut b, gathered, w) = lookups(2, &[2, 5]);
    let often = b.contract(gathered, &[0, 1, 2], w, &[2, 3, 4], &[0, 3, 1, 4]);
    let op = Op::Contract {
        a: vec![0, 1, 2],
        b: vec![2, 3, 4],
        out: vec![0, 3, 1, 4],
    };
    let plain = b.push(op, &[gathered, w], TensorType::real(&[]));
    let values = |size: usize| (0..size).map(|i| f64::from(i as u32 * 7 % 11) - 4.5).collect();
    let tensor = |shape: &[usize], data: Vec<f64>| Tensor64 {
        shape: shape.to_vec(),
        data,
    };
    let environment = Environment {
        inputs: vec![
            tensor(&[2, 3], values(6)),
            tensor(&[3, 2, 4], values(24)),
            tensor(&[2, 5], (0..10).map(|i| f64::from(i % 3 % 2)).collect()),
        ],
        ..Environment::default()
    };
    let found = interpret(b.graph(), &environment);
    assert_eq!(found[often.0 as usize], found[plain.0 as usize]);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [2, 3] real
    in1 x1 : [3, 2, 4] real
    in2 ids : [2, 5] id < 2
    %0 = input in0 : [2, 3] real
    %1 = input in1 : [3, 2, 4] real
    %2 = input in2 : [2, 5] id < 2
    %3 = gather [ids1[i0, i1], i2] %0 %2 : [2, 5, 3] real
    %4 = contract fc,cde->fde %0 %1 : [2, 2, 4] real
    %5 = gather [ids1[i0, i2], i1, i3] %4 %2 : [2, 2, 5, 4] real
    %6 = contract abc,cde->adbe %3 %1 : [2, 2, 5, 4] real
    ");
}

#[test]
fn rows_that_are_gathered_rarely_or_summed_stay() {
    let product = |rows: usize, out: &[u8]| {
        let (mut b, gathered, w) = lookups(rows, &[6]);
        let made = b.contract(gathered, &[0, 1], w, &[1, 2, 3], out);
        matches!(b.graph().node(made).op, Op::Gather { .. })
    };
    assert!(product(3, &[0, 2, 3]));
    assert!(!product(4, &[0, 2, 3]));
    assert!(!product(3, &[2, 3]));
}

#[test]
fn sums_of_the_same_in_another_order_are_one_sum() {
    let (mut b, x) = builder(&[&[2, 3, 4, 5], &[60]]);
    let turned = b.permute(x[0], &[1, 2, 0, 3]);
    assert_eq!(b.sum(turned, &[0, 2]), b.sum(x[0], &[0, 1]));
    // What is kept keeps its order.
    let turned = b.permute(x[0], &[2, 1, 3, 0]);
    b.sum(turned, &[1, 3]);
    let windows = Affine::axis(0).plus(&Affine::axis(1).times(2));
    let windows = windows.plus(&Affine::axis(2).times(20));
    let windows = b.view(x[1], &[4, 5, 2], vec![windows.into()], vec![], 0.0);
    b.sum(windows, &[0, 2]);
    insta::assert_snapshot!(check(b), @r"
    in0 x0 : [2, 3, 4, 5] real
    in1 x1 : [60] real
    %0 = input in0 : [2, 3, 4, 5] real
    %1 = input in1 : [60] real
    %2 = view [i2, i0, i1, i3] %0 : [3, 4, 2, 5] real
    %3 = reduce.sum [0, 1] %0 : [4, 5] real
    %4 = view [i3, i1, i0, i2] %0 : [4, 3, 5, 2] real
    %5 = view [i0 + 2*i1 + 20*i2] %1 : [4, 5, 2] real
    %6 = view [20*i0 + 2*i1 + i2] %1 : [2, 5, 4] real
    %7 = reduce.sum [0, 2] %6 : [5] real
    ");
}
