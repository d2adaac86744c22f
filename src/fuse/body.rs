//! Bodies in the making: values with their kinds, equal instructions once, each put where it need run only once.
//! It knows instructions, not nodes.

use super::mathematics::Code;
use crate::ir::affine::{Guard, Position};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::{Along, Arithmetic, Body, BufferId, Define, Instruction, ValueId};
use crate::ir::kernel_verify::ValueKind;
use std::collections::HashMap;
use std::ops::Range;

/// A value with what must be known to use it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Value {
    /// Its number.
    pub id: ValueId,
    /// What it is.
    pub kind: ValueKind,
    /// Where it is defined.
    pub home: Home,
}

/// Where a value lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// A constant, written anew in each body that uses it.
    Constant(Bits),
    /// A body; values of row bodies live on behind it.
    Slot(usize),
}

/// The bits of a constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Bits {
    Real(u32),
    Integer(i32),
    Truth(bool),
}

/// One body, and how instructions come into it.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// Once for each row.
    pub row: bool,
    /// Its instructions.
    pub body: Body,
    seen: HashMap<Key, ValueId>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    what: u32,
    words: Vec<u32>,
    at: Option<Position>,
    guards: Vec<Guard>,
}

/// All bodies of a kernel. Axes are logical: the vector axis is the last one, sequential axes stand before it.
pub struct Bodies {
    /// In the order in which they run.
    pub slots: Vec<Slot>,
    /// Where instructions are put now.
    pub current: usize,
    /// The axes that change within a row: the sequential ones and the vector axis. Empty: all goes into one body.
    pub varying: Range<usize>,
    next: u32,
}

impl Bodies {
    /// Empty bodies, `true` for those that run once a row.
    pub fn new(rows: &[bool], varying: Range<usize>) -> Bodies {
        let slots = rows.iter().map(|&row| Slot { row, ..Slot::default() }).collect();
        Bodies {
            slots,
            current: 0,
            varying,
            next: 0,
        }
    }

    /// A new number.
    pub fn fresh(&mut self) -> ValueId {
        self.next += 1;
        ValueId(self.next - 1)
    }

    /// The value in the body at hand: constants are written where they are used.
    fn localised(&mut self, value: Value, slot: usize) -> ValueId {
        let Home::Constant(bits) = value.home else {
            return value.id;
        };
        let instruction = match bits {
            Bits::Real(bits) => Instruction::Constant(f32::from_bits(bits)),
            Bits::Integer(i) => Instruction::Integer(i),
            Bits::Truth(true) => Instruction::Inside(vec![]),
            Bits::Truth(false) => {
                let truth = self.constant(Bits::Truth(true));
                let truth = self.localised(truth, slot);
                Instruction::Arithmetic(Arithmetic::Not, vec![truth])
            }
        };
        self.define(slot, instruction)
    }

    /// A constant.
    pub fn constant(&mut self, bits: Bits) -> Value {
        let kind = match bits {
            Bits::Real(_) => ValueKind::Real,
            Bits::Integer(_) => ValueKind::Integer,
            Bits::Truth(_) => ValueKind::Mask,
        };
        Value {
            id: ValueId(u32::MAX),
            kind,
            home: Home::Constant(bits),
        }
    }

    fn define(&mut self, slot: usize, instruction: Instruction) -> ValueId {
        let key = key(&instruction);
        if let Some(&value) = self.slots[slot].seen.get(&key) {
            return value;
        }
        let value = self.fresh();
        self.slots[slot].body.push(Define { value, instruction });
        self.slots[slot].seen.insert(key, value);
        value
    }

    /// Adds an instruction of arguments, which `make` receives as they are called in the body.
    pub fn push(
        &mut self,
        arguments: &[Value],
        positions: &[&Position],
        kind: ValueKind,
        make: impl FnOnce(&[ValueId]) -> Instruction,
    ) -> Value {
        let slot = self.slot_for(arguments, positions);
        let arguments: Vec<ValueId> = arguments.iter().map(|&a| self.localised(a, slot)).collect();
        let id = self.define(slot, make(&arguments));
        Value {
            id,
            kind,
            home: Home::Slot(slot),
        }
    }

    /// The current body, or an earlier row body if nothing depends on the vector axis.
    fn slot_for(&self, arguments: &[Value], positions: &[&Position]) -> usize {
        if self.varying.is_empty() {
            return self.current;
        }
        if positions.iter().any(|p| self.varying.clone().any(|axis| p.uses(axis))) {
            return self.current;
        }
        let mut latest = 0;
        for argument in arguments {
            if let Home::Slot(slot) = argument.home {
                if !self.slots[slot].row {
                    return self.current;
                }
                latest = latest.max(slot);
            }
        }
        if self.slots[latest].row { latest } else { self.current }
    }

    /// Adds a store at the end of the current body.
    pub fn store(&mut self, buffer: BufferId, at: Position, value: Value) {
        let value = self.localised(value, self.current);
        let define = Define {
            value: self.fresh(),
            instruction: Instruction::Store { buffer, at, value },
        };
        self.slots[self.current].body.push(define);
    }

    /// Adds a reduction to the current body; its value belongs to a later one.
    pub fn reduce(&mut self, function: ReduceFunction, value: Value, along: Along, home: usize) -> Value {
        let value = self.localised(value, self.current);
        let instruction = Instruction::Reduce { function, value, along };
        let id = self.define(self.current, instruction);
        Value {
            id,
            kind: ValueKind::Real,
            home: Home::Slot(home),
        }
    }

    /// Adds an instruction at the end of a body.
    pub fn append(&mut self, slot: usize, instruction: Instruction) {
        let value = self.fresh();
        self.slots[slot].body.push(Define { value, instruction });
    }

    /// A real: ids become their number, truth 1 and 0.
    pub fn as_real(&mut self, value: Value) -> Value {
        match value.kind {
            ValueKind::Real => value,
            ValueKind::Integer => self.one(Arithmetic::ToReal, value),
            ValueKind::Mask => {
                let (one, zero) = (self.real(1.0), self.real(0.0));
                self.select(value, one, zero)
            }
        }
    }

    /// A mask: what is not 0.
    pub fn as_mask(&mut self, value: Value) -> Value {
        if value.kind == ValueKind::Mask {
            return value;
        }
        let value = self.as_real(value);
        let zero = self.real(0.0);
        let equal = self.two(Arithmetic::Equal, value, zero);
        self.one(Arithmetic::Not, equal)
    }

    /// A whole number.
    pub fn as_integer(&mut self, value: Value) -> Value {
        match value.kind {
            ValueKind::Integer => value,
            _ => {
                let real = self.as_real(value);
                self.one(Arithmetic::ToInteger, real)
            }
        }
    }
}

fn result_kind(function: Arithmetic) -> ValueKind {
    use Arithmetic::*;
    match function {
        Less | LessEqual | Equal | And | Or | Not | IntegerEqual => ValueKind::Mask,
        IntegerAdd | IntegerSubtract | IntegerMultiply | BitAnd | BitOr | BitXor | ToInteger | RealBits => {
            ValueKind::Integer
        }
        _ => ValueKind::Real,
    }
}

impl Code for Bodies {
    type Value = Value;

    fn real(&mut self, value: f32) -> Value {
        self.constant(Bits::Real(value.to_bits()))
    }

    fn integer(&mut self, value: i32) -> Value {
        self.constant(Bits::Integer(value))
    }

    fn one(&mut self, function: Arithmetic, a: Value) -> Value {
        self.push(&[a], &[], result_kind(function), |v| {
            Instruction::Arithmetic(function, v.to_vec())
        })
    }

    fn two(&mut self, function: Arithmetic, a: Value, b: Value) -> Value {
        self.push(&[a, b], &[], result_kind(function), |v| {
            Instruction::Arithmetic(function, v.to_vec())
        })
    }

    fn multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.push(&[a, b, c], &[], ValueKind::Real, |v| {
            Instruction::MultiplyAdd(v[0], v[1], v[2])
        })
    }

    fn select(&mut self, mask: Value, then: Value, otherwise: Value) -> Value {
        self.push(&[mask, then, otherwise], &[], then.kind, |v| {
            Instruction::Select(v[0], v[1], v[2])
        })
    }

    fn shift_left(&mut self, a: Value, by: u8) -> Value {
        self.push(&[a], &[], ValueKind::Integer, |v| Instruction::ShiftLeft(v[0], by))
    }

    fn shift_right(&mut self, a: Value, by: u8) -> Value {
        self.push(&[a], &[], ValueKind::Integer, |v| Instruction::ShiftRight(v[0], by))
    }
}

/// What makes two instructions equal.
pub fn key(instruction: &Instruction) -> Key {
    let mut key = Key {
        what: 0,
        words: vec![],
        at: None,
        guards: vec![],
    };
    let Key {
        what,
        words,
        at: place,
        guards: conditions,
    } = &mut key;
    match instruction {
        Instruction::Constant(c) => (*what, *words) = (1, vec![c.to_bits()]),
        Instruction::Integer(i) => (*what, *words) = (2, vec![*i as u32]),
        Instruction::Load {
            buffer,
            at,
            guards,
            fill,
        } => {
            (*what, *words, *place) = (3, vec![buffer.0, fill.to_bits()], Some(at.clone()));
            conditions.clone_from(guards);
        }
        Instruction::Gather { buffer, at, ids } => {
            (*what, *words, *place) = (4, vec![buffer.0], Some(at.clone()));
            ids.iter()
                .for_each(|(v, stride)| words.extend([v.0, *stride as u32, (*stride >> 32) as u32]));
        }
        Instruction::Index(at) => (*what, *place) = (5, Some(at.clone())),
        Instruction::Inside(guards) => (*what, *conditions) = (6, guards.clone()),
        Instruction::KeptLoad(row) => (*what, *words) = (7, vec![*row]),
        Instruction::KeptStore(row, v) => (*what, *words) = (8, vec![*row, v.0]),
        Instruction::Arithmetic(f, v) => (*what, *words) = (100 + *f as u32, v.iter().map(|v| v.0).collect()),
        Instruction::ShiftLeft(v, by) => (*what, *words) = (9, vec![v.0, u32::from(*by)]),
        Instruction::ShiftRight(v, by) => (*what, *words) = (10, vec![v.0, u32::from(*by)]),
        Instruction::MultiplyAdd(a, b, c) => (*what, *words) = (11, vec![a.0, b.0, c.0]),
        Instruction::Select(a, b, c) => (*what, *words) = (12, vec![a.0, b.0, c.0]),
        Instruction::Reduce { function, value, along } => {
            (*what, *words) = (13, vec![*function as u32, value.0, u32::from(*along == Along::Vector)]);
        }
        Instruction::Product => *what = 14,
        Instruction::Store { buffer, at, value } => {
            (*what, *words, *place) = (15, vec![buffer.0, value.0], Some(at.clone()));
        }
    }
    key
}
