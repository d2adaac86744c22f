//! Registers for variables, by a linear scan: a variable lives from its first write to its last use, and to the end of
//! every loop that it enters; those that pay least for a register live in memory. It changes no code.

use super::code::{Class, Code, Known, Reg, Step, Use};
use super::encode::Gpr;
use super::encode_vector::Width;

/// Where a variable is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// Never used.
    Nowhere,
    /// A register of its class.
    Register(u8),
    /// The function's frame.
    Frame(usize),
    /// The code's data: a known vector that got no register.
    Data,
}

/// Registers of each class that variables may have. The others are for the steps' own needs.
pub fn pool(class: Class, width: Width) -> Vec<u8> {
    match (class, width) {
        // Without the stack's and the frame's, and two to hold what lives in memory. Those that a called function may
        // change come first.
        (Class::Word, _) => vec![2, 6, 7, 8, 9, 10, 11, 3, 12, 13, 14, 15],
        (Class::Vector, Width::W512) => (SPARE_VECTORS..32).collect(),
        (Class::Vector, _) => (SPARE_VECTORS..16).collect(),
        (Class::Mask, _) => (1..6).collect(),
    }
}

/// Words that no variable has.
pub const SPARE_WORDS: [Gpr; 2] = [Gpr(0), Gpr(1)];
/// So many vectors, the first ones, that no variable has.
pub const SPARE_VECTORS: u8 = 3;
/// The two masks that no variable has.
pub const SPARE_MASKS: [u8; 2] = [6, 7];

/// When a variable lives, and what a register is worth to it.
#[derive(Clone, Copy, Debug)]
struct Life {
    reg: Reg,
    start: usize,
    end: usize,
    weight: f64,
    /// Whose register it would like: one that ends where it starts.
    hint: Option<Reg>,
}

/// The homes of all registers, and how many slots of the frame they need.
pub struct Homes {
    /// By number.
    pub of: Vec<Home>,
    /// Slots of 64 bytes, then of 8, by class.
    pub vectors: usize,
    /// Slots of words and masks.
    pub words: usize,
}

/// Gives every register a home. `parameters` are written before the first step, in these registers.
pub fn allocate(code: &Code, parameters: &[(Reg, Gpr)]) -> Homes {
    let lives = lives(code, parameters);
    let mut homes = Homes {
        of: vec![Home::Nowhere; code.classes.len()],
        vectors: 0,
        words: 0,
    };
    let mut known = vec![false; code.classes.len()];
    for reg in code.known.values() {
        known[reg.0 as usize] = true;
    }
    for class in [Class::Word, Class::Vector, Class::Mask] {
        let mut free = pool(class, code.width);
        free.reverse();
        let mut active: Vec<Life> = vec![];
        for life in lives.iter().filter(|l| code.classes[l.reg.0 as usize] == class) {
            active.retain(|other| {
                let ends = other.end <= life.start;
                if let (true, Home::Register(register)) = (ends, homes.of[other.reg.0 as usize]) {
                    free.push(register);
                }
                !ends
            });
            let hinted = life.hint.map(|hint| homes.of[hint.0 as usize]);
            let register = match hinted {
                Some(Home::Register(r)) if free.contains(&r) => {
                    free.retain(|f| *f != r);
                    Some(r)
                }
                _ => free.pop(),
            };
            let register = register.or_else(|| {
                let least = (0..active.len()).min_by(|a, b| active[*a].weight.total_cmp(&active[*b].weight))?;
                if active[least].weight >= life.weight {
                    return None;
                }
                let loser = active.swap_remove(least);
                let Home::Register(register) = homes.of[loser.reg.0 as usize] else {
                    unreachable!("active variables have registers")
                };
                homes.put_away(loser.reg, class, &known);
                Some(register)
            });
            match register {
                Some(register) => {
                    homes.of[life.reg.0 as usize] = Home::Register(register);
                    active.push(*life);
                }
                None => homes.put_away(life.reg, class, &known),
            }
        }
    }
    homes
}

impl Homes {
    fn put_away(&mut self, reg: Reg, class: Class, known: &[bool]) {
        let at = reg.0 as usize;
        self.of[at] = match class {
            _ if known[at] => Home::Data,
            Class::Vector => {
                self.vectors += 1;
                Home::Frame(self.vectors - 1)
            }
            Class::Word | Class::Mask => {
                self.words += 1;
                Home::Frame(self.words - 1)
            }
        };
    }
}

/// The lives of all registers that are used, by their start. A step at place `p` reads at `2p + 1` and writes at `2p + 2`.
fn lives(code: &Code, parameters: &[(Reg, Gpr)]) -> Vec<Life> {
    let mut ends = vec![];
    for (at, step) in code.steps.iter().enumerate() {
        if let Step::LoopEnd(number) = step {
            if ends.len() <= *number {
                ends.resize(number + 1, 0);
            }
            ends[*number] = 2 * at + 2;
        }
    }
    let mut lives: Vec<Option<Life>> = vec![None; code.classes.len()];
    let life = |reg, start| Life {
        reg,
        start,
        end: start,
        weight: 0.0,
        hint: None,
    };
    for reg in code.known.values().chain(parameters.iter().map(|p| &p.0)) {
        lives[reg.0 as usize] = Some(life(*reg, 0));
    }
    // Open loops: their starts and ends.
    let mut open: Vec<(usize, usize)> = vec![];
    for (at, step) in code.steps.iter().enumerate() {
        match step {
            Step::LoopStart(number) => open.push((2 * at, ends[*number])),
            Step::LoopEnd(_) => {
                open.pop();
            }
            _ => {}
        }
        let worth = 8f64.powi(open.len().min(12) as i32);
        let mut last_read = None;
        step.registers(|reg, how| {
            let place = 2 * at + if how == Use::Read { 1 } else { 2 };
            let entry = lives[reg.0 as usize].get_or_insert_with(|| Life {
                hint: last_read,
                ..life(reg, place)
            });
            entry.end = entry.end.max(place);
            for (start, end) in open.iter().rev() {
                if *start < entry.start {
                    break;
                }
                entry.end = entry.end.max(*end);
            }
            entry.weight += worth;
            if how == Use::Read && code.classes[reg.0 as usize] != Class::Word {
                last_read = Some(reg);
            }
        });
    }
    for (known, reg) in &code.known {
        // These cost no store, and most instructions take them from memory.
        if let (Known::Even(_), Some(life)) = (known, &mut lives[reg.0 as usize]) {
            life.weight *= 0.4;
        }
    }
    // What comes from outside and is never used has no life.
    let mut list: Vec<Life> = lives.into_iter().flatten().filter(|l| l.weight > 0.0).collect();
    for life in &mut list {
        let length = (life.end - life.start) as f64;
        life.weight /= 16.0 + length;
    }
    list.sort_by_key(|l| (l.start, l.reg));
    list
}
