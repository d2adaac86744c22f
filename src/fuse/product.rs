//! A contraction's arrangement → the matrix product: its matrices, what is left out of it, and how it is cut into tasks.

use super::contract::{Arrangement, Run, extent, merged};
use super::corner::corners;
use super::program::Program;
use crate::ir::corner::{CORNER_BLOCK, Corner, ProductAxis};
use crate::ir::graph::NodeId;
use crate::ir::kernel::*;

/// The product of a contraction whose operands lie in two buffers.
pub fn product(
    program: &Program,
    id: NodeId,
    arranged: Arrangement,
    operands: [BufferId; 2],
    epilogue: Body,
) -> MatrixProduct {
    let by_pairs = program.contracts_bf16(id);
    let with_corner = |arranged: &Arrangement| {
        let product = whole(arranged, operands, by_pairs);
        let mut corners = corners(program, id, arranged).into_iter();
        let cut = corners.find_map(|corner| within_blocks(&product, corner));
        cut.unwrap_or(product)
    };
    let mut product = with_corner(&arranged);
    // Where several heads share keys, what one of them leaves out is only seen turn by turn.
    if product.corner.is_none()
        && let Some(in_turns) = arranged.in_turns()
    {
        let turned = with_corner(&in_turns);
        if turned.corner.is_some() {
            product = turned;
        }
    }
    MatrixProduct { epilogue, ..product }
}

/// A product without a corner, if that can be left out, in tasks of whole blocks.
fn within_blocks(product: &MatrixProduct, corner: Corner) -> Option<MatrixProduct> {
    let [row_block, column_block] = match corner.of {
        ProductAxis::Row => [corner.block(), CORNER_BLOCK],
        _ => [CORNER_BLOCK, corner.block()],
    };
    let cut = MatrixProduct {
        rows_per_task: product.rows_per_task.next_multiple_of(row_block).min(product.m),
        columns_per_task: product.columns_per_task.next_multiple_of(column_block).min(product.n),
        corner: Some(corner),
        ..product.clone()
    };
    corner.fits(&cut).then_some(cut)
}

/// A product that leaves nothing out.
fn whole(arranged: &Arrangement, operands: [BufferId; 2], by_pairs: bool) -> MatrixProduct {
    let sizes = |runs: &[Run]| runs.iter().map(|r| r.size).collect::<Vec<_>>();
    let matrix = |which: usize, of: fn(&Run) -> i64, row: &[Run], column: &[Run]| Matrix {
        buffer: operands[which],
        constant: arranged.roots[which].1,
        batch: arranged.batch.iter().map(of).collect(),
        strips: match which {
            0 => arranged.strips.iter().map(of).collect(),
            _ => vec![],
        },
        turns: arranged.turns.iter().map(of).collect(),
        row_stride: merged(row, of).expect("arranged"),
        column_stride: merged(column, of).expect("arranged"),
    };
    let (m, n, k) = (
        extent(&arranged.strips) * extent(&arranged.rows),
        extent(&arranged.columns),
        extent(&arranged.turns) * extent(&arranged.summed),
    );
    let (rows_per_task, columns_per_task) = product_cut(extent(&arranged.batch), [m, n, k], by_pairs);
    MatrixProduct {
        batch: sizes(&arranged.batch),
        m,
        strips: sizes(&arranged.strips),
        n,
        k,
        turns: sizes(&arranged.turns),
        a: matrix(0, |r| r.a, &arranged.rows, &arranged.summed),
        b: matrix(1, |r| r.b, &arranged.summed, &arranged.columns),
        b_in_panels: false,
        corner: None,
        by_pairs,
        epilogue: vec![],
        beyond: None,
        rows_per_task,
        columns_per_task,
    }
}

/// Products that one task of a matrix product should have at most.
const TASK_PRODUCTS: usize = 1 << 23;
/// Tasks that a matrix product should have, if each keeps at least [`TASK_PRODUCTS_LEAST`].
const TASKS_WANTED: usize = 16;
/// Rows of a task at least, a multiple of what tiles have, and its columns, below which it is not cut. Few rows share out
/// evenly, and cost nothing: tasks of a thread that differ only in rows are done at once.
const LEAST: [usize; 2] = [24, 192];
/// The same of products by pairs: multiplied so fast that every packing of an operand counts.
const LEAST_BY_PAIRS: [usize; 2] = [32, 512];
/// What the rows of a task are a multiple of, if they are fewer.
const ROWS_MULTIPLE: usize = 4;
/// Tasks that are few: half as many rows are enough for one then, as they would not share out evenly.
const TASKS_FEW: usize = 6;
/// Products below which a task is not cut again.
const TASK_PRODUCTS_LEAST: usize = 1 << 19;

/// Rows and columns of a product's tasks: halved until they are small enough. A short last task would leave threads waiting:
/// few tasks, and those of a large product's rows, have equally many rows where that can be.
fn product_cut(batch: usize, [m, n, k]: [usize; 3], by_pairs: bool) -> (usize, usize) {
    let [least_rows, least_columns] = if by_pairs { LEAST_BY_PAIRS } else { LEAST };
    let shared_out = rows_shared_out(batch, [m, n, k]).filter(|_| !by_pairs);
    let (mut rows, mut columns, mut column_parts) = (shared_out.unwrap_or(m), n, 1);
    loop {
        let products = rows * columns * k;
        let tasks = batch * m.div_ceil(rows) * n.div_ceil(columns);
        let enough = products <= TASK_PRODUCTS && (tasks >= TASKS_WANTED || products <= TASK_PRODUCTS_LEAST);
        let least = if tasks < TASKS_FEW { least_rows / 2 } else { least_rows };
        let (can_cut_rows, can_cut_columns) = (rows >= 2 * least, columns > least_columns);
        if enough || !(can_cut_rows || can_cut_columns) {
            // Shared out from the start they may also be a few more.
            let most = if shared_out.is_some() { rows * 4 / 3 } else { rows };
            let may = shared_out.is_some() || tasks < TASKS_WANTED;
            let even = (least_rows / 2..=most)
                .rev()
                .filter(|_| may)
                .find(|&r| m.is_multiple_of(r) && r.is_multiple_of(ROWS_MULTIPLE));
            return (even.unwrap_or(rows), columns);
        }
        if can_cut_rows && (rows >= columns || !can_cut_columns) {
            let multiple = if rows >= 2 * least_rows {
                least_rows
            } else {
                ROWS_MULTIPLE
            };
            rows = rows.div_ceil(2).next_multiple_of(multiple);
        } else {
            column_parts *= 2;
            columns = columns_of_part(n, column_parts);
        }
    }
}

/// Rows of a task where a large product's rows are enough for all tasks: threads with rows of their own write memory of
/// their own, while those that share rows fetch each other's lines ahead.
fn rows_shared_out(batch: usize, [m, n, k]: [usize; 3]) -> Option<usize> {
    if batch > 1 || m * n * k < TASKS_WANTED * TASK_PRODUCTS_LEAST {
        return None;
    }
    let parts = [4 * TASKS_WANTED, TASKS_WANTED].map(|tasks| m.div_ceil(tasks));
    let rows = parts.into_iter().find(|&rows| rows >= LEAST[0])?;
    Some(rows.next_multiple_of(ROWS_MULTIPLE))
}

/// Columns of each of so many parts of a product: equal parts where whole tiles allow it.
fn columns_of_part(n: usize, parts: usize) -> usize {
    const TILES: [usize; 3] = [64, 48, 32];
    let part = n.div_ceil(parts);
    let equal = n.is_multiple_of(parts) && TILES.iter().any(|&tile| part.is_multiple_of(tile));
    if equal { part } else { part.next_multiple_of(TILES[0]) }
}
