//! Positions, guards and memory operands: from indices to addresses. What depends on outer axes alone is computed once
//! for the row; inside a group of four lanes a position is computed once if it moves evenly.

use super::emitter::{CONSTANT, Emitter, PLAIN, QUAD, WORD};
use crate::codegen::analysis::{first_sequential, lane_step};
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

/// An address: pointer and a constant number of bytes.
pub type Address = (Value, i32);

impl Emitter<'_> {
    /// `Σ factor · index` without the constant; `None` for nothing.
    fn terms(&mut self, affine: &Affine) -> Option<Value> {
        let mut sum = None;
        for &(axis, factor) in &affine.terms {
            let index = self.indices[axis].expect("an axis is used inside its loop");
            let term = self.scaled(index, factor);
            sum = Some(self.sum(sum, term));
        }
        sum
    }

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

    /// The value of an affine form.
    pub fn affine(&mut self, affine: &Affine) -> Value {
        let terms = self.terms(affine);
        self.with_constant(terms, affine.constant)
    }

    /// `⌊value / divide⌋`, where the value is at least `low`.
    fn divided(&mut self, value: Value, divide: i64, low: i64) -> Value {
        match divide {
            1 => value,
            d if d.count_ones() == 1 => self.builder.ins().sshr_imm_u(value, i64::from(d.trailing_zeros())),
            d if low >= 0 => self.builder.ins().udiv_imm_s(value, d),
            d => {
                let quotient = self.builder.ins().sdiv_imm_s(value, d);
                let product = self.builder.ins().imul_imm_s(quotient, d);
                let short = self.builder.ins().icmp(IntCC::SignedLessThan, value, product);
                let short = self.builder.ins().uextend(I64, short);
                self.builder.ins().isub(quotient, short)
            }
        }
    }

    /// `value mod by`, never negative, where the value is at least `low`.
    fn remainder(&mut self, value: Value, by: i64, low: i64) -> Value {
        if by.count_ones() == 1 {
            return self.builder.ins().band_imm_s(value, by - 1);
        }
        let quotient = self.divided(value, by, low);
        let product = self.builder.ins().imul_imm_s(quotient, by);
        self.builder.ins().isub(value, product)
    }

    /// A digit's value, with its coefficient.
    fn digit(&mut self, digit: &Digit) -> Value {
        let (low, high) = digit.of.range(&self.sizes);
        let of = self.affine(&digit.of);
        let quotient = self.divided(of, digit.divide, low);
        let (low, high) = (low.div_euclid(digit.divide), high.div_euclid(digit.divide));
        let value = match digit.modulo {
            Some(modulo) if low < 0 || high >= modulo => self.remainder(quotient, modulo, low),
            _ => quotient,
        };
        self.scaled(value, digit.coefficient)
    }

    /// The value of a position without its constant.
    fn position_terms(&mut self, at: &Position) -> Option<Value> {
        let mut sum = self.terms(&at.affine);
        for digit in at.digits.iter().filter(|d| d.coefficient != 0) {
            let digit = self.digit(digit);
            sum = Some(self.sum(sum, digit));
        }
        sum
    }

    /// The value of a position.
    pub fn position(&mut self, at: &Position) -> Value {
        let terms = self.position_terms(at);
        self.with_constant(terms, at.affine.constant)
    }

    /// The part of a position that is fixed for the row, and the rest (with the constant).
    fn split(&self, at: &Position) -> (Position, Position) {
        let inside = |axis: usize| axis == VECTOR_AXIS || axis >= first_sequential(self.outer_axes);
        let (inner, outer) = at.affine.terms.iter().partition(|t| inside(t.0));
        let (inner_digits, outer_digits) = at
            .digits
            .iter()
            .cloned()
            .partition(|d| d.of.terms.iter().any(|t| inside(t.0)));
        let row = Position {
            affine: Affine {
                constant: 0,
                terms: outer,
            },
            digits: outer_digits,
        };
        let rest = Position {
            affine: Affine {
                constant: at.affine.constant,
                terms: inner,
            },
            digits: inner_digits,
        };
        (row, rest)
    }

    /// Computes once for the row what can be, for all loads and stores of a body.
    pub fn prepare_row<'b>(&mut self, body: impl IntoIterator<Item = &'b Define>) {
        for define in body {
            if let Instruction::Load { buffer, at, .. }
            | Instruction::Gather { buffer, at, .. }
            | Instruction::Store { buffer, at, .. } = &define.instruction
            {
                let (row, _) = self.split(at);
                self.row_pointer(*buffer, row);
            }
        }
    }

    fn row_pointer(&mut self, buffer: BufferId, row: Position) -> Value {
        if let Some(found) = self.row_pointers.iter().find(|p| p.0 == buffer && p.1 == row) {
            return found.2;
        }
        let base = self.pointers[buffer.0 as usize];
        let pointer = match self.position_terms(&row) {
            Some(terms) => {
                let bytes = self.scaled(terms, WORD);
                self.builder.ins().iadd(base, bytes)
            }
            None => base,
        };
        self.row_pointers.push((buffer, row, pointer));
        pointer
    }

    /// The pointer of the part of a position that is fixed for the row.
    pub fn outer_pointer(&mut self, buffer: BufferId, at: &Position) -> Value {
        let (row, _) = self.split(at);
        self.row_pointer(buffer, row)
    }

    /// Puts another pointer in its place.
    pub fn move_outer_pointer(&mut self, buffer: BufferId, at: &Position, to: Value) {
        let (row, _) = self.split(at);
        self.row_pointers.retain(|p| p.0 != buffer || p.1 != row);
        self.row_pointers.push((buffer, row, to));
    }

    /// The address of a buffer's element.
    pub fn address(&mut self, buffer: BufferId, at: &Position) -> Address {
        let (row, rest) = self.split(at);
        let mut pointer = self.row_pointer(buffer, row);
        if let Some(terms) = self.position_terms(&rest) {
            let bytes = self.scaled(terms, WORD);
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        let offset = rest.affine.constant * WORD;
        // Room for the lanes behind.
        match i32::try_from(offset) {
            Ok(offset) if offset < i32::MAX - 64 => (pointer, offset),
            _ => (self.builder.ins().iadd_imm_s(pointer, offset), 0),
        }
    }

    /// A guard at the indices of the first lane; `None` if it always holds.
    fn guard(&mut self, guard: &Guard) -> Option<Value> {
        match guard {
            Guard::Within { of, low, high } => {
                let (least, greatest) = of.range(&self.sizes);
                if least >= *low && greatest < *high {
                    return None;
                }
                let mut above = of.clone();
                above.affine.constant -= low;
                let above = self.position(&above);
                let room = (high - low).max(0);
                Some(self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, above, room))
            }
            Guard::Divisible { of, by } => {
                let (low, _) = of.range(&self.sizes);
                let value = self.affine(of);
                let rest = self.remainder(value, *by, low);
                Some(self.builder.ins().icmp_imm_s(IntCC::Equal, rest, 0))
            }
        }
    }

    /// All guards at one lane.
    fn guards(&mut self, guards: &[Guard], lane: usize) -> Option<Value> {
        let mut all = None;
        for guard in guards {
            let truth = self.guard(&guard_at_lane(guard, lane));
            all = self.both(all, truth);
        }
        all
    }

    /// A guarded or unguarded load of the first `live` lanes, as f32 bits.
    pub fn load(&mut self, buffer: BufferId, at: &Position, guards: &[Guard], fill: f32, live: usize) -> Value {
        let step = lane_step(at, QUAD as i64);
        let even = guards.iter().all(|g| guard_step(g) == Some(0));
        if even && matches!(step, Some(0 | 1)) {
            let (mut pointer, mut offset) = self.address(buffer, at);
            if let Some(holds) = self.guards(guards, 0) {
                let bits = self.fill_bits(buffer, fill);
                let outside = self.fill_pointer(bits);
                let inside = self.builder.ins().iadd_imm_s(pointer, i64::from(offset));
                (pointer, offset) = (self.builder.ins().select(holds, inside, outside), 0);
            }
            if step == Some(1) {
                return self.load_lanes(PLAIN, pointer, offset, live);
            }
            let word = self
                .builder
                .ins()
                .load(cranelift_codegen::ir::types::F32, PLAIN, pointer, offset);
            return self.builder.ins().splat(F32X4, word);
        }
        let evenly = guards.iter().all(|g| guard_step(g).is_some());
        let quickly = match (evenly, step, live) {
            (true, Some(0 | 1), QUAD) => self.ends_inside(guards),
            _ => None,
        };
        let Some(quickly) = quickly else {
            return self.load_guarded_lanes(buffer, at, guards, fill, live);
        };
        // Most vectors lie inside altogether.
        let [quick, slow, end] = [(); 3].map(|()| self.builder.create_block());
        let loaded = self.builder.append_block_param(end, F32X4);
        self.builder.ins().brif(quickly, quick, &[], slow, &[]);
        self.builder.switch_to_block(quick);
        let vector = self.load(buffer, at, &[], fill, live);
        self.builder.ins().jump(end, &[vector.into()]);
        self.builder.switch_to_block(slow);
        let vector = self.load_guarded_lanes(buffer, at, guards, fill, live);
        self.builder.ins().jump(end, &[vector.into()]);
        self.builder.switch_to_block(end);
        loaded
    }

    /// Whether guards that move evenly hold in the first and the last lane, and so in all.
    fn ends_inside(&mut self, guards: &[Guard]) -> Option<Value> {
        let first = self.guards(guards, 0);
        let last = self.guards(guards, QUAD - 1);
        self.both(first, last)
    }

    fn load_guarded_lanes(
        &mut self,
        buffer: BufferId,
        at: &Position,
        guards: &[Guard],
        fill: f32,
        live: usize,
    ) -> Value {
        let addresses = self.lane_addresses(buffer, at, live);
        let mut words = vec![];
        for (lane, (pointer, offset)) in addresses.into_iter().enumerate() {
            words.push(match self.guards(guards, lane) {
                None => (pointer, offset),
                Some(holds) => {
                    let bits = self.fill_bits(buffer, fill);
                    let outside = self.fill_pointer(bits);
                    let inside = self.builder.ins().iadd_imm_s(pointer, i64::from(offset));
                    (self.builder.ins().select(holds, inside, outside), 0)
                }
            });
        }
        self.load_words(PLAIN, &words)
    }

    /// The address of each live lane.
    pub fn lane_addresses(&mut self, buffer: BufferId, at: &Position, live: usize) -> Vec<Address> {
        match lane_step(at, QUAD as i64).and_then(|step| i32::try_from(step * WORD * QUAD as i64).ok()) {
            Some(bytes) if bytes.abs() < 1 << 20 => {
                let (pointer, offset) = self.address(buffer, at);
                (0..live as i32)
                    .map(|lane| (pointer, offset + lane * (bytes / QUAD as i32)))
                    .collect()
            }
            _ => (0..live)
                .map(|lane| self.address(buffer, &position_at_lane(at, lane)))
                .collect(),
        }
    }

    /// Stores the first `live` lanes.
    pub fn store(&mut self, buffer: BufferId, at: &Position, value: Value, live: usize) {
        if lane_step(at, QUAD as i64) == Some(1) {
            let (pointer, offset) = self.address(buffer, at);
            return self.store_lanes(value, pointer, offset, live);
        }
        for (lane, (pointer, offset)) in self.lane_addresses(buffer, at, live).into_iter().enumerate() {
            let word = self.builder.ins().extractlane(value, lane as u8);
            self.builder.ins().store(PLAIN, word, pointer, offset);
        }
    }

    /// Reads a table at ids. `even`: whether all ids are the same in every lane.
    pub fn gather(&mut self, buffer: BufferId, at: &Position, ids: &[(Value, i64)], even: bool, live: usize) -> Value {
        let step = lane_step(at, QUAD as i64);
        if even && matches!(step, Some(0 | 1)) {
            let (pointer, offset) = self.address(buffer, at);
            let pointer = self.moved_by_ids(pointer, ids, 0);
            if step == Some(1) {
                return self.load_lanes(PLAIN, pointer, offset, live);
            }
            let word = self
                .builder
                .ins()
                .load(cranelift_codegen::ir::types::F32, PLAIN, pointer, offset);
            return self.builder.ins().splat(F32X4, word);
        }
        let addresses = self.lane_addresses(buffer, at, live);
        let words: Vec<Address> = addresses
            .into_iter()
            .enumerate()
            .map(|(lane, (pointer, offset))| (self.moved_by_ids(pointer, ids, lane), offset))
            .collect();
        self.load_words(PLAIN, &words)
    }

    fn moved_by_ids(&mut self, mut pointer: Value, ids: &[(Value, i64)], lane: usize) -> Value {
        for &(id, stride) in ids {
            let id = self.builder.ins().extractlane(id, lane as u8);
            let id = self.builder.ins().sextend(I64, id);
            let bytes = self.scaled(id, stride * WORD);
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        pointer
    }

    /// A scalar id from a buffer of ids.
    pub fn load_id(&mut self, buffer: BufferId, at: &Position) -> Value {
        let (pointer, offset) = self.address(buffer, at);
        let id = self.builder.ins().load(I32, CONSTANT, pointer, offset);
        self.builder.ins().sextend(I64, id)
    }

    /// A position as i32 in every lane.
    pub fn index_vector(&mut self, at: &Position) -> Value {
        match lane_step(at, QUAD as i64) {
            Some(step) => {
                let first = self.position(at);
                let first = self.builder.ins().ireduce(I32, first);
                let first = self.builder.ins().splat(I32X4, first);
                if step == 0 {
                    return first;
                }
                let steps = self.vector_bits(I32X4, [0, 1, 2, 3].map(|l| (l * step) as u32));
                self.builder.ins().iadd(first, steps)
            }
            None => {
                let mut vector = self.splat_bits(I32X4, 0);
                for lane in 0..QUAD {
                    let value = self.position(&position_at_lane(at, lane));
                    let value = self.builder.ins().ireduce(I32, value);
                    vector = self.builder.ins().insertlane(vector, value, lane as u8);
                }
                vector
            }
        }
    }

    /// Whether guards hold, as a mask.
    pub fn inside_vector(&mut self, guards: &[Guard]) -> Value {
        let (even, uneven): (Vec<_>, Vec<_>) = guards.iter().cloned().partition(|g| guard_step(g) == Some(0));
        let mut mask = self.guards(&even, 0).map(|truth| self.splat_truth(truth));
        for guard in &uneven {
            let holds = self.guard_vector(guard);
            mask = self.both(mask, Some(holds));
        }
        match mask {
            Some(mask) => mask,
            None => self.splat_bits(I32X4, u32::MAX),
        }
    }

    fn guard_vector(&mut self, guard: &Guard) -> Value {
        if let (Guard::Within { of, low, high }, Some(_)) = (guard, guard_step(guard)) {
            let (least, greatest) = of.range(&self.sizes);
            let narrow = i32::try_from(least).is_ok() && i32::try_from(greatest + QUAD as i64).is_ok();
            if let (true, Ok(low), Ok(high)) = (narrow, i32::try_from(*low), i32::try_from(*high)) {
                let value = self.index_vector(of);
                let (low, high) = (self.splat_bits(I32X4, low as u32), self.splat_bits(I32X4, high as u32));
                let not_below = self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, value, low);
                let below = self.builder.ins().icmp(IntCC::SignedLessThan, value, high);
                return self.builder.ins().band(not_below, below);
            }
        }
        let mut vector = self.splat_bits(I32X4, 0);
        for lane in 0..QUAD {
            let truth = match self.guard(&guard_at_lane(guard, lane)) {
                Some(truth) => truth,
                None => self.truth(),
            };
            let word = self.builder.ins().bmask(I32, truth);
            vector = self.builder.ins().insertlane(vector, word, lane as u8);
        }
        vector
    }
}

/// By how much a guard's position grows from lane to lane; `None` if that differs.
fn guard_step(guard: &Guard) -> Option<i64> {
    match guard {
        Guard::Within { of, .. } => lane_step(of, QUAD as i64),
        Guard::Divisible { of, .. } => (of.coefficient(VECTOR_AXIS) == 0).then_some(0),
    }
}

fn affine_at_lane(affine: &Affine, lane: usize) -> Affine {
    Affine {
        constant: affine.constant + affine.coefficient(VECTOR_AXIS) * lane as i64,
        terms: affine.terms.clone(),
    }
}

/// The position as it is `lane` elements further along the vector axis.
fn position_at_lane(at: &Position, lane: usize) -> Position {
    Position {
        affine: affine_at_lane(&at.affine, lane),
        digits: at
            .digits
            .iter()
            .map(|digit| Digit {
                of: affine_at_lane(&digit.of, lane),
                ..digit.clone()
            })
            .collect(),
    }
}

fn guard_at_lane(guard: &Guard, lane: usize) -> Guard {
    match guard {
        Guard::Within { of, low, high } => Guard::Within {
            of: position_at_lane(of, lane),
            low: *low,
            high: *high,
        },
        Guard::Divisible { of, by } => Guard::Divisible {
            of: affine_at_lane(of, lane),
            by: *by,
        },
    }
}
