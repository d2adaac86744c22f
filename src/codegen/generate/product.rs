//! Matrix products: strides of every form, strips, turns and panels, 16 bits.

use super::{Case, Generator, Scope};
use crate::ir::affine::Position;
use crate::ir::corner::{CORNER_BLOCK, Corner, ProductAxis};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

impl Generator {
    /// A matrix with strips and turns: far from each other, or windows that overlap.
    fn matrix_in_parts(
        &mut self,
        batch: &[usize],
        strips: &[usize],
        turns: &[usize],
        [rows, columns]: [usize; 2],
    ) -> Matrix {
        let outer = [strips, turns, batch].concat();
        let mut matrix = self.matrix(&outer, rows, columns);
        let of_batch = matrix.batch.split_off(strips.len() + turns.len());
        if self.chance(2) {
            for stride in &mut matrix.batch {
                *stride = (*stride).min(self.below(2 * columns + 2) as i64);
            }
        }
        matrix.turns = matrix.batch.split_off(strips.len());
        matrix.strips = std::mem::replace(&mut matrix.batch, of_batch);
        matrix
    }

    fn matrix(&mut self, batch: &[usize], rows: usize, columns: usize) -> Matrix {
        let mut strides: Vec<i64> = vec![];
        let (row_stride, column_stride, mut size) = match self.below(6) {
            0 | 1 => (columns as i64, 1, rows * columns),
            2 | 3 => (1, rows as i64, rows * columns),
            4 => (2 * columns as i64 + 1, 2, rows * (2 * columns + 1)),
            _ => (0, 1, columns),
        };
        for &length in batch.iter().rev() {
            let repeats = self.chance(4);
            strides.push(if repeats { 0 } else { size as i64 });
            if !repeats {
                size *= length;
            }
        }
        strides.reverse();
        let constant = self.pick(&[0, 0, 2]);
        let storage = self.pick(self.numbers);
        let buffer = self.buffer(storage, size + constant as usize, false);
        Matrix {
            buffer,
            constant,
            batch: strides,
            strips: vec![],
            turns: vec![],
            row_stride,
            column_stride,
        }
    }

    /// A product's second operand in panels.
    fn panels(&mut self, rows: usize, columns: usize) -> Matrix {
        let constant = self.pick(&[0, 0, 16]);
        let elements = constant as usize + columns.div_ceil(PANEL_COLUMNS) * PANEL_COLUMNS * rows;
        Matrix {
            buffer: self.buffer(Storage::F32, elements, false),
            constant,
            batch: vec![],
            strips: vec![],
            turns: vec![],
            row_stride: PANEL_COLUMNS as i64,
            column_stride: 1,
        }
    }

    /// A product of any form.
    pub fn product_case(&mut self) -> Case {
        self.start();
        let batch = self.sizes(2);
        let side = |g: &mut Generator| {
            let small = 1 + g.below(40);
            g.pick(&[1, 3, 4, 7, 8, 9, 16, 17, 31, 33, small])
        };
        let by_pairs = self.chance(2);
        self.numbers = if by_pairs {
            &[Storage::Bf16, Storage::Bf16, Storage::Bf16, Storage::F32]
        } else {
            &[Storage::F32, Storage::F32, Storage::Bf16, Storage::F16]
        };
        let (m, n) = (side(self), side(self));
        let k = if self.chance(6) {
            self.pick(&[255, 256, 257, 513, 700, 1025])
        } else if by_pairs && self.chance(2) {
            self.pick(&[32, 64, 160])
        } else {
            side(self)
        };
        let (m, n) = if batch.is_empty() && self.chance(4) {
            (m + 70, n + 140)
        } else {
            (m, n)
        };
        let parts = |g: &mut Generator| if g.chance(3) { g.sizes(2) } else { vec![] };
        let b_in_panels = batch.is_empty() && self.chance(3);
        let (strips, mut turns) = (parts(self), if b_in_panels { vec![] } else { parts(self) });
        let plain = strips.is_empty() && !b_in_panels;
        let corner = (plain && self.chance(2)).then(|| self.corner());
        let [m, n, k] = match corner {
            None => [m, n, k],
            Some(corner) => {
                let of_sum = corner.other == ProductAxis::Sum;
                turns = if of_sum && !turns.is_empty() { vec![2] } else { vec![] };
                self.sizes_with(corner, [m, n, k], !turns.is_empty())
            }
        };
        let a = self.matrix_in_parts(&batch, &strips, &turns, [m, k]);
        let b = match b_in_panels {
            true => self.panels(k, n),
            false => self.matrix_in_parts(&batch, &[], &turns, [k, n]),
        };
        let m = m * strips.iter().product::<usize>();
        let k = k * turns.iter().product::<usize>();
        let sizes: Vec<usize> = [n].iter().chain(&batch).chain([&m]).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let (mut body, mut scope) = (vec![], Scope::default());
        let product = self.define(&mut body, &mut scope, ValueKind::Real, Instruction::Product);
        let (at, elements) = self.own_position(&sizes, &usable);
        let buffer = self.buffer(Storage::F32, elements, true);
        self.effect(
            &mut body,
            Instruction::Store {
                buffer,
                at,
                value: product,
            },
        );
        if self.chance(2) {
            self.sources(&mut body, &mut scope, &sizes, &usable);
            self.arithmetic(&mut body, &mut scope, 10);
            self.store(&mut body, &scope, &sizes, &usable);
        }
        let rows_per_task = match corner {
            None => self.pick(&[1, 2, 5, 16, 64]),
            Some(corner) => corner.block() * self.pick(&[1, 3]),
        };
        let unit = match corner {
            None if b_in_panels => PANEL_COLUMNS,
            None => LANES,
            Some(corner) => corner.block(),
        };
        let columns_per_task = if self.chance(2) { unit * (1 + self.below(3)) } else { n };
        let beyond = (n.is_multiple_of(LANES) && self.chance(2)).then(|| self.beyond(&body, &sizes));
        self.finish(KernelBody::Product(MatrixProduct {
            batch,
            m,
            strips,
            n,
            k,
            turns,
            a,
            b,
            b_in_panels,
            corner,
            by_pairs,
            epilogue: body,
            beyond,
            rows_per_task,
            columns_per_task,
        }))
    }

    /// Rows, columns and products of a turn of which a corner has whole blocks; if there are turns, no two in a chunk.
    fn sizes_with(&mut self, corner: Corner, [mut m, mut n, mut k]: [usize; 3], turns: bool) -> [usize; 3] {
        let periods = corner.period * corner.repeat * (1 + self.below(2));
        match corner.of {
            ProductAxis::Row => m = periods,
            _ => n = periods,
        }
        match corner.other {
            ProductAxis::Sum if turns => k = CORNER_BLOCK * self.pick(&[9, 17]),
            ProductAxis::Sum => k = CORNER_BLOCK * self.pick(&[1, 2, 8, 9, 17]),
            _ => n = CORNER_BLOCK * (1 + self.below(4)),
        }
        [m, n, k]
    }

    /// A corner: of any two axes, in any direction, of blocks or of long sums.
    fn corner(&mut self) -> Corner {
        let by = self.pick(&[-64, -33, -1, 0, 1, 31, 40, 300]);
        let of = self.pick(&[ProductAxis::Row, ProductAxis::Column]);
        let other = match of {
            ProductAxis::Row => self.pick(&[ProductAxis::Sum, ProductAxis::Column]),
            _ => ProductAxis::Sum,
        };
        Corner {
            of,
            period: CORNER_BLOCK * (1 + self.below(3)),
            repeat: self.pick(&[1, 1, 2, 3]),
            other,
            other_is_greater: self.chance(2),
            by,
        }
    }

    /// A product that tiles can do.
    pub fn tiles_case(&mut self) -> Case {
        loop {
            let case = self.product_case();
            if matches!(&case.kernel.body, KernelBody::Product(k) if k.fits_tiles(&case.kernel.buffers)) {
                return case;
            }
        }
    }

    /// A product by pairs of numbers whose products lie around the least normal number, many of them subnormal.
    pub fn small_pairs_case(&mut self) -> Case {
        loop {
            let mut case = self.product_case();
            let KernelBody::Product(k) = &case.kernel.body else {
                unreachable!("a product")
            };
            let operands = [k.a.buffer, k.b.buffer].map(|b| b.0 as usize);
            if !k.by_pairs
                || operands
                    .iter()
                    .any(|&b| case.kernel.buffers[b].storage != Storage::Bf16)
            {
                continue;
            }
            for piece in operands.map(|b| case.binding[b]) {
                for word in &mut case.memory[piece] {
                    let exponent = self.pick(&[0, 1, 48, 55, 60, 62, 63, 64, 65, 66, 72]);
                    *word = (self.below(2) << 15 | exponent << 7 | self.below(1 << 7)) as u32;
                }
            }
            return case;
        }
    }

    /// All 65 536 numbers of 16 bits times 1, as the rows or as the columns of a product.
    pub fn widening_case(&mut self, storage: Storage, rows: bool) -> Case {
        self.start();
        let all = 1 << 16;
        let (numbers, one) = (self.buffer(storage, all, false), self.buffer(Storage::F32, 1, false));
        let result = self.buffer(Storage::F32, all, true);
        let matrix = |buffer, row_stride, column_stride| Matrix {
            buffer,
            constant: 0,
            batch: vec![],
            strips: vec![],
            turns: vec![],
            row_stride,
            column_stride,
        };
        let (m, n) = if rows { (all, 1) } else { (1, all) };
        let (a, b) = match rows {
            true => (matrix(numbers, 1, 1), matrix(one, 1, 1)),
            false => (matrix(one, 1, 1), matrix(numbers, 1, 1)),
        };
        let (mut epilogue, mut scope) = (vec![], Scope::default());
        let value = self.define(&mut epilogue, &mut scope, ValueKind::Real, Instruction::Product);
        let at = Position::axis(if rows { 1 } else { VECTOR_AXIS });
        let buffer = result;
        self.effect(&mut epilogue, Instruction::Store { buffer, at, value });
        let mut case = self.finish(KernelBody::Product(MatrixProduct {
            batch: vec![],
            m,
            strips: vec![],
            n,
            k: 1,
            turns: vec![],
            a,
            b,
            b_in_panels: false,
            corner: None,
            by_pairs: false,
            epilogue,
            beyond: None,
            rows_per_task: 1 << 12,
            columns_per_task: n,
        }));
        case.memory[0] = (0..all as u32).collect();
        case.memory[1] = vec![1f32.to_bits()];
        case
    }
}
