//! What every emitter wants to know of a kernel, apart from any instruction set: where a value changes, how a position
//! moves from lane to lane and which part of it stays, which reductions a pass has.

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::ReduceFunction;
use crate::ir::kernel::*;
use crate::ir::position::gcd;

/// Along which axes inside a row a value changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Varies {
    /// From element to element of the vector axis.
    pub vector: bool,
    /// From iteration to iteration of the sequential axes.
    pub sequential: bool,
}

impl Varies {
    /// Along both: the innermost place, where effects stand.
    pub const EVERYWHERE: Varies = Varies {
        vector: true,
        sequential: true,
    };

    fn or(self, other: Varies) -> Varies {
        Varies {
            vector: self.vector || other.vector,
            sequential: self.sequential || other.sequential,
        }
    }
}

/// Numbers of the sequential axes start here.
pub fn first_sequential(outer: usize) -> usize {
    1 + outer
}

/// What a position changes along.
pub fn position_varies(at: &Position, sequential_from: usize) -> Varies {
    let digits = at.digits.iter().map(|d| affine_varies(&d.of, sequential_from));
    digits.fold(affine_varies(&at.affine, sequential_from), Varies::or)
}

fn affine_varies(affine: &Affine, sequential_from: usize) -> Varies {
    Varies {
        vector: affine.coefficient(VECTOR_AXIS) != 0,
        sequential: affine.terms.iter().any(|t| t.0 >= sequential_from),
    }
}

/// What guards change along.
pub fn guards_vary(guards: &[Guard], sequential_from: usize) -> Varies {
    let each = guards.iter().map(|g| match g {
        Guard::Within { of, .. } => position_varies(of, sequential_from),
        Guard::Divisible { of, .. } => affine_varies(of, sequential_from),
    });
    each.fold(Varies::default(), Varies::or)
}

/// What each value of a kernel changes along; filled pass by pass.
#[derive(Default)]
pub struct Levels(Vec<Varies>);

impl Levels {
    /// What a value changes along: nothing, if it comes from an earlier pass.
    pub fn of(&self, value: ValueId) -> Varies {
        self.0.get(value.0 as usize).copied().unwrap_or_default()
    }

    /// Takes in a pass's body. Effects, and what depends on them, stand everywhere.
    pub fn enter(&mut self, body: &Body, sequential_from: usize) {
        let keeps = body.iter().any(|d| matches!(d.instruction, Instruction::KeptStore(..)));
        for define in body {
            let operands = operands(&define.instruction);
            let inherited = operands.iter().map(|v| self.of(*v)).fold(Varies::default(), Varies::or);
            let own = match &define.instruction {
                Instruction::Load { at, guards, .. } => {
                    position_varies(at, sequential_from).or(guards_vary(guards, sequential_from))
                }
                Instruction::Gather { at, .. } | Instruction::Index(at) => position_varies(at, sequential_from),
                Instruction::Inside(guards) => guards_vary(guards, sequential_from),
                Instruction::KeptLoad(_) => Varies {
                    vector: true,
                    sequential: keeps,
                },
                Instruction::Product => Varies {
                    vector: true,
                    sequential: false,
                },
                Instruction::Store { .. } | Instruction::KeptStore(..) => Varies::EVERYWHERE,
                Instruction::Reduce { along, .. } => Varies {
                    vector: *along == Along::Sequential,
                    sequential: false,
                },
                _ => Varies::default(),
            };
            let varies = match define.instruction {
                Instruction::Reduce { .. } => own,
                _ => own.or(inherited),
            };
            let at = define.value.0 as usize;
            if self.0.len() <= at {
                self.0.resize(at + 1, Varies::default());
            }
            if !matches!(
                define.instruction,
                Instruction::Store { .. } | Instruction::KeptStore(..)
            ) {
                self.0[at] = varies;
            }
        }
    }

    /// Forgets that reductions of a finished pass changed along anything.
    pub fn leave(&mut self) {
        self.0.fill(Varies::default());
    }
}

/// Bytes of the scratch memory from kept row to kept row: whole turns of the sixteen lanes.
pub fn kept_stride(kernel: &LoopKernel) -> usize {
    kernel.vector.next_multiple_of(LANES) * Storage::F32.stride()
}

/// The values that an instruction uses.
pub fn operands(instruction: &Instruction) -> Vec<ValueId> {
    match instruction {
        Instruction::Gather { ids, .. } => ids.iter().map(|i| i.0).collect(),
        Instruction::Arithmetic(_, arguments) => arguments.clone(),
        Instruction::ShiftLeft(value, _)
        | Instruction::ShiftRight(value, _)
        | Instruction::KeptStore(_, value)
        | Instruction::Reduce { value, .. }
        | Instruction::Store { value, .. } => vec![*value],
        Instruction::MultiplyAdd(a, b, c) | Instruction::Select(a, b, c) => vec![*a, *b, *c],
        Instruction::Constant(_)
        | Instruction::Integer(_)
        | Instruction::Load { .. }
        | Instruction::Index(_)
        | Instruction::Inside(_)
        | Instruction::KeptLoad(_)
        | Instruction::Product => vec![],
    }
}

/// A reduction of a pass.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reduction {
    /// What it defines.
    pub result: ValueId,
    /// How.
    pub function: ReduceFunction,
    /// What is reduced.
    pub value: ValueId,
}

/// The reductions along one kind of axis, in the order of the text.
pub fn reductions<'a>(body: impl IntoIterator<Item = &'a Define>, wanted: Along) -> Vec<Reduction> {
    let each = body.into_iter().filter_map(|define| match define.instruction {
        Instruction::Reduce { function, value, along } if along == wanted => Some(Reduction {
            result: define.value,
            function,
            value,
        }),
        _ => None,
    });
    each.collect()
}

/// Bounds of reals, as far as constants tell them: what a value is between, unless it is a NaN.
#[derive(Default)]
pub struct Ranges(Vec<Option<(f32, f32)>>);

impl Ranges {
    /// Of all values of a kernel's bodies, in order.
    pub fn of<'b>(bodies: impl IntoIterator<Item = &'b Define>) -> Ranges {
        let mut ranges = Ranges::default();
        for define in bodies {
            let range = ranges.of_instruction(&define.instruction);
            let at = define.value.0 as usize;
            if ranges.0.len() <= at {
                ranges.0.resize(at + 1, None);
            }
            ranges.0[at] = range;
        }
        ranges
    }

    /// Whether a value can be converted to an integer without regard to overflow.
    pub fn fits_integer(&self, value: ValueId) -> bool {
        self.get(value)
            .is_some_and(|(low, high)| low > -2147483648.0 && high < 2147483648.0)
    }

    fn get(&self, value: ValueId) -> Option<(f32, f32)> {
        self.0.get(value.0 as usize).copied().flatten()
    }

    fn of_instruction(&self, instruction: &Instruction) -> Option<(f32, f32)> {
        use Arithmetic::*;
        let anything = (f32::NEG_INFINITY, f32::INFINITY);
        let (function, arguments) = match instruction {
            Instruction::Constant(number) if !number.is_nan() => return Some((*number, *number)),
            Instruction::Arithmetic(function, arguments) => (*function, arguments),
            _ => return None,
        };
        let a = self.get(arguments[0]);
        let b = arguments.get(1).and_then(|b| self.get(*b));
        // A range of one number is a constant: the only second argument that is known not to be a NaN.
        let constant = b.filter(|(low, high)| low == high);
        let ((low, high), other) = match function {
            Minimum | Maximum => (a.unwrap_or(anything), constant?.0),
            Nearest | Floor | Negate | Absolute => (a?, 0.0),
            Multiply => (a?, constant?.0),
            Add | Subtract => {
                let ((a, b), (c, d)) = (a?, b?);
                let range = if function == Add {
                    (a + c, b + d)
                } else {
                    (a - d, b - c)
                };
                return Some(range).filter(|r| !r.0.is_nan() && !r.1.is_nan());
            }
            _ => return None,
        };
        let range = match function {
            Minimum => (low.min(other), high.min(other)),
            Maximum => (low.max(other), high.max(other)),
            Nearest => (low.round_ties_even(), high.round_ties_even()),
            Floor => (low.floor(), high.floor()),
            Negate => (-high, -low),
            Absolute => (0.0, low.abs().max(high.abs())),
            _ if other < 0.0 => (high * other, low * other),
            _ => (low * other, high * other),
        };
        Some(range).filter(|r| !r.0.is_nan() && !r.1.is_nan())
    }
}

/// By how much a position grows from lane to lane inside any aligned group of `lanes` elements of the vector axis;
/// `None` if that differs.
pub fn lane_step(at: &Position, lanes: i64) -> Option<i64> {
    at.digits
        .iter()
        .try_fold(at.affine.coefficient(VECTOR_AXIS), |step, digit| {
            Some(step + digit.coefficient * digit_step(digit, lanes)?)
        })
}

fn digit_step(digit: &Digit, lanes: i64) -> Option<i64> {
    let along = digit.of.coefficient(VECTOR_AXIS);
    if along == 0 {
        return Some(0);
    }
    // The value at the first lane is a multiple of this.
    let others = digit
        .of
        .terms
        .iter()
        .map(|&(axis, c)| if axis == VECTOR_AXIS { c * lanes } else { c });
    let aligned = others.fold(digit.of.constant, gcd);
    let reach = along * (lanes - 1);
    let stays_below = |bound: i64| along > 0 && reach < gcd(aligned, bound);
    if digit.divide > 1 {
        return stays_below(digit.divide).then_some(0);
    }
    match digit.modulo {
        Some(modulo) if !stays_below(modulo) => None,
        _ => Some(along),
    }
}

/// The part of a position that does not move along the vector axis, without the constant.
pub fn fixed(at: &Position) -> Position {
    part(at, |axis| axis != VECTOR_AXIS)
}

/// The part of a position that moves along outer axes before one, without the constant.
pub fn fixed_before(at: &Position, last: usize) -> Position {
    part(at, |axis| axis != VECTOR_AXIS && axis < last)
}

/// The part of a position whose axes all fit, without the constant.
fn part(at: &Position, fits: impl Fn(usize) -> bool) -> Position {
    let digits = at.digits.iter();
    Position {
        affine: Affine {
            constant: 0,
            terms: at.affine.terms.iter().copied().filter(|t| fits(t.0)).collect(),
        },
        digits: digits
            .filter(|d| d.of.terms.iter().all(|t| fits(t.0)))
            .cloned()
            .collect(),
    }
}

/// A factor and a number of bits, so that `⌊n / divide⌋` is `n` times the factor, shifted right by the bits, for every
/// `n` from 0 below 2^31: `n · ⌈2^s / d⌉` exceeds `n · 2^s / d` by less than `n / 2^31 · 2^s / d`, so by less than it takes
/// to reach the next whole number, if 2^s ≥ 2^31 · d.
pub fn reciprocal(divide: i64) -> (i64, u8) {
    let bits = 31 + (64 - (divide - 1).leading_zeros());
    let factor = ((1i128 << bits) + i128::from(divide) - 1) / i128::from(divide);
    (i64::try_from(factor).expect("below 2^32"), bits as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(of: Affine, divide: i64, modulo: Option<i64>) -> Position {
        Position {
            affine: Affine::default(),
            digits: vec![Digit {
                coefficient: 1,
                of,
                divide,
                modulo,
            }],
        }
    }

    #[test]
    fn clamped_reals_have_bounds() {
        let define = |(number, instruction)| Define {
            value: ValueId(number),
            instruction,
        };
        let apply = |f, arguments: &[u32]| Instruction::Arithmetic(f, arguments.iter().map(|a| ValueId(*a)).collect());
        let body: Vec<Define> = (0..)
            .zip([
                Instruction::Product,
                Instruction::Constant(89.0),
                apply(Arithmetic::Minimum, &[0, 1]),
                Instruction::Constant(-104.0),
                apply(Arithmetic::Maximum, &[2, 3]),
                Instruction::Constant(1.5),
                apply(Arithmetic::Multiply, &[4, 5]),
                apply(Arithmetic::Nearest, &[6]),
                apply(Arithmetic::Maximum, &[3, 0]),
            ])
            .map(define)
            .collect();
        let ranges = Ranges::of(&body);
        assert_eq!(ranges.get(ValueId(2)), Some((f32::NEG_INFINITY, 89.0)));
        assert_eq!(ranges.get(ValueId(7)), Some((-156.0, 134.0)));
        assert!(ranges.fits_integer(ValueId(7)) && !ranges.fits_integer(ValueId(2)));
        // If the second argument is a NaN, the first is taken.
        assert_eq!(ranges.get(ValueId(8)), None);
    }

    #[test]
    fn heads_are_contiguous_in_aligned_groups() {
        let v = Affine::axis(0);
        assert_eq!(lane_step(&digit(v.clone(), 64, None), 4), Some(0));
        assert_eq!(lane_step(&digit(v.clone(), 1, Some(64)), 4), Some(1));
        assert_eq!(lane_step(&digit(v.clone(), 6, None), 4), None);
        assert_eq!(lane_step(&digit(v.clone(), 1, Some(6)), 4), None);
        assert_eq!(lane_step(&digit(v.plus(&Affine::constant(2)), 8, None), 4), None);
        assert_eq!(
            lane_step(&digit(v.plus(&Affine::axis(1).times(4)), 8, None), 4),
            Some(0)
        );
        assert_eq!(lane_step(&digit(v.times(-1), 8, None), 4), None);
    }
}
