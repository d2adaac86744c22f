//! Vector instructions: VEX where it reaches (registers below 16, no mask, no broadcast, at most 256 bits), else EVEX.

use super::encode::{Assembler, Gpr, Index, Memory, hexadecimal};
use super::instructions::{Forms, Shape, three, two};
pub use super::instructions::{Vector, op};

/// Bits of a vector register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Width {
    W128 = 0,
    W256 = 1,
    W512 = 2,
}

impl Width {
    /// Words of 32 bits.
    pub fn lanes(self) -> usize {
        4 << self as usize
    }

    /// Bytes.
    pub fn bytes(self) -> usize {
        16 << self as usize
    }

    /// The name of a register.
    pub fn register(self, number: u8) -> String {
        format!("{}mm{number}", ["x", "y", "z"][self as usize])
    }
}

/// The last operand of an instruction (of a store: the first).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A vector register.
    Register(u8),
    /// Memory.
    Memory(Memory),
    /// A word of memory in all lanes; at 512 bits, or with EVEX, only.
    Spread(Memory),
}

impl From<u8> for Operand {
    fn from(register: u8) -> Operand {
        Operand::Register(register)
    }
}

impl From<Memory> for Operand {
    fn from(memory: Memory) -> Operand {
        Operand::Memory(memory)
    }
}

/// What stands beside the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extra {
    /// A mask register from 1 on; 0 for none.
    pub mask: u8,
    /// Lanes outside the mask become zero; else they stay.
    pub zeroing: bool,
    /// The number at the end.
    pub immediate: Option<u8>,
}

impl Extra {
    /// Only a number.
    pub fn immediate(immediate: u8) -> Extra {
        Extra {
            immediate: Some(immediate),
            ..Extra::default()
        }
    }

    /// Only lanes in the mask; the others stay.
    pub fn merging(mask: u8) -> Extra {
        Extra {
            mask,
            ..Extra::default()
        }
    }

    /// Only lanes in the mask; the others become zero.
    pub fn zeroing(mask: u8) -> Extra {
        Extra {
            mask,
            zeroing: true,
            immediate: None,
        }
    }
}

impl Assembler {
    /// Any vector instruction. `second` is ignored by those that have none.
    pub fn vector(
        &mut self,
        op: Vector,
        width: Width,
        register: u8,
        second: u8,
        operand: impl Into<Operand>,
        extra: Extra,
    ) {
        let operand = operand.into();
        self.line(|| text(op, width, register, second, operand, extra));
        let (field, second) = match op.shape {
            Shape::Three | Shape::Compare | Shape::MaskStore => (register, second),
            Shape::Two | Shape::Store => (register, 0),
            Shape::Extended(field) => (field, register),
        };
        let scattered = matches!(
            operand,
            Operand::Memory(Memory {
                index: Some(Index::Lanes(..)),
                ..
            })
        );
        let high = field >= 16 || second >= 16 || matches!(operand, Operand::Register(r) if r >= 16);
        let evex = width == Width::W512
            || extra.mask != 0
            || high
            || matches!(operand, Operand::Spread(_))
            || op.forms == Forms::Evex;
        assert!(
            !(evex && op.forms == Forms::Vex),
            "{} has no such form: {}",
            op.name,
            text(op, width, register, second, operand, extra)
        );
        let scale = match operand {
            _ if !evex => 1,
            _ if op.word || matches!(operand, Operand::Spread(_)) => 4,
            _ if op.half => width.bytes() as i32 / 2,
            _ => width.bytes() as i32,
        };
        if evex {
            self.evex_prefix(op, width, field, if scattered { 0 } else { second }, operand, extra);
        } else {
            self.vex_prefix(op, width, field, second, operand);
        }
        self.operand(field, operand, scale, usize::from(extra.immediate.is_some()));
        self.code.extend(extra.immediate);
    }

    fn operand(&mut self, field: u8, operand: Operand, scale: i32, behind: usize) {
        match operand {
            Operand::Register(register) => self.code.push(0xc0 | (field & 7) << 3 | register & 7),
            Operand::Memory(memory) | Operand::Spread(memory) => self.memory(field, memory, scale, behind),
        }
    }

    fn evex_prefix(&mut self, op: Vector, width: Width, field: u8, second: u8, operand: Operand, extra: Extra) {
        let (index, base, index_high) = match operand {
            Operand::Register(register) => (register >> 4 & 1, register >> 3 & 1, 0),
            Operand::Memory(memory) | Operand::Spread(memory) => memory.high_bits(),
        };
        let high = (second >> 4 & 1) | index_high;
        let spread = u8::from(matches!(operand, Operand::Spread(_)));
        self.code.extend_from_slice(&[
            0x62,
            (!field >> 3 & 1) << 7 | (index ^ 1) << 6 | (base ^ 1) << 5 | (!field >> 4 & 1) << 4 | op.map,
            u8::from(op.wide.0) << 7 | (!second & 15) << 3 | 4 | op.prefix,
            u8::from(extra.zeroing) << 7 | (width as u8) << 5 | spread << 4 | (high ^ 1) << 3 | extra.mask,
            op.opcode,
        ]);
    }

    pub(super) fn vex_prefix(&mut self, op: Vector, width: Width, field: u8, second: u8, operand: Operand) {
        let (index, base) = match operand {
            Operand::Register(register) => (0, register >> 3 & 1),
            Operand::Memory(memory) | Operand::Spread(memory) => {
                let (index, base, _) = memory.high_bits();
                (index, base)
            }
        };
        let register = !field >> 3 & 1;
        let low = u8::from(op.wide.1) << 7 | (!second & 15) << 3 | (width as u8) << 2 | op.prefix;
        if op.map == 1 && index == 0 && base == 0 && !op.wide.1 {
            self.code.extend_from_slice(&[0xc5, register << 7 | low, op.opcode]);
        } else {
            let high = register << 7 | (index ^ 1) << 6 | (base ^ 1) << 5 | op.map;
            self.code.extend_from_slice(&[0xc4, high, low, op.opcode]);
        }
    }

    /// `to = mask ? then : other`, lane by lane, with a vector of ones and zeros.
    pub fn blend(&mut self, width: Width, to: u8, mask: u8, then: u8, other: u8) {
        self.line(|| {
            let [to, other, then, mask] = [to, other, then, mask].map(|r| width.register(r));
            format!("vblendvps {to}, {other}, {then}, {mask}")
        });
        let op = three("vblendvps", 3, 1, 0x4a);
        self.vex_prefix(op, width, to, other, Operand::Register(then));
        self.operand(to, Operand::Register(then), 1, 1);
        self.code.push(mask << 4);
    }

    /// Reads the lanes whose bit in the vector `mask` is set; clears `mask`.
    pub fn gather(&mut self, width: Width, to: u8, from: Memory, mask: u8) {
        self.line(|| {
            let [to, mask] = [to, mask].map(|r| width.register(r));
            format!("vgatherdps {to}, {}, {mask}", from.text())
        });
        let op = two("vgatherdps", 2, 1, 0x92);
        self.vex_prefix(op, width, to, mask, Operand::Memory(from));
        self.memory(to, from, 1, 0);
    }

    /// Forgets the upper parts of all registers, as code of 128 bits wants it.
    pub fn zero_upper(&mut self) {
        self.line(|| "vzeroupper".into());
        self.code.extend_from_slice(&[0xc5, 0xf8, 0x77]);
    }

    /// Reads the control register of vector arithmetic (MXCSR).
    pub fn load_control(&mut self, from: Memory) {
        self.control("vldmxcsr", 2, from);
    }

    /// Writes it to memory.
    pub fn store_control(&mut self, to: Memory) {
        self.control("vstmxcsr", 3, to);
    }

    fn control(&mut self, name: &'static str, field: u8, memory: Memory) {
        self.line(|| format!("{name} {}", memory.text()));
        let op = two(name, 1, 0, 0xae);
        self.vex_prefix(op, Width::W128, field, 0, Operand::Memory(memory));
        self.memory(field, memory, 1, 0);
    }

    /// A vector register of zeros. Changes all of it.
    pub fn zero(&mut self, register: u8) {
        match register {
            0..16 => self.vector(op::XOR, Width::W128, register, register, register, Extra::default()),
            _ => self.vector(op::XOR, Width::W512, register, register, register, Extra::default()),
        }
    }

    /// A general register's lower 32 bits in lane 0.
    pub fn to_vector(&mut self, to: u8, from: Gpr) {
        self.line(|| format!("vmovd xmm{to}, {}", from.name_32()));
        let op = two("vmovd", 1, 1, 0x6e);
        self.vex_prefix(op, Width::W128, to, 0, Operand::Register(from.0));
        self.operand(to, Operand::Register(from.0), 1, 0);
    }

    /// Lane 0 as a general register's lower 32 bits; the upper ones become zero.
    pub fn from_vector(&mut self, to: Gpr, from: u8) {
        self.line(|| format!("vmovd {}, xmm{from}", to.name_32()));
        let op = two("vmovd", 1, 1, 0x7e);
        self.vex_prefix(op, Width::W128, from, 0, Operand::Register(to.0));
        self.operand(from, Operand::Register(to.0), 1, 0);
    }

    /// A general register's lower 32 bits in all lanes (AVX-512).
    pub fn spread(&mut self, width: Width, to: u8, from: Gpr) {
        self.line(|| format!("vpbroadcastd {}, {}", width.register(to), from.name_32()));
        let op = Vector {
            forms: Forms::Evex,
            ..two("vpbroadcastd", 2, 1, 0x7c)
        };
        self.evex_prefix(op, width, to, 0, Operand::Register(from.0), Extra::default());
        self.operand(to, Operand::Register(from.0), 1, 0);
    }

    /// A mask register from the lower 16 bits of a general register.
    pub fn to_mask(&mut self, to: u8, from: Gpr) {
        self.line(|| format!("kmovw k{to}, {}", from.name_32()));
        let op = two("kmovw", 1, 0, 0x92);
        self.vex_prefix(op, Width::W128, to, 0, Operand::Register(from.0));
        self.operand(to, Operand::Register(from.0), 1, 0);
    }

    /// Copies a mask register.
    pub fn copy_mask(&mut self, to: u8, from: u8) {
        self.mask_operation("kmovw", 0x90, false, to, 0, from);
    }

    /// `to = a and b`.
    pub fn mask_and(&mut self, to: u8, a: u8, b: u8) {
        self.mask_operation("kandw", 0x41, true, to, a, b);
    }

    /// `to = a or b`.
    pub fn mask_or(&mut self, to: u8, a: u8, b: u8) {
        self.mask_operation("korw", 0x45, true, to, a, b);
    }

    /// `to = not a or b, but not both`: ones if both are the same register.
    pub fn mask_equal(&mut self, to: u8, a: u8, b: u8) {
        self.mask_operation("kxnorw", 0x46, true, to, a, b);
    }

    /// `to = not a`.
    pub fn mask_not(&mut self, to: u8, a: u8) {
        self.mask_operation("knotw", 0x44, false, to, 0, a);
    }

    fn mask_operation(&mut self, name: &'static str, opcode: u8, three: bool, to: u8, a: u8, b: u8) {
        self.line(|| match three {
            true => format!("{name} k{to}, k{a}, k{b}"),
            false => format!("{name} k{to}, k{b}"),
        });
        let width = if three { Width::W256 } else { Width::W128 };
        let op = two(name, 1, 0, opcode);
        self.vex_prefix(op, width, to, a, Operand::Register(b));
        self.operand(to, Operand::Register(b), 1, 0);
    }

    /// Loads or stores the 16 bits of a mask register.
    pub fn mask_memory(&mut self, stores: bool, mask: u8, memory: Memory) {
        self.line(|| match stores {
            true => format!("kmovw {}, k{mask}", memory.text()),
            false => format!("kmovw k{mask}, {}", memory.text()),
        });
        let op = two("kmovw", 1, 0, if stores { 0x91 } else { 0x90 });
        self.vex_prefix(op, Width::W128, mask, 0, Operand::Memory(memory));
        self.memory(mask, memory, 1, 0);
    }

    /// A vector of ones where a mask register has ones.
    pub fn mask_to_vector(&mut self, width: Width, to: u8, mask: u8) {
        let op = Vector {
            forms: Forms::Evex,
            ..two("vpmovm2d", 2, 2, 0x38)
        };
        self.line(|| format!("vpmovm2d {}, k{mask}", width.register(to)));
        self.evex_prefix(op, width, to, 0, Operand::Register(mask), Extra::default());
        self.operand(to, Operand::Register(mask), 1, 0);
    }
}

fn text(op: Vector, width: Width, register: u8, second: u8, operand: Operand, extra: Extra) -> String {
    let of_width = |number| width.register(number);
    let part = op.part.unwrap_or(width);
    let last = match operand {
        Operand::Register(register) => part.register(register),
        Operand::Memory(memory) => memory.text(),
        Operand::Spread(memory) => format!("{}{{1to{}}}", memory.text(), width.lanes()),
    };
    let masked = |first: String| match extra.mask {
        0 => first,
        mask => format!("{first}{{k{mask}}}{}", if extra.zeroing { "{z}" } else { "" }),
    };
    let narrow = |number| match op.word {
        true if !matches!(
            operand,
            Operand::Memory(Memory {
                index: Some(Index::Lanes(..)),
                ..
            })
        ) =>
        {
            Width::W128.register(number)
        }
        _ => of_width(number),
    };
    let operands = match op.shape {
        Shape::Three => [masked(of_width(register)), of_width(second), last].join(", "),
        Shape::Two => [masked(of_width(register)), last].join(", "),
        Shape::Store => [masked(last), narrow(register)].join(", "),
        Shape::Compare => [masked(format!("k{register}")), of_width(second), last].join(", "),
        Shape::Extended(_) => [masked(of_width(register)), last].join(", "),
        Shape::MaskStore => [last, of_width(second), of_width(register)].join(", "),
    };
    let number = extra.immediate.map(|n| format!(", {}", hexadecimal(i64::from(n))));
    format!("{} {operands}{}", op.name, number.unwrap_or_default())
}
