//! Makes kernels to compare emitters with: of all kinds and odd sizes, the same ones every time.

mod body;
mod loops;
mod product;
mod scatter;

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKind;

/// A kernel with memory to run it on.
#[derive(Clone, Debug)]
pub struct Case {
    /// What runs.
    pub kernel: Kernel,
    /// The words of each piece of memory.
    pub memory: Vec<Vec<u32>>,
    /// Which piece each buffer is.
    pub binding: Vec<usize>,
}

/// A kernel of so many rows, each of so many elements and read from so many elements behind its place.
pub fn shifted_rows(rows: usize, length: usize, shift: usize, rows_per_task: usize) -> Kernel {
    let at = |shift: usize| {
        let row = Affine::axis(1).times(length as i64);
        Position::from(Affine::axis(0).plus(&row).plus(&Affine::constant(shift as i64)))
    };
    let load = Instruction::Load {
        buffer: BufferId(0),
        at: at(shift),
        guards: vec![],
        fill: 0.0,
    };
    let store = Instruction::Store {
        buffer: BufferId(1),
        at: at(0),
        value: ValueId(0),
    };
    let define = |(value, instruction)| Define {
        value: ValueId(value),
        instruction,
    };
    let body = (0..).zip([load, store]).map(define).collect();
    let buffer = |written| Buffer {
        storage: Storage::F32,
        elements: rows * length + shift,
        written,
    };
    Kernel {
        buffers: vec![buffer(false), buffer(true)],
        body: KernelBody::Loop(LoopKernel::straight(vec![rows], length, body, rows_per_task)),
    }
}

/// Draws cases.
pub struct Generator {
    state: u64,
    buffers: Vec<Buffer>,
    /// One beyond the greatest id, for buffers of ids.
    bounds: Vec<Option<usize>>,
    next_value: u32,
    /// How the operands of a product may be stored.
    numbers: &'static [Storage],
}

/// What a body under construction can use.
#[derive(Clone, Default)]
struct Scope {
    values: Vec<(ValueId, ValueKind)>,
}

impl Generator {
    /// From a seed.
    pub fn new(seed: u64) -> Generator {
        Generator {
            state: seed,
            buffers: vec![],
            bounds: vec![],
            next_value: 0,
            numbers: &[Storage::F32],
        }
    }

    /// The next draw below a bound (SplitMix64).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn start(&mut self) {
        self.buffers.clear();
        self.bounds.clear();
        self.next_value = 0;
    }

    fn vector_size(&mut self) -> usize {
        self.pick(&[1, 2, 3, 4, 5, 8, 13, 15, 16, 17, 20, 31, 32, 33, 48, 63, 64, 65, 70])
    }

    fn sizes(&mut self, most: usize) -> Vec<usize> {
        (0..self.below(most + 1))
            .map(|_| self.pick(&[1, 2, 3, 4, 5, 7]))
            .collect()
    }

    fn buffer(&mut self, storage: Storage, elements: usize, written: bool) -> BufferId {
        self.buffers.push(Buffer {
            storage,
            elements,
            written,
        });
        self.bounds.push(None);
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// Fills memory: reals in ±2 with some zeros, integers small, ids below their bound; of 16 bits now and then anything.
    fn finish(&mut self, body: KernelBody) -> Case {
        let kernel = Kernel {
            buffers: self.buffers.clone(),
            body,
        };
        let mut memory = vec![];
        for (number, buffer) in kernel.buffers.iter().enumerate() {
            let bound = self.bounds[number];
            let word = |generator: &mut Generator| match (buffer.storage, bound) {
                (Storage::I32, Some(bound)) => generator.below(bound) as u32,
                (Storage::I32, None) => generator.below(1000) as u32,
                (Storage::F32, _) if generator.chance(20) => (-0.0f32).to_bits(),
                (Storage::F32, _) => generator.real().to_bits(),
                (Storage::Bf16 | Storage::F16, _) if generator.chance(50) => generator.below(1 << 16) as u32,
                (Storage::Bf16, _) => generator.real().to_bits() >> 16,
                // Of all sizes up to 4.
                (Storage::F16, _) => (generator.below(2) << 15 | generator.below(0x4401)) as u32,
            };
            memory.push((0..buffer.elements).map(|_| word(self)).collect());
        }
        Case {
            binding: (0..memory.len()).collect(),
            kernel,
            memory,
        }
    }

    fn real(&mut self) -> f32 {
        self.below(4001) as f32 / 1000.0 - 2.0
    }

    fn define(&mut self, body: &mut Body, scope: &mut Scope, kind: ValueKind, instruction: Instruction) -> ValueId {
        let value = ValueId(self.next_value);
        self.next_value += 1;
        body.push(Define { value, instruction });
        scope.values.push((value, kind));
        value
    }

    fn effect(&mut self, body: &mut Body, instruction: Instruction) {
        let value = ValueId(self.next_value);
        self.next_value += 1;
        body.push(Define { value, instruction });
    }

    fn any(&mut self, scope: &Scope, kind: ValueKind) -> Option<ValueId> {
        let fitting: Vec<ValueId> = scope.values.iter().filter(|v| v.1 == kind).map(|v| v.0).collect();
        if fitting.is_empty() {
            None
        } else {
            Some(self.pick(&fitting))
        }
    }

    /// A position over some of the axes in `usable`, from 0 on; gives how many elements it needs.
    fn position(&mut self, sizes: &[usize], usable: &[usize]) -> (Position, usize) {
        let mut position = Position::default();
        let mut stride = 1i64;
        let mut axes = usable.to_vec();
        if !self.chance(4) {
            // Row-major, the vector axis innermost.
            axes.sort_unstable_by_key(|a| if *a == VECTOR_AXIS { 0 } else { usize::MAX - a });
        } else if axes.len() > 1 {
            let at = self.below(axes.len());
            axes.swap(0, at);
        }
        for axis in axes {
            match self.below(12) {
                0 => continue,
                1 => {
                    // Split in two digits that change places.
                    let divide = self.pick(&[2, 3, 4, 8, 16]) as i64;
                    let high = sizes[axis] as i64 / divide + 1;
                    let digit = |coefficient, divide, modulo| Digit {
                        coefficient,
                        of: Affine::axis(axis),
                        divide,
                        modulo,
                    };
                    if self.chance(2) {
                        position.digits.push(digit(stride, 1, Some(divide)));
                        position.digits.push(digit(stride * divide, divide, None));
                    } else {
                        position.digits.push(digit(stride, divide, None));
                        position.digits.push(digit(stride * high, 1, Some(divide)));
                    }
                    stride *= high * divide;
                }
                2 => {
                    // Backwards.
                    let last = (sizes[axis] as i64 - 1) * stride;
                    position.affine = position.affine.plus(&Affine::axis(axis).times(-stride));
                    position.affine.constant += last;
                    stride *= sizes[axis] as i64;
                }
                3 => {
                    position.affine = position.affine.plus(&Affine::axis(axis).times(2 * stride));
                    stride *= 2 * sizes[axis] as i64;
                }
                _ => {
                    position.affine = position.affine.plus(&Affine::axis(axis).times(stride));
                    stride *= sizes[axis] as i64;
                }
            }
        }
        position.affine.constant += self.pick(&[0, 0, 0, 1, 5]);
        let (low, high) = position.range(sizes);
        assert!(low >= 0);
        (position, high as usize + 1)
    }

    /// Where each iteration over all of `axes` has its own element.
    fn own_position(&mut self, sizes: &[usize], axes: &[usize]) -> (Position, usize) {
        let mut order = axes.to_vec();
        order.reverse();
        if let Some(at) = order.iter().position(|a| *a == VECTOR_AXIS) {
            let vector = order.remove(at);
            let place = if self.chance(5) { self.below(order.len() + 1) } else { 0 };
            order.insert(place, vector);
        }
        let mut position = Position::default();
        let mut stride = 1i64;
        for axis in order {
            position.affine = position.affine.plus(&Affine::axis(axis).times(stride));
            stride *= sizes[axis] as i64;
        }
        position.affine.constant = self.pick(&[0, 0, 3]);
        (position.clone(), position.range(sizes).1 as usize + 1)
    }

    fn guards(&mut self, at: &Position, shift: i64, elements: usize, usable: &[usize], sizes: &[usize]) -> Vec<Guard> {
        let mut moved = at.clone();
        moved.affine.constant += shift;
        let mut guards = vec![Guard::Within {
            of: moved,
            low: 0,
            high: elements as i64,
        }];
        if !usable.is_empty() && self.chance(2) {
            let axis = self.pick(usable);
            if self.chance(2) {
                let of = Affine::axis(axis).plus(&Affine::constant(self.below(3) as i64 - 1));
                guards.push(Guard::Divisible {
                    of,
                    by: self.pick(&[2, 3, 4]),
                });
            } else {
                let high = 1 + self.below(sizes[axis]) as i64;
                let low = self.below(2) as i64 - 1;
                let of = Affine::axis(axis).into();
                guards.push(Guard::Within { of, low, high });
            }
        }
        guards
    }
}
