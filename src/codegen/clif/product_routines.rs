//! Which routines a matrix product calls.

use super::blocking::{Blocking, storage};
use super::emitter::WORD;
use super::form::Form;
use super::routine::{Routine, TILE_COLUMNS, TILE_ROWS};
use crate::codegen::target::{Pairs, Simd};
use crate::codegen::wide;
use crate::codegen::wide::encode_vector::Width;
use crate::codegen::wide::multiply::Products;
use crate::codegen::wide::multiply_tiles as tiles;
use crate::ir::kernel::*;

/// The routines that a product calls: multiply, what tiles need beside it, pack `b`, and pack `a` where that is packed.
pub fn routines(buffers: &[Buffer], kernel: &MatrixProduct, simd: Simd) -> Vec<Routine> {
    let blocking = Blocking::of(buffers, kernel, simd);
    match (simd.width, blocking.form) {
        (Width::W128, _) => narrow_routines(buffers, kernel, blocking, simd.pairs),
        (_, Form::Tiles) => tile_routines(buffers, kernel, blocking),
        (width, Form::Vectors(products)) => wide_routines(buffers, kernel, blocking, (width, products)),
    }
}

/// Bytes of so many words.
fn word_bytes(words: i64) -> i32 {
    i32::try_from(words * WORD).expect("wide products have small strides")
}

/// At 128 bits.
fn narrow_routines(buffers: &[Buffer], kernel: &MatrixProduct, blocking: Blocking, pairs: Pairs) -> Vec<Routine> {
    let (a, b) = (&kernel.a, &kernel.b);
    let pack = |matrix, width, lane_stride, step_stride| Routine::Pack {
        storage: storage(buffers, matrix),
        width,
        lane_stride,
        step_stride,
    };
    let flushed = wide::multiply::Multiply {
        width: Width::W128,
        products: Products::OneOfPair,
        vectors: TILE_COLUMNS / Width::W128.lanes(),
        rows_at_once: TILE_ROWS,
        row_bytes: word_bytes(1),
        step_bytes: word_bytes(TILE_ROWS as i64),
        turns: None,
        panel_step_bytes: word_bytes(TILE_COLUMNS as i64),
        tile_row_bytes: word_bytes(blocking.columns as i64),
        ahead: false,
    };
    let by_pairs = kernel.by_pairs;
    vec![
        match pairs {
            Pairs::Flushed if by_pairs => Routine::WideMultiply(flushed),
            _ => Routine::Multiply { by_pairs },
        },
        pack(b, TILE_COLUMNS, b.column_stride, b.row_stride),
        pack(a, TILE_ROWS, a.row_stride, a.column_stride),
    ]
}

/// With wide vector registers.
fn wide_routines(
    buffers: &[Buffer],
    kernel: &MatrixProduct,
    blocking: Blocking,
    (width, products): (Width, Products),
) -> Vec<Routine> {
    let (a, b) = (&kernel.a, &kernel.b);
    let vectors = blocking.tile_columns / width.lanes();
    let in_pairs = products == Products::Pair;
    let (row_bytes, step_bytes) = match blocking.packed_rows {
        Some(rows) => (word_bytes(1), word_bytes(rows as i64)),
        // Pairs side by side: a word each.
        None if in_pairs => (word_bytes(a.row_stride) / 2, word_bytes(1)),
        None => (word_bytes(a.row_stride), word_bytes(a.column_stride)),
    };
    let turns = match (kernel.turns_in_chunk(), blocking.packed_rows) {
        (1, _) | (_, Some(_)) => None,
        (count, None) => Some(wide::multiply::Turns {
            count: count as i32,
            length: (kernel.turn_length() / blocking.form.step()) as i32,
            bytes: word_bytes(*a.turns.last().expect("there are turns")) / blocking.form.step() as i32,
        }),
    };
    let multiply = wide::multiply::Multiply {
        width,
        products,
        vectors,
        rows_at_once: blocking.rows_at_once,
        row_bytes,
        step_bytes,
        turns,
        panel_step_bytes: match kernel.b_in_panels {
            true => word_bytes(PANEL_COLUMNS as i64),
            false => word_bytes(blocking.tile_columns as i64),
        },
        tile_row_bytes: word_bytes(blocking.columns as i64),
        ahead: blocking.ahead.is_some(),
    };
    let pack = |matrix, vectors, lane_stride, step_stride| {
        Routine::WidePack(wide::pack::Pack {
            storage: storage(buffers, matrix),
            vectors,
            lane_stride,
            step_stride,
            in_pairs,
        })
    };
    let mut routines = vec![Routine::WideMultiply(multiply)];
    if blocking.packs_b {
        routines.push(pack(b, vectors, b.column_stride, b.row_stride));
    }
    if let Some(rows) = blocking.packed_rows {
        routines.push(pack(a, rows / width.lanes(), a.row_stride, a.column_stride));
    }
    routines
}

/// Where tiles are multiplied; behind the multiplication what begins and ends the use of tiles.
fn tile_routines(buffers: &[Buffer], kernel: &MatrixProduct, blocking: Blocking) -> Vec<Routine> {
    let (a, b) = (&kernel.a, &kernel.b);
    let lanes = Width::W512.lanes();
    let vectors = blocking.tile_columns / lanes;
    let multiply = tiles::MultiplyTiles {
        vectors,
        row_bytes: match blocking.packed_rows {
            Some(_) => tiles::ROW_BYTES,
            None => a.row_stride as i32 * Storage::Bf16.stride() as i32,
        },
        block_bytes: match blocking.packed_rows {
            Some(rows) => rows as i32 * tiles::ROW_BYTES,
            None => tiles::ROW_BYTES,
        },
        panel_step_bytes: (blocking.tile_columns * WORD as usize) as i32,
        tile_row_bytes: (blocking.columns * WORD as usize) as i32,
        ahead: blocking.ahead.is_some(),
    };
    let pack_b = wide::pack::Pack {
        storage: storage(buffers, b),
        vectors,
        lane_stride: b.column_stride,
        step_stride: b.row_stride,
        in_pairs: true,
    };
    let mut routines = vec![
        Routine::TileMultiply(multiply),
        Routine::Tiles { begins: true },
        Routine::Tiles { begins: false },
        Routine::WidePack(pack_b),
    ];
    if let Some(rows) = blocking.packed_rows {
        routines.push(Routine::TilePack(wide::pack_tiles::PackTiles {
            vectors: rows / lanes,
            lane_stride: a.row_stride,
            step_stride: a.column_stride,
        }));
    }
    routines
}
