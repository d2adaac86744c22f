//! One instruction of a body for four lanes. Every value is a vector: reals f32x4, integers i32x4, masks i32x4 of all
//! ones or zeros; what is the same for the whole row is a vector of equal lanes. It knows nothing of loops.

use super::emitter::{Emitter, PLAIN, QUAD, WORD};
use crate::codegen::analysis::{Levels, Reduction};
use crate::codegen::interpret::{neutral, one_bits};
use crate::codegen::scale::{Vectors, in_two_factors};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, I32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Emitter<'_> {
    /// The vector of a value. A constant may come from memory each time: most instructions take it from there.
    pub fn value(&mut self, id: ValueId) -> Value {
        if let Some(value) = self.values[id.0 as usize] {
            return value;
        }
        let constant = self.constants.get(id.0 as usize).copied().flatten();
        let place = constant.expect("a verified value is defined before its uses");
        let table = self.constant_table.expect("constants in memory have a table");
        let vector = match self.kinds[id.0 as usize] {
            Some(ValueKind::Integer) => I32X4,
            _ => F32X4,
        };
        self.builder
            .ins()
            .load(vector, PLAIN.with_aligned(), table, (place * 16) as i32)
    }

    /// Emits one instruction for the first `live` lanes from the current vector index on. Reductions are left to the loops.
    pub fn instruction(&mut self, define: &Define, levels: &Levels, live: usize) {
        if self.constants.get(define.value.0 as usize).is_some_and(Option::is_some) {
            return;
        }
        let value = match &define.instruction {
            Instruction::Constant(number) => self.splat_bits(F32X4, number.to_bits()),
            Instruction::Integer(number) => self.splat_bits(I32X4, *number as u32),
            Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            } => {
                let loaded = self.load(*buffer, at, guards, *fill, live);
                self.of_storage(*buffer, loaded)
            }
            Instruction::Gather { buffer, at, ids } => {
                let even = ids.iter().all(|(id, _)| !levels.of(*id).vector);
                let ids: Vec<(Value, i64)> = ids.iter().map(|(id, stride)| (self.value(*id), *stride)).collect();
                let loaded = self.gather(*buffer, at, &ids, even, live);
                self.of_storage(*buffer, loaded)
            }
            Instruction::Index(at) => self.index_vector(at),
            Instruction::Inside(guards) => self.inside_vector(guards),
            Instruction::KeptLoad(row) => {
                let (pointer, offset) = self.kept(*row);
                self.builder.ins().load(F32X4, PLAIN.with_aligned(), pointer, offset)
            }
            Instruction::KeptStore(row, value) => {
                let (pointer, offset) = self.kept(*row);
                let value = self.value(*value);
                self.builder.ins().store(PLAIN.with_aligned(), value, pointer, offset);
                return;
            }
            Instruction::Arithmetic(function, arguments) => {
                let a = self.value(arguments[0]);
                let b = match arguments.get(1) {
                    Some(b) => self.value(*b),
                    None => a,
                };
                if *function == Arithmetic::ToInteger && self.ranges.fits_integer(arguments[0]) {
                    self.small_integer(a)
                } else {
                    self.arithmetic(*function, a, b)
                }
            }
            Instruction::ShiftLeft(value, by) => {
                let value = self.value(*value);
                self.builder.ins().ishl_imm_u(value, i64::from(*by))
            }
            Instruction::ShiftRight(value, by) => {
                let value = self.value(*value);
                self.builder.ins().ushr_imm_u(value, i64::from(*by))
            }
            Instruction::MultiplyAdd(a, b, c) => {
                let (a, b, c) = (self.value(*a), self.value(*b), self.value(*c));
                self.builder.ins().fma(a, b, c)
            }
            Instruction::Select(mask, then, other) => {
                let (mask, then, other) = (self.value(*mask), self.value(*then), self.value(*other));
                self.blend(mask, then, other)
            }
            Instruction::Product => {
                let row = self.product.expect("a product stands in an epilogue");
                let index = self.indices[VECTOR_AXIS].expect("a product is read inside the vector loop");
                let bytes = self.scaled(index, WORD);
                let pointer = self.builder.ins().iadd(row, bytes);
                let offset = (self.vector_offset * WORD) as i32;
                self.builder.ins().load(F32X4, PLAIN.with_aligned(), pointer, offset)
            }
            Instruction::Store { buffer, at, value } => {
                let stored = self.stored(*buffer, *value);
                self.store(*buffer, at, stored, live);
                return;
            }
            Instruction::Reduce { .. } => return,
        };
        self.values[define.value.0 as usize] = Some(value);
    }

    /// Loaded bits as the vector type of a buffer's storage.
    fn of_storage(&mut self, buffer: BufferId, loaded: Value) -> Value {
        match self.buffers[buffer.0 as usize].storage {
            Storage::F32 => loaded,
            Storage::I32 | Storage::Bf16 | Storage::F16 => self.cast(I32X4, loaded),
        }
    }

    /// What is written for a value: a mask becomes 0 and 1.
    fn stored(&mut self, buffer: BufferId, id: ValueId) -> Value {
        let value = self.value(id);
        if self.kinds[id.0 as usize] != Some(ValueKind::Mask) {
            return value;
        }
        let one = one_bits(self.buffers[buffer.0 as usize].storage);
        let one = self.splat_bits(I32X4, one);
        self.builder.ins().band(value, one)
    }

    /// The address of a kept row's element at the first lane. Rows have room for whole vectors.
    fn kept(&mut self, row: u32) -> (Value, i32) {
        let index = self.indices[VECTOR_AXIS].expect("kept rows are used inside the vector loop");
        let bytes = self.scaled(index, WORD);
        let pointer = self.builder.ins().iadd(self.scratch, bytes);
        let offset = i64::from(row) * self.kept_stride + self.vector_offset * WORD;
        match i32::try_from(offset) {
            Ok(offset) => (pointer, offset),
            Err(_) => (self.builder.ins().iadd_imm_s(pointer, offset), 0),
        }
    }

    /// A function of one or two vectors.
    pub fn arithmetic(&mut self, function: Arithmetic, a: Value, b: Value) -> Value {
        let ins = self.builder.ins();
        match function {
            Arithmetic::Scale => in_two_factors(self, a, b),
            Arithmetic::Add => ins.fadd(a, b),
            Arithmetic::Subtract => ins.fsub(a, b),
            Arithmetic::Multiply => ins.fmul(a, b),
            Arithmetic::Divide => ins.fdiv(a, b),
            Arithmetic::Minimum => {
                let less = ins.fcmp(FloatCC::LessThan, b, a);
                self.blend(less, b, a)
            }
            Arithmetic::Maximum => {
                let less = ins.fcmp(FloatCC::LessThan, a, b);
                self.blend(less, b, a)
            }
            Arithmetic::Negate => ins.fneg(a),
            Arithmetic::Absolute => ins.fabs(a),
            Arithmetic::SquareRoot => ins.sqrt(a),
            Arithmetic::Nearest => ins.nearest(a),
            Arithmetic::Floor => ins.floor(a),
            Arithmetic::Less => ins.fcmp(FloatCC::LessThan, a, b),
            Arithmetic::LessEqual => ins.fcmp(FloatCC::LessThanOrEqual, a, b),
            Arithmetic::Equal => ins.fcmp(FloatCC::Equal, a, b),
            Arithmetic::And | Arithmetic::BitAnd => ins.band(a, b),
            Arithmetic::Or | Arithmetic::BitOr => ins.bor(a, b),
            Arithmetic::Not => ins.bnot(a),
            Arithmetic::BitXor => ins.bxor(a, b),
            Arithmetic::IntegerAdd => ins.iadd(a, b),
            Arithmetic::IntegerSubtract => ins.isub(a, b),
            Arithmetic::IntegerMultiply => ins.imul(a, b),
            Arithmetic::IntegerEqual => ins.icmp(IntCC::Equal, a, b),
            Arithmetic::ToReal => ins.fcvt_from_sint(F32X4, a),
            Arithmetic::ToInteger => ins.fcvt_to_sint_sat(I32X4, a),
            Arithmetic::RealBits => self.cast(I32X4, a),
            Arithmetic::IntegerBits => self.cast(F32X4, a),
        }
    }

    /// Reals that are NaNs or in the range of i32, towards zero.
    fn small_integer(&mut self, value: Value) -> Value {
        if !self.is_x86 {
            return self.builder.ins().fcvt_to_sint_sat(I32X4, value);
        }
        let number = self.builder.ins().fcmp(FloatCC::Equal, value, value);
        let number = self.cast(F32X4, number);
        let value = self.builder.ins().band(value, number);
        self.builder.ins().x86_cvtt2dq(I32X4, value)
    }

    /// The neutral element of a reduction in every lane.
    pub fn neutral(&mut self, function: ReduceFunction) -> Value {
        self.splat_bits(F32X4, neutral(function).to_bits())
    }

    /// One step of a reduction.
    pub fn combine(&mut self, function: ReduceFunction, so_far: Value, element: Value) -> Value {
        let function = match function {
            ReduceFunction::Sum => Arithmetic::Add,
            ReduceFunction::Maximum => Arithmetic::Maximum,
            ReduceFunction::Minimum => Arithmetic::Minimum,
            ReduceFunction::Product => Arithmetic::Multiply,
        };
        self.arithmetic(function, so_far, element)
    }

    /// One step in the first `live` lanes; the others keep what they have.
    pub fn combine_lanes(&mut self, function: ReduceFunction, so_far: Value, element: Value, live: usize) -> Value {
        let combined = self.combine(function, so_far, element);
        if live == QUAD {
            return combined;
        }
        let mask = self.vector_bits(I32X4, [0, 1, 2, 3].map(|l| if l < live { u32::MAX } else { 0 }));
        self.blend(mask, combined, so_far)
    }

    /// The tree over sixteen lanes in four vectors; the result in every lane.
    pub fn combine_tree(&mut self, reduction: &Reduction, lanes: [Value; 4]) -> Value {
        let function = reduction.function;
        let low = self.combine(function, lanes[0], lanes[2]);
        let high = self.combine(function, lanes[1], lanes[3]);
        let four = self.combine(function, low, high);
        let upper = self.shuffled(four, [2, 3, 2, 3]);
        let two = self.combine(function, four, upper);
        let second = self.shuffled(two, [1, 1, 1, 1]);
        let one = self.combine(function, two, second);
        self.splat_first(one)
    }

    /// Lanes of a vector in another order.
    fn shuffled(&mut self, value: Value, lanes: [u8; 4]) -> Value {
        self.shuffled_pair(value, value, lanes)
    }

    /// Lanes of two vectors (0 to 3 of the first, 4 to 7 of the second).
    pub fn shuffled_pair(&mut self, a: Value, b: Value, lanes: [u8; 4]) -> Value {
        use cranelift_codegen::ir::types::I8X16;
        let bytes: Vec<u8> = lanes
            .iter()
            .flat_map(|l| (0..4).map(move |byte| l * 4 + byte))
            .collect();
        let mask = self
            .builder
            .func
            .dfg
            .immediates
            .push(cranelift_codegen::ir::ConstantData::from(&bytes[..]));
        let (a, b) = (self.cast(I8X16, a), self.cast(I8X16, b));
        let shuffled = self.builder.ins().shuffle(a, b, mask);
        self.cast(F32X4, shuffled)
    }
}

impl Vectors for Emitter<'_> {
    type Vector = Value;

    fn even_bits(&mut self, bits: u32) -> Value {
        self.splat_bits(I32X4, bits)
    }
    fn calculated(&mut self, function: Arithmetic, a: Value, b: Value) -> Value {
        self.arithmetic(function, a, b)
    }
    fn whole(&mut self, a: Value) -> Value {
        self.small_integer(a)
    }
    fn left(&mut self, a: Value, by: u8) -> Value {
        self.builder.ins().ishl_imm_u(a, i64::from(by))
    }
    fn right(&mut self, a: Value, by: u8) -> Value {
        self.builder.ins().ushr_imm_u(a, i64::from(by))
    }
}
