//! Random graphs for tests: deterministic, over every primitive that has a gradient, with values of moderate size.

use super::construct::GraphBuilder;
use super::random::draw as random_bits;
use super::sample::draw;
use super::tensor64::Environment;
use super::{Domain, TensorType};
use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::graph::*;
use crate::text::Span;

/// Numbers from a seed.
pub struct Chance {
    seed: u32,
    drawn: u32,
}

impl Chance {
    /// The same numbers for the same seed.
    pub fn new(seed: u32) -> Chance {
        Chance { seed, drawn: 0 }
    }

    /// From 0 below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.drawn += 1;
        random_bits([self.seed, 1], 0, self.drawn) as usize % n
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A graph with an objective, placeholders for all gradients as outputs named `d0`, `d1`, …, and what it starts from.
pub fn generate(seed: u32, operations: usize) -> (Graph, Environment) {
    let mut chance = Chance::new(seed);
    let (mut b, environment) = declarations(&mut chance);
    let mut pool: Vec<NodeId> = (0..3).map(|i| b.param(ParamId(i))).collect();
    pool.push(b.input(InputId(0)));
    for i in 0..operations {
        b.span = Span {
            start: i as u32,
            end: i as u32 + 1,
            ..Span::NOWHERE
        };
        let recent = pool.len().saturating_sub(6);
        let x = match chance.below(3) {
            0 => chance.pick(&pool),
            _ => chance.pick(&pool[recent..]),
        };
        let made = operation(&mut b, &mut chance, &pool, x);
        let size = elements(b.shape(made));
        if size > 0 && size <= 600 {
            pool.push(made);
        }
    }
    let mut objective = b.constant(&[], 0.0);
    for &x in pool.iter().rev().take(4) {
        let all: Vec<usize> = (0..b.shape(x).len()).collect();
        let size = elements(b.shape(x)) as f64;
        let sum = b.sum(x, &all);
        let mean = b.map_constant(MapFunction::Divide, sum, size);
        objective = b.add(objective, mean);
    }
    b.output(OutputKind::Objective, objective);
    for i in 0..3 {
        let gradient = b.gradient(ParamId(i));
        let scaled = b.map_constant(MapFunction::Multiply, gradient, 1.0);
        b.output(OutputKind::Value(format!("d{i}")), scaled);
    }
    (b.finish(), environment)
}

fn declarations(chance: &mut Chance) -> (GraphBuilder, Environment) {
    let mut graph = Graph::default();
    let mut environment = Environment {
        key: [chance.below(1000) as u32, 3],
        ..Environment::default()
    };
    let shapes: [&[usize]; 3] = [&[3, 4], &[4], &[2, 3, 4]];
    for (i, shape) in shapes.iter().enumerate() {
        graph.params.push(ParamDeclaration {
            path: format!("w{i}"),
            shape: shape.to_vec(),
            initialiser: Initialiser::Constant(0.0),
            frozen: false,
            span: Span::NOWHERE,
        });
        let stream = chance.below(1000) as u32;
        let values = draw(&TensorType::real(shape), Domain::Between(-1.2, 1.2), stream);
        environment.params.push(values);
    }
    let ids = Element::Id { bound: 4 };
    for (shape, element) in [(vec![2, 3], Element::Real), (vec![2, 3], ids)] {
        let kind = TensorType { shape, element };
        environment
            .inputs
            .push(draw(&kind, Domain::Between(-1.0, 1.0), chance.below(1000) as u32));
        graph.inputs.push(InputDeclaration {
            name: format!("x{}", graph.inputs.len()),
            shape: kind.shape,
            element,
        });
    }
    (GraphBuilder::new(graph), environment)
}

fn operation(b: &mut GraphBuilder, chance: &mut Chance, pool: &[NodeId], x: NodeId) -> NodeId {
    match chance.below(12) {
        0..3 => unary(b, chance, x),
        3..6 => {
            let y = chance.pick(pool);
            binary(b, chance, x, y)
        }
        6 => reduction(b, chance, x),
        7 => {
            let y = chance.pick(pool);
            contraction(b, chance, x, y)
        }
        8 => gathered(b, x),
        _ => moved(b, chance, x),
    }
}

fn unary(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId) -> NodeId {
    use MapFunction::*;
    let bounded = b.map(HyperbolicTangent, &[x]);
    match chance.below(8) {
        0 => b.map(Exponential, &[bounded]),
        1 => {
            let square = b.multiply(x, x);
            let positive = b.map_constant(Add, square, 0.3);
            b.map(chance.pick(&[SquareRoot, Logarithm]), &[positive])
        }
        2 => b.map_constant(Power, bounded, chance.pick(&[0.0, 1.0, 2.0, 3.0])),
        3 => {
            let function = chance.pick(&[Add, Subtract, Multiply, Divide]);
            b.map_constant(function, x, chance.pick(&[0.0, 1.0, 2.0, 0.7, -1.0].as_slice()[1..]))
        }
        4 => {
            let negated = b.map(Negate, &[x]);
            b.map(chance.pick(&[Negate, Absolute, Sine]), &[negated])
        }
        _ => b.map(chance.pick(&[Sine, Cosine, Erf, HyperbolicTangent, Negate]), &[x]),
    }
}

/// Repeats `y` along the axes of `x` that fit it, sums those that don't, and combines.
fn binary(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId, y: NodeId) -> NodeId {
    use MapFunction::*;
    let (shape, own) = (b.shape(x).to_vec(), b.shape(y).to_vec());
    let shared = shape
        .iter()
        .rev()
        .zip(own.iter().rev())
        .take_while(|(p, q)| p == q)
        .count();
    let reduced: Vec<usize> = (0..own.len() - shared).collect();
    let y = b.sum(y, &reduced);
    let axes: Vec<usize> = (shape.len() - shared..shape.len()).collect();
    let y = b.broadcast(y, &shape, &axes);
    match chance.below(7) {
        0 => b.add(x, y),
        1 => b.subtract(x, y),
        2 => {
            let square = b.multiply(y, y);
            let positive = b.map_constant(Add, square, 0.5);
            b.divide(x, positive)
        }
        3 => b.map(chance.pick(&[Minimum, Maximum]), &[x, y]),
        4 => {
            let condition = b.map(chance.pick(&[Less, LessEqual]), &[x, y]);
            let product = b.multiply(x, y);
            b.select(condition, product, y)
        }
        5 => {
            let draws = b.random(&shape, chance.below(3) as u32);
            let product = b.multiply(x, draws);
            b.add(product, y)
        }
        _ => b.multiply(x, y),
    }
}

fn reduction(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId) -> NodeId {
    let rank = b.shape(x).len();
    let axes: Vec<usize> = (0..rank).filter(|_| chance.below(2) == 0).collect();
    let functions = [
        ReduceFunction::Sum,
        ReduceFunction::Maximum,
        ReduceFunction::Minimum,
        ReduceFunction::Product,
    ];
    let function = chance.pick(&functions);
    // Products stay near 1.
    let x = match function {
        ReduceFunction::Product => {
            let small = b.map(MapFunction::HyperbolicTangent, &[x]);
            b.map_constant(MapFunction::Add, small, 1.1)
        }
        _ => x,
    };
    let reduced = b.reduce(function, x, &axes);
    b.map(MapFunction::HyperbolicTangent, &[reduced])
}

/// The last axes run together if they are as long, so do some leading ones.
fn contraction(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId, y: NodeId) -> NodeId {
    let (x_shape, y_shape) = (b.shape(x).to_vec(), b.shape(y).to_vec());
    let x_labels: Vec<u8> = (0..x_shape.len() as u8).collect();
    let mut y_labels: Vec<u8> = (0..y_shape.len() as u8).map(|i| 20 + i).collect();
    for (i, &size) in y_shape.iter().enumerate() {
        let partner = x_labels
            .iter()
            .rev()
            .find(|&&l| x_shape[l as usize] == size && !y_labels.contains(&l));
        if let Some(&label) = partner {
            y_labels[i] = label;
        }
    }
    let mut out: Vec<u8> = vec![];
    for &label in x_labels.iter().chain(&y_labels) {
        let shared = x_labels.contains(&label) && y_labels.contains(&label);
        let kept = if shared {
            chance.below(3) == 0
        } else {
            chance.below(5) > 0
        };
        if kept && !out.contains(&label) {
            out.push(label);
        }
    }
    if chance.below(2) == 0 {
        out.reverse();
    }
    let product = b.contract(x, &x_labels, y, &y_labels, &out);
    b.map(MapFunction::HyperbolicTangent, &[product])
}

/// An embedding, or one element of each row.
fn gathered(b: &mut GraphBuilder, x: NodeId) -> NodeId {
    let ids = b.input(InputId(1));
    let shape = b.shape(x).to_vec();
    let at = |axes: &[usize]| GatherPosition::Ids {
        operand: 1,
        axes: axes.to_vec(),
    };
    match shape.as_slice() {
        [2, 3, 4] => {
            let positions = vec![GatherPosition::Axis(0), GatherPosition::Axis(1), at(&[0, 1])];
            b.gather(x, positions, &[ids], &[2, 3])
        }
        [4, rest @ ..] => {
            let result = [&[2, 3], rest].concat();
            let plain = (0..rest.len()).map(|axis| GatherPosition::Axis(axis + 2));
            let positions = std::iter::once(at(&[0, 1])).chain(plain).collect();
            b.gather(x, positions, &[ids], &result)
        }
        _ => b.map(MapFunction::Sine, &[x]),
    }
}

fn moved(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId) -> NodeId {
    let shape = b.shape(x).to_vec();
    if shape.is_empty() {
        return b.fill(x, &[2, 3]);
    }
    let axis = chance.below(shape.len());
    let size = shape[axis];
    match chance.below(8) {
        0 => {
            let mut order: Vec<usize> = (0..shape.len()).collect();
            order.rotate_left(axis);
            b.permute(x, &order)
        }
        1 if size.is_multiple_of(2) => b.split(x, axis, &[2, size / 2]),
        2 if axis > 0 => b.join(x, axis - 1..axis + 1),
        3 if size > 1 => b.slice(x, axis, 1, size - 1),
        4 => b.pad(x, axis, 1, 2, 0.25),
        5 => {
            let all: Vec<usize> = (0..shape.len()).filter(|&a| a != axis).collect();
            let reduced = b.sum(x, &[axis]);
            b.broadcast(reduced, &shape, &all)
        }
        6 => window(b, chance, x, axis),
        _ => {
            let mut positions: Vec<Position> = (0..shape.len()).map(Position::axis).collect();
            positions[axis] = Affine::axis(axis)
                .times(-1)
                .plus(&Affine::constant(size as i64 - 1))
                .into();
            b.view(x, &shape, positions, vec![], 0.0)
        }
    }
}

fn window(b: &mut GraphBuilder, chance: &mut Chance, x: NodeId, axis: usize) -> NodeId {
    let mut shape = b.shape(x).to_vec();
    let size = shape[axis];
    let stride = 1 + chance.below(2);
    let last = shape.len();
    shape[axis] = size.div_ceil(stride);
    shape.push(3);
    let at = Affine::axis(axis)
        .times(stride as i64)
        .plus(&Affine::axis(last))
        .plus(&Affine::constant(-1));
    let mut positions: Vec<Position> = (0..last).map(Position::axis).collect();
    positions[axis] = at.into();
    let guard = Guard::Within {
        of: positions[axis].clone(),
        low: 0,
        high: size as i64,
    };
    b.view(x, &shape, positions, vec![guard], 0.0)
}
