//! The text of kernels, as `--emit kernels` shows it: one line for each buffer and instruction. It decides nothing.

use super::graph::ReduceFunction;
use super::kernel::*;
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
            write_beyond(f, &pass.beyond)?;
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
        write_body(f, &self.epilogue)?;
        write_beyond(f, &self.beyond)
    }
}

fn write_beyond(f: &mut Formatter<'_>, beyond: &Option<Box<Beyond>>) -> fmt::Result {
    match beyond {
        Some(beyond) => {
            writeln!(f, "  from i0 = {} on", beyond.from)?;
            write_body(f, &beyond.body)
        }
        None => Ok(()),
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
            Arithmetic::Scale => "scale",
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

#[cfg(test)]
#[path = "kernel_print_test.rs"]
mod tests;
