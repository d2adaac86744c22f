//! Machine code against the interpreter, bit for bit, whatever way the tasks are shared out.

use super::*;
use crate::codegen::generate::{Case, Generator};
use crate::codegen::interpret::interpret_on;
use crate::codegen::target::Target;
use crate::ir::affine::Position;
use crate::ir::kernel::*;
use crate::machine::Arena;

/// Bytes between buffers that nobody may touch.
const GAP: usize = 64;
const UNTOUCHED: u8 = 0xDB;

/// Memory for the distinct pieces of a case, with gaps around each.
struct Memory {
    arena: Arena,
    /// Where each piece begins, and its bytes from element to element.
    places: Vec<(usize, usize)>,
    size: usize,
}

impl Memory {
    fn new(case: &Case) -> Memory {
        let mut places = vec![];
        let mut size = GAP;
        for (number, piece) in case.memory.iter().enumerate() {
            let buffer = case.binding.iter().position(|&b| b == number);
            let stride = buffer.map_or(4, |b| case.kernel.buffers[b].storage.stride());
            places.push((size, stride));
            size += (piece.len() * stride).next_multiple_of(64) + GAP;
        }
        let arena = Arena::new(size).unwrap();
        let mut memory = Memory { arena, places, size };
        memory.bytes_mut().fill(UNTOUCHED);
        for (piece, (at, stride)) in case.memory.iter().zip(memory.places.clone()) {
            for (word, place) in piece.iter().zip(memory.bytes_mut()[at..].chunks_mut(stride)) {
                place.copy_from_slice(&word.to_le_bytes()[..stride]);
            }
        }
        memory
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the arena has that many bytes, and `self` alone knows its address while no code runs.
        unsafe { std::slice::from_raw_parts_mut(self.arena.start().as_ptr(), self.size) }
    }

    /// An element's bits, and where it lies.
    fn element(&mut self, piece: usize, number: usize) -> (u32, std::ops::Range<usize>) {
        let (at, stride) = self.places[piece];
        let place = at + number * stride..at + (number + 1) * stride;
        let mut word = [0; 4];
        word[..stride].copy_from_slice(&self.bytes_mut()[place.clone()]);
        (u32::from_le_bytes(word), place)
    }

    fn pointer(&self, piece: usize) -> *mut u8 {
        // SAFETY: places lie inside the arena.
        unsafe { self.arena.start().add(self.places[piece].0).as_ptr() }
    }
}

/// Words as they are compared: which NaN a NaN is, is not fixed.
fn canonical(word: u32) -> u32 {
    if f32::from_bits(word).is_nan() {
        f32::NAN.to_bits()
    } else {
        word
    }
}

/// The memory of each case behind its kernel.
fn expected(cases: &[Case], tiles: bool) -> Vec<Vec<Vec<u32>>> {
    let run = |case: &Case| {
        let mut pieces = case.memory.clone();
        interpret_on(&case.kernel, &mut pieces, &case.binding, tiles);
        pieces
    };
    cases.iter().map(run).collect()
}

/// At every register width of the machine: compiles all cases, runs each with its tasks cut in `shares` ways, last share
/// first, and compares.
fn check(cases: &[Case]) {
    let wanted = expected(cases, false);
    for bits in Target::widths() {
        let target = Target::native_with(bits).unwrap();
        check_on(cases, &target, &wanted);
        let plainer = target.clone().without_dot_products();
        if plainer.simd != target.simd {
            check_on(cases, &plainer, &wanted);
        }
        let tiled = target.clone().with_tiles();
        if tiled.simd != target.simd {
            check_on(cases, &tiled, &expected(cases, true));
        }
    }
}

fn check_on(cases: &[Case], target: &Target, wanted: &[Vec<Vec<u32>>]) {
    let (bits, pairs, tiles) = (target.bits(), target.simd.pairs, target.has_tiles());
    let kernels: Vec<Kernel> = cases.iter().map(|c| c.kernel.clone()).collect();
    let code = compile(&kernels, target, 2).unwrap();
    for (number, (case, expected)) in cases.iter().zip(wanted).enumerate() {
        for shares in [1, 2, 3] {
            let mut memory = Memory::new(case);
            let scratch = Arena::new(code.scratch_bytes).unwrap();
            let pointers: Vec<*mut u8> = case.binding.iter().map(|piece| memory.pointer(*piece)).collect();
            for phase in &code.kernels[number].phases {
                for share in (0..shares).rev() {
                    let (first, end) = (phase.tasks * share / shares, phase.tasks * (share + 1) / shares);
                    // SAFETY: the kernel was verified, its buffers have their sizes, the scratch memory is large enough.
                    unsafe { (phase.function)(pointers.as_ptr(), scratch.start().as_ptr(), first as i64, end as i64) };
                }
            }
            let mut in_piece = vec![false; memory.size];
            for (piece, words) in expected.iter().enumerate() {
                for (i, word) in words.iter().enumerate() {
                    let (found, place) = memory.element(piece, i);
                    in_piece[place].fill(true);
                    assert_eq!(
                        canonical(found),
                        canonical(*word),
                        "case {number}, {bits} bits, {pairs:?}, tiles {tiles}, {shares} shares: piece {piece}[{i}] is {} ({found:#x}), not {} ({word:#x}), in\n{}",
                        f32::from_bits(found),
                        f32::from_bits(*word),
                        case.kernel
                    );
                }
            }
            for (byte, inside) in memory.bytes_mut().iter().zip(in_piece) {
                assert!(
                    inside || *byte == UNTOUCHED,
                    "case {number} at {bits} bits wrote outside its buffers:\n{}",
                    case.kernel
                );
            }
        }
    }
}

#[test]
fn loops_have_the_interpreters_bits() {
    let mut generator = Generator::new(1);
    for _ in 0..10 {
        check(&(0..60).map(|_| generator.loop_case()).collect::<Vec<_>>());
    }
}

#[test]
fn products_have_the_interpreters_bits() {
    let mut generator = Generator::new(2);
    check(&(0..60).map(|_| generator.product_case()).collect::<Vec<_>>());
}

#[test]
fn products_in_tiles_have_the_interpreters_bits() {
    let mut generator = Generator::new(7);
    check(&(0..40).map(|_| generator.tiles_case()).collect::<Vec<_>>());
}

#[test]
fn products_by_pairs_flush_subnormal_numbers() {
    let mut generator = Generator::new(6);
    let cases: Vec<Case> = (0..30).map(|_| generator.small_pairs_case()).collect();
    check(&cases);
}

#[test]
fn every_number_of_16_bits_is_widened_to_itself() {
    let mut generator = Generator::new(5);
    let both = [Storage::Bf16, Storage::F16].map(|storage| [true, false].map(|rows| (storage, rows)));
    let cases = both.as_flattened().iter();
    check(
        &cases
            .map(|&(storage, rows)| generator.widening_case(storage, rows))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn scatters_have_the_interpreters_bits() {
    let mut generator = Generator::new(3);
    check(&(0..40).map(|_| generator.scatter_case()).collect::<Vec<_>>());
}

#[test]
fn every_extent_of_the_vector_axis_is_handled() {
    let mut generator = Generator::new(4);
    check(&(1..=70).map(|size| generator.reduction_case(size)).collect::<Vec<_>>());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn clif_is_printed_for_a_named_instruction_set() {
    let load = Instruction::Load {
        buffer: BufferId(0),
        at: Position::axis(0),
        guards: vec![],
        fill: 0.0,
    };
    let double = Instruction::Arithmetic(Arithmetic::Add, vec![ValueId(0), ValueId(0)]);
    let store = Instruction::Store {
        buffer: BufferId(1),
        at: Position::axis(0),
        value: ValueId(1),
    };
    let define = |(number, instruction)| Define {
        value: ValueId(number),
        instruction,
    };
    let buffer = |written| Buffer {
        storage: Storage::F32,
        elements: 4,
        written,
    };
    let kernel = Kernel {
        buffers: vec![buffer(false), buffer(true)],
        body: KernelBody::Loop(LoopKernel::straight(
            vec![],
            4,
            (0..).zip([load, double, store]).map(define).collect(),
            1,
        )),
    };
    let target = Target::named("x86-64").unwrap();
    insta::assert_snapshot!(clif_text(&kernel, &target).unwrap(), @r"
        ; kernel 0
        function u0:0(i64, i64, i64, i64) system_v {
        block0(v0: i64, v1: i64, v2: i64, v3: i64):
            v4 = load.i64 notrap aligned readonly can_move v0
            v5 = load.i64 notrap aligned readonly can_move v0+8
            v6 = iconst.i64 1
            v7 = icmp slt v3, v6  ; v6 = 1
            v8 = select v7, v3, v6  ; v6 = 1
            v9 = icmp slt v2, v8
            brif v9, block1(v2), block2

        block1(v10: i64):
            v11 = iconst.i64 0
            v12 = iconst.i64 0
            v13 = iconst.i64 2
            v14 = ishl v11, v13  ; v11 = 0, v13 = 2
            v15 = iadd.i64 v4, v14
            v16 = load.f32x4 notrap v15
            v17 = fadd v16, v16
            v18 = iadd.i64 v5, v14
            store notrap v17, v18
            v19 = iconst.i64 1
            v20 = iadd v10, v19  ; v19 = 1
            v21 = icmp slt v20, v8
            brif v21, block1(v20), block2

        block2:
            return
        }
        ");
    assert!(assembly_text(&kernel, &target).unwrap().contains("vaddps"));
    assert!(Target::named("z80").is_err());
}
