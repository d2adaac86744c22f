//! The text of kernels, schedules and plans, as `--emit kernels` and `--emit plan` show it: one line for each
//! instruction, buffer, call and tensor. It decides nothing.

use super::graph::ReduceFunction;
use super::kernel::*;
use super::plan::{Launch, Location, OutputSlot, Plan, Region, Slot};
use std::fmt::{self, Display, Formatter};

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "  {}: {buffer}", BufferId(i as u32))?;
        }
        match &self.body {
            KernelBody::Loop(k) => k.fmt(f)?,
            KernelBody::Product(k) => k.fmt(f)?,
            KernelBody::Scatter(k) => k.fmt(f)?,
        }
        writeln!(f, "  tasks {}", self.tasks())
    }
}

impl Display for Buffer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let access = if self.written { "written" } else { "read" };
        write!(f, "{}[{}] {access}", self.storage, self.elements)
    }
}

impl Display for Storage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Storage::F32 => "f32",
            Storage::I32 => "i32",
            Storage::Bf16 => "bf16",
            Storage::F16 => "f16",
        })
    }
}

/// `i1 < 4, i2 < 5` for axes that follow each other.
fn axes(first: usize, sizes: &[usize]) -> String {
    let axes: Vec<String> = (first..)
        .zip(sizes)
        .map(|(axis, size)| format!("i{axis} < {size}"))
        .collect();
    axes.join(", ")
}

/// Anything printable in a row.
fn list<T: Display>(items: &[T], between: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

impl Display for LoopKernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  loop {}", axes(0, &[self.vector]))?;
        if !self.outer.is_empty() {
            write!(f, "; {}", axes(1, &self.outer))?;
        }
        write!(f, "; rows per task {}", self.rows_per_task)?;
        if let Some(cut) = self.vector_per_task {
            write!(f, ", elements per task {cut}")?;
        }
        if self.rows_kept > 0 {
            write!(f, "; rows kept {}", self.rows_kept)?;
        }
        writeln!(f)?;
        for pass in &self.passes {
            let kind = if pass.vector { "pass" } else { "row" };
            write!(f, "  {kind}")?;
            if !pass.sequential.is_empty() {
                write!(f, " over {}", axes(1 + self.outer.len(), &pass.sequential))?;
            }
            writeln!(f)?;
            write_body(f, &pass.body)?;
            if !pass.finish.is_empty() {
                writeln!(f, "  finish")?;
                write_body(f, &pass.finish)?;
            }
        }
        Ok(())
    }
}

impl Display for MatrixProduct {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  product m {} n {} k {}", self.m, self.n, self.k)?;
        if !self.batch.is_empty() {
            write!(f, "; {}", axes(1, &self.batch))?;
        }
        for (what, sizes) in [("strips", &self.strips), ("turns", &self.turns)] {
            if !sizes.is_empty() {
                write!(f, "; {what}")?;
                sizes.iter().try_for_each(|size| write!(f, " {size}"))?;
            }
        }
        if let Some(corner) = self.corner {
            write!(f, "; {corner}")?;
        }
        let pairs = if self.by_pairs { "; by pairs" } else { "" };
        writeln!(
            f,
            "{pairs}; rows per task {}, columns per task {}",
            self.rows_per_task, self.columns_per_task
        )?;
        writeln!(f, "    a {}", self.a)?;
        let panels = if self.b_in_panels { " in panels" } else { "" };
        writeln!(f, "    b {}{panels}", self.b)?;
        writeln!(f, "  epilogue i0 < {}, i{} < {}", self.n, 1 + self.batch.len(), self.m)?;
        write_body(f, &self.epilogue)
    }
}

impl Display for Matrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[{} + {}*row + {}*column",
            self.buffer, self.constant, self.row_stride, self.column_stride
        )?;
        for (axis, stride) in (1..).zip(&self.batch) {
            write!(f, " + {stride}*i{axis}")?;
        }
        for (what, strides) in [("strip", &self.strips), ("turn", &self.turns)] {
            for (axis, stride) in strides.iter().enumerate() {
                write!(f, " + {stride}*{what}{axis}")?;
            }
        }
        write!(f, "]")
    }
}

impl Display for Scatter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  scatter {}", axes(0, &[self.vector]))?;
        if !self.outer.is_empty() {
            write!(f, "; {}", axes(1, &self.outer))?;
        }
        write!(f, "; in order {}", axes(1 + self.outer.len(), &self.items))?;
        writeln!(f, "; elements per task {}", self.vector_per_task)?;
        write!(f, "    {}[{}", self.table, self.table_at)?;
        for (buffer, at, stride) in &self.ids {
            write!(f, " + {stride}*{buffer}[{at}]")?;
        }
        writeln!(f, "] += {}[{}]", self.source, self.source_at)
    }
}

fn write_body(f: &mut Formatter<'_>, body: &Body) -> fmt::Result {
    body.iter().try_for_each(|define| writeln!(f, "    {define}"))
}

impl Display for Define {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.instruction {
            Instruction::Store { .. } | Instruction::KeptStore(..) => self.instruction.fmt(f),
            instruction => write!(f, "{} = {instruction}", self.value),
        }
    }
}

impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Instruction::Constant(number) => write!(f, "{number:?}"),
            Instruction::Integer(number) => write!(f, "integer {number}"),
            Instruction::Load { buffer, at, guards, .. } if guards.is_empty() => write!(f, "load {buffer}[{at}]"),
            Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            } => write!(f, "load {buffer}[{at}] if {} else {fill:?}", list(guards, " and ")),
            Instruction::Gather { buffer, at, ids } => {
                write!(f, "gather {buffer}[{at}")?;
                ids.iter().try_for_each(|(id, stride)| write!(f, " + {stride}*{id}"))?;
                write!(f, "]")
            }
            Instruction::Index(at) => write!(f, "index {at}"),
            Instruction::Inside(guards) if guards.is_empty() => write!(f, "inside everywhere"),
            Instruction::Inside(guards) => write!(f, "inside {}", list(guards, " and ")),
            Instruction::KeptLoad(row) => write!(f, "load kept {row}"),
            Instruction::KeptStore(row, value) => write!(f, "store kept {row} = {value}"),
            Instruction::Arithmetic(function, arguments) => {
                write!(f, "{} {}", function.name(), list(arguments, ", "))
            }
            Instruction::ShiftLeft(value, by) => write!(f, "shift_left {value}, {by}"),
            Instruction::ShiftRight(value, by) => write!(f, "shift_right {value}, {by}"),
            Instruction::MultiplyAdd(a, b, c) => write!(f, "multiply_add {a}, {b}, {c}"),
            Instruction::Select(mask, then, other) => write!(f, "select {mask}, {then}, {other}"),
            Instruction::Reduce { function, value, along } => {
                let function = match function {
                    ReduceFunction::Sum => "sum",
                    ReduceFunction::Maximum => "maximum",
                    ReduceFunction::Minimum => "minimum",
                    ReduceFunction::Product => "product",
                };
                let along = match along {
                    Along::Vector => "row",
                    Along::Sequential => "sequence",
                };
                write!(f, "reduce {function} over {along} {value}")
            }
            Instruction::Product => write!(f, "product"),
            Instruction::Store { buffer, at, value } => write!(f, "store {buffer}[{at}] = {value}"),
        }
    }
}

impl Arithmetic {
    /// Its name in the text of a kernel.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
            Arithmetic::Minimum => "minimum",
            Arithmetic::Maximum => "maximum",
            Arithmetic::Negate => "negate",
            Arithmetic::Absolute => "absolute",
            Arithmetic::SquareRoot => "square_root",
            Arithmetic::Nearest => "nearest",
            Arithmetic::Floor => "floor",
            Arithmetic::Less => "less",
            Arithmetic::LessEqual => "less_equal",
            Arithmetic::Equal => "equal",
            Arithmetic::And => "and",
            Arithmetic::Or => "or",
            Arithmetic::Not => "not",
            Arithmetic::IntegerAdd => "integer_add",
            Arithmetic::IntegerSubtract => "integer_subtract",
            Arithmetic::IntegerMultiply => "integer_multiply",
            Arithmetic::IntegerEqual => "integer_equal",
            Arithmetic::BitAnd => "bit_and",
            Arithmetic::BitOr => "bit_or",
            Arithmetic::BitXor => "bit_xor",
            Arithmetic::ToReal => "to_real",
            Arithmetic::ToInteger => "to_integer",
            Arithmetic::RealBits => "real_bits",
            Arithmetic::IntegerBits => "integer_bits",
        }
    }
}

impl Display for TensorKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TensorKind::Input(id) => write!(f, "input {id}"),
            TensorKind::Param(id) => write!(f, "param {id}"),
            TensorKind::State(id) => write!(f, "state {id}"),
            TensorKind::Numbers => write!(f, "numbers"),
            TensorKind::RandomKey => write!(f, "random key"),
            TensorKind::Temporary => write!(f, "temporary"),
        }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, kernel) in self.kernels.iter().enumerate() {
            write!(f, "kernel {i}\n{kernel}")?;
        }
        writeln!(f, "calls")?;
        for (number, call) in self.calls.iter().enumerate() {
            if let Some(found) = self.loops.iter().find(|l| l.calls.start == number) {
                writeln!(f, "  {} times, the next {}:", found.rounds, found.calls.len())?;
            }
            if let Some(found) = self.bands.iter().find(|b| b.calls.start == number) {
                writeln!(f, "  in {} bands, the next {}:", found.count, found.calls.len())?;
            }
            let tensors: Vec<String> = (0..call.tensors.len()).map(|i| tensor_text(call, i)).collect();
            writeln!(f, "  kernel {} ({}) {}", call.kernel, tensors.join(", "), call.name)?;
        }
        writeln!(f, "tensors")?;
        for (i, tensor) in self.tensors.iter().enumerate() {
            write!(
                f,
                "  {}: {}[{}] {}",
                TensorId(i as u32),
                tensor.storage,
                tensor.elements,
                tensor.kind
            )?;
            match tensor.node {
                Some(node) => writeln!(f, " of {node}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "outputs")?;
        for (kind, tensor) in &self.outputs {
            writeln!(f, "  {kind:?}: {tensor}")?;
        }
        if !self.decisions.is_empty() {
            writeln!(f, "decisions")?;
        }
        self.decisions
            .iter()
            .try_for_each(|d| writeln!(f, "  {}: {}", d.node, d.reason))
    }
}

/// `t3`, or `t3[128+64n]` where the call works on a part.
fn tensor_text(call: &Call, buffer: usize) -> String {
    let tensor = call.tensors[buffer];
    match call.slice(buffer) {
        _ if call.slices.is_empty() => tensor.to_string(),
        Slice { first: 0, step: 0 } => tensor.to_string(),
        Slice { first, step: 0 } => format!("{tensor}[{first}]"),
        Slice { first, step } => format!("{tensor}[{first}{step:+}n]"),
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let region = match self.region {
            Region::Persistent => "persistent",
            Region::Transient => "transient",
        };
        write!(f, "{region}+{}", self.offset)
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}{:?} at {}",
            self.kind, self.name, self.storage, self.shape, self.location
        )
    }
}

impl Display for OutputSlot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {}{:?} at {}",
            self.kind, self.storage, self.shape, self.location
        )
    }
}

impl Display for Launch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {} ({}) {}",
            self.call.kernel,
            self.locations
                .iter()
                .enumerate()
                .map(|(at, location)| match self.steps.get(at) {
                    None | Some(0) => location.to_string(),
                    Some(step) => format!("{location}{step:+}n"),
                })
                .collect::<Vec<_>>()
                .join(", "),
            self.call.name
        )
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "persistent {} bytes, transient {} bytes",
            self.persistent.bytes, self.transient_bytes
        )?;
        let numbers = self.numbers.iter().chain(&self.random_key);
        for slot in self.persistent.slots.iter().chain(&self.inputs).chain(numbers) {
            writeln!(f, "  {slot}")?;
        }
        self.outputs.iter().try_for_each(|output| writeln!(f, "  {output}"))?;
        writeln!(f, "launches")?;
        for (number, launch) in self.launches.iter().enumerate() {
            if let Some(found) = self.loops.iter().find(|l| l.calls.start == number) {
                writeln!(f, "  {} times, the next {}:", found.rounds, found.calls.len())?;
            }
            if let Some(found) = self.bands.iter().find(|b| b.calls.start == number) {
                writeln!(f, "  in {} bands, the next {}:", found.count, found.calls.len())?;
            }
            writeln!(f, "  {launch}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::affine::{Affine, Guard, Position};

    fn define(number: u32, instruction: Instruction) -> Define {
        Define {
            value: ValueId(number),
            instruction,
        }
    }

    fn buffer(storage: Storage, elements: usize, written: bool) -> Buffer {
        Buffer {
            storage,
            elements,
            written,
        }
    }

    fn rows(stride: i64) -> Position {
        Affine::axis(0).plus(&Affine::axis(1).times(stride)).into()
    }

    #[test]
    fn a_loop_is_printed_pass_by_pass() {
        let load = Instruction::Load {
            buffer: BufferId(0),
            at: rows(5),
            guards: vec![Guard::Within {
                of: Position::axis(0),
                low: 0,
                high: 4,
            }],
            fill: f32::NEG_INFINITY,
        };
        let reduce = Instruction::Reduce {
            function: ReduceFunction::Maximum,
            value: ValueId(0),
            along: Along::Vector,
        };
        let store = Instruction::Store {
            buffer: BufferId(1),
            at: Position::axis(1),
            value: ValueId(1),
        };
        let pass = |vector, body| Pass {
            vector,
            sequential: vec![],
            body,
            finish: vec![],
        };
        let kernel = Kernel {
            buffers: vec![buffer(Storage::F32, 15, false), buffer(Storage::F32, 3, true)],
            body: KernelBody::Loop(LoopKernel {
                outer: vec![3],
                vector: 5,
                rows_kept: 1,
                passes: vec![
                    pass(
                        true,
                        vec![
                            define(0, load),
                            define(2, Instruction::KeptStore(0, ValueId(0))),
                            define(1, reduce),
                        ],
                    ),
                    pass(false, vec![define(3, store)]),
                ],
                rows_per_task: 2,
                vector_per_task: None,
            }),
        };
        insta::assert_snapshot!(kernel, @r"
        b0: f32[15] read
        b1: f32[3] written
        loop i0 < 5; i1 < 3; rows per task 2; rows kept 1
        pass
          v0 = load b0[i0 + 5*i1] if 0 <= i0 < 4 else -inf
          store kept 0 = v0
          v1 = reduce maximum over row v0
        row
          store b1[i1] = v1
        tasks 2
        ");
    }

    #[test]
    fn a_product_is_printed_with_its_epilogue() {
        let matrix = |number, row_stride, column_stride| Matrix {
            buffer: BufferId(number),
            constant: 0,
            batch: vec![12],
            strips: vec![],
            turns: vec![],
            row_stride,
            column_stride,
        };
        let store = Instruction::Store {
            buffer: BufferId(2),
            at: Affine::axis(0)
                .plus(&Affine::axis(1).times(12))
                .plus(&Affine::axis(2).times(4))
                .into(),
            value: ValueId(2),
        };
        let kernel = Kernel {
            buffers: [false, false, true]
                .map(|written| buffer(Storage::F32, 24, written))
                .to_vec(),
            body: KernelBody::Product(MatrixProduct {
                batch: vec![2],
                m: 3,
                strips: vec![],
                n: 4,
                k: 4,
                turns: vec![],
                a: matrix(0, 4, 1),
                b: matrix(1, 1, 3),
                b_in_panels: false,
                corner: None,
                by_pairs: false,
                epilogue: vec![
                    define(0, Instruction::Product),
                    define(1, Instruction::Constant(0.5)),
                    define(
                        2,
                        Instruction::Arithmetic(Arithmetic::Maximum, vec![ValueId(0), ValueId(1)]),
                    ),
                    define(3, store),
                ],
                rows_per_task: 3,
                columns_per_task: 4,
            }),
        };
        insta::assert_snapshot!(kernel, @r"
        b0: f32[24] read
        b1: f32[24] read
        b2: f32[24] written
        product m 3 n 4 k 4; i1 < 2; rows per task 3, columns per task 4
          a b0[0 + 4*row + 1*column + 12*i1]
          b b1[0 + 1*row + 3*column + 12*i1]
        epilogue i0 < 4, i2 < 3
          v0 = product
          v1 = 0.5
          v2 = maximum v0, v1
          store b2[i0 + 12*i1 + 4*i2] = v2
        tasks 2
        ");
    }

    #[test]
    fn a_scatter_is_printed_in_one_line() {
        let kernel = Kernel {
            buffers: vec![
                buffer(Storage::F32, 32, false),
                buffer(Storage::I32, 4, false),
                buffer(Storage::F32, 80, true),
            ],
            body: KernelBody::Scatter(Scatter {
                outer: vec![],
                items: vec![4],
                vector: 8,
                source: BufferId(0),
                source_at: rows(8),
                ids: vec![(BufferId(1), Position::axis(1), 8)],
                table: BufferId(2),
                table_at: Position::axis(0),
                vector_per_task: 8,
            }),
        };
        insta::assert_snapshot!(kernel, @r"
        b0: f32[32] read
        b1: i32[4] read
        b2: f32[80] written
        scatter i0 < 8; in order i1 < 4; elements per task 8
          b2[i0 + 8*b1[i1]] += b0[i0 + 8*i1]
        tasks 1
        ");
    }
}
