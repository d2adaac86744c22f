//! Instructions on general registers: numbers, addresses, comparisons and jumps.

use super::encode::{Assembler, Gpr, Label, Memory, hexadecimal};

/// A condition of a jump or a conditional move, by its number in the encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it; below and above are without sign")]
pub enum Condition {
    Below = 2,
    AboveEqual = 3,
    Equal = 4,
    NotEqual = 5,
    Less = 12,
    GreaterEqual = 13,
    LessEqual = 14,
    Greater = 15,
}

impl Condition {
    fn suffix(self) -> &'static str {
        match self {
            Condition::Below => "b",
            Condition::AboveEqual => "ae",
            Condition::Equal => "e",
            Condition::NotEqual => "ne",
            Condition::Less => "l",
            Condition::GreaterEqual => "ge",
            Condition::LessEqual => "le",
            Condition::Greater => "g",
        }
    }
}

/// An operation of two general registers, or of one and a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Subtract = 5,
    Compare = 7,
}

impl Alu {
    fn name(self) -> &'static str {
        match self {
            Alu::Add => "add",
            Alu::Or => "or",
            Alu::And => "and",
            Alu::Subtract => "sub",
            Alu::Compare => "cmp",
        }
    }
}

/// A shift by a number of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it; arithmetic keeps the sign")]
pub enum Shift {
    Left = 4,
    Right = 5,
    RightArithmetic = 7,
}

impl Assembler {
    fn prefix(&mut self, wide: bool, register: u8, memory: Memory) {
        let (index, base, _) = memory.high_bits();
        let prefix = 0x40 | u8::from(wide) << 3 | (register >> 3) << 2 | index << 1 | base;
        if prefix != 0x40 {
            self.code.push(prefix);
        }
    }

    /// An instruction of 64 bits with a register and a register or number of the opcode in the other field.
    fn pair(&mut self, opcode: &[u8], field: u8, register: Gpr) {
        self.code.push(0x48 | (field >> 3) << 2 | register.0 >> 3);
        self.code.extend_from_slice(opcode);
        self.code.push(0xc0 | (field & 7) << 3 | register.0 & 7);
    }

    /// Copies a register.
    pub fn copy(&mut self, to: Gpr, from: Gpr) {
        self.line(|| format!("mov {}, {}", to.name(), from.name()));
        self.pair(&[0x89], from.0, to);
    }

    /// A number.
    pub fn number(&mut self, to: Gpr, number: i64) {
        if let Ok(number) = u32::try_from(number) {
            self.line(|| format!("mov {}, {}", to.name_32(), hexadecimal(i64::from(number))));
            if to.0 >= 8 {
                self.code.push(0x41);
            }
            self.code.push(0xb8 | to.0 & 7);
            self.code.extend_from_slice(&number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.line(|| format!("mov {}, {}", to.name(), hexadecimal(i64::from(number))));
            self.pair(&[0xc7], 0, to);
            self.code.extend_from_slice(&number.to_le_bytes());
        } else {
            self.line(|| format!("mov {}, {:#x}", to.name(), number));
            self.code.extend_from_slice(&[0x48 | to.0 >> 3, 0xb8 | to.0 & 7]);
            self.code.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Loads 64 bits.
    pub fn load(&mut self, to: Gpr, from: Memory) {
        self.line(|| format!("mov {}, {}", to.name(), from.text()));
        self.general(0x8b, to, from);
    }

    /// Stores 64 bits.
    pub fn store(&mut self, to: Memory, from: Gpr) {
        self.line(|| format!("mov {}, {}", to.text(), from.name()));
        self.general(0x89, from, to);
    }

    /// Loads 16 bits, zeros above them.
    pub fn load_half(&mut self, to: Gpr, from: Memory) {
        self.line(|| format!("movzx {}, {}", to.name_32(), from.text()));
        let (index, base, _) = from.high_bits();
        self.code
            .extend_from_slice(&[0x40 | (to.0 >> 3) << 2 | index << 1 | base, 0x0f, 0xb7]);
        self.memory(to.0, from, 1, 0);
    }

    /// Loads an i32 as 64 bits.
    pub fn load_i32(&mut self, to: Gpr, from: Memory) {
        self.line(|| format!("movsxd {}, {}", to.name(), from.text()));
        self.general(0x63, to, from);
    }

    /// The address of a memory operand.
    pub fn address(&mut self, to: Gpr, of: Memory) {
        self.line(|| format!("lea {}, {}", to.name(), of.text()));
        self.general(0x8d, to, of);
    }

    fn general(&mut self, opcode: u8, register: Gpr, memory: Memory) {
        self.prefix(true, register.0, memory);
        self.code.push(opcode);
        self.memory(register.0, memory, 1, 0);
    }

    /// `to = to ∘ from`, or a comparison.
    pub fn alu(&mut self, operation: Alu, to: Gpr, from: Gpr) {
        self.line(|| format!("{} {}, {}", operation.name(), to.name(), from.name()));
        self.pair(&[operation as u8 * 8 + 1], from.0, to);
    }

    /// `to = to ∘ number`, or a comparison.
    pub fn alu_number(&mut self, operation: Alu, to: Gpr, number: i32) {
        self.line(|| format!("{} {}, {}", operation.name(), to.name(), hexadecimal(i64::from(number))));
        if let Ok(number) = i8::try_from(number) {
            self.pair(&[0x83], operation as u8, to);
            self.code.push(number as u8);
        } else {
            self.pair(&[0x81], operation as u8, to);
            self.code.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Shifts.
    pub fn shift(&mut self, shift: Shift, to: Gpr, bits: u8) {
        let name = match shift {
            Shift::Left => "shl",
            Shift::Right => "shr",
            Shift::RightArithmetic => "sar",
        };
        self.line(|| format!("{name} {}, {}", to.name(), hexadecimal(i64::from(bits))));
        self.pair(&[0xc1], shift as u8, to);
        self.code.push(bits);
    }

    /// `to = to · from`.
    pub fn multiply(&mut self, to: Gpr, from: Gpr) {
        self.line(|| format!("imul {}, {}", to.name(), from.name()));
        self.pair(&[0x0f, 0xaf], to.0, from);
    }

    /// `to = from · number`.
    pub fn multiply_number(&mut self, to: Gpr, from: Gpr, number: i32) {
        self.line(|| {
            format!(
                "imul {}, {}, {}",
                to.name(),
                from.name(),
                hexadecimal(i64::from(number))
            )
        });
        if let Ok(number) = i8::try_from(number) {
            self.pair(&[0x6b], to.0, from);
            self.code.push(number as u8);
        } else {
            self.pair(&[0x69], to.0, from);
            self.code.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// `if condition { to = from }`.
    pub fn copy_if(&mut self, condition: Condition, to: Gpr, from: Gpr) {
        self.line(|| format!("cmov{} {}, {}", condition.suffix(), to.name(), from.name()));
        self.pair(&[0x0f, 0x40 | condition as u8], to.0, from);
    }

    /// Jumps where the last comparison says so.
    pub fn jump_if(&mut self, condition: Condition, to: Label) {
        self.line(|| format!("j{} {to}", condition.suffix()));
        if let Some(target) = self.labels[to.0]
            && let Ok(distance) = i8::try_from(target as i64 - (self.code.len() as i64 + 2))
        {
            self.code.extend_from_slice(&[0x70 | condition as u8, distance as u8]);
            return;
        }
        self.code.extend_from_slice(&[0x0f, 0x80 | condition as u8]);
        self.distance(to);
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        self.line(|| format!("jmp {to}"));
        self.code.push(0xe9);
        self.distance(to);
    }

    /// Calls a place in the same code.
    pub fn call(&mut self, to: Label) {
        self.line(|| format!("call {to}"));
        self.code.push(0xe8);
        self.distance(to);
    }

    fn distance(&mut self, to: Label) {
        self.fixups.push((self.code.len(), to, 0, 4));
        self.code.extend_from_slice(&[0; 4]);
    }

    /// Saves a register.
    pub fn push(&mut self, register: Gpr) {
        self.line(|| format!("push {}", register.name()));
        self.short(0x50, register);
    }

    /// Takes a saved register back.
    pub fn pop(&mut self, register: Gpr) {
        self.line(|| format!("pop {}", register.name()));
        self.short(0x58, register);
    }

    fn short(&mut self, opcode: u8, register: Gpr) {
        if register.0 >= 8 {
            self.code.push(0x41);
        }
        self.code.push(opcode | register.0 & 7);
    }

    /// Returns.
    pub fn return_(&mut self) {
        self.line(|| "ret".into());
        self.code.push(0xc3);
    }

    /// Brings a cache line to the first cache.
    pub fn prefetch(&mut self, from: Memory) {
        self.line(|| format!("prefetcht0 {}", from.text()));
        self.bring(1, from);
    }

    /// Brings a cache line to the second cache.
    pub fn prefetch_far(&mut self, from: Memory) {
        self.line(|| format!("prefetcht2 {}", from.text()));
        self.bring(3, from);
    }

    fn bring(&mut self, hint: u8, from: Memory) {
        self.prefix(false, 0, from);
        self.code.extend_from_slice(&[0x0f, 0x18]);
        self.memory(hint, from, 1, 0);
    }
}
