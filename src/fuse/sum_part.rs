//! A matrix product that is summed part by part: its sums so far are stored, each part adds its own, and what the product's
//! epilogue did is done behind the last part.

use super::tidy::canonical;
use crate::ir::affine::{Affine, Position};
use crate::ir::kernel::*;

/// Elements that a task of what comes behind the sums goes over.
const ELEMENTS_PER_TASK: usize = 1 << 14;

/// A product in parts. Its kernels have three buffers: the operands, and the sums.
pub struct SumParts {
    /// Stores the first part's sums.
    pub first: Kernel,
    /// Adds another part's.
    pub next: Kernel,
    /// Elements from part to part of each operand.
    pub strides: [usize; 2],
    /// The tensors of the operands.
    pub operands: [TensorId; 2],
    /// How many sums there are.
    pub sums: usize,
    /// What is done with the sums.
    epilogue: Body,
    buffers: Vec<Buffer>,
    shape: [usize; 2],
}

impl SumParts {
    /// Of a kernel that is called with some tensors.
    pub fn of(kernel: &Kernel, tensors: &[TensorId], parts: usize) -> Option<SumParts> {
        let KernelBody::Product(k) = &kernel.body else {
            return None;
        };
        let plain = k.batch.is_empty() && k.strips.is_empty() && k.turns.is_empty();
        if !plain || k.corner.is_some() || k.b_in_panels || !k.k.is_multiple_of(parts) {
            return None;
        }
        let part = k.k / parts;
        let mut buffers = vec![];
        // A part's elements, from its first one on; the matrix's own first element moves into that.
        for (matrix, along, across, size) in [
            (&k.a, k.a.column_stride, k.a.row_stride, k.m),
            (&k.b, k.b.row_stride, k.b.column_stride, k.n),
        ] {
            let reach = (part as i64 - 1) * along + (size as i64 - 1) * across + 1;
            if along <= 0 || across < 0 || matrix.constant != 0 {
                return None;
            }
            let storage = kernel.buffers[matrix.buffer.0 as usize].storage;
            buffers.push(Buffer {
                storage,
                elements: reach as usize,
                written: false,
            });
        }
        buffers.push(Buffer {
            storage: Storage::F32,
            elements: k.m * k.n,
            written: true,
        });
        let at = Position::from(Affine::axis(VECTOR_AXIS).plus(&Affine::axis(1).times(k.n as i64)));
        let (buffer, so_far) = (BufferId(2), ValueId(1));
        let load = Instruction::Load {
            buffer,
            at: at.clone(),
            guards: vec![],
            fill: 0.0,
        };
        let store = |value| Instruction::Store {
            buffer,
            at: at.clone(),
            value,
        };
        let add = Instruction::Arithmetic(Arithmetic::Add, vec![so_far, ValueId(0)]);
        let kernel_of = |instructions: Vec<Instruction>| {
            let define = |(value, instruction)| Define {
                value: ValueId(value),
                instruction,
            };
            let mut product = k.clone();
            (product.a.buffer, product.b.buffer, product.k) = (BufferId(0), BufferId(1), part);
            product.epilogue = (0..).zip(instructions).map(define).collect();
            Kernel {
                buffers: buffers.clone(),
                body: KernelBody::Product(product),
            }
        };
        let stride = |along: i64| along as usize * part;
        Some(SumParts {
            first: kernel_of(vec![Instruction::Product, store(ValueId(0))]),
            next: kernel_of(vec![Instruction::Product, load, add, store(ValueId(2))]),
            strides: [stride(k.a.column_stride), stride(k.b.row_stride)],
            operands: [k.a.buffer, k.b.buffer].map(|b| tensors[b.0 as usize]),
            sums: k.m * k.n,
            epilogue: k.epilogue.clone(),
            buffers: kernel.buffers.clone(),
            shape: [k.m, k.n],
        })
    }

    /// The kernel that does what the epilogue did, with the sums that were stored in a tensor, and its tensors.
    pub fn behind(&self, tensors: &[TensorId], sums: TensorId) -> (Kernel, Vec<TensorId>) {
        let [m, n] = self.shape;
        let buffer = BufferId(self.buffers.len() as u32);
        let loaded = Instruction::Load {
            buffer,
            at: Position::from(Affine::axis(VECTOR_AXIS).plus(&Affine::axis(1).times(n as i64))),
            guards: vec![],
            fill: 0.0,
        };
        let body = self.epilogue.iter().map(|define| match define.instruction {
            Instruction::Product => Define {
                value: define.value,
                instruction: loaded.clone(),
            },
            _ => define.clone(),
        });
        let rows_per_task = (ELEMENTS_PER_TASK / n).clamp(1, m);
        let mut body = KernelBody::Loop(LoopKernel::straight(vec![m], n, body.collect(), rows_per_task));
        let read = Buffer {
            storage: Storage::F32,
            elements: m * n,
            written: false,
        };
        let all = [&self.buffers[..], &[read]].concat();
        let places: Vec<TensorId> = (0..all.len() as u32).map(TensorId).collect();
        // Which buffers are left, by their old numbers.
        let kept = canonical(&mut body, &places);
        let tensors = [tensors, &[sums]].concat();
        let kernel = Kernel {
            buffers: kept.iter().map(|old| all[old.0 as usize].clone()).collect(),
            body,
        };
        (kernel, kept.iter().map(|old| tensors[old.0 as usize]).collect())
    }
}
