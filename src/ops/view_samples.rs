//! Samples of views: every way in which the language reads a tensor elsewhere.

use super::construct::GraphBuilder;
use super::{Domain, Sample, TensorType};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::{Element, Graph, InputDeclaration, InputId, NodeId, Op};

/// Samples of [`crate::ir::graph::Op::View`].
pub fn samples() -> Vec<Sample> {
    let mut all = vec![
        // x[i1, i0]
        built(&[3, 5], |b, x| b.permute(x, &[1, 0])),
        // a repeated number, a repeated row
        built(&[], |b, x| b.fill(x, &[2, 3])),
        built(&[5], |b, x| b.broadcast(x, &[2, 5, 3], &[1])),
        // heads split, joined, both with other axes between
        built(&[2, 3, 8], |b, x| b.split(x, 2, &[2, 4])),
        built(&[2, 3, 4], |b, x| b.join(x, 0..3)),
        built(&[2, 3, 1, 4], |b, x| b.join(x, 1..4)),
        built(&[2, 12], |b, x| b.split(x, 1, &[3, 1, 4])),
        built(&[4, 6], |b, x| b.reshape(x, &[6, 4])),
        built(&[4, 6], |b, x| b.reshape(x, &[3, 8])),
        built(&[2, 3, 8], |b, x| {
            let split = b.split(x, 2, &[2, 4]);
            b.permute(split, &[0, 2, 1, 3])
        }),
        built(&[2, 2, 3, 4], |b, x| {
            let back = b.permute(x, &[0, 2, 1, 3]);
            b.join(back, 2..4)
        }),
        built(&[7, 3], |b, x| b.slice(x, 0, 2, 4)),
        built(&[4, 3], |b, x| b.pad(x, 0, 2, 1, 0.5)),
    ];
    all.extend(windows());
    all.extend(with_divisions());
    all
}

/// Convolutions: `stride·i + dilation·r − pad`, and pooling windows that do not overlap.
fn windows() -> Vec<Sample> {
    let window = |size: usize, outputs: usize, kernel: usize, stride: i64, dilation: i64, pad: i64| {
        let at = affine(-pad, &[(1, stride), (2, dilation)]);
        let guards = vec![within(at.clone().into(), 0, size as i64)];
        view(
            &[2, size],
            &[2, outputs, kernel],
            vec![Position::axis(0), at.into()],
            guards,
        )
    };
    let row = affine(-1, &[(0, 1), (2, 1)]);
    let column = affine(-1, &[(1, 2), (3, 1)]);
    let guards = vec![within(row.clone().into(), 0, 5), within(column.clone().into(), 0, 6)];
    let positions = vec![row.into(), column.into(), Position::axis(4)];
    vec![
        window(9, 9, 3, 1, 1, 1),
        window(9, 5, 3, 2, 1, 1),
        window(10, 4, 3, 2, 1, 0),
        window(9, 5, 3, 1, 2, 0),
        window(8, 4, 2, 2, 1, 0),
        window(11, 3, 2, 4, 1, 0),
        window(4, 7, 9, 1, 1, 5),
        view(&[5, 6, 2], &[5, 3, 3, 3, 2], positions, guards),
    ]
}

/// Reversal, rotation, upsampling, transposed convolution, diagonals, and guards of axes that no position uses.
fn with_divisions() -> Vec<Sample> {
    let up = affine(1, &[(0, 1), (1, -1)]);
    let transposed = vec![
        Guard::Divisible { of: up.clone(), by: 2 },
        within(up.clone().into(), 0, 10),
    ];
    let diagonal = vec![Position::axis(0), Position::axis(0), Position::axis(1)];
    let band = vec![affine(0, &[(0, 1), (1, 1)]).into(), Position::axis(1)];
    let beyond = Position::from(affine(0, &[(0, 1), (1, -1)]));
    let rows = digit(affine(0, &[(0, 1)]), 2, None);
    let columns = digit(affine(0, &[(1, 1)]), 3, None);
    let shuffled = digit(affine(0, &[(0, 1)]), 1, Some(3))
        .times(4)
        .plus(&digit(affine(0, &[(0, 1)]), 3, None));
    vec![
        view(&[6], &[6], vec![affine(5, &[(0, -1)]).into()], vec![]),
        view(&[9], &[4], vec![affine(8, &[(0, -2)]).into()], vec![]),
        view(
            &[6, 2],
            &[6, 2],
            vec![digit(affine(4, &[(0, 1)]), 1, Some(6)), Position::axis(1)],
            vec![],
        ),
        // A rotation of each part of an axis.
        view(
            &[12],
            &[3, 4],
            vec![digit(affine(2, &[(1, 1)]), 1, Some(4)).plus(&affine(0, &[(0, 4)]).into())],
            vec![],
        ),
        view(&[4], &[11], vec![digit(affine(2, &[(0, 1)]), 1, Some(4))], vec![]),
        view(&[4, 3], &[7, 9], vec![rows, columns], vec![]),
        view(&[5], &[9, 3], vec![digit(up, 2, None)], transposed),
        view(&[4, 4, 2], &[4, 2], diagonal, vec![]),
        view(&[6, 3], &[4, 3], band, vec![]),
        view(&[12], &[12], vec![shuffled], vec![]),
        view(&[5], &[5, 5], vec![Position::axis(1)], vec![within(beyond, 0, 5)]),
        view(
            &[3, 4],
            &[5],
            vec![affine(2, &[]).into(), affine(1, &[]).into()],
            vec![],
        ),
    ]
}

fn affine(constant: i64, terms: &[(usize, i64)]) -> Affine {
    Affine {
        constant,
        terms: terms.into(),
    }
}

fn digit(of: Affine, divide: i64, modulo: Option<i64>) -> Position {
    Position::digit(Digit {
        coefficient: 1,
        of,
        divide,
        modulo,
    })
}

fn within(of: Position, low: i64, high: i64) -> Guard {
    Guard::Within { of, low, high }
}

/// What the builder makes of an operand of this shape.
fn built(operand: &[usize], build: impl Fn(&mut GraphBuilder, NodeId) -> NodeId) -> Sample {
    let mut builder = GraphBuilder::new(Graph::default());
    builder.declarations().inputs.push(InputDeclaration {
        name: "x".into(),
        shape: operand.to_vec(),
        element: Element::Real,
    });
    let x = builder.input(InputId(0));
    let result = build(&mut builder, x);
    let node = builder.graph().node(result);
    sample(node.op.clone(), operand, &node.shape)
}

fn view(operand: &[usize], shape: &[usize], positions: Vec<Position>, guards: Vec<Guard>) -> Sample {
    built(operand, |b, x| {
        b.view(x, shape, positions.clone(), guards.clone(), -0.5)
    })
}

fn sample(op: Op, operand: &[usize], shape: &[usize]) -> Sample {
    let operands = vec![(TensorType::real(operand), Domain::Between(-1.0, 1.0))];
    Sample::new(op, operands, TensorType::real(shape)).tolerance(0.0, "elements are moved, not computed")
}
