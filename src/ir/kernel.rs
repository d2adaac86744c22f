//! Kernels: parallel loop nests with a straight-line vector body, matrix products with what surrounds them,
//! and scatters; and the [`Schedule`] that calls them. Nothing here knows a register width: a vector axis is
//! just an axis. What fixes the bits is said here, once, and every emitter and the interpreter obey it:
//!
//! - A [`Reduce`](Instruction::Reduce) over the vector axis runs in [`LANES`] virtual lanes: element `i` goes to lane
//!   `i mod 16` in ascending order; lane `l` starts with the function's neutral element; a lane takes only elements that
//!   exist. At the end lanes `l` and `l + 8` are combined, then `l` and `l + 4`, `l + 2`, `l + 1`, the lower one first.
//!   All sixteen take part, also those that took nothing.
//! - A reduction over sequential axes adds in row-major order, starting from the neutral element.
//! - A reduction's step is `so_far = f(so_far, element)`: `so_far + element`, `so_far · element`, or `Maximum` and
//!   `Minimum` as below (so a NaN element is passed over; who wants it to show must ask for it).
//! - A [`MatrixProduct`] adds along `k` with one fused multiply-add for each product, ascending, in chunks of
//!   [`PRODUCT_CHUNK`]; of turns, so many neighbours as [`turns_in_chunk`](MatrixProduct::turns_in_chunk) says make a
//!   chunk, or else each begins a new one. Each chunk starts from +0, and the chunks' sums are added in order
//!   (`((c0 + c1) + c2) + …`).
//! - What a product's [`Corner`](super::corner::Corner) leaves out is not there; a chunk of which all is left out is +0.
//! - A product [by pairs](MatrixProduct::by_pairs) takes its products two by two, each turn beginning anew, and adds the
//!   second of a pair before the first; a last one alone stands behind a second one of +0 · +0. A chunk has as many pairs
//!   as else products. A subnormal factor, and the sum after each multiply-add if it is subnormal (once rounded to 24 bits,
//!   however small), counts as a zero of its sign; on machines other than x86-64 subnormals stay ([`PAIRS_FLUSH`]). So
//!   Intel defines the instruction VDPBF16PS; where it is lacking, multiply-adds do the same.
//! - A product [that tiles can do](MatrixProduct::fits_tiles) has another sum on a machine that has tiles: see there.
//! - Where a pass or an epilogue comes to constants, [`Beyond`] stands for it.
//! - A [`Scatter`] starts from +0 and adds its items in order.
//! - Arithmetic is IEEE 754 binary32, round to nearest even; `MultiplyAdd` rounds once; nothing else is contracted.
//!   `Minimum(a, b)` is `if b < a { b } else { a }` and `Maximum(a, b)` is `if b > a { b } else { a }`, so a NaN in `a` stays.
//!   Which NaN a NaN is (sign and payload) is not fixed.
//!
//! What is read and written: iterations may run in any order (also loads before their place in a pass, except past a
//! store), so an element that a call writes is read only by the iteration that writes it, or by earlier passes of the
//! same row. A product's operands and a scatter's source and ids are never memory that it writes.
//!
//! Values are numbered once in a kernel (SSA) and used behind their definition. Every size is at least 1. Positions
//! that are not guarded, or whose guards hold, are inside their buffer: [`verify`](super::kernel_verify::verify)
//! proves it for each kernel before code is made (ids of a gather or scatter are checked where they enter).
//!
//! How work is cut into tasks and tiles changes where a number is computed, never how.

use super::affine::{Guard, Position};
use super::graph::ReduceFunction;
use std::fmt;

pub use super::product::{Matrix, MatrixProduct};
pub use super::schedule::{Band, Call, Decision, Loop, Passing, Schedule, Slice, Tensor, TensorId, TensorKind};

/// Virtual lanes of a sum along the vector axis.
pub const LANES: usize = 16;
/// Products that a matrix product adds in one chain.
pub const PRODUCT_CHUNK: usize = 256;
/// Whether products by pairs take subnormal numbers for zeros: where the machine can be told to.
pub const PAIRS_FLUSH: bool = cfg!(target_arch = "x86_64");
/// Columns of a panel, where a product's second operand lies in panels.
pub const PANEL_COLUMNS: usize = 32;
/// The number of the vector axis in every [`Position`] of a kernel. Outer axes follow from 1 on, then sequential ones.
pub const VECTOR_AXIS: usize = 0;

/// A value of a kernel's body; prints as `v3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// An argument of a kernel, in the order of [`Kernel::buffers`]; prints as `b2`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BufferId(pub u32);

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// How a buffer's elements are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Storage {
    /// binary32: reals, and conditions as 0 and 1.
    F32,
    /// Ids and random keys.
    I32,
    /// bfloat16: the upper half of a binary32. Bodies read and write its 16 bits as an I32, zeros above them; a product's
    /// operand is widened to binary32, which changes no value.
    Bf16,
    /// binary16, in the same way.
    F16,
}

impl Storage {
    /// Bytes from element to element.
    pub fn stride(self) -> usize {
        match self {
            Storage::F32 | Storage::I32 => 4,
            Storage::Bf16 | Storage::F16 => 2,
        }
    }

    /// Bytes that so many elements take. Code may read 32 bits at any element, so an element of 16 has two bytes behind it.
    pub fn bytes(self, elements: usize) -> usize {
        elements * self.stride() + 4 - self.stride()
    }
}

/// A buffer that a kernel is called with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Buffer {
    /// How its elements are stored.
    pub storage: Storage,
    /// How many there are: what every position is verified against.
    pub elements: usize,
    /// Whether the kernel writes it. It may be the same memory as one it reads only if each element is
    /// read (in the same pass and iteration) before it is written.
    pub written: bool,
}

/// Of two or one 32-bit values. F32 unless said otherwise; comparisons give a mask.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it; the module says what the bits are")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Minimum,
    Maximum,
    Negate,
    Absolute,
    SquareRoot,
    /// `a · 2ᵇ`, rounded once: `a` is 0 or from ¼ to 4 in size, and `b` a whole number from -250 to 250.
    Scale,
    /// To the nearest whole number, ties to even.
    Nearest,
    Floor,
    Less,
    LessEqual,
    Equal,
    /// Masks.
    And,
    Or,
    Not,
    /// I32, wrapping.
    IntegerAdd,
    IntegerSubtract,
    IntegerMultiply,
    /// I32 to mask.
    IntegerEqual,
    /// I32, bit by bit.
    BitAnd,
    BitOr,
    BitXor,
    /// I32 to F32, rounded to nearest.
    ToReal,
    /// F32 to I32, towards zero; NaN gives 0 and what does not fit the nearest bound.
    ToInteger,
    /// The bits of an F32 as an I32.
    RealBits,
    /// The F32 that has the bits of an I32.
    IntegerBits,
}

/// One instruction of a body; what it defines is named beside it.
#[derive(Clone, PartialEq, Debug)]
pub enum Instruction {
    /// An f32.
    Constant(f32),
    /// An i32.
    Integer(i32),
    /// An element of a buffer (its storage is the type; of 16 bits it is an I32); `fill` where a guard does not hold (for
    /// an I32 as `ToInteger` has it).
    Load {
        /// From where.
        buffer: BufferId,
        /// The element.
        at: Position,
        /// Empty if the position is always inside.
        guards: Vec<Guard>,
        /// What is read outside.
        fill: f32,
    },
    /// An element at ids: position plus Σ value · stride. The ids are known to be inside.
    Gather {
        /// From where.
        buffer: BufferId,
        /// The part that does not depend on ids.
        at: Position,
        /// I32 values and their strides, in elements.
        ids: Vec<(ValueId, i64)>,
    },
    /// A position as an i32.
    Index(Position),
    /// Whether all guards hold: a mask.
    Inside(Vec<Guard>),
    /// The element of a [`LoopKernel::rows_kept`] row at the vector index, which was stored before.
    KeptLoad(u32),
    /// Writes it (F32). Defines nothing.
    KeptStore(u32, ValueId),
    /// One or two arguments.
    Arithmetic(Arithmetic, Vec<ValueId>),
    /// I32 shifted left by a constant.
    ShiftLeft(ValueId, u8),
    /// I32 shifted right by a constant, zeros coming in.
    ShiftRight(ValueId, u8),
    /// `a · b + c`, rounded once.
    MultiplyAdd(ValueId, ValueId, ValueId),
    /// Mask, then, else (both F32 or both I32).
    Select(ValueId, ValueId, ValueId),
    /// Reduces an F32 value. Over [`Along::Vector`] the result is one number for the row, for later passes; it stands in
    /// `finish`, or in the `body` of a pass without sequential axes. Over [`Along::Sequential`] it stands in `body`, and
    /// the result is a vector value for the pass's `finish`. Not in row passes.
    Reduce {
        /// How.
        function: ReduceFunction,
        /// What.
        value: ValueId,
        /// Over what.
        along: Along,
    },
    /// The element of the product, in an epilogue.
    Product,
    /// Writes an element (F32 to F32, I32 to I32, of which 16 bits take the lower half; a mask is stored as 0 and 1).
    /// Defines nothing.
    Store {
        /// To where.
        buffer: BufferId,
        /// The element; always inside. Different iterations write different elements.
        at: Position,
        /// What.
        value: ValueId,
    },
}

/// What a reduction goes over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Along {
    /// The vector axis.
    Vector,
    /// All sequential axes of the pass.
    Sequential,
}

/// An instruction and the value that it defines (unused for stores).
#[derive(Clone, PartialEq, Debug)]
pub struct Define {
    /// The value.
    pub value: ValueId,
    /// How it comes about.
    pub instruction: Instruction,
}

/// Straight-line code in SSA form.
pub type Body = Vec<Define>;

/// Where the rest of a row comes to constants, as behind the diagonal of what a causal mask leaves: from the vector index
/// `from` on, rounded up to a multiple of [`LANES`], this body stands for the pass's, whose reductions take in nothing there.
#[derive(Clone, PartialEq, Debug)]
pub struct Beyond {
    /// Of outer indices alone, never negative.
    pub from: Position,
    /// Constants and the pass's own stores of them.
    pub body: Body,
}

/// One loop over a row, or what is done once for the row.
#[derive(Clone, PartialEq, Debug)]
pub struct Pass {
    /// Whether `body` runs for each index of the vector axis; else once a row, with one-number values that
    /// later passes may use (no sequential axes then).
    pub vector: bool,
    /// Sizes of the axes that are looped over inside, for each vector index, in row-major order.
    pub sequential: Vec<usize>,
    /// For each iteration.
    pub body: Body,
    /// For each vector index, after the sequential loop; uses the sequential reductions, not other values of `body`,
    /// nor sequential indices. Empty in row passes.
    pub finish: Body,
    /// In a vector pass without sequential axes, along a vector axis that is a multiple of [`LANES`], and not where it is cut.
    pub beyond: Option<Box<Beyond>>,
}

/// Loops over rows. Values of a vector pass live in that pass alone (keep them with [`Instruction::KeptStore`]);
/// its vector reductions and the values of row passes live to the end of the row.
#[derive(Clone, PartialEq, Debug)]
pub struct LoopKernel {
    /// Sizes of the outer axes (numbers 1, 2, …): their product is the number of rows. Rows are independent.
    pub outer: Vec<usize>,
    /// Length of the vector axis.
    pub vector: usize,
    /// How many rows of `vector` f32 are kept from pass to pass in the thread's scratch memory.
    pub rows_kept: u32,
    /// In order.
    pub passes: Vec<Pass>,
    /// Rows in a task. 1 where the vector axis is cut.
    pub rows_per_task: usize,
    /// Elements of the vector axis in a task, a multiple of [`LANES`]: only with one pass, no vector reduction,
    /// nothing kept. `None`: whole rows.
    pub vector_per_task: Option<usize>,
}

impl Pass {
    /// For each index of the vector axis, without loops inside.
    pub fn straight(body: Body) -> Pass {
        Pass {
            vector: true,
            sequential: vec![],
            body,
            finish: vec![],
            beyond: None,
        }
    }
}

/// Elements that one task of a copy moves.
const COPIED_PER_TASK: usize = 1 << 15;

impl LoopKernel {
    /// One straight pass over rows, so many of them in a task.
    pub fn straight(outer: Vec<usize>, vector: usize, body: Body, rows_per_task: usize) -> LoopKernel {
        LoopKernel {
            outer,
            vector,
            rows_kept: 0,
            passes: vec![Pass::straight(body)],
            rows_per_task,
            vector_per_task: None,
        }
    }

    /// The body of a kernel that copies all of buffer 0 to buffer 1.
    pub fn copy(length: usize) -> KernelBody {
        let at = Position::axis(VECTOR_AXIS);
        let load = Instruction::Load {
            buffer: BufferId(0),
            at: at.clone(),
            guards: vec![],
            fill: 0.0,
        };
        let store = Instruction::Store {
            buffer: BufferId(1),
            at,
            value: ValueId(0),
        };
        let define = |(i, instruction)| Define {
            value: ValueId(i as u32),
            instruction,
        };
        let body = [load, store].into_iter().enumerate().map(define).collect();
        KernelBody::Loop(LoopKernel {
            vector_per_task: Some(COPIED_PER_TASK),
            ..LoopKernel::straight(vec![], length, body, 1)
        })
    }
}

/// Adds rows into a table of zeros: for each item (row-major), `table[.., vector] += source[.., vector]`.
/// Axes: the vector axis, then `outer`, then `items`. Items of one outer index run in order; outer indices are
/// independent (they write different rows).
#[derive(Clone, PartialEq, Debug)]
pub struct Scatter {
    /// Sizes of the independent axes.
    pub outer: Vec<usize>,
    /// Sizes of the axes whose ids may collide.
    pub items: Vec<usize>,
    /// Length of the vector axis.
    pub vector: usize,
    /// What is added, F32.
    pub source: BufferId,
    /// Its element.
    pub source_at: Position,
    /// The buffers of ids, their element (the same for the whole vector axis), and the table's stride for each.
    pub ids: Vec<(BufferId, Position, i64)>,
    /// What is added to, F32; the whole buffer is cleared first.
    pub table: BufferId,
    /// The part of its element that does not depend on ids.
    pub table_at: Position,
    /// Elements of the vector axis in a task, a multiple of [`LANES`] or all: tasks are outer indices × vector blocks.
    pub vector_per_task: usize,
}

/// What a kernel does.
#[derive(Clone, PartialEq, Debug)]
pub enum KernelBody {
    /// Element-wise work and reductions.
    Loop(LoopKernel),
    /// A matrix product with its epilogue.
    Product(MatrixProduct),
    /// A transposed gather.
    Scatter(Scatter),
}

/// A compiled unit. Two uses with equal kernels share one.
#[derive(Clone, PartialEq, Debug)]
pub struct Kernel {
    /// What it is called with.
    pub buffers: Vec<Buffer>,
    /// What it does.
    pub body: KernelBody,
}

impl Kernel {
    /// How many independent tasks it has.
    pub fn tasks(&self) -> usize {
        match &self.body {
            KernelBody::Loop(k) => {
                let rows: usize = k.outer.iter().product();
                let cuts = k.vector_per_task.map_or(1, |cut| k.vector.div_ceil(cut));
                rows.div_ceil(k.rows_per_task) * cuts
            }
            KernelBody::Product(k) => {
                let batch: usize = k.batch.iter().product();
                batch * k.m.div_ceil(k.rows_per_task) * k.n.div_ceil(k.columns_per_task)
            }
            KernelBody::Scatter(k) => k.outer.iter().product::<usize>() * k.vector.div_ceil(k.vector_per_task),
        }
    }
}
