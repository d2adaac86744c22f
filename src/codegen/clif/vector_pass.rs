//! A pass over the vector axis: groups of four lanes, several side by side, and a rest; sequential axes inside. The body's
//! instructions themselves are emitted elsewhere.

use super::chunk::{greater, lesser};
use super::emitter::{Emitter, QUAD};
use crate::codegen::analysis::{Levels, Reduction, Varies, first_sequential, reductions};
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Vectors whose lanes are the sixteen of a reduction.
const REDUCTION_QUADS: usize = LANES / QUAD;
/// A body of at most this many instructions is emitted for four vectors at once.
const SMALL_BODY: usize = 16;
/// The same for two vectors.
const LARGE_BODY: usize = 200;

/// A part of the vector axis.
#[derive(Clone, Copy)]
pub enum Span {
    /// All of it.
    Whole,
    /// From a multiple of [`LANES`] to another one or to the end.
    Part(Value, Value),
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
    pub fn emit(&self, e: &mut Emitter, span: Span) {
        for define in self.pass.body.iter().chain(&self.pass.finish) {
            if self.varies(define) == Varies::default() {
                e.instruction(define, self.levels, 1);
            }
        }
        let mut sums: Vec<Value> = vec![];
        for reduction in &self.along_vector {
            sums.extend([e.neutral(reduction.function); REDUCTION_QUADS]);
        }
        let sums = match (span, &self.pass.beyond) {
            (Span::Whole, None) => self.emit_whole(e, sums),
            (Span::Part(start, end), None) => self.emit_part(e, start, end, sums),
            (span, Some(beyond)) => self.emit_until(e, beyond, span, sums),
        };
        for (reduction, lanes) in self.along_vector.iter().zip(sums.chunks_exact(REDUCTION_QUADS)) {
            let lanes = lanes.try_into().expect("four vectors for each reduction");
            let result = e.combine_tree(reduction, lanes);
            e.values[reduction.result.0 as usize] = Some(result);
        }
    }

    /// Where an instruction stands; nowhere inside the row for reductions, which the loops handle.
    fn varies(&self, define: &Define) -> Varies {
        match define.instruction {
            Instruction::Reduce { .. } | Instruction::Store { .. } | Instruction::KeptStore(..) => Varies::EVERYWHERE,
            _ => self.levels.of(define.value),
        }
    }

    /// Vectors that one round of the loop handles side by side: more hide each other's latency, and share what is the
    /// same for all; fewer need fewer registers and less code.
    fn quads_per_round(&self, size: usize) -> usize {
        let inner = |d: &&Define| {
            let constant = matches!(d.instruction, Instruction::Constant(_) | Instruction::Integer(_));
            self.varies(d) != Varies::default() && !constant
        };
        let work = self.pass.body.iter().chain(&self.pass.finish).filter(inner).count();
        let sums = self.along_sequence.len().max(1);
        [(4, SMALL_BODY), (2, LARGE_BODY)]
            .into_iter()
            .find(|(quads, most)| work <= *most && sums * quads <= 8 && size >= quads * QUAD)
            .map_or(1, |(quads, _)| quads)
    }

    fn emit_whole(&self, e: &mut Emitter, mut sums: Vec<Value>) -> Vec<Value> {
        let (quads, rest) = (e.sizes[VECTOR_AXIS] / QUAD, e.sizes[VECTOR_AXIS] % QUAD);
        let unroll = self.quads_per_round(e.sizes[VECTOR_AXIS]);
        let rounds = quads / unroll;
        if rounds > 0 {
            sums = e.repeat(rounds, (unroll * QUAD) as i64, &sums, &mut |e, at, sums| {
                self.round(e, at, unroll, sums)
            });
        }
        // A round takes the first lanes and moves them behind: they are where they were after whole turns only.
        let mut turn = rounds * unroll % REDUCTION_QUADS;
        let mut lanes: Vec<Value> = sums;
        let rotate = |lanes: &mut Vec<Value>| lanes.chunks_exact_mut(REDUCTION_QUADS).for_each(|l| l.rotate_left(1));
        for quad in rounds * unroll..quads {
            let at = e.integer((quad * QUAD) as i64);
            lanes = self.quads(e, at, &[QUAD], &lanes);
            rotate(&mut lanes);
            turn += 1;
        }
        if rest > 0 {
            let at = e.integer((quads * QUAD) as i64);
            lanes = self.quads(e, at, &[rest], &lanes);
        }
        lanes
            .chunks_exact_mut(REDUCTION_QUADS)
            .for_each(|l| l.rotate_right(turn % REDUCTION_QUADS));
        lanes
    }

    /// One round of the loop. The reductions' lanes move on, so that the next vector's are first.
    fn round(&self, e: &mut Emitter, at: Value, unroll: usize, sums: &[Value]) -> Vec<Value> {
        let mut sums = self.quads(e, at, &vec![QUAD; unroll], sums);
        sums.chunks_exact_mut(REDUCTION_QUADS)
            .for_each(|lanes| lanes.rotate_left(unroll));
        sums
    }

    /// The pass up to where constants begin, and these.
    fn emit_until(&self, e: &mut Emitter, beyond: &Beyond, span: Span, sums: Vec<Value>) -> Vec<Value> {
        let (start, end) = match span {
            Span::Part(start, end) => (start, end),
            Span::Whole => (e.integer(0), e.integer(e.sizes[VECTOR_AXIS] as i64)),
        };
        let from = e.position(&beyond.from, 0);
        let from = e.builder.ins().iadd_imm_s(from, LANES as i64 - 1);
        let from = e.builder.ins().band_imm_s(from, -(LANES as i64));
        let from = greater(e, from, start);
        let from = lesser(e, from, end);
        let sums = self.emit_part(e, start, from, sums);
        let rest = Pass::straight(beyond.body.clone());
        let mut levels = Levels::default();
        levels.enter(&rest.body, usize::MAX);
        VectorPass::new(&rest, &levels).emit(e, Span::Part(from, end));
        sums
    }

    fn emit_part(&self, e: &mut Emitter, start: Value, end: Value, sums: Vec<Value>) -> Vec<Value> {
        let size = e.sizes[VECTOR_AXIS];
        if !sums.is_empty() {
            // Whole turns, after which the lanes are where they were.
            return e.count(start, end, LANES as i64, &sums, &mut |e, at, sums| {
                self.round(e, at, REDUCTION_QUADS, sums)
            });
        }
        let rest = size % QUAD;
        let unroll = self.quads_per_round(size);
        let whole_end = e.least(end, (size - rest) as i64);
        let mut next = start;
        if unroll > 1 {
            // Rounds start at multiples of 16 from the start, while a whole round is left.
            let room = e.builder.ins().isub(whole_end, start);
            let room = e.builder.ins().band_imm_s(room, -((unroll * QUAD) as i64));
            let rounds_end = e.builder.ins().iadd(start, room);
            e.count(start, rounds_end, (unroll * QUAD) as i64, &[], &mut |e, at, _| {
                self.round(e, at, unroll, &[])
            });
            next = rounds_end;
        }
        if unroll == 1 || !size.is_multiple_of(unroll * QUAD) {
            e.count(next, whole_end, QUAD as i64, &[], &mut |e, at, _| {
                self.round(e, at, 1, &[])
            });
        }
        if rest > 0 {
            let last = e.builder.ins().icmp_imm_s(IntCC::Equal, end, size as i64);
            e.when(last, &mut |e| {
                let at = e.integer((size - rest) as i64);
                self.quads(e, at, &[rest], &[]);
            });
        }
        vec![]
    }

    /// Some vectors from index `at` on, each with its number of live lanes, instruction by instruction side by side.
    /// `sums` holds the vector reductions so far, four vectors each, and is given back with the vectors taken in, first to
    /// first.
    fn quads(&self, e: &mut Emitter, at: Value, live: &[usize], sums: &[Value]) -> Vec<Value> {
        e.memory.open();
        e.indices[VECTOR_AXIS] = Some(at);
        let outside = std::mem::take(&mut e.values);
        let mut group = Group {
            live,
            values: vec![outside.clone(); live.len()],
        };
        let sequential_from = first_sequential(e.outer_axes);
        if self.pass.sequential.iter().all(|size| *size == 1) {
            let zero = e.integer(0);
            e.indices[sequential_from..].fill(Some(zero));
            for define in self.pass.body.iter().filter(|d| self.varies(d) != Varies::default()) {
                group.instruction(e, define, self.levels);
            }
            for reduction in &self.along_sequence {
                group.each(e, |e, _| {
                    let element = e.value(reduction.value);
                    let neutral = e.neutral(reduction.function);
                    let result = e.combine(reduction.function, neutral, element);
                    e.values[reduction.result.0 as usize] = Some(result);
                });
            }
            e.indices[sequential_from..].fill(None);
        } else {
            self.sequence(e, &mut group, &outside);
        }
        for define in self.pass.finish.iter().filter(|d| self.varies(d) != Varies::default()) {
            group.instruction(e, define, self.levels);
        }
        let mut sums = sums.to_vec();
        for (number, reduction) in self.along_vector.iter().enumerate() {
            group.each(e, |e, quad| {
                let element = e.value(reduction.value);
                let lanes = &mut sums[number * REDUCTION_QUADS + quad];
                *lanes = e.combine_lanes(reduction.function, *lanes, element, live[quad]);
            });
        }
        e.values = outside;
        e.indices[VECTOR_AXIS] = None;
        e.memory.close();
        sums
    }

    /// The sequential axes inside some vectors; the reductions are among their values afterwards.
    fn sequence(&self, e: &mut Emitter, group: &mut Group, outside: &[Option<Value>]) {
        for define in &self.pass.body {
            if self.varies(define)
                == (Varies {
                    vector: true,
                    sequential: false,
                })
            {
                group.instruction(e, define, self.levels);
            }
        }
        let mut sums = vec![];
        for _ in group.live {
            sums.extend(
                self.along_sequence
                    .iter()
                    .map(|r| e.neutral(r.function))
                    .collect::<Vec<_>>(),
            );
        }
        let per_quad = self.along_sequence.len();
        let sums = self.nest(e, first_sequential(e.outer_axes), &sums, &mut |e, sums| {
            e.memory.open();
            e.prepare(&self.pass.body, |varies| !varies.vector);
            // What is the same for all vectors comes once.
            e.values = outside.to_vec();
            for define in &self.pass.body {
                if self.varies(define)
                    == (Varies {
                        vector: false,
                        sequential: true,
                    })
                {
                    e.instruction(define, self.levels, 1);
                }
            }
            let shared = std::mem::take(&mut e.values);
            let of_quad =
                |own: &Vec<Option<Value>>| own.iter().zip(&shared).map(|(own, shared)| own.or(*shared)).collect();
            let mut inner = Group {
                live: group.live,
                values: group.values.iter().map(of_quad).collect(),
            };
            for define in self.pass.body.iter().filter(|d| self.varies(d) == Varies::EVERYWHERE) {
                inner.instruction(e, define, self.levels);
            }
            let mut next = sums.to_vec();
            for (number, reduction) in self.along_sequence.iter().enumerate() {
                inner.each(e, |e, quad| {
                    let so_far = &mut next[quad * per_quad + number];
                    let element = e.value(reduction.value);
                    *so_far = e.combine(reduction.function, *so_far, element);
                });
            }
            e.memory.close();
            next
        });
        for (quad, values) in group.values.iter_mut().enumerate() {
            for (number, reduction) in self.along_sequence.iter().enumerate() {
                values[reduction.result.0 as usize] = Some(sums[quad * per_quad + number]);
            }
        }
        let sequential_from = first_sequential(e.outer_axes);
        e.indices[sequential_from..].fill(None);
    }

    /// Nested loops over the sequential axes from `axis` on.
    fn nest(
        &self,
        e: &mut Emitter,
        axis: usize,
        sums: &[Value],
        inside: &mut dyn FnMut(&mut Emitter, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        if axis == e.sizes.len() {
            return inside(e, sums);
        }
        e.repeat(e.sizes[axis], 1, sums, &mut |e, index, sums| {
            e.indices[axis] = Some(index);
            self.nest(e, axis + 1, sums, inside)
        })
    }
}

/// Vectors that are emitted side by side: how many lanes of each are live, and the values of each.
struct Group<'l> {
    live: &'l [usize],
    values: Vec<Vec<Option<Value>>>,
}

impl Group<'_> {
    /// Does something for each vector, with its values and its place.
    fn each(&mut self, e: &mut Emitter, mut body: impl FnMut(&mut Emitter, usize)) {
        for (quad, values) in self.values.iter_mut().enumerate() {
            e.vector_offset = (quad * QUAD) as i64;
            std::mem::swap(&mut e.values, values);
            body(e, quad);
            std::mem::swap(&mut e.values, values);
        }
        e.vector_offset = 0;
    }

    fn instruction(&mut self, e: &mut Emitter, define: &Define, levels: &Levels) {
        let live = self.live;
        self.each(e, |e, quad| e.instruction(define, levels, live[quad]));
    }
}
