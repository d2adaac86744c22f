//! A kernel's functions as machine code: the loops of a loop kernel, the epilogue of a product, the two functions of a
//! scatter. What cannot be encoded is left to the portable emitter.

use super::code::{Reg, Step};
use super::emitter::{Axis, Emitter, Unsupported};
use super::encode::{Assembler, Gpr, Shift, gpr::*};
use super::encode_vector::Width;
use super::select::select;
use super::vector_pass::{Span, VectorPass};
use super::{loops, scatter};
use crate::codegen::analysis::{Levels, Ranges, Varies};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKinds;

/// The registers of the first six parameters.
const PARAMETERS: [Gpr; 6] = [RDI, RSI, RDX, RCX, R8, R9];

/// `fn(buffers, scratch, first task, end task)`.
pub fn loop_function(
    buffers: &[Buffer],
    kinds: &ValueKinds,
    kernel: &LoopKernel,
    width: Width,
    lists: bool,
) -> Result<Assembler, Unsupported> {
    let mut e = Emitter::new(width, buffers, kinds);
    e.ranges = Ranges::of(kernel.passes.iter().flat_map(|p| p.body.iter().chain(&p.finish)));
    let tasks = (e.code.word(), e.code.word());
    loops::emit(&mut e, kernel, tasks)?;
    Ok(finish(&e, &[e.table, e.scratch, tasks.0, tasks.1], lists))
}

/// A scatter's function, or the one that clears its table first.
pub fn scatter_function(
    buffers: &[Buffer],
    kernel: &Scatter,
    clears: bool,
    width: Width,
    lists: bool,
) -> Result<Assembler, Unsupported> {
    let none = ValueKinds::new();
    let mut e = Emitter::new(width, buffers, &none);
    let tasks = (e.code.word(), e.code.word());
    match clears {
        true => scatter::emit_clearing(&mut e, kernel, tasks)?,
        false => scatter::emit(&mut e, kernel, tasks)?,
    }
    Ok(finish(&e, &[e.table, e.scratch, tasks.0, tasks.1], lists))
}

/// `fn(buffers, tile, batch, first row, end row, columns)`: the epilogue over a block, whose products lie in the tile, row
/// after row of `tile_row_bytes`. `batch` numbers the batch indices, `columns` is the first plus 2³² times the end.
pub fn epilogue_function(
    buffers: &[Buffer],
    kinds: &ValueKinds,
    kernel: &MatrixProduct,
    tile_row_bytes: i64,
    width: Width,
    lists: bool,
) -> Result<Assembler, Unsupported> {
    let mut e = Emitter::new(width, buffers, kinds);
    e.ranges = Ranges::of(&kernel.epilogue);
    let [batch, first, end, columns] = [(); 4].map(|()| e.code.word());
    let right = e.code.to_word(|d| Step::Shift(Shift::Right, d, columns, 32));
    let left = e.code.to_word(|d| Step::Shift(Shift::Left, d, columns, 32));
    let left = e.code.to_word(|d| Step::Shift(Shift::Right, d, left, 32));
    let pass = kernel.epilogue_pass();
    let mut levels = Levels::default();
    levels.enter(&kernel.epilogue, usize::MAX);
    e.outer_axes = kernel.batch.len() + 1;
    e.sizes = [kernel.n]
        .iter()
        .chain(&kernel.batch)
        .chain([&kernel.m])
        .copied()
        .collect();
    let indices = e.unravel(batch, &kernel.batch)?;
    // The tile's first column is the block's.
    let before = e.scaled(left, -4);
    let row_start = e.sum(Some(e.scratch), before);
    let whole = kernel.columns_per_task >= kernel.n && kernel.n as i64 * 4 <= tile_row_bytes;
    e.count(first, end, 1, &mut |e, row| {
        e.open();
        e.indices = [None].into_iter().chain(indices.iter().map(|i| Some(*i))).collect();
        e.indices.push(Some(Axis::of(row)));
        e.product = Some(row_start);
        e.prepare(&pass.body, |varies| varies == Varies::default())?;
        let span = if whole { Span::Whole } else { Span::Part(left, right) };
        VectorPass::new(&pass, &levels).emit(e, span)?;
        e.close();
        e.code.push(Step::AddNumber(row_start, row_start, tile_row_bytes));
        Ok(())
    })?;
    Ok(finish(&e, &[e.table, e.scratch, batch, first, end, columns], lists))
}

fn finish(e: &Emitter, parameters: &[Reg], lists: bool) -> Assembler {
    let parameters: Vec<(Reg, Gpr)> = parameters.iter().copied().zip(PARAMETERS).collect();
    select(&e.code, &parameters, lists)
}
