//! Rounds over blocks of rows: the last layer of a model with its loss and both gradients.

use super::build::Build;
use super::{check, given, run};
use crate::fuse::fuse;
use crate::ir::graph::*;

/// Logits of a few features, the gradient of cross-entropy by them, and by features and weights; what the weights become.
fn last_layer(rows: usize, classes: usize, by_index: bool) -> Graph {
    let mut b = Build::default();
    let x = b.input(&[rows, 8]);
    let w = b.param(&[8, classes]);
    let target = b.ids(&[rows], classes);
    let logits = b.contract(x, w, "nd,dk->nk");
    let hit = {
        let ids = GatherPosition::Ids {
            operand: 1,
            axes: vec![0],
        };
        let positions = vec![GatherPosition::Axis(0), ids];
        b.add(Op::Gather { positions }, &[logits, target], &[rows], Element::Real)
    };
    let probability = b.softmax(logits);
    let scale = match by_index {
        true => b.index(&[rows, classes], 0),
        false => b.constant(&[rows, classes], 0.5),
    };
    let gradient = b.times(probability, scale);
    let by_x = b.contract(gradient, w, "nk,dk->nd");
    let by_w = b.contract(x, gradient, "nd,nk->dk");
    let step = b.scaled(by_w, 0.1);
    let next = b.minus(w, step);
    let best = b.reduce(ReduceFunction::Maximum, logits, &[1]);
    for output in [by_x, next, hit, best] {
        b.output(output);
    }
    b.graph
}

#[test]
fn logits_are_never_stored_whole() {
    let graph = last_layer(48, 128, false);
    let schedule = check(&graph);
    let rounds: Vec<usize> = schedule.loops.iter().map(|l| l.rounds).collect();
    assert_eq!(rounds, [2], "{schedule}");
    let largest = schedule.tensors.iter().map(|t| t.elements).max();
    assert_eq!(largest, Some(16 * 128), "{schedule}");
}

#[test]
fn who_asks_for_the_row_or_has_few_rows_goes_whole() {
    for graph in [
        last_layer(48, 128, true),
        last_layer(13, 128, false),
        last_layer(48, 48, false),
    ] {
        assert_eq!(check(&graph).loops, []);
    }
}

#[test]
fn rounds_differ_from_one_sum_by_rounding_alone() {
    let graph = last_layer(96, 128, false);
    let schedule = fuse(&graph);
    let found = run(&schedule, &given(&graph), [1, 2]);
    assert_eq!(schedule.loops.len(), 1);
    // By rows nothing is added up otherwise: the same bits as of half of the rows alone.
    let half = last_layer(48, 128, false);
    let mut of_half = given(&half);
    let all = given(&graph);
    of_half.inputs[0] = all.inputs[0][..48 * 8].to_vec();
    of_half.inputs[1] = all.inputs[1][..48].to_vec();
    of_half.params = all.params.clone();
    let alone = run(&fuse(&half), &of_half, [1, 2]);
    assert_eq!(found[0][..48 * 8], alone[0][..]);
}
