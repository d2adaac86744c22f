//! A pass over the vector axis: whole vectors, several side by side, and a masked rest; sequential axes inside. The
//! body's instructions themselves are emitted elsewhere.

use super::code::*;
use super::emitter::{Axis, Emitter, Unsupported};
use super::encode::Condition;
use crate::codegen::analysis::{Levels, Reduction, Varies, first_sequential, reductions};
use crate::ir::kernel::*;

/// A body of at most this many instructions is emitted for four vectors at once.
const SMALL_BODY: usize = 16;
/// The same for two vectors.
const LARGE_BODY: usize = 60;

/// A part of the vector axis.
#[derive(Clone, Copy)]
pub enum Span {
    /// All of it.
    Whole,
    /// From a multiple of [`LANES`] to another one or to the end.
    Part(Reg, Reg),
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
        match (span, &self.pass.beyond) {
            (Span::Whole, None) => self.emit_whole(e, &sums)?,
            (Span::Part(start, end), None) => self.emit_part(e, start, end, &sums)?,
            (span, Some(beyond)) => self.emit_until(e, beyond, span, &sums)?,
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

    /// The pass up to where constants begin, and these.
    fn emit_until(&self, e: &mut Emitter, beyond: &Beyond, span: Span, sums: &[Reg]) -> Result<(), Unsupported> {
        let (start, end) = match span {
            Span::Part(start, end) => (start, end),
            Span::Whole => (e.number(0), e.number(e.sizes[VECTOR_AXIS] as i64)),
        };
        let from = e.position(&beyond.from)?;
        let from = e.plus(Some(from), LANES as i64 - 1);
        let from = e.code.to_word(|d| Step::AndNumber(d, from, -(LANES as i64)));
        let mut limit = |operation, a, b| e.code.to_word(|d| Step::Words(operation, d, a, b));
        let from = limit(WordOperation::Greatest, from, start);
        let from = limit(WordOperation::Least, from, end);
        self.emit_part(e, start, from, sums)?;
        let rest = Pass::straight(beyond.body.clone());
        let mut levels = Levels::default();
        levels.enter(&rest.body, usize::MAX);
        VectorPass::new(&rest, &levels).emit(e, Span::Part(from, end))
    }

    fn emit_part(&self, e: &mut Emitter, start: Reg, end: Reg, sums: &[Reg]) -> Result<(), Unsupported> {
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
                self.vectors(e, Axis::of(at), &round, sums)
            })?;
            next = rounds_end;
        }
        // Parts are whole turns of the sixteen lanes, perhaps not whole rounds; sums take in whole turns.
        if unroll == 1 || unroll * lanes > LANES || !size.is_multiple_of(unroll * lanes) {
            let few = vec![lanes; if sums.is_empty() { 1 } else { LANES / lanes }];
            e.count(next, whole_end, (few.len() * lanes) as i64, &mut |e, at| {
                self.vectors(e, Axis::of(at), &few, sums)
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
