//! Which part of its tasks and buffers is whose, if a kernel's work is cut into equal bands. A band has its own part of the
//! axes that tasks go over, outermost first: whole outer axes, and a part of the next one.

use super::affine::{Affine, Position};
use super::kernel::*;

impl Kernel {
    /// Sizes of the axes that its tasks go over, outermost first; none where it can't be cut.
    pub fn band_axes(&self) -> Vec<usize> {
        match &self.body {
            KernelBody::Loop(k) => k.outer.clone(),
            KernelBody::Product(k) => [&k.batch[..], &k.strips, &[k.strip_rows()]].concat(),
            KernelBody::Scatter(_) => vec![],
        }
    }

    /// The axis that is cut into parts (its place among the axes), and into how many; `None` where no cut gives so many bands.
    pub fn band_axis(&self, count: usize) -> Option<(usize, usize)> {
        let mut left = count;
        for (at, &size) in self.band_axes().iter().enumerate() {
            if size.is_multiple_of(left) {
                return Some((at, left));
            }
            if !left.is_multiple_of(size) {
                return None;
            }
            left /= size;
        }
        None
    }

    /// Whether the tasks, cut into so many equal parts, are those of as many bands.
    pub fn tasks_keep_to_bands(&self, count: usize) -> bool {
        if self.band_axis(count).is_none() {
            return false;
        }
        match &self.body {
            KernelBody::Loop(k) => {
                let rows = k.outer.iter().product::<usize>() / count;
                rows.is_multiple_of(k.rows_per_task)
            }
            KernelBody::Product(k) => {
                let batch: usize = k.batch.iter().product();
                let rows = k.m * batch / count;
                batch.is_multiple_of(count) || k.columns_per_task >= k.n && rows.is_multiple_of(k.rows_per_task)
            }
            KernelBody::Scatter(_) => false,
        }
    }

    /// Elements of a buffer from band to band, if each band touches nothing of another one: the `n`th one stays between
    /// `n` times as many and the next multiple.
    pub fn band_stride(&self, buffer: BufferId, count: usize) -> Option<usize> {
        let axes = self.band_axes();
        let (axis, parts) = self.band_axis(count)?;
        let mut common = None;
        for (at, mut sizes) in self.accesses(buffer)? {
            let moves = |axis: usize| at.affine.coefficient(axis);
            if at
                .digits
                .iter()
                .any(|d| (1..=axis + 1).any(|a| d.of.coefficient(a) != 0))
            {
                return None;
            }
            let stride = moves(axis + 1) * (axes[axis] / parts) as i64;
            let mut expected = stride * parts as i64;
            for outer in (0..axis).rev() {
                if axes[outer] > 1 && moves(outer + 1) != expected {
                    return None;
                }
                expected *= axes[outer] as i64;
            }
            sizes[1..=axis].fill(1);
            sizes[axis + 1] = axes[axis] / parts;
            let (low, high) = at.range(&sizes);
            if stride <= 0 || low < 0 || high >= stride || *common.get_or_insert(stride) != stride {
                return None;
            }
        }
        common.map(|stride| stride as usize)
    }

    /// All positions at which it touches a buffer, each with the sizes of its axes; `None` where ids have a part in them.
    pub fn accesses(&self, buffer: BufferId) -> Option<Vec<(Position, Vec<usize>)>> {
        let mut list = vec![];
        let mut of_body = |body: &Body, sizes: &[usize]| {
            for define in body {
                match &define.instruction {
                    Instruction::Load { buffer: b, at, .. } | Instruction::Store { buffer: b, at, .. }
                        if *b == buffer =>
                    {
                        list.push((at.clone(), sizes.to_vec()));
                    }
                    Instruction::Gather { buffer: b, .. } if *b == buffer => return false,
                    _ => {}
                }
            }
            true
        };
        match &self.body {
            KernelBody::Loop(k) => {
                for pass in &k.passes {
                    let sizes = [&[k.vector], &k.outer[..], &pass.sequential].concat();
                    if !of_body(&pass.body, &sizes) || !of_body(&pass.finish, &sizes) {
                        return None;
                    }
                }
            }
            KernelBody::Product(k) => {
                let sizes = [&[k.n], &k.batch[..], &[k.m]].concat();
                if !of_body(&k.epilogue, &sizes) {
                    return None;
                }
                // The rows' axis, told apart into strips and the rows of each.
                let (batch, strips) = (k.batch.len(), k.strips.len());
                let mut replacement: Vec<Position> = (0..=batch).map(Position::axis).collect();
                let mut row = Affine::default();
                let mut rows = 1;
                for (axis, &size) in [&k.strips[..], &[k.strip_rows()]].concat().iter().enumerate().rev() {
                    row = row.plus(&Affine::axis(batch + 1 + axis).times(rows));
                    rows *= size as i64;
                }
                replacement.push(row.into());
                let sizes = [&[k.n], &k.batch[..], &k.strips, &[k.strip_rows()]].concat();
                // Without strips nothing changes (and axes of one index keep their strides).
                for (at, its_sizes) in list.iter_mut().filter(|_| strips > 0) {
                    *at = at.substitute(&replacement, &sizes)?;
                    *its_sizes = sizes.clone();
                }
                let row = batch + strips + 1;
                let with_sum = [&sizes[..], &k.turns, &[k.turn_length()]].concat();
                let summed = with_sum.len() - 1;
                let matrix = |m: &Matrix, row_axis: usize, column_axis: usize| {
                    let outer = m.batch.iter().enumerate().map(|(i, stride)| (i + 1, *stride));
                    let strips = m.strips.iter().enumerate().map(|(i, stride)| (batch + 1 + i, *stride));
                    let turns = m.turns.iter().enumerate().map(|(i, stride)| (row + 1 + i, *stride));
                    let within = [(row_axis, m.row_stride), (column_axis, m.column_stride)];
                    let terms = outer.chain(strips).chain(turns).chain(within);
                    terms.fold(Affine::constant(m.constant), |sum, (axis, stride)| {
                        sum.plus(&Affine::axis(axis).times(stride))
                    })
                };
                if k.b_in_panels && k.b.buffer == buffer {
                    return None;
                }
                for (m, row, column) in [(&k.a, row, summed), (&k.b, summed, VECTOR_AXIS)] {
                    if m.buffer == buffer {
                        list.push((Position::from(matrix(m, row, column)), with_sum.clone()));
                    }
                }
            }
            KernelBody::Scatter(_) => return None,
        }
        Some(list)
    }
}
