//! Loop kernels: rows and their passes. The passes over the vector axis are emitted elsewhere.

use super::emitter::Emitter;
use super::vector_pass::{Span, VectorPass};
use crate::codegen::analysis::{Levels, Varies, first_sequential, kept_stride};
use crate::ir::kernel::*;
use cranelift_codegen::ir::types::F32X4;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Bytes of scratch memory that a kernel needs.
pub fn scratch_bytes(kernel: &LoopKernel) -> usize {
    kernel.rows_kept as usize * kept_stride(kernel)
}

/// Emits the whole function's inside.
pub fn emit(e: &mut Emitter, kernel: &LoopKernel) {
    e.outer_axes = kernel.outer.len();
    e.kept_stride = kept_stride(kernel) as i64;
    e.lay_out_fills(kernel.passes.iter().flat_map(|p| p.body.iter().chain(&p.finish)));
    let rows: usize = kernel.outer.iter().product();
    let (first, end) = e.tasks;
    match kernel.vector_per_task {
        None => {
            let per_task = kernel.rows_per_task as i64;
            let first = e.scaled(first, per_task);
            let end = e.scaled(end, per_task);
            let end = e.least(end, rows as i64);
            e.count(first, end, 1, &[], &mut |e, row, _| {
                emit_row(e, kernel, row, Span::Whole);
                vec![]
            });
        }
        Some(cut) => {
            let cuts = kernel.vector.div_ceil(cut);
            e.count(first, end, 1, &[], &mut |e, task, _| {
                let indices = e.unravel(task, &[rows, cuts]);
                let start = e.scaled(indices[1], cut as i64);
                let end = e.builder.ins().iadd_imm_s(start, cut as i64);
                let end = e.least(end, kernel.vector as i64);
                emit_row(e, kernel, indices[0], Span::Part(start, end));
                vec![]
            });
        }
    }
}

fn emit_row(e: &mut Emitter, kernel: &LoopKernel, row: Value, span: Span) {
    let outer = e.unravel(row, &kernel.outer);
    let mut levels = Levels::default();
    e.memory.open();
    for pass in &kernel.passes {
        e.sizes = [kernel.vector]
            .iter()
            .chain(&kernel.outer)
            .chain(&pass.sequential)
            .copied()
            .collect();
        e.indices = [None].into_iter().chain(outer.iter().map(|i| Some(*i))).collect();
        e.indices.resize(e.sizes.len(), None);
        levels.enter(&pass.body, first_sequential(kernel.outer.len()));
        levels.enter(&pass.finish, usize::MAX);
        e.prepare(pass.body.iter().chain(&pass.finish), |varies| {
            varies == Varies::default()
        });
        if pass.vector {
            VectorPass::new(pass, &levels).emit(e, span);
        } else {
            for define in &pass.body {
                e.instruction(define, &levels, 1);
            }
        }
        levels.leave();
    }
    e.memory.close();
}

impl Emitter<'_> {
    /// The indices of a row-major number, each below its size.
    pub fn unravel(&mut self, number: Value, sizes: &[usize]) -> Vec<Value> {
        let mut rest = number;
        let mut indices = vec![];
        for (at, &size) in sizes.iter().enumerate().rev() {
            if size == 1 {
                indices.push(self.integer(0));
            } else if sizes[..at].iter().all(|s| *s == 1) {
                indices.push(rest);
            } else {
                let most = sizes[..=at].iter().product::<usize>() as i64 - 1;
                let quotient = self.divided(rest, size as i64, (0, most));
                let product = self.builder.ins().imul_imm_s(quotient, size as i64);
                indices.push(self.builder.ins().isub(rest, product));
                rest = quotient;
            }
        }
        indices.reverse();
        indices
    }

    /// A vector of zeros.
    pub fn zeros(&mut self) -> Value {
        self.splat_bits(F32X4, 0)
    }
}
