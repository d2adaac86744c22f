//! Where a matrix product packs its operands: panel after panel of lanes, the steps of all turns of a chunk behind each
//! other.

use super::blocking::turns_follow;
use super::emitter::{Emitter, PLAIN, QUAD, WORD};
use super::form::Form;
use super::product::Product;
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

impl Product<'_> {
    /// Packs so many rows of `b` for some columns, unless they are read in panels.
    pub(super) fn pack_columns(&self, e: &mut Emitter, b: Value, rows: Value, columns: (Value, Value)) {
        let Some(pack) = self.pack_b else { return };
        let unit = e.stride(self.kernel.b.buffer);
        let panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
        let stride = self.kernel.b.column_stride * unit;
        let width = self.blocking.tile_columns;
        let offset = |e: &mut Emitter, column| match self.kernel.b_in_panels {
            true => self.in_panels(e, column),
            false => e.scaled(column, stride),
        };
        let matrix = match turns_follow(self.kernel) {
            true => None,
            false => Some(&self.kernel.b),
        };
        self.pack_panels(e, pack, (width, matrix), &offset, [panels, b, rows], columns);
    }

    /// Bytes from the first column of `b` to another one, where it lies in panels.
    pub(super) fn in_panels(&self, e: &mut Emitter, column: Value) -> Value {
        let shift = PANEL_COLUMNS.trailing_zeros();
        let panel = e.builder.ins().ushr_imm_u(column, i64::from(shift));
        let before = e.scaled(panel, self.kernel.panel_elements() as i64 * WORD);
        let inside = e.builder.ins().band_imm_s(column, PANEL_COLUMNS as i64 - 1);
        let inside = e.scaled(inside, WORD);
        e.builder.ins().iadd(before, inside)
    }

    /// Packs panel after panel of the lanes `[first, end)`; where a lane is, in bytes, is given. The steps may lie in a
    /// matrix's turns.
    pub(super) fn pack_panels(
        &self,
        e: &mut Emitter,
        pack: FuncRef,
        (width, in_turns): (usize, Option<&Matrix>),
        offset: &dyn Fn(&mut Emitter, Value) -> Value,
        [panels, source, products]: [Value; 3],
        (first, end): (Value, Value),
    ) {
        let length = self.steps(e, products);
        let panel_bytes = e.scaled(length, width as i64 * WORD);
        let end = match self.kernel.corner {
            None => end,
            // A corner may leave no steps.
            Some(_) => {
                let some = e.builder.ins().icmp_imm_s(IntCC::NotEqual, length, 0);
                e.builder.ins().select(some, end, first)
            }
        };
        e.count(first, end, width as i64, &[panels], &mut |e, lane, panel| {
            let moved = offset(e, lane);
            let source = e.builder.ins().iadd(source, moved);
            let left = e.builder.ins().isub(end, lane);
            let live = e.least(left, width as i64);
            match (self.kernel.turns_in_chunk(), in_turns) {
                (1, _) | (_, None) => {
                    e.builder.ins().call(pack, &[panel[0], source, products, live]);
                    if Some(pack) == self.pack_b {
                        self.fill_block(e, panel[0], products, length, width);
                    }
                }
                (turns, Some(matrix)) => {
                    let of_turn = self.kernel.turn_length();
                    let bytes = (of_turn / self.blocking.form.step() * width) as i64 * WORD;
                    let stride = matrix.turns.last().expect("there are turns") * e.stride(matrix.buffer);
                    e.repeat(turns, 1, &[panel[0], source], &mut |e, _, now| {
                        let products = e.integer(of_turn as i64);
                        e.builder.ins().call(pack, &[now[0], now[1], products, live]);
                        let panel = e.builder.ins().iadd_imm_s(now[0], bytes);
                        vec![panel, e.builder.ins().iadd_imm_s(now[1], stride)]
                    });
                }
            }
            vec![e.builder.ins().iadd(panel[0], panel_bytes)]
        });
    }

    /// Fills up the last block of a packed panel of `b` with zeros, where tiles are multiplied and it may lack steps.
    fn fill_block(&self, e: &mut Emitter, panel: Value, products: Value, length: Value, width: usize) {
        let k = self.kernel;
        if self.blocking.form != Form::Tiles || k.turn_length().is_multiple_of(self.blocking.form.unit()) {
            return;
        }
        let bytes = width as i64 * WORD;
        let above = e.builder.ins().iadd_imm_s(products, 1);
        let first = e.builder.ins().ushr_imm_u(above, 1);
        let before = e.scaled(first, bytes);
        let panel = e.builder.ins().iadd(panel, before);
        let zero = e.zeros();
        e.count(first, length, 1, &[panel], &mut |e, _, now| {
            for offset in (0..bytes as i32).step_by(QUAD * WORD as usize) {
                e.builder.ins().store(PLAIN.with_aligned(), zero, now[0], offset);
            }
            vec![e.builder.ins().iadd_imm_s(now[0], bytes)]
        });
    }
}
