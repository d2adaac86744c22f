//! Which parts of a block of a matrix product are multiplied one after the other: chunks of the sums, turn by turn and
//! without what a corner leaves out, and strips of the rows.

use super::emitter::Emitter;
use super::product::{Block, Product};
use crate::ir::corner::{CORNER_BLOCK, Corner, ProductAxis};
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// A part of the sums: the addresses of the first factors of the first row and column, the steps before it and its own,
/// and how many products these are.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub a: Value,
    pub b: Value,
    pub at: Value,
    /// Steps of the chunk that are left out in front.
    pub without: Option<Value>,
    pub length: Value,
    pub products: Value,
    /// Whether no chunk of its block follows.
    pub is_last: Value,
}

/// Rows of a block that have one stride in `a`: the address of the first one, how many rows of the block are above it,
/// and how many there are.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub a: Value,
    pub above: Value,
    pub rows: Value,
}

impl Product<'_> {
    /// Emits loops over the turns of the sums and the chunks of each; `b` is packed chunk by chunk unless that was done
    /// at once.
    pub(super) fn each_chunk(
        &self,
        e: &mut Emitter,
        [a, b]: [Value; 2],
        block: &Block,
        each: &mut dyn FnMut(&mut Emitter, Chunk),
    ) {
        let k = self.kernel;
        let in_chunk = k.turns_in_chunk();
        let together = k.turn_length() * in_chunk;
        let mut sizes = k.turns.clone();
        let mut strides = [&k.a, &k.b].map(|m| m.turns.clone());
        if let Some(inner) = sizes.last_mut() {
            *inner /= in_chunk;
            for stride in strides.iter_mut().filter_map(|s| s.last_mut()) {
                *stride *= in_chunk as i64;
            }
        }
        let all_turns = sizes.iter().product::<usize>() as i64;
        let (zero, turns) = (e.integer(0), e.integer(all_turns));
        e.count(zero, turns, 1, &[], &mut |e, turn, _| {
            let (mut a, mut b) = (a, b);
            if !sizes.is_empty() {
                let indices = e.unravel(turn, &sizes);
                a = self.moved(e, a, &k.a, &indices, &strides[0]);
                b = self.moved(e, b, &k.b, &indices, &strides[1]);
            }
            let before = e.scaled(turn, self.blocking.turn_steps as i64);
            let length = e.integer(together as i64);
            e.count(zero, length, k.chunk() as i64, &[], &mut |e, first, _| {
                let a_bytes = e.scaled(first, k.a.column_stride * e.stride(k.a.buffer));
                let left = e.builder.ins().isub(length, first);
                let b_bytes = e.scaled(first, k.b.row_stride * e.stride(k.b.buffer));
                let products = match together <= k.chunk() {
                    true => length,
                    false => e.least(left, k.chunk() as i64),
                };
                let steps_before = self.steps(e, first);
                let in_last_turn = e.builder.ins().icmp_imm_s(IntCC::Equal, turn, all_turns - 1);
                let last_of_turn = e
                    .builder
                    .ins()
                    .icmp_imm_s(IntCC::SignedLessThanOrEqual, left, k.chunk() as i64);
                let chunk = Chunk {
                    a: e.builder.ins().iadd(a, a_bytes),
                    b: e.builder.ins().iadd(b, b_bytes),
                    at: e.builder.ins().iadd(before, steps_before),
                    without: None,
                    length: self.steps(e, products),
                    products,
                    is_last: e.builder.ins().band(in_last_turn, last_of_turn),
                };
                let chunk = self.without_corner(e, chunk, first, block);
                if !self.blocking.packs_once(k) {
                    self.pack_columns(e, chunk.b, chunk.products, block.columns);
                }
                each(e, chunk);
                vec![]
            });
            vec![]
        });
    }

    /// What a corner of the sums leaves of a chunk that begins with some product of its turn; perhaps no steps.
    fn without_corner(&self, e: &mut Emitter, chunk: Chunk, first: Value, block: &Block) -> Chunk {
        let k = self.kernel;
        let Some(corner) = k.corner.filter(|c| c.other == ProductAxis::Sum) else {
            return chunk;
        };
        let zero = e.integer(0);
        let [least, end] = self.kept(e, corner, block);
        let [least, end] = [(least, zero), (end, chunk.products)].map(|(bound, whole)| match bound {
            None => whole,
            Some(bound) => {
                let inside = e.builder.ins().isub(bound, first);
                let inside = greater(e, inside, zero);
                lesser(e, inside, chunk.products)
            }
        });
        let products = e.builder.ins().isub(end, least);
        let a_bytes = e.scaled(least, k.a.column_stride * e.stride(k.a.buffer));
        let b_bytes = e.scaled(least, k.b.row_stride * e.stride(k.b.buffer));
        Chunk {
            a: e.builder.ins().iadd(chunk.a, a_bytes),
            b: e.builder.ins().iadd(chunk.b, b_bytes),
            without: Some(self.steps(e, least)),
            length: self.steps(e, products),
            products,
            ..chunk
        }
    }

    /// The least index of a corner's other axis that it does not leave out for a block, and one beyond the greatest.
    fn kept(&self, e: &mut Emitter, corner: Corner, block: &Block) -> [Option<Value>; 2] {
        let (first, size) = match corner.of {
            ProductAxis::Row => (block.rows.0, self.kernel.m),
            _ => (block.columns.0, self.kernel.n),
        };
        let rows = (corner.period * corner.repeat) as i64;
        let first = match size as i64 == rows {
            true => first,
            false => {
                let periods = e.divided(first, rows, (0, size as i64));
                let before = e.scaled(periods, rows);
                e.builder.ins().isub(first, before)
            }
        };
        let mut first = e.divided(first, corner.repeat as i64, (0, rows));
        if corner.repeat > 1 {
            // Of the corner's block, of which this is a part.
            first = e.builder.ins().band_imm_s(first, -(CORNER_BLOCK as i64));
        }
        let (least, end) = corner.kept();
        [least, end].map(|bound| bound.map(|bound| e.builder.ins().iadd_imm_s(first, bound)))
    }

    /// The steps of some columns from `column` on: none if a corner leaves out these columns.
    pub(super) fn steps_of(&self, e: &mut Emitter, column: Value, length: Value, block: &Block) -> Value {
        let Some(corner) = self.kernel.corner.filter(|c| c.other == ProductAxis::Column) else {
            return length;
        };
        let none = e.integer(0);
        match self.kept(e, corner, block) {
            [Some(least), _] => {
                let out = e.builder.ins().icmp(IntCC::SignedLessThan, column, least);
                e.builder.ins().select(out, none, length)
            }
            [_, Some(end)] => {
                let kept = e.builder.ins().icmp(IntCC::SignedLessThan, column, end);
                e.builder.ins().select(kept, length, none)
            }
            _ => length,
        }
    }

    /// The steps of so many products.
    pub(super) fn steps(&self, e: &mut Emitter, products: Value) -> Value {
        let (step, unit) = (self.blocking.form.step(), self.blocking.form.unit());
        if unit == 1 {
            return products;
        }
        let above = e.builder.ins().iadd_imm_s(products, unit as i64 - 1);
        let steps = e.builder.ins().ushr_imm_u(above, i64::from(step.trailing_zeros()));
        match unit / step {
            1 => steps,
            of_unit => e.builder.ins().band_imm_s(steps, -(of_unit as i64)),
        }
    }

    /// Emits a loop over the parts of a block's rows that lie in one strip each.
    pub(super) fn each_strip(
        &self,
        e: &mut Emitter,
        a: Value,
        block: &Block,
        each: &mut dyn FnMut(&mut Emitter, Strip),
    ) {
        let k = self.kernel;
        let (first, end) = block.rows;
        let row_bytes = k.a.row_stride * e.stride(k.a.buffer);
        if k.strips.is_empty() {
            let before = e.scaled(first, row_bytes);
            let a = e.builder.ins().iadd(a, before);
            let above = e.integer(0);
            let rows = e.builder.ins().isub(end, first);
            return each(e, Strip { a, above, rows });
        }
        let (strip_rows, all) = (k.strip_rows() as i64, k.m as i64 + 1);
        let first_strip = e.divided(first, strip_rows, (0, all));
        let end_strip = e.builder.ins().iadd_imm_s(end, strip_rows - 1);
        let end_strip = e.divided(end_strip, strip_rows, (0, all + strip_rows));
        e.count(first_strip, end_strip, 1, &[], &mut |e, strip, _| {
            let start = e.scaled(strip, strip_rows);
            let from = greater(e, first, start);
            let to = e.builder.ins().iadd_imm_s(start, strip_rows);
            let to = lesser(e, to, end);
            let indices = e.unravel(strip, &k.strips);
            let a = self.moved(e, a, &k.a, &indices, &k.a.strips);
            let within = e.builder.ins().isub(from, start);
            let within = e.scaled(within, row_bytes);
            let part = Strip {
                a: e.builder.ins().iadd(a, within),
                above: e.builder.ins().isub(from, first),
                rows: e.builder.ins().isub(to, from),
            };
            each(e, part);
            vec![]
        });
    }

    /// An address moved along some axes.
    pub(super) fn moved(
        &self,
        e: &mut Emitter,
        mut at: Value,
        matrix: &Matrix,
        indices: &[Value],
        strides: &[i64],
    ) -> Value {
        let unit = e.stride(matrix.buffer);
        for (&index, &stride) in indices.iter().zip(strides).filter(|(_, stride)| **stride != 0) {
            let bytes = e.scaled(index, stride * unit);
            at = e.builder.ins().iadd(at, bytes);
        }
        at
    }

    /// The step of the sums with which a chunk begins.
    pub(super) fn first_step(&self, e: &mut Emitter, chunk: Chunk) -> Value {
        match chunk.without {
            Some(steps) => e.builder.ins().iadd(chunk.at, steps),
            None => chunk.at,
        }
    }
}

pub(super) fn lesser(e: &mut Emitter, a: Value, b: Value) -> Value {
    let less = e.builder.ins().icmp(IntCC::SignedLessThan, a, b);
    e.builder.ins().select(less, a, b)
}

pub(super) fn greater(e: &mut Emitter, a: Value, b: Value) -> Value {
    let greater = e.builder.ins().icmp(IntCC::SignedGreaterThan, a, b);
    e.builder.ins().select(greater, a, b)
}
