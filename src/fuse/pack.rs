//! What every round of a loop multiplies with lies in panels before the first one: a product packs its second operand as
//! it goes, and a loop's products would pack the same weights in each round. It changes no bit.

use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::kernel::*;

/// Rows of panels that one task packs.
const ROWS_PER_TASK: usize = 256;

/// A product that reads its second operand in panels, and the kernel that puts it there.
pub struct Packed {
    /// The operand's buffer in the product, old and new.
    pub buffer: BufferId,
    /// Elements of all panels.
    pub elements: usize,
    /// From its first buffer, which is the operand's old one, to its second one.
    pub pack: Kernel,
    /// With a new buffer in the place of the old one.
    pub product: Kernel,
}

/// Both kernels, where a kernel is a product that can read panels.
pub fn packed(kernel: &Kernel) -> Option<Packed> {
    let KernelBody::Product(k) = &kernel.body else {
        return None;
    };
    let (buffer, source) = (k.b.buffer, &kernel.buffers[k.b.buffer.0 as usize]);
    let alone = buffer != k.a.buffer && !reads(&k.epilogue, buffer);
    let parts = !k.batch.is_empty() || !k.turns.is_empty();
    if k.b_in_panels || parts || source.storage != Storage::F32 || !alone || k.n < LANES {
        return None;
    }
    let panels = k.n.div_ceil(PANEL_COLUMNS);
    let elements = panels * k.panel_elements();
    let of_panels = |written| Buffer {
        storage: Storage::F32,
        elements,
        written,
    };
    let mut product = kernel.clone();
    product.buffers[buffer.0 as usize] = of_panels(false);
    product.body = KernelBody::Product(MatrixProduct {
        b: Matrix {
            buffer,
            constant: 0,
            batch: vec![],
            strips: vec![],
            turns: vec![],
            row_stride: PANEL_COLUMNS as i64,
            column_stride: 1,
        },
        b_in_panels: true,
        columns_per_task: columns_per_task(k.n),
        ..k.clone()
    });
    Some(Packed {
        buffer,
        elements,
        pack: Kernel {
            buffers: vec![source.clone(), of_panels(true)],
            body: KernelBody::Loop(packing(k, panels)),
        },
        product,
    })
}

/// Panels cost nothing before they are multiplied, so tasks may be as small as one.
fn columns_per_task(n: usize) -> usize {
    const TASKS_WANTED: usize = 16;
    n.div_ceil(TASKS_WANTED).next_multiple_of(PANEL_COLUMNS).min(n)
}

fn reads(body: &Body, buffer: BufferId) -> bool {
    body.iter().any(|define| match define.instruction {
        Instruction::Load { buffer: b, .. } | Instruction::Gather { buffer: b, .. } => b == buffer,
        _ => false,
    })
}

/// One row of a panel after the other.
fn packing(k: &MatrixProduct, panels: usize) -> LoopKernel {
    let (panel, row) = (Affine::axis(1), Affine::axis(2));
    let inside = Affine::axis(VECTOR_AXIS);
    let column = panel.times(PANEL_COLUMNS as i64).plus(&inside);
    let from = Affine::constant(k.b.constant)
        .plus(&row.times(k.b.row_stride))
        .plus(&column.times(k.b.column_stride));
    let to = panel.times(k.panel_elements() as i64);
    let to = to.plus(&row.times(PANEL_COLUMNS as i64)).plus(&inside);
    let guard = Guard::Within {
        of: Position::from(column),
        low: 0,
        high: k.n as i64,
    };
    let load = Instruction::Load {
        buffer: BufferId(0),
        at: from.into(),
        guards: if k.n.is_multiple_of(PANEL_COLUMNS) {
            vec![]
        } else {
            vec![guard]
        },
        fill: 0.0,
    };
    let store = Instruction::Store {
        buffer: BufferId(1),
        at: to.into(),
        value: ValueId(0),
    };
    let body = [load, store].into_iter().zip(0..).map(|(instruction, number)| Define {
        value: ValueId(number),
        instruction,
    });
    LoopKernel::straight(vec![panels, k.k], PANEL_COLUMNS, body.collect(), ROWS_PER_TASK)
}
