//! The inner loops of matrix products of bfloat16 numbers on a machine with tiles (AMX): some rows of `a`, in place or packed
//! in tiles, times a packed panel of `b`, into a block of binary32 in scratch memory.

use super::ahead::Ahead;
use super::encode::{Alu, Assembler, Condition, Gpr, Label, Memory, Shift, gpr::*};

/// Rows of a tile.
pub const ROWS: usize = 16;
/// Bytes of a row of a tile: 16 sums, or 16 pairs.
pub const ROW_BYTES: i32 = 64;
/// Tiles one below the other that are summed up together.
pub const BELOW: usize = 2;
/// Tiles side by side at most. With two, all eight tiles are in use: four sums and two of each factor, each loaded once.
/// With three there is one of each factor; the panel's are loaded twice, the second time from the first cache, for sums of
/// which there are half as many again.
pub const BESIDE: usize = 3;
/// Steps of a tile: of `a` along its rows, of the panel its rows.
const STEPS: i32 = 16;

/// `fn(a, panel, block, rows, steps, accumulate)`: for each row, `block[row][column] = Σ a[row][step] · panel[step][column]`
/// over steps of two products, a multiple of 16 of them; or that is added, tile by tile, to what is there. All tiles are
/// as [`emit_begin`] leaves them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MultiplyTiles {
    /// Tiles side by side in a panel's row, at most [`BESIDE`].
    pub vectors: usize,
    /// Bytes of `a` from row to row.
    pub row_bytes: i32,
    /// Bytes of `a` from 16 steps to the next.
    pub block_bytes: i32,
    /// Bytes of the panel from step to step.
    pub panel_step_bytes: i32,
    /// Bytes of the block of sums from row to row.
    pub tile_row_bytes: i32,
    /// Whether it brings lines of a list nearer meanwhile, whose address is a seventh argument.
    pub ahead: bool,
}

const A: Gpr = RDI;
const PANEL: Gpr = RSI;
const BLOCK: Gpr = RDX;
const LEFT_ROWS: Gpr = RCX;
const LENGTH: Gpr = R8;
const ACCUMULATE: Gpr = R9;
/// Bytes from row to row of what is loaded or stored.
const A_STRIDE: Gpr = RAX;
const PANEL_STRIDE: Gpr = R10;
/// Of the block of sums; in the loop the rounds that are left.
const STRIDE_OR_LEFT: Gpr = R11;
/// Where `a` and the panel begin: below the stack, which no other function uses meanwhile, and below the return address
/// of [`Ahead`].
const KEPT: [(Gpr, i32); 2] = [(A, -16), (PANEL, -24)];

/// All tiles.
const TILES: u8 = 8;

/// Sizes of all tiles, as LDTILECFG reads them: of `rows` rows those that hold sums and `a`, of 16 those of the panel.
fn configuration(rows: usize, first_of_panel: u8) -> Vec<u32> {
    let mut bytes = [0u8; 64];
    bytes[0] = 1;
    for tile in 0..TILES {
        let number = usize::from(tile);
        bytes[16 + 2 * number] = ROW_BYTES as u8;
        bytes[48 + number] = if tile < first_of_panel { rows } else { ROWS } as u8;
    }
    let words = bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    words.collect()
}

/// `fn()`: makes all tiles of 16 rows of 64 bytes.
pub fn emit_begin(a: &mut Assembler) {
    let sizes = a.label();
    a.configure_tiles(Memory::place(sizes, 0));
    a.return_();
    a.align_data(64);
    a.bind(sizes);
    a.words(&configuration(ROWS, TILES));
}

/// `fn()`: gives up all tiles, so that nobody saves them when threads change.
pub fn emit_end(a: &mut Assembler) {
    a.release_tiles();
    a.return_();
}

impl MultiplyTiles {
    /// The whole function.
    pub fn emit(self, a: &mut Assembler) {
        let ahead = self.ahead.then(|| Ahead::enter(a));
        let (rest, end, sizes) = (a.label(), a.label(), a.label());
        a.number(A_STRIDE, self.row_bytes.into());
        a.number(PANEL_STRIDE, self.panel_step_bytes.into());
        for (register, below) in KEPT {
            a.store(Memory::at(RSP, below), register);
        }
        let two = (BELOW * ROWS) as i32;
        a.alu_number(Alu::Compare, LEFT_ROWS, two);
        a.jump_if(Condition::Less, rest);
        let again = a.here();
        self.sum(a, BELOW, ahead);
        a.alu_number(Alu::Add, A, self.row_bytes * two);
        a.store(Memory::at(RSP, KEPT[0].1), A);
        a.alu_number(Alu::Add, BLOCK, self.tile_row_bytes * two);
        a.alu_number(Alu::Subtract, LEFT_ROWS, two);
        a.alu_number(Alu::Compare, LEFT_ROWS, two);
        a.jump_if(Condition::GreaterEqual, again);
        a.bind(rest);
        let few = a.label();
        let one = ROWS as i32;
        a.alu_number(Alu::Compare, LEFT_ROWS, one);
        a.jump_if(Condition::Less, few);
        self.sum(a, 1, None);
        a.alu_number(Alu::Add, A, self.row_bytes * one);
        a.store(Memory::at(RSP, KEPT[0].1), A);
        a.alu_number(Alu::Add, BLOCK, self.tile_row_bytes * one);
        a.alu_number(Alu::Subtract, LEFT_ROWS, one);
        a.bind(few);
        a.alu_number(Alu::Compare, LEFT_ROWS, 0);
        a.jump_if(Condition::Equal, end);
        // Fewer rows: of tiles that have as many, and no more is read or written.
        a.address(STRIDE_OR_LEFT, Memory::place(sizes, -ROW_BYTES));
        a.shift(Shift::Left, LEFT_ROWS, ROW_BYTES.trailing_zeros() as u8);
        a.configure_tiles(Memory::indexed(STRIDE_OR_LEFT, LEFT_ROWS, 0, 0));
        self.sum(a, 1, None);
        a.configure_tiles(Memory::place(sizes, (ROWS as i32 - 1) * ROW_BYTES));
        a.bind(end);
        if let Some(ahead) = ahead {
            ahead.leave(a);
        }
        a.return_();
        if let Some(ahead) = ahead {
            ahead.emit_next_row(a);
        }
        a.align_data(64);
        a.bind(sizes);
        for rows in 1..=ROWS {
            a.words(&configuration(rows, self.of_panel(0)));
        }
    }

    /// All steps of so many tiles one below the other.
    fn sum(self, a: &mut Assembler, below: usize, ahead: Option<Ahead>) {
        let (zeros, start, end) = (a.label(), a.label(), a.label());
        a.number(STRIDE_OR_LEFT, self.tile_row_bytes.into());
        a.alu_number(Alu::Compare, ACCUMULATE, 0);
        a.jump_if(Condition::Equal, zeros);
        self.each_sum(below, |sum, offset| {
            a.load_tile(sum, Memory::indexed(BLOCK, STRIDE_OR_LEFT, 0, offset))
        });
        a.jump(start);
        a.bind(zeros);
        self.each_sum(below, |sum, _| a.zero_tile(sum));
        a.bind(start);
        a.copy(STRIDE_OR_LEFT, LENGTH);
        a.shift(Shift::Right, STRIDE_OR_LEFT, STEPS.trailing_zeros() as u8);
        a.jump_if(Condition::Equal, end);
        self.rounds(a, below, ahead);
        for (register, below) in KEPT {
            a.load(register, Memory::at(RSP, below));
        }
        a.bind(end);
        a.number(STRIDE_OR_LEFT, self.tile_row_bytes.into());
        self.each_sum(below, |sum, offset| {
            a.store_tile(Memory::indexed(BLOCK, STRIDE_OR_LEFT, 0, offset), sum);
        });
    }

    /// The number of each tile of sums, and its bytes from the first one.
    fn each_sum(self, below: usize, mut each: impl FnMut(u8, i32)) {
        for down in 0..below {
            for beside in 0..self.vectors {
                let offset = (down * ROWS) as i32 * self.tile_row_bytes + beside as i32 * ROW_BYTES;
                each(self.of_sum(down, beside), offset);
            }
        }
    }

    /// The tiles: first the sums, then those of `a`, and of the panel.
    fn of_sum(self, down: usize, beside: usize) -> u8 {
        (down * self.vectors + beside) as u8
    }

    fn of_a(self, down: usize) -> u8 {
        let first = (BELOW * self.vectors) as u8;
        if self.vectors == BESIDE {
            first
        } else {
            first + down as u8
        }
    }

    fn of_panel(self, beside: usize) -> u8 {
        let first = self.of_a(BELOW - 1) + 1;
        if self.vectors == BESIDE {
            first
        } else {
            first + beside as u8
        }
    }

    /// The loop over 16 steps at a time, at least once. Loads stand before the first product that needs them.
    fn rounds(self, a: &mut Assembler, below: usize, ahead: Option<Ahead>) {
        let again: Label = a.here();
        // What each tile of a panel holds.
        let mut held = [None; TILES as usize];
        for down in 0..below {
            let of_a = self.of_a(down);
            let offset = (down * ROWS) as i32 * self.row_bytes;
            a.load_tile(of_a, Memory::indexed(A, A_STRIDE, 0, offset));
            for number in 0..self.vectors {
                // Back from where the tiles above ended.
                let beside = if down % 2 == 0 {
                    number
                } else {
                    self.vectors - 1 - number
                };
                let of_panel = self.of_panel(beside);
                if held[usize::from(of_panel)].replace(beside) != Some(beside) {
                    a.load_tile(
                        of_panel,
                        Memory::indexed(PANEL, PANEL_STRIDE, 0, beside as i32 * ROW_BYTES),
                    );
                }
                a.multiply_tiles(self.of_sum(down, beside), of_a, of_panel);
                if let Some(ahead) = ahead {
                    ahead.line(a);
                }
            }
        }
        a.alu_number(Alu::Add, A, self.block_bytes);
        a.alu_number(Alu::Add, PANEL, self.panel_step_bytes * STEPS);
        a.alu_number(Alu::Subtract, STRIDE_OR_LEFT, 1);
        a.jump_if(Condition::NotEqual, again);
    }
}
