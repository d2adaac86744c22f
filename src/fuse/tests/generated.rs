//! Graphs that nobody thought of: random primitives on small tensors, each schedule against the float64 meaning.

use super::build::Build;
use super::{check_to, given, run};
use crate::fuse::fused;
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::experiment::Precision;
use crate::ir::graph::*;
use crate::ir::kernel::Schedule;
use crate::plan::planned;

/// A small generator of numbers, the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn shape(&mut self) -> Vec<usize> {
        let rank = 1 + self.below(3);
        (0..rank).map(|_| self.pick(&[1, 2, 3, 4, 6, 8, 17])).collect()
    }
}

fn graph(seed: u64) -> Graph {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234);
    let mut b = Build::default();
    let mut nodes: Vec<NodeId> = vec![];
    for _ in 0..2 + dice.below(2) {
        let shape = dice.shape();
        let node = if dice.below(2) == 0 {
            b.input(&shape)
        } else {
            b.param(&shape)
        };
        nodes.push(node);
    }
    let steps = 4 + dice.below(14);
    while nodes.len() < steps {
        let x = dice.pick(&nodes);
        let x = if dice.below(3) == 0 { x } else { nodes[nodes.len() - 1] };
        let y = step(&mut b, &mut dice, x, &nodes);
        if elements(&b.shape(y)) <= 4000 {
            nodes.push(y);
        }
    }
    let last = nodes[nodes.len() - 1];
    b.output(last);
    for _ in 0..dice.below(3) {
        let node = dice.pick(&nodes);
        b.output(node);
    }
    for param in 0..b.graph.params.len() {
        let shape = b.graph.params[param].shape.clone();
        let fitting: Vec<NodeId> = nodes.iter().copied().filter(|&n| b.shape(n) == shape).collect();
        if dice.below(2) == 0 {
            let node = dice.pick(&fitting);
            let kind = OutputKind::ParamUpdate(ParamId(param as u32));
            b.graph.outputs.push(Output { kind, node });
        }
    }
    b.graph
}

fn step(b: &mut Build, dice: &mut Dice, x: NodeId, nodes: &[NodeId]) -> NodeId {
    let shape = b.shape(x);
    match dice.below(16) {
        0 | 1 => {
            let function = dice.pick(&[MapFunction::HyperbolicTangent, MapFunction::Negate, MapFunction::Sine]);
            b.map(function, &[x])
        }
        2..=5 => binary(b, dice, x, nodes),
        6 | 7 if !shape.is_empty() => {
            let axes: Vec<usize> = (0..shape.len()).filter(|_| dice.below(2) == 0).collect();
            let axes = if axes.is_empty() {
                vec![dice.below(shape.len())]
            } else {
                axes
            };
            let function = dice.pick(&[ReduceFunction::Sum, ReduceFunction::Maximum, ReduceFunction::Minimum]);
            let y = b.reduce(function, x, &axes);
            b.scaled(y, 0.25)
        }
        8 if shape.len() > 1 => {
            let mut order: Vec<usize> = (0..shape.len()).collect();
            let turn = 1 + dice.below(shape.len() - 1);
            order.rotate_left(turn);
            let mut sizes = vec![0; shape.len()];
            for (axis, &at) in order.iter().enumerate() {
                sizes[at] = shape[axis];
            }
            b.spread(x, &sizes, &order)
        }
        9 => reshape(b, dice, x),
        10 => window(b, dice, x),
        11 if !shape.is_empty() => {
            let softened = b.map(MapFunction::HyperbolicTangent, &[x]);
            b.softmax(softened)
        }
        12 => contraction(b, dice, x, nodes),
        13 if !shape.is_empty() => gather(b, dice, x),
        14 if !shape.is_empty() => scatter(b, dice, x),
        15 => {
            let drawn = b.add(Op::Random { stream: 3 }, &[], &shape, Element::Real);
            let half = b.constant(&shape, 0.5);
            let kept = b.map(MapFunction::Less, &[drawn, half]);
            let zero = b.constant(&shape, 0.0);
            b.map(MapFunction::Where, &[kept, x, zero])
        }
        _ => b.shifted(x, 0.5),
    }
}

fn binary(b: &mut Build, dice: &mut Dice, x: NodeId, nodes: &[NodeId]) -> NodeId {
    let shape = b.shape(x);
    let y = dice.pick(nodes);
    let other = b.shape(y);
    let function = dice.pick(&[
        MapFunction::Add,
        MapFunction::Multiply,
        MapFunction::Subtract,
        MapFunction::Maximum,
    ]);
    if other == shape {
        return b.map(function, &[x, y]);
    }
    // Repeat the smaller one along the axes that fit.
    let mut axes = vec![];
    let mut from = 0;
    for &size in &other {
        match (from..shape.len()).find(|&a| shape[a] == size) {
            Some(a) => {
                axes.push(a);
                from = a + 1;
            }
            None => return b.map(function, &[x, x]),
        }
    }
    let wide = b.spread(y, &shape, &axes);
    b.map(function, &[x, wide])
}

fn reshape(b: &mut Build, dice: &mut Dice, x: NodeId) -> NodeId {
    let shape = b.shape(x);
    let total = elements(&shape);
    let mut rest = total;
    let mut new = vec![];
    while rest > 1 && new.len() < 3 {
        let divisors: Vec<usize> = (1..=rest).filter(|d| rest.is_multiple_of(*d)).collect();
        let size = dice.pick(&divisors);
        new.push(size);
        rest /= size;
    }
    new.push(rest);
    b.reshaped(x, &new)
}

/// A shifted, padded, strided, reversed or repeated reading of the last axis.
fn window(b: &mut Build, dice: &mut Dice, x: NodeId) -> NodeId {
    let mut shape = b.shape(x);
    let Some(last) = shape.len().checked_sub(1) else {
        return x;
    };
    let size = shape[last] as i64;
    let mut positions: Vec<Position> = (0..last).map(Position::axis).collect();
    let axis = Affine::axis(last);
    match dice.below(4) {
        0 => {
            let at = axis.plus(&Affine::constant(-1));
            positions.push(at.clone().into());
            shape[last] += 2;
            let guard = Guard::Within {
                of: at.into(),
                low: 0,
                high: size,
            };
            b.guarded(x, &shape, positions, vec![guard], 0.5)
        }
        1 => {
            positions.push(axis.times(-1).plus(&Affine::constant(size - 1)).into());
            b.view(x, &shape, positions)
        }
        2 => {
            let digit = Digit {
                coefficient: 1,
                of: axis,
                divide: 2,
                modulo: None,
            };
            shape[last] *= 2;
            positions.push(Position {
                affine: Affine::default(),
                digits: vec![digit],
            });
            b.view(x, &shape, positions)
        }
        _ if size >= 3 => {
            shape[last] -= 2;
            shape.push(3);
            positions.push(axis.plus(&Affine::axis(last + 1)).into());
            b.view(x, &shape, positions)
        }
        _ => x,
    }
}

fn contraction(b: &mut Build, dice: &mut Dice, x: NodeId, nodes: &[NodeId]) -> NodeId {
    let y = dice.pick(nodes);
    let (left, right) = (b.shape(x), b.shape(y));
    let la: String = "abcdefg"[..left.len()].into();
    let mut fresh = "uvwxyz".chars();
    let mut lb = String::new();
    for &size in &right {
        let same = la
            .chars()
            .enumerate()
            .find(|(at, l)| left[*at] == size && !lb.contains(*l) && dice.below(3) > 0);
        lb.push(same.map_or_else(|| fresh.next().unwrap(), |s| s.1));
    }
    let mut out: String = la
        .chars()
        .chain(lb.chars().filter(|l| !la.contains(*l)))
        .filter(|_| dice.below(3) > 0)
        .collect();
    if dice.below(2) == 0 {
        out = out.chars().rev().collect();
    }
    let y = b.contract(x, y, &format!("{la},{lb}->{out}"));
    b.map(MapFunction::HyperbolicTangent, &[y])
}

fn gather(b: &mut Build, dice: &mut Dice, x: NodeId) -> NodeId {
    let shape = b.shape(x);
    let axis = dice.below(shape.len());
    let ids = b.ids(&[3], shape[axis]);
    let mut positions: Vec<GatherPosition> = (0..shape.len()).map(GatherPosition::Axis).collect();
    positions[axis] = GatherPosition::Ids {
        operand: 1,
        axes: vec![axis],
    };
    let mut result = shape.clone();
    result[axis] = 3;
    b.add(Op::Gather { positions }, &[x, ids], &result, Element::Real)
}

fn scatter(b: &mut Build, dice: &mut Dice, x: NodeId) -> NodeId {
    let shape = b.shape(x);
    let axis = dice.below(shape.len());
    let ids = b.ids(&[shape[axis]], 5);
    let mut positions: Vec<GatherPosition> = (0..shape.len()).map(GatherPosition::Axis).collect();
    let ids_at = GatherPosition::Ids {
        operand: 1,
        axes: vec![axis],
    };
    let mut result = shape.clone();
    if dice.below(2) == 0 {
        positions[axis] = ids_at;
        result[axis] = 5;
    } else {
        positions.insert(axis, ids_at);
        result.insert(axis, 5);
    }
    b.add(Op::ScatterAdd { positions }, &[x, ids], &result, Element::Real)
}

#[test]
fn generated_graphs_keep_their_meaning() {
    for seed in 0..150 {
        let graph = graph(seed);
        let result = std::panic::catch_unwind(|| check_to(&graph, 3e-5));
        if result.is_err() {
            panic!("seed {seed}\n{}", graph.listing(None));
        }
    }
}

/// A product with several labels of each kind, which stand in any order in both operands, in memory and in the result.
fn labelled(seed: u64) -> Graph {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5678);
    let mut b = Build::default();
    // Batch, rows, columns, summed: in the first operand, in the second one, in the result.
    let kinds = [
        (true, true, true),
        (true, false, true),
        (false, true, true),
        (true, true, false),
    ];
    let labels: Vec<(u8, usize, usize)> = (0..4 + dice.below(4))
        .map(|n| (b'a' + n as u8, n % 4, dice.pick(&[1, 2, 3, 4, 5, 16])))
        .collect();
    let mut of = |member: fn((bool, bool, bool)) -> bool| {
        let mut list: Vec<(u8, usize)> = labels
            .iter()
            .filter(|l| member(kinds[l.1]))
            .map(|l| (l.0, l.2))
            .collect();
        for at in (1..list.len()).rev() {
            list.swap(at, dice.below(at + 1));
        }
        list
    };
    let (first, second, out) = (of(|k| k.0), of(|k| k.1), of(|k| k.2));
    let text = |list: &[(u8, usize)]| list.iter().map(|l| char::from(l.0)).collect::<String>();
    let equation = format!("{},{}->{}", text(&first), text(&second), text(&out));
    let mut operand = |list: &[(u8, usize)]| {
        let shape: Vec<usize> = list.iter().map(|l| l.1).collect();
        let mut order: Vec<usize> = (0..shape.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, dice.below(at + 1));
        }
        let stored: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let x = b.input(&stored);
        let x = if dice.below(2) == 0 { x } else { b.scaled(x, 0.5) };
        b.spread(x, &shape, &order)
    };
    let (x, y) = (operand(&first), operand(&second));
    let product = b.contract(x, y, &equation);
    b.output(product);
    b.graph
}

#[test]
fn products_may_have_their_labels_in_any_order() {
    for seed in 0..200 {
        let graph = labelled(seed);
        let result = std::panic::catch_unwind(|| check_to(&graph, 1e-5));
        assert!(result.is_ok(), "seed {seed}\n{}", graph.listing(None));
    }
}

/// Products of what maps, views, gathers, softmax and other products give, some of them of both at once.
fn products(seed: u64) -> Graph {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x4321);
    let mut b = Build::default();
    let mut x = b.input(&[24, 17]);
    for _ in 0..2 + dice.below(3) {
        let (rows, width) = (b.shape(x)[0], b.shape(x)[1]);
        x = match dice.below(6) {
            0 => {
                let scores = b.contract(x, x, "ab,cb->ac");
                let weights = b.softmax(scores);
                b.contract(weights, x, "ac,cb->ab")
            }
            1 => gather(&mut b, &mut dice, x),
            2 => {
                let order = [1, 0];
                b.spread(x, &[width, rows], &order)
            }
            3 => window(&mut b, &mut dice, x),
            _ => x,
        };
        while b.shape(x).len() > 2 || b.shape(x)[0] < 16 {
            let total = elements(&b.shape(x));
            let repeated = b.spread(
                x,
                &[&b.shape(x)[..], &[16]].concat(),
                &(0..b.shape(x).len()).collect::<Vec<_>>(),
            );
            x = b.reshaped(repeated, &[16, total]);
        }
        let width = b.shape(x)[1];
        let columns = dice.pick(&[16, 33, 40]);
        x = match dice.below(2) {
            0 => {
                let w = b.param(&[width, columns]);
                b.contract(x, w, "ab,bc->ac")
            }
            _ => {
                let w = b.param(&[columns, width]);
                b.contract(x, w, "ab,cb->ac")
            }
        };
        x = b.scaled(x, 0.25);
        x = match dice.below(2) {
            0 => b.map(MapFunction::HyperbolicTangent, &[x]),
            _ => x,
        };
        if dice.below(2) == 0 {
            let sum = b.sum(x, &[0]);
            b.output(sum);
        }
    }
    let squares = b.contract(x, x, "ab,ac->bc");
    b.output(squares);
    b.graph
}

/// Rounded numbers stored in 16 bits against the same kernels with all in 32: every bit of every output.
#[test]
fn storage_in_16_bits_changes_no_result() {
    let mut tensors = 0;
    for seed in 0..60 {
        for precision in [Precision::Bf16, Precision::F16] {
            let graph = crate::precision::rounded(&products(seed), precision);
            let given = given(&graph);
            let [short, long] = [true, false].map(|in_16_bits| fused(&graph, in_16_bits, usize::MAX));
            tensors += short.tensors.iter().filter(|t| t.storage.stride() == 2).count();
            assert!(long.tensors.iter().all(|t| t.storage.stride() == 4));
            let [found, wanted] = [&short, &long].map(|schedule| run(schedule, &given, [12345, 67890]));
            let bits = |values: &[Vec<f64>]| values.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                bits(&found),
                bits(&wanted),
                "seed {seed}, {precision:?}\n{}",
                graph.listing(None)
            );
        }
    }
    assert!(tensors > 500, "{tensors} tensors of 16 bits");
}

/// Behind a loss, products of what the model has stored: they compute it again where they can, with every bit as before.
#[test]
fn what_is_computed_again_has_the_same_bits() {
    let mut fewer = 0;
    for seed in 0..60 {
        let mut b = Build { graph: products(seed) };
        let model: Vec<NodeId> = b.graph.ids().collect();
        let node = model[model.len() - 1];
        let kind = OutputKind::Loss;
        b.graph.outputs.push(Output { kind, node });
        for node in model {
            if b.shape(node).len() == 2 && matches!(b.graph.node(node).op, Op::Map(_)) {
                let squares = b.contract(node, node, "ab,ac->bc");
                b.output(squares);
            }
        }
        let given = given(&b.graph);
        let [kept, again] = [usize::MAX, 0].map(|kept_min| fused(&b.graph, true, kept_min));
        let bytes = |schedule: &Schedule| planned(schedule, &b.graph, None, 1).transient_bytes;
        fewer += usize::from(bytes(&again) < bytes(&kept));
        let [wanted, found] = [&kept, &again].map(|schedule| run(schedule, &given, [12345, 67890]));
        let bits = |values: &[Vec<f64>]| values.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(&wanted), "seed {seed}\n{}", b.graph.listing(None));
    }
    assert!(fewer > 15, "{fewer} plans are smaller");
}
