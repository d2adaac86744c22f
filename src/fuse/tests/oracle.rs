//! The float64 meaning of a graph, as plainly as it can be written.

use crate::ir::graph::*;
use crate::ir::kernel::Storage;
use crate::ir::scan::Scan;

/// Values of inputs, parameters, states and step numbers.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub inputs: Vec<Vec<f64>>,
    pub params: Vec<Vec<f64>>,
    pub states: Vec<Vec<f64>>,
    pub numbers: Vec<f64>,
}

/// The value of every node; random draws from `draw(stream, element)`.
pub fn evaluated(graph: &Graph, given: &Given, draw: &dyn Fn(u32, usize) -> f64) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![];
    for id in graph.ids() {
        let node = graph.node(id);
        let of = |i: usize| &values[node.operands[i].0 as usize];
        let shape_of = |i: usize| graph.node(node.operands[i]).shape.as_slice();
        let size = elements(&node.shape);
        let value: Vec<f64> = match &node.op {
            Op::Input(i) => given.inputs[i.0 as usize].clone(),
            Op::Param(i) => given.params[i.0 as usize].clone(),
            Op::State(i) => given.states[i.0 as usize].clone(),
            Op::StepNumber(i) => vec![given.numbers[i.0 as usize]],
            Op::Constant(c) => vec![*c; size],
            Op::Index { axis } => (0..size).map(|e| index(&node.shape, e)[*axis] as f64).collect(),
            Op::Random { stream } => (0..size).map(|e| draw(*stream, e)).collect(),
            Op::Stop => of(0).clone(),
            Op::Map(f) => (0..size).map(|e| map(*f, &|i| of(i)[e])).collect(),
            Op::Reduce { function, axes } => {
                let mut result = vec![neutral(*function); size];
                for (e, x) in of(0).iter().enumerate() {
                    let at = index(shape_of(0), e);
                    let kept: Vec<usize> = (0..at.len()).filter(|a| !axes.contains(a)).map(|a| at[a]).collect();
                    let to = element(&node.shape, &kept);
                    result[to] = combined(*function, result[to], *x);
                }
                result
            }
            Op::Contract { a, b, out } => contract(node, (a, shape_of(0), of(0)), (b, shape_of(1), of(1)), out),
            Op::View {
                positions,
                guards,
                fill,
            } => (0..size)
                .map(|e| {
                    let at = index(&node.shape, e);
                    if !guards.iter().all(|g| g.holds(&at)) {
                        return *fill;
                    }
                    let there: Vec<usize> = positions.iter().map(|p| p.at(&at) as usize).collect();
                    of(0)[element(shape_of(0), &there)]
                })
                .collect(),
            Op::Gather { positions } => (0..size)
                .map(|e| of(0)[table_element(graph, node, positions, &index(&node.shape, e), &values, shape_of(0))])
                .collect(),
            Op::ScatterAdd { positions } => {
                let mut table = vec![0.0; size];
                for (e, x) in of(0).iter().enumerate() {
                    let at = index(shape_of(0), e);
                    table[table_element(graph, node, positions, &at, &values, &node.shape)] += x;
                }
                table
            }
            Op::Sort { axis } => (0..size)
                .map(|e| {
                    let mut at = index(&node.shape, e);
                    let rank = at[*axis];
                    let line: Vec<f64> = (0..node.shape[*axis])
                        .map(|i| {
                            at[*axis] = i;
                            of(0)[element(&node.shape, &at)]
                        })
                        .collect();
                    let before = |i: usize| {
                        let first = |j: usize| line[j] < line[i] || line[j] == line[i] && j < i;
                        (0..line.len()).filter(|&j| first(j)).count()
                    };
                    (0..line.len()).find(|&i| before(i) == rank).unwrap() as f64
                })
                .collect(),
            Op::Scan(scan) => walked(scan, &node.operands, &values),
            Op::Gradient(_) => unreachable!("grad replaces it"),
        };
        values.push(value);
    }
    values
}

/// A scan's result, step by step.
fn walked(scan: &Scan, operands: &[NodeId], values: &[Vec<f64>]) -> Vec<f64> {
    let (stacks, size) = scan.stacks();
    let mut result = vec![0.0; size];
    let mut given = Given {
        inputs: operands.iter().map(|o| values[o.0 as usize].clone()).collect(),
        ..Given::default()
    };
    for (stack, start) in stacks.iter().zip(&given.inputs).take(scan.carries) {
        result[stack.offset..stack.offset + start.len()].copy_from_slice(start);
    }
    for step in 0..scan.steps {
        let place = scan.place(step);
        for n in scan.carries..scan.carries + scan.slices {
            let sequence = &values[operands[n].0 as usize];
            let part = sequence.len() / scan.steps;
            given.inputs[n] = sequence[place * part..(place + 1) * part].to_vec();
        }
        let inside = evaluated(&scan.body, &given, &|_, _| unreachable!("a scan does not draw"));
        for (n, (stack, output)) in stacks.iter().zip(&scan.body.outputs).enumerate() {
            let value = &inside[output.node.0 as usize];
            let slot = if n < scan.carries { step + 1 } else { place };
            let start = stack.offset + slot * stack.stride;
            result[start..start + value.len()].copy_from_slice(value);
            if n < scan.carries {
                given.inputs[n] = value.clone();
            }
        }
    }
    result
}

fn index(shape: &[usize], element: usize) -> Vec<usize> {
    let (mut rest, mut index) = (element, vec![0; shape.len()]);
    for axis in (0..shape.len()).rev() {
        index[axis] = rest % shape[axis];
        rest /= shape[axis];
    }
    index
}

fn element(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |e, (s, i)| e * s + i)
}

fn table_element(
    graph: &Graph,
    node: &Node,
    positions: &[GatherPosition],
    at: &[usize],
    values: &[Vec<f64>],
    table: &[usize],
) -> usize {
    let there: Vec<usize> = positions
        .iter()
        .map(|p| match p {
            GatherPosition::Axis(axis) => at[*axis],
            GatherPosition::Ids { operand, axes } => {
                let ids = node.operands[*operand];
                let place: Vec<usize> = axes.iter().map(|&a| at[a]).collect();
                values[ids.0 as usize][element(&graph.node(ids).shape, &place)] as usize
            }
        })
        .collect();
    element(table, &there)
}

type Side<'a> = (&'a [u8], &'a [usize], &'a [f64]);

fn contract(node: &Node, a: Side, b: Side, out: &[u8]) -> Vec<f64> {
    let mut labels: Vec<u8> = out.to_vec();
    for &label in a.0.iter().chain(b.0) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let size_of = |label: u8| {
        let find = |side: &Side| side.0.iter().position(|&l| l == label).map(|at| side.1[at]);
        find(&a).or_else(|| find(&b)).unwrap()
    };
    let sizes: Vec<usize> = labels.iter().map(|&l| size_of(l)).collect();
    let mut result = vec![0.0; elements(&node.shape)];
    for e in 0..elements(&sizes) {
        let at = index(&sizes, e);
        let pick = |list: &[u8]| -> Vec<usize> {
            list.iter()
                .map(|l| at[labels.iter().position(|k| k == l).unwrap()])
                .collect()
        };
        let product = a.2[element(a.1, &pick(a.0))] * b.2[element(b.1, &pick(b.0))];
        result[element(&node.shape, &pick(out))] += product;
    }
    result
}

fn neutral(function: ReduceFunction) -> f64 {
    match function {
        ReduceFunction::Sum => 0.0,
        ReduceFunction::Maximum => f64::NEG_INFINITY,
        ReduceFunction::Minimum => f64::INFINITY,
        ReduceFunction::Product => 1.0,
    }
}

fn combined(function: ReduceFunction, a: f64, b: f64) -> f64 {
    match function {
        ReduceFunction::Sum => a + b,
        ReduceFunction::Maximum => a.max(b),
        ReduceFunction::Minimum => a.min(b),
        ReduceFunction::Product => a * b,
    }
}

/// The nearest number of so many significant bits that is a multiple of 2^`least`, ties to even; infinite beyond `most`.
pub fn short(x: f64, bits: i32, least: i32, most: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let unit = 2f64.powi((x.abs().log2().floor() as i32 + 1 - bits).max(least));
    let nearest = (x / unit).round_ties_even() * unit;
    if nearest.abs() > most {
        f64::INFINITY.copysign(x)
    } else {
        nearest
    }
}

fn map(function: MapFunction, x: &dyn Fn(usize) -> f64) -> f64 {
    let truth = |c: bool| if c { 1.0 } else { 0.0 };
    match function {
        MapFunction::Add => x(0) + x(1),
        MapFunction::Subtract => x(0) - x(1),
        MapFunction::Multiply => x(0) * x(1),
        MapFunction::Divide => x(0) / x(1),
        MapFunction::Power => libm::pow(x(0), x(1)),
        MapFunction::Minimum => x(0).min(x(1)),
        MapFunction::Maximum => x(0).max(x(1)),
        MapFunction::Negate => -x(0),
        MapFunction::Absolute => x(0).abs(),
        MapFunction::SquareRoot => x(0).sqrt(),
        MapFunction::Exponential => libm::exp(x(0)),
        MapFunction::Logarithm => libm::log(x(0)),
        MapFunction::Sine => libm::sin(x(0)),
        MapFunction::Cosine => libm::cos(x(0)),
        MapFunction::HyperbolicTangent => libm::tanh(x(0)),
        MapFunction::Sigmoid => 1.0 / (1.0 + libm::exp(-x(0))),
        MapFunction::Erf => libm::erf(x(0)),
        MapFunction::Floor => x(0).floor(),
        MapFunction::RoundBf16 => short(x(0), 8, -133, 3.4e38),
        MapFunction::RoundF16 => short(x(0), 11, -24, 65504.0),
        MapFunction::Less => truth(x(0) < x(1)),
        MapFunction::LessEqual => truth(x(0) <= x(1)),
        MapFunction::Equal => truth(x(0) == x(1)),
        MapFunction::And => truth(x(0) != 0.0 && x(1) != 0.0),
        MapFunction::Or => truth(x(0) != 0.0 || x(1) != 0.0),
        MapFunction::Not => truth(x(0) == 0.0),
        MapFunction::Where => {
            if x(0) != 0.0 {
                x(1)
            } else {
                x(2)
            }
        }
    }
}

/// How an element of a tensor is written in memory.
pub fn word(storage: Storage, value: f64) -> u32 {
    match storage {
        Storage::F32 => (value as f32).to_bits(),
        Storage::I32 => value as i32 as u32,
        Storage::Bf16 | Storage::F16 => unreachable!("only temporaries have 16 bits"),
    }
}

/// And read.
pub fn number(storage: Storage, word: u32) -> f64 {
    match storage {
        Storage::F32 => f64::from(f32::from_bits(word)),
        Storage::I32 => f64::from(word as i32),
        Storage::Bf16 | Storage::F16 => unreachable!("only temporaries have 16 bits"),
    }
}
