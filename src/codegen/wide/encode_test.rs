//! The encoder against an independent decoder: every instruction that is used, with registers and memory operands of
//! all encodings, is decoded to the text that the encoder lists.

use super::encode::{Alu, Assembler, Condition, Gpr, Index, Memory, Shift};
use super::encode_vector::{Extra, Operand, Vector, Width, op};
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter, MemorySizeOptions};

fn decoded(code: &[u8], signed: bool) -> Vec<String> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_memory_size_options(MemorySizeOptions::Never);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_use_pseudo_ops(false);
    options.set_signed_immediate_operands(signed);
    options.set_rip_relative_addresses(true);
    let mut lines = vec![];
    while decoder.can_decode() {
        let instruction = decoder.decode();
        assert!(!instruction.is_invalid(), "invalid code at {:#x}", decoder.position());
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        // The formatter lists the mask of a gather or scatter as an operand of its own.
        if let Some((start, rest)) = line.split_once(", k")
            && (line.starts_with("vgatherdps") || line.starts_with("vscatterdps"))
        {
            let (mask, rest) = rest.split_at(1);
            line = format!("{start}{{k{mask}}}{rest}");
        }
        lines.push(line);
    }
    lines
}

/// What was assembled decodes to what was listed.
fn check(assembler: Assembler, signed: bool) {
    let listed = assembler.listing().to_vec();
    let found = decoded(&assembler.finish(), signed);
    for (number, (found, listed)) in found.iter().zip(&listed).enumerate() {
        assert_eq!(found, listed, "instruction {number}");
    }
    assert_eq!(found.len(), listed.len());
}

fn memories() -> Vec<Memory> {
    let mut list = vec![];
    for base in 0..16 {
        for offset in [0, 4, 64, -64, 124, 128, 8128, 8192, 100_000, -3] {
            if (i32::from(base) + offset) % 3 == 0 {
                list.push(Memory::at(Gpr(base), offset));
            }
        }
    }
    for base in [0, 4, 5, 12, 13] {
        for (index, scale) in [(1, 2), (9, 0), (5, 3), (12, 1)] {
            list.push(Memory::indexed(Gpr(base), Gpr(index), scale, 64));
        }
    }
    list
}

const BOTH: [Vector; 24] = [
    op::ADD,
    op::MULTIPLY,
    op::SUBTRACT,
    op::MINIMUM,
    op::DIVIDE,
    op::MAXIMUM,
    op::SQUARE_ROOT,
    op::AND,
    op::AND_NOT,
    op::OR,
    op::XOR,
    op::FMA_132,
    op::FMA_213,
    op::FMA_231,
    op::DOT_BF16,
    op::SCALE,
    op::INTEGER_ADD,
    op::INTEGER_SUBTRACT,
    op::INTEGER_MULTIPLY,
    op::TO_REAL,
    op::TO_INTEGER,
    op::UNPACK_LOW,
    op::UNPACK_HIGH,
    op::MULTIPLY_EVEN,
];

#[test]
fn arithmetic_decodes_to_itself() {
    for width in [Width::W128, Width::W256, Width::W512] {
        let mut a = Assembler::new(true);
        for op in BOTH {
            for register in [0, 7, 8, 15, 16, 24, 31] {
                for second in [0, 5, 13, 17, 30] {
                    a.vector(op, width, register, second, 31 - register, Extra::default());
                    a.vector(op, width, register, second, 31 - register, Extra::zeroing(3));
                }
                for memory in memories() {
                    a.vector(op, width, register, 9, memory, Extra::default());
                    if op != op::MULTIPLY_EVEN {
                        a.vector(op, width, register, 9, Operand::Spread(memory), Extra::merging(1));
                    }
                }
            }
        }
        check(a, false);
    }
}

#[test]
fn memory_decodes_to_itself() {
    for width in [Width::W128, Width::W256, Width::W512] {
        let mut a = Assembler::new(true);
        for memory in memories() {
            for register in [0, 9, 15, 17, 31] {
                a.vector(op::LOAD, width, register, 0, memory, Extra::default());
                a.vector(op::STORE, width, register, 0, memory, Extra::default());
                a.vector(op::LOAD, width, register, 0, memory, Extra::zeroing(1));
                a.vector(op::STORE, width, register, 0, memory, Extra::merging(7));
                a.vector(op::SPREAD, width, register, 0, memory, Extra::default());
                a.vector(op::STORE_WORD, Width::W128, register, 0, memory, Extra::default());
                a.vector(op::STORE_LANE, Width::W128, register, 0, memory, Extra::immediate(2));
                if width != Width::W128 {
                    a.vector(op::LOAD_HALVES, width, register, 0, memory, Extra::default());
                }
                if width == Width::W512 {
                    a.vector(op::LOAD_HALVES, width, register, 0, memory, Extra::zeroing(3));
                    a.vector(op::STORE_HALVES, width, register, 0, memory, Extra::default());
                    a.vector(op::STORE_HALVES, width, register, 0, memory, Extra::merging(2));
                }
                if register < 16 {
                    a.vector(op::STORE_HALF, Width::W128, register, 0, memory, Extra::immediate(5));
                    a.vector(op::STORE, Width::W128, register, 0, memory, Extra::default());
                }
                if width != Width::W512 && register < 16 {
                    a.vector(op::MASK_LOAD, width, register, 3, memory, Extra::default());
                    a.vector(op::MASK_STORE, width, register, 11, memory, Extra::default());
                }
            }
            a.mask_memory(true, 3, memory);
            a.mask_memory(false, 7, memory);
            a.prefetch(memory);
            a.prefetch_far(memory);
            a.load_control(memory);
            a.store_control(memory);
            a.load_half(Gpr(9), memory);
            a.load_half(Gpr(2), memory);
        }
        for (base, scale) in [(0, 2), (12, 1), (13, 2)] {
            for lanes in [1, 9, 14, 18, 31] {
                let memory = Memory {
                    index: Some(Index::Lanes(lanes, width, scale)),
                    ..Memory::at(Gpr(base), 8)
                };
                a.vector(op::GATHER_MASK, width, 22, 0, memory, Extra::merging(2));
                a.vector(op::SCATTER_MASK, width, 3, 0, memory, Extra::merging(2));
                if width != Width::W512 && lanes < 16 {
                    a.gather(width, 3, memory, 2);
                    a.gather(width, 13, memory, 10);
                }
            }
        }
        check(a, false);
    }
}

#[test]
fn lanes_decode_to_themselves() {
    let mut a = Assembler::new(true);
    for width in [Width::W128, Width::W256, Width::W512] {
        for register in [0, 9, 17, 31] {
            for op in [
                op::SHIFT_LEFT,
                op::SHIFT_RIGHT,
                op::SHIFT_RIGHT_ARITHMETIC,
                op::SHIFT_RIGHT_64,
                op::SHIFT_LEFT_64,
            ] {
                a.vector(op, width, register, 0, 31 - register, Extra::immediate(13));
            }
            for op in [op::SPREAD_FIRST, op::SPREAD_FIRST_INTEGER] {
                a.vector(op, width, register, 0, 31 - register, Extra::default());
            }
            a.vector(op::SHUFFLE, width, register, 4, 12, Extra::immediate(0xee));
            a.vector(op::ROUND_SCALE, width, register, 0, 12, Extra::immediate(9));
            a.vector(op::BLEND_MASK, width, register, 30, 12, Extra::merging(5));
            a.vector(op::COMPARE_MASK, width, 5, register, 12, Extra::immediate(2));
            a.vector(op::INTEGER_COMPARE_MASK, width, 5, register, 12, Extra::immediate(1));
            a.mask_to_vector(width, register, 5);
            for general in [0, 7, 9, 15] {
                a.spread(width, register, Gpr(general));
            }
        }
    }
    for width in [Width::W128, Width::W256] {
        for register in [0, 9, 15] {
            for op in [op::COMPARE, op::INTEGER_EQUAL, op::INTEGER_GREATER] {
                let immediate = (op == op::COMPARE).then_some(1);
                let extra = Extra {
                    immediate,
                    ..Extra::default()
                };
                a.vector(op, width, register, 4, 12, extra);
            }
            a.vector(op::ROUND, width, register, 0, 12, Extra::immediate(8));
            a.blend(width, register, 14, 3, 8);
            a.to_vector(register, Gpr(register));
            a.from_vector(Gpr(register), register);
        }
    }
    for register in [0, 9, 17, 31] {
        a.vector(op::UPPER_HALF_512, Width::W512, register, 0, 12, Extra::immediate(1));
        a.vector(op::QUAD_OF, Width::W512, register, 0, 20, Extra::immediate(3));
        a.vector(op::SHUFFLE_QUADS, Width::W512, register, 20, 12, Extra::immediate(0x4e));
        a.zero(register);
    }
    a.vector(op::UPPER_HALF_256, Width::W256, 9, 0, 12, Extra::immediate(1));
    a.vector(op::JOIN_HALVES, Width::W128, 9, 3, 12, Extra::default());
    a.vector(op::PERMUTE_HALVES, Width::W256, 9, 3, 12, Extra::immediate(0x31));
    for mask in [1, 7] {
        a.to_mask(mask, Gpr(3));
        a.to_mask(mask, Gpr(11));
        a.copy_mask(mask, 8 - mask);
        a.mask_and(mask, 3, 8 - mask);
        a.mask_or(mask, 3, 8 - mask);
        a.mask_equal(mask, 3, 3);
        a.mask_not(mask, 2);
    }
    a.zero_upper();
    check(a, false);
}

#[test]
fn general_instructions_decode_to_themselves() {
    let mut a = Assembler::new(true);
    for to in [0, 4, 7, 8, 13, 15].map(Gpr) {
        for from in [0, 5, 9, 12].map(Gpr) {
            a.copy(to, from);
            for alu in [Alu::Add, Alu::Or, Alu::And, Alu::Subtract, Alu::Compare] {
                a.alu(alu, to, from);
            }
            a.multiply(to, from);
            for number in [3, -3, 1000, -100_000] {
                a.multiply_number(to, from, number);
            }
            for condition in [
                Condition::Below,
                Condition::AboveEqual,
                Condition::Equal,
                Condition::NotEqual,
                Condition::Less,
                Condition::GreaterEqual,
                Condition::LessEqual,
                Condition::Greater,
            ] {
                a.copy_if(condition, to, from);
            }
        }
        for number in [0, 1, 100, 1 << 40] {
            a.number(to, number);
        }
        for number in [1, 100, 1000] {
            a.alu_number(Alu::Add, to, number);
            a.alu_number(Alu::Compare, to, number);
        }
        for shift in [Shift::Left, Shift::Right, Shift::RightArithmetic] {
            a.shift(shift, to, 35);
        }
        for memory in memories() {
            a.load(to, memory);
            a.store(memory, to);
            a.load_i32(to, memory);
            a.address(to, memory);
        }
        a.push(to);
        a.pop(to);
    }
    a.return_();
    check(a, true);
}

#[test]
fn distances_lead_to_their_labels() {
    let mut a = Assembler::new(false);
    let (far, data) = (a.label(), a.label());
    let start = a.here();
    a.jump_if(Condition::Less, start);
    a.jump_if(Condition::Less, far);
    a.jump(far);
    a.call(start);
    let place = Memory::place(data, 4);
    a.vector(op::ADD, Width::W256, 1, 2, place, Extra::default());
    a.vector(op::SHUFFLE, Width::W256, 1, 2, place, Extra::immediate(1));
    a.vector(op::ADD, Width::W512, 1, 2, Operand::Spread(place), Extra::default());
    a.bind(far);
    a.return_();
    a.align(16);
    a.bind(data);
    a.words(&[0x9090_9090]);
    let end = a.bytes() - 4;
    let lines = decoded(&a.finish()[..end], true);
    assert_eq!(lines[0], "jl short 0");
    let jump = lines[2].strip_prefix("jmp ").expect("a jump");
    assert_eq!(lines[1], format!("jl {jump}"));
    assert_eq!(lines[3], "call 0");
    for line in &lines[4..7] {
        assert!(line.contains("[rip+"), "{line}");
    }
}

#[test]
fn tiles_decode_to_themselves() {
    let mut a = Assembler::new(true);
    for (base, index) in [(0, 1), (4, 9), (5, 0), (12, 12), (13, 5), (7, 10)] {
        for offset in [0, 64, -128, 4096] {
            let memory = Memory::indexed(Gpr(base), Gpr(index), 0, offset);
            for tile in [0, 3, 7] {
                a.load_tile(tile, memory);
                a.store_tile(memory, tile);
            }
            a.configure_tiles(memory);
            a.configure_tiles(Memory::at(Gpr(base), offset));
        }
    }
    for tile in 0..8 {
        a.zero_tile(tile);
        a.multiply_tiles(tile, (tile + 3) % 8, (tile + 5) % 8);
    }
    a.release_tiles();
    check(a, false);
}
