//! Lines of memory that a loop brings nearer while it computes, one at a time: rows of some regions, which lie written
//! down in memory. Loads of what is far away would else wait for each other while nothing is computed.

use super::encode::{Alu, Assembler, Base, Condition, Gpr, Label, Memory, gpr::*};

/// Bytes of a line.
const LINE_BYTES: i32 = 64;
/// Regions of a list at most.
pub const REGIONS: usize = 8;
/// Bytes of a region in the list.
const REGION_BYTES: i32 = 32;
/// Bytes of a list: how far its reader has come, the regions, and one without rows and bytes behind the last.
pub const LIST_BYTES: usize = LIST_HEAD as usize + (REGIONS + 1) * REGION_BYTES as usize;
const LIST_HEAD: i32 = 32;

/// Where a number of 64 bits stands in a list of regions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The address that comes next.
    Now,
    /// Where its row ends.
    End,
    /// The address of its region; 0 once there is nothing left.
    Region,
    /// Of a region, the address of the next row.
    Start(usize),
    /// The bytes of each row; 0 behind the last region.
    Bytes(usize),
    /// Bytes from row to row.
    Stride(usize),
    /// Rows that are left.
    Rows(usize),
}

impl Field {
    /// Bytes from the start of the list.
    pub fn offset(self) -> i32 {
        let of_region = |number: usize| LIST_HEAD + number as i32 * REGION_BYTES;
        match self {
            Field::Now => 0,
            Field::End => 8,
            Field::Region => 16,
            Field::Start(region) => of_region(region),
            Field::Bytes(region) => of_region(region) + 8,
            Field::Stride(region) => of_region(region) + 16,
            Field::Rows(region) => of_region(region) + 24,
        }
    }
}

const NOW: Gpr = RBX;
const END: Gpr = RBP;
const REGION: Gpr = R14;
const SPARE: Gpr = R15;
const SAVED: [Gpr; 4] = [NOW, END, REGION, SPARE];

/// A reader of a list, in registers that nothing else in its function uses.
#[derive(Clone, Copy)]
pub struct Ahead {
    next_row: Label,
}

impl Ahead {
    /// Takes the list whose address is the function's seventh argument. Before anything else moves the stack.
    pub fn enter(a: &mut Assembler) -> Ahead {
        for register in SAVED {
            a.push(register);
        }
        a.load(SPARE, Ahead::argument());
        for (register, field) in [(NOW, Field::Now), (END, Field::End), (REGION, Field::Region)] {
            a.load(register, Memory::at(SPARE, field.offset()));
        }
        Ahead { next_row: a.label() }
    }

    /// The seventh argument, above the saved registers and the return address.
    fn argument() -> Memory {
        Memory {
            base: Base::Register(RSP),
            index: None,
            offset: 8 * (SAVED.len() as i32 + 1),
        }
    }

    /// Writes down how far it has come, and restores the registers.
    pub fn leave(self, a: &mut Assembler) {
        a.load(SPARE, Ahead::argument());
        for (register, field) in [(NOW, Field::Now), (END, Field::End), (REGION, Field::Region)] {
            a.store(Memory::at(SPARE, field.offset()), register);
        }
        for register in SAVED.into_iter().rev() {
            a.pop(register);
        }
    }

    /// Brings the next line nearer, if there is one.
    pub fn line(self, a: &mut Assembler) {
        let (inside, end) = (a.label(), a.label());
        a.alu(Alu::Compare, NOW, END);
        a.jump_if(Condition::Below, inside);
        a.alu_number(Alu::Compare, REGION, 0);
        a.jump_if(Condition::Equal, end);
        a.call(self.next_row);
        a.jump_if(Condition::Equal, end);
        a.bind(inside);
        a.prefetch_far(Memory::at(NOW, 0));
        a.alu_number(Alu::Add, NOW, LINE_BYTES);
        a.bind(end);
    }

    /// Behind the function: goes to the next row. The flags tell whether there is none.
    pub fn emit_next_row(self, a: &mut Assembler) {
        let (row, region, some) = (a.label(), a.here(), a.label());
        let field = |field: Field| Memory::at(REGION, field.offset() - LIST_HEAD);
        a.bind(self.next_row);
        a.load(SPARE, field(Field::Rows(0)));
        a.alu_number(Alu::Compare, SPARE, 0);
        a.jump_if(Condition::NotEqual, row);
        a.load(SPARE, field(Field::Bytes(0)));
        a.alu_number(Alu::Compare, SPARE, 0);
        a.jump_if(Condition::NotEqual, some);
        // The flags tell it now, and the region tells `line` from now on, without a call.
        a.alu_number(Alu::And, REGION, 0);
        a.return_();
        a.bind(some);
        a.alu_number(Alu::Add, REGION, REGION_BYTES);
        a.jump(region);
        a.bind(row);
        a.alu_number(Alu::Subtract, SPARE, 1);
        a.store(field(Field::Rows(0)), SPARE);
        a.load(NOW, field(Field::Start(0)));
        a.load(END, field(Field::Bytes(0)));
        a.alu(Alu::Add, END, NOW);
        a.load(SPARE, field(Field::Stride(0)));
        a.alu(Alu::Add, SPARE, NOW);
        a.store(field(Field::Start(0)), SPARE);
        a.alu_number(Alu::And, NOW, -LINE_BYTES);
        // Not equal, which would mean that there is none: no row begins at address 0.
        a.alu_number(Alu::Compare, NOW, 0);
        a.return_();
    }
}
