//! What a causal mask leaves out of attention's products: with the float64 meaning of all of them.

use super::again::transformer;
use super::build::Build;
use super::{check, check_to};
use crate::fuse::fused;
use crate::ir::graph::*;
use crate::ir::kernel::{KernelBody, Schedule};

/// The corners of all calls, in order.
fn corners(schedule: &Schedule) -> Vec<String> {
    let corner = |call: &crate::ir::kernel::Call| match &schedule.kernels[call.kernel].body {
        KernelBody::Product(product) => product.corner.map(|c| c.to_string()),
        _ => None,
    };
    schedule.calls.iter().filter_map(corner).collect()
}

#[test]
fn causal_attention_leaves_out_what_comes_later() {
    // Scores, mixture; the gradients by weights, values, queries and keys.
    let graph = transformer(1, 64, 2, 2, "sgd(lr = 1)");
    let schedule = check_to(&graph, 1e-4);
    assert_eq!(corners(&schedule).len(), 6, "{:?}", corners(&schedule));
    // Of those that are computed again there are more.
    let again = fused(&graph, true, 0);
    assert!(corners(&again).len() > 6, "{:?}", corners(&again));
    // Heads that share keys: one product over all of their queries.
    let schedule = check_to(&transformer(1, 64, 2, 1, "sgd(lr = 1)"), 1e-4);
    assert!(corners(&schedule).len() >= 3, "{:?}", corners(&schedule));
    // Sums over the queries of several heads are cut into turns, where those are of whole chunks.
    let graph = transformer(1, 256, 2, 1, "sgd(lr = 1)");
    let schedule = fused(&graph, true, usize::MAX);
    let found = corners(&schedule);
    for of in ["column", "row"] {
        let wanted = format!("without {of} mod 256 - sum > 0");
        assert!(found.contains(&wanted), "{found:?}");
    }
    // The gradient by the weights goes over the heads of a query.
    assert!(
        found.contains(&"without column - row div 2 mod 256 > 0".to_string()),
        "{found:?}"
    );
}

#[test]
fn only_what_is_zero_or_unread_is_left_out() {
    let sides = [64, 96, 80];
    for (at, side) in sides.into_iter().enumerate() {
        for strict in [false, true] {
            let mut b = Build::default();
            let [query, key, value] = [(); 3].map(|()| b.input(&[3, side, 16]));
            let scores = b.contract(query, key, "bte,bse->bts");
            let shape = [3, side, side];
            let [row, column] = [1, 2].map(|axis| b.add(Op::Index { axis }, &[], &shape, Element::Real));
            let compare = if strict {
                MapFunction::Less
            } else {
                MapFunction::LessEqual
            };
            let kept = b.add(Op::Map(compare), &[column, row], &shape, Element::Condition);
            let zero = b.add(Op::Constant(0.0), &[], &shape, Element::Real);
            let masked = b.map(MapFunction::Where, &[kept, scores, zero]);
            let mixed = b.contract(masked, value, "bts,bse->bte");
            b.output(mixed);
            let found = corners(&check(&b.graph));
            let wanted = if at < 2 { 2 } else { 0 };
            assert_eq!(found.len(), wanted, "{side} {strict}: {found:?}");
            // Somebody else reads the scores: then they are all there.
            b.output(scores);
            let found = corners(&check(&b.graph));
            assert_eq!(found.len(), wanted / 2, "{side} {strict}: {found:?}");
        }
    }
}
