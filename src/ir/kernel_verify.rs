//! Checks a kernel before code is made of it, and finds the kind of each value. What holds afterwards:
//!
//! - every size and cut is at least 1, cuts of the vector axis are multiples of [`LANES`] where more follows;
//! - every value is defined once, before its uses and where they can see it, with the kinds that its users expect;
//! - every position that is read or written is inside its buffer wherever its guards hold (ids aside);
//! - only written buffers are stored to; reductions, kept rows and the product stand where they may.
//!
//! It changes nothing.

use super::affine::{Affine, Guard, Position};
use super::kernel::*;
use super::kernel_bounds::escape;
use super::kernel_scope::{Place, Scope};

/// What a value of a body is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueKind {
    /// binary32.
    Real,
    /// 32 bits.
    Integer,
    /// True or false.
    Mask,
}

/// The kind of each value of a kernel, by number; `None` for numbers that define nothing.
pub type ValueKinds = Vec<Option<ValueKind>>;

/// A kernel that does not keep its contract: a mistake of the compiler, not of the spec.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("kernel contract broken: {0}")]
pub struct Violation(pub String);

/// Checks everything; gives the kinds of all values.
pub fn verify(kernel: &Kernel) -> Result<ValueKinds, Violation> {
    for buffer in &kernel.buffers {
        ensure(buffer.elements >= 1, || "a buffer without elements".into())?;
        ensure(buffer.elements <= MOST_ELEMENTS, || {
            "a buffer of more than 2^31 elements".into()
        })?;
    }
    match &kernel.body {
        KernelBody::Loop(k) => verify_loop(&kernel.buffers, k),
        KernelBody::Product(k) => verify_product(&kernel.buffers, k),
        KernelBody::Scatter(k) => verify_scatter(&kernel.buffers, k).map(|()| vec![]),
    }
}

/// Of a buffer: positions are also handled as i32.
pub const MOST_ELEMENTS: usize = 1 << 31;

pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(message())) }
}

fn verify_sizes<'a>(sizes: impl IntoIterator<Item = &'a usize>) -> Result<(), Violation> {
    let mut product = 1usize;
    for &size in sizes {
        ensure(size >= 1, || "a size of 0".into())?;
        product = product.saturating_mul(size);
    }
    ensure(product <= 1 << 48, || "an iteration space beyond 2^48".into())
}

fn verify_cut(cut: usize, whole: usize) -> Result<(), Violation> {
    ensure(cut >= 1 && (cut >= whole || cut.is_multiple_of(LANES)), || {
        format!("a cut of {cut} elements of an axis of {whole}")
    })
}

fn verify_loop(buffers: &[Buffer], k: &LoopKernel) -> Result<ValueKinds, Violation> {
    verify_sizes(k.outer.iter().chain([&k.vector, &k.rows_per_task]))?;
    ensure(!k.passes.is_empty(), || "no pass".into())?;
    if let Some(cut) = k.vector_per_task {
        verify_cut(cut, k.vector)?;
        ensure(k.passes.len() == 1 && k.rows_kept == 0, || {
            "a cut row with passes or kept rows".into()
        })?;
        ensure(k.passes[0].vector && k.rows_per_task == 1, || {
            "a cut row in a row pass or a block of rows".into()
        })?;
    }
    let mut scope = Scope::new(buffers, k.rows_kept);
    for pass in &k.passes {
        verify_sizes(k.outer.iter().chain(&pass.sequential).chain([&k.vector]))?;
        let sizes: Vec<usize> = [k.vector].iter().chain(&k.outer).copied().collect();
        scope.vector_axis = pass.vector;
        scope.cut = k.vector_per_task.is_some();
        scope.place = match (pass.vector, pass.sequential.is_empty()) {
            (false, _) => Place::Row,
            (true, true) => Place::Plain,
            (true, false) => Place::Sequential,
        };
        ensure(pass.vector || pass.sequential.is_empty(), || {
            "sequential axes in a row pass".into()
        })?;
        ensure(pass.vector || pass.finish.is_empty(), || {
            "a finish in a row pass".into()
        })?;
        scope.sizes = sizes.iter().chain(&pass.sequential).copied().collect();
        scope.body(&pass.body)?;
        scope.show(|along| !pass.vector || along == Some(Along::Sequential));
        scope.sizes = sizes;
        scope.place = Place::Finish;
        scope.body(&pass.finish)?;
        scope.beyond(&pass.beyond, k.vector)?;
        let plain = pass.vector && pass.sequential.is_empty() && pass.finish.is_empty();
        ensure(pass.beyond.is_none() || plain && !scope.cut, || {
            "something beyond a pass that is not plain".into()
        })?;
        scope.show(|along| !pass.vector || along == Some(Along::Vector));
        scope.end_pass();
    }
    Ok(scope.kinds)
}

fn verify_product(buffers: &[Buffer], k: &MatrixProduct) -> Result<ValueKinds, Violation> {
    verify_sizes(k.batch.iter().chain([&k.m, &k.n, &k.rows_per_task]))?;
    verify_sizes(k.batch.iter().chain([&k.m, &k.k]))?;
    verify_sizes(k.batch.iter().chain([&k.k, &k.n]))?;
    verify_cut(k.columns_per_task, k.n)?;
    verify_sizes(k.strips.iter().chain(&k.turns))?;
    let (strips, turns): (usize, usize) = (k.strips.iter().product(), k.turns.iter().product());
    ensure(k.m.is_multiple_of(strips) && k.k.is_multiple_of(turns), || {
        "strips or turns that are not equally long".into()
    })?;
    ensure(k.corner.is_none_or(|corner| corner.fits(k)), || {
        "a corner that is not of whole blocks".into()
    })?;
    let (strip, turn) = (k.strip_rows(), k.turn_length());
    // Panels are as high as the sums are long, so in memory they are one matrix of that many rows more.
    let (b_rows, b_columns) = match k.b_in_panels {
        true => (k.n.div_ceil(PANEL_COLUMNS).saturating_mul(k.k), PANEL_COLUMNS),
        false => (turn, k.n),
    };
    if k.b_in_panels {
        let lies_so = (k.b.row_stride, k.b.column_stride) == (PANEL_COLUMNS as i64, 1);
        let whole = k.batch.is_empty() && k.turns.is_empty();
        let reals = find(buffers, k.b.buffer)?.storage == Storage::F32;
        ensure(lies_so && whole && reals, || "panels of another form".into())?;
        ensure(
            k.columns_per_task == k.n || k.columns_per_task.is_multiple_of(PANEL_COLUMNS),
            || "a task with a part of a panel".into(),
        )?;
    }
    for (matrix, strips, rows, columns) in [(&k.a, &k.strips[..], strip, turn), (&k.b, &[], b_rows, b_columns)] {
        let buffer = find(buffers, matrix.buffer)?;
        ensure(buffer.storage != Storage::I32, || "a matrix of integers".into())?;
        let bfloat16 = matches!(buffer.storage, Storage::F32 | Storage::Bf16);
        ensure(!k.by_pairs || bfloat16, || {
            "a product by pairs of other numbers than bfloat16".into()
        })?;
        ensure(!buffer.written, || "a product writes its operand".into())?;
        ensure(matrix.batch.len() == k.batch.len(), || {
            "a matrix with other batch axes".into()
        })?;
        ensure(
            matrix.strips.len() == strips.len() && matrix.turns.len() == k.turns.len(),
            || "a matrix with other strips or turns".into(),
        )?;
        let outer = matrix.batch.iter().chain(&matrix.strips).chain(&matrix.turns);
        let strides = outer.chain([&matrix.row_stride, &matrix.column_stride]);
        let position = Position::from(Affine {
            constant: matrix.constant,
            terms: strides.copied().enumerate().filter(|t| t.1 != 0).collect(),
        });
        let sizes: Vec<usize> = [&k.batch[..], strips, &k.turns, &[rows, columns]].concat();
        verify_position(&position, &[], &sizes, buffer)?;
    }
    let mut scope = Scope::new(buffers, 0);
    scope.sizes = [k.n].iter().chain(&k.batch).chain([&k.m]).copied().collect();
    scope.vector_axis = true;
    scope.place = Place::Epilogue;
    let begins = matches!(k.epilogue.first(), Some(d) if d.instruction == Instruction::Product);
    ensure(begins, || "an epilogue that does not begin with the product".into())?;
    scope.body(&k.epilogue)?;
    scope.beyond(&k.beyond, k.n)?;
    Ok(scope.kinds)
}

fn verify_scatter(buffers: &[Buffer], k: &Scatter) -> Result<(), Violation> {
    let sizes: Vec<usize> = [k.vector].iter().chain(&k.outer).chain(&k.items).copied().collect();
    verify_sizes(&sizes)?;
    verify_cut(k.vector_per_task, k.vector)?;
    let (source, table) = (find(buffers, k.source)?, find(buffers, k.table)?);
    let reals = source.storage == Storage::F32 && table.storage == Storage::F32;
    ensure(reals, || "a scatter of integers".into())?;
    ensure(table.written && !source.written, || {
        "a scatter that writes its source or not its table".into()
    })?;
    verify_position(&k.source_at, &[], &sizes, source)?;
    verify_position(&k.table_at, &[], &sizes, table)?;
    for (buffer, at, _) in &k.ids {
        let buffer = find(buffers, *buffer)?;
        ensure(buffer.storage == Storage::I32 && !buffer.written, || {
            "ids that are not integers read".into()
        })?;
        ensure(!at.uses(VECTOR_AXIS), || {
            "an id that changes along the vector axis".into()
        })?;
        verify_position(at, &[], &sizes, buffer)?;
    }
    Ok(())
}

pub(super) fn find(buffers: &[Buffer], id: BufferId) -> Result<&Buffer, Violation> {
    buffers
        .get(id.0 as usize)
        .ok_or_else(|| Violation(format!("{id} is not a buffer")))
}

/// Axes exist, divisors are positive.
pub(super) fn verify_form(position: &Position, sizes: &[usize]) -> Result<(), Violation> {
    let digits = position.digits.iter().map(|d| &d.of);
    for affine in [&position.affine].into_iter().chain(digits) {
        verify_affine(affine, sizes)?;
    }
    let positive = position
        .digits
        .iter()
        .all(|d| d.divide >= 1 && d.modulo.is_none_or(|m| m >= 1));
    ensure(positive, || format!("a divisor below 1 in {position}"))
}

fn verify_affine(affine: &Affine, sizes: &[usize]) -> Result<(), Violation> {
    let known = affine.terms.iter().all(|t| t.0 < sizes.len());
    ensure(known, || format!("{affine} has an axis that does not exist there"))
}

pub(super) fn verify_position(
    at: &Position,
    guards: &[Guard],
    sizes: &[usize],
    buffer: &Buffer,
) -> Result<(), Violation> {
    verify_form(at, sizes)?;
    for guard in guards {
        match guard {
            Guard::Within { of, .. } => verify_form(of, sizes)?,
            Guard::Divisible { of, by } => {
                verify_affine(of, sizes)?;
                ensure(*by >= 1, || format!("a divisor below 1 for {of}"))?;
            }
        }
    }
    match escape(at, guards, sizes, buffer.elements) {
        None => Ok(()),
        Some((low, high)) => Err(Violation(format!(
            "position {at} goes from {low} to {high} in a buffer of {} elements",
            buffer.elements
        ))),
    }
}
