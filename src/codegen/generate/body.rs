//! Straight-line bodies: what they load, compute, reduce and store.

use super::{Generator, Scope};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

impl Generator {
    /// Loads, indices, constants.
    pub(super) fn sources(&mut self, body: &mut Body, scope: &mut Scope, sizes: &[usize], usable: &[usize]) {
        for _ in 0..1 + self.below(3) {
            let storage = match self.below(8) {
                0 => Storage::I32,
                1 => Storage::Bf16,
                2 => Storage::F16,
                _ => Storage::F32,
            };
            let kind = if storage == Storage::F32 {
                ValueKind::Real
            } else {
                ValueKind::Integer
            };
            let (mut at, elements) = self.position(sizes, usable);
            let mut guards = vec![];
            let buffer = self.buffer(storage, elements, false);
            if self.chance(4) {
                let shift = self.below(elements + 1) as i64 - elements as i64 / 2;
                guards = self.guards(&at, shift, elements, usable, sizes);
                at.affine.constant += shift;
            }
            let fill = self.pick(&[0.0, f32::NEG_INFINITY, 2.5]);
            let load = Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            };
            self.define(body, scope, kind, load);
        }
        if self.chance(3) {
            let (at, _) = self.position(sizes, usable);
            self.define(body, scope, ValueKind::Integer, Instruction::Index(at));
        }
        if self.chance(4) && !usable.is_empty() {
            let (at, elements) = self.position(sizes, usable);
            let guards = self.guards(&at, -(elements as i64) / 3, elements / 2 + 1, usable, sizes);
            self.define(body, scope, ValueKind::Mask, Instruction::Inside(guards));
        }
        if self.chance(4) {
            self.gather(body, scope, sizes, usable);
        }
        for _ in 0..1 + self.below(4) {
            let number = self.pick(&[0.5, -1.25, 3.0, 0.0, 0.1, 1e-3, -7.5, 1e9, 2.0, -0.0]);
            self.define(body, scope, ValueKind::Real, Instruction::Constant(number));
        }
        self.define(body, scope, ValueKind::Integer, Instruction::Integer(-7));
    }

    pub(super) fn gather(&mut self, body: &mut Body, scope: &mut Scope, sizes: &[usize], usable: &[usize]) {
        let along: Vec<usize> = usable
            .iter()
            .copied()
            .filter(|a| *a != VECTOR_AXIS || self.state.is_multiple_of(2))
            .collect();
        let (id_at, ids) = self.position(sizes, &along);
        let id_buffer = self.buffer(Storage::I32, ids, false);
        let bound = 1 + self.below(9);
        self.bounds[id_buffer.0 as usize] = Some(bound);
        let load = Instruction::Load {
            buffer: id_buffer,
            at: id_at,
            guards: vec![],
            fill: 0.0,
        };
        let id = self.define(body, scope, ValueKind::Integer, load);
        let (at, row) = self.position(sizes, usable);
        let (storage, kind) = match self.chance(4) {
            true => (Storage::Bf16, ValueKind::Integer),
            false => (Storage::F32, ValueKind::Real),
        };
        let table = self.buffer(storage, row * bound, false);
        let gather = Instruction::Gather {
            buffer: table,
            at,
            ids: vec![(id, row as i64)],
        };
        self.define(body, scope, kind, gather);
    }

    pub(super) fn arithmetic(&mut self, body: &mut Body, scope: &mut Scope, most: usize) {
        use Arithmetic::*;
        use ValueKind::*;
        for _ in 0..self.below(most) {
            let real = self.any(scope, Real).expect("there is always a constant");
            let other = self.any(scope, Real).expect("there is always a constant");
            let integer = self.any(scope, Integer);
            let mask = self.any(scope, Mask);
            let apply = |f: Arithmetic, arguments: &[ValueId]| Instruction::Arithmetic(f, arguments.to_vec());
            let (kind, instruction) = match (self.below(16), integer, mask) {
                (0 | 1, ..) => (Real, Instruction::MultiplyAdd(real, other, real)),
                (2, ..) => {
                    let f = self.pick(&[Less, LessEqual, Equal]);
                    (Mask, apply(f, &[real, other]))
                }
                (3, _, Some(mask)) => (Real, Instruction::Select(mask, real, other)),
                (4, _, Some(mask)) => {
                    let second = self.any(scope, Mask).unwrap_or(mask);
                    let f = self.pick(&[And, Or]);
                    (Mask, apply(f, &[mask, second]))
                }
                (5, _, Some(mask)) => (Mask, apply(Not, &[mask])),
                (6, Some(integer), _) => {
                    let f = self.pick(&[IntegerAdd, IntegerSubtract, IntegerMultiply, BitAnd, BitOr, BitXor]);
                    let second = self.any(scope, Integer).unwrap_or(integer);
                    (Integer, apply(f, &[integer, second]))
                }
                (7, Some(integer), _) if self.chance(2) => (Integer, Instruction::ShiftLeft(integer, 3)),
                (7, Some(integer), _) => (Integer, Instruction::ShiftRight(integer, 13)),
                (8, Some(integer), _) => (Real, apply(ToReal, &[integer])),
                (9, ..) => (Integer, apply(ToInteger, &[real])),
                (10, Some(integer), _) => (Mask, apply(IntegerEqual, &[integer, integer])),
                (12, Some(integer), _) => (Real, apply(IntegerBits, &[integer])),
                (13, ..) => {
                    let [least, most] =
                        [-104.0, 1e4].map(|number| self.define(body, scope, Real, Instruction::Constant(number)));
                    let bits = self.define(body, scope, Integer, apply(RealBits, &[most]));
                    let above = self.define(body, scope, Real, apply(Maximum, &[real, least]));
                    let between = self.define(body, scope, Real, apply(Minimum, &[above, most]));
                    let small = self.define(body, scope, Integer, apply(ToInteger, &[between]));
                    (Integer, apply(IntegerAdd, &[small, bits]))
                }
                (14, ..) => {
                    let [least, most] =
                        [-200.0, 200.0].map(|number| self.define(body, scope, Real, Instruction::Constant(number)));
                    let [fraction, one] = [0x807f_ffff_u32, 0x3f80_0000]
                        .map(|bits| self.define(body, scope, Integer, Instruction::Integer(bits as i32)));
                    // A size from 1 to 2.
                    let bits = self.define(body, scope, Integer, apply(RealBits, &[other]));
                    let bits = self.define(body, scope, Integer, apply(BitAnd, &[bits, fraction]));
                    let bits = self.define(body, scope, Integer, apply(BitOr, &[bits, one]));
                    let size = self.define(body, scope, Real, apply(IntegerBits, &[bits]));
                    let above = self.define(body, scope, Real, apply(Maximum, &[least, real]));
                    let between = self.define(body, scope, Real, apply(Minimum, &[above, most]));
                    let whole = self.define(body, scope, Real, apply(Nearest, &[between]));
                    (Real, apply(Scale, &[size, whole]))
                }
                (11, ..) => {
                    let f = self.pick(&[Negate, Absolute, SquareRoot, Nearest, Floor]);
                    (Real, apply(f, &[real]))
                }
                _ => {
                    let f = self.pick(&[Add, Subtract, Multiply, Divide, Minimum, Maximum]);
                    (Real, apply(f, &[real, other]))
                }
            };
            self.define(body, scope, kind, instruction);
        }
    }

    pub(super) fn store(&mut self, body: &mut Body, scope: &Scope, sizes: &[usize], axes: &[usize]) {
        let kind = self.pick(&[ValueKind::Real, ValueKind::Real, ValueKind::Integer, ValueKind::Mask]);
        let Some(value) = self.any(scope, kind) else { return };
        let integers = kind == ValueKind::Integer || (kind == ValueKind::Mask && self.chance(3));
        let storage = match integers {
            true => self.pick(&[Storage::I32, Storage::I32, Storage::Bf16, Storage::F16]),
            false => Storage::F32,
        };
        let (at, elements) = self.own_position(sizes, axes);
        let buffer = self.buffer(storage, elements, true);
        self.effect(body, Instruction::Store { buffer, at, value });
    }

    pub(super) fn reduce(&mut self, body: &mut Body, scope: &Scope, along: Along) -> ValueId {
        use ReduceFunction::*;
        let function = self.pick(&[Sum, Sum, Maximum, Minimum, Product]);
        let value = self.any(scope, ValueKind::Real).expect("there is always a constant");
        let mut apart = Scope::default();
        let reduce = Instruction::Reduce { function, value, along };
        self.define(body, &mut apart, ValueKind::Real, reduce)
    }
}
