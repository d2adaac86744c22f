//! Loop kernels: passes over rows, and long reductions.

use super::{Case, Generator, Scope};
use crate::ir::affine::{Affine, Position};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

impl Generator {
    /// A loop kernel of up to three passes.
    pub fn loop_case(&mut self) -> Case {
        self.start();
        let (outer, vector) = (self.sizes(2), self.vector_size());
        let cut = vector > LANES && self.chance(4);
        let passes = if cut { 1 } else { 1 + self.below(3) };
        let rows_kept = if cut { 0 } else { self.below(3) as u32 };
        let mut row_scope = Scope::default();
        let mut kept = vec![];
        let mut list = vec![];
        for number in 0..passes {
            let row_pass = number > 0 && self.chance(4);
            if row_pass {
                list.push(self.row_pass(&outer, vector, &mut row_scope));
            } else {
                let shape = (&outer[..], vector, rows_kept, cut);
                list.push(self.vector_pass(shape, &mut row_scope, &mut kept));
            }
        }
        let rows_per_task = if cut { 1 } else { 1 + self.below(3) };
        self.finish(KernelBody::Loop(LoopKernel {
            outer,
            vector,
            rows_kept,
            passes: list,
            rows_per_task,
            vector_per_task: cut.then_some(LANES),
        }))
    }

    fn row_pass(&mut self, outer: &[usize], vector: usize, row_scope: &mut Scope) -> Pass {
        let sizes: Vec<usize> = [vector].iter().chain(outer).copied().collect();
        let usable: Vec<usize> = (1..sizes.len()).collect();
        let mut body = vec![];
        self.sources(&mut body, row_scope, &sizes, &usable);
        self.arithmetic(&mut body, row_scope, 6);
        let scope = row_scope.clone();
        self.store(&mut body, &scope, &sizes, &usable);
        Pass {
            vector: false,
            sequential: vec![],
            body,
            finish: vec![],
            beyond: None,
        }
    }

    fn vector_pass(
        &mut self,
        (outer, vector, rows_kept, cut): (&[usize], usize, u32, bool),
        row_scope: &mut Scope,
        kept: &mut Vec<u32>,
    ) -> Pass {
        let sequential = if self.chance(3) { self.sizes(2) } else { vec![] };
        let sizes: Vec<usize> = [vector].iter().chain(outer).chain(&sequential).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let plain = sequential.is_empty();
        let mut scope = row_scope.clone();
        let mut body = vec![];
        for row in kept.clone() {
            self.define(&mut body, &mut scope, ValueKind::Real, Instruction::KeptLoad(row));
        }
        self.sources(&mut body, &mut scope, &sizes, &usable);
        self.arithmetic(&mut body, &mut scope, 12);
        if plain || self.chance(2) {
            self.store(&mut body, &scope, &sizes, &usable);
        }
        let mut results = vec![];
        if plain && !cut && self.chance(2) {
            results.push(self.reduce(&mut body, &scope, Along::Vector));
        }
        let mut finish = vec![];
        if !plain || self.chance(3) {
            let sizes = &sizes[..1 + outer.len()];
            let of_body = std::mem::replace(&mut scope, row_scope.clone());
            for _ in 0..1 + self.below(2) {
                let result = self.reduce(&mut body, &of_body, Along::Sequential);
                scope.values.push((result, ValueKind::Real));
            }
            self.arithmetic(&mut finish, &mut scope, 5);
            let axes: Vec<usize> = (0..sizes.len()).collect();
            self.store(&mut finish, &scope, sizes, &axes);
            if rows_kept > 0 {
                let row = self.below(rows_kept as usize) as u32;
                let value = self.any(&scope, ValueKind::Real).expect("a reduction");
                self.effect(&mut finish, Instruction::KeptStore(row, value));
                kept.push(row);
            }
            if !cut && self.chance(2) {
                results.push(self.reduce(&mut finish, &scope, Along::Vector));
            }
        } else if rows_kept > 0 {
            let row = self.below(rows_kept as usize) as u32;
            let value = self.any(&scope, ValueKind::Real).expect("a constant");
            self.effect(&mut body, Instruction::KeptStore(row, value));
            kept.push(row);
        }
        let results = results.into_iter().map(|r| (r, ValueKind::Real));
        row_scope.values.extend(results);
        let may = sequential.is_empty() && finish.is_empty() && !cut && vector.is_multiple_of(LANES);
        let beyond = (may && self.chance(2)).then(|| self.beyond(&body, &sizes));
        Pass {
            vector: true,
            sequential,
            body,
            finish,
            beyond,
        }
    }

    /// Constants for all that a body stores, from some index on.
    pub(super) fn beyond(&mut self, body: &Body, sizes: &[usize]) -> Box<Beyond> {
        let from = match sizes.len() {
            1 => Position::default(),
            axes => Position::axis(1 + self.below(axes - 1)).times(1 + self.below(5) as i64),
        };
        let shift = Affine::constant(self.below(sizes[VECTOR_AXIS] + 20) as i64);
        let mut rest = vec![];
        let mut scope = Scope::default();
        for define in body {
            let mut instruction = define.instruction.clone();
            let kind = match &instruction {
                Instruction::Store { buffer, .. } if self.buffers[buffer.0 as usize].storage == Storage::F32 => {
                    ValueKind::Real
                }
                Instruction::Store { .. } => ValueKind::Integer,
                Instruction::KeptStore(..) => ValueKind::Real,
                _ => continue,
            };
            let constant = match kind {
                ValueKind::Real => Instruction::Constant(self.below(9) as f32 - 4.0),
                _ => Instruction::Integer(self.below(9) as i32),
            };
            let constant = self.define(&mut rest, &mut scope, kind, constant);
            if let Instruction::Store { value, .. } | Instruction::KeptStore(_, value) = &mut instruction {
                *value = constant;
            }
            self.effect(&mut rest, instruction);
        }
        Box::new(Beyond {
            from: from.plus(&shift.into()),
            body: rest,
        })
    }

    /// One long sum, maximum and product of a row of a given length, in several passes over in-place memory.
    pub fn reduction_case(&mut self, vector: usize) -> Case {
        self.start();
        let sizes = [vector, 3];
        let at = Position::from(Affine::axis(1).times(vector as i64).plus(&Affine::axis(0)));
        let input = self.buffer(Storage::F32, 3 * vector, false);
        let output = self.buffer(Storage::F32, 3 * vector, true);
        let mut scope = Scope::default();
        let load = Instruction::Load {
            buffer: input,
            at: at.clone(),
            guards: vec![],
            fill: 0.0,
        };
        let mut first = vec![];
        let x = self.define(&mut first, &mut scope, ValueKind::Real, load.clone());
        let mut numbers = vec![];
        for function in [
            ReduceFunction::Sum,
            ReduceFunction::Maximum,
            ReduceFunction::Minimum,
            ReduceFunction::Product,
        ] {
            let along = Along::Vector;
            let reduce = Instruction::Reduce {
                function,
                value: x,
                along,
            };
            numbers.push(self.define(&mut first, &mut scope, ValueKind::Real, reduce));
        }
        scope.values.retain(|v| numbers.contains(&v.0));
        let mut second = vec![];
        let mut y = self.define(&mut second, &mut scope, ValueKind::Real, load);
        for number in numbers {
            let subtract = Instruction::Arithmetic(Arithmetic::Subtract, vec![y, number]);
            y = self.define(&mut second, &mut scope, ValueKind::Real, subtract);
        }
        self.arithmetic(&mut second, &mut scope, 40);
        let value = self.any(&scope, ValueKind::Real).unwrap_or(y);
        self.effect(
            &mut second,
            Instruction::Store {
                buffer: output,
                at,
                value: y,
            },
        );
        let sum = Instruction::Reduce {
            function: ReduceFunction::Sum,
            value,
            along: Along::Vector,
        };
        let total = self.define(&mut second, &mut scope, ValueKind::Real, sum);
        let own = self.buffer(Storage::F32, 3, true);
        let store = Instruction::Store {
            buffer: own,
            at: Position::axis(1),
            value: total,
        };
        let mut third = vec![];
        self.effect(&mut third, store);
        let pass = |vector, body| Pass {
            vector,
            sequential: vec![],
            body,
            finish: vec![],
            beyond: None,
        };
        let mut case = self.finish(KernelBody::Loop(LoopKernel {
            outer: vec![sizes[1]],
            vector,
            rows_kept: 0,
            passes: vec![pass(true, first), pass(true, second), pass(false, third)],
            rows_per_task: 1,
            vector_per_task: None,
        }));
        // In place: what is read is overwritten.
        case.binding[output.0 as usize] = case.binding[input.0 as usize];
        case
    }
}
