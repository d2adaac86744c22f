//! Leaves out what nothing uses, numbers values and buffers in the order of their appearance, and shares equal kernels.

use super::body::Slot;
use crate::ir::kernel::*;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Takes out definitions without use.
pub fn without_unused(slots: &mut [Slot]) {
    let mut bodies: Vec<&mut Body> = slots.iter_mut().map(|s| &mut s.body).collect();
    without_unused_in(&mut bodies);
}

/// The same in bodies that run one after the other.
pub fn without_unused_in(bodies: &mut [&mut Body]) {
    let mut used: HashSet<ValueId> = HashSet::new();
    for body in bodies.iter_mut().rev() {
        let mut kept: Body = vec![];
        for mut define in std::mem::take(*body).into_iter().rev() {
            let effect = matches!(
                define.instruction,
                Instruction::Store { .. } | Instruction::KeptStore(..)
            );
            if effect || used.contains(&define.value) {
                each_argument(&mut define.instruction, &mut |v| {
                    used.insert(*v);
                });
                kept.push(define);
            }
        }
        kept.reverse();
        **body = kept;
    }
}

/// Calls a function with every value that an instruction uses.
pub fn each_argument(instruction: &mut Instruction, f: &mut dyn FnMut(&mut ValueId)) {
    match instruction {
        Instruction::Gather { ids, .. } => ids.iter_mut().for_each(|(v, _)| f(v)),
        Instruction::KeptStore(_, v) | Instruction::ShiftLeft(v, _) | Instruction::ShiftRight(v, _) => f(v),
        Instruction::Arithmetic(_, list) => list.iter_mut().for_each(f),
        Instruction::MultiplyAdd(a, b, c) | Instruction::Select(a, b, c) => [a, b, c].into_iter().for_each(f),
        Instruction::Reduce { value, .. } | Instruction::Store { value, .. } => f(value),
        _ => {}
    }
}

/// Calls a function with every buffer that a body names.
pub fn each_buffer(kernel: &mut KernelBody, f: &mut dyn FnMut(&mut BufferId)) {
    if let KernelBody::Product(k) = kernel {
        f(&mut k.a.buffer);
        f(&mut k.b.buffer);
    }
    if let KernelBody::Scatter(k) = kernel {
        f(&mut k.source);
        k.ids.iter_mut().for_each(|i| f(&mut i.0));
        f(&mut k.table);
    }
    for define in bodies(kernel).into_iter().flatten() {
        match &mut define.instruction {
            Instruction::Load { buffer, .. }
            | Instruction::Gather { buffer, .. }
            | Instruction::Store { buffer, .. } => f(buffer),
            _ => {}
        }
    }
}

fn bodies(kernel: &mut KernelBody) -> Vec<&mut Body> {
    match kernel {
        KernelBody::Loop(k) => k.passes.iter_mut().flat_map(|p| [&mut p.body, &mut p.finish]).collect(),
        KernelBody::Product(k) => vec![&mut k.epilogue],
        KernelBody::Scatter(_) => vec![],
    }
}

/// Numbers values and buffers in the order of their appearance; gives the tensors of the buffers that remain.
pub fn canonical(body: &mut KernelBody, tensors: &[TensorId]) -> Vec<TensorId> {
    let mut values: HashMap<ValueId, ValueId> = HashMap::new();
    for define in bodies(body).into_iter().flatten() {
        each_argument(&mut define.instruction, &mut |v| *v = values[v]);
        let new = ValueId(values.len() as u32);
        values.insert(define.value, new);
        define.value = new;
    }
    let mut order: Vec<BufferId> = vec![];
    each_buffer(body, &mut |b| {
        let at = order.iter().position(|o| o == b).unwrap_or_else(|| {
            order.push(*b);
            order.len() - 1
        });
        *b = BufferId(at as u32);
    });
    order.iter().map(|b| tensors[b.0 as usize]).collect()
}

/// The buffers that a body writes.
pub fn written(body: &mut KernelBody) -> Vec<BufferId> {
    let mut list = match body {
        KernelBody::Scatter(k) => vec![k.table],
        _ => vec![],
    };
    for define in bodies(body).into_iter().flatten() {
        if let Instruction::Store { buffer, .. } = define.instruction
            && !list.contains(&buffer)
        {
            list.push(buffer);
        }
    }
    list
}

/// A kernel without its constants, and these by their bits: so a NaN equals itself.
fn by_bits(kernel: &Kernel) -> (Kernel, Vec<u32>) {
    let mut kernel = kernel.clone();
    let mut constants = vec![];
    for define in bodies(&mut kernel.body).into_iter().flatten() {
        if let Instruction::Constant(number) = &mut define.instruction {
            constants.push(std::mem::take(number).to_bits());
        }
    }
    (kernel, constants)
}

/// Distinct kernels.
#[derive(Default)]
pub struct Kernels {
    /// In the order of their first use.
    pub list: Vec<Kernel>,
    known: HashMap<u64, Vec<usize>>,
}

impl Kernels {
    /// Of a list.
    pub fn of(list: Vec<Kernel>) -> Kernels {
        let mut kernels = Kernels::default();
        for (number, kernel) in list.iter().enumerate() {
            kernels.known.entry(fingerprint(kernel)).or_default().push(number);
        }
        Kernels { list, ..kernels }
    }

    /// The number of an equal kernel, or a new one.
    pub fn number(&mut self, kernel: Kernel) -> usize {
        let alike = self.known.entry(fingerprint(&kernel)).or_default();
        if let Some(&at) = alike
            .iter()
            .find(|&&at| self.list[at] == kernel || by_bits(&self.list[at]) == by_bits(&kernel))
        {
            return at;
        }
        alike.push(self.list.len());
        self.list.push(kernel);
        self.list.len() - 1
    }
}

/// A hash of everything, constants by their bits (so that 0 and -0 differ).
fn fingerprint(kernel: &Kernel) -> u64 {
    let mut hasher = DefaultHasher::new();
    let h = &mut hasher;
    kernel.buffers.hash(h);
    let mut body = kernel.body.clone();
    match &kernel.body {
        KernelBody::Loop(k) => {
            (
                &k.outer,
                k.vector,
                k.rows_kept,
                k.passes.len(),
                k.rows_per_task,
                k.vector_per_task,
            )
                .hash(h);
            k.passes
                .iter()
                .for_each(|p| (p.vector, &p.sequential, p.body.len()).hash(h));
        }
        KernelBody::Product(k) => (
            &k.batch,
            &k.strips,
            &k.turns,
            k.m,
            k.n,
            k.k,
            &k.a,
            &k.b,
            (k.b_in_panels, k.by_pairs),
            k.rows_per_task,
        )
            .hash(h),
        KernelBody::Scatter(k) => (&k.outer, &k.items, k.vector, &k.source_at, &k.table_at, &k.ids).hash(h),
    }
    for define in bodies(&mut body).into_iter().flatten() {
        super::body::key(&define.instruction).hash(h);
    }
    hasher.finish()
}
