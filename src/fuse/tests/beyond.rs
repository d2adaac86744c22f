//! Where rows come to constants behind a mask's diagonal: with the float64 meaning, and only where it is so.

use super::again::transformer;
use super::build::Build;
use super::{check, check_to};
use crate::ir::graph::*;
use crate::ir::kernel::{KernelBody, Schedule};

/// From where on passes and epilogues come to constants, of all calls in order.
fn ends(schedule: &Schedule) -> Vec<String> {
    let kernels = schedule.calls.iter().map(|call| &schedule.kernels[call.kernel].body);
    let beyond = kernels.flat_map(|body| match body {
        KernelBody::Loop(k) => k.passes.iter().map(|pass| &pass.beyond).collect(),
        KernelBody::Product(k) => vec![&k.beyond],
        KernelBody::Scatter(_) => vec![],
    });
    beyond.flatten().map(|beyond| beyond.from.to_string()).collect()
}

#[test]
fn causal_softmax_ends_at_the_diagonal() {
    // Scores; their maximum, exponentials and quotients. Behind the loss, the sums and the gradient by the scores.
    let found = ends(&check_to(&transformer(1, 64, 2, 2, "sgd(lr = 1)"), 1e-4));
    let (of_scores, of_rows) = ("1 + (i2 mod 64)", "1 + (i1 mod 64)");
    assert!(found.len() >= 5, "{found:?}");
    assert!(
        found.iter().any(|end| end.contains("mod 64") || end.contains("i3 + 1")),
        "{found:?} {of_scores} {of_rows}"
    );
    // A window has no diagonal on its other side that rows could begin at.
    let found = ends(&check_to(&transformer(1, 24, 2, 2, "sgd(lr = 1)"), 1e-4));
    assert_eq!(found, [""; 0], "24 are not whole turns of 16 lanes");
}

/// Some rows, a mask of two indices, and what is left of the rows.
fn masked(side: usize, compare: MapFunction, swapped: bool) -> (Build, NodeId) {
    let mut b = Build::default();
    let x = b.input(&[3, side, side]);
    let shape = [3, side, side];
    let [row, column] = [1, 2].map(|axis| b.add(Op::Index { axis }, &[], &shape, Element::Real));
    let compared = if swapped { [row, column] } else { [column, row] };
    let mask = b.add(Op::Map(compare), &compared, &shape, Element::Condition);
    let zero = b.constant(&shape, 0.0);
    let chosen = if swapped { [mask, zero, x] } else { [mask, x, zero] };
    let masked = b.map(MapFunction::Where, &chosen);
    (b, masked)
}

#[test]
fn every_comparison_has_its_end() {
    use MapFunction::{Less, LessEqual};
    let cases = [
        (LessEqual, false, "i2 + 1"),
        (Less, false, "i2"),
        (LessEqual, true, "i2"),
        (Less, true, "i2 + 1"),
    ];
    for (compare, swapped, end) in cases {
        let (mut b, masked) = masked(48, compare, swapped);
        let sum = b.reduce(ReduceFunction::Sum, masked, &[2]);
        b.output(sum);
        let found = ends(&check(&b.graph));
        assert_eq!(found, [end], "{compare:?} {swapped}");
    }
}

#[test]
fn what_is_read_elsewhere_or_is_no_constant_has_no_end() {
    use MapFunction::*;
    // The greatest of rows that are 0 there is not the greatest of the rest.
    let (mut b, rows) = masked(48, LessEqual, false);
    let most = b.reduce(ReduceFunction::Maximum, rows, &[2]);
    b.output(most);
    assert_eq!(ends(&check(&b.graph)), [""; 0]);
    // Columns are not rows.
    let (mut b, rows) = masked(48, LessEqual, false);
    let sum = b.reduce(ReduceFunction::Sum, rows, &[1]);
    b.output(sum);
    assert_eq!(ends(&check(&b.graph)), [""; 0]);
    // One result is constant, the other is not.
    let (mut b, rows) = masked(48, LessEqual, false);
    let more = b.input(&[3, 48, 48]);
    let other = b.map(Add, &[rows, more]);
    b.output(rows);
    b.output(other);
    check(&b.graph);
}

#[test]
fn a_tensor_is_known_to_its_readers() {
    // The first product needs the masked rows in memory. The second one's epilogue, that sees no mask, multiplies by them,
    // and the kernel that sums up sees no factor.
    let (mut b, rows) = masked(64, MapFunction::LessEqual, false);
    let [x, y] = [(); 2].map(|()| b.input(&[3, 64, 16]));
    let product = b.contract(rows, x, "bts,bse->bte");
    let factor = b.contract(product, y, "bte,bse->bts");
    let weighted = b.map(MapFunction::Multiply, &[rows, factor]);
    let sum = b.reduce(ReduceFunction::Sum, weighted, &[2]);
    b.output(sum);
    let found = ends(&check(&b.graph));
    assert_eq!(found, ["i2 + 1", "i2 + 1", "1 + (i1 mod 64)"]);
}
