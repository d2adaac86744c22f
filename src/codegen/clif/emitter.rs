//! What all kernels of this emitter share: the function's frame, constants and loops on a Cranelift function builder. It
//! knows vectors of four lanes and no kernel's structure.

use super::position::Scopes;
use crate::codegen::analysis::Ranges;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKinds;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, I8, I32, I32X4, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, ConstantData, InstBuilder, MemFlagsData, Signature, Type, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::packed_option::ReservedValue;
use cranelift_frontend::FunctionBuilder;

/// Lanes of a vector of this emitter.
pub const QUAD: usize = 4;
/// Bytes of an element.
pub const WORD: i64 = 4;

/// Memory that the call owns or may read, never trapping. Ordinary loads and stores keep their order.
pub const PLAIN: MemFlagsData = MemFlagsData::new().with_notrap();
/// Memory that does not change while the function runs: the load may be placed beside its use.
pub const CONSTANT: MemFlagsData = MemFlagsData::new().with_notrap().with_readonly().with_can_move();

/// `fn(buffers: *const *mut u8, scratch: *mut u8, first_task: i64, end_task: i64)`.
pub fn kernel_signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend([AbiParam::new(I64); 4]);
    signature
}

/// One round of a loop: gets the index and what is carried, gives what is carried on.
pub type LoopBody<'b, 'e> = dyn FnMut(&mut Emitter<'e>, Value, &[Value]) -> Vec<Value> + 'b;

/// A function under construction.
pub struct Emitter<'a> {
    /// Cranelift's builder.
    pub builder: FunctionBuilder<'a>,
    /// The buffers that the kernel is called with.
    pub buffers: &'a [Buffer],
    /// The kinds of the kernel's values.
    pub kinds: &'a ValueKinds,
    /// Where their addresses lie.
    pub table: Value,
    /// Their addresses.
    pub pointers: Vec<Value>,
    /// The thread's scratch memory.
    pub scratch: Value,
    /// First task and the one behind the last.
    pub tasks: (Value, Value),
    /// Sizes of all axes of the pass: vector, outer, sequential.
    pub sizes: Vec<usize>,
    /// How many outer axes there are.
    pub outer_axes: usize,
    /// The current index of each axis (of the vector axis: of the first lane); `None` outside its loop.
    pub indices: Vec<Option<Value>>,
    /// The vectors of the values that are defined here.
    pub values: Vec<Option<Value>>,
    /// Elements from the vector axis' index to the vector that is emitted.
    pub vector_offset: i64,
    /// Of each value that is a constant, its place among the program's constants.
    pub constants: Vec<Option<usize>>,
    /// Where the program's constants lie, each in all lanes.
    pub constant_table: Option<Value>,
    /// Whether x86's own instructions may be used.
    pub is_x86: bool,
    /// What a real is between, unless it is a NaN.
    pub ranges: Ranges,
    /// What need not be computed again.
    pub memory: Scopes,
    /// Addresses of four equal words, for what guarded loads read outside.
    pub(super) fills: Vec<(u32, Value)>,
    /// The address of the product's row, from which the vector index counts.
    pub product: Option<Value>,
    /// Bytes of the scratch memory from kept row to kept row.
    pub kept_stride: i64,
}

impl<'a> Emitter<'a> {
    /// Opens the function's first block.
    pub fn new(mut builder: FunctionBuilder<'a>, buffers: &'a [Buffer], kinds: &'a ValueKinds) -> Emitter<'a> {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let parameters = builder.block_params(entry).to_vec();
        let table = CONSTANT.with_aligned();
        let pointers = (0..buffers.len())
            .map(|i| builder.ins().load(I64, table, parameters[0], 8 * i as i32))
            .collect();
        Emitter {
            buffers,
            table: parameters[0],
            pointers,
            scratch: parameters[1],
            tasks: (parameters[2], parameters[3]),
            values: vec![None; kinds.len()],
            ..Emitter::bare(builder, kinds)
        }
    }

    /// Goes on in a function that is no kernel: without buffers, scratch memory and tasks.
    pub fn bare(builder: FunctionBuilder<'a>, kinds: &'a ValueKinds) -> Emitter<'a> {
        Emitter {
            builder,
            buffers: &[],
            kinds,
            table: Value::reserved_value(),
            pointers: vec![],
            scratch: Value::reserved_value(),
            tasks: (Value::reserved_value(), Value::reserved_value()),
            sizes: vec![],
            outer_axes: 0,
            indices: vec![],
            values: vec![],
            vector_offset: 0,
            constants: vec![],
            constant_table: None,
            is_x86: false,
            ranges: Ranges::default(),
            memory: Scopes::default(),
            fills: vec![],
            product: None,
            kept_stride: 0,
        }
    }

    /// Ends the function.
    pub fn finish(mut self, config: cranelift_codegen::isa::TargetFrontendConfig) {
        self.builder.ins().return_(&[]);
        self.builder.seal_all_blocks();
        self.builder.finalize(config);
    }

    /// An i64.
    pub fn integer(&mut self, number: i64) -> Value {
        self.builder.ins().iconst(I64, number)
    }

    /// Four equal words.
    pub fn splat_bits(&mut self, vector: Type, bits: u32) -> Value {
        self.vector_bits(vector, [bits; 4])
    }

    /// Four words.
    pub fn vector_bits(&mut self, vector: Type, words: [u32; 4]) -> Value {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
        self.builder.ins().vconst(vector, constant)
    }

    /// The same bits as another vector type.
    pub fn cast(&mut self, vector: Type, value: Value) -> Value {
        if self.builder.func.dfg.value_type(value) == vector {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.builder.ins().bitcast(vector, flags, value)
    }

    /// `then` in the lanes where the mask is set.
    pub fn blend(&mut self, mask: Value, then: Value, other: Value) -> Value {
        let vector = self.builder.func.dfg.value_type(then);
        let mask = self.cast(vector, mask);
        self.builder.ins().bitselect(mask, then, other)
    }

    /// A truth value (i8) as a mask in all lanes.
    pub fn splat_truth(&mut self, truth: Value) -> Value {
        let word = self.builder.ins().bmask(I32, truth);
        self.builder.ins().splat(I32X4, word)
    }

    /// Both truth values.
    pub fn both(&mut self, a: Option<Value>, b: Option<Value>) -> Option<Value> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.builder.ins().band(a, b)),
            (one, other) => one.or(other),
        }
    }

    /// An i8 that is 1.
    pub fn truth(&mut self) -> Value {
        self.builder.ins().iconst(I8, 1)
    }

    /// Bytes of a buffer from element to element.
    pub fn stride(&self, buffer: BufferId) -> i64 {
        self.buffers[buffer.0 as usize].storage.stride() as i64
    }

    /// Lane 0 in all lanes.
    pub fn splat_first(&mut self, value: Value) -> Value {
        let first = self.builder.ins().extractlane(value, 0);
        self.builder.ins().splat(F32X4, first)
    }

    /// `while index < end { carried = body(index, carried); index += step }`; gives what is carried out.
    pub fn count(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        carried: &[Value],
        body: &mut LoopBody<'_, 'a>,
    ) -> Vec<Value> {
        let enters = self.builder.ins().icmp(IntCC::SignedLessThan, start, end);
        let (inside, behind) = (self.builder.create_block(), self.builder.create_block());
        let types: Vec<Type> = carried.iter().map(|v| self.builder.func.dfg.value_type(*v)).collect();
        let out: Vec<Value> = types
            .iter()
            .map(|t| self.builder.append_block_param(behind, *t))
            .collect();
        let (into, past) = (arguments([start].iter().chain(carried)), arguments(carried));
        self.builder.ins().brif(enters, inside, &into, behind, &past);
        self.loop_body(inside, behind, end, step, &types, body);
        self.builder.switch_to_block(behind);
        out
    }

    /// The same for `trips` ≥ 1 rounds from 0; no loop at all for one round.
    pub fn repeat(&mut self, trips: usize, step: i64, carried: &[Value], body: &mut LoopBody<'_, 'a>) -> Vec<Value> {
        let zero = self.integer(0);
        if trips == 1 {
            return body(self, zero, carried);
        }
        let (inside, behind) = (self.builder.create_block(), self.builder.create_block());
        let types: Vec<Type> = carried.iter().map(|v| self.builder.func.dfg.value_type(*v)).collect();
        let out: Vec<Value> = types
            .iter()
            .map(|t| self.builder.append_block_param(behind, *t))
            .collect();
        let end = self.integer(trips as i64 * step);
        self.builder
            .ins()
            .jump(inside, &arguments([zero].iter().chain(carried)));
        self.loop_body(inside, behind, end, step, &types, body);
        self.builder.switch_to_block(behind);
        out
    }

    fn loop_body(
        &mut self,
        inside: Block,
        behind: Block,
        end: Value,
        step: i64,
        types: &[Type],
        body: &mut LoopBody<'_, 'a>,
    ) {
        let index = self.builder.append_block_param(inside, I64);
        let carried: Vec<Value> = types
            .iter()
            .map(|t| self.builder.append_block_param(inside, *t))
            .collect();
        self.builder.switch_to_block(inside);
        let results = body(self, index, &carried);
        let next = self.builder.ins().iadd_imm_s(index, step);
        let again = self.builder.ins().icmp(IntCC::SignedLessThan, next, end);
        let (back, out) = (arguments([next].iter().chain(&results)), arguments(&results));
        self.builder.ins().brif(again, inside, &back, behind, &out);
    }

    /// Runs `body` only if the truth value holds.
    pub fn when(&mut self, truth: Value, body: &mut dyn FnMut(&mut Self)) {
        let (inside, behind) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(truth, inside, &[], behind, &[]);
        self.builder.switch_to_block(inside);
        body(self);
        self.builder.ins().jump(behind, &[]);
        self.builder.switch_to_block(behind);
    }

    /// The lesser of two i64, at least one of which may be a number.
    pub fn least(&mut self, a: Value, b: i64) -> Value {
        let b = self.integer(b);
        let less = self.builder.ins().icmp(IntCC::SignedLessThan, a, b);
        self.builder.ins().select(less, a, b)
    }
}

/// Values as arguments of a block.
pub fn arguments<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<BlockArg> {
    values.into_iter().map(|v| BlockArg::from(*v)).collect()
}
