//! The inner loops of matrix products: some rows of `a`, where they lie, times a packed panel of `b`, into a tile in
//! scratch memory. One routine for each pair of strides; it handles any number of rows.

use super::ahead::Ahead;
use super::encode::{Alu, Assembler, Base, Condition, Gpr, Label, Memory, Shift, gpr::*};
use super::encode_vector::{Extra, Operand, Width, op};

/// Bytes of a line, and of all lines of the first cache that have different sets; and how many lines of a set hold `a`.
const LINE_BYTES: i32 = 64;
const WAY_BYTES: i32 = 4096;
const WAYS: i32 = 8;
/// Steps along `k` in one round of the loop.
const UNROLL: usize = 4;
/// The step behind which a round brings a line nearer. One in a round: more would fill the buffers for lines that are on
/// their way from memory, and the panel's lines must pass there too.
const AHEAD_STEP: i32 = 2;

/// Rounds of a turn that are written out one after the other: a loop of so few is left before it is foreseen.
const ROUNDS_WRITTEN_OUT: i32 = 2;

/// What a step adds to each sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Products {
    /// A product of two numbers.
    One,
    /// The same, of two steps the second one first, and subnormal numbers count as zeros.
    OneOfPair,
    /// The sum of two products of bfloat16 numbers that lie side by side, the same as two steps before; at 512 bits.
    Pair,
}

/// `fn(a, panel, tile, rows, length, accumulate)`: for each row, `tile[row][column] = Σ a[row][step] · panel[step][column]`
/// over `length` steps, or over all turns and their steps, ascending; or that is added to what is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Multiply {
    /// The registers.
    pub width: Width,
    /// What it adds.
    pub products: Products,
    /// Vectors of a panel's row.
    pub vectors: usize,
    /// Rows that are multiplied together, at most [`rows_at_once`].
    pub rows_at_once: usize,
    /// Bytes of `a` from row to row.
    pub row_bytes: i32,
    /// Bytes of `a` from step to step.
    pub step_bytes: i32,
    /// Several turns of equally many steps, instead of `length` steps.
    pub turns: Option<Turns>,
    /// Bytes of the panel from step to step.
    pub panel_step_bytes: i32,
    /// Bytes of the tile from row to row.
    pub tile_row_bytes: i32,
    /// Whether it brings lines of a list nearer meanwhile, whose address is a seventh argument.
    pub ahead: bool,
}

/// Steps of `a` that lie in several places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Turns {
    /// How many places.
    pub count: i32,
    /// Steps in each.
    pub length: i32,
    /// Bytes of `a` from place to place.
    pub bytes: i32,
}

/// Rows that can be multiplied together where a panel has so many vectors: as many as the registers hold sums.
pub fn rows_at_once(width: Width, vectors: usize) -> usize {
    match (width, vectors) {
        (Width::W512, 1) => 24,
        (Width::W512, 2) => 12,
        (Width::W512, 3) => 8,
        (Width::W512, _) => 6,
        (_, 1) => 12,
        (_, 2) => 6,
        (_, _) => 4,
    }
}

/// The most vectors of a panel's row.
pub fn most_vectors(width: Width) -> usize {
    match width {
        Width::W512 => 4,
        _ => 3,
    }
}

const A: Gpr = RDI;
const PANEL: Gpr = RSI;
const TILE: Gpr = RDX;
const ROWS: Gpr = RCX;
const LENGTH: Gpr = R8;
const ACCUMULATE: Gpr = R9;
/// Where the loop is in `a` and in the panel, and how many rounds are left.
const A_NOW: Gpr = R10;
const PANEL_NOW: Gpr = R11;
const LEFT: Gpr = RAX;
/// Where the control register is kept: below the stack, which no other function uses meanwhile, and below the return
/// address of [`Ahead`].
const KEPT: Memory = Memory {
    base: Base::Register(RSP),
    index: None,
    offset: -16,
};
/// MXCSR as it is at first (no exceptions, to nearest), with the bits by which subnormal results and operands are zeros.
const FLUSHING: u32 = 0x1f80 | 0x8000 | 0x40;

impl Multiply {
    /// The whole function.
    pub fn emit(self, a: &mut Assembler) {
        let (width, most) = (self.width, self.rows_at_once);
        let ahead = self.ahead.then(|| Ahead::enter(a));
        let flushing = a.label();
        let rest = a.label();
        a.alu_number(Alu::Compare, ROWS, most as i32);
        a.jump_if(Condition::Less, rest);
        a.align(32);
        let again = a.here();
        self.rows(a, width, most, flushing, ahead);
        a.alu_number(Alu::Add, A, self.row_bytes * most as i32);
        a.alu_number(Alu::Add, TILE, self.tile_row_bytes * most as i32);
        a.alu_number(Alu::Subtract, ROWS, most as i32);
        a.alu_number(Alu::Compare, ROWS, most as i32);
        a.jump_if(Condition::GreaterEqual, again);
        a.bind(rest);
        let end = a.label();
        for rows in 1..most {
            let next = a.label();
            a.alu_number(Alu::Compare, ROWS, rows as i32);
            a.jump_if(Condition::NotEqual, next);
            self.rows(a, width, rows, flushing, None);
            a.jump(end);
            a.bind(next);
        }
        a.bind(end);
        if let Some(ahead) = ahead {
            ahead.leave(a);
        }
        a.zero_upper();
        a.return_();
        if let Some(ahead) = ahead {
            ahead.emit_next_row(a);
        }
        if self.products == Products::OneOfPair {
            a.align_data(4);
            a.bind(flushing);
            a.words(&[FLUSHING]);
        }
    }

    /// So many rows.
    fn rows(self, a: &mut Assembler, width: Width, rows: usize, flushing: Label, ahead: Option<Ahead>) {
        for sum in 0..rows * self.vectors {
            a.zero(sum as u8);
        }
        a.copy(A_NOW, A);
        a.copy(PANEL_NOW, PANEL);
        if self.products == Products::OneOfPair {
            a.store_control(KEPT);
            a.load_control(Memory::place(flushing, 0));
        }
        match self.turns {
            None => {
                a.copy(LEFT, LENGTH);
                a.shift(Shift::Right, LEFT, UNROLL.trailing_zeros() as u8);
                self.steps(a, width, rows, UNROLL, ahead);
                a.copy(LEFT, LENGTH);
                match self.products {
                    Products::OneOfPair => self.last_pairs(a, width, rows),
                    Products::One | Products::Pair => {
                        a.alu_number(Alu::And, LEFT, UNROLL as i32 - 1);
                        self.steps(a, width, rows, 1, None);
                    }
                }
            }
            Some(turns) => self.turns(a, width, rows, turns, ahead),
        }
        if self.products == Products::OneOfPair {
            a.load_control(KEPT);
        }
        self.store(a, width, rows);
    }

    /// A loop over turns; what would count the steps counts them.
    fn turns(self, a: &mut Assembler, width: Width, rows: usize, turns: Turns, ahead: Option<Ahead>) {
        // Turns are whole pairs.
        let few = match self.products {
            Products::OneOfPair => 2,
            Products::One | Products::Pair => 1,
        };
        a.number(LENGTH, turns.count.into());
        let again = a.here();
        for unroll in [UNROLL, few] {
            let left = match unroll {
                UNROLL => turns.length / UNROLL as i32,
                _ => turns.length % UNROLL as i32 / few as i32,
            };
            match left {
                0 => {}
                1..=ROUNDS_WRITTEN_OUT => (0..left).for_each(|_| self.round(a, width, rows, unroll, ahead)),
                _ => {
                    a.number(LEFT, left.into());
                    self.rounds(a, width, rows, unroll, ahead);
                }
            }
        }
        a.alu_number(Alu::Add, A_NOW, turns.bytes - turns.length * self.step_bytes);
        a.alu_number(Alu::Subtract, LENGTH, 1);
        a.jump_if(Condition::NotEqual, again);
    }

    /// The pairs that no whole round has, and the first of a pair that has no second one, if there is one: +0 · +0 comes
    /// before it.
    fn last_pairs(self, a: &mut Assembler, width: Width, rows: usize) {
        a.shift(Shift::Right, LEFT, 1);
        a.alu_number(Alu::And, LEFT, UNROLL as i32 / 2 - 1);
        self.steps(a, width, rows, 2, None);
        let end = a.label();
        a.copy(LEFT, LENGTH);
        a.alu_number(Alu::And, LEFT, 1);
        a.jump_if(Condition::Equal, end);
        let zero = (rows_at_once(width, self.vectors) * self.vectors) as u8;
        a.zero(zero);
        for sum in 0..(rows * self.vectors) as u8 {
            a.vector(op::ADD, width, sum, sum, zero, Extra::default());
        }
        self.step(a, width, rows, 0);
        a.bind(end);
    }

    /// A loop of rounds of some steps; perhaps none. The flags tell whether there is one.
    fn steps(self, a: &mut Assembler, width: Width, rows: usize, unroll: usize, ahead: Option<Ahead>) {
        let end = a.label();
        a.jump_if(Condition::Equal, end);
        self.rounds(a, width, rows, unroll, ahead);
        a.bind(end);
    }

    /// A loop of at least one round.
    fn rounds(self, a: &mut Assembler, width: Width, rows: usize, unroll: usize, ahead: Option<Ahead>) {
        a.align(32);
        let again = a.here();
        self.round(a, width, rows, unroll, ahead);
        a.alu_number(Alu::Subtract, LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
    }

    /// Some steps, and on to the next ones.
    fn round(self, a: &mut Assembler, width: Width, rows: usize, unroll: usize, ahead: Option<Ahead>) {
        for step in 0..unroll as i32 {
            let step = match self.products {
                Products::OneOfPair => step ^ 1,
                Products::One | Products::Pair => step,
            };
            self.step(a, width, rows, step);
            if let Some(ahead) = ahead.filter(|_| unroll == UNROLL && step == AHEAD_STEP) {
                ahead.line(a);
            }
        }
        if unroll == UNROLL {
            self.prefetch(a, rows);
        }
        a.alu_number(Alu::Add, A_NOW, self.step_bytes * unroll as i32);
        a.alu_number(Alu::Add, PANEL_NOW, self.panel_step_bytes * unroll as i32);
    }

    /// Brings what the next rows read at the same steps nearer; where these would drive out of the first cache what the
    /// rows at hand read, the next line of each of those.
    fn prefetch(self, a: &mut Assembler, rows: usize) {
        if rows < self.rows_at_once {
            return;
        }
        let next = match self.crowds(2 * rows) {
            true => LINE_BYTES,
            false => rows as i32 * self.row_bytes,
        };
        if self.step_bytes == 4 {
            for row in 0..rows as i32 {
                a.prefetch(Memory::at(A_NOW, next + row * self.row_bytes));
            }
        } else if self.row_bytes == 4 {
            for step in 0..UNROLL as i32 {
                a.prefetch(Memory::at(A_NOW, step * self.step_bytes + 2 * next - 4));
            }
        }
    }

    /// Whether so many rows are so far apart that the lines of a step share a few sets of the first cache.
    fn crowds(self, rows: usize) -> bool {
        let apart = 1 << self.row_bytes.trailing_zeros().min(WAY_BYTES.trailing_zeros());
        apart >= LINE_BYTES && rows as i32 > WAYS * (WAY_BYTES / apart)
    }

    /// One step for each sum. The registers behind the sums hold the panel's row and spread elements of `a`.
    fn step(self, a: &mut Assembler, width: Width, rows: usize, step: i32) {
        let sums = rows_at_once(width, self.vectors) * self.vectors;
        let registers = if width == Width::W512 { 32 } else { 16 };
        let (columns, spread) = (sums as u8, (sums + self.vectors) as u8);
        let spreads = (registers - spread as usize).clamp(1, 4);
        for vector in 0..self.vectors {
            let offset = step * self.panel_step_bytes + (vector * width.bytes()) as i32;
            let memory = Memory::at(PANEL_NOW, offset);
            a.vector(op::LOAD, width, columns + vector as u8, 0, memory, Extra::default());
        }
        let multiply = match self.products {
            Products::Pair => op::DOT_BF16,
            Products::One | Products::OneOfPair => op::FMA_231,
        };
        for row in 0..rows {
            let factor = Memory::at(A_NOW, step * self.step_bytes + row as i32 * self.row_bytes);
            let sum = (row * self.vectors) as u8;
            if self.vectors == 1 && width == Width::W512 {
                a.vector(multiply, width, sum, columns, Operand::Spread(factor), Extra::default());
                continue;
            }
            let spread = spread + (row % spreads) as u8;
            a.vector(op::SPREAD, width, spread, 0, factor, Extra::default());
            for vector in 0..self.vectors as u8 {
                a.vector(
                    multiply,
                    width,
                    sum + vector,
                    columns + vector,
                    spread,
                    Extra::default(),
                );
            }
        }
    }

    fn store(self, a: &mut Assembler, width: Width, rows: usize) {
        let (storing, end) = (a.label(), a.label());
        a.alu_number(Alu::Compare, ACCUMULATE, 0);
        a.jump_if(Condition::Equal, storing);
        for adds in [true, false] {
            for sum in 0..rows * self.vectors {
                let (row, vector) = (sum / self.vectors, sum % self.vectors);
                let offset = row as i32 * self.tile_row_bytes + (vector * width.bytes()) as i32;
                let (memory, sum) = (Memory::at(TILE, offset), sum as u8);
                if adds {
                    a.vector(op::ADD, width, sum, sum, memory, Extra::default());
                }
                a.vector(op::STORE, width, sum, 0, memory, Extra::default());
            }
            if adds {
                a.jump(end);
                a.bind(storing);
            }
        }
        a.bind(end);
    }
}
