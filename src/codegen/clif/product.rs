//! Matrix products: packed panels, tiles in scratch memory, the epilogue over each block while it is hot. The
//! loops inside are routines, of this emitter or of the wide one.

use super::blocking::Blocking;
use super::chunk::{Chunk, Strip, greater, lesser};
use super::emitter::{Emitter, WORD};
use super::form::Form;
use super::routine::{TILE_COLUMNS, TILE_ROWS};
use super::vector_pass::{Span, VectorPass};
use crate::codegen::analysis::{Levels, Varies};
use crate::codegen::target::{Pairs, Simd};
use crate::codegen::wide::encode_vector::Width;
use crate::ir::kernel::*;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// What the loops of one product share.
pub(super) struct Product<'k> {
    pub kernel: &'k MatrixProduct,
    simd: Simd,
    pub blocking: Blocking,
    multiply: FuncRef,
    /// Where columns are packed: unless they lie in panels, which the wide multiplication reads.
    pub pack_b: Option<FuncRef>,
    /// Where `a` is packed.
    pub pack_a: Option<FuncRef>,
    /// The epilogue's function, where the wide emitter makes it.
    wide_epilogue: Option<FuncRef>,
    epilogue: Pass,
    levels: Levels,
}

/// A block of the result: the batch indices, `[first, end)` rows and columns.
pub(super) struct Block {
    pub batch: Vec<Value>,
    batch_number: Value,
    pub rows: (Value, Value),
    pub columns: (Value, Value),
}

/// Emits the whole function's inside; `routines` are those of [`routines`].
pub fn emit(e: &mut Emitter, kernel: &MatrixProduct, simd: Simd, routines: &[FuncRef], wide_epilogue: Option<FuncRef>) {
    let mut routines = routines.iter().copied();
    let multiply = routines.next().expect("every product multiplies");
    let blocking = Blocking::of(e.buffers, kernel, simd);
    // What begins and ends the use of tiles.
    let tiles = (blocking.form == Form::Tiles).then(|| {
        let mut next = || routines.next().expect("tiles have a begin and an end");
        [next(), next()]
    });
    let mut levels = Levels::default();
    levels.enter(&kernel.epilogue, usize::MAX);
    let product = Product {
        kernel,
        simd,
        blocking,
        multiply,
        pack_b: if blocking.packs_b { routines.next() } else { None },
        pack_a: routines.next(),
        wide_epilogue,
        epilogue: kernel.epilogue_pass(),
        levels,
    };
    e.outer_axes = kernel.batch.len() + 1;
    e.sizes = [kernel.n]
        .iter()
        .chain(&kernel.batch)
        .chain([&kernel.m])
        .copied()
        .collect();
    if wide_epilogue.is_none() {
        e.lay_out_fills(&kernel.epilogue);
    }
    if let Some([begin, _]) = tiles {
        e.builder.ins().call(begin, &[]);
    }
    product.emit_tasks(e);
    if let Some([_, end]) = tiles {
        e.builder.ins().call(end, &[]);
    }
}

impl Product<'_> {
    /// Tasks are numbered by batch, then columns, then rows; those that differ only in rows are taken together.
    fn emit_tasks(&self, e: &mut Emitter) {
        let k = self.kernel;
        let row_tasks = k.m.div_ceil(k.rows_per_task);
        let column_tasks = k.n.div_ceil(k.columns_per_task);
        let (first, end) = e.tasks;
        let groups: usize = k.batch.iter().chain([&column_tasks]).product();
        let tasks = ((groups + 1) * row_tasks) as i64;
        let groups_end = e.builder.ins().iadd_imm_s(end, row_tasks as i64 - 1);
        let (group, groups_end) = match row_tasks {
            1 => (first, end),
            _ => (
                e.divided(first, row_tasks as i64, (0, tasks)),
                e.divided(groups_end, row_tasks as i64, (0, tasks)),
            ),
        };
        e.count(group, groups_end, 1, &[], &mut |e, group, _| {
            let start = e.scaled(group, row_tasks as i64);
            let from = e.builder.ins().isub(first, start);
            let zero = e.integer(0);
            let from = greater(e, from, zero);
            let to = e.builder.ins().isub(end, start);
            let to = e.least(to, row_tasks as i64);
            let first_row = e.scaled(from, k.rows_per_task as i64);
            let end_row = e.scaled(to, k.rows_per_task as i64);
            let end_row = e.least(end_row, k.m as i64);
            let sizes: Vec<usize> = k.batch.iter().chain([&column_tasks]).copied().collect();
            let mut batch = e.unravel(group, &sizes);
            let column_task = batch.pop().expect("the last one");
            let batch_number = e.divided(group, column_tasks as i64, (0, groups as i64));
            let first_column = e.scaled(column_task, k.columns_per_task as i64);
            let end_column = e.builder.ins().iadd_imm_s(first_column, k.columns_per_task as i64);
            let end_column = e.least(end_column, k.n as i64);
            let block = Block {
                batch,
                batch_number,
                rows: (first_row, end_row),
                columns: (first_column, end_column),
            };
            self.emit_columns(e, &block);
            vec![]
        });
    }

    fn emit_columns(&self, e: &mut Emitter, task: &Block) {
        let a = self.origin(e, &self.kernel.a, &task.batch);
        let b = self.origin(e, &self.kernel.b, &task.batch);
        let (first, end) = task.columns;
        e.count(first, end, self.blocking.columns as i64, &[], &mut |e, column, _| {
            let columns_end = e.builder.ins().iadd_imm_s(column, self.blocking.columns as i64);
            let columns_end = lesser(e, columns_end, end);
            if self.blocking.packs_once(self.kernel) {
                let all = e.integer(self.kernel.k as i64);
                self.pack_columns(e, b, all, (column, columns_end));
            }
            let (first, end) = task.rows;
            e.count(first, end, self.blocking.rows as i64, &[], &mut |e, row, _| {
                let rows_end = e.builder.ins().iadd_imm_s(row, self.blocking.rows as i64);
                let rows_end = lesser(e, rows_end, end);
                let block = Block {
                    batch: task.batch.clone(),
                    batch_number: task.batch_number,
                    rows: (row, rows_end),
                    columns: (column, columns_end),
                };
                match self.blocking.packed_rows {
                    // A tile may write over the rows behind its strip, which must come later.
                    Some(rows) if self.simd.width == Width::W128 => self.each_strip(e, a, &block, &mut |e, strip| {
                        self.each_chunk(e, [strip.a, b], &block, &mut |e, chunk| {
                            self.multiply_packed(e, chunk, strip, &block, rows);
                        });
                    }),
                    _ => self.each_chunk(e, [a, b], &block, &mut |e, chunk| {
                        let ahead = self.look_ahead(e, chunk, &block);
                        self.each_strip(e, chunk.a, &block, &mut |e, strip| {
                            self.multiply_wide(e, chunk, strip, &block, ahead);
                        });
                    }),
                }
                self.emit_epilogue(e, &block);
                vec![]
            });
            vec![]
        });
    }

    /// The address of a matrix of the current batch index.
    fn origin(&self, e: &mut Emitter, matrix: &Matrix, batch: &[Value]) -> Value {
        let base = e.pointers[matrix.buffer.0 as usize];
        let unit = e.stride(matrix.buffer);
        let origin = e.builder.ins().iadd_imm_s(base, matrix.constant * unit);
        self.moved(e, origin, matrix, batch, &matrix.batch)
    }

    /// Multiplies some rows of a block, where they lie or packed, with the packed columns, over one chunk.
    fn multiply_wide(&self, e: &mut Emitter, chunk: Chunk, strip: Strip, block: &Block, ahead: Option<Value>) {
        let Chunk { b, at, length, .. } = chunk;
        let rows = strip.rows;
        let a = match (self.blocking.packed_rows, self.pack_a) {
            (Some(lanes), Some(pack)) => {
                let panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.a_panels as i64);
                let stride = self.kernel.a.row_stride * e.stride(self.kernel.a.buffer);
                let offset = |e: &mut Emitter, row| e.scaled(row, stride);
                let zero = e.integer(0);
                let lanes = (lanes, Some(&self.kernel.a));
                self.pack_panels(e, pack, lanes, &offset, [panels, strip.a, chunk.products], (zero, rows));
                panels
            }
            _ => strip.a,
        };
        let tile_columns = self.blocking.tile_columns;
        let width = tile_columns as i64 * WORD;
        let (panels, columns, panel_bytes) = if self.kernel.b_in_panels {
            let before = self.in_panels(e, block.columns.0);
            let panels = e.builder.ins().iadd(b, before);
            let bytes = e.integer(self.kernel.panel_elements() as i64 * WORD);
            (panels, PANEL_COLUMNS, bytes)
        } else if !self.blocking.packs_b {
            // The only panel.
            (b, tile_columns, e.integer(0))
        } else {
            let mut panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
            if self.blocking.packs_once(self.kernel) {
                let first = self.first_step(e, chunk);
                let before = e.scaled(first, width);
                panels = e.builder.ins().iadd(panels, before);
            }
            let packed = match self.blocking.packs_once(self.kernel) {
                true => e.integer(self.blocking.packed_steps as i64),
                false => length,
            };
            (panels, tile_columns, e.scaled(packed, width))
        };
        let (left, right) = block.columns;
        let above = e.scaled(strip.above, self.blocking.columns as i64 * WORD);
        let tile = e.builder.ins().iadd(e.scratch, above);
        e.count(left, right, columns as i64, &[tile, panels], &mut |e, column, now| {
            let (mut tile, panel) = (now[0], now[1]);
            let steps = self.steps_of(e, column, length, block);
            for part in 0..columns / tile_columns {
                let panel = e.builder.ins().iadd_imm_s(panel, part as i64 * width);
                match self.blocking.packed_rows {
                    Some(lanes) => self.multiply_panels(e, [a, panel, tile, rows, steps, at], length, lanes, ahead),
                    None => self.call_multiply(e, [a, panel, tile, rows, steps, at], ahead),
                }
                tile = e.builder.ins().iadd_imm_s(tile, width);
            }
            vec![tile, e.builder.ins().iadd(panel, panel_bytes)]
        });
    }

    fn call_multiply(&self, e: &mut Emitter, arguments: [Value; 6], ahead: Option<Value>) {
        let arguments: Vec<Value> = arguments.into_iter().chain(ahead).collect();
        e.builder.ins().call(self.multiply, &arguments);
    }

    /// Multiplies packed rows, so many side by side and so many steps of them `packed`, with one packed panel.
    fn multiply_panels(
        &self,
        e: &mut Emitter,
        [a, panel, tile, rows, length, at]: [Value; 6],
        packed: Value,
        lanes: usize,
        ahead: Option<Value>,
    ) {
        let zero = e.integer(0);
        let a_bytes = e.scaled(packed, lanes as i64 * WORD);
        let tile_bytes = (self.blocking.columns * lanes) as i64 * WORD;
        e.count(zero, rows, lanes as i64, &[a, tile], &mut |e, row, now| {
            let left = e.builder.ins().isub(rows, row);
            let live = e.least(left, lanes as i64);
            self.call_multiply(e, [now[0], panel, now[1], live, length, at], ahead);
            let a = e.builder.ins().iadd(now[0], a_bytes);
            vec![a, e.builder.ins().iadd_imm_s(now[1], tile_bytes)]
        });
    }

    /// Packs some rows of a block and multiplies them with the packed columns, over one chunk.
    fn multiply_packed(&self, e: &mut Emitter, chunk: Chunk, strip: Strip, block: &Block, rows: usize) {
        let Chunk { a, at, length, .. } = chunk;
        let unit = e.stride(self.kernel.a.buffer);
        let (first, end) = (e.integer(0), strip.rows);
        let a_panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.a_panels as i64);
        let b_panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
        let a_bytes = e.scaled(length, TILE_ROWS as i64 * WORD);
        let panel_bytes = TILE_COLUMNS as i64 * WORD;
        let (b_panels, b_bytes) = match self.blocking.packs_once(self.kernel) {
            true => {
                let first = self.first_step(e, chunk);
                let before = e.scaled(first, panel_bytes);
                let all = e.integer(self.blocking.packed_steps as i64);
                (e.builder.ins().iadd(b_panels, before), e.scaled(all, panel_bytes))
            }
            false => (b_panels, e.scaled(length, panel_bytes)),
        };
        let row_bytes = self.blocking.columns as i64 * WORD;
        let row_bytes_value = e.integer(row_bytes);
        let tile_rows = e.integer(TILE_ROWS as i64);
        e.count(first, end, rows as i64, &[], &mut |e, row, _| {
            let packed_end = e.builder.ins().iadd_imm_s(row, rows as i64);
            let packed_end = lesser(e, packed_end, end);
            let stride = self.kernel.a.row_stride * unit;
            let offset = |e: &mut Emitter, row| e.scaled(row, stride);
            self.pack_panels(
                e,
                self.pack_a.expect("rows are packed by a routine"),
                (TILE_ROWS, Some(&self.kernel.a)),
                &offset,
                [a_panels, a, length],
                (row, packed_end),
            );
            let above = e.builder.ins().iadd(strip.above, row);
            let above = e.scaled(above, row_bytes);
            let tiles = e.builder.ins().iadd(e.scratch, above);
            let (left, right) = block.columns;
            e.count(
                left,
                right,
                TILE_COLUMNS as i64,
                &[tiles, b_panels],
                &mut |e, column, of_columns| {
                    let (tile, b) = (of_columns[0], of_columns[1]);
                    let steps = self.steps_of(e, column, length, block);
                    e.count(
                        row,
                        packed_end,
                        TILE_ROWS as i64,
                        &[tile, a_panels],
                        &mut |e, _, of_rows| {
                            let (tile, a) = (of_rows[0], of_rows[1]);
                            let arguments = match self.flushes() {
                                true => [a, b, tile, tile_rows, steps, at],
                                false => [a, b, tile, steps, row_bytes_value, at],
                            };
                            e.builder.ins().call(self.multiply, &arguments);
                            let tile = e.builder.ins().iadd_imm_s(tile, row_bytes * TILE_ROWS as i64);
                            vec![tile, e.builder.ins().iadd(a, a_bytes)]
                        },
                    );
                    let tile = e.builder.ins().iadd_imm_s(tile, (TILE_COLUMNS * WORD as usize) as i64);
                    vec![tile, e.builder.ins().iadd(b, b_bytes)]
                },
            );
            vec![]
        });
    }

    /// Whether the wide emitter's routine multiplies at 128 bits.
    fn flushes(&self) -> bool {
        self.kernel.by_pairs && self.simd.pairs == Pairs::Flushed
    }

    fn emit_epilogue(&self, e: &mut Emitter, block: &Block) {
        let (first, end) = block.rows;
        let (left, right) = block.columns;
        if let Some(epilogue) = self.wide_epilogue {
            let columns = e.builder.ins().ishl_imm_u(right, 32);
            let columns = e.builder.ins().bor(columns, left);
            let arguments = [e.table, e.scratch, block.batch_number, first, end, columns];
            e.builder.ins().call(epilogue, &arguments);
            return;
        }
        let left_bytes = e.scaled(left, WORD);
        let tile = e.builder.ins().isub(e.scratch, left_bytes);
        e.count(first, end, 1, &[tile], &mut |e, row, tile| {
            e.memory.open();
            e.indices = [None].into_iter().chain(block.batch.iter().map(|i| Some(*i))).collect();
            e.indices.push(Some(row));
            e.product = Some(tile[0]);
            e.prepare(&self.epilogue.body, |varies| varies == Varies::default());
            VectorPass::new(&self.epilogue, &self.levels).emit(e, Span::Part(left, right));
            e.memory.close();
            vec![e.builder.ins().iadd_imm_s(tile[0], self.blocking.columns as i64 * WORD)]
        });
    }
}
