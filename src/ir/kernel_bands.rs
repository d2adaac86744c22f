//! Which part of its tasks and buffers is whose, if a kernel's work is cut into equal bands. A band has its own part of the
//! axes that tasks go over, outermost first: whole outer axes, and a part of the next one.

use super::affine::{Affine, Guard, Position};
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

    /// Whether the tasks, cut into so many equal parts, are those of as many bands.
    pub fn tasks_keep_to_bands(&self, count: usize) -> bool {
        if cut_axis(&self.band_axes(), count).is_none() {
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

    /// The kernel that does the work of one band with the parts of its buffers that are the band's, and the elements from
    /// part to part of each: 0 where all bands read the same. `None` where a band has no part of its own, or does
    /// something else than the others: where it asks at which index it is.
    pub fn band_part(&self, count: usize) -> Option<(Kernel, Vec<usize>)> {
        let axes = self.band_axes();
        let Some((axis, parts)) = cut_axis(&axes, count) else {
            return self.vector_part(count);
        };
        if self.asks_for_index_up_to(axis + 1) {
            return None;
        }
        let mut part = self.clone();
        let mut strides = vec![];
        for (at, buffer) in part.buffers.iter_mut().enumerate() {
            let id = BufferId(at as u32);
            let stride = match self.is_the_same_up_to(id, axis + 1)? {
                true if buffer.written => return None,
                true => 0,
                false => self
                    .band_stride(id, count)
                    .or_else(|| self.gathered_stride(id, count))?,
            };
            if stride > 0 {
                buffer.elements = stride;
            }
            strides.push(stride);
        }
        match &mut part.body {
            KernelBody::Loop(k) => {
                k.outer[..axis].fill(1);
                k.outer[axis] /= parts;
                k.rows_per_task = k.rows_per_task.min(k.outer.iter().product());
            }
            KernelBody::Product(k) if axes.len() == 1 && k.corner.is_none() => {
                k.m /= parts;
                k.rows_per_task = k.rows_per_task.min(k.m);
            }
            _ => return None,
        }
        Some((part, strides))
    }

    /// The same for straight element-wise work without outer axes: a part of the vector axis.
    fn vector_part(&self, count: usize) -> Option<(Kernel, Vec<usize>)> {
        let KernelBody::Loop(k) = &self.body else { return None };
        let [pass] = &k.passes[..] else { return None };
        let straight = pass.vector && pass.sequential.is_empty() && pass.finish.is_empty() && k.rows_kept == 0;
        let reduces = |d: &Define| matches!(d.instruction, Instruction::Reduce { .. });
        let single = k.outer.iter().all(|size| *size == 1);
        if !straight || !single || !k.vector.is_multiple_of(count) || pass.body.iter().any(reduces) {
            return None;
        }
        // With the vector axis as an outer one, and nothing along the vector.
        let along = |at: &Position| {
            let mut terms = at.affine.terms.clone();
            terms.iter_mut().for_each(|(axis, _)| *axis += 1);
            let outer = Affine {
                constant: at.affine.constant,
                terms,
            };
            at.digits.is_empty().then_some(Position::from(outer))
        };
        let mut turned = self.clone();
        if let KernelBody::Loop(t) = &mut turned.body {
            (t.outer, t.vector, t.vector_per_task) = ([&[k.vector], &k.outer[..]].concat(), 1, None);
            for define in &mut t.passes[0].body {
                match &mut define.instruction {
                    Instruction::Load { at, guards, .. } if guards.is_empty() => *at = along(at)?,
                    Instruction::Store { at, .. } | Instruction::Gather { at, .. } => *at = along(at)?,
                    Instruction::Load { .. } | Instruction::Index(_) | Instruction::Inside(_) => return None,
                    _ => {}
                }
            }
        }
        let (part, strides) = turned.band_part(count)?;
        let mut kernel = self.clone();
        kernel.buffers = part.buffers;
        if let KernelBody::Loop(k) = &mut kernel.body {
            k.vector /= count;
        }
        Some((kernel, strides))
    }

    /// Whether an index along one of the axes up to one decides what is done.
    fn asks_for_index_up_to(&self, axis: usize) -> bool {
        let uses = |at: &Position| (1..=axis).any(|a| at.uses(a));
        let guarded = |guards: &[Guard]| guards.iter().any(|g| (1..=axis).any(|a| g.uses(a)));
        let asks = |define: &Define| match &define.instruction {
            Instruction::Index(at) => uses(at),
            Instruction::Inside(guards) => guarded(guards),
            Instruction::Load { guards, .. } => guarded(guards),
            _ => false,
        };
        let bodies = self.bodies();
        bodies.into_iter().any(|(_, _, body)| body.iter().any(asks))
    }

    /// Whether no axis up to one moves where a buffer is touched; `None` for scatters.
    fn is_the_same_up_to(&self, buffer: BufferId, axis: usize) -> Option<bool> {
        let moves = |at: &Position| (1..=axis).any(|a| at.uses(a));
        let gathers = self.gathers(buffer);
        if !gathers.is_empty() {
            return Some(!gathers.iter().any(|(at, _)| moves(at)));
        }
        Some(!accesses(self, buffer)?.iter().any(|(at, _)| moves(at)))
    }

    /// The gathers from a buffer: their positions and ids' strides.
    fn gathers(&self, buffer: BufferId) -> Vec<(&Position, i64)> {
        let mut list = vec![];
        for (_, _, body) in self.bodies() {
            for define in body {
                if let Instruction::Gather { buffer: b, at, ids } = &define.instruction
                    && *b == buffer
                {
                    list.push((at, ids.iter().map(|i| i.1).max().unwrap_or(0)));
                }
            }
        }
        list
    }

    /// [`Kernel::band_stride`] of a buffer that is gathered from: of a row-major tensor, ids along inner axes stay inside
    /// an element of the axis that is cut.
    fn gathered_stride(&self, buffer: BufferId, count: usize) -> Option<usize> {
        let axes = self.band_axes();
        let (axis, parts) = cut_axis(&axes, count)?;
        let gathers = self.gathers(buffer);
        let touches = |d: &Define| match &d.instruction {
            Instruction::Load { buffer: b, .. } | Instruction::Store { buffer: b, .. } => *b == buffer,
            _ => false,
        };
        if self.bodies().iter().any(|(_, _, body)| body.iter().any(touches)) {
            return None;
        }
        let first = gathers.first()?.0.affine.coefficient(axis + 1);
        let inner = |(at, ids): &(&Position, i64)| {
            let plain = at.digits.is_empty() && at.affine.constant == 0;
            let outer = (1..=axis).all(|a| axes[a - 1] == 1 || at.affine.coefficient(a) >= first);
            plain && outer && at.affine.coefficient(axis + 1) == first && *ids < first
        };
        let whole = first * axes[axis..].first().map_or(0, |size| *size as i64);
        let fits = gathers.iter().all(inner) && axes[..axis].iter().all(|size| *size == 1);
        let elements = self.buffers[buffer.0 as usize].elements as i64;
        (fits && whole == elements).then_some((whole / parts as i64) as usize)
    }

    /// Elements of a buffer from band to band, if each band touches nothing of another one: the `n`th one stays between
    /// `n` times as many and the next multiple.
    pub fn band_stride(&self, buffer: BufferId, count: usize) -> Option<usize> {
        let axes = self.band_axes();
        let (axis, parts) = cut_axis(&axes, count)?;
        let mut common = None;
        for (at, mut sizes) in accesses(self, buffer)? {
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
}

/// The axis that is cut into parts (its place among the axes), and into how many; `None` where no cut gives so many bands.
fn cut_axis(axes: &[usize], count: usize) -> Option<(usize, usize)> {
    let mut left = count;
    for (at, &size) in axes.iter().enumerate() {
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

/// All positions at which a kernel touches a buffer, each with the sizes of its axes.
fn accesses(kernel: &Kernel, buffer: BufferId) -> Option<Vec<(Position, Vec<usize>)>> {
    let mut list = vec![];
    let mut of_body = |body: &Body, sizes: &[usize]| {
        for define in body {
            match &define.instruction {
                Instruction::Load { buffer: b, at, .. } | Instruction::Store { buffer: b, at, .. } if *b == buffer => {
                    list.push((at.clone(), sizes.to_vec()));
                }
                Instruction::Gather { buffer: b, .. } if *b == buffer => return false,
                _ => {}
            }
        }
        true
    };
    match &kernel.body {
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
