//! The graphs that every framework fuses by hand.

use super::build::Build;
use super::{calls, check};
use crate::ir::affine::Position;
use crate::ir::graph::*;
use crate::ir::kernel::KernelBody;
use crate::ops::construct::GraphBuilder;
use crate::ops::reverse::differentiate;
use crate::ops::scan::samples;
use crate::ops::scan_memory::remembering;
use insta::assert_snapshot;

#[test]
fn softmax_is_one_kernel() {
    let mut b = Build::default();
    let x = b.input(&[3, 4, 37]);
    let y = b.softmax(x);
    b.output(y);
    assert_snapshot!(calls(&check(&b.graph)), @"k0 rows + max + sum + map");
}

#[test]
fn layer_norm_is_one_kernel() {
    let mut b = Build::default();
    let x = b.input(&[3, 4, 37]);
    let (gain, shift) = (b.param(&[37]), b.param(&[37]));
    let (y, mean, reciprocal) = b.layer_norm(x, gain, shift);
    b.output(y);
    b.output(mean);
    b.output(reciprocal);
    assert_snapshot!(calls(&check(&b.graph)), @"k0 rows + sum + map + sum + map");
}

#[test]
fn gelu_and_the_bias_are_an_epilogue() {
    let mut b = Build::default();
    let x = b.input(&[3, 8, 32]);
    let (w, bias) = (b.param(&[32, 48]), b.param(&[48]));
    let y = b.contract(x, w, "bti,io->bto");
    let bias = b.spread(bias, &[3, 8, 48], &[2]);
    let y = b.plus(y, bias);
    let y = b.gelu(y);
    b.output(y);
    assert_snapshot!(calls(&check(&b.graph)), @"k0 product + map");
}

#[test]
fn cross_entropy_with_its_gradient_is_one_kernel_and_a_sum() {
    let mut b = Build::default();
    let (z, target) = (b.input(&[6, 50]), b.ids(&[6], 50));
    let top = b.reduce(ReduceFunction::Maximum, z, &[1]);
    let wide = b.spread(top, &[6, 50], &[0]);
    let centred = b.minus(z, wide);
    let e = b.map(MapFunction::Exponential, &[centred]);
    let total = b.sum(e, &[1]);
    let log = b.map(MapFunction::Logarithm, &[total]);
    let positions = || {
        let ids = GatherPosition::Ids {
            operand: 1,
            axes: vec![0],
        };
        vec![GatherPosition::Axis(0), ids]
    };
    let at = b.add(Op::Gather { positions: positions() }, &[z, target], &[6], Element::Real);
    let nll = b.plus(top, log);
    let nll = b.minus(nll, at);
    let loss = b.sum(nll, &[0]);
    let loss = b.scaled(loss, 1.0 / 6.0);
    let d = b.constant(&[6], 1.0 / 6.0);
    let minus = b.map(MapFunction::Negate, &[d]);
    let at = b.add(
        Op::ScatterAdd { positions: positions() },
        &[minus, target],
        &[6, 50],
        Element::Real,
    );
    let share = b.over(d, total);
    let share = b.spread(share, &[6, 50], &[0]);
    let dz = b.times(e, share);
    let dz = b.plus(dz, at);
    b.output(loss);
    b.output(dz);
    assert_snapshot!(calls(&check(&b.graph)), @"
    k0 rows + max + sum + map
    k1 rows + sum + map
    ");
}

#[test]
fn adamw_is_one_kernel_in_place() {
    let mut b = Build::default();
    let shape = [40, 30];
    let (p, g) = (b.param(&shape), b.input(&shape));
    let (m, v, rate) = (b.state(&shape), b.state(&shape), b.number());
    let (old, new) = (b.scaled(m, 0.9), b.scaled(g, 0.1));
    let m = b.plus(old, new);
    let square = b.times(g, g);
    let (old, new) = (b.times(v, v), b.scaled(square, 0.01));
    let v = b.plus(old, new);
    let root = b.map(MapFunction::SquareRoot, &[v]);
    let root = b.shifted(root, 1e-3);
    let step = b.over(m, root);
    let rate = b.spread(rate, &shape, &[]);
    let step = b.times(step, rate);
    let new = b.minus(p, step);
    let update = |b: &mut Build, kind, node| b.graph.outputs.push(Output { kind, node });
    update(&mut b, OutputKind::StateUpdate(StateId(0)), m);
    update(&mut b, OutputKind::StateUpdate(StateId(1)), v);
    update(&mut b, OutputKind::ParamUpdate(ParamId(0)), new);
    assert_snapshot!(calls(&check(&b.graph)), @"k0 elements + map");
}

#[test]
fn attention_is_two_products_and_a_row_kernel() {
    let mut b = Build::default();
    let (batch, time, heads, size) = (2, 18, 2, 24);
    let width = heads * size;
    let x = b.input(&[batch, time, width]);
    let mut split = vec![];
    for _ in 0..3 {
        let w = b.param(&[width, width]);
        let y = b.contract(x, w, "bti,io->bto");
        let y = b.reshaped(y, &[batch, time, heads, size]);
        split.push(b.spread(y, &[batch, heads, time, size], &[0, 2, 1, 3]));
    }
    let score = b.contract(split[0], split[1], "bhte,bhse->bhts");
    let score = b.scaled(score, 1.0 / (size as f64).sqrt());
    let shape = [batch, heads, time, time];
    let (t, s) = (b.index(&shape, 2), b.index(&shape, 3));
    let causal = b.map(MapFunction::LessEqual, &[s, t]);
    let never = b.constant(&shape, f64::NEG_INFINITY);
    let score = b.map(MapFunction::Where, &[causal, score, never]);
    let p = b.softmax(score);
    let y = b.contract(p, split[2], "bhts,bhse->bhte");
    let y = b.spread(y, &[batch, time, heads, size], &[0, 2, 1, 3]);
    let y = b.reshaped(y, &[batch, time, width]);
    let w = b.param(&[width, width]);
    let y = b.contract(y, w, "bti,io->bto");
    let y = b.plus(x, y);
    b.output(y);
    assert_snapshot!(calls(&check(&b.graph)), @"
    k0 product
    k0 product
    k0 product
    k1 product + map
    k2 rows + max + sum + map
    k3 product + view
    k4 product + map
    ");
}

/// An order along the last axis and along another one, equal elements among them, and a table read in that order.
#[test]
fn a_sort_counts() {
    for (shape, axis) in [(&[5, 9][..], 1), (&[6, 2, 3], 0)] {
        let b = Build::default();
        let mut builder = GraphBuilder::new(b.graph);
        builder.declarations().inputs.push(InputDeclaration {
            name: "x".into(),
            shape: shape.to_vec(),
            element: Element::Real,
        });
        let x = builder.input(InputId(0));
        // Rounded to halves, so that some are equal.
        let doubled = builder.map_constant(MapFunction::Multiply, x, 2.0);
        let x = builder.map(MapFunction::Floor, &[doubled]);
        let order = builder.sort(x, axis);
        builder.output(OutputKind::Value("order".into()), order);
        let positions = (0..shape.len()).map(|a| match a == axis {
            true => GatherPosition::Ids {
                operand: 1,
                axes: (0..shape.len()).collect(),
            },
            false => GatherPosition::Axis(a),
        });
        let sorted = builder.gather(x, positions.collect(), &[order], shape);
        builder.output(OutputKind::Value("sorted".into()), sorted);
        check(&builder.finish());
    }
}

/// Every sample of a scan, forwards and with its gradient, is a loop of kernels that gives what the oracle gives. What is
/// wide enough multiplies with weights that are packed once, for each direction.
#[test]
fn scans_are_loops_of_kernels() {
    let narrow = samples(2, 3).into_iter().map(|s| (s, 0));
    let wide = samples(20, 40).into_iter().map(|s| (s, 2));
    for (sample, packed) in narrow.chain(wide) {
        let mut b = Build::default();
        let operands: Vec<NodeId> = sample.operands.iter().map(|(t, _)| b.input(&t.shape)).collect();
        let mut builder = GraphBuilder::new(b.graph);
        let Op::Scan(scan) = &sample.op else {
            unreachable!("a sample of a scan")
        };
        let scan = remembering(scan);
        let result = builder.scan(&scan, &operands);
        let mut objective = builder.constant(&[], 0.0);
        for output in 0..scan.body.outputs.len() {
            let kept = builder.scanned(result, &scan, output, false);
            let shape = builder.shape(kept).to_vec();
            let weights = builder.index(&shape, 0);
            let weighted = builder.multiply(kept, weights);
            let sum = builder.sum(weighted, &(0..shape.len()).collect::<Vec<_>>());
            objective = builder.add(objective, sum);
            builder.output(OutputKind::Value(format!("kept {output}")), kept);
        }
        let one = builder.constant(&[], 1.0);
        let gradients = differentiate(&mut builder, &[(objective, one)], &operands);
        for (n, gradient) in gradients.into_iter().enumerate() {
            let gradient = gradient.unwrap_or_else(|| panic!("operand {n} has a gradient"));
            builder.output(OutputKind::Value(format!("gradient {n}")), gradient);
        }
        let schedule = check(&builder.finish());
        let rounds: Vec<usize> = schedule.loops.iter().map(|l| l.rounds).collect();
        assert_eq!(rounds, [4, 4]);
        let packs = schedule.calls.iter().filter(|call| call.name == "scan: pack");
        assert_eq!(packs.count(), packed, "{}", calls(&schedule));
    }
}

/// Where a sum runs along axes that lie in another order in each operand, one is copied: with the result's last axis last,
/// so that neither the copy nor the product moves along rows for each element.
#[test]
fn a_copied_operand_has_its_columns_side_by_side() {
    let mut b = Build::default();
    let (x, y) = (b.input(&[16, 40, 20]), b.input(&[40, 16, 30]));
    let turned = Op::View {
        positions: vec![Position::axis(1), Position::axis(0), Position::axis(2)],
        guards: vec![],
        fill: 0.0,
    };
    let turned = b.add(turned, &[y], &[16, 40, 30], Element::Real);
    let product = b.contract(x, turned, "abc,abd->dc");
    b.output(product);
    let schedule = check(&b.graph);
    assert_snapshot!(calls(&schedule), @r"
    k0 elements + view
    k1 product
    ");
    let product = schedule.kernels.iter().find_map(|kernel| match &kernel.body {
        KernelBody::Product(product) => Some(product),
        _ => None,
    });
    assert_eq!(product.map(|p| (p.b.row_stride, p.b.column_stride)), Some((20, 1)));
}

#[test]
fn sums_over_the_same_columns_are_one_kernel() {
    let mut b = Build::default();
    let (x, w) = (b.input(&[40, 24]), b.input(&[24, 24]));
    let dy = b.contract(x, w, "ti,io->to");
    let scaled = b.times(x, dy);
    let sums = [b.sum(dy, &[0]), b.sum(scaled, &[0]), b.sum(dy, &[1])];
    sums.into_iter().for_each(|sum| b.output(sum));
    assert_snapshot!(calls(&check(&b.graph)), @r"
    k0 product
    k1 columns + sum
    k2 rows + sum
    ");
}

#[test]
fn a_sum_that_needs_another_one_is_behind_it() {
    let mut b = Build::default();
    let (x, w) = (b.input(&[40, 24]), b.input(&[24, 24]));
    let y = b.contract(x, w, "ti,io->to");
    let sum = b.sum(y, &[0]);
    let wide = b.spread(sum, &[40, 24], &[1]);
    let moved = b.minus(y, wide);
    let squared = b.times(moved, moved);
    let squares = b.sum(squared, &[0]);
    b.output(squares);
    assert_snapshot!(calls(&check(&b.graph)), @r"
    k0 product
    k1 columns + sum
    k2 columns + sum
    ");
}
