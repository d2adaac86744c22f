//! Whole steps: the same bits as the interpreter on any number of threads.

use super::*;
use crate::codegen::generate::{Case, Generator, shifted_rows};
use crate::codegen::interpret::{interpret, interpret_on};
use crate::codegen::target::Target;
use crate::ir::affine::{Affine, Position};
use crate::ir::graph::InputId;
use crate::ir::kernel::*;
use crate::ir::plan::{Launch, Location, PersistentLayout, Plan, Region, Slot};
use crate::text::Span;

fn launch(kernel: usize, locations: Vec<Location>) -> Launch {
    Launch {
        call: Call {
            kernel,
            tensors: vec![],
            slices: vec![],
            nodes: vec![],
            span: Span::NOWHERE,
            caller: Span::NOWHERE,
            name: format!("kernel {kernel}"),
        },
        locations,
        steps: vec![],
    }
}

/// Room for some words in the transient region, which a test fills and reads as an input.
fn slot(plan: &mut Plan, words: usize) -> Location {
    let location = Location {
        region: Region::Transient,
        offset: plan.transient_bytes,
    };
    plan.transient_bytes += (words * 4).next_multiple_of(64);
    plan.inputs.push(Slot {
        kind: TensorKind::Input(InputId(plan.inputs.len() as u32)),
        name: format!("memory {}", plan.inputs.len()),
        shape: vec![words],
        storage: Storage::I32,
        location,
    });
    location
}

fn words(machine: &mut Machine, input: usize) -> &mut [i32] {
    match machine.input_mut(ProgramId(0), input) {
        ValuesMut::I32(words) => words,
        ValuesMut::F32(_) => unreachable!("all slots hold words"),
    }
}

/// Runs the plan's one program on memory; gives the memory afterwards.
fn run(plan: &Plan, memory: &[Vec<u32>], threads: usize) -> Vec<Vec<u32>> {
    let program = Program::compile(plan, 2).unwrap();
    let mut machine = Machine::new(vec![program], threads).unwrap();
    assert_eq!(machine.threads(), threads);
    for (input, piece) in memory.iter().enumerate() {
        let bits: Vec<i32> = piece.iter().map(|word| *word as i32).collect();
        words(&mut machine, input).copy_from_slice(&bits);
    }
    machine.run(ProgramId(0));
    (0..memory.len())
        .map(|input| words(&mut machine, input).iter().map(|word| *word as u32).collect())
        .collect()
}

/// A case's memory as it lies: elements of 16 bits two by two, with room behind them.
fn packed(case: &Case, pieces: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let halves = |number: usize| {
        let buffer = case.binding.iter().position(|&b| b == number);
        buffer.is_some_and(|b| case.kernel.buffers[b].storage.stride() == 2)
    };
    let pack = |(number, piece): (usize, &Vec<u32>)| match halves(number) {
        true => [&piece[..], &[0, 0]]
            .concat()
            .chunks_exact(2)
            .map(|two| two[0] | two[1] << 16)
            .collect(),
        false => piece.clone(),
    };
    pieces.iter().enumerate().map(pack).collect()
}

fn canonical(pieces: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let word = |word: &u32| {
        if f32::from_bits(*word).is_nan() {
            f32::NAN.to_bits()
        } else {
            *word
        }
    };
    pieces.iter().map(|piece| piece.iter().map(word).collect()).collect()
}

#[test]
fn kernels_have_the_same_bits_on_any_number_of_threads() {
    let mut generator = Generator::new(11);
    let mut cases: Vec<_> = (0..25).map(|_| generator.loop_case()).collect();
    cases.extend((0..15).map(|_| generator.product_case()));
    cases.extend((0..10).map(|_| generator.scatter_case()));
    let mut plan = Plan::default();
    let (mut memory, mut expected) = (vec![], vec![]);
    for case in &cases {
        let before = packed(case, &case.memory);
        let places: Vec<Location> = before.iter().map(|piece| slot(&mut plan, piece.len())).collect();
        let locations = case.binding.iter().map(|piece| places[*piece]).collect();
        plan.launches.push(launch(plan.kernels.len(), locations));
        plan.kernels.push(case.kernel.clone());
        memory.extend(before);
    }
    let tiles = Target::native(&plan.kernels).unwrap().has_tiles();
    for case in &cases {
        let mut pieces = case.memory.clone();
        interpret_on(&case.kernel, &mut pieces, &case.binding, tiles);
        expected.extend(packed(case, &pieces));
    }
    for threads in [1, 2, 3, 7] {
        assert!(
            canonical(&run(&plan, &memory, threads)) == canonical(&expected),
            "{threads} threads"
        );
    }
}

/// `out[i] = in[last - i] / 2 + in[i]`: every task reads what other tasks wrote in the launch before.
fn folding(elements: usize) -> Kernel {
    let load = |at: Affine| Instruction::Load {
        buffer: BufferId(0),
        at: at.into(),
        guards: vec![],
        fill: 0.0,
    };
    let back = Affine::axis(0).times(-1).plus(&Affine::constant(elements as i64 - 1));
    let store = Instruction::Store {
        buffer: BufferId(1),
        at: Position::axis(0),
        value: ValueId(3),
    };
    let instructions = [
        load(back),
        load(Affine::axis(0)),
        Instruction::Constant(0.5),
        Instruction::MultiplyAdd(ValueId(0), ValueId(2), ValueId(1)),
        store,
    ];
    let define = |(number, instruction)| Define {
        value: ValueId(number),
        instruction,
    };
    let buffer = |written| Buffer {
        storage: Storage::F32,
        elements,
        written,
    };
    Kernel {
        buffers: vec![buffer(false), buffer(true)],
        body: KernelBody::Loop(LoopKernel {
            vector_per_task: Some(256),
            ..LoopKernel::straight(vec![], elements, (0..).zip(instructions).map(define).collect(), 1)
        }),
    }
}

#[test]
fn launches_wait_for_what_they_read() {
    let elements = 20_001;
    let mut plan = Plan::default();
    let places = [slot(&mut plan, elements), slot(&mut plan, elements)];
    plan.kernels.push(folding(elements));
    let mut memory: Vec<Vec<u32>> = vec![(0..elements).map(|i| (i as f32).to_bits()).collect(), vec![0; elements]];
    let before = memory.clone();
    for round in 0..60 {
        let (from, to) = (round % 2, 1 - round % 2);
        plan.launches.push(launch(0, vec![places[from], places[to]]));
        interpret(&plan.kernels[0], &mut memory, &[from, to]);
    }
    for threads in [1, 2, 3] {
        assert!(run(&plan, &before, threads) == memory, "{threads} threads");
    }
}

#[test]
fn a_plan_that_reaches_beyond_its_regions_is_refused() {
    let mut plan = Plan::default();
    let place = slot(&mut plan, 100);
    plan.kernels.push(folding(100));
    plan.launches.push(launch(0, vec![place, place]));
    assert!(Program::compile(&plan, 1).is_ok());
    plan.launches[0].locations[1].offset = 64;
    let refused = |plan: &Plan| match Program::compile(plan, 1) {
        Err(MachineError::Plan(message)) => message,
        _ => "accepted".into(),
    };
    assert_eq!(refused(&plan), "kernel 0 of 100 elements at transient+64 in 448 bytes");
    plan.launches[0].locations[1].offset = 4;
    assert_eq!(refused(&plan), "kernel 0 of 100 elements at transient+4 in 448 bytes");
    plan.launches[0].locations[1] = place;
    plan.bands.push(Band {
        calls: 0..1,
        count: 64,
        passing: vec![],
    });
    assert_eq!(refused(&plan), "64 bands do not divide the tasks of their launches");
    plan.launches[0].locations.pop();
    assert_eq!(refused(&plan), "kernel 0 has other buffers than its kernel");
}

#[test]
fn what_reaches_beyond_its_band_is_refused() {
    // 16 rows of 64; a band reads its own rows, or also the first one of the next band.
    let compile = |shift: usize, step: i64, in_band: bool| {
        let mut plan = Plan::default();
        let place = slot(&mut plan, 1024 + shift);
        let room = Location {
            region: Region::Band,
            offset: 0,
        };
        plan.band_bytes = 4 * 64 * 4;
        plan.kernels.push(shifted_rows(16, 64, shift, 1));
        plan.launches.push(launch(0, vec![room, place]));
        plan.launches[0].steps = vec![step, 0];
        if in_band {
            plan.bands.push(Band {
                calls: 0..1,
                count: 4,
                passing: vec![],
            });
        }
        match Program::compile(&plan, 1) {
            Err(MachineError::Plan(message)) => message,
            Err(other) => other.to_string(),
            Ok(_) => "accepted".into(),
        }
    };
    assert_eq!(compile(0, -1024, true), "accepted");
    assert_eq!(compile(0, -1020, true), "kernel 0 reaches beyond its bands");
    assert_eq!(compile(64, -1024, true), "kernel 0 reaches beyond its bands");
    assert_eq!(compile(0, -1024, false), "kernel 0 is in no band");
}

#[test]
fn parameters_are_shared_by_programs() {
    let slot = Slot {
        kind: TensorKind::Param(crate::ir::graph::ParamId(0)),
        name: "w".into(),
        shape: vec![2, 3],
        storage: Storage::F32,
        location: Location {
            region: Region::Persistent,
            offset: 64,
        },
    };
    let plan = Plan {
        persistent: PersistentLayout {
            slots: vec![slot],
            bytes: 128,
        },
        ..Plan::default()
    };
    let compile = |plan: &Plan| Program::compile(plan, 1).unwrap();
    let mut machine = Machine::new(vec![compile(&plan), compile(&plan)], 1).unwrap();
    let ValuesMut::F32(values) = machine.persistent_mut(0) else {
        panic!("a parameter is real")
    };
    values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    machine.run(ProgramId(1));
    assert_eq!(machine.persistent(0), Values::F32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let other = Plan::default();
    assert!(Machine::new(vec![compile(&plan), compile(&other)], 1).is_err());
}
