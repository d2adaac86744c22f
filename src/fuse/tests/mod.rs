//! Schedules of small graphs against the float64 meaning of the graph, through the interpreter of kernels.

mod again;
mod bands;
mod beyond;
mod build;
mod classic;
mod corners;
mod factors;
mod generated;
pub mod oracle;
mod readers;
mod rounds;
mod windows;

use crate::codegen::interpret::interpret;
use crate::fuse::fuse;
use crate::ir::graph::*;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::verify;
use crate::ir::plan::{ALIGNMENT, Location, Region};
use crate::plan::planned;
use oracle::{Given, evaluated, number, word};

/// Deterministic values: reals in [-1, 1), ids below their bound.
pub fn given(graph: &Graph) -> Given {
    let mut state = 1u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut reals = |shape: &[usize]| {
        (0..elements(shape))
            .map(|_| f64::from((next() * 2.0 - 1.0) as f32))
            .collect()
    };
    let params = graph.params.iter().map(|p| reals(&p.shape)).collect();
    let states = graph.states.iter().map(|s| reals(&s.shape)).collect();
    let inputs = graph
        .inputs
        .iter()
        .map(|i| {
            let values: Vec<f64> = reals(&i.shape);
            match i.element {
                Element::Real => values,
                Element::Condition => values.iter().map(|v| f64::from(u8::from(*v > 0.0))).collect(),
                Element::Id { bound } => values
                    .iter()
                    .map(|v| ((v + 1.0) / 2.0 * bound as f64).floor())
                    .collect(),
            }
        })
        .collect();
    let numbers = graph.numbers.iter().map(|n| n.as_constant().unwrap_or(0.25)).collect();
    Given {
        inputs,
        params,
        states,
        numbers,
    }
}

/// The outputs that the kernels compute.
pub fn run(schedule: &Schedule, given: &Given, key: [u32; 2]) -> Vec<Vec<f64>> {
    let mut memory: Vec<Vec<u32>> = schedule
        .tensors
        .iter()
        .map(|t| {
            let words = |values: &[f64]| values.iter().map(|v| word(t.storage, *v)).collect();
            match t.kind {
                TensorKind::Input(i) => words(&given.inputs[i.0 as usize]),
                TensorKind::Param(i) => words(&given.params[i.0 as usize]),
                TensorKind::State(i) => words(&given.states[i.0 as usize]),
                TensorKind::Numbers => words(&given.numbers),
                TensorKind::RandomKey => key.to_vec(),
                // What is not written shows up as not a number.
                TensorKind::Temporary if t.storage.stride() == 2 => vec![0x7fff; t.elements],
                TensorKind::Temporary => vec![f32::NAN.to_bits(); t.elements],
            }
        })
        .collect();
    for (number, round) in order(schedule) {
        let call = &schedule.calls[number];
        let kernel = &schedule.kernels[call.kernel];
        if let Err(violation) = verify(kernel) {
            panic!("{violation}\n{kernel}");
        }
        let part = |buffer: usize| {
            let slice = call.slice(buffer);
            let first = (slice.first + round as i64 * slice.step) as usize;
            first..first + kernel.buffers[buffer].elements
        };
        let tensors = call.tensors.iter().enumerate();
        let mut parts: Vec<Vec<u32>> = tensors
            .clone()
            .map(|(b, t)| memory[t.0 as usize][part(b)].to_vec())
            .collect();
        let binding: Vec<usize> = (0..parts.len()).collect();
        interpret(kernel, &mut parts, &binding);
        for (buffer, tensor) in tensors.filter(|(b, _)| kernel.buffers[*b].written) {
            memory[tensor.0 as usize][part(buffer)].copy_from_slice(&parts[buffer]);
        }
    }
    let read = |id: &TensorId| {
        let storage = schedule.tensors[id.0 as usize].storage;
        memory[id.0 as usize].iter().map(|w| number(storage, *w)).collect()
    };
    schedule.outputs.iter().map(|(_, id)| read(id)).collect()
}

/// Calls with their rounds, in the order of work.
fn order(schedule: &Schedule) -> Vec<(usize, usize)> {
    let mut order = vec![];
    for call in 0..schedule.calls.len() {
        match schedule.loop_of(call) {
            None => order.push((call, 0)),
            Some(found) if found.calls.start == call => {
                order.extend((0..found.rounds).flat_map(|r| found.calls.clone().map(move |c| (c, r))));
            }
            Some(_) => {}
        }
    }
    order
}

/// Fuses, runs and compares every output with the float64 meaning, to a part of its greatest element.
pub fn check(graph: &Graph) -> Schedule {
    check_to(graph, 1e-5)
}

pub fn check_to(graph: &Graph, tolerance: f64) -> Schedule {
    let schedule = fuse(graph);
    super::verify::verify(&schedule).unwrap_or_else(|problem| panic!("{problem}"));
    check_plan(graph, &schedule);
    let given = given(graph);
    let key = [12345, 67890];
    let expected = evaluated(graph, &given, &|stream, element| draw(key, stream, element));
    let found = run(&schedule, &given, key);
    for ((kind, _), values) in schedule.outputs.iter().zip(found) {
        let node = graph.output(kind).unwrap();
        let wanted = &expected[node.0 as usize];
        let scale = wanted
            .iter()
            .filter(|w| w.is_finite())
            .fold(1e-3, |m: f64, w| m.max(w.abs()));
        for (at, (f, w)) in values.iter().zip(wanted).enumerate() {
            let close = (f - w).abs() <= tolerance * scale || f == w || f.is_nan() && w.is_nan();
            assert!(close, "{kind:?}[{at}]: {f} instead of {w}\n{}", printed(&schedule));
        }
        assert_eq!(values.len(), wanted.len());
    }
    schedule
}

/// Follows the plan call by call: what is read is what was written there last.
fn check_plan(graph: &Graph, schedule: &Schedule) {
    let plan = planned(schedule, graph, None, 1);
    let mut owners: Vec<Option<TensorId>> = vec![None; plan.transient_bytes / 4];
    let span = |location: Location, elements: usize| location.offset / 4..location.offset / 4 + elements;
    for (number, tensor) in schedule.tensors.iter().enumerate() {
        if let TensorKind::Input(id) = tensor.kind {
            let slot = &plan.inputs[id.0 as usize];
            owners[span(slot.location, tensor.elements)].fill(Some(TensorId(number as u32)));
        }
    }
    let outside = |t: &Tensor| !matches!(t.kind, TensorKind::Temporary | TensorKind::Input(_));
    let mut claimed = std::collections::HashSet::new();
    let part_start = |call: &Call, buffer: usize, round: usize| {
        let slice = call.slice(buffer);
        (slice.first + round as i64 * slice.step) as usize
    };
    for (number, launch, round) in plan.rounds() {
        let call = &schedule.calls[number];
        let kernel = &plan.kernels[launch.call.kernel];
        let buffers = kernel.buffers.iter().zip(&call.tensors).enumerate();
        // What is read is checked before what is written takes its place.
        let (read, written): (Vec<_>, Vec<_>) = buffers.partition(|(_, (b, _))| !b.written);
        for (at, (buffer, tensor)) in read.into_iter().chain(written) {
            if outside(&schedule.tensors[tensor.0 as usize]) {
                continue;
            }
            let location = launch.location(at, round);
            assert!(!call.slices.is_empty() || location.offset.is_multiple_of(ALIGNMENT));
            let range = span(location, buffer.elements);
            if buffer.written {
                let gives_place = |o: usize| kernel.may_overwrite(BufferId(o as u32), BufferId(at as u32));
                let others = |o: &Option<TensorId>| {
                    let mut others = call.tensors.iter().enumerate().filter(|(_, t)| *t != tensor);
                    others.any(|(number, t)| *o == Some(*t) && !gives_place(number))
                };
                assert!(!owners[range.clone()].iter().any(others));
                owners[range].fill(Some(*tensor));
                // The first part that is written makes room for all of them, and for what lies between.
                if !call.slices.is_empty() && claimed.insert(*tensor) {
                    let first = location.offset - 4 * part_start(call, at, round);
                    let whole = first / 4..first / 4 + schedule.tensors[tensor.0 as usize].elements;
                    owners[whole].fill(Some(*tensor));
                }
            } else {
                assert!(
                    owners[range].iter().all(|o| *o == Some(*tensor)),
                    "{tensor} was overwritten"
                );
            }
        }
    }
    for (kind, tensor) in &schedule.outputs {
        if let Some(slot) = plan.outputs.iter().find(|s| s.kind == *kind)
            && slot.location.region == Region::Transient
        {
            let elements: usize = slot.shape.iter().product();
            let range = span(slot.location, elements);
            assert!(
                owners[range].iter().all(|o| *o == Some(*tensor)),
                "{kind:?} was overwritten"
            );
        }
    }
}

fn draw(key: [u32; 2], stream: u32, element: usize) -> f64 {
    let bits = super::random::uniform(&mut super::mathematics_test::Plain, key, stream, element as u32);
    f64::from(f32::from_bits(bits))
}

/// Calls with their kernels, as the snapshots show them.
pub fn printed(schedule: &Schedule) -> String {
    let mut text = String::new();
    for call in &schedule.calls {
        let tensors: Vec<String> = call.tensors.iter().map(ToString::to_string).collect();
        text += &format!("k{} {} ({})\n", call.kernel, call.name, tensors.join(", "));
    }
    for (number, kernel) in schedule.kernels.iter().enumerate() {
        text += &format!("k{number}:\n{kernel}\n");
    }
    text
}

/// One line for each call.
pub fn calls(schedule: &Schedule) -> String {
    let names: Vec<String> = schedule
        .calls
        .iter()
        .map(|c| format!("k{} {}", c.kernel, c.name))
        .collect();
    names.join("\n")
}
