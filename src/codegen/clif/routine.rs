//! Routines that the products of a program share: packing a panel of an operand, and multiplying two packed panels
//! into a tile. Their sizes are fixed, so that no product needs a variant for its edges: panels are filled up with zeros
//! and tiles have room for whole panels.

use super::emitter::{CONSTANT, Emitter, PLAIN, QUAD, WORD, arguments};
use crate::codegen::wide;
use crate::ir::kernel::Storage;
use crate::ir::kernel_verify::ValueKinds;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

/// Rows of a tile.
pub const TILE_ROWS: usize = 4;
/// Columns of a tile.
pub const TILE_COLUMNS: usize = 8;
/// Products along `k` in one round of the multiplying loop.
const UNROLL: usize = 8;

/// A function that products call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Routine {
    /// `fn(a, b, tile, length, tile row bytes, accumulate)`: multiplies panels of `length` and stores the tile, or adds to it.
    Multiply {
        /// Whether the second of two products comes first.
        by_pairs: bool,
    },
    /// `fn(panel, source, length, live)`: copies a panel of `width` lanes and `length` steps, as binary32; lanes from
    /// `live` on are 0.
    Pack {
        /// How the source is stored.
        storage: Storage,
        /// Lanes of the panel.
        width: usize,
        /// Elements of the source from lane to lane.
        lane_stride: i64,
        /// Elements of the source from step to step.
        step_stride: i64,
    },
    /// The wide emitter's: `fn(a, panel, tile, rows, length, accumulate)`.
    WideMultiply(wide::multiply::Multiply),
    /// The wide emitter's: `fn(panel, source, length, live)`.
    WidePack(wide::pack::Pack),
    /// The wide emitter's, of bfloat16 numbers in tiles: `fn(a, panel, tile, rows, length, accumulate)`.
    TileMultiply(wide::multiply_tiles::MultiplyTiles),
    /// The wide emitter's: `fn(panel, source, length, live)`.
    TilePack(wide::pack_tiles::PackTiles),
    /// The wide emitter's: `fn()`, before the first tile and behind the last one.
    Tiles {
        /// Which of the two.
        begins: bool,
    },
}

impl Routine {
    /// How it is called.
    pub fn signature(self, convention: CallConv) -> Signature {
        let mut signature = Signature::new(convention);
        let parameters = match self {
            Routine::Multiply { .. } => 6,
            Routine::WideMultiply(multiply) => 6 + usize::from(multiply.ahead),
            Routine::TileMultiply(multiply) => 6 + usize::from(multiply.ahead),
            Routine::Pack { .. } | Routine::WidePack(_) | Routine::TilePack(_) => 4,
            Routine::Tiles { .. } => 0,
        };
        signature.params.extend(vec![AbiParam::new(I64); parameters]);
        signature
    }

    /// Writes the whole function, if it is the wide emitter's.
    pub fn encode(self, a: &mut wide::encode::Assembler, width: wide::encode_vector::Width) -> bool {
        match self {
            Routine::Multiply { .. } | Routine::Pack { .. } => return false,
            Routine::WideMultiply(multiply) => multiply.emit(a),
            Routine::WidePack(pack) => pack.emit(a, width),
            Routine::TileMultiply(multiply) => multiply.emit(a),
            Routine::TilePack(pack) => pack.emit(a),
            Routine::Tiles { begins: true } => wide::multiply_tiles::emit_begin(a),
            Routine::Tiles { begins: false } => wide::multiply_tiles::emit_end(a),
        }
        true
    }

    /// Emits the whole function.
    pub fn emit(self, mut builder: FunctionBuilder, config: cranelift_codegen::isa::TargetFrontendConfig) {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let parameters = builder.block_params(entry).to_vec();
        let kinds = ValueKinds::new();
        let mut e = Emitter::bare(builder, &kinds);
        match self {
            Routine::Multiply { by_pairs } => multiply(&mut e, &parameters, by_pairs),
            Routine::Pack {
                storage,
                width,
                lane_stride,
                step_stride,
            } => {
                let bytes = storage.stride() as i64;
                let source = Source {
                    storage,
                    lane_stride: lane_stride * bytes,
                    step_stride: step_stride * bytes,
                };
                pack(&mut e, &parameters, width, source);
            }
            Routine::WideMultiply(_)
            | Routine::WidePack(_)
            | Routine::TileMultiply(_)
            | Routine::TilePack(_)
            | Routine::Tiles { .. } => unreachable!("encoded by the wide emitter"),
        }
        e.finish(config);
    }
}

fn multiply(e: &mut Emitter, parameters: &[Value], by_pairs: bool) {
    let &[a, b, tile, length, row_bytes, accumulate] = parameters else {
        unreachable!("six parameters")
    };
    let zero = e.zeros();
    let sums = vec![zero; TILE_ROWS * TILE_COLUMNS / QUAD];
    let rounds = e.builder.ins().ushr_imm_u(length, UNROLL.trailing_zeros() as i64);
    // Of a pair the second step comes first.
    let steps: Vec<usize> = (0..UNROLL).map(|step| step ^ usize::from(by_pairs)).collect();
    let (a, b, sums) = multiply_loop(e, a, b, rounds, &steps, &sums);
    let rest = e.builder.ins().band_imm_s(length, UNROLL as i64 - 1);
    let sums = match by_pairs {
        false => multiply_loop(e, a, b, rest, &[0], &sums).2,
        true => {
            let pairs = e.builder.ins().ushr_imm_u(rest, 1);
            let (a, b, sums) = multiply_loop(e, a, b, pairs, &[1, 0], &sums);
            let last = e.builder.ins().band_imm_s(rest, 1);
            multiply_last(e, a, b, last, &sums)
        }
    };
    let (adding, storing) = (e.builder.create_block(), e.builder.create_block());
    let end = e.builder.create_block();
    e.builder.ins().brif(accumulate, adding, &[], storing, &[]);
    for (block, adds) in [(adding, true), (storing, false)] {
        e.builder.switch_to_block(block);
        let mut row = tile;
        for (number, of_row) in sums.chunks(TILE_COLUMNS / QUAD).enumerate() {
            if number > 0 {
                row = e.builder.ins().iadd(row, row_bytes);
            }
            for (quad, &sum) in of_row.iter().enumerate() {
                let offset = (quad * QUAD) as i32 * WORD as i32;
                let mut sum = sum;
                if adds {
                    let before = e.builder.ins().load(F32X4, PLAIN.with_aligned(), row, offset);
                    sum = e.builder.ins().fadd(before, sum);
                }
                e.builder.ins().store(PLAIN.with_aligned(), sum, row, offset);
            }
        }
        e.builder.ins().jump(end, &[]);
    }
    e.builder.switch_to_block(end);
}

/// The first of a pair that has no second one, if there is one: +0 · +0 comes before it.
fn multiply_last(e: &mut Emitter, a: Value, b: Value, last: Value, sums: &[Value]) -> Vec<Value> {
    let (inside, behind) = (e.builder.create_block(), e.builder.create_block());
    e.builder.ins().brif(last, inside, &[], behind, &arguments(sums));
    let out: Vec<Value> = sums
        .iter()
        .map(|_| e.builder.append_block_param(behind, F32X4))
        .collect();
    e.builder.switch_to_block(inside);
    let zero = e.zeros();
    let sums: Vec<Value> = sums.iter().map(|&sum| e.builder.ins().fadd(sum, zero)).collect();
    let (_, _, sums) = multiply_loop(e, a, b, last, &[0], &sums);
    e.builder.ins().jump(behind, &arguments(&sums));
    e.builder.switch_to_block(behind);
    out
}

/// `rounds` (perhaps 0) of some steps in an order of their own; gives the pointers and sums behind them.
fn multiply_loop(
    e: &mut Emitter,
    a: Value,
    b: Value,
    rounds: Value,
    steps: &[usize],
    sums: &[Value],
) -> (Value, Value, Vec<Value>) {
    let (inside, behind) = (e.builder.create_block(), e.builder.create_block());
    let counters = [rounds, a, b];
    let into = arguments(counters.iter().chain(sums));
    let past = arguments([a, b].iter().chain(sums));
    e.builder.ins().brif(rounds, inside, &into, behind, &past);

    let counters: Vec<Value> = (0..3).map(|_| e.builder.append_block_param(inside, I64)).collect();
    let mut next: Vec<Value> = sums
        .iter()
        .map(|_| e.builder.append_block_param(inside, F32X4))
        .collect();
    let out: Vec<Value> = (0..2).map(|_| e.builder.append_block_param(behind, I64)).collect();
    let sums_out: Vec<Value> = sums
        .iter()
        .map(|_| e.builder.append_block_param(behind, F32X4))
        .collect();
    e.builder.switch_to_block(inside);
    let (a, b) = (counters[1], counters[2]);
    for &step in steps {
        let columns: Vec<Value> = (0..TILE_COLUMNS / QUAD)
            .map(|quad| {
                let offset = (step * TILE_COLUMNS + quad * QUAD) as i32 * WORD as i32;
                e.builder.ins().load(F32X4, CONSTANT.with_aligned(), b, offset)
            })
            .collect();
        for (row, of_row) in next.chunks_mut(TILE_COLUMNS / QUAD).enumerate() {
            let offset = (step * TILE_ROWS + row) as i32 * WORD as i32;
            let factor = e.builder.ins().load(F32, CONSTANT, a, offset);
            let factor = e.builder.ins().splat(F32X4, factor);
            for (sum, column) in of_row.iter_mut().zip(&columns) {
                *sum = e.builder.ins().fma(factor, *column, *sum);
            }
        }
    }
    let a = e.builder.ins().iadd_imm_s(a, (steps.len() * TILE_ROWS) as i64 * WORD);
    let b = e
        .builder
        .ins()
        .iadd_imm_s(b, (steps.len() * TILE_COLUMNS) as i64 * WORD);
    let left = e.builder.ins().iadd_imm_s(counters[0], -1);
    let back = arguments([left, a, b].iter().chain(&next));
    let past = arguments([a, b].iter().chain(&next));
    e.builder.ins().brif(left, inside, &back, behind, &past);
    e.builder.switch_to_block(behind);
    (out[0], out[1], sums_out)
}

/// What is packed. Strides in bytes.
#[derive(Clone, Copy)]
struct Source {
    storage: Storage,
    lane_stride: i64,
    step_stride: i64,
}

impl Source {
    fn bytes(self) -> i64 {
        self.storage.stride() as i64
    }

    /// Four elements side by side, as binary32.
    fn four(self, e: &mut Emitter, from: Value, offset: usize) -> Value {
        let bits = e.load_four(self.storage, from, offset as i32);
        e.widened(self.storage, bits)
    }

    /// One element, as binary32.
    fn one(self, e: &mut Emitter, from: Value) -> Value {
        let bits = e.load_one(self.storage, from, 0);
        if self.storage == Storage::F32 {
            return bits;
        }
        let bits = e.builder.ins().scalar_to_vector(F32X4, bits);
        let real = e.widened(self.storage, bits);
        e.builder.ins().extractlane(real, 0)
    }
}

fn pack(e: &mut Emitter, parameters: &[Value], width: usize, of: Source) {
    let &[panel, source, length, live] = parameters else {
        unreachable!("four parameters")
    };
    let whole = e.builder.ins().icmp_imm_s(IntCC::Equal, live, width as i64);
    let (all, some) = (e.builder.create_block(), e.builder.create_block());
    let end = e.builder.create_block();
    e.builder.ins().brif(whole, all, &[], some, &[]);
    e.builder.switch_to_block(all);
    if of.step_stride == of.bytes() && of.lane_stride != of.bytes() && width.is_multiple_of(QUAD) {
        pack_transposed(e, [panel, source, length], width, of);
    } else {
        let start = e.integer(0);
        e.count(start, length, 1, &[panel, source], &mut |e, _, at| {
            pack_step(e, at[0], at[1], width, of);
            advance(e, at, width, of.step_stride)
        });
    }
    e.builder.ins().jump(end, &[]);
    e.builder.switch_to_block(some);
    let start = e.integer(0);
    e.count(start, length, 1, &[panel, source], &mut |e, _, at| {
        let (panel, source) = (at[0], at[1]);
        let zero = e.builder.ins().f32const(0.0);
        for lane in 0..width {
            e.builder.ins().store(PLAIN, zero, panel, lane as i32 * WORD as i32);
        }
        let start = e.integer(0);
        e.count(start, live, 1, &[panel, source], &mut |e, _, at| {
            let word = of.one(e, at[1]);
            e.builder.ins().store(PLAIN, word, at[0], 0);
            let panel = e.builder.ins().iadd_imm_s(at[0], WORD);
            let source = e.builder.ins().iadd_imm_s(at[1], of.lane_stride);
            vec![panel, source]
        });
        advance(e, at, width, of.step_stride)
    });
    e.builder.ins().jump(end, &[]);
    e.builder.switch_to_block(end);
}

fn advance(e: &mut Emitter, at: &[Value], width: usize, step_stride: i64) -> Vec<Value> {
    let panel = e.builder.ins().iadd_imm_s(at[0], width as i64 * WORD);
    let source = e.builder.ins().iadd_imm_s(at[1], step_stride);
    vec![panel, source]
}

/// One step of all lanes.
fn pack_step(e: &mut Emitter, panel: Value, source: Value, width: usize, of: Source) {
    let quads = if of.lane_stride == of.bytes() { width / QUAD } else { 0 };
    for quad in 0..quads {
        let vector = of.four(e, source, quad * QUAD * of.storage.stride());
        e.builder
            .ins()
            .store(PLAIN, vector, panel, (quad * QUAD) as i32 * WORD as i32);
    }
    let mut from = e
        .builder
        .ins()
        .iadd_imm_s(source, (quads * QUAD) as i64 * of.lane_stride);
    for lane in quads * QUAD..width {
        let word = of.one(e, from);
        e.builder.ins().store(PLAIN, word, panel, lane as i32 * WORD as i32);
        from = e.builder.ins().iadd_imm_s(from, of.lane_stride);
    }
}

/// Steps lie side by side in the source: four by four words are loaded along them and turned.
fn pack_transposed(e: &mut Emitter, [panel, source, length]: [Value; 3], width: usize, of: Source) {
    let start = e.integer(0);
    let fours = e.builder.ins().band_imm_s(length, -(QUAD as i64));
    let at = e.count(start, fours, QUAD as i64, &[panel, source], &mut |e, _, at| {
        let (panel, source) = (at[0], at[1]);
        let mut from = source;
        for quad in 0..width / QUAD {
            let mut lanes = vec![];
            for _ in 0..QUAD {
                lanes.push(of.four(e, from, 0));
                from = e.builder.ins().iadd_imm_s(from, of.lane_stride);
            }
            let low = e.shuffled_pair(lanes[0], lanes[1], [0, 4, 1, 5]);
            let high = e.shuffled_pair(lanes[0], lanes[1], [2, 6, 3, 7]);
            let low_next = e.shuffled_pair(lanes[2], lanes[3], [0, 4, 1, 5]);
            let high_next = e.shuffled_pair(lanes[2], lanes[3], [2, 6, 3, 7]);
            let steps = [
                e.shuffled_pair(low, low_next, [0, 1, 4, 5]),
                e.shuffled_pair(low, low_next, [2, 3, 6, 7]),
                e.shuffled_pair(high, high_next, [0, 1, 4, 5]),
                e.shuffled_pair(high, high_next, [2, 3, 6, 7]),
            ];
            for (step, vector) in steps.into_iter().enumerate() {
                let offset = (step * width + quad * QUAD) as i32 * WORD as i32;
                e.builder.ins().store(PLAIN, vector, panel, offset);
            }
        }
        advance(e, at, width * QUAD, QUAD as i64 * of.bytes())
    });
    e.count(fours, length, 1, &at, &mut |e, _, at| {
        pack_step(e, at[0], at[1], width, of);
        advance(e, at, width, of.bytes())
    });
}

const _: () = assert!(TILE_COLUMNS.is_multiple_of(QUAD) && crate::ir::kernel::LANES.is_multiple_of(TILE_COLUMNS));
