//! Loads, gathers and stores of vectors, of elements of 32 and of 16 bits.

use super::emitter::{CONSTANT, Emitter, PLAIN, QUAD, WORD};
use super::position::{Address, guard_step};
use crate::codegen::analysis::lane_step;
use crate::codegen::interpret::fill_bits;
use crate::ir::affine::{Guard, Position};
use crate::ir::kernel::*;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32, F32X4, I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value};

impl Emitter<'_> {
    /// A guarded or unguarded load of the first `live` lanes, as f32 bits.
    pub fn load(&mut self, buffer: BufferId, at: &Position, guards: &[Guard], fill: f32, live: usize) -> Value {
        let storage = self.buffers[buffer.0 as usize].storage;
        let step = lane_step(at, QUAD as i64);
        let even = guards.iter().all(|g| guard_step(g) == Some(0));
        if even && matches!(step, Some(0 | 1)) {
            let (mut pointer, mut offset) = self.address(buffer, at, 0);
            if let Some(holds) = self.guards(guards, 0) {
                let bits = self.fill_bits(buffer, fill);
                let outside = self.fill_pointer(bits);
                let inside = self.builder.ins().iadd_imm_s(pointer, i64::from(offset));
                (pointer, offset) = (self.builder.ins().select(holds, inside, outside), 0);
            }
            if step == Some(1) {
                return self.load_lanes(storage, pointer, offset, live);
            }
            let word = self.load_one(storage, pointer, offset);
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
        self.memory.open();
        let vector = self.load(buffer, at, &[], fill, live);
        self.memory.close();
        self.builder.ins().jump(end, &[vector.into()]);
        self.builder.switch_to_block(slow);
        self.memory.open();
        let vector = self.load_guarded_lanes(buffer, at, guards, fill, live);
        self.memory.close();
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
        self.load_elements(self.buffers[buffer.0 as usize].storage, &words)
    }

    /// Stores the first `live` lanes.
    pub fn store(&mut self, buffer: BufferId, at: &Position, value: Value, live: usize) {
        let storage = self.buffers[buffer.0 as usize].storage;
        if lane_step(at, QUAD as i64) == Some(1) {
            let (pointer, offset) = self.address(buffer, at, 0);
            return self.store_lanes(storage, value, pointer, offset, live);
        }
        for (lane, address) in self.lane_addresses(buffer, at, live).into_iter().enumerate() {
            self.store_lane(storage, value, lane, address);
        }
    }

    /// Reads a table at ids. `even`: whether all ids are the same in every lane.
    pub fn gather(&mut self, buffer: BufferId, at: &Position, ids: &[(Value, i64)], even: bool, live: usize) -> Value {
        let storage = self.buffers[buffer.0 as usize].storage;
        let stride = storage.stride() as i64;
        let step = lane_step(at, QUAD as i64);
        if even && matches!(step, Some(0 | 1)) {
            let (pointer, offset) = self.address(buffer, at, 0);
            let pointer = self.moved_by_ids(pointer, ids, stride, 0);
            if step == Some(1) {
                return self.load_lanes(storage, pointer, offset, live);
            }
            let word = self.load_one(storage, pointer, offset);
            return self.builder.ins().splat(F32X4, word);
        }
        let addresses = self.lane_addresses(buffer, at, live);
        let words: Vec<Address> = addresses
            .into_iter()
            .enumerate()
            .map(|(lane, (pointer, offset))| (self.moved_by_ids(pointer, ids, stride, lane), offset))
            .collect();
        self.load_elements(storage, &words)
    }

    fn moved_by_ids(&mut self, mut pointer: Value, ids: &[(Value, i64)], unit: i64, lane: usize) -> Value {
        for &(id, stride) in ids {
            let id = self.builder.ins().extractlane(id, lane as u8);
            let id = self.builder.ins().sextend(I64, id);
            let bytes = self.scaled(id, stride * unit);
            pointer = self.builder.ins().iadd(pointer, bytes);
        }
        pointer
    }

    /// A scalar id from a buffer of ids.
    pub fn load_id(&mut self, buffer: BufferId, at: &Position) -> Value {
        let (pointer, offset) = self.address(buffer, at, 0);
        let id = self.builder.ins().load(I32, CONSTANT, pointer, offset);
        self.builder.ins().sextend(I64, id)
    }

    /// A vector of the first `live` elements at an address; zeros in the other lanes.
    pub fn load_lanes(&mut self, storage: Storage, pointer: Value, offset: i32, live: usize) -> Value {
        if live == QUAD {
            return self.load_four(storage, pointer, offset);
        }
        let stride = storage.stride() as i32;
        let elements: Vec<(Value, i32)> = (0..live).map(|l| (pointer, offset + l as i32 * stride)).collect();
        self.load_elements(storage, &elements)
    }

    /// Four elements side by side; of 16 bits with zeros above them.
    pub fn load_four(&mut self, storage: Storage, pointer: Value, offset: i32) -> Value {
        match storage {
            Storage::F32 | Storage::I32 => self.builder.ins().load(F32X4, PLAIN, pointer, offset),
            Storage::Bf16 | Storage::F16 => {
                let four = self.builder.ins().uload16x4(PLAIN, pointer, offset);
                self.cast(F32X4, four)
            }
        }
    }

    /// The bits of one element, as an f32; of 16 bits with zeros above them.
    pub fn load_one(&mut self, storage: Storage, pointer: Value, offset: i32) -> Value {
        match storage {
            Storage::F32 | Storage::I32 => self.builder.ins().load(F32, PLAIN, pointer, offset),
            Storage::Bf16 | Storage::F16 => {
                let bits = self.builder.ins().uload16(I32, PLAIN, pointer, offset);
                self.builder.ins().bitcast(F32, MemFlagsData::new(), bits)
            }
        }
    }

    /// The bits of four elements as the reals that they are.
    pub fn widened(&mut self, storage: Storage, bits: Value) -> Value {
        let bits = match storage {
            Storage::F32 | Storage::I32 => return bits,
            Storage::Bf16 => {
                let bits = self.cast(I32X4, bits);
                self.builder.ins().ishl_imm_u(bits, 16)
            }
            Storage::F16 => self.widened_f16(bits),
        };
        self.cast(F32X4, bits)
    }

    /// Fraction and exponent in their new places are 2⁻¹¹² times the number, which is exact also for subnormal ones; from
    /// 2¹⁶ on it stood for an infinity or a NaN.
    fn widened_f16(&mut self, bits: Value) -> Value {
        let bits = self.cast(I32X4, bits);
        let size = self.builder.ins().ishl_imm_u(bits, 13);
        let rest = self.splat_bits(I32X4, 0x7fff << 13);
        let size = self.builder.ins().band(size, rest);
        let size = self.cast(F32X4, size);
        let scale = self.splat_bits(F32X4, 2f32.powi(112).to_bits());
        let size = self.builder.ins().fmul(size, scale);
        let (least, exponent) = (
            self.splat_bits(F32X4, 65_536f32.to_bits()),
            self.splat_bits(I32X4, 0x7f80_0000),
        );
        let beyond = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, size, least);
        let exponent = self.builder.ins().band(beyond, exponent);
        let sign = self.builder.ins().ushr_imm_u(bits, 15);
        let sign = self.builder.ins().ishl_imm_u(sign, 31);
        let size = self.cast(I32X4, size);
        let size = self.builder.ins().bor(size, exponent);
        self.builder.ins().bor(size, sign)
    }

    /// A vector of elements at several addresses.
    pub fn load_elements(&mut self, storage: Storage, elements: &[(Value, i32)]) -> Value {
        let mut vector = None;
        for (lane, &(pointer, offset)) in elements.iter().enumerate() {
            let word = self.load_one(storage, pointer, offset);
            vector = Some(match vector {
                None => self.builder.ins().scalar_to_vector(F32X4, word),
                Some(vector) => self.builder.ins().insertlane(vector, word, lane as u8),
            });
        }
        vector.expect("at least one lane is live")
    }

    /// Stores the first `live` lanes of a vector one after the other.
    pub fn store_lanes(&mut self, storage: Storage, value: Value, pointer: Value, offset: i32, live: usize) {
        if live == QUAD && storage.stride() == WORD as usize {
            self.builder.ins().store(PLAIN, value, pointer, offset);
            return;
        }
        for lane in 0..live {
            let offset = offset + (lane * storage.stride()) as i32;
            self.store_lane(storage, value, lane, (pointer, offset));
        }
    }

    /// Stores one lane of a vector.
    pub fn store_lane(&mut self, storage: Storage, value: Value, lane: usize, (pointer, offset): (Value, i32)) {
        match storage {
            Storage::F32 | Storage::I32 => {
                let word = self.builder.ins().extractlane(value, lane as u8);
                self.builder.ins().store(PLAIN, word, pointer, offset);
            }
            Storage::Bf16 | Storage::F16 => {
                let value = self.cast(I32X4, value);
                let word = self.builder.ins().extractlane(value, lane as u8);
                self.builder.ins().istore16(PLAIN, word, pointer, offset);
            }
        }
    }

    /// An address made once: four words of the same bits on the stack.
    pub fn fill_pointer(&mut self, bits: u32) -> Value {
        let found = self.fills.iter().find(|f| f.0 == bits);
        found.expect("fills are laid out before the body").1
    }

    /// Lays out the fill words of all guarded loads. Only in the first block.
    pub fn lay_out_fills<'b>(&mut self, bodies: impl IntoIterator<Item = &'b Define>) {
        for define in bodies {
            let Instruction::Load {
                buffer, guards, fill, ..
            } = &define.instruction
            else {
                continue;
            };
            let bits = self.fill_bits(*buffer, *fill);
            if guards.is_empty() || self.fills.iter().any(|f| f.0 == bits) {
                continue;
            }
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
            let slot = self.builder.create_sized_stack_slot(data);
            let value = self.splat_bits(F32X4, bits);
            let address = self.builder.ins().stack_addr(I64, slot, 0);
            self.builder.ins().store(PLAIN, value, address, 0);
            self.fills.push((bits, address));
        }
    }

    /// What a guarded load reads outside, in the buffer's storage.
    pub fn fill_bits(&self, buffer: BufferId, fill: f32) -> u32 {
        fill_bits(self.buffers[buffer.0 as usize].storage, fill)
    }
}
