//! A loop kernel that asks at which index of a short outer axis it is → one kernel that does all indices side by side (or
//! one for each, where they are more than straight code), without the question and without what only other indices
//! need. A value that is put together of parts side by side (gates of a recurrent cell, features of two branches) would
//! otherwise compute every part for every index. Changes no bit.

use super::join::side_by_side;
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::arithmetic::calculate;
use crate::ir::kernel::*;
use std::collections::HashMap;

/// The longest axis that is taken apart.
const LONGEST: usize = 8;
/// Instructions that a kernel must have for it.
const LONG_BODY: usize = 48;

/// The kernels that together do what this one does: itself, or one for all indices of an axis, or one for each.
pub fn partitioned(kernel: KernelBody, buffers: &dyn Fn(BufferId) -> Storage) -> Vec<KernelBody> {
    let KernelBody::Loop(whole) = kernel else {
        return vec![kernel];
    };
    if instructions(&whole) >= LONG_BODY {
        for axis in 1..=whole.outer.len() {
            let size = whole.outer[axis - 1];
            if !(2..=LONGEST).contains(&size) || !asked_about(&whole, axis) {
                continue;
            }
            let parts: Vec<LoopKernel> = (0..size).map(|index| at_index(&whole, axis, index, buffers)).collect();
            let less: usize = parts.iter().map(instructions).sum();
            if 4 * less <= 3 * size * instructions(&whole) {
                return match side_by_side(&parts) {
                    Some(kernel) => vec![KernelBody::Loop(kernel)],
                    None => parts.into_iter().map(KernelBody::Loop).collect(),
                };
            }
        }
    }
    vec![KernelBody::Loop(whole)]
}

fn instructions(kernel: &LoopKernel) -> usize {
    kernel.passes.iter().map(|p| p.body.len() + p.finish.len()).sum()
}

/// Whether a guard looks at this axis alone.
fn asked_about(kernel: &LoopKernel, axis: usize) -> bool {
    let alone = |of: &Position| of.digits.is_empty() && matches!(of.affine.terms[..], [(at, _)] if at == axis);
    let asks = |guard: &Guard| match guard {
        Guard::Within { of, .. } => alone(of),
        Guard::Divisible { of, .. } => matches!(of.terms[..], [(at, _)] if at == axis),
    };
    let mut defines = kernel.passes.iter().flat_map(|p| p.body.iter().chain(&p.finish));
    defines.any(|define| match &define.instruction {
        Instruction::Load { guards, .. } | Instruction::Inside(guards) => guards.iter().any(asks),
        _ => false,
    })
}

/// The kernel at one index of an axis, which it no longer has.
fn at_index(whole: &LoopKernel, axis: usize, index: usize, buffers: &dyn Fn(BufferId) -> Storage) -> LoopKernel {
    let mut kernel = whole.clone();
    kernel.outer.remove(axis - 1);
    let longest = kernel.passes.iter().map(|p| p.sequential.len()).max().unwrap_or(0);
    let replacement: Vec<Affine> = (0..=whole.outer.len() + longest)
        .map(|old| match old.cmp(&axis) {
            std::cmp::Ordering::Less => Affine::axis(old),
            std::cmp::Ordering::Equal => Affine::constant(index as i64),
            std::cmp::Ordering::Greater => Affine::axis(old - 1),
        })
        .collect();
    let mut known = Known::default();
    for pass in &mut kernel.passes {
        for body in [&mut pass.body, &mut pass.finish] {
            for define in body.iter_mut() {
                known.renew(&mut define.instruction);
                substitute(&mut define.instruction, &replacement);
                known.fold(define, buffers);
            }
        }
    }
    without_unused(&mut kernel);
    kernel
}

fn position(at: &Position, replacement: &[Affine]) -> Position {
    let mut result = Position::from(at.affine.substitute(replacement));
    for digit in &at.digits {
        let of = digit.of.substitute(replacement);
        if of.terms.is_empty() {
            let quotient = of.constant.div_euclid(digit.divide);
            let value = digit.modulo.map_or(quotient, |m| quotient.rem_euclid(m));
            result.affine.constant += digit.coefficient * value;
        } else {
            result.digits.push(Digit { of, ..digit.clone() });
        }
    }
    result
}

fn substitute(instruction: &mut Instruction, replacement: &[Affine]) {
    let guard = |guard: &Guard| match guard {
        Guard::Within { of, low, high } => Guard::Within {
            of: position(of, replacement),
            low: *low,
            high: *high,
        },
        Guard::Divisible { of, by } => Guard::Divisible {
            of: of.substitute(replacement),
            by: *by,
        },
    };
    match instruction {
        Instruction::Load { at, guards, .. } => {
            *at = position(at, replacement);
            *guards = guards.iter().map(guard).collect();
        }
        Instruction::Inside(guards) => *guards = guards.iter().map(guard).collect(),
        Instruction::Gather { at, .. } | Instruction::Store { at, .. } | Instruction::Index(at) => {
            *at = position(at, replacement);
        }
        _ => {}
    }
}

/// Whether guards hold: all of them, one of them not, or those that are left will tell.
fn decided(guards: &mut Vec<Guard>) -> Option<bool> {
    let fixed = |guard: &Guard| match guard {
        Guard::Within { of, .. } => of.digits.is_empty() && of.affine.terms.is_empty(),
        Guard::Divisible { of, .. } => of.terms.is_empty(),
    };
    if guards.iter().any(|g| fixed(g) && !g.holds(&[])) {
        return Some(false);
    }
    guards.retain(|g| !fixed(g));
    guards.is_empty().then_some(true)
}

/// What a value is.
#[derive(Clone, Copy)]
enum Fixed {
    Real(f32),
    Integer(i32),
    Mask(bool),
}

impl Fixed {
    fn bits(self) -> u32 {
        match self {
            Fixed::Real(number) => number.to_bits(),
            Fixed::Integer(number) => number as u32,
            Fixed::Mask(holds) => u32::from(holds).wrapping_neg(),
        }
    }
}

/// Values that are known, and values that are others.
#[derive(Default)]
struct Known {
    fixed: HashMap<ValueId, Fixed>,
    same: HashMap<ValueId, ValueId>,
}

impl Known {
    /// Lets an instruction use the values that its own are the same as.
    fn renew(&self, instruction: &mut Instruction) {
        super::tidy::each_argument(instruction, &mut |value| {
            if let Some(&other) = self.same.get(value) {
                *value = other;
            }
        });
    }

    /// Calculates what can be; constants take the place of what they come from.
    fn fold(&mut self, define: &mut Define, buffers: &dyn Fn(BufferId) -> Storage) {
        let fixed = match &mut define.instruction {
            Instruction::Load {
                guards, fill, buffer, ..
            } => match (decided(guards), buffers(*buffer)) {
                (Some(false), Storage::F32) => Some(Fixed::Real(*fill)),
                (Some(false), Storage::I32) => Some(Fixed::Integer(*fill as i32)),
                _ => None,
            },
            Instruction::Inside(guards) => decided(guards).map(Fixed::Mask),
            Instruction::Index(at) if at.digits.is_empty() && at.affine.terms.is_empty() => {
                Some(Fixed::Integer(at.affine.constant as i32))
            }
            Instruction::Constant(number) => Some(Fixed::Real(*number)),
            Instruction::Integer(number) => Some(Fixed::Integer(*number)),
            Instruction::Select(mask, then, other) => {
                if let Some(Fixed::Mask(holds)) = self.fixed.get(mask) {
                    let taken = if *holds { *then } else { *other };
                    self.same.insert(define.value, taken);
                    if let Some(&fixed) = self.fixed.get(&taken) {
                        self.fixed.insert(define.value, fixed);
                    }
                }
                return;
            }
            other => self.calculated(other),
        };
        let Some(fixed) = fixed else { return };
        self.fixed.insert(define.value, fixed);
        match fixed {
            Fixed::Real(number) => define.instruction = Instruction::Constant(number),
            Fixed::Integer(number) => define.instruction = Instruction::Integer(number),
            // There is no constant mask: it stays what it is, and who asks it knows the answer.
            Fixed::Mask(_) => {}
        }
    }

    fn calculated(&self, instruction: &Instruction) -> Option<Fixed> {
        let of = |value: &ValueId| self.fixed.get(value).map(|f| f.bits());
        match instruction {
            Instruction::Arithmetic(function, arguments) => {
                let bits: Vec<u32> = arguments.iter().map(of).collect::<Option<_>>()?;
                let result = calculate(*function, bits[0], bits.get(1).copied().unwrap_or(0));
                Some(typed(*function, result))
            }
            Instruction::ShiftLeft(value, by) => Some(Fixed::Integer((of(value)? << by) as i32)),
            Instruction::ShiftRight(value, by) => Some(Fixed::Integer((of(value)? >> by) as i32)),
            Instruction::MultiplyAdd(a, b, c) => {
                let [a, b, c] = [of(a)?, of(b)?, of(c)?].map(f32::from_bits);
                Some(Fixed::Real(a.mul_add(b, c)))
            }
            _ => None,
        }
    }
}

fn typed(function: Arithmetic, bits: u32) -> Fixed {
    use Arithmetic::*;
    match function {
        Less | LessEqual | Equal | And | Or | Not | IntegerEqual => Fixed::Mask(bits != 0),
        IntegerAdd | IntegerSubtract | IntegerMultiply | BitAnd | BitOr | BitXor | ToInteger | RealBits => {
            Fixed::Integer(bits as i32)
        }
        _ => Fixed::Real(f32::from_bits(bits)),
    }
}

fn without_unused(kernel: &mut LoopKernel) {
    let mut bodies: Vec<&mut Body> = kernel
        .passes
        .iter_mut()
        .flat_map(|p| [&mut p.body, &mut p.finish])
        .collect();
    super::tidy::without_unused_in(&mut bodies);
    kernel.passes.retain(|p| !p.body.is_empty() || !p.finish.is_empty());
}

#[cfg(test)]
#[path = "partition_test.rs"]
mod tests;
