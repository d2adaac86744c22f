//! Speed of compiled kernels and of the compiler itself: `cargo bench --bench kernels [products|rows|compile] [SHAPE...]`.
//! Figures hold for the machine and the minute; compare them inside one run.

use mspec::fuse::fuse;
use mspec::ir::affine::{Affine, Position};
use mspec::ir::graph::*;
use mspec::ir::kernel::*;
use mspec::ir::plan::{Launch, Location, Plan, Region};
use mspec::machine::{Machine, Program, ProgramId, ValuesMut};
use mspec::text::Span;
use std::time::Instant;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if runs("products") {
        products(&wanted);
    }
    if runs("rows") {
        rows();
    }
    if runs("compile") {
        compile();
    }
}

/// Independent products, rows, sums, columns: of layers, and of attention's heads.
const SHAPES: [[usize; 4]; 14] = [
    [1, 256, 768, 3072],
    [1, 768, 128, 512],
    [1, 2048, 384, 1536],
    [1, 1024, 1024, 1024],
    [1, 2048, 2048, 2048],
    [1, 256, 768, 50304],
    [1, 64, 784, 128],
    [1, 256, 64, 256],
    [1, 64, 128, 10],
    [48, 64, 32, 64],
    [48, 64, 64, 32],
    [48, 256, 64, 256],
    [48, 256, 256, 64],
    [64, 256, 32, 256],
];

/// How the operands lie: `y = x w`, `dx = dy wᵀ`, `dw = xᵀ dy`.
const FORMS: [(&str, &str, &str); 3] = [("NN", "bmk", "bkn"), ("NT", "bmk", "bnk"), ("TN", "bkm", "bkn")];

/// As the compiler makes them, with packing and the cut into tasks.
fn products(wanted: &[String]) {
    println!("GFLOP/s               1 thread   2 threads");
    let name = |shape: [usize; 4]| shape.map(|size| size.to_string()).join("x");
    let of_name = |name: &String| {
        let sizes = name.split('x').map(|size| size.parse().ok());
        sizes.collect::<Option<Vec<usize>>>()?.try_into().ok()
    };
    let named: Vec<[usize; 4]> = wanted.iter().filter_map(of_name).collect();
    let shapes = if named.is_empty() { SHAPES.to_vec() } else { named };
    for shape in shapes {
        for (form, a, b) in FORMS {
            let graph = contraction(shape, a, b);
            let plan = mspec::plan::plan(&fuse(&graph), &graph, None);
            let flops = 2.0 * shape.iter().product::<usize>() as f64;
            let [one, two] = [1, 2].map(|threads| flops / fastest(&plan, threads) / 1e9);
            let name = name(shape);
            println!("{name:16} {form} {one:10.1} {two:10.1}");
        }
    }
}

fn rows() {
    println!("GB/s of memory that must move   1 thread   2 threads");
    for (name, kernel) in row_kernels() {
        let bytes: usize = kernel.buffers.iter().map(|b| b.elements * 4).sum();
        let [one, two] = [1, 2].map(|threads| bytes as f64 / fastest(&plan(vec![kernel.clone()]), threads) / 1e9);
        println!("{name:30} {one:8.2} {two:10.2}");
    }
}

fn compile() {
    let mut kernels: Vec<Kernel> = vec![];
    for shape in SHAPES {
        let products = FORMS.map(|(_, a, b)| fuse(&contraction(shape, a, b)).kernels);
        kernels.extend(products.into_iter().flatten());
    }
    while kernels.len() < 60 {
        kernels.extend(row_kernels().into_iter().map(|k| k.1));
    }
    kernels.truncate(60);
    let plan = plan(kernels);
    for threads in [1, 2] {
        let times = (0..5).map(|_| {
            let start = Instant::now();
            let program = Program::compile(&plan, threads).expect("a correct plan");
            (start.elapsed().as_secs_f64(), program.code_bytes())
        });
        let (seconds, bytes) = times.min_by(|a, b| a.0.total_cmp(&b.0)).expect("five times");
        println!(
            "{} kernels on {threads} threads: {:.0} ms, {bytes} bytes",
            plan.kernels.len(),
            seconds * 1e3
        );
    }
}

/// Seconds of the fastest of many runs.
fn fastest(plan: &Plan, threads: usize) -> f64 {
    let program = Program::compile(plan, 2).expect("a correct plan");
    let mut machine = Machine::new(vec![program], threads).expect("memory and threads");
    // Of zeros a core that is short of power multiplies more.
    for input in 0..machine.inputs(ProgramId(0)).len() {
        if let ValuesMut::F32(values) = machine.input_mut(ProgramId(0), input) {
            let numbers = (0..).map(|at| (at % 17) as f32 / 16.0 - 0.5);
            values
                .iter_mut()
                .zip(numbers)
                .for_each(|(value, number)| *value = number);
        }
    }
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 5 || start.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        machine.run(ProgramId(0));
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

/// Every kernel once, each buffer at its own place.
fn plan(kernels: Vec<Kernel>) -> Plan {
    let mut plan = Plan::default();
    for (number, kernel) in kernels.iter().enumerate() {
        let locations = kernel.buffers.iter().map(|buffer| {
            let offset = plan.transient_bytes;
            plan.transient_bytes += (buffer.elements * 4).next_multiple_of(64);
            Location {
                region: Region::Transient,
                offset,
            }
        });
        let locations = locations.collect();
        plan.launches.push(Launch {
            steps: vec![],
            call: Call {
                slices: vec![],
                kernel: number,
                tensors: vec![],
                nodes: vec![],
                span: Span::NOWHERE,
                caller: Span::NOWHERE,
                name: String::new(),
            },
            locations,
        });
    }
    plan.kernels = kernels;
    plan
}

fn buffer(elements: usize, written: bool) -> Buffer {
    Buffer {
        storage: Storage::F32,
        elements,
        written,
    }
}

/// One contraction of two inputs whose axes have these labels.
fn contraction(shape: [usize; 4], a: &str, b: &str) -> Graph {
    let size = |label: u8| shape[b"bmkn".iter().position(|&l| l == label).expect("one of four")];
    let sizes = |labels: &str| labels.bytes().map(size).collect::<Vec<_>>();
    let mut graph = Graph::default();
    let add = |graph: &mut Graph, op: Op, operands: Vec<NodeId>, shape: Vec<usize>| {
        graph.add(Node {
            op,
            operands,
            shape,
            element: Element::Real,
            span: Span::NOWHERE,
            caller: Span::NOWHERE,
        })
    };
    let operands = [a, b].map(|labels| {
        let id = InputId(graph.inputs.len() as u32);
        graph.inputs.push(InputDeclaration {
            name: labels.into(),
            shape: sizes(labels),
            element: Element::Real,
        });
        add(&mut graph, Op::Input(id), vec![], sizes(labels))
    });
    let [a, b, out] = [a, b, "bmn"].map(|labels| labels.as_bytes().to_vec());
    let product = Op::Contract { a, b, out };
    let node = add(&mut graph, product, operands.to_vec(), sizes("bmn"));
    graph.outputs.push(Output {
        kind: OutputKind::Value("product".into()),
        node,
    });
    graph
}

#[derive(Default)]
struct Builder {
    body: Body,
    next: u32,
}

impl Builder {
    fn define(&mut self, instruction: Instruction) -> ValueId {
        let value = ValueId(self.next);
        self.next += 1;
        self.body.push(Define { value, instruction });
        value
    }

    fn load(&mut self, buffer: u32, at: &Position) -> ValueId {
        self.define(Instruction::Load {
            buffer: BufferId(buffer),
            at: at.clone(),
            guards: vec![],
            fill: 0.0,
        })
    }

    fn constant(&mut self, number: f32) -> ValueId {
        self.define(Instruction::Constant(number))
    }

    fn apply(&mut self, function: Arithmetic, arguments: &[ValueId]) -> ValueId {
        self.define(Instruction::Arithmetic(function, arguments.to_vec()))
    }

    fn reduce(&mut self, function: ReduceFunction, value: ValueId, along: Along) -> ValueId {
        self.define(Instruction::Reduce { function, value, along })
    }

    fn store(&mut self, buffer: u32, at: Position, value: ValueId) {
        self.define(Instruction::Store {
            buffer: BufferId(buffer),
            at,
            value,
        });
    }

    /// e^x by range reduction and a polynomial.
    fn exponential(&mut self, x: ValueId) -> ValueId {
        let (inverse, most, least) = (
            self.constant(std::f32::consts::LOG2_E),
            self.constant(88.0),
            self.constant(-87.0),
        );
        let x = self.apply(Arithmetic::Minimum, &[x, most]);
        let x = self.apply(Arithmetic::Maximum, &[x, least]);
        let scaled = self.apply(Arithmetic::Multiply, &[x, inverse]);
        let whole = self.apply(Arithmetic::Nearest, &[scaled]);
        let step = self.constant(-std::f32::consts::LN_2);
        let rest = self.define(Instruction::MultiplyAdd(whole, step, x));
        let mut sum = self.constant(0.001_388_9);
        for coefficient in [0.008_333_3, 0.041_666_7, 0.166_666_7, 0.5, 1.0, 1.0] {
            let coefficient = self.constant(coefficient);
            sum = self.define(Instruction::MultiplyAdd(sum, rest, coefficient));
        }
        let exponent = self.apply(Arithmetic::ToInteger, &[whole]);
        let bias = self.define(Instruction::Integer(127));
        let exponent = self.apply(Arithmetic::IntegerAdd, &[exponent, bias]);
        let exponent = self.define(Instruction::ShiftLeft(exponent, 23));
        let power = self.apply(Arithmetic::IntegerBits, &[exponent]);
        self.apply(Arithmetic::Multiply, &[sum, power])
    }
}

const ROWS: usize = 2048;
const WIDTH: usize = 384;

fn row_kernels() -> Vec<(&'static str, Kernel)> {
    vec![
        ("softmax 2048x384", softmax()),
        ("layer norm 2048x384", layer_norm()),
        ("sigmoid gate 2048x384", gate()),
        ("adamw 1M", adamw()),
        ("column sums 2048x384", column_sums()),
    ]
}

fn row_position() -> Position {
    Position::from(Affine::axis(0).plus(&Affine::axis(1).times(WIDTH as i64)))
}

fn pass(vector: bool, body: Body) -> Pass {
    Pass {
        vector,
        sequential: vec![],
        body,
        finish: vec![],
        beyond: None,
    }
}

fn of_rows(buffers: Vec<Buffer>, passes: Vec<Pass>) -> Kernel {
    Kernel {
        buffers,
        body: KernelBody::Loop(LoopKernel {
            outer: vec![ROWS],
            vector: WIDTH,
            rows_kept: 1,
            passes,
            rows_per_task: 32,
            vector_per_task: None,
        }),
    }
}

fn softmax() -> Kernel {
    let mut b = Builder::default();
    let x = b.load(0, &row_position());
    let most = b.reduce(ReduceFunction::Maximum, x, Along::Vector);
    let first = std::mem::take(&mut b.body);
    let x = b.load(0, &row_position());
    let x = b.apply(Arithmetic::Subtract, &[x, most]);
    let power = b.exponential(x);
    b.define(Instruction::KeptStore(0, power));
    let sum = b.reduce(ReduceFunction::Sum, power, Along::Vector);
    let second = std::mem::take(&mut b.body);
    let power = b.define(Instruction::KeptLoad(0));
    let share = b.apply(Arithmetic::Divide, &[power, sum]);
    b.store(1, row_position(), share);
    let size = ROWS * WIDTH;
    of_rows(
        vec![buffer(size, false), buffer(size, true)],
        vec![pass(true, first), pass(true, second), pass(true, b.body)],
    )
}

fn layer_norm() -> Kernel {
    let mut b = Builder::default();
    let x = b.load(0, &row_position());
    let sum = b.reduce(ReduceFunction::Sum, x, Along::Vector);
    let first = std::mem::take(&mut b.body);
    let share = b.constant(1.0 / WIDTH as f32);
    let mean = b.apply(Arithmetic::Multiply, &[sum, share]);
    let second = std::mem::take(&mut b.body);
    let x = b.load(0, &row_position());
    let apart = b.apply(Arithmetic::Subtract, &[x, mean]);
    let square = b.apply(Arithmetic::Multiply, &[apart, apart]);
    let squares = b.reduce(ReduceFunction::Sum, square, Along::Vector);
    let third = std::mem::take(&mut b.body);
    let (epsilon, one) = (b.constant(1e-5), b.constant(1.0));
    let variance = b.define(Instruction::MultiplyAdd(squares, share, epsilon));
    let deviation = b.apply(Arithmetic::SquareRoot, &[variance]);
    let scale = b.apply(Arithmetic::Divide, &[one, deviation]);
    let fourth = std::mem::take(&mut b.body);
    let x = b.load(0, &row_position());
    let apart = b.apply(Arithmetic::Subtract, &[x, mean]);
    let normal = b.apply(Arithmetic::Multiply, &[apart, scale]);
    let (weight, bias) = (b.load(2, &Position::axis(0)), b.load(3, &Position::axis(0)));
    let y = b.define(Instruction::MultiplyAdd(normal, weight, bias));
    b.store(1, row_position(), y);
    let size = ROWS * WIDTH;
    of_rows(
        vec![
            buffer(size, false),
            buffer(size, true),
            buffer(WIDTH, false),
            buffer(WIDTH, false),
        ],
        vec![
            pass(true, first),
            pass(false, second),
            pass(true, third),
            pass(false, fourth),
            pass(true, b.body),
        ],
    )
}

fn gate() -> Kernel {
    let mut b = Builder::default();
    let x = b.load(0, &row_position());
    let power = b.exponential(x);
    let one = b.constant(1.0);
    let below = b.apply(Arithmetic::Add, &[power, one]);
    let share = b.apply(Arithmetic::Divide, &[power, below]);
    let y = b.apply(Arithmetic::Multiply, &[share, x]);
    b.store(1, row_position(), y);
    let size = ROWS * WIDTH;
    of_rows(vec![buffer(size, false), buffer(size, true)], vec![pass(true, b.body)])
}

fn adamw() -> Kernel {
    let size = 1 << 20;
    let mut b = Builder::default();
    let at = Position::axis(0);
    let [gradient, weight, mean, square] = [0, 1, 2, 3].map(|number| b.load(number, &at));
    let [rest1, rest2, decay, rate, epsilon] = [0.1, 0.001, 0.9999, -1e-3, 1e-8].map(|number| b.constant(number));
    let apart = b.apply(Arithmetic::Subtract, &[gradient, mean]);
    let mean = b.define(Instruction::MultiplyAdd(apart, rest1, mean));
    let gradient = b.apply(Arithmetic::Multiply, &[gradient, gradient]);
    let apart = b.apply(Arithmetic::Subtract, &[gradient, square]);
    let square = b.define(Instruction::MultiplyAdd(apart, rest2, square));
    let root = b.apply(Arithmetic::SquareRoot, &[square]);
    let below = b.apply(Arithmetic::Add, &[root, epsilon]);
    let step = b.apply(Arithmetic::Divide, &[mean, below]);
    let weight = b.apply(Arithmetic::Multiply, &[weight, decay]);
    let weight = b.define(Instruction::MultiplyAdd(step, rate, weight));
    for (number, value) in [(1, weight), (2, mean), (3, square)] {
        b.store(number, at.clone(), value);
    }
    Kernel {
        buffers: [false, true, true, true].map(|written| buffer(size, written)).to_vec(),
        body: KernelBody::Loop(LoopKernel {
            outer: vec![],
            vector: size,
            rows_kept: 0,
            passes: vec![pass(true, b.body)],
            rows_per_task: 1,
            vector_per_task: Some(4096),
        }),
    }
}

fn column_sums() -> Kernel {
    let mut b = Builder::default();
    let x = b.load(0, &row_position());
    let sum = b.reduce(ReduceFunction::Sum, x, Along::Sequential);
    let body = std::mem::take(&mut b.body);
    b.store(1, Position::axis(0), sum);
    Kernel {
        buffers: vec![buffer(ROWS * WIDTH, false), buffer(WIDTH, true)],
        body: KernelBody::Loop(LoopKernel {
            outer: vec![],
            vector: WIDTH,
            rows_kept: 0,
            passes: vec![Pass {
                vector: true,
                sequential: vec![ROWS],
                body,
                finish: b.body,
                beyond: None,
            }],
            rows_per_task: 1,
            vector_per_task: Some(64),
        }),
    }
}
