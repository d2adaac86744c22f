//! Results that are stored as they are read, and numbers that need not be computed.

use super::build::Build;
use super::check;
use crate::fuse::readers::Readers;
use crate::ir::affine::Position;
use crate::ir::graph::*;

/// For each of 2 samples and 3 heads a product of 32 × 32, computed with the rows outside of the heads.
fn heads(b: &mut Build) -> NodeId {
    let query = b.input(&[2, 32, 3, 16]);
    let key = b.input(&[2, 32, 3, 16]);
    b.contract(query, key, "bthe,bshe->bths")
}

#[test]
fn a_result_lies_as_its_element_wise_reader_goes_over_it() {
    let mut b = Build::default();
    let scores = heads(&mut b);
    let by_head = [0, 2, 1, 3].map(Position::axis).to_vec();
    let turned = b.view(scores, &[2, 3, 32, 32], by_head);
    let other = b.input(&[2, 3, 32, 32]);
    let product = b.times(turned, other);
    b.output(product);
    let schedule = check(&b.graph);
    // The reader is the product's epilogue: it goes over the same elements in the same order.
    let names: Vec<&str> = schedule.calls.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["product + map"], "{schedule}");
}

#[test]
fn the_order_is_that_of_all_readers_if_they_are_element_wise() {
    let order = |read: &dyn Fn(&mut Build, NodeId, NodeId) -> Vec<NodeId>| {
        let mut b = Build::default();
        let scores = heads(&mut b);
        let by_head = [0, 2, 1, 3].map(Position::axis).to_vec();
        let turned = b.view(scores, &[2, 3, 32, 32], by_head);
        read(&mut b, scores, turned).into_iter().for_each(|node| b.output(node));
        Readers::of(&b.graph, &vec![true; b.graph.len()]).order(scores)
    };
    let once = order(&|b, _, turned| vec![b.scaled(turned, 2.0)]);
    assert_eq!(once, Some(vec![0, 2, 1, 3]));
    let twice = order(&|b, _, turned| vec![b.scaled(turned, 2.0), b.sum(turned, &[3])]);
    assert_eq!(twice, once);
    let two_ways = order(&|b, scores, turned| vec![b.scaled(turned, 2.0), b.scaled(scores, 2.0)]);
    let as_it_is = order(&|b, scores, _| vec![b.scaled(scores, 2.0)]);
    let given_out = order(&|b, scores, turned| vec![b.scaled(turned, 2.0), scores]);
    let multiplied = order(&|b, _, turned| {
        let value = b.input(&[2, 32, 3, 16]);
        vec![b.scaled(turned, 2.0), b.contract(turned, value, "bhts,bshe->bthe")]
    });
    assert_eq!([two_ways, as_it_is, given_out, multiplied], [None, None, None, None]);
}

#[test]
fn the_number_of_samples_is_no_sum() {
    let mut b = Build::default();
    let x = b.input(&[8, 16]);
    let ones = b.constant(&[8, 16], 1.0);
    let (sum, count) = (b.sum(x, &[0, 1]), b.sum(ones, &[0, 1]));
    let one = b.constant(&[], 1.0);
    let count = b.map(MapFunction::Maximum, &[count, one]);
    let mean = b.over(sum, count);
    b.output(mean);
    let schedule = check(&b.graph);
    assert_eq!(schedule.calls.len(), 1, "{schedule}");
    let thirds = {
        let mut b = Build::default();
        let third = b.constant(&[3], 1.0 / 3.0);
        let sum = b.sum(third, &[0]);
        b.output(sum);
        check(&b.graph)
    };
    assert!(
        thirds.to_string().contains("reduce sum"),
        "what rounds is computed as it always was"
    );
}
