//! What a product will soon read and write: while it multiplies, its routine brings nearer what the epilogue of the block
//! touches, and what is packed for the next chunk. Both would else wait for memory while nothing is multiplied.

use super::chunk::Chunk;
use super::emitter::{Emitter, PLAIN};
use super::product::{Block, Product};
use crate::codegen::wide::ahead::{Field, REGIONS};
use crate::ir::affine::Position;
use crate::ir::kernel::*;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Some rows of memory.
struct Region {
    start: Value,
    /// Of each row.
    bytes: Value,
    /// From row to row.
    stride: i64,
    rows: Value,
}

/// The number of the rows' axis in an epilogue's positions.
fn row_axis(kernel: &MatrixProduct) -> usize {
    kernel.batch.len() + 1
}

/// What an epilogue reads or writes and what lies row by row: of each place in a buffer, neighbours for neighbouring columns
/// and one stride from row to row.
pub(super) fn streams(kernel: &MatrixProduct) -> Vec<(BufferId, Position)> {
    let row = row_axis(kernel);
    let mut streams: Vec<(BufferId, Position)> = vec![];
    for define in &kernel.epilogue {
        let (Instruction::Load { buffer, at, .. } | Instruction::Store { buffer, at, .. }) = &define.instruction else {
            continue;
        };
        let moves = |axis: usize| at.digits.iter().any(|digit| digit.of.coefficient(axis) != 0);
        let evenly = !moves(VECTOR_AXIS) && !moves(row);
        let stream = (*buffer, at.clone());
        let by_row = at.affine.coefficient(row) != 0;
        if evenly && by_row && at.affine.coefficient(VECTOR_AXIS) == 1 && !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    // And two operands.
    streams.truncate(REGIONS - 2);
    streams
}

impl Product<'_> {
    /// Writes down what the multiplication of a chunk shall bring nearer; gives where.
    pub(super) fn look_ahead(&self, e: &mut Emitter, chunk: Chunk, block: &Block) -> Option<Value> {
        let list = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.ahead? as i64);
        let mut regions = self.of_epilogue(e, chunk, block);
        regions.extend(self.of_next_chunk(e, chunk, block));
        let zero = e.integer(0);
        let mut fields = vec![];
        for (number, region) in regions.iter().enumerate() {
            let stride = e.integer(region.stride);
            fields.extend([
                (Field::Start(number), region.start),
                (Field::Bytes(number), region.bytes),
                (Field::Stride(number), stride),
                (Field::Rows(number), region.rows),
            ]);
        }
        let first = e.builder.ins().iadd_imm_s(list, i64::from(Field::Start(0).offset()));
        fields.extend([
            (Field::Bytes(regions.len()), zero),
            (Field::Rows(regions.len()), zero),
            (Field::Now, zero),
            (Field::End, zero),
            (Field::Region, first),
        ]);
        for (field, value) in fields {
            e.builder.ins().store(PLAIN, value, list, field.offset());
        }
        Some(list)
    }

    /// What the epilogue touches of a block: no rows before the block's last chunk.
    fn of_epilogue(&self, e: &mut Emitter, chunk: Chunk, block: &Block) -> Vec<Region> {
        let (first, end) = block.rows;
        let (left, right) = block.columns;
        let rows = e.builder.ins().isub(end, first);
        let columns = e.builder.ins().isub(right, left);
        let none = e.integer(0);
        let rows = e.builder.ins().select(chunk.is_last, rows, none);
        e.memory.open();
        e.indices = [left]
            .iter()
            .chain(&block.batch)
            .chain([&first])
            .copied()
            .map(Some)
            .collect();
        let regions = streams(self.kernel).into_iter().map(|(buffer, at)| {
            let (pointer, offset) = e.address(buffer, &at, 0);
            Region {
                start: e.builder.ins().iadd_imm_s(pointer, i64::from(offset)),
                bytes: e.scaled(columns, e.stride(buffer)),
                stride: at.affine.coefficient(row_axis(self.kernel)) * e.stride(buffer),
                rows,
            }
        });
        let regions = regions.collect();
        e.memory.close();
        regions
    }

    /// What is packed of each operand for the chunk behind this one, if chunks are packed one by one.
    fn of_next_chunk(&self, e: &mut Emitter, chunk: Chunk, block: &Block) -> Vec<Region> {
        let k = self.kernel;
        // Else the next chunk lies elsewhere, or is perhaps left out.
        let follows = k.turns.is_empty() && k.strips.is_empty() && k.corner.is_none();
        let packs_b = self.pack_b.is_some() && !k.b_in_panels && !self.blocking.packs_once(k);
        let (a, b) = (&k.a, &k.b);
        let operands = [
            (
                self.pack_a.is_some(),
                a,
                chunk.a,
                [a.row_stride, a.column_stride],
                block.rows,
            ),
            (packs_b, b, chunk.b, [b.column_stride, b.row_stride], block.columns),
        ];
        let none = e.integer(0);
        let products = e.builder.ins().select(chunk.is_last, none, chunk.products);
        let packed = operands.into_iter().filter(|operand| operand.0 && follows);
        let regions = packed.filter_map(|(_, matrix, origin, strides, (first, end))| {
            let unit = e.stride(matrix.buffer);
            let [lane, step] = strides.map(|stride| stride * unit);
            let before = e.scaled(first, lane);
            let start = e.builder.ins().iadd(origin, before);
            let start = e.builder.ins().iadd_imm_s(start, k.chunk() as i64 * step);
            let lanes = e.builder.ins().isub(end, first);
            let (of_row, stride, rows) = match (lane == unit, step == unit) {
                (true, _) => (lanes, step, products),
                (false, true) => (products, lane, e.builder.ins().select(chunk.is_last, none, lanes)),
                (false, false) => return None,
            };
            let bytes = e.scaled(of_row, unit);
            Some(Region {
                start,
                bytes,
                stride,
                rows,
            })
        });
        regions.collect()
    }
}
