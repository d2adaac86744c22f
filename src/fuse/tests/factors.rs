//! Sums without what is the same for all of their terms.

use super::build::Build;
use super::{calls, check, printed};
use crate::ir::graph::*;
use insta::assert_snapshot;

#[test]
fn what_is_the_same_for_all_terms_is_multiplied_behind_the_sum() {
    let mut b = Build::default();
    let (x, scale) = (b.input(&[40, 24]), b.param(&[24]));
    let wide = b.spread(scale, &[40, 24], &[1]);
    let scaled = b.times(x, wide);
    let twice = b.plus(scaled, scaled);
    let less = b.map(MapFunction::Negate, &[twice]);
    let sum = b.sum(less, &[0]);
    b.output(sum);
    assert_snapshot!(printed(&check(&b.graph)), @r"
    k0 columns + sum + map (t0, t1, t2)
    k0:
      b0: f32[960] read
      b1: f32[24] read
      b2: f32[24] written
      loop i0 < 24; rows per task 68
      pass over i1 < 40
        v0 = load b0[i0 + 24*i1]
        v1 = reduce sum over sequence v0
      finish
        v2 = load b1[i0]
        v3 = multiply v1, v2
        v4 = -2.0
        v5 = multiply v3, v4
        store b2[i0] = v5
      tasks 1
    ");
}

#[test]
fn sums_of_the_same_factors_are_one() {
    let mut b = Build::default();
    let (x, y) = (b.input(&[64, 24]), b.input(&[64, 24]));
    let sums = [[x, y], [y, x]].map(|[first, second]| {
        let scale = b.param(&[24]);
        let wide = b.spread(scale, &[64, 24], &[1]);
        let scaled = b.times(first, wide);
        let product = b.times(second, scaled);
        b.sum(product, &[0])
    });
    sums.into_iter().for_each(|sum| b.output(sum));
    assert_snapshot!(calls(&check(&b.graph)), @"k0 columns + sum + map");
}

/// `x` minus its mean over the first axis.
fn deviations(b: &mut Build, x: NodeId) -> NodeId {
    let [rows, columns] = b.shape(x)[..] else {
        panic!("a matrix")
    };
    let sum = b.sum(x, &[0]);
    let mean = b.scaled(sum, 1.0 / rows as f64);
    let wide = b.spread(mean, &[rows, columns], &[1]);
    b.minus(x, wide)
}

#[test]
fn deviations_from_the_mean_add_up_to_zero() {
    let mut b = Build::default();
    let (x, scale) = (b.input(&[64, 24]), b.param(&[24]));
    let deviations = deviations(&mut b, x);
    let wide = b.spread(scale, &[64, 24], &[1]);
    let scaled = b.times(deviations, wide);
    let sum = b.sum(scaled, &[0]);
    b.output(sum);
    assert_snapshot!(printed(&check(&b.graph)), @r"
    k0 elements (t2)
    k0:
      b0: f32[24] written
      loop i0 < 24; rows per task 2730
      pass
        v0 = 0.0
        store b0[i0] = v0
      tasks 1
    ");
}

#[test]
fn deviations_from_another_mean_do_not() {
    let mut b = Build::default();
    let x = b.input(&[64, 24]);
    let deviations = deviations(&mut b, x);
    let of_rows = b.sum(deviations, &[1]);
    let squares = b.times(deviations, deviations);
    let of_squares = b.sum(squares, &[0]);
    b.output(of_rows);
    b.output(of_squares);
    let schedule = check(&b.graph);
    let sums = schedule.calls.iter().filter(|call| call.name.contains("sum"));
    assert_eq!(sums.count(), 3, "{schedule}");
}

#[test]
fn what_takes_long_is_not_computed_again_for_a_sum() {
    let mut b = Build::default();
    let (x, y, scale) = (b.input(&[64, 24]), b.input(&[64, 24]), b.param(&[24]));
    let e = b.map(MapFunction::Exponential, &[x]);
    let wide = b.spread(scale, &[64, 24], &[1]);
    let weights = b.times(e, wide);
    let weighted = b.times(weights, y);
    let sum = b.sum(weighted, &[0]);
    b.output(weights);
    b.output(sum);
    assert_snapshot!(calls(&check(&b.graph)), @r"
    k0 elements + map
    k1 columns + sum
    ");
    let text = printed(&check(&b.graph));
    // The logarithm of e to base 2, with which an exponential begins.
    assert_eq!(text.matches("1.442695").count(), 1, "{text}");
}
