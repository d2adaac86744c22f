//! Matrix products: packed panels, tiles in scratch memory, the epilogue over each block while it is hot. How the work
//! is blocked is decided here and changes no bits: every sum is cut at multiples of [`PRODUCT_CHUNK`] alone. The loops
//! inside are routines, of this emitter or of the wide one.

use super::emitter::{Emitter, WORD};
use super::loops::{Span, VectorPass};
use super::routine::{Routine, TILE_COLUMNS, TILE_ROWS};
use crate::codegen::analysis::{Levels, Varies};
use crate::codegen::wide;
use crate::codegen::wide::encode_vector::Width;
use crate::ir::kernel::*;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Columns of a block, at most.
const BLOCK_COLUMNS: usize = 256;
/// Rows of a block, at most: one packing of `b` serves so many.
const BLOCK_ROWS: usize = 128;
/// Rows of `a` that are packed together, at most.
const PACKED_ROWS: usize = 64;
/// Elements of a block that stays in the first cache.
const CACHED_TILE: usize = 8192;
/// Elements of `b` that are packed at once, at most: they stay in the second cache.
const PACKED_ELEMENTS: usize = 1 << 17;

/// How a product is blocked, and where its parts lie in scratch memory.
#[derive(Clone, Copy, Debug)]
struct Blocking {
    /// Columns of a panel.
    tile_columns: usize,
    /// Columns of a block, whole tiles and a multiple of [`LANES`].
    columns: usize,
    /// Rows of a block.
    rows: usize,
    /// Rows of `a` packed together, whole tiles; none if `a` is read where it lies.
    packed_rows: Option<usize>,
    /// Steps along `k` that are packed at once: all, or a chunk.
    packed_steps: usize,
    /// Bytes from the start of the scratch memory.
    a_panels: usize,
    /// The same for `b`.
    b_panels: usize,
    /// All of it.
    bytes: usize,
}

/// Equal parts of at most so many, each a multiple of something.
fn even(size: usize, most: usize, multiple: usize) -> usize {
    let blocks = size.div_ceil(most);
    size.div_ceil(blocks).next_multiple_of(multiple)
}

fn bytes(elements: usize) -> usize {
    elements.next_multiple_of(LANES) * WORD as usize
}

impl Blocking {
    fn of(k: &MatrixProduct, width: Width) -> Blocking {
        match width {
            Width::W128 => Blocking::narrow(k),
            _ => Blocking::wide(k, width),
        }
    }

    fn narrow(k: &MatrixProduct) -> Blocking {
        let columns = even(k.columns_per_task.min(k.n), BLOCK_COLUMNS, LANES.max(TILE_COLUMNS));
        // Tasks of a thread that follow each other are taken together, so all rows may come at once.
        let packed_rows = even(k.m, PACKED_ROWS, TILE_ROWS);
        let rows = even(k.m, BLOCK_ROWS, packed_rows);
        let length = k.k.min(PRODUCT_CHUNK);
        let a_panels = bytes(rows * columns);
        let b_panels = a_panels + bytes(packed_rows * length);
        Blocking {
            tile_columns: TILE_COLUMNS,
            columns,
            rows,
            packed_rows: Some(packed_rows),
            packed_steps: length,
            a_panels,
            b_panels,
            bytes: b_panels + bytes(columns * length),
        }
    }

    fn wide(k: &MatrixProduct, width: Width) -> Blocking {
        let of_task = k.columns_per_task.min(k.n);
        let vectors = vectors_of_panel(of_task, width);
        let tile_columns = vectors * width.lanes();
        // Whole panels and whole turns of the virtual lanes.
        let multiple = (1..).map(|i| i * tile_columns).find(|c| c.is_multiple_of(LANES));
        let multiple = multiple.expect("some multiple is one");
        let fitting = (PACKED_ELEMENTS / k.k).clamp(multiple, BLOCK_COLUMNS);
        let columns = even(of_task, fitting / multiple * multiple, multiple);
        let packed_steps = if k.k * columns <= 2 * PACKED_ELEMENTS {
            k.k
        } else {
            PRODUCT_CHUNK
        };
        let at_once = wide::multiply::rows_at_once(width, vectors);
        let most = if packed_steps == k.k {
            CACHED_TILE / columns
        } else {
            BLOCK_ROWS
        };
        let rows = even(k.m, most.max(at_once) / at_once * at_once, at_once);
        let b_panels = bytes(rows * columns);
        Blocking {
            tile_columns,
            columns,
            rows,
            packed_rows: None,
            packed_steps,
            a_panels: b_panels,
            b_panels,
            bytes: b_panels + bytes(columns * packed_steps),
        }
    }

    /// Whether all steps of a block's columns are packed before its rows.
    fn packs_once(self, k: &MatrixProduct) -> bool {
        self.packed_steps == k.k
    }
}

/// Vectors of a panel's row: few columns without use, and few loads for each product.
fn vectors_of_panel(columns: usize, width: Width) -> usize {
    let cost = |vectors: &usize| {
        let padded = columns.div_ceil(vectors * width.lanes()) * vectors;
        padded * [0, 115, 103, 101, 100][*vectors]
    };
    let all = 1..=wide::multiply::most_vectors(width);
    all.min_by_key(cost).expect("there is a least one")
}

/// Bytes of scratch memory that a product needs.
pub fn scratch_bytes(kernel: &MatrixProduct, width: Width) -> usize {
    Blocking::of(kernel, width).bytes
}

/// Bytes of a product's tile from row to row.
pub fn tile_row_bytes(kernel: &MatrixProduct, width: Width) -> i64 {
    Blocking::of(kernel, width).columns as i64 * WORD
}

/// The routines that a product calls: multiply, pack `b`, and pack `a` where that is packed.
pub fn routines(kernel: &MatrixProduct, width: Width) -> Vec<Routine> {
    let (a, b) = (&kernel.a, &kernel.b);
    let pack = |width, lane_stride, step_stride| Routine::Pack {
        width,
        lane_stride,
        step_stride,
    };
    if width == Width::W128 {
        return vec![
            Routine::Multiply,
            pack(TILE_COLUMNS, b.column_stride, b.row_stride),
            pack(TILE_ROWS, a.row_stride, a.column_stride),
        ];
    }
    let blocking = Blocking::of(kernel, width);
    let vectors = blocking.tile_columns / width.lanes();
    let bytes = |stride: i64| i32::try_from(stride * WORD).expect("wide products have small strides");
    let multiply = wide::multiply::Multiply {
        vectors,
        row_bytes: bytes(a.row_stride),
        step_bytes: bytes(a.column_stride),
        tile_row_bytes: bytes(blocking.columns as i64),
    };
    let pack = wide::pack::Pack {
        vectors,
        lane_stride: b.column_stride,
        step_stride: b.row_stride,
    };
    vec![Routine::WideMultiply(multiply), Routine::WidePack(pack)]
}

/// Whether the wide routines reach all of a product's operands with their offsets.
pub fn reached_wide(kernel: &MatrixProduct) -> bool {
    let a = &kernel.a;
    [a.row_stride, a.column_stride].iter().all(|s| s.abs() < 1 << 22)
}

/// What the loops of one product share.
struct Product<'k> {
    kernel: &'k MatrixProduct,
    blocking: Blocking,
    multiply: FuncRef,
    pack_b: FuncRef,
    /// Where `a` is packed.
    pack_a: Option<FuncRef>,
    /// The epilogue's function, where the wide emitter makes it.
    wide_epilogue: Option<FuncRef>,
    epilogue: Pass,
    levels: Levels,
}

/// A block of the result: the batch indices, `[first, end)` rows and columns.
struct Block {
    batch: Vec<Value>,
    batch_number: Value,
    rows: (Value, Value),
    columns: (Value, Value),
}

/// Emits the whole function's inside; `routines` are those of [`routines`].
pub fn emit(
    e: &mut Emitter,
    kernel: &MatrixProduct,
    width: Width,
    routines: &[FuncRef],
    wide_epilogue: Option<FuncRef>,
) {
    let mut levels = Levels::default();
    levels.enter(&kernel.epilogue, usize::MAX);
    let product = Product {
        kernel,
        blocking: Blocking::of(kernel, width),
        multiply: routines[0],
        pack_b: routines[1],
        pack_a: routines.get(2).copied(),
        wide_epilogue,
        epilogue: Pass {
            vector: true,
            sequential: vec![],
            body: kernel.epilogue.clone(),
            finish: vec![],
        },
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
    product.emit_tasks(e);
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
            let from = greatest(e, from, 0);
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
            let zero = e.integer(0);
            if self.blocking.packs_once(self.kernel) {
                self.pack_columns(e, b, zero, (column, columns_end));
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
                let all = e.integer(self.kernel.k as i64);
                e.count(zero, all, PRODUCT_CHUNK as i64, &[], &mut |e, at, _| {
                    if !self.blocking.packs_once(self.kernel) {
                        self.pack_columns(e, b, at, block.columns);
                    }
                    match self.blocking.packed_rows {
                        Some(rows) => self.multiply_packed(e, a, at, &block, rows),
                        None => self.multiply_in_place(e, a, at, &block),
                    }
                    vec![]
                });
                self.emit_epilogue(e, &block);
                vec![]
            });
            vec![]
        });
    }

    /// The address of a matrix of the current batch index.
    fn origin(&self, e: &mut Emitter, matrix: &Matrix, batch: &[Value]) -> Value {
        let base = e.pointers[matrix.buffer.0 as usize];
        let mut origin = e.builder.ins().iadd_imm_s(base, matrix.constant * WORD);
        for (&index, &stride) in batch.iter().zip(&matrix.batch).filter(|(_, stride)| **stride != 0) {
            let bytes = e.scaled(index, stride * WORD);
            origin = e.builder.ins().iadd(origin, bytes);
        }
        origin
    }

    /// The length of the chunk that starts at `at`.
    fn chunk_length(&self, e: &mut Emitter, at: Value) -> Value {
        if self.kernel.k <= PRODUCT_CHUNK {
            return e.integer(self.kernel.k as i64);
        }
        let all = e.integer(self.kernel.k as i64);
        let left = e.builder.ins().isub(all, at);
        e.least(left, PRODUCT_CHUNK as i64)
    }

    /// Steps from `at` on that lie packed.
    fn packed_length(&self, e: &mut Emitter, at: Value) -> Value {
        match self.blocking.packs_once(self.kernel) {
            true => e.integer(self.kernel.k as i64),
            false => self.chunk_length(e, at),
        }
    }

    /// Packs the rows of `b` from `at` on, all or one chunk, for some columns.
    fn pack_columns(&self, e: &mut Emitter, b: Value, at: Value, columns: (Value, Value)) {
        let length = self.packed_length(e, at);
        let rows = e.scaled(at, self.kernel.b.row_stride * WORD);
        let b = e.builder.ins().iadd(b, rows);
        let panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
        let stride = self.kernel.b.column_stride;
        let width = self.blocking.tile_columns;
        self.pack_panels(e, self.pack_b, width, stride, [panels, b, length], columns);
    }

    /// Packs panel after panel of the lanes `[first, end)`.
    fn pack_panels(
        &self,
        e: &mut Emitter,
        pack: FuncRef,
        width: usize,
        lane_stride: i64,
        [panels, source, length]: [Value; 3],
        (first, end): (Value, Value),
    ) {
        let panel_bytes = e.scaled(length, width as i64 * WORD);
        e.count(first, end, width as i64, &[panels], &mut |e, lane, panel| {
            let moved = e.scaled(lane, lane_stride * WORD);
            let source = e.builder.ins().iadd(source, moved);
            let left = e.builder.ins().isub(end, lane);
            let live = e.least(left, width as i64);
            e.builder.ins().call(pack, &[panel[0], source, length, live]);
            vec![e.builder.ins().iadd(panel[0], panel_bytes)]
        });
    }

    /// Multiplies all rows of a block, where they lie, with the packed columns, over one chunk.
    fn multiply_in_place(&self, e: &mut Emitter, a: Value, at: Value, block: &Block) {
        let length = self.chunk_length(e, at);
        let packed = self.packed_length(e, at);
        let width = self.blocking.tile_columns as i64 * WORD;
        let (first, end) = block.rows;
        let rows = e.builder.ins().isub(end, first);
        let row = e.scaled(first, self.kernel.a.row_stride * WORD);
        let step = e.scaled(at, self.kernel.a.column_stride * WORD);
        let a = e.builder.ins().iadd(a, row);
        let a = e.builder.ins().iadd(a, step);
        let mut panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
        if self.blocking.packs_once(self.kernel) {
            let before = e.scaled(at, width);
            panels = e.builder.ins().iadd(panels, before);
        }
        let panel_bytes = e.scaled(packed, width);
        let (left, right) = block.columns;
        let tile = e.scratch;
        let columns = self.blocking.tile_columns as i64;
        e.count(left, right, columns, &[tile, panels], &mut |e, _, now| {
            let (tile, panel) = (now[0], now[1]);
            let arguments = [a, panel, tile, rows, length, at];
            e.builder.ins().call(self.multiply, &arguments);
            let tile = e.builder.ins().iadd_imm_s(tile, width);
            vec![tile, e.builder.ins().iadd(panel, panel_bytes)]
        });
    }

    /// Packs the rows of a block and multiplies them with the packed columns, over one chunk.
    fn multiply_packed(&self, e: &mut Emitter, a: Value, at: Value, block: &Block, rows: usize) {
        let length = self.chunk_length(e, at);
        let moved = e.scaled(at, self.kernel.a.column_stride * WORD);
        let a = e.builder.ins().iadd(a, moved);
        let (first, end) = block.rows;
        let a_panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.a_panels as i64);
        let b_panels = e.builder.ins().iadd_imm_s(e.scratch, self.blocking.b_panels as i64);
        let a_bytes = e.scaled(length, TILE_ROWS as i64 * WORD);
        let b_bytes = e.scaled(length, TILE_COLUMNS as i64 * WORD);
        let row_bytes = self.blocking.columns as i64 * WORD;
        let row_bytes_value = e.integer(row_bytes);
        e.count(first, end, rows as i64, &[], &mut |e, row, _| {
            let packed_end = e.builder.ins().iadd_imm_s(row, rows as i64);
            let packed_end = lesser(e, packed_end, end);
            let stride = self.kernel.a.row_stride;
            self.pack_panels(
                e,
                self.pack_a.expect("rows are packed by a routine"),
                TILE_ROWS,
                stride,
                [a_panels, a, length],
                (row, packed_end),
            );
            let above = e.builder.ins().isub(row, first);
            let above = e.scaled(above, row_bytes);
            let tiles = e.builder.ins().iadd(e.scratch, above);
            let (left, right) = block.columns;
            e.count(
                left,
                right,
                TILE_COLUMNS as i64,
                &[tiles, b_panels],
                &mut |e, _, of_columns| {
                    let (tile, b) = (of_columns[0], of_columns[1]);
                    e.count(
                        row,
                        packed_end,
                        TILE_ROWS as i64,
                        &[tile, a_panels],
                        &mut |e, _, of_rows| {
                            let (tile, a) = (of_rows[0], of_rows[1]);
                            e.builder
                                .ins()
                                .call(self.multiply, &[a, b, tile, length, row_bytes_value, at]);
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

fn lesser(e: &mut Emitter, a: Value, b: Value) -> Value {
    use cranelift_codegen::ir::condcodes::IntCC;
    let less = e.builder.ins().icmp(IntCC::SignedLessThan, a, b);
    e.builder.ins().select(less, a, b)
}

fn greatest(e: &mut Emitter, a: Value, b: i64) -> Value {
    use cranelift_codegen::ir::condcodes::IntCC;
    let b = e.integer(b);
    let greater = e.builder.ins().icmp(IntCC::SignedGreaterThan, a, b);
    e.builder.ins().select(greater, a, b)
}
