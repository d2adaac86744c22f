//! Positions and guards, from indices to addresses. What depends on outer axes alone is computed once for the row; inside
//! a group of four lanes a position is computed once if it moves evenly.

use super::emitter::{Emitter, QUAD};
use crate::codegen::analysis::{
    Varies, first_sequential, fixed, fixed_before, guards_vary, lane_step, position_varies, reciprocal,
};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// An address: pointer and a constant number of bytes.
pub type Address = (Value, i32);

/// What was computed and may be used again, as long as its scope is open.
#[derive(Clone, PartialEq, Debug)]
enum Known {
    /// The address of a buffer's element, at the part of a position that does not move along the vector axis.
    Pointer(BufferId, Position),
    /// A multiple of an axis' index.
    Multiple(usize, i64),
    /// A digit, some elements further along the vector axis, without its coefficient.
    Digit(Digit, i64),
    /// Whether a guard holds, some elements further along the vector axis.
    Truth(Guard, i64),
}

/// Scopes of what is known; an inner one ends before its outer.
#[derive(Default)]
pub struct Scopes(Vec<Vec<(Known, Value)>>);

impl Scopes {
    /// What is computed from here on is known until the scope is closed: everything until then must be emitted in
    /// blocks that this place dominates.
    pub fn open(&mut self) {
        self.0.push(vec![]);
    }

    /// Forgets what the innermost scope has brought.
    pub fn close(&mut self) {
        self.0.pop();
    }

    fn find(&self, known: &Known) -> Option<Value> {
        let all = self.0.iter().rev().flatten();
        all.into_iter().find(|k| k.0 == *known).map(|k| k.1)
    }

    fn add(&mut self, known: Known, value: Value) {
        if let Some(scope) = self.0.last_mut() {
            scope.push((known, value));
        }
    }
}

impl Emitter<'_> {
    /// A multiple of an i64.
    pub fn scaled(&mut self, value: Value, factor: i64) -> Value {
        match factor {
            1 => value,
            f if f > 0 && f.count_ones() == 1 => self.builder.ins().ishl_imm_u(value, i64::from(f.trailing_zeros())),
            f => self.builder.ins().imul_imm_s(value, f),
        }
    }

    fn sum(&mut self, a: Option<Value>, b: Value) -> Value {
        match a {
            Some(a) => self.builder.ins().iadd(a, b),
            None => b,
        }
    }

    fn with_constant(&mut self, value: Option<Value>, constant: i64) -> Value {
        match value {
            None => self.integer(constant),
            Some(value) if constant == 0 => value,
            Some(value) => self.builder.ins().iadd_imm_s(value, constant),
        }
    }

    fn multiple(&mut self, axis: usize, factor: i64) -> Value {
        let known = Known::Multiple(axis, factor);
        if let Some(value) = self.memory.find(&known) {
            return value;
        }
        let index = self.indices[axis].expect("an axis is used inside its loop");
        let value = self.scaled(index, factor);
        self.memory.add(known, value);
        value
    }

    /// `Σ factor · index` times `unit` without the constant; `None` for nothing.
    fn terms<'t>(&mut self, terms: impl IntoIterator<Item = &'t (usize, i64)>, unit: i64) -> Option<Value> {
        let mut sum = None;
        for &(axis, factor) in terms {
            let term = self.multiple(axis, factor * unit);
            sum = Some(self.sum(sum, term));
        }
        sum
    }

    /// The value of an affine form `shift` elements further along the vector axis.
    fn affine(&mut self, affine: &Affine, shift: i64) -> Value {
        let terms = self.terms(&affine.terms, 1);
        self.with_constant(terms, affine.constant + shift * affine.coefficient(VECTOR_AXIS))
    }

    /// `⌊value / divide⌋`, where the value is from `low` to `high`.
    pub fn divided(&mut self, value: Value, divide: i64, (low, high): (i64, i64)) -> Value {
        if divide.count_ones() == 1 {
            return match divide.trailing_zeros() {
                0 => value,
                bits => self.builder.ins().sshr_imm_u(value, i64::from(bits)),
            };
        }
        // Moved up by whole multiples, so that it is never negative.
        let moved = low.min(0).div_euclid(divide);
        let positive = self.with_constant(Some(value), -moved * divide);
        let quotient = if high - moved * divide < 1 << 31 {
            let (factor, bits) = reciprocal(divide);
            let product = self.builder.ins().imul_imm_s(positive, factor);
            self.builder.ins().ushr_imm_u(product, i64::from(bits))
        } else {
            self.builder.ins().udiv_imm_s(positive, divide)
        };
        self.with_constant(Some(quotient), moved)
    }

    /// `value mod by`, never negative.
    pub fn remainder(&mut self, value: Value, by: i64, range: (i64, i64)) -> Value {
        if by.count_ones() == 1 {
            return self.builder.ins().band_imm_s(value, by - 1);
        }
        let quotient = self.divided(value, by, range);
        let product = self.builder.ins().imul_imm_s(quotient, by);
        self.builder.ins().isub(value, product)
    }

    /// A digit's value, without its coefficient.
    fn digit(&mut self, digit: &Digit, shift: i64) -> Value {
        let moves = digit.of.coefficient(VECTOR_AXIS) != 0;
        let coefficient = 1;
        let known = Known::Digit(
            Digit {
                coefficient,
                ..digit.clone()
            },
            if moves { shift } else { 0 },
        );
        if let Some(value) = self.memory.find(&known) {
            return value;
        }
        let (low, high) = digit.of.range(&self.sizes);
        let of = self.affine(&digit.of, shift);
        let quotient = self.divided(of, digit.divide, (low, high));
        let (low, high) = (low.div_euclid(digit.divide), high.div_euclid(digit.divide));
        let value = match digit.modulo {
            Some(modulo) if low < 0 || high >= modulo => self.remainder(quotient, modulo, (low, high)),
            _ => quotient,
        };
        self.memory.add(known, value);
        value
    }

    /// The sum of some digits times `unit`.
    fn digits<'d>(&mut self, digits: impl IntoIterator<Item = &'d Digit>, shift: i64, unit: i64) -> Option<Value> {
        let mut sum = None;
        for digit in digits.into_iter().filter(|d| d.coefficient != 0) {
            let value = self.digit(digit, shift);
            let value = self.scaled(value, digit.coefficient * unit);
            sum = Some(self.sum(sum, value));
        }
        sum
    }

    /// The value of a position.
    pub fn position(&mut self, at: &Position, shift: i64) -> Value {
        let affine = self.affine(&at.affine, shift);
        match self.digits(&at.digits, shift, 1) {
            Some(digits) => self.builder.ins().iadd(affine, digits),
            None => affine,
        }
    }

    /// Computes once what does not move along the vector axis, for all instructions of a body that `wanted` names.
    pub fn prepare<'b>(&mut self, body: impl IntoIterator<Item = &'b Define>, wanted: impl Fn(Varies) -> bool) {
        let sequential_from = first_sequential(self.outer_axes);
        for define in body {
            match &define.instruction {
                Instruction::Load { buffer, at, .. }
                | Instruction::Gather { buffer, at, .. }
                | Instruction::Store { buffer, at, .. } => {
                    let fixed = fixed(at);
                    if wanted(position_varies(&fixed, sequential_from)) {
                        self.fixed_pointer(*buffer, at);
                    } else {
                        let row = fixed_before(at, sequential_from);
                        self.fixed_pointer(*buffer, &row);
                    }
                }
                _ => {}
            }
            if let Instruction::Load { guards, .. } | Instruction::Inside(guards) = &define.instruction {
                for guard in guards.iter().filter(|g| guard_step(g) == Some(0)) {
                    let varies = guards_vary(std::slice::from_ref(guard), sequential_from);
                    if !varies.vector && wanted(varies) {
                        self.guard(guard, 0);
                    }
                }
            }
        }
    }

    /// The address of a buffer's element at the part of a position that does not move along the vector axis (without the
    /// constant).
    pub fn fixed_pointer(&mut self, buffer: BufferId, at: &Position) -> Value {
        let fixed = fixed(at);
        let known = Known::Pointer(buffer, fixed.clone());
        if let Some(pointer) = self.memory.find(&known) {
            return pointer;
        }
        let sequential_from = first_sequential(self.outer_axes);
        let row = fixed_before(at, sequential_from);
        let mut rest = &fixed;
        let inner;
        let mut pointer = self.pointers[buffer.0 as usize];
        if row != fixed
            && let Some(found) = self.memory.find(&Known::Pointer(buffer, row))
        {
            pointer = found;
            inner = Position {
                affine: Affine {
                    constant: 0,
                    terms: fixed
                        .affine
                        .terms
                        .iter()
                        .copied()
                        .filter(|t| t.0 >= sequential_from)
                        .collect(),
                },
                digits: fixed
                    .digits
                    .iter()
                    .filter(|d| d.of.terms.iter().any(|t| t.0 >= sequential_from))
                    .cloned()
                    .collect(),
            };
            rest = &inner;
        }
        let stride = self.stride(buffer);
        let affine = self.terms(&rest.affine.terms, stride);
        let digits = self.digits(&rest.digits, 0, stride);
        for bytes in [affine, digits].into_iter().flatten() {
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        self.memory.add(known, pointer);
        pointer
    }

    /// Puts another pointer in its place, in the innermost scope.
    pub fn move_fixed_pointer(&mut self, buffer: BufferId, at: &Position, to: Value) {
        let fixed = fixed(at);
        self.memory.add(Known::Pointer(buffer, fixed), to);
    }

    /// The address of a buffer's element, `lane` elements further along the vector axis.
    pub fn address(&mut self, buffer: BufferId, at: &Position, lane: usize) -> Address {
        let shift = self.vector_offset + lane as i64;
        let mut pointer = self.fixed_pointer(buffer, at);
        let along = at.affine.coefficient(VECTOR_AXIS);
        let stride = self.stride(buffer);
        if along != 0 {
            let bytes = self.multiple(VECTOR_AXIS, along * stride);
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        let moving = at.digits.iter().filter(|d| d.of.coefficient(VECTOR_AXIS) != 0);
        if let Some(bytes) = self.digits(moving, shift, stride) {
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        let offset = (at.affine.constant + along * shift) * stride;
        // Room for the lanes behind.
        match i32::try_from(offset) {
            Ok(offset) if offset < i32::MAX - 64 => (pointer, offset),
            _ => (self.builder.ins().iadd_imm_s(pointer, offset), 0),
        }
    }

    /// Whether a guard holds; `None` if it always does.
    pub fn guard(&mut self, guard: &Guard, lane: usize) -> Option<Value> {
        let moves = guards_vary(std::slice::from_ref(guard), usize::MAX).vector;
        let shift = if moves { self.vector_offset + lane as i64 } else { 0 };
        if let Guard::Within { of, low, high } = guard {
            let (least, greatest) = of.range(&self.sizes);
            if least >= *low && greatest < *high {
                return None;
            }
        }
        let known = Known::Truth(guard.clone(), shift);
        if let Some(value) = self.memory.find(&known) {
            return Some(value);
        }
        let truth = match guard {
            Guard::Within { of, low, high } => {
                let mut above = of.clone();
                above.affine.constant -= low;
                let above = self.position(&above, shift);
                let room = (high - low).max(0);
                self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, above, room)
            }
            Guard::Divisible { of, by } => {
                let value = self.affine(of, shift);
                let rest = self.remainder(value, *by, of.range(&self.sizes));
                self.builder.ins().icmp_imm_s(IntCC::Equal, rest, 0)
            }
        };
        self.memory.add(known, truth);
        Some(truth)
    }

    /// All guards at one lane.
    pub fn guards(&mut self, guards: &[Guard], lane: usize) -> Option<Value> {
        let mut all = None;
        for guard in guards {
            let truth = self.guard(guard, lane);
            all = self.both(all, truth);
        }
        all
    }

    /// The address of each live lane.
    pub fn lane_addresses(&mut self, buffer: BufferId, at: &Position, live: usize) -> Vec<Address> {
        let stride = self.stride(buffer);
        match lane_step(at, QUAD as i64).and_then(|step| i32::try_from(step * stride * QUAD as i64).ok()) {
            Some(bytes) if bytes.abs() < 1 << 20 => {
                let (pointer, offset) = self.address(buffer, at, 0);
                (0..live as i32)
                    .map(|lane| (pointer, offset + lane * (bytes / QUAD as i32)))
                    .collect()
            }
            _ => (0..live).map(|lane| self.address(buffer, at, lane)).collect(),
        }
    }
}

/// By how much a guard's position grows from lane to lane; `None` if that differs.
pub fn guard_step(guard: &Guard) -> Option<i64> {
    match guard {
        Guard::Within { of, .. } => lane_step(of, QUAD as i64),
        Guard::Divisible { of, .. } => (of.coefficient(VECTOR_AXIS) == 0).then_some(0),
    }
}
