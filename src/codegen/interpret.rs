//! The plain reference beside the machine code: a scalar interpreter of kernels with exactly the bits that
//! [`kernel`](crate::ir::kernel) fixes. Slow and obvious; it knows nothing of emitters, tiles or threads.

use crate::ir::affine::{Guard, Position};
use crate::ir::arithmetic::calculate;
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::{ValueKind, ValueKinds, verify};
use crate::ir::product::TILE_PRODUCTS;

/// Runs all tasks of a verified kernel. `memory` holds a word for each element of each piece of memory (of 16 bits in its
/// lower half), `binding` says which piece each buffer is (two buffers may be the same).
pub fn interpret(kernel: &Kernel, memory: &mut [Vec<u32>], binding: &[usize]) {
    interpret_on(kernel, memory, binding, false);
}

/// The same as on a machine that has tiles, or that has none.
pub fn interpret_on(kernel: &Kernel, memory: &mut [Vec<u32>], binding: &[usize], tiles: bool) {
    let mut machine = Interpreter {
        kinds: verify(kernel).expect("only verified kernels are interpreted"),
        buffers: &kernel.buffers,
        memory,
        binding,
        values: vec![],
        kept: vec![],
        product: 0.0,
    };
    match &kernel.body {
        KernelBody::Loop(k) => machine.run_loop(k),
        KernelBody::Product(k) if tiles && k.fits_tiles(&kernel.buffers) => machine.run_product(k, Sums::InTiles),
        KernelBody::Product(k) if k.by_pairs => machine.run_product(k, Sums::ByPairs),
        KernelBody::Product(k) => machine.run_product(k, Sums::OneByOne),
        KernelBody::Scatter(k) => machine.run_scatter(k),
    }
}

/// Where a reduction starts.
pub fn neutral(function: ReduceFunction) -> f32 {
    match function {
        ReduceFunction::Sum => 0.0,
        ReduceFunction::Maximum => f32::NEG_INFINITY,
        ReduceFunction::Minimum => f32::INFINITY,
        ReduceFunction::Product => 1.0,
    }
}

/// What a guarded load gives outside.
pub fn fill_bits(storage: Storage, fill: f32) -> u32 {
    match storage {
        Storage::F32 => fill.to_bits(),
        Storage::I32 => fill as i32 as u32,
        Storage::Bf16 | Storage::F16 => fill as i32 as u32 & 0xffff,
    }
}

/// 1 as it is stored for a mask that holds.
pub fn one_bits(storage: Storage) -> u32 {
    match storage {
        Storage::F32 => 1f32.to_bits(),
        Storage::I32 | Storage::Bf16 | Storage::F16 => 1,
    }
}

/// The binary32 that has the value of a binary16.
pub fn widened_f16(bits: u32) -> u32 {
    let (sign, exponent, fraction) = (bits >> 15 & 1, bits >> 10 & 0x1f, bits & 0x3ff);
    let size = match (exponent, fraction) {
        (0, fraction) => (fraction as f32 * 2f32.powi(-24)).to_bits(),
        (0x1f, fraction) => 0x7f80_0000 | fraction << 13,
        (exponent, fraction) => (exponent + 112) << 23 | fraction << 13,
    };
    sign << 31 | size
}

struct Interpreter<'a> {
    kinds: ValueKinds,
    buffers: &'a [Buffer],
    memory: &'a mut [Vec<u32>],
    binding: &'a [usize],
    /// The bits of every value; a mask is all ones or zeros.
    values: Vec<u32>,
    kept: Vec<Vec<f32>>,
    product: f32,
}

/// Calls `each` with all indices below `sizes`, in row-major order.
fn row_major(sizes: &[usize], mut each: impl FnMut(&[usize])) {
    let total: usize = sizes.iter().product();
    for number in 0..total {
        let mut rest = number;
        let mut indices = vec![0; sizes.len()];
        for (index, size) in indices.iter_mut().zip(sizes).rev() {
            *index = rest % size;
            rest /= size;
        }
        each(&indices);
    }
}

/// The reductions of a pass, each with what it has gathered: 16 lanes along the vector axis, or one number.
type Reductions = Vec<(ValueId, ReduceFunction, ValueId, [f32; LANES])>;

fn reductions(bodies: &[&Body], wanted: Along) -> Reductions {
    let defines = bodies.iter().flat_map(|body| body.iter());
    defines
        .filter_map(|define| match define.instruction {
            Instruction::Reduce { function, value, along } if along == wanted => {
                Some((define.value, function, value, [neutral(function); LANES]))
            }
            _ => None,
        })
        .collect()
}

/// What stands for a pass's body at some indices, if they are beyond something.
fn beyond<'p>(beyond: &'p Option<Box<Beyond>>, indices: &[usize]) -> Option<&'p Body> {
    let beyond = beyond.as_ref()?;
    let from = (beyond.from.at(indices) as usize).next_multiple_of(LANES);
    (indices[VECTOR_AXIS] >= from).then_some(&beyond.body)
}

impl Interpreter<'_> {
    fn run_loop(&mut self, k: &LoopKernel) {
        self.kept = vec![vec![0.0; k.vector]; k.rows_kept as usize];
        row_major(&k.outer, |outer| {
            for pass in &k.passes {
                if pass.vector {
                    self.run_vector_pass(k, pass, outer);
                } else {
                    let indices: Vec<usize> = [0].iter().chain(outer).copied().collect();
                    self.run_body(&pass.body, &indices);
                }
            }
        });
    }

    fn run_vector_pass(&mut self, k: &LoopKernel, pass: &Pass, outer: &[usize]) {
        let mut along_vector = reductions(&[&pass.body, &pass.finish], Along::Vector);
        for v in 0..k.vector {
            let mut along_sequence = reductions(&[&pass.body], Along::Sequential);
            let indices: Vec<usize> = [v].iter().chain(outer).copied().collect();
            if let Some(body) = beyond(&pass.beyond, &indices) {
                self.run_body(body, &indices);
                continue;
            }
            row_major(&pass.sequential, |sequential| {
                let indices: Vec<usize> = indices.iter().chain(sequential).copied().collect();
                self.run_body(&pass.body, &indices);
                for (_, function, value, so_far) in &mut along_sequence {
                    so_far[0] = combine(*function, so_far[0], self.real(*value));
                }
            });
            for (result, _, _, so_far) in along_sequence {
                self.set(result, so_far[0].to_bits());
            }
            self.run_body(&pass.finish, &indices);
            for (_, function, value, lanes) in &mut along_vector {
                lanes[v % LANES] = combine(*function, lanes[v % LANES], self.real(*value));
            }
        }
        for (result, function, _, mut lanes) in along_vector {
            for distance in [8, 4, 2, 1] {
                for l in 0..distance {
                    lanes[l] = combine(function, lanes[l], lanes[l + distance]);
                }
            }
            self.set(result, lanes[0].to_bits());
        }
    }

    fn run_product(&mut self, k: &MatrixProduct, sums: Sums) {
        row_major(&k.batch, |batch| {
            let moved = |indices: &[usize], strides: &[i64]| -> i64 {
                indices.iter().zip(strides).map(|(&i, stride)| i as i64 * stride).sum()
            };
            let mut row = 0;
            row_major(&[&k.strips[..], &[k.strip_rows(), k.n]].concat(), |at| {
                let (strip, [of_strip, column]) = at.split_at(k.strips.len()) else {
                    unreachable!("two more than strips")
                };
                let (mut total, mut sum) = (None, 0.0f32);
                let (length, in_chunk) = (k.turn_length(), k.turns_in_chunk());
                let mut turns = 0;
                row_major(&k.turns, |turn| {
                    let start = |m: &Matrix| moved(batch, &m.batch) + moved(turn, &m.turns);
                    let of_strip = moved(strip, &k.a.strips) + *of_strip as i64 * k.a.row_stride;
                    let (a_start, b_start) = (k.a.constant + start(&k.a) + of_strip, start(&k.b));
                    turns += 1;
                    let factors = |i: usize| {
                        let a = self.factor(k.a.buffer, a_start + i as i64 * k.a.column_stride);
                        let b = self.factor(k.b.buffer, b_start + k.b_element(i, *column));
                        (a, b)
                    };
                    for i in (0..length).step_by(sums.step()) {
                        let left_out = k.corner.is_some_and(|c| c.leaves_out(row, *column, i));
                        let inside = |i: usize| (i < length).then(|| factors(i));
                        sum = match sums {
                            _ if left_out => sum,
                            Sums::InTiles => add_block(inside, i, sum),
                            Sums::ByPairs => add_pair(factors(i), inside(i + 1), sum),
                            Sums::OneByOne => factors(i).0.mul_add(factors(i).1, sum),
                        };
                        let end = i + sums.step();
                        let turn_ends = end >= length && turns % in_chunk == 0;
                        let chunk_ends = turn_ends || (in_chunk == 1 && end.is_multiple_of(k.chunk()));
                        if sums == Sums::InTiles {
                            total = Some(sum);
                        } else if chunk_ends {
                            total = Some(total.map_or(sum, |before: f32| before + sum));
                            sum = 0.0;
                        }
                    }
                });
                self.product = total.expect("k is at least 1");
                let indices: Vec<usize> = [*column].iter().chain(batch).chain([&row]).copied().collect();
                self.run_body(beyond(&k.beyond, &indices).unwrap_or(&k.epilogue), &indices);
                row += usize::from(*column == k.n - 1);
            });
        });
    }

    fn run_scatter(&mut self, k: &Scatter) {
        let table = self.binding[k.table.0 as usize];
        self.memory[table][..self.buffers[k.table.0 as usize].elements].fill(0);
        let sizes: Vec<usize> = k.outer.iter().chain(&k.items).copied().collect();
        row_major(&sizes, |at| {
            for v in 0..k.vector {
                let indices: Vec<usize> = [v].iter().chain(at).copied().collect();
                let mut element = k.table_at.at(&indices);
                for (buffer, id_at, stride) in &k.ids {
                    element += i64::from(self.read(*buffer, id_at.at(&indices)) as i32) * stride;
                }
                let term = f32::from_bits(self.read(k.source, k.source_at.at(&indices)));
                let before = f32::from_bits(self.read(k.table, element));
                self.write(k.table, element, (before + term).to_bits());
            }
        });
    }

    fn read(&self, buffer: BufferId, element: i64) -> u32 {
        assert!((0..self.buffers[buffer.0 as usize].elements as i64).contains(&element));
        self.memory[self.binding[buffer.0 as usize]][element as usize]
    }

    fn write(&mut self, buffer: BufferId, element: i64, bits: u32) {
        assert!((0..self.buffers[buffer.0 as usize].elements as i64).contains(&element));
        self.memory[self.binding[buffer.0 as usize]][element as usize] = bits;
    }

    /// An element of a product's operand.
    fn factor(&self, buffer: BufferId, element: i64) -> f32 {
        let bits = self.read(buffer, element);
        f32::from_bits(match self.buffers[buffer.0 as usize].storage {
            Storage::Bf16 => bits << 16,
            Storage::F16 => widened_f16(bits),
            Storage::F32 | Storage::I32 => bits,
        })
    }

    fn set(&mut self, value: ValueId, bits: u32) {
        let at = value.0 as usize;
        self.values.resize(self.values.len().max(at + 1), 0);
        self.values[at] = bits;
    }

    fn bits(&self, value: ValueId) -> u32 {
        self.values[value.0 as usize]
    }

    fn real(&self, value: ValueId) -> f32 {
        f32::from_bits(self.bits(value))
    }

    fn run_body(&mut self, body: &Body, indices: &[usize]) {
        for define in body {
            let bits = match &define.instruction {
                Instruction::Store { buffer, at, value } => {
                    let bits = self.stored(*value, self.buffers[buffer.0 as usize].storage);
                    self.write(*buffer, at.at(indices), bits);
                    continue;
                }
                Instruction::KeptStore(row, value) => {
                    self.kept[*row as usize][indices[VECTOR_AXIS]] = self.real(*value);
                    continue;
                }
                Instruction::Reduce { .. } => continue,
                instruction => self.evaluate(instruction, indices),
            };
            self.set(define.value, bits);
        }
    }

    /// A mask's bits are all ones; stored it is 1.
    fn stored(&self, value: ValueId, storage: Storage) -> u32 {
        let bits = self.bits(value);
        match (self.kinds[value.0 as usize], storage) {
            (Some(ValueKind::Mask), Storage::F32) => f32::from(u8::from(bits != 0)).to_bits(),
            (Some(ValueKind::Mask), _) => u32::from(bits != 0),
            (_, Storage::Bf16 | Storage::F16) => bits & 0xffff,
            _ => bits,
        }
    }

    fn evaluate(&self, instruction: &Instruction, indices: &[usize]) -> u32 {
        match instruction {
            Instruction::Constant(number) => number.to_bits(),
            Instruction::Integer(number) => *number as u32,
            Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            } => {
                if guards.iter().all(|g| g.holds(indices)) {
                    self.read(*buffer, at.at(indices))
                } else {
                    fill_bits(self.buffers[buffer.0 as usize].storage, *fill)
                }
            }
            Instruction::Gather { buffer, at, ids } => {
                let step = |(id, stride): &(ValueId, i64)| i64::from(self.bits(*id) as i32) * stride;
                self.read(*buffer, at.at(indices) + ids.iter().map(step).sum::<i64>())
            }
            Instruction::Index(at) => index(at, indices),
            Instruction::Inside(guards) => mask(guards.iter().all(|g: &Guard| g.holds(indices))),
            Instruction::KeptLoad(row) => self.kept[*row as usize][indices[VECTOR_AXIS]].to_bits(),
            Instruction::Arithmetic(function, arguments) => {
                let bits: Vec<u32> = arguments.iter().map(|a| self.bits(*a)).collect();
                calculate(*function, bits[0], bits.get(1).copied().unwrap_or(0))
            }
            Instruction::ShiftLeft(value, by) => self.bits(*value) << by,
            Instruction::ShiftRight(value, by) => self.bits(*value) >> by,
            Instruction::MultiplyAdd(a, b, c) => self.real(*a).mul_add(self.real(*b), self.real(*c)).to_bits(),
            Instruction::Select(mask, then, other) => self.bits(if self.bits(*mask) != 0 { *then } else { *other }),
            Instruction::Product => self.product.to_bits(),
            Instruction::Reduce { .. } | Instruction::Store { .. } | Instruction::KeptStore(..) => {
                unreachable!("handled where the body is walked through")
            }
        }
    }
}

/// How a product adds up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    OneByOne,
    ByPairs,
    InTiles,
}

impl Sums {
    /// Products that are added together.
    fn step(self) -> usize {
        match self {
            Sums::OneByOne => 1,
            Sums::ByPairs => 2,
            Sums::InTiles => TILE_PRODUCTS,
        }
    }
}

/// Adds a block of products from `first` on to a sum, each of which has factors if it exists: the even ones in a chain,
/// the odd ones in another.
fn add_block(factors: impl Fn(usize) -> Option<(f32, f32)>, first: usize, sum: f32) -> f32 {
    let chain = |first: usize| {
        let products = (first..first + TILE_PRODUCTS)
            .step_by(2)
            .map(|i| factors(i).unwrap_or((0.0, 0.0)));
        products.fold(0.0, |sum, (a, b)| flushed_multiply_add(a, b, sum))
    };
    let of_block = flushed_multiply_add(1.0, chain(first + 1), chain(first));
    flushed_multiply_add(1.0, of_block, sum)
}

/// Adds two products to a sum, the second one first; +0 · +0 if there is none.
fn add_pair(first: (f32, f32), second: Option<(f32, f32)>, sum: f32) -> f32 {
    [second.unwrap_or((0.0, 0.0)), first]
        .into_iter()
        .fold(sum, |sum, (a, b)| match PAIRS_FLUSH {
            true => flushed_multiply_add(a, b, sum),
            false => a.mul_add(b, sum),
        })
}

/// `a · b + c` of bfloat16 numbers `a` and `b`, rounded once, where subnormal numbers are taken for zeros; so is a result
/// below the least normal number even after it was rounded to 24 bits with an exponent of any size.
fn flushed_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    let flushed = |x: f32| if x.is_subnormal() { 0f32.copysign(x) } else { x };
    let (a, b, c) = (flushed(a), flushed(b), flushed(c));
    let sum = a.mul_add(b, c);
    // The product has 16 bits. A sum with `c` that is as small as this is exact in 53, or, if the product is far below `c`,
    // too near the least normal number to matter.
    let exact = f64::from(a) * f64::from(b) + f64::from(c);
    let rounds_up_from = f64::from(f32::MIN_POSITIVE) * (1.0 - 2f64.powi(-25));
    match exact.abs() < rounds_up_from {
        true => 0f32.copysign(sum),
        false => sum,
    }
}

fn index(at: &Position, indices: &[usize]) -> u32 {
    at.at(indices) as i32 as u32
}

fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}

/// One step of a reduction.
fn combine(function: ReduceFunction, so_far: f32, element: f32) -> f32 {
    let function = match function {
        ReduceFunction::Sum => Arithmetic::Add,
        ReduceFunction::Maximum => Arithmetic::Maximum,
        ReduceFunction::Minimum => Arithmetic::Minimum,
        ReduceFunction::Product => Arithmetic::Multiply,
    };
    f32::from_bits(calculate(function, so_far.to_bits(), element.to_bits()))
}

#[cfg(test)]
#[path = "interpret_test.rs"]
mod tests;
