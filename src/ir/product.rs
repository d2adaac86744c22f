//! Matrix products: two matrices in memory, in strips, turns or panels, and what becomes of each element. What fixes
//! their bits is said at the head of [`kernel`](super::kernel).

use super::corner::Corner;
use super::kernel::{Beyond, Body, Buffer, BufferId, PANEL_COLUMNS, PRODUCT_CHUNK, Pass, Storage};

/// Products along `k` that one instruction of a machine with tiles adds to a sum.
pub const TILE_PRODUCTS: usize = 32;
/// A matrix in a buffer: element `(row, column)` of batch index `(i, j, …)` is at
/// `constant + Σ batch · i + Σ strips · s + Σ turns · t + row_stride · row + column_stride · column`, where `row` and
/// `column` count inside their strip or turn. The elements of several rows may be the same: a window that slides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Matrix {
    /// Where.
    pub buffer: BufferId,
    /// The first element.
    pub constant: i64,
    /// One for each batch axis; 0 where it repeats.
    pub batch: Vec<i64>,
    /// One for each axis of [`MatrixProduct::strips`]; none for `b`.
    pub strips: Vec<i64>,
    /// One for each axis of [`MatrixProduct::turns`].
    pub turns: Vec<i64>,
    /// Elements from row to row.
    pub row_stride: i64,
    /// Elements from column to column.
    pub column_stride: i64,
}

/// `product[m, n] = Σ_k a[m, k] · b[k, n]` for each batch index, then the epilogue for each element.
/// Axes of the epilogue: the vector axis is `n`, 1 … are the batch axes, then `m`. It stores the result;
/// it holds neither reductions nor kept rows.
#[derive(Clone, PartialEq, Debug)]
pub struct MatrixProduct {
    /// Sizes of the batch axes.
    pub batch: Vec<usize>,
    /// Rows of the product.
    pub m: usize,
    /// Outer axes of the rows, where those have no one stride in `a`: strips of equally many rows.
    pub strips: Vec<usize>,
    /// Columns of the product.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Outer axes of the sums, where those have no one stride in both: turns of equally many products.
    pub turns: Vec<usize>,
    /// m × k.
    pub a: Matrix,
    /// k × n.
    pub b: Matrix,
    /// Whether `b` lies in panels, one behind the other: [`PANEL_COLUMNS`] columns of all rows, row by row, the last panel
    /// filled up with anything. Its strides are those inside of a panel, and there are no batch axes and no turns.
    pub b_in_panels: bool,
    /// What is left out.
    pub corner: Option<Corner>,
    /// Whether products are added by pairs, as the head of [`kernel`](super::kernel) says: where the elements of `a` and `b`
    /// are bfloat16 numbers, in whatever storage.
    pub by_pairs: bool,
    /// Begins with [`Instruction::Product`](super::kernel::Instruction::Product), stores at least once.
    pub epilogue: Body,
    /// As of a [`Pass`](super::kernel::Pass): where columns are beyond something, what stands for the epilogue.
    pub beyond: Option<Box<Beyond>>,
    /// Rows in a task.
    pub rows_per_task: usize,
    /// Columns in a task, a multiple of [`LANES`](super::kernel::LANES) or all.
    pub columns_per_task: usize,
}

impl MatrixProduct {
    /// The epilogue as a pass along the columns.
    pub fn epilogue_pass(&self) -> Pass {
        Pass {
            beyond: self.beyond.clone(),
            ..Pass::straight(self.epilogue.clone())
        }
    }

    /// Rows of a strip.
    pub fn strip_rows(&self) -> usize {
        self.m / self.strips.iter().product::<usize>()
    }

    /// Products of a turn.
    pub fn turn_length(&self) -> usize {
        self.k / self.turns.iter().product::<usize>()
    }

    /// Neighbouring turns, along the innermost axis of turns, whose products are added in one chain: as many as a chunk
    /// holds, of those numbers that divide the axis; one where a pair would have products of two.
    pub fn turns_in_chunk(&self) -> usize {
        if self.by_pairs && !self.turn_length().is_multiple_of(2) {
            return 1;
        }
        let inner = self.turns.last().copied().unwrap_or(1);
        let most = self.chunk() / self.turn_length();
        let whole = (1..=inner.min(most)).rev().find(|turns| inner.is_multiple_of(*turns));
        whole.unwrap_or(1)
    }

    /// Products that are added in one chain.
    pub fn chunk(&self) -> usize {
        if self.by_pairs {
            2 * PRODUCT_CHUNK
        } else {
            PRODUCT_CHUNK
        }
    }

    /// Whether a machine with tiles (x86-64's AMX, the instruction TDPBF16PS) multiplies with them, where it is asked to: by
    /// pairs, of operands that are stored in bfloat16 and [lie near](Self::lies_near), in turns of whole blocks.
    ///
    /// Then the sum is another one. The products of a turn are taken [`TILE_PRODUCTS`] by as many, the last block filled up
    /// with +0 · +0. In a block, the first of all pairs are added in one chain and the second in another, ascending, each
    /// from +0; then the two chains' sums are added, and that to the sum so far, which starts from +0 and knows no chunks.
    /// Subnormal numbers count as zeros in all of these, as in other products by pairs. A block of which a corner leaves out
    /// all is not there.
    pub fn fits_tiles(&self, buffers: &[Buffer]) -> bool {
        let halves = [&self.a, &self.b].map(|m| buffers[m.buffer.0 as usize].storage == Storage::Bf16);
        let in_blocks = self.turns.is_empty() || self.turn_length().is_multiple_of(TILE_PRODUCTS);
        self.by_pairs && halves == [true; 2] && in_blocks && self.lies_near()
    }

    /// Whether the elements of `a` lie so near to each other that offsets in instructions reach them.
    pub fn lies_near(&self) -> bool {
        let turn = self.a.turns.last().copied().unwrap_or(0);
        let strides = [self.a.row_stride, self.a.column_stride];
        strides.iter().all(|s| s.abs() < 1 << 22) && turn.abs() < 1 << 28
    }

    /// Elements from panel to panel of `b`, where it lies in panels.
    pub fn panel_elements(&self) -> usize {
        PANEL_COLUMNS * self.k
    }

    /// The element of `b` at a row of a turn and a column; without the part of the batch axes and turns.
    pub fn b_element(&self, row: usize, column: usize) -> i64 {
        let (panel, column) = match self.b_in_panels {
            true => (column / PANEL_COLUMNS, column % PANEL_COLUMNS),
            false => (0, column),
        };
        let inside = row as i64 * self.b.row_stride + column as i64 * self.b.column_stride;
        self.b.constant + (panel * self.panel_elements()) as i64 + inside
    }
}
