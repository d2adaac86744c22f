use super::*;
use crate::codegen::interpret::interpret;
use crate::ir::affine::Affine;

const ROWS: usize = 5;
const LENGTH: usize = 20;

fn at(shift: i64) -> Position {
    let affine = Affine::axis(0).plus(&Affine::axis(1).times(LENGTH as i64));
    Position::from(affine.plus(&Affine::constant(shift)))
}

fn load(buffer: u32, shift: i64) -> Instruction {
    Instruction::Load {
        buffer: BufferId(buffer),
        at: at(shift),
        guards: vec![],
        fill: 0.0,
    }
}

fn store(buffer: u32, value: u32) -> Instruction {
    Instruction::Store {
        buffer: BufferId(buffer),
        at: at(0),
        value: ValueId(value),
    }
}

fn two(function: Arithmetic, a: u32, b: u32) -> Instruction {
    Instruction::Arithmetic(function, vec![ValueId(a), ValueId(b)])
}

/// A kernel and the tensors that it is called with.
type Called = (Vec<Instruction>, Vec<u32>);

/// `t1 = t0 · t0`, then `t2 = (t0 · t0 + t1) / t1`.
fn handing_on(shift: i64) -> [Called; 2] {
    let square = vec![load(0, 0), two(Arithmetic::Multiply, 0, 0), store(1, 1)];
    let behind = vec![
        load(0, 0),
        two(Arithmetic::Multiply, 0, 0),
        load(1, shift),
        two(Arithmetic::Add, 1, 2),
        two(Arithmetic::Divide, 3, 2),
        store(2, 4),
    ];
    [(square, vec![0, 1]), (behind, vec![0, 1, 2])]
}

fn schedule(calls: &[Called], outputs: &[u32]) -> Schedule {
    let elements = ROWS * LENGTH + 1;
    let mut schedule = Schedule::default();
    for (number, (body, tensors)) in calls.iter().enumerate() {
        let writes = |buffer: usize| {
            body.iter()
                .any(|i| matches!(i, Instruction::Store { buffer: b, .. } if b.0 as usize == buffer))
        };
        let buffers = (0..tensors.len()).map(|buffer| Buffer {
            storage: Storage::F32,
            elements,
            written: writes(buffer),
        });
        let body = body.iter().cloned().zip(0..).map(|(instruction, number)| Define {
            value: ValueId(number),
            instruction,
        });
        schedule.kernels.push(Kernel {
            buffers: buffers.collect(),
            body: KernelBody::Loop(LoopKernel::straight(vec![ROWS], LENGTH, body.collect(), 3 + number)),
        });
        schedule.calls.push(Call {
            kernel: number,
            tensors: tensors.iter().copied().map(TensorId).collect(),
            slices: vec![],
            nodes: vec![],
            span: crate::text::Span::NOWHERE,
            caller: crate::text::Span::NOWHERE,
            name: String::new(),
        });
    }
    schedule.tensors = vec![
        Tensor {
            kind: TensorKind::Temporary,
            storage: Storage::F32,
            elements,
            node: None,
        };
        4
    ];
    let output = |&tensor: &u32| (crate::ir::graph::OutputKind::Loss, TensorId(tensor));
    schedule.outputs = outputs.iter().map(output).collect();
    schedule
}

/// All tensors behind the calls.
fn run(schedule: &Schedule) -> Vec<Vec<u32>> {
    let elements = 0..ROWS * LENGTH + 1;
    let mut memory = vec![elements.map(|i| (0.3 + i as f32 / 7.0).to_bits()).collect(); 4];
    for call in &schedule.calls {
        let kernel = &schedule.kernels[call.kernel];
        kernel_verify::verify(kernel).unwrap();
        let binding: Vec<usize> = call.tensors.iter().map(|t| t.0 as usize).collect();
        interpret(kernel, &mut memory, &binding);
    }
    memory
}

#[test]
fn what_two_kernels_hand_on_is_not_stored() {
    let before = schedule(&handing_on(0), &[2]);
    let mut after = before.clone();
    joined(&mut after);
    assert_eq!(after.calls.len(), 1);
    assert_eq!(after.calls[0].tensors, [TensorId(0), TensorId(2)]);
    let KernelBody::Loop(kernel) = &after.kernels[after.calls[0].kernel].body else {
        unreachable!("loops stay loops")
    };
    // A load, a product, a sum, a quotient, a store.
    assert_eq!(kernel.passes[0].body.len(), 5);
    assert_eq!(kernel.rows_per_task, 3);
    assert_eq!(run(&after)[2], run(&before)[2]);
}

#[test]
fn what_others_need_is_stored() {
    let before = schedule(&handing_on(0), &[1, 2]);
    let mut after = before.clone();
    joined(&mut after);
    assert_eq!(after.calls.len(), 1);
    assert_eq!(run(&after)[1..], run(&before)[1..]);
}

#[test]
fn who_reads_another_element_stays_apart() {
    let before = schedule(&handing_on(1), &[2]);
    let mut after = before.clone();
    joined(&mut after);
    assert_eq!(after.calls, before.calls);
}

/// The second kernel overwrites what the first one reads: at the same element that may be one kernel, else not.
#[test]
fn a_kernel_may_overwrite_what_another_one_has_read() {
    for (shift, calls) in [(0, 1), (1, 2)] {
        let sum = vec![load(0, shift), load(1, 0), two(Arithmetic::Add, 0, 1), store(2, 2)];
        let root = Instruction::Arithmetic(Arithmetic::SquareRoot, vec![ValueId(0)]);
        let before = schedule(
            &[(sum, vec![0, 1, 2]), (vec![load(1, 0), root, store(0, 1)], vec![0, 1])],
            &[0, 2],
        );
        let mut after = before.clone();
        joined(&mut after);
        assert_eq!(after.calls.len(), calls);
        assert_eq!(run(&after), run(&before));
    }
}

#[test]
fn loops_move_with_the_calls_before_them() {
    let [first, second] = handing_on(0);
    let mut schedule = schedule(&[first.clone(), second.clone(), first, second], &[2]);
    schedule.loops = vec![Loop { calls: 2..4, rounds: 3 }];
    joined(&mut schedule);
    assert_eq!(schedule.calls.len(), 3);
    assert_eq!(schedule.loops[0].calls, 1..3);
}

#[test]
fn one_long_row_is_cut_into_the_rows_of_another_kernel() {
    let size = ROWS * 2 * LANES;
    let element = Position::axis(VECTOR_AXIS);
    let mut before = element.clone();
    before.affine.constant = -7;
    let guard = Guard::Within {
        of: before.clone(),
        low: 0,
        high: size as i64,
    };
    let load = |at: &Position, guards: Vec<Guard>| Instruction::Load {
        buffer: BufferId(0),
        at: at.clone(),
        guards,
        fill: 2.0,
    };
    let instructions = [
        load(&element, vec![]),
        load(&before, vec![guard.clone()]),
        Instruction::Inside(vec![guard]),
        Instruction::Index(element.clone()),
        Instruction::Arithmetic(Arithmetic::ToReal, vec![ValueId(3)]),
        Instruction::Select(ValueId(2), ValueId(4), ValueId(0)),
        two(Arithmetic::Multiply, 1, 5),
        Instruction::Store {
            buffer: BufferId(1),
            at: element,
            value: ValueId(6),
        },
    ];
    let body: Body = instructions
        .into_iter()
        .zip(0..)
        .map(|(instruction, number)| Define {
            value: ValueId(number),
            instruction,
        })
        .collect();
    let flat = LoopKernel::straight(vec![], size, body, 1);
    let rows = |vector| LoopKernel::straight(vec![ROWS], vector, vec![], 1);
    let cut = in_rows_of(&flat, &rows(2 * LANES));
    assert!(same_loops(&cut, &rows(2 * LANES)));
    assert_eq!(in_rows_of(&flat, &rows(LANES)), flat);
    let run = |kernel: &LoopKernel| {
        let buffer = |written| Buffer {
            storage: Storage::F32,
            elements: size,
            written,
        };
        let kernel = Kernel {
            buffers: vec![buffer(false), buffer(true)],
            body: KernelBody::Loop(kernel.clone()),
        };
        kernel_verify::verify(&kernel).unwrap();
        let mut memory = vec![(0..size).map(|i| (0.3 + i as f32 / 7.0).to_bits()).collect(); 2];
        interpret(&kernel, &mut memory, &[0, 1]);
        memory
    };
    assert_eq!(run(&cut), run(&flat));
}
