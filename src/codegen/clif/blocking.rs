//! How matrix products are cut into blocks. It changes no bits: every sum is cut into [chunks](MatrixProduct::chunk) alone.

use super::emitter::WORD;
use super::form::Form;
use super::routine::{TILE_COLUMNS, TILE_ROWS};
use crate::codegen::target::Simd;
use crate::codegen::wide;
use crate::codegen::wide::ahead::LIST_BYTES;
use crate::codegen::wide::encode_vector::Width;
use crate::codegen::wide::multiply::Products;
use crate::codegen::wide::multiply_tiles as tiles;
use crate::ir::corner::{CORNER_BLOCK, Corner, ProductAxis};
use crate::ir::kernel::*;

/// Columns of a block, at most.
const BLOCK_COLUMNS: usize = 512;
/// Rows of a block, at most: one packing of `b` serves so many.
const BLOCK_ROWS: usize = 128;
/// Rows of `a` that are packed together, at most.
const PACKED_ROWS: usize = 64;
/// Elements of a block that stays in the first cache: where few products are added to each.
const CACHED_TILE: usize = 8192;
/// Elements of a block that stays in the second cache, beside the packed columns.
const FAR_TILE: usize = 1 << 16;
/// Elements of `b` that are packed at once, at most: they stay in the second cache.
const PACKED_ELEMENTS: usize = 1 << 18;
/// The same of pairs: packing again takes longer than reading from the third cache.
const PACKED_PAIRS: usize = 1 << 19;
/// Lines so far apart, or a multiple of it, fall into a sixty-fourth of the second cache's sets or less.
const CONFLICT_BYTES: i64 = 4096;
/// Bytes of a kernel's buffers from which on its multiplication brings nearer what comes next: less stays near anyway.
/// In tests the small products do it too.
const AHEAD_BYTES: usize = if cfg!(test) { 1 << 8 } else { 1 << 20 };
/// Vectors of a row of which columns that lie in panels are multiplied at once: a panel's, or half of it.
const PANEL_VECTORS: usize = 2;
/// Vectors of a panel's row where a corner leaves out columns: panels divide its blocks.
const CORNER_VECTORS: usize = 2;
/// Vectors of rows that are packed side by side: a multiple of the rows at once of every panel.
const PACKED_VECTORS: usize = 3;
/// The same where tiles are multiplied.
const PACKED_TILES: usize = 4;

/// How a product is blocked, and where its parts lie in scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocking {
    /// How the routines multiply and add.
    pub form: Form,
    /// Columns of a panel.
    pub tile_columns: usize,
    /// Columns of a block, whole tiles and a multiple of [`LANES`].
    pub columns: usize,
    /// Rows of a block.
    pub rows: usize,
    /// Rows that are multiplied together, at most.
    pub rows_at_once: usize,
    /// Rows of `a` packed together, whole tiles; none if `a` is read where it lies.
    pub packed_rows: Option<usize>,
    /// Whether `b` is packed; else it is read where it lies.
    pub packs_b: bool,
    /// Steps along `k` that are packed at once: all, or a chunk.
    pub packed_steps: usize,
    /// Steps of a turn, or of the turns in a chunk.
    pub turn_steps: usize,
    /// Bytes from the start of the scratch memory.
    pub a_panels: usize,
    /// The same for `b`.
    pub b_panels: usize,
    /// The same for the list of what is brought nearer, if there is one.
    pub ahead: Option<usize>,
    /// All of it.
    pub bytes: usize,
}

/// Equal parts of at most so many, each a multiple of something.
fn even(size: usize, most: usize, multiple: usize) -> usize {
    let blocks = size.div_ceil(most);
    size.div_ceil(blocks).next_multiple_of(multiple)
}

/// Whether a product has a corner of its rows.
fn of_rows(k: &MatrixProduct) -> bool {
    k.corner.is_some_and(|c| c.of == ProductAxis::Row)
}

/// Whether a corner leaves out columns, or something for each block of them.
fn of_columns(corner: Corner) -> bool {
    [corner.of, corner.other].contains(&ProductAxis::Column)
}

/// At most so many rows or columns of a block: of the axis of which a corner leaves out blocks, a part that divides one.
fn most_of(axis: ProductAxis, k: &MatrixProduct, most: usize) -> usize {
    let Some(corner) = k.corner.filter(|c| c.of == axis) else {
        return most;
    };
    let divides = |parts: &usize| corner.repeat.is_multiple_of(*parts);
    let mut parts = (1..=most / CORNER_BLOCK).rev().filter(divides);
    CORNER_BLOCK * parts.next().unwrap_or(1)
}

/// The products of a chunk along `k`, at most.
fn chunk_products(k: &MatrixProduct) -> usize {
    (k.turns_in_chunk() * k.turn_length()).min(k.chunk())
}

fn bytes(elements: usize) -> usize {
    elements.next_multiple_of(LANES) * WORD as usize
}

impl Blocking {
    /// For registers of a width.
    pub fn of(buffers: &[Buffer], k: &MatrixProduct, simd: Simd) -> Blocking {
        let form = Form::of(buffers, k, simd);
        match simd.width {
            Width::W128 => Blocking::narrow(k, form),
            width => Blocking::wide(buffers, k, width, form),
        }
    }

    fn narrow(k: &MatrixProduct, form: Form) -> Blocking {
        let multiple = if k.b_in_panels { PANEL_COLUMNS } else { LANES };
        let most_rows = most_of(ProductAxis::Row, k, BLOCK_ROWS);
        let most_columns = most_of(ProductAxis::Column, k, BLOCK_COLUMNS);
        let columns = even(k.columns_per_task.min(k.n), most_columns, multiple.max(TILE_COLUMNS));
        // Tasks of a thread that follow each other are taken together, so all rows may come at once.
        let packed_rows = match of_rows(k) {
            true => CORNER_BLOCK,
            false => even(k.m, PACKED_ROWS, TILE_ROWS),
        };
        let rows = even(k.m, most_rows, packed_rows);
        let length = chunk_products(k);
        // The last tile of a strip may reach behind the block's rows.
        let behind = if k.strips.is_empty() { 0 } else { TILE_ROWS };
        let a_panels = bytes((rows + behind) * columns);
        let b_panels = a_panels + bytes(packed_rows * length);
        Blocking {
            tile_columns: TILE_COLUMNS,
            columns,
            rows,
            rows_at_once: TILE_ROWS,
            packed_rows: Some(packed_rows),
            packs_b: true,
            packed_steps: length,
            turn_steps: k.turns_in_chunk() * k.turn_length(),
            form,
            a_panels,
            b_panels,
            ahead: None,
            bytes: b_panels + bytes(columns * length),
        }
    }

    fn wide(buffers: &[Buffer], k: &MatrixProduct, width: Width, form: Form) -> Blocking {
        let of_task = k.columns_per_task.min(k.n);
        let vectors = match k.b_in_panels {
            true => PANEL_VECTORS,
            false if k.corner.is_some_and(of_columns) => CORNER_VECTORS,
            false if form == Form::Tiles => vectors_of_panel(of_task, width, tiles::BESIDE),
            false => vectors_of_panel(of_task, width, wide::multiply::most_vectors(width)),
        };
        let tile_columns = vectors * width.lanes();
        // Whole panels and whole turns of the virtual lanes.
        let unit = if k.b_in_panels { PANEL_COLUMNS } else { LANES };
        let multiple = (1..).map(|i| i * tile_columns).find(|c| c.is_multiple_of(unit));
        let multiple = multiple.expect("some multiple is one");
        let most = match form {
            Form::Tiles => tiles::BELOW * tiles::ROWS,
            _ => wide::multiply::rows_at_once(width, vectors),
        };
        // A strip in equal parts, rather than full tiles and a thin one.
        let at_once = match (k.strips.is_empty(), of_rows(k)) {
            (false, _) => even(k.strip_rows(), most, 1),
            (true, true) => even(CORNER_BLOCK, most, 1),
            (true, false) => most,
        };
        let packed_rows = packs_rows(buffers, k, width, form).then(|| packed_vectors(form) * width.lanes());
        let row_multiple = match of_rows(k) {
            true => CORNER_BLOCK,
            false => packed_rows.unwrap_or(at_once),
        };
        let most_columns = most_of(ProductAxis::Column, k, BLOCK_COLUMNS / multiple * multiple);
        let whole = even(of_task, most_columns, multiple);
        let length = form.steps(chunk_products(k));
        let all = form.steps(k.k);
        // No step has products of two turns.
        let follow = turns_follow(k) && (k.turns.is_empty() || k.turn_length().is_multiple_of(form.unit()));
        let most_packed = match form {
            Form::Vectors(Products::Pair) | Form::Tiles => PACKED_PAIRS,
            Form::Vectors(Products::One | Products::OneOfPair) => PACKED_ELEMENTS,
        };
        let packed_steps = match all * whole <= most_packed && follow {
            true => all,
            false => length,
        };
        let columns = whole;
        let packs_b = !(k.b_in_panels || is_panel(buffers, k, form, tile_columns));
        let packed_columns = if packs_b { columns } else { 0 };
        let ahead = looks_ahead(buffers);
        let streams = if ahead { super::ahead::streams(k).len() } else { 0 };
        let tile = match all < PRODUCT_CHUNK {
            true => CACHED_TILE,
            // What the epilogue touches comes into the second cache too.
            false => FAR_TILE * 2 / (1 + streams).max(2),
        };
        let most_rows = (tile / columns).max(row_multiple) / row_multiple * row_multiple;
        let most_rows = most_of(ProductAxis::Row, k, most_rows);
        let rows = even(k.m, most_rows, row_multiple);
        let a_panels = bytes(rows * columns);
        let b_panels = a_panels + packed_rows.map_or(0, |lanes| bytes(rows.next_multiple_of(lanes) * length));
        let list = b_panels + bytes(packed_columns * packed_steps);
        Blocking {
            tile_columns,
            columns,
            rows,
            rows_at_once: at_once,
            packed_rows,
            packs_b,
            packed_steps,
            turn_steps: form.steps(k.turns_in_chunk() * k.turn_length()),
            form,
            a_panels,
            b_panels,
            ahead: ahead.then_some(list),
            bytes: list + if ahead { LIST_BYTES } else { 0 },
        }
    }

    /// Whether all steps of a block's columns are packed before its rows.
    pub fn packs_once(self, k: &MatrixProduct) -> bool {
        self.packed_steps == self.turn_steps * (k.turns.iter().product::<usize>() / k.turns_in_chunk())
    }
}

/// Vectors of rows that are packed side by side.
fn packed_vectors(form: Form) -> usize {
    match form {
        Form::Tiles => PACKED_TILES,
        _ => PACKED_VECTORS,
    }
}

/// Whether the rows of `a` are packed too: where a step is another cache line that holds many rows, and the lines of
/// the steps of a chunk are so far apart that they fall into a few sets of a cache and drive each other out; or, at 256
/// bits, wherever they lie: machines without wider registers have small first caches, which a chunk's lines and a panel
/// overfill. And where they have 16 bits: they are widened on the way, or joined to pairs or tiles unless they lie so.
fn packs_rows(buffers: &[Buffer], k: &MatrixProduct, width: Width, form: Form) -> bool {
    let lies_so = k.a.column_stride == 1 && k.turn_length().is_multiple_of(form.unit());
    match form {
        Form::Vectors(Products::Pair) if lies_so => return false,
        Form::Tiles => return !lies_so || k.turns_in_chunk() > 1,
        _ => {}
    }
    if storage(buffers, &k.a) != Storage::F32 {
        return true;
    }
    let step_bytes = k.a.column_stride * WORD;
    let crowds = match width {
        Width::W512 => step_bytes != 0 && step_bytes % CONFLICT_BYTES == 0,
        _ => step_bytes > WORD,
    };
    k.a.row_stride == 1 && crowds && k.n >= 2 * LANES
}

/// Whether the rows of `b` are those of the only panel: packing would only copy.
fn is_panel(buffers: &[Buffer], k: &MatrixProduct, form: Form, tile_columns: usize) -> bool {
    let rows = k.n == tile_columns && k.b.row_stride == k.n as i64 && k.b.column_stride == 1;
    let as_stored = form == Form::Vectors(Products::One) && storage(buffers, &k.b) == Storage::F32;
    rows && as_stored && (k.turns_in_chunk() == 1 || turns_follow(k))
}

/// Whether the turns of `b` follow each other with the stride of its rows.
pub(super) fn turns_follow(k: &MatrixProduct) -> bool {
    let mut stride = k.b.row_stride * k.turn_length() as i64;
    k.turns.iter().zip(&k.b.turns).rev().all(|(&size, &of_turn)| {
        let follows = of_turn == stride;
        stride *= size as i64;
        follows
    })
}

/// Whether a kernel's buffers are so large that it looks ahead.
fn looks_ahead(buffers: &[Buffer]) -> bool {
    let bytes = buffers.iter().map(|buffer| buffer.storage.bytes(buffer.elements));
    bytes.sum::<usize>() >= AHEAD_BYTES
}

/// How a matrix is stored.
pub(super) fn storage(buffers: &[Buffer], matrix: &Matrix) -> Storage {
    buffers[matrix.buffer.0 as usize].storage
}

/// Vectors of a panel's row, at most so many: few columns without use, and few loads for each product.
fn vectors_of_panel(columns: usize, width: Width, most: usize) -> usize {
    let cost = |vectors: &usize| {
        let padded = columns.div_ceil(vectors * width.lanes()) * vectors;
        padded * [0, 115, 103, 101, 100][*vectors]
    };
    (1..=most).min_by_key(cost).expect("there is a least one")
}

/// Bytes of scratch memory that a product needs.
pub fn scratch_bytes(buffers: &[Buffer], kernel: &MatrixProduct, simd: Simd) -> usize {
    Blocking::of(buffers, kernel, simd).bytes
}

/// Bytes of a product's tile from row to row.
pub fn tile_row_bytes(buffers: &[Buffer], kernel: &MatrixProduct, simd: Simd) -> i64 {
    Blocking::of(buffers, kernel, simd).columns as i64 * WORD
}
