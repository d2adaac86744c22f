//! Where rows come to constants: behind the diagonal that a causal mask leaves, scores are minus infinity, and attention's
//! weights and their gradients are 0. A pass need not compute there, only write what it comes to. Finished kernels are
//! looked at, call by call: what one writes beyond a diagonal is known of the tensor to whoever reads it later.
//!
//! As with [corners](super::corner), what is multiplied by 0 or added to minus infinity counts as a number.

use super::diagonal::{Diagonal, Known, Triangle, both};
use crate::ir::affine::Position;
use crate::ir::arithmetic::calculate;
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use std::collections::{HashMap, HashSet};

/// Finds where passes and epilogues come to constants. A kernel has what all of its calls allow.
pub fn bounded(schedule: &mut Schedule) {
    let mut triangles: HashMap<TensorId, Triangle> = HashMap::new();
    let mut found: Vec<Option<Found>> = vec![None; schedule.kernels.len()];
    for (number, call) in schedule.calls.iter().enumerate() {
        let kernel = &schedule.kernels[call.kernel];
        let in_loop = schedule.loop_of(number);
        if let Some(repeated) = in_loop.filter(|repeated| repeated.calls.start == number) {
            // What a later call of the loop writes is there in the next round.
            for call in &schedule.calls[repeated.calls.clone()] {
                triangles.retain(|tensor, _| !call.tensors.contains(tensor));
            }
        }
        let read = match in_loop {
            Some(_) => vec![None; call.tensors.len()],
            None => call
                .tensors
                .iter()
                .map(|tensor| triangles.get(tensor).copied())
                .collect(),
        };
        let now = match found[call.kernel].take() {
            Some(before) if before.read == read => before,
            before => {
                let mut now = Found::of(kernel, read);
                if before.is_some_and(|before| before.beyond != now.beyond) {
                    now.beyond.fill(None);
                }
                now
            }
        };
        for (buffer, tensor) in call
            .tensors
            .iter()
            .enumerate()
            .filter(|(b, _)| kernel.buffers[*b].written)
        {
            match now.written[buffer].filter(|_| in_loop.is_none()) {
                Some(triangle) => triangles.insert(*tensor, triangle),
                None => triangles.remove(tensor),
            };
        }
        found[call.kernel] = Some(now);
    }
    for (kernel, found) in schedule.kernels.iter_mut().zip(found) {
        let mut beyond = found.into_iter().flat_map(|found| found.beyond);
        match &mut kernel.body {
            KernelBody::Loop(k) => k.passes.iter_mut().zip(beyond).for_each(|(pass, b)| pass.beyond = b),
            KernelBody::Product(k) => k.beyond = beyond.next().flatten(),
            KernelBody::Scatter(_) => {}
        }
    }
}

/// What is found of a kernel whose buffers are known so far when it is called.
#[derive(Clone, PartialEq)]
struct Found {
    read: Vec<Option<Triangle>>,
    /// Of each pass, or of the epilogue.
    beyond: Vec<Option<Box<Beyond>>>,
    /// Of each buffer.
    written: Vec<Option<Triangle>>,
}

impl Found {
    fn of(kernel: &Kernel, read: Vec<Option<Triangle>>) -> Found {
        let bodies = kernel.bodies();
        let defines = || bodies.iter().flat_map(|(_, _, body)| body.iter());
        let mut walk = Walk {
            buffers: &kernel.buffers,
            read: &read,
            sizes: vec![],
            known: HashMap::new(),
            masks: HashSet::new(),
            indices: HashMap::new(),
            kept: HashMap::new(),
            written: vec![None; kernel.buffers.len()],
            next_value: defines().map(|d| d.value.0 + 1).max().unwrap_or(0),
        };
        let beyond = match &kernel.body {
            KernelBody::Loop(k) => k.passes.iter().map(|pass| walk.pass(k, pass)).collect(),
            KernelBody::Product(k) => {
                walk.sizes = [k.n].iter().chain(&k.batch).chain([&k.m]).copied().collect();
                vec![walk.body(&k.epilogue)]
            }
            KernelBody::Scatter(_) => vec![],
        };
        let mut written = walk.written;
        // One store alone says what all of a buffer is.
        for (buffer, triangle) in written.iter_mut().enumerate() {
            let stores =
                |d: &&Define| matches!(&d.instruction, Instruction::Store { buffer: b, .. } if b.0 as usize == buffer);
            triangle.take_if(|_| defines().filter(stores).count() != 1);
        }
        Found { read, beyond, written }
    }
}

/// The bodies of a kernel, instruction by instruction.
struct Walk<'k> {
    buffers: &'k [Buffer],
    read: &'k [Option<Triangle>],
    sizes: Vec<usize>,
    known: HashMap<ValueId, Known>,
    masks: HashSet<ValueId>,
    /// Values that are indices.
    indices: HashMap<ValueId, &'k Position>,
    kept: HashMap<u32, Known>,
    written: Vec<Option<Triangle>>,
    next_value: u32,
}

impl<'k> Walk<'k> {
    fn pass(&mut self, k: &LoopKernel, pass: &'k Pass) -> Option<Box<Beyond>> {
        let sizes = [k.vector].into_iter().chain(k.outer.iter().copied());
        self.sizes = sizes.collect();
        let plain = pass.sequential.is_empty() && pass.finish.is_empty() && k.vector_per_task.is_none();
        match (plain, pass.vector) {
            (true, true) => self.body(&pass.body),
            (true, false) => {
                self.define(&pass.body);
                None
            }
            (false, _) => None,
        }
    }

    /// Where all that a body stores and reduces is constant, or changes nothing.
    fn body(&mut self, body: &'k Body) -> Option<Box<Beyond>> {
        self.define(body);
        let mut common: Option<Diagonal> = None;
        let mut rest = vec![];
        for define in body {
            let (value, constant) = match &define.instruction {
                Instruction::Reduce {
                    function,
                    value,
                    along: Along::Vector,
                } => {
                    let known = self.number(*value)?;
                    changes_nothing(*function, known.bits).then_some(())?;
                    common = both(common, known.diagonal)?;
                    continue;
                }
                Instruction::Store { buffer, value, .. } => (value, self.buffers[buffer.0 as usize].storage),
                Instruction::KeptStore(_, value) => (value, Storage::F32),
                _ => continue,
            };
            let known = self.number(*value)?;
            common = both(common, known.diagonal)?;
            let constant = match constant {
                Storage::F32 => Instruction::Constant(f32::from_bits(known.bits)),
                Storage::I32 | Storage::Bf16 | Storage::F16 => Instruction::Integer(known.bits as i32),
            };
            let constant = self.fresh(&mut rest, constant);
            let mut store = define.instruction.clone();
            if let Instruction::Store { value, .. } | Instruction::KeptStore(_, value) = &mut store {
                *value = constant;
            }
            self.fresh(&mut rest, store);
        }
        let long = self.sizes[VECTOR_AXIS] >= 2 * LANES && self.sizes[VECTOR_AXIS].is_multiple_of(LANES);
        let from = common.filter(|_| long)?.end(&self.sizes);
        Some(Box::new(Beyond { from, body: rest }))
    }

    fn fresh(&mut self, body: &mut Body, instruction: Instruction) -> ValueId {
        let value = ValueId(self.next_value);
        self.next_value += 1;
        body.push(Define { value, instruction });
        value
    }

    fn define(&mut self, body: &'k Body) {
        for define in body {
            match &define.instruction {
                Instruction::Store { buffer, at, value } => {
                    let Buffer { elements, storage, .. } = self.buffers[buffer.0 as usize];
                    let all = self.sizes.iter().product::<usize>() == elements;
                    let known = self.number(*value).filter(|_| all);
                    let known =
                        known.map(|known| known.with(|bits| if storage.stride() == 2 { bits & 0xffff } else { bits }));
                    self.written[buffer.0 as usize] = known.and_then(|known| Triangle::written(at, &self.sizes, known));
                }
                Instruction::KeptStore(row, value) => match self.number(*value) {
                    Some(known) => drop(self.kept.insert(*row, known)),
                    None => drop(self.kept.remove(row)),
                },
                instruction => {
                    if let Some(known) = self.instruction(define.value, instruction) {
                        self.known.insert(define.value, known);
                    }
                }
            }
        }
    }

    /// What is known of a value that is no mask.
    fn number(&self, value: ValueId) -> Option<Known> {
        self.known.get(&value).copied().filter(|_| !self.masks.contains(&value))
    }

    fn instruction(&mut self, defined: ValueId, instruction: &'k Instruction) -> Option<Known> {
        let of = |value: &ValueId| self.known.get(value).copied();
        match instruction {
            Instruction::Constant(number) => Some(Known::everywhere(number.to_bits())),
            Instruction::Integer(number) => Some(Known::everywhere(*number as u32)),
            Instruction::Index(position) => {
                self.indices.insert(defined, position);
                None
            }
            Instruction::Load { buffer, at, guards, .. } if guards.is_empty() => {
                self.read[buffer.0 as usize]?.read(at, &self.sizes)
            }
            Instruction::KeptLoad(row) => self.kept.get(row).copied(),
            Instruction::Arithmetic(Arithmetic::ToReal, x) if self.indices.contains_key(&x[0]) => {
                self.indices.insert(defined, self.indices[&x[0]]);
                None
            }
            Instruction::Arithmetic(function, x) => {
                use Arithmetic::*;
                if matches!(function, Less | LessEqual | Equal | And | Or | Not | IntegerEqual) {
                    self.masks.insert(defined);
                }
                self.compared(*function, x).or_else(|| self.calculated(*function, x))
            }
            Instruction::ShiftLeft(x, by) => Some(of(x)?.with(|bits| bits << by)),
            Instruction::ShiftRight(x, by) => Some(of(x)?.with(|bits| bits >> by)),
            Instruction::MultiplyAdd(a, b, c) => {
                let c = of(c)?;
                let bits = |known: Known| f32::from_bits(known.bits);
                match (of(a), of(b)) {
                    (Some(a), Some(b)) => {
                        let product = a.and(b, bits(a).mul_add(bits(b), bits(c)).to_bits())?;
                        product.and(c, product.bits)
                    }
                    (Some(zero), None) | (None, Some(zero)) if bits(zero) == 0.0 => zero.and(c, c.bits),
                    _ => None,
                }
            }
            Instruction::Select(mask, then, otherwise) => match of(mask) {
                Some(mask) => {
                    let chosen = of(if mask.bits != 0 { then } else { otherwise })?;
                    mask.and(chosen, chosen.bits)
                }
                None => {
                    let (then, otherwise) = (of(then)?, of(otherwise)?);
                    let same = then.bits == otherwise.bits;
                    same.then(|| then.and(otherwise, then.bits))?
                }
            },
            _ => None,
        }
    }

    /// A comparison of the vector index with another one.
    fn compared(&self, function: Arithmetic, x: &[ValueId]) -> Option<Known> {
        let beyond = match function {
            Arithmetic::LessEqual => [0, -1],
            Arithmetic::Less => [-1, 0],
            _ => return None,
        };
        let [a, b] = [x[0], x[1]].map(|value| self.indices.get(&value).copied());
        let (a, b) = (a?, b?);
        let vector = |position: &Position| position.as_axis() == Some(VECTOR_AXIS);
        let (row, by, bits) = match (vector(a), vector(b)) {
            (true, false) => (b, beyond[0], 0),
            (false, true) => (a, beyond[1], u32::MAX),
            _ => return None,
        };
        let diagonal = Diagonal::of(row, by, &self.sizes)?;
        Some(Known {
            diagonal: Some(diagonal),
            bits,
        })
    }

    fn calculated(&self, function: Arithmetic, x: &[ValueId]) -> Option<Known> {
        use Arithmetic::*;
        let arguments: Vec<Option<Known>> = x.iter().map(|value| self.known.get(value).copied()).collect();
        let number = |known: &Known| f32::from_bits(known.bits);
        match arguments[..] {
            [Some(a)] => Some(a.with(|bits| calculate(function, bits, 0))),
            [Some(a), Some(b)] => a.and(b, calculate(function, a.bits, b.bits)),
            [Some(known), None] | [None, Some(known)] => {
                let first = arguments[0].is_some();
                let decides = match function {
                    And => known.bits == 0,
                    Or => known.bits == u32::MAX,
                    Multiply => number(&known) == 0.0,
                    Divide | Scale => first && number(&known) == 0.0,
                    Add => number(&known) == f32::NEG_INFINITY,
                    Subtract => first && number(&known) == f32::NEG_INFINITY,
                    _ => false,
                };
                decides.then_some(known)
            }
            _ => None,
        }
    }
}

/// Whether a reduction is the same without a number.
fn changes_nothing(function: ReduceFunction, bits: u32) -> bool {
    let number = f32::from_bits(bits);
    match function {
        ReduceFunction::Sum => number == 0.0,
        ReduceFunction::Maximum => number == f32::NEG_INFINITY,
        ReduceFunction::Minimum => number == f32::INFINITY,
        ReduceFunction::Product => number == 1.0,
    }
}
