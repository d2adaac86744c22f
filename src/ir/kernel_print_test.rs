//! The text of one kernel of each kind.

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
        beyond: None,
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
    let store = |value| Instruction::Store {
        buffer: BufferId(2),
        at: Affine::axis(0)
            .plus(&Affine::axis(1).times(12))
            .plus(&Affine::axis(2).times(4))
            .into(),
        value: ValueId(value),
    };
    let beyond = Beyond {
        from: Position::axis(2).plus(&Affine::constant(1).into()),
        body: vec![define(4, Instruction::Constant(0.0)), define(5, store(4))],
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
                define(3, store(2)),
            ],
            beyond: Some(Box::new(beyond)),
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
    from i0 = i2 + 1 on
      v4 = 0.0
      store b2[i0 + 12*i1 + 4*i2] = v4
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
