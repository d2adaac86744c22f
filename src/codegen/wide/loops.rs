//! Loop kernels: rows, passes, the vector axis in whole vectors and a masked rest, sequential axes inside. The body
//! itself is emitted elsewhere.

use super::code::*;
use super::emitter::{Axis, Emitter, Unsupported, WORD};
use super::encode::Condition;
use crate::codegen::analysis::{Levels, Reduction, Varies, first_sequential, reductions};
use crate::ir::kernel::*;

/// A body of at most this many instructions is emitted for four vectors at once.
const SMALL_BODY: usize = 16;
/// The same for two vectors.
const LARGE_BODY: usize = 60;

/// The longest row that is worth a loop over its neighbours.
const SHORT_ROW: usize = 256;
/// So many neighbours are worth a loop.
const ROWS_MIN: usize = 4;

/// Bytes from kept row to kept row: as the portable emitter has them.
fn kept_stride(kernel: &LoopKernel) -> usize {
    kernel.vector.next_multiple_of(LANES) * WORD as usize
}

/// A part of the vector axis.
#[derive(Clone, Copy)]
pub enum Span {
    /// All of it.
    Whole,
    /// From a multiple of [`LANES`] to another one or to the end.
    Part(Reg, Reg),
}

/// Emits the whole function's inside; `tasks` are the first and the one behind the last.
pub fn emit(e: &mut Emitter, kernel: &LoopKernel, (first, end): (Reg, Reg)) -> Result<(), Unsupported> {
    e.outer_axes = kernel.outer.len();
    e.kept_stride = kept_stride(kernel) as i64;
    let rows: usize = kernel.outer.iter().product();
    match kernel.vector_per_task {
        None => {
            let per_task = kernel.rows_per_task as i64;
            let first = e.scaled(first, per_task);
            let end = e.scaled(end, per_task);
            let end = e.least(end, rows as i64);
            match inner_rows(kernel) {
                Some(inner) => emit_inner_rows(e, kernel, inner, (first, end)),
                None => e.count(first, end, 1, &mut |e, row| {
                    let outer = e.unravel(row, &kernel.outer)?;
                    emit_row(e, kernel, &outer, Span::Whole)
                }),
            }
        }
        Some(cut) => {
            let cuts = kernel.vector.div_ceil(cut);
            e.count(first, end, 1, &mut |e, task| {
                let indices = e.unravel(task, &[rows, cuts])?;
                let [row, number] = [indices[0], indices[1]].map(|axis| e.whole(axis));
                let start = e.scaled(number, cut as i64);
                let end = e.plus(Some(start), cut as i64);
                let end = e.least(end, kernel.vector as i64);
                let outer = e.unravel(row, &kernel.outer)?;
                emit_row(e, kernel, &outer, Span::Part(start, end))
            })
        }
    }
}

/// How many rows the last outer axis makes, where rows are so short that what they share is worth a loop of its own.
fn inner_rows(kernel: &LoopKernel) -> Option<usize> {
    let (&inner, others) = kernel.outer.split_last()?;
    let several = inner >= ROWS_MIN && others.iter().product::<usize>() > 1;
    (several && kernel.vector <= SHORT_ROW).then_some(inner)
}

/// Rows `[first, end)`, those of the last outer axis in a loop inside.
fn emit_inner_rows(
    e: &mut Emitter,
    kernel: &LoopKernel,
    inner: usize,
    (first, end): (Reg, Reg),
) -> Result<(), Unsupported> {
    let last = kernel.outer.len();
    let rows: usize = kernel.outer.iter().product();
    let range = (0, (rows + inner) as i64);
    let from = e.divided(first, inner as i64, range)?;
    let to = e.plus(Some(end), inner as i64 - 1);
    let to = e.divided(to, inner as i64, range)?;
    e.count(from, to, 1, &mut |e, group| {
        let before = e.scaled(group, inner as i64);
        let [start, stop] =
            [first, end].map(|row| e.code.to_word(|d| Step::Words(WordOperation::Subtract, d, row, before)));
        let zero = e.number(0);
        let start = e.code.to_word(|d| Step::Words(WordOperation::Greatest, d, start, zero));
        let stop = e.least(stop, inner as i64);
        let outer = e.unravel(group, &kernel.outer[..last - 1])?;
        e.open();
        e.indices = [None].into_iter().chain(outer.iter().map(|i| Some(*i))).collect();
        for pass in &kernel.passes {
            e.sizes = sizes(kernel, pass);
            e.indices.resize(e.sizes.len(), None);
            e.prepare_before(pass.body.iter().chain(&pass.finish), last)?;
        }
        e.count(start, stop, 1, &mut |e, index| {
            let outer: Vec<Axis> = outer.iter().copied().chain([Axis::of(index)]).collect();
            emit_row(e, kernel, &outer, Span::Whole)
        })?;
        e.close();
        Ok(())
    })
}

fn sizes(kernel: &LoopKernel, pass: &Pass) -> Vec<usize> {
    let inner = kernel.outer.iter().chain(&pass.sequential);
    [kernel.vector].iter().chain(inner).copied().collect()
}

fn emit_row(e: &mut Emitter, kernel: &LoopKernel, outer: &[Axis], span: Span) -> Result<(), Unsupported> {
    let mut levels = Levels::default();
    e.open();
    for pass in &kernel.passes {
        e.sizes = sizes(kernel, pass);
        e.indices = [None].into_iter().chain(outer.iter().map(|i| Some(*i))).collect();
        e.indices.resize(e.sizes.len(), None);
        levels.enter(&pass.body, first_sequential(kernel.outer.len()));
        levels.enter(&pass.finish, usize::MAX);
        e.prepare(pass.body.iter().chain(&pass.finish), |varies| {
            varies == Varies::default()
        })?;
        if pass.vector {
            VectorPass::new(pass, &levels).emit(e, span)?;
        } else {
            for define in &pass.body {
                e.instruction(define, &levels, 1)?;
            }
        }
        levels.leave();
    }
    e.close();
    Ok(())
}

/// A pass over the vector axis (of a loop kernel, or the epilogue of a product).
pub struct VectorPass<'p> {
    pass: &'p Pass,
    levels: &'p Levels,
    along_vector: Vec<Reduction>,
    along_sequence: Vec<Reduction>,
}

impl<'p> VectorPass<'p> {
    /// A pass whose values' levels are known.
    pub fn new(pass: &'p Pass, levels: &'p Levels) -> VectorPass<'p> {
        VectorPass {
            pass,
            levels,
            along_vector: reductions(pass.body.iter().chain(&pass.finish), Along::Vector),
            along_sequence: reductions(&pass.body, Along::Sequential),
        }
    }

    /// Emits the pass at the current row; its vector reductions are defined afterwards.
    pub fn emit(&self, e: &mut Emitter, span: Span) -> Result<(), Unsupported> {
        for define in self.pass.body.iter().chain(&self.pass.finish) {
            if self.varies(define) == Varies::default() {
                e.instruction(define, self.levels, e.lanes())?;
            }
        }
        let per_reduction = LANES / e.lanes();
        let mut sums = vec![];
        for reduction in &self.along_vector {
            let neutral = e.neutral(reduction.function);
            sums.extend((0..per_reduction).map(|_| e.code.to_vector(|d| Step::Copy(d, neutral))));
        }
        match span {
            Span::Whole => self.emit_whole(e, &sums)?,
            Span::Part(start, end) => self.emit_part(e, start, end)?,
        }
        for (reduction, lanes) in self.along_vector.iter().zip(sums.chunks_exact(per_reduction)) {
            let result = e.combine_tree(reduction, lanes);
            e.values[reduction.result.0 as usize] = Some(result);
        }
        Ok(())
    }

    /// Where an instruction stands; nowhere inside the row for reductions, which the loops handle.
    fn varies(&self, define: &Define) -> Varies {
        match define.instruction {
            Instruction::Reduce { .. } | Instruction::Store { .. } | Instruction::KeptStore(..) => Varies::EVERYWHERE,
            _ => self.levels.of(define.value),
        }
    }

    /// Vectors that one round of the loop handles side by side: whole turns of the sixteen lanes where these are summed.
    fn vectors_per_round(&self, e: &Emitter) -> usize {
        let inner = |d: &&Define| {
            let constant = matches!(d.instruction, Instruction::Constant(_) | Instruction::Integer(_));
            self.varies(d) != Varies::default() && !constant
        };
        let work = self.pass.body.iter().chain(&self.pass.finish).filter(inner).count();
        let sums = self.along_sequence.len().max(1);
        let size = e.sizes[VECTOR_AXIS];
        let fitting = [(4, SMALL_BODY), (2, LARGE_BODY)]
            .into_iter()
            .find(|(vectors, most)| work <= *most && sums * vectors <= 8 && size >= vectors * e.lanes())
            .map_or(1, |(vectors, _)| vectors);
        match self.along_vector.is_empty() {
            true => fitting,
            false => fitting.max(LANES / e.lanes()),
        }
    }

    fn emit_whole(&self, e: &mut Emitter, sums: &[Reg]) -> Result<(), Unsupported> {
        let lanes = e.lanes();
        let (vectors, rest) = (e.sizes[VECTOR_AXIS] / lanes, e.sizes[VECTOR_AXIS] % lanes);
        let unroll = self.vectors_per_round(e);
        let rounds = vectors / unroll;
        let round = vec![lanes; unroll];
        if rounds == 1 {
            self.vectors(e, Axis::known(0), &round, sums)?;
        } else if rounds > 1 {
            let index = e.number(0);
            let end = With::Number((rounds * unroll * lanes) as i64);
            e.repeat(index, end, (unroll * lanes) as i64, &mut |e| {
                self.vectors(e, Axis::of(index), &round, sums)
            })?;
        }
        let mut left = vec![lanes; vectors - rounds * unroll];
        left.extend((rest > 0).then_some(rest));
        // What is left starts with a whole turn.
        for (number, part) in left.chunks(unroll).enumerate() {
            let at = (rounds + number) * unroll * lanes;
            self.vectors(e, Axis::known(at as i64), part, sums)?;
        }
        Ok(())
    }

    fn emit_part(&self, e: &mut Emitter, start: Reg, end: Reg) -> Result<(), Unsupported> {
        let (size, lanes) = (e.sizes[VECTOR_AXIS], e.lanes());
        let rest = size % lanes;
        let unroll = self.vectors_per_round(e);
        let whole_end = e.least(end, (size - rest) as i64);
        let mut next = start;
        if unroll > 1 {
            // Rounds start at multiples of 16 from the start, while a whole round is left.
            let room = e
                .code
                .to_word(|d| Step::Words(WordOperation::Subtract, d, whole_end, start));
            let room = e.code.to_word(|d| Step::AndNumber(d, room, -((unroll * lanes) as i64)));
            let rounds_end = e.sum(Some(start), room);
            let round = vec![lanes; unroll];
            e.count(start, rounds_end, (unroll * lanes) as i64, &mut |e, at| {
                self.vectors(e, Axis::of(at), &round, &[])
            })?;
            next = rounds_end;
        }
        // Parts are whole turns of the sixteen lanes, perhaps not whole rounds.
        if unroll == 1 || unroll * lanes > LANES || !size.is_multiple_of(unroll * lanes) {
            e.count(next, whole_end, lanes as i64, &mut |e, at| {
                self.vectors(e, Axis::of(at), &[lanes], &[])
            })?;
        }
        if rest > 0 {
            let behind = e.code.target();
            let size_word = With::Number(size as i64);
            e.code.push(Step::Branch(Condition::NotEqual, end, size_word, behind));
            self.vectors(e, Axis::known((size - rest) as i64), &[rest], &[])?;
            e.code.push(Step::Bind(behind));
        }
        Ok(())
    }

    /// Some vectors from index `at` on, each with its number of live lanes, instruction by instruction side by side.
    /// `sums` holds the vector reductions so far, each in as many vectors as make sixteen lanes.
    fn vectors(&self, e: &mut Emitter, at: Axis, live: &[usize], sums: &[Reg]) -> Result<(), Unsupported> {
        e.open();
        e.indices[VECTOR_AXIS] = Some(at);
        let outside = e.values.clone();
        let mut group = Group {
            live,
            values: vec![outside.clone(); live.len()],
        };
        let sequential_from = first_sequential(e.outer_axes);
        if self.pass.sequential.iter().all(|size| *size == 1) {
            e.indices[sequential_from..].fill(Some(Axis::known(0)));
            for define in self.pass.body.iter().filter(|d| self.varies(d) != Varies::default()) {
                group.instruction(e, define, self.levels)?;
            }
            for reduction in &self.along_sequence {
                group.each(e, |e, _| {
                    let (element, neutral) = (e.value(reduction.value), e.neutral(reduction.function));
                    let result = e.code.vector();
                    e.combine(reduction.function, e.code.width, result, neutral, element);
                    e.values[reduction.result.0 as usize] = Some(result);
                    Ok(())
                })?;
            }
            e.indices[sequential_from..].fill(None);
        } else {
            self.sequence(e, &mut group, &outside)?;
        }
        for define in self.pass.finish.iter().filter(|d| self.varies(d) != Varies::default()) {
            group.instruction(e, define, self.levels)?;
        }
        let per_reduction = LANES / e.lanes();
        for (number, reduction) in self.along_vector.iter().enumerate() {
            group.each(e, |e, vector| {
                let element = e.value(reduction.value);
                let so_far = sums[number * per_reduction + vector % per_reduction];
                e.combine_lanes(reduction.function, so_far, element, live[vector]);
                Ok(())
            })?;
        }
        e.values = outside;
        e.indices[VECTOR_AXIS] = None;
        e.close();
        Ok(())
    }

    /// The sequential axes inside some vectors; the reductions are among their values afterwards.
    fn sequence(&self, e: &mut Emitter, group: &mut Group, outside: &[Option<Reg>]) -> Result<(), Unsupported> {
        let vector_only = Varies {
            vector: true,
            sequential: false,
        };
        for define in self.pass.body.iter().filter(|d| self.varies(d) == vector_only) {
            group.instruction(e, define, self.levels)?;
        }
        for reduction in &self.along_sequence {
            group.each(e, |e, _| {
                let neutral = e.neutral(reduction.function);
                let sum = e.code.to_vector(|d| Step::Copy(d, neutral));
                e.values[reduction.result.0 as usize] = Some(sum);
                Ok(())
            })?;
        }
        self.nest(e, first_sequential(e.outer_axes), &mut |e| {
            e.open();
            e.prepare(&self.pass.body, |varies| !varies.vector)?;
            // What is the same for all vectors comes once.
            e.values = outside.to_vec();
            let sequence_only = Varies {
                vector: false,
                sequential: true,
            };
            for define in self.pass.body.iter().filter(|d| self.varies(d) == sequence_only) {
                e.instruction(define, self.levels, e.lanes())?;
            }
            let shared = std::mem::take(&mut e.values);
            let of_vector =
                |own: &Vec<Option<Reg>>| own.iter().zip(&shared).map(|(own, shared)| own.or(*shared)).collect();
            let mut inner = Group {
                live: group.live,
                values: group.values.iter().map(of_vector).collect(),
            };
            for define in self.pass.body.iter().filter(|d| self.varies(d) == Varies::EVERYWHERE) {
                inner.instruction(e, define, self.levels)?;
            }
            for reduction in &self.along_sequence {
                inner.each(e, |e, _| {
                    let (so_far, element) = (e.value(reduction.result), e.value(reduction.value));
                    e.combine(reduction.function, e.code.width, so_far, so_far, element);
                    Ok(())
                })?;
            }
            e.close();
            Ok(())
        })?;
        e.values = outside.to_vec();
        let sequential_from = first_sequential(e.outer_axes);
        e.indices[sequential_from..].fill(None);
        Ok(())
    }

    /// Nested loops over the sequential axes from `axis` on.
    fn nest(
        &self,
        e: &mut Emitter,
        axis: usize,
        inside: &mut dyn FnMut(&mut Emitter) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        if axis == e.sizes.len() {
            return inside(e);
        }
        if e.sizes[axis] == 1 {
            e.indices[axis] = Some(Axis::known(0));
            return self.nest(e, axis + 1, inside);
        }
        let index = e.number(0);
        let end = With::Number(e.sizes[axis] as i64);
        e.repeat(index, end, 1, &mut |e| {
            e.indices[axis] = Some(Axis::of(index));
            self.nest(e, axis + 1, inside)
        })
    }
}

/// Vectors that are emitted side by side: how many lanes of each are live, and the values of each.
struct Group<'l> {
    live: &'l [usize],
    values: Vec<Vec<Option<Reg>>>,
}

impl Group<'_> {
    /// Does something for each vector, with its values, index and place.
    fn each(
        &mut self,
        e: &mut Emitter,
        mut body: impl FnMut(&mut Emitter, usize) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let first = e.indices[VECTOR_AXIS];
        for (vector, values) in self.values.iter_mut().enumerate() {
            e.indices[VECTOR_AXIS] = first.map(|at| Axis {
                constant: at.constant + (vector * e.lanes()) as i64,
                ..at
            });
            std::mem::swap(&mut e.values, values);
            body(e, vector)?;
            std::mem::swap(&mut e.values, values);
        }
        e.indices[VECTOR_AXIS] = first;
        Ok(())
    }

    fn instruction(&mut self, e: &mut Emitter, define: &Define, levels: &Levels) -> Result<(), Unsupported> {
        let live = self.live;
        self.each(e, |e, vector| e.instruction(define, levels, live[vector]))
    }
}

/// One round of a loop with its index.
pub type LoopBody<'b, 'e> = dyn FnMut(&mut Emitter<'e>, Reg) -> Result<(), Unsupported> + 'b;

impl<'a> Emitter<'a> {
    /// `for index in start..end` by steps; perhaps no round.
    pub fn count(&mut self, start: Reg, end: Reg, step: i64, body: &mut LoopBody<'_, 'a>) -> Result<(), Unsupported> {
        let index = self.code.to_word(|d| Step::Copy(d, start));
        let behind = self.code.target();
        let until = With::Word(end);
        self.code
            .push(Step::Branch(Condition::GreaterEqual, index, until, behind));
        self.repeat(index, until, step, &mut |e| body(e, index))?;
        self.code.push(Step::Bind(behind));
        Ok(())
    }

    /// Runs `body` with `index` from where it is while it is below `end`, at least once.
    pub fn repeat(
        &mut self,
        index: Reg,
        end: With,
        step: i64,
        body: &mut dyn FnMut(&mut Emitter<'a>) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let number = self.code.open_loop();
        let again = self.code.target();
        self.code.push(Step::Bind(again));
        body(self)?;
        self.code.close_loop(number, index, end, step, again);
        Ok(())
    }
}
