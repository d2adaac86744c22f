//! Speed of single matrix products as the compiler makes them, to be held against another library's:
//! `cargo bench --bench products`. Each is a program of one contraction; packing is part of its time, memory and threads
//! are there before. Figures hold for the machine and the minute; compare them inside one run.

use mspec::fuse::fuse;
use mspec::ir::graph::*;
use mspec::machine::{Machine, Program, ProgramId, ValuesMut};
use mspec::plan::plan;
use mspec::text::Span;
use std::time::Instant;

/// Independent products, rows, sums, columns: of layers, and of attention's heads.
const SHAPES: [[usize; 4]; 11] = [
    [1, 256, 768, 3072],
    [1, 768, 128, 512],
    [1, 2048, 384, 1536],
    [1, 1024, 1024, 1024],
    [1, 2048, 2048, 2048],
    [1, 256, 768, 50304],
    [48, 64, 32, 64],
    [48, 64, 64, 32],
    [48, 256, 64, 256],
    [48, 256, 256, 64],
    [64, 256, 32, 256],
];

/// How the operands lie: `y = x w`, `dx = dy wᵀ`, `dw = xᵀ dy`.
const FORMS: [(&str, &str, &str); 3] = [("NN", "bmk", "bkn"), ("NT", "bmk", "bnk"), ("TN", "bkm", "bkn")];

fn main() {
    println!("GFLOP/s               1 thread   2 threads");
    for shape in SHAPES {
        for (form, a, b) in FORMS {
            let [one, two] = [1, 2].map(|threads| gigaflops(shape, a, b, threads));
            let [batch, m, k, n] = shape;
            let name = if batch == 1 {
                format!("{m}x{k}x{n}")
            } else {
                format!("{batch}x{m}x{k}x{n}")
            };
            println!("{name:16} {form} {one:10.1} {two:10.1}");
        }
    }
}

/// The best of many runs.
fn gigaflops(shape: [usize; 4], a: &str, b: &str, threads: usize) -> f64 {
    let size = |label: u8| shape[b"bmkn".iter().position(|&l| l == label).expect("one of four")];
    let mut graph = Graph::default();
    let operands = [a, b].map(|labels| input(&mut graph, labels.bytes().map(size).collect()));
    let [a, b, out] = [a, b, "bmn"].map(|labels| labels.as_bytes().to_vec());
    let result = out.iter().map(|&l| size(l)).collect();
    let node = add(&mut graph, Op::Contract { a, b, out }, operands.to_vec(), result);
    graph.outputs.push(Output {
        kind: OutputKind::Value("product".into()),
        node,
    });
    let program = Program::compile(&plan(&fuse(&graph), &graph, None), threads).expect("a correct plan");
    let mut machine = Machine::new(vec![program], threads).expect("memory and threads");
    for operand in 0..2 {
        if let ValuesMut::F32(values) = machine.input_mut(ProgramId(0), operand) {
            values
                .iter_mut()
                .enumerate()
                .for_each(|(at, v)| *v = (at % 17) as f32 / 16.0 - 0.5);
        }
    }
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 5 || begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        machine.run(ProgramId(0));
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    2.0 * shape.iter().product::<usize>() as f64 / best / 1e9
}

fn input(graph: &mut Graph, shape: Vec<usize>) -> NodeId {
    let id = InputId(graph.inputs.len() as u32);
    graph.inputs.push(InputDeclaration {
        name: format!("operand {}", id.0),
        shape: shape.clone(),
        element: Element::Real,
    });
    add(graph, Op::Input(id), vec![], shape)
}

fn add(graph: &mut Graph, op: Op, operands: Vec<NodeId>, shape: Vec<usize>) -> NodeId {
    graph.add(Node {
        op,
        operands,
        shape,
        element: Element::Real,
        span: Span::NOWHERE,
        caller: Span::NOWHERE,
    })
}
