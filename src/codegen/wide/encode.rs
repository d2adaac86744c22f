//! x86-64 machine code: bytes, labels and memory operands. What it writes it can also list, as a disassembler would
//! print it. It chooses encodings, never registers or instructions.

pub use super::encode_general::{Alu, Condition, Shift};
use super::encode_vector::Width;

/// A general register, by its number in the encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Gpr(pub u8);

/// General registers by their names.
#[allow(missing_docs, reason = "the names say it")]
pub mod gpr {
    use super::Gpr;
    pub const RAX: Gpr = Gpr(0);
    pub const RCX: Gpr = Gpr(1);
    pub const RDX: Gpr = Gpr(2);
    pub const RBX: Gpr = Gpr(3);
    pub const RSP: Gpr = Gpr(4);
    pub const RBP: Gpr = Gpr(5);
    pub const RSI: Gpr = Gpr(6);
    pub const RDI: Gpr = Gpr(7);
    pub const R8: Gpr = Gpr(8);
    pub const R9: Gpr = Gpr(9);
    pub const R10: Gpr = Gpr(10);
    pub const R11: Gpr = Gpr(11);
    pub const R14: Gpr = Gpr(14);
    pub const R15: Gpr = Gpr(15);
}

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];

impl Gpr {
    /// The 64-bit name.
    pub fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// The 32-bit name.
    pub fn name_32(self) -> String {
        let name = self.name();
        match self.0 {
            0..8 => format!("e{}", &name[1..]),
            _ => format!("{name}d"),
        }
    }
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(pub(super) usize);

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// What a memory operand counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// A register.
    Register(Gpr),
    /// A place in the code.
    Place(Label),
}

/// What moves a memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Index {
    /// A register times 1, 2, 4 or 8 (given as its logarithm).
    Register(Gpr, u8),
    /// Each lane of a vector register of a width, times 2 or 4 (given as its logarithm).
    Lanes(u8, Width, u8),
}

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// From where.
    pub base: Base,
    /// Moved by what.
    pub index: Option<Index>,
    /// And by so many bytes.
    pub offset: i32,
}

impl Memory {
    /// `[base + offset]`.
    pub fn at(base: Gpr, offset: i32) -> Memory {
        Memory {
            base: Base::Register(base),
            index: None,
            offset,
        }
    }

    /// `[base + index · 2^scale + offset]`.
    pub fn indexed(base: Gpr, index: Gpr, scale: u8, offset: i32) -> Memory {
        assert!(index != gpr::RSP && scale < 4, "not an index");
        Memory {
            index: Some(Index::Register(index, scale)),
            ..Memory::at(base, offset)
        }
    }

    /// A place in the code.
    pub fn place(label: Label, offset: i32) -> Memory {
        Memory {
            base: Base::Place(label),
            index: None,
            offset,
        }
    }

    /// Bit 3 of the index and of the base, and bit 4 of an index that is a vector.
    pub(super) fn high_bits(self) -> (u8, u8, u8) {
        let base = match self.base {
            Base::Register(base) => base.0 >> 3,
            Base::Place(_) => 0,
        };
        match self.index {
            None => (0, base, 0),
            Some(Index::Register(index, _)) => (index.0 >> 3, base, 0),
            Some(Index::Lanes(index, ..)) => (index >> 3 & 1, base, index >> 4),
        }
    }

    pub(super) fn text(self) -> String {
        let base = match self.base {
            Base::Register(base) => base,
            Base::Place(label) => return format!("[{label}+{}]", self.offset),
        };
        let mut text = format!("[{}", base.name());
        match self.index {
            None => {}
            Some(Index::Register(index, 0)) => text += &format!("+{}", index.name()),
            Some(Index::Register(index, scale)) => text += &format!("+{}*{}", index.name(), 1 << scale),
            Some(Index::Lanes(index, width, scale)) => text += &format!("+{}*{}", width.register(index), 1 << scale),
        }
        match self.offset {
            0 => {}
            offset if offset < 0 => text += &hexadecimal(i64::from(offset)),
            offset => text += &format!("+{}", hexadecimal(i64::from(offset))),
        }
        text + "]"
    }
}

/// Code under construction.
#[derive(Default)]
pub struct Assembler {
    pub(super) code: Vec<u8>,
    pub(super) labels: Vec<Option<usize>>,
    /// Where 4 bytes hold the distance to a label plus a number, counted from so many bytes behind their start.
    pub(super) fixups: Vec<(usize, Label, i32, usize)>,
    listing: Option<Vec<String>>,
}

impl Assembler {
    /// Nothing yet; `lists` says whether it also keeps the text.
    pub fn new(lists: bool) -> Assembler {
        Assembler {
            listing: lists.then(Vec::new),
            ..Assembler::default()
        }
    }

    /// Adds a line to the listing.
    pub(super) fn line(&mut self, text: impl FnOnce() -> String) {
        if let Some(listing) = &mut self.listing {
            listing.push(text());
        }
    }

    /// The text so far.
    pub fn listing(&self) -> &[String] {
        self.listing.as_deref().unwrap_or_default()
    }

    /// A place that is not known yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Says that a place is here.
    pub fn bind(&mut self, label: Label) {
        self.line(|| format!("{label}:"));
        let before = self.labels[label.0].replace(self.code.len());
        assert!(before.is_none(), "a label has one place");
    }

    /// A place here.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Fills up with instructions that do nothing: heads of loops run faster at such places.
    pub fn align(&mut self, bytes: usize) {
        const FILLERS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0],
            &[0x0f, 0x1f, 0x40, 0],
            &[0x0f, 0x1f, 0x44, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
            &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
            &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        ];
        let mut missing = self.code.len().next_multiple_of(bytes) - self.code.len();
        while missing > 0 {
            let filler = FILLERS[missing.min(9) - 1];
            self.code.extend_from_slice(filler);
            missing -= filler.len();
        }
    }

    /// Fills up with zeros, behind the code.
    pub fn align_data(&mut self, bytes: usize) {
        self.code.resize(self.code.len().next_multiple_of(bytes), 0);
    }

    /// Words of data.
    pub fn words(&mut self, words: &[u32]) {
        self.code.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.code.len()
    }

    /// The bytes with all distances put in. They refer to nothing outside.
    pub fn finish(mut self) -> Vec<u8> {
        for (at, label, offset, behind) in std::mem::take(&mut self.fixups) {
            let target = self.labels[label.0].expect("every label has a place") as i64;
            let distance = target + i64::from(offset) - (at + behind) as i64;
            let distance = i32::try_from(distance).expect("a function is small");
            self.code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.code
    }

    /// The bytes behind an opcode that name a register and a memory operand. Small offsets are counted in units of
    /// `scale`; `behind` bytes follow.
    pub(super) fn memory(&mut self, register: u8, memory: Memory, scale: i32, behind: usize) {
        let register = (register & 7) << 3;
        let base = match memory.base {
            Base::Place(label) => {
                assert!(memory.index.is_none(), "a place has no index");
                self.code.push(register | 5);
                self.fixups.push((self.code.len(), label, memory.offset, 4 + behind));
                self.code.extend_from_slice(&[0; 4]);
                return;
            }
            Base::Register(base) => base.0 & 7,
        };
        let offset = memory.offset;
        let small = offset % scale == 0 && i8::try_from(offset / scale).is_ok();
        let mode = match offset {
            0 if base != 5 => 0,
            _ if small => 1,
            _ => 2,
        };
        let index = match memory.index {
            None if base == 4 => Some((4, 0)),
            None => None,
            Some(Index::Register(index, scale)) => Some((index.0 & 7, scale)),
            Some(Index::Lanes(index, _, scale)) => Some((index & 7, scale)),
        };
        match index {
            Some((index, scale)) => {
                self.code
                    .extend_from_slice(&[mode << 6 | register | 4, scale << 6 | index << 3 | base]);
            }
            None => self.code.push(mode << 6 | register | base),
        }
        match mode {
            0 => {}
            1 => self.code.push((offset / scale) as i8 as u8),
            _ => self.code.extend_from_slice(&offset.to_le_bytes()),
        }
    }
}

/// A number as the listing has it.
pub(super) fn hexadecimal(number: i64) -> String {
    match number {
        0..10 => format!("{number}"),
        -9..0 => format!("-{}", -number),
        10.. => format!("{number:#x}"),
        _ => format!("-{:#x}", number.unsigned_abs()),
    }
}
