use super::*;
use crate::codegen::interpret::interpret;

/// Rows of four parts: each is a function of a buffer of its own, 0 at the other indices, and all are added.
fn gates() -> Kernel {
    let mut body: Body = vec![];
    let mut define = |instruction| {
        let value = ValueId(body.len() as u32);
        body.push(Define { value, instruction });
        value
    };
    let inner = Position::from(Affine::axis(0).plus(&Affine::axis(2).times(20)));
    let mut sum = define(Instruction::Constant(0.5));
    for part in 0..4 {
        let of = Position::from(Affine::axis(1).plus(&Affine::constant(-part)));
        let guards = vec![Guard::Within { of, low: 0, high: 1 }];
        let inside = define(Instruction::Inside(guards.clone()));
        let mut value = define(Instruction::Load {
            buffer: BufferId(part as u32),
            at: inner.clone(),
            guards,
            fill: 0.25,
        });
        for _ in 0..8 {
            let root = define(Instruction::Arithmetic(Arithmetic::SquareRoot, vec![value]));
            value = define(Instruction::MultiplyAdd(root, value, root));
        }
        let other = define(Instruction::Arithmetic(Arithmetic::Negate, vec![value]));
        let chosen = define(Instruction::Select(inside, value, other));
        sum = define(Instruction::Arithmetic(Arithmetic::Add, vec![sum, chosen]));
    }
    let at = inner.plus(&Position::from(Affine::axis(1).times(60)));
    define(Instruction::Store {
        buffer: BufferId(4),
        at,
        value: sum,
    });
    let buffer = |elements, written| Buffer {
        storage: Storage::F32,
        elements,
        written,
    };
    Kernel {
        buffers: vec![
            buffer(60, false),
            buffer(60, false),
            buffer(60, false),
            buffer(60, false),
            buffer(240, true),
        ],
        body: KernelBody::Loop(LoopKernel::straight(vec![4, 3], 20, body, 2)),
    }
}

#[test]
fn parts_compute_the_same_bits_with_less() {
    let whole = gates();
    let mut memory: Vec<Vec<u32>> = (0..4u32)
        .map(|part| {
            (0..60)
                .map(|i| (0.1 + 0.37 * part as f32 + i as f32 / 7.0).to_bits())
                .collect()
        })
        .collect();
    memory.push(vec![0; 240]);
    let mut expected = memory.clone();
    interpret(&whole, &mut expected, &[0, 1, 2, 3, 4]);
    let KernelBody::Loop(kernel) = &whole.body else {
        unreachable!("made above")
    };
    let parts = partitioned(whole.body.clone(), &|_| Storage::F32);
    let [body] = &parts[..] else {
        panic!("{} kernels", parts.len())
    };
    let KernelBody::Loop(side_by_side) = body else {
        unreachable!("parts of loops are loops")
    };
    // All parts are little more than the whole kernel computes for each of them.
    assert!(3 * instructions(side_by_side) <= 4 * instructions(kernel));
    assert_eq!(side_by_side.outer, [3]);
    let (buffers, body) = (whole.buffers.clone(), body.clone());
    interpret(&Kernel { buffers, body }, &mut memory, &[0, 1, 2, 3, 4]);
    assert_eq!(memory, expected);
}

#[test]
fn kernels_that_would_not_gain_stay_whole() {
    let whole = gates();
    let KernelBody::Loop(mut kernel) = whole.body else {
        unreachable!("made above")
    };
    // The first part alone: short.
    kernel.passes[0].body.truncate(19);
    let at = Position::from(Affine::axis(0).plus(&Affine::axis(2).times(20)));
    let (buffer, value) = (BufferId(4), ValueId(18));
    kernel.passes[0].body.push(Define {
        value: ValueId(19),
        instruction: Instruction::Store { buffer, at, value },
    });
    assert_eq!(partitioned(KernelBody::Loop(kernel), &|_| Storage::F32).len(), 1);
}
