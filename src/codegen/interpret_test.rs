//! Sums whose bits tell how they were added.

use super::*;
use crate::ir::affine::Position;

/// A row times a column of bfloat16 numbers, by pairs.
fn product(k: usize) -> Kernel {
    let buffer = |storage, elements, written| Buffer {
        storage,
        elements,
        written,
    };
    let matrix = |number| Matrix {
        buffer: BufferId(number),
        constant: 0,
        batch: vec![],
        strips: vec![],
        turns: vec![],
        row_stride: if number == 0 { k as i64 } else { 1 },
        column_stride: 1,
    };
    let define = |(number, instruction)| Define {
        value: ValueId(number),
        instruction,
    };
    let store = Instruction::Store {
        buffer: BufferId(2),
        at: Position::axis(VECTOR_AXIS),
        value: ValueId(0),
    };
    Kernel {
        buffers: vec![
            buffer(Storage::Bf16, k, false),
            buffer(Storage::Bf16, k, false),
            buffer(Storage::F32, 1, true),
        ],
        body: KernelBody::Product(MatrixProduct {
            batch: vec![],
            m: 1,
            strips: vec![],
            n: 1,
            k,
            turns: vec![],
            a: matrix(0),
            b: matrix(1),
            b_in_panels: false,
            corner: None,
            by_pairs: true,
            epilogue: (0..).zip([Instruction::Product, store]).map(define).collect(),
            beyond: None,
            rows_per_task: 1,
            columns_per_task: 1,
        }),
    }
}

/// The sums of some numbers by pairs and in tiles.
fn sums(numbers: &[f32]) -> [f32; 2] {
    let halves = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits() >> 16).collect::<Vec<_>>();
    [false, true].map(|tiles| {
        let mut memory = [halves(numbers), halves(&vec![1.0; numbers.len()]), vec![0]];
        interpret_on(&product(numbers.len()), &mut memory, &[0, 1, 2], tiles);
        f32::from_bits(memory[2][0])
    })
}

#[test]
fn tiles_add_the_first_and_the_second_of_all_pairs_apart() {
    // Beside 2²⁴ a 1 is lost, and 1 + 1 is not.
    let large = 16_777_216.0;
    assert_eq!(sums(&[large, 1.0, 1.0, 1.0]), [large, large + 2.0]);
    // The second block: its sum is added at once.
    let mut numbers = [0.0; TILE_PRODUCTS + 2];
    (numbers[0], numbers[TILE_PRODUCTS], numbers[TILE_PRODUCTS + 1]) = (large, 1.0, 1.0);
    assert_eq!(sums(&numbers), [large, large + 2.0]);
    // An odd number of products: 2²⁴ + 2 and 1, to the nearest even.
    assert_eq!(sums(&[large, 1.0, 2.0]), [large + 2.0, large + 4.0]);
}
