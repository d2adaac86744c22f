//! What of a matrix product is left out: a corner of two of its axes, as a causal mask makes one. Where a factor is zero
//! its products are left out also if the other factor is infinite or not a number.

use super::kernel::MatrixProduct;
use std::fmt;

/// Rows, columns and products along the sum are left out in whole blocks of this side.
pub const CORNER_BLOCK: usize = 32;

/// An axis of a matrix product.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProductAxis {
    Row,
    Column,
    Sum,
}

/// Leaves out every block of products of which all have `greater - lesser > by`. The index along `of` is that of a row or a
/// column over `repeat`, modulo `period`; the other axis is a whole one, where it is the sum a turn of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Corner {
    /// The row or column whose blocks are multiplied one after the other.
    pub of: ProductAxis,
    /// Indices after which it begins again: all, or those of one of the heads that share keys.
    pub period: usize,
    /// Rows or columns behind each other that have the same index: one, or the heads that share keys.
    pub repeat: usize,
    /// The sum; of rows, perhaps the column.
    pub other: ProductAxis,
    /// Whether `other` is the greater one in the corner; else `of`.
    pub other_is_greater: bool,
    /// How much greater it is at most outside of the corner.
    pub by: i64,
}

impl Corner {
    /// Rows or columns of a block of `of`.
    pub fn block(&self) -> usize {
        CORNER_BLOCK * self.repeat
    }

    /// Of a block of `of` that begins at `first`, which indices of the other axis are not left out: what is to be added to
    /// `first` to get the least of them, and one beyond the greatest.
    pub fn kept(&self) -> (Option<i64>, Option<i64>) {
        let block = CORNER_BLOCK as i64;
        match self.other_is_greater {
            // Left out where other > first + block - 1 + by.
            true => (None, Some(((block - 1 + self.by).div_euclid(block) + 1) * block)),
            // Left out where other + block - 1 < first - by.
            false => (Some((-self.by).div_euclid(block) * block), None),
        }
    }

    /// Whether a product is left out; `sum` counts within its turn.
    pub fn leaves_out(&self, row: usize, column: usize, sum: usize) -> bool {
        let index = |axis| match axis {
            ProductAxis::Row => row,
            ProductAxis::Column => column,
            ProductAxis::Sum => sum,
        };
        let first = (index(self.of) / self.repeat % self.period / CORNER_BLOCK * CORNER_BLOCK) as i64;
        let other = index(self.other) as i64;
        let (least, end) = self.kept();
        least.is_some_and(|least| other < first + least) || end.is_some_and(|end| other >= first + end)
    }

    /// Whether it fits a product: whole blocks of whole axes, in a product of one piece.
    pub fn fits(&self, product: &MatrixProduct) -> bool {
        let size = |axis| match axis {
            ProductAxis::Row => product.m,
            ProductAxis::Column => product.n,
            ProductAxis::Sum => product.turn_length(),
        };
        let per_task = match self.of {
            ProductAxis::Row => product.rows_per_task,
            _ => product.columns_per_task,
        };
        let whole = |size: usize| size.is_multiple_of(CORNER_BLOCK);
        let axes = match (self.of, self.other) {
            (ProductAxis::Row, ProductAxis::Sum | ProductAxis::Column) => true,
            (of, other) => of == ProductAxis::Column && other == ProductAxis::Sum,
        };
        let tasks = per_task.is_multiple_of(self.block())
            && (self.other != ProductAxis::Column || whole(product.columns_per_task));
        let plain = product.strips.is_empty() && !product.b_in_panels;
        let turns = product.turns.is_empty() || self.other == ProductAxis::Sum && product.turns_in_chunk() == 1;
        let some = self.period > 0 && self.repeat > 0;
        let periods = some && whole(self.period) && size(self.of).is_multiple_of(self.period * self.repeat);
        periods && axes && tasks && plain && turns && whole(size(self.other))
    }
}

impl fmt::Display for Corner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |axis| match axis {
            ProductAxis::Row => "row",
            ProductAxis::Column => "column",
            ProductAxis::Sum => "sum",
        };
        let index = match self.repeat {
            1 => name(self.of).to_string(),
            repeat => format!("{} div {repeat}", name(self.of)),
        };
        let of = format!("{index} mod {}", self.period);
        let other = name(self.other).to_string();
        let [greater, lesser] = match self.other_is_greater {
            true => [other, of],
            false => [of, other],
        };
        write!(f, "without {greater} - {lesser} > {}", self.by)
    }
}
