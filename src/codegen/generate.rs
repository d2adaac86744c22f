//! Makes kernels to compare emitters with: of all kinds and odd sizes, the same ones every time.

use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::ReduceFunction;
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

/// Draws cases.
pub struct Generator {
    state: u64,
    buffers: Vec<Buffer>,
    /// One beyond the greatest id, for buffers of ids.
    bounds: Vec<Option<usize>>,
    next_value: u32,
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

    /// Loads, indices, constants.
    fn sources(&mut self, body: &mut Body, scope: &mut Scope, sizes: &[usize], usable: &[usize]) {
        for _ in 0..1 + self.below(3) {
            let storage = match self.below(8) {
                0 => Storage::I32,
                1 => Storage::Bf16,
                2 => Storage::F16,
                _ => Storage::F32,
            };
            let kind = if storage == Storage::F32 {
                ValueKind::Real
            } else {
                ValueKind::Integer
            };
            let (mut at, elements) = self.position(sizes, usable);
            let mut guards = vec![];
            let buffer = self.buffer(storage, elements, false);
            if self.chance(4) {
                let shift = self.below(elements + 1) as i64 - elements as i64 / 2;
                guards = self.guards(&at, shift, elements, usable, sizes);
                at.affine.constant += shift;
            }
            let fill = self.pick(&[0.0, f32::NEG_INFINITY, 2.5]);
            let load = Instruction::Load {
                buffer,
                at,
                guards,
                fill,
            };
            self.define(body, scope, kind, load);
        }
        if self.chance(3) {
            let (at, _) = self.position(sizes, usable);
            self.define(body, scope, ValueKind::Integer, Instruction::Index(at));
        }
        if self.chance(4) && !usable.is_empty() {
            let (at, elements) = self.position(sizes, usable);
            let guards = self.guards(&at, -(elements as i64) / 3, elements / 2 + 1, usable, sizes);
            self.define(body, scope, ValueKind::Mask, Instruction::Inside(guards));
        }
        if self.chance(4) {
            self.gather(body, scope, sizes, usable);
        }
        for _ in 0..1 + self.below(4) {
            let number = self.pick(&[0.5, -1.25, 3.0, 0.0, 0.1, 1e-3, -7.5, 1e9, 2.0, -0.0]);
            self.define(body, scope, ValueKind::Real, Instruction::Constant(number));
        }
        self.define(body, scope, ValueKind::Integer, Instruction::Integer(-7));
    }

    fn gather(&mut self, body: &mut Body, scope: &mut Scope, sizes: &[usize], usable: &[usize]) {
        let along: Vec<usize> = usable
            .iter()
            .copied()
            .filter(|a| *a != VECTOR_AXIS || self.state.is_multiple_of(2))
            .collect();
        let (id_at, ids) = self.position(sizes, &along);
        let id_buffer = self.buffer(Storage::I32, ids, false);
        let bound = 1 + self.below(9);
        self.bounds[id_buffer.0 as usize] = Some(bound);
        let load = Instruction::Load {
            buffer: id_buffer,
            at: id_at,
            guards: vec![],
            fill: 0.0,
        };
        let id = self.define(body, scope, ValueKind::Integer, load);
        let (at, row) = self.position(sizes, usable);
        let (storage, kind) = match self.chance(4) {
            true => (Storage::Bf16, ValueKind::Integer),
            false => (Storage::F32, ValueKind::Real),
        };
        let table = self.buffer(storage, row * bound, false);
        let gather = Instruction::Gather {
            buffer: table,
            at,
            ids: vec![(id, row as i64)],
        };
        self.define(body, scope, kind, gather);
    }

    fn arithmetic(&mut self, body: &mut Body, scope: &mut Scope, most: usize) {
        use Arithmetic::*;
        use ValueKind::*;
        for _ in 0..self.below(most) {
            let real = self.any(scope, Real).expect("there is always a constant");
            let other = self.any(scope, Real).expect("there is always a constant");
            let integer = self.any(scope, Integer);
            let mask = self.any(scope, Mask);
            let apply = |f: Arithmetic, arguments: &[ValueId]| Instruction::Arithmetic(f, arguments.to_vec());
            let (kind, instruction) = match (self.below(16), integer, mask) {
                (0 | 1, ..) => (Real, Instruction::MultiplyAdd(real, other, real)),
                (2, ..) => {
                    let f = self.pick(&[Less, LessEqual, Equal]);
                    (Mask, apply(f, &[real, other]))
                }
                (3, _, Some(mask)) => (Real, Instruction::Select(mask, real, other)),
                (4, _, Some(mask)) => {
                    let second = self.any(scope, Mask).unwrap_or(mask);
                    let f = self.pick(&[And, Or]);
                    (Mask, apply(f, &[mask, second]))
                }
                (5, _, Some(mask)) => (Mask, apply(Not, &[mask])),
                (6, Some(integer), _) => {
                    let f = self.pick(&[IntegerAdd, IntegerSubtract, IntegerMultiply, BitAnd, BitOr, BitXor]);
                    let second = self.any(scope, Integer).unwrap_or(integer);
                    (Integer, apply(f, &[integer, second]))
                }
                (7, Some(integer), _) if self.chance(2) => (Integer, Instruction::ShiftLeft(integer, 3)),
                (7, Some(integer), _) => (Integer, Instruction::ShiftRight(integer, 13)),
                (8, Some(integer), _) => (Real, apply(ToReal, &[integer])),
                (9, ..) => (Integer, apply(ToInteger, &[real])),
                (10, Some(integer), _) => (Mask, apply(IntegerEqual, &[integer, integer])),
                (12, Some(integer), _) => (Real, apply(IntegerBits, &[integer])),
                (13, ..) => {
                    let [least, most] =
                        [-104.0, 1e4].map(|number| self.define(body, scope, Real, Instruction::Constant(number)));
                    let bits = self.define(body, scope, Integer, apply(RealBits, &[most]));
                    let above = self.define(body, scope, Real, apply(Maximum, &[real, least]));
                    let between = self.define(body, scope, Real, apply(Minimum, &[above, most]));
                    let small = self.define(body, scope, Integer, apply(ToInteger, &[between]));
                    (Integer, apply(IntegerAdd, &[small, bits]))
                }
                (11, ..) => {
                    let f = self.pick(&[Negate, Absolute, SquareRoot, Nearest, Floor]);
                    (Real, apply(f, &[real]))
                }
                _ => {
                    let f = self.pick(&[Add, Subtract, Multiply, Divide, Minimum, Maximum]);
                    (Real, apply(f, &[real, other]))
                }
            };
            self.define(body, scope, kind, instruction);
        }
    }

    fn store(&mut self, body: &mut Body, scope: &Scope, sizes: &[usize], axes: &[usize]) {
        let kind = self.pick(&[ValueKind::Real, ValueKind::Real, ValueKind::Integer, ValueKind::Mask]);
        let Some(value) = self.any(scope, kind) else { return };
        let integers = kind == ValueKind::Integer || (kind == ValueKind::Mask && self.chance(3));
        let storage = match integers {
            true => self.pick(&[Storage::I32, Storage::I32, Storage::Bf16, Storage::F16]),
            false => Storage::F32,
        };
        let (at, elements) = self.own_position(sizes, axes);
        let buffer = self.buffer(storage, elements, true);
        self.effect(body, Instruction::Store { buffer, at, value });
    }

    fn reduce(&mut self, body: &mut Body, scope: &Scope, along: Along) -> ValueId {
        use ReduceFunction::*;
        let function = self.pick(&[Sum, Sum, Maximum, Minimum, Product]);
        let value = self.any(scope, ValueKind::Real).expect("there is always a constant");
        let mut apart = Scope::default();
        let reduce = Instruction::Reduce { function, value, along };
        self.define(body, &mut apart, ValueKind::Real, reduce)
    }

    /// A loop kernel of up to three passes.
    pub fn loop_case(&mut self) -> Case {
        self.start();
        let (outer, vector) = (self.sizes(2), self.vector_size());
        let cut = vector > LANES && self.chance(4);
        let passes = if cut { 1 } else { 1 + self.below(3) };
        let rows_kept = if cut { 0 } else { self.below(3) as u32 };
        let mut row_scope = Scope::default();
        let mut kept = vec![];
        let mut list = vec![];
        for number in 0..passes {
            let row_pass = number > 0 && self.chance(4);
            if row_pass {
                list.push(self.row_pass(&outer, vector, &mut row_scope));
            } else {
                let shape = (&outer[..], vector, rows_kept, cut);
                list.push(self.vector_pass(shape, &mut row_scope, &mut kept));
            }
        }
        let rows_per_task = if cut { 1 } else { 1 + self.below(3) };
        self.finish(KernelBody::Loop(LoopKernel {
            outer,
            vector,
            rows_kept,
            passes: list,
            rows_per_task,
            vector_per_task: cut.then_some(LANES),
        }))
    }

    fn row_pass(&mut self, outer: &[usize], vector: usize, row_scope: &mut Scope) -> Pass {
        let sizes: Vec<usize> = [vector].iter().chain(outer).copied().collect();
        let usable: Vec<usize> = (1..sizes.len()).collect();
        let mut body = vec![];
        self.sources(&mut body, row_scope, &sizes, &usable);
        self.arithmetic(&mut body, row_scope, 6);
        let scope = row_scope.clone();
        self.store(&mut body, &scope, &sizes, &usable);
        Pass {
            vector: false,
            sequential: vec![],
            body,
            finish: vec![],
        }
    }

    fn vector_pass(
        &mut self,
        (outer, vector, rows_kept, cut): (&[usize], usize, u32, bool),
        row_scope: &mut Scope,
        kept: &mut Vec<u32>,
    ) -> Pass {
        let sequential = if self.chance(3) { self.sizes(2) } else { vec![] };
        let sizes: Vec<usize> = [vector].iter().chain(outer).chain(&sequential).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let plain = sequential.is_empty();
        let mut scope = row_scope.clone();
        let mut body = vec![];
        for row in kept.clone() {
            self.define(&mut body, &mut scope, ValueKind::Real, Instruction::KeptLoad(row));
        }
        self.sources(&mut body, &mut scope, &sizes, &usable);
        self.arithmetic(&mut body, &mut scope, 12);
        if plain || self.chance(2) {
            self.store(&mut body, &scope, &sizes, &usable);
        }
        let mut results = vec![];
        if plain && !cut && self.chance(2) {
            results.push(self.reduce(&mut body, &scope, Along::Vector));
        }
        let mut finish = vec![];
        if !plain || self.chance(3) {
            let sizes = &sizes[..1 + outer.len()];
            let of_body = std::mem::replace(&mut scope, row_scope.clone());
            for _ in 0..1 + self.below(2) {
                let result = self.reduce(&mut body, &of_body, Along::Sequential);
                scope.values.push((result, ValueKind::Real));
            }
            self.arithmetic(&mut finish, &mut scope, 5);
            let axes: Vec<usize> = (0..sizes.len()).collect();
            self.store(&mut finish, &scope, sizes, &axes);
            if rows_kept > 0 {
                let row = self.below(rows_kept as usize) as u32;
                let value = self.any(&scope, ValueKind::Real).expect("a reduction");
                self.effect(&mut finish, Instruction::KeptStore(row, value));
                kept.push(row);
            }
            if !cut && self.chance(2) {
                results.push(self.reduce(&mut finish, &scope, Along::Vector));
            }
        } else if rows_kept > 0 {
            let row = self.below(rows_kept as usize) as u32;
            let value = self.any(&scope, ValueKind::Real).expect("a constant");
            self.effect(&mut body, Instruction::KeptStore(row, value));
            kept.push(row);
        }
        row_scope
            .values
            .extend(results.into_iter().map(|r| (r, ValueKind::Real)));
        Pass {
            vector: true,
            sequential,
            body,
            finish,
        }
    }

    /// One long sum, maximum and product of a row of a given length, in several passes over in-place memory.
    pub fn reduction_case(&mut self, vector: usize) -> Case {
        self.start();
        let sizes = [vector, 3];
        let at = Position::from(Affine::axis(1).times(vector as i64).plus(&Affine::axis(0)));
        let input = self.buffer(Storage::F32, 3 * vector, false);
        let output = self.buffer(Storage::F32, 3 * vector, true);
        let mut scope = Scope::default();
        let load = Instruction::Load {
            buffer: input,
            at: at.clone(),
            guards: vec![],
            fill: 0.0,
        };
        let mut first = vec![];
        let x = self.define(&mut first, &mut scope, ValueKind::Real, load.clone());
        let mut numbers = vec![];
        for function in [
            ReduceFunction::Sum,
            ReduceFunction::Maximum,
            ReduceFunction::Minimum,
            ReduceFunction::Product,
        ] {
            let along = Along::Vector;
            let reduce = Instruction::Reduce {
                function,
                value: x,
                along,
            };
            numbers.push(self.define(&mut first, &mut scope, ValueKind::Real, reduce));
        }
        scope.values.retain(|v| numbers.contains(&v.0));
        let mut second = vec![];
        let mut y = self.define(&mut second, &mut scope, ValueKind::Real, load);
        for number in numbers {
            let subtract = Instruction::Arithmetic(Arithmetic::Subtract, vec![y, number]);
            y = self.define(&mut second, &mut scope, ValueKind::Real, subtract);
        }
        self.arithmetic(&mut second, &mut scope, 40);
        let value = self.any(&scope, ValueKind::Real).unwrap_or(y);
        self.effect(
            &mut second,
            Instruction::Store {
                buffer: output,
                at,
                value: y,
            },
        );
        let sum = Instruction::Reduce {
            function: ReduceFunction::Sum,
            value,
            along: Along::Vector,
        };
        let total = self.define(&mut second, &mut scope, ValueKind::Real, sum);
        let own = self.buffer(Storage::F32, 3, true);
        let store = Instruction::Store {
            buffer: own,
            at: Position::axis(1),
            value: total,
        };
        let mut third = vec![];
        self.effect(&mut third, store);
        let pass = |vector, body| Pass {
            vector,
            sequential: vec![],
            body,
            finish: vec![],
        };
        let mut case = self.finish(KernelBody::Loop(LoopKernel {
            outer: vec![sizes[1]],
            vector,
            rows_kept: 0,
            passes: vec![pass(true, first), pass(true, second), pass(false, third)],
            rows_per_task: 1,
            vector_per_task: None,
        }));
        // In place: what is read is overwritten.
        case.binding[output.0 as usize] = case.binding[input.0 as usize];
        case
    }

    /// A matrix with strips and turns: far from each other, or windows that overlap.
    fn matrix_in_parts(
        &mut self,
        batch: &[usize],
        strips: &[usize],
        turns: &[usize],
        [rows, columns]: [usize; 2],
    ) -> Matrix {
        let outer = [strips, turns, batch].concat();
        let mut matrix = self.matrix(&outer, rows, columns);
        let of_batch = matrix.batch.split_off(strips.len() + turns.len());
        if self.chance(2) {
            for stride in &mut matrix.batch {
                *stride = (*stride).min(self.below(2 * columns + 2) as i64);
            }
        }
        matrix.turns = matrix.batch.split_off(strips.len());
        matrix.strips = std::mem::replace(&mut matrix.batch, of_batch);
        matrix
    }

    fn matrix(&mut self, batch: &[usize], rows: usize, columns: usize) -> Matrix {
        let mut strides: Vec<i64> = vec![];
        let (row_stride, column_stride, mut size) = match self.below(6) {
            0 | 1 => (columns as i64, 1, rows * columns),
            2 | 3 => (1, rows as i64, rows * columns),
            4 => (2 * columns as i64 + 1, 2, rows * (2 * columns + 1)),
            _ => (0, 1, columns),
        };
        for &length in batch.iter().rev() {
            let repeats = self.chance(4);
            strides.push(if repeats { 0 } else { size as i64 });
            if !repeats {
                size *= length;
            }
        }
        strides.reverse();
        let constant = self.pick(&[0, 0, 2]);
        let storage = self.pick(&[Storage::F32, Storage::F32, Storage::Bf16, Storage::F16]);
        let buffer = self.buffer(storage, size + constant as usize, false);
        Matrix {
            buffer,
            constant,
            batch: strides,
            strips: vec![],
            turns: vec![],
            row_stride,
            column_stride,
        }
    }

    /// A product's second operand in panels.
    fn panels(&mut self, rows: usize, columns: usize) -> Matrix {
        let constant = self.pick(&[0, 0, 16]);
        let elements = constant as usize + columns.div_ceil(PANEL_COLUMNS) * PANEL_COLUMNS * rows;
        Matrix {
            buffer: self.buffer(Storage::F32, elements, false),
            constant,
            batch: vec![],
            strips: vec![],
            turns: vec![],
            row_stride: PANEL_COLUMNS as i64,
            column_stride: 1,
        }
    }

    /// A product of any form.
    pub fn product_case(&mut self) -> Case {
        self.start();
        let batch = self.sizes(2);
        let side = |g: &mut Generator| {
            let small = 1 + g.below(40);
            g.pick(&[1, 3, 4, 7, 8, 9, 16, 17, 31, 33, small])
        };
        let (m, n) = (side(self), side(self));
        let k = if self.chance(6) {
            self.pick(&[255, 256, 257, 513, 700])
        } else {
            side(self)
        };
        let (m, n) = if batch.is_empty() && self.chance(4) {
            (m + 70, n + 140)
        } else {
            (m, n)
        };
        let parts = |g: &mut Generator| if g.chance(3) { g.sizes(2) } else { vec![] };
        let b_in_panels = batch.is_empty() && self.chance(3);
        let (strips, turns) = (parts(self), if b_in_panels { vec![] } else { parts(self) });
        let a = self.matrix_in_parts(&batch, &strips, &turns, [m, k]);
        let b = match b_in_panels {
            true => self.panels(k, n),
            false => self.matrix_in_parts(&batch, &[], &turns, [k, n]),
        };
        let m = m * strips.iter().product::<usize>();
        let k = k * turns.iter().product::<usize>();
        let sizes: Vec<usize> = [n].iter().chain(&batch).chain([&m]).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let (mut body, mut scope) = (vec![], Scope::default());
        let product = self.define(&mut body, &mut scope, ValueKind::Real, Instruction::Product);
        let (at, elements) = self.own_position(&sizes, &usable);
        let buffer = self.buffer(Storage::F32, elements, true);
        self.effect(
            &mut body,
            Instruction::Store {
                buffer,
                at,
                value: product,
            },
        );
        if self.chance(2) {
            self.sources(&mut body, &mut scope, &sizes, &usable);
            self.arithmetic(&mut body, &mut scope, 10);
            self.store(&mut body, &scope, &sizes, &usable);
        }
        let rows_per_task = self.pick(&[1, 2, 5, 16, 64]);
        let unit = if b_in_panels { PANEL_COLUMNS } else { LANES };
        let columns_per_task = if self.chance(2) { unit * (1 + self.below(3)) } else { n };
        self.finish(KernelBody::Product(MatrixProduct {
            batch,
            m,
            strips,
            n,
            k,
            turns,
            a,
            b,
            b_in_panels,
            epilogue: body,
            rows_per_task,
            columns_per_task,
        }))
    }

    /// All 65 536 numbers of 16 bits times 1, as the rows or as the columns of a product.
    pub fn widening_case(&mut self, storage: Storage, rows: bool) -> Case {
        self.start();
        let all = 1 << 16;
        let (numbers, one) = (self.buffer(storage, all, false), self.buffer(Storage::F32, 1, false));
        let result = self.buffer(Storage::F32, all, true);
        let matrix = |buffer, row_stride, column_stride| Matrix {
            buffer,
            constant: 0,
            batch: vec![],
            strips: vec![],
            turns: vec![],
            row_stride,
            column_stride,
        };
        let (m, n) = if rows { (all, 1) } else { (1, all) };
        let (a, b) = match rows {
            true => (matrix(numbers, 1, 1), matrix(one, 1, 1)),
            false => (matrix(one, 1, 1), matrix(numbers, 1, 1)),
        };
        let (mut epilogue, mut scope) = (vec![], Scope::default());
        let value = self.define(&mut epilogue, &mut scope, ValueKind::Real, Instruction::Product);
        let at = Position::axis(if rows { 1 } else { VECTOR_AXIS });
        let buffer = result;
        self.effect(&mut epilogue, Instruction::Store { buffer, at, value });
        let mut case = self.finish(KernelBody::Product(MatrixProduct {
            batch: vec![],
            m,
            strips: vec![],
            n,
            k: 1,
            turns: vec![],
            a,
            b,
            b_in_panels: false,
            epilogue,
            rows_per_task: 1 << 12,
            columns_per_task: n,
        }));
        case.memory[0] = (0..all as u32).collect();
        case.memory[1] = vec![1f32.to_bits()];
        case
    }

    /// A scatter with ids that collide.
    pub fn scatter_case(&mut self) -> Case {
        self.start();
        let (outer, vector) = (self.sizes(2), self.vector_size());
        let mut items = self.sizes(2);
        items.push(self.pick(&[1, 3, 9]));
        let sizes: Vec<usize> = [vector].iter().chain(&outer).chain(&items).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let (source_at, elements) = self.position(&sizes, &usable);
        let source = self.buffer(Storage::F32, elements, false);
        let (table_at, row) = self.own_position(&sizes, &usable[..1 + outer.len()]);
        let mut ids = vec![];
        let mut size = row;
        for _ in 0..1 + self.below(2) {
            let (at, elements) = self.position(&sizes, &usable[1..]);
            let buffer = self.buffer(Storage::I32, elements, false);
            let bound = 1 + self.below(5);
            self.bounds[buffer.0 as usize] = Some(bound);
            ids.push((buffer, at, size as i64));
            size *= bound;
        }
        let table = self.buffer(Storage::F32, size, true);
        let vector_per_task = if self.chance(2) { LANES } else { vector };
        self.finish(KernelBody::Scatter(Scatter {
            outer,
            items,
            vector,
            source,
            source_at,
            ids,
            table,
            table_at,
            vector_per_task,
        }))
    }
}
