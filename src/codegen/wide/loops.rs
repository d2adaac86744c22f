//! Loop kernels: tasks, rows and their passes; and loops as such. What is inside a pass is emitted elsewhere.

use super::code::*;
use super::emitter::{Axis, Emitter, Unsupported};
use super::encode::Condition;
use super::vector_pass::{Span, VectorPass};
use crate::codegen::analysis::{Levels, Varies, first_sequential, kept_stride};
use crate::ir::kernel::*;

/// The longest row that is worth a loop over its neighbours.
const SHORT_ROW: usize = 256;
/// So many neighbours are worth a loop.
const ROWS_MIN: usize = 4;

/// Emits the whole function's inside; `tasks` are the first and the one behind the last.
pub fn emit(e: &mut Emitter, kernel: &LoopKernel, (first, end): (Reg, Reg)) -> Result<(), Unsupported> {
    e.outer_axes = kernel.outer.len();
    e.kept_stride = kept_stride(kernel) as i64;
    let rows: usize = kernel.outer.iter().product();
    match kernel.vector_per_task {
        None => {
            let per_task = kernel.rows_per_task as i64;
            let first = e.scaled(first, per_task);
            let end = e.scaled(end, per_task);
            let end = e.least(end, rows as i64);
            match inner_rows(kernel) {
                Some(inner) => emit_inner_rows(e, kernel, inner, (first, end)),
                None => e.count(first, end, 1, &mut |e, row| {
                    let outer = e.unravel(row, &kernel.outer)?;
                    emit_row(e, kernel, &outer, Span::Whole)
                }),
            }
        }
        Some(cut) => {
            let cuts = kernel.vector.div_ceil(cut);
            e.count(first, end, 1, &mut |e, task| {
                let indices = e.unravel(task, &[rows, cuts])?;
                let [row, number] = [indices[0], indices[1]].map(|axis| e.whole(axis));
                let start = e.scaled(number, cut as i64);
                let end = e.plus(Some(start), cut as i64);
                let end = e.least(end, kernel.vector as i64);
                let outer = e.unravel(row, &kernel.outer)?;
                emit_row(e, kernel, &outer, Span::Part(start, end))
            })
        }
    }
}

/// How many rows the last outer axis makes, where rows are so short that what they share is worth a loop of its own.
fn inner_rows(kernel: &LoopKernel) -> Option<usize> {
    let (&inner, others) = kernel.outer.split_last()?;
    let several = inner >= ROWS_MIN && others.iter().product::<usize>() > 1;
    (several && kernel.vector <= SHORT_ROW).then_some(inner)
}

/// Rows `[first, end)`, those of the last outer axis in a loop inside.
fn emit_inner_rows(
    e: &mut Emitter,
    kernel: &LoopKernel,
    inner: usize,
    (first, end): (Reg, Reg),
) -> Result<(), Unsupported> {
    let last = kernel.outer.len();
    let rows: usize = kernel.outer.iter().product();
    let range = (0, (rows + inner) as i64);
    let from = e.divided(first, inner as i64, range)?;
    let to = e.plus(Some(end), inner as i64 - 1);
    let to = e.divided(to, inner as i64, range)?;
    e.count(from, to, 1, &mut |e, group| {
        let before = e.scaled(group, inner as i64);
        let [start, stop] =
            [first, end].map(|row| e.code.to_word(|d| Step::Words(WordOperation::Subtract, d, row, before)));
        let zero = e.number(0);
        let start = e.code.to_word(|d| Step::Words(WordOperation::Greatest, d, start, zero));
        let stop = e.least(stop, inner as i64);
        let outer = e.unravel(group, &kernel.outer[..last - 1])?;
        e.open();
        e.indices = [None].into_iter().chain(outer.iter().map(|i| Some(*i))).collect();
        for pass in &kernel.passes {
            e.sizes = sizes(kernel, pass);
            e.indices.resize(e.sizes.len(), None);
            e.prepare_before(pass.body.iter().chain(&pass.finish), last)?;
        }
        e.count(start, stop, 1, &mut |e, index| {
            let outer: Vec<Axis> = outer.iter().copied().chain([Axis::of(index)]).collect();
            emit_row(e, kernel, &outer, Span::Whole)
        })?;
        e.close();
        Ok(())
    })
}

fn sizes(kernel: &LoopKernel, pass: &Pass) -> Vec<usize> {
    let inner = kernel.outer.iter().chain(&pass.sequential);
    [kernel.vector].iter().chain(inner).copied().collect()
}

fn emit_row(e: &mut Emitter, kernel: &LoopKernel, outer: &[Axis], span: Span) -> Result<(), Unsupported> {
    let mut levels = Levels::default();
    e.open();
    for pass in &kernel.passes {
        e.sizes = sizes(kernel, pass);
        e.indices = [None].into_iter().chain(outer.iter().map(|i| Some(*i))).collect();
        e.indices.resize(e.sizes.len(), None);
        levels.enter(&pass.body, first_sequential(kernel.outer.len()));
        levels.enter(&pass.finish, usize::MAX);
        e.prepare(pass.body.iter().chain(&pass.finish), |varies| {
            varies == Varies::default()
        })?;
        if pass.vector {
            VectorPass::new(pass, &levels).emit(e, span)?;
        } else {
            for define in &pass.body {
                e.instruction(define, &levels, 1)?;
            }
        }
        levels.leave();
    }
    e.close();
    Ok(())
}

/// One round of a loop with its index.
pub type LoopBody<'b, 'e> = dyn FnMut(&mut Emitter<'e>, Reg) -> Result<(), Unsupported> + 'b;

impl<'a> Emitter<'a> {
    /// `for index in start..end` by steps; perhaps no round.
    pub fn count(&mut self, start: Reg, end: Reg, step: i64, body: &mut LoopBody<'_, 'a>) -> Result<(), Unsupported> {
        let index = self.code.to_word(|d| Step::Copy(d, start));
        let behind = self.code.target();
        let until = With::Word(end);
        self.code
            .push(Step::Branch(Condition::GreaterEqual, index, until, behind));
        self.repeat(index, until, step, &mut |e| body(e, index))?;
        self.code.push(Step::Bind(behind));
        Ok(())
    }

    /// Runs `body` with `index` from where it is while it is below `end`, at least once.
    pub fn repeat(
        &mut self,
        index: Reg,
        end: With,
        step: i64,
        body: &mut dyn FnMut(&mut Emitter<'a>) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let number = self.code.open_loop();
        let again = self.code.target();
        self.code.push(Step::Bind(again));
        body(self)?;
        self.code.close_loop(number, index, end, step, again);
        Ok(())
    }
}
