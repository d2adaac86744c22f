//! Schedules of small graphs against the float64 meaning of the graph, through the interpreter of kernels.

mod build;
mod classic;
mod generated;
mod oracle;

use crate::codegen::interpret::interpret;
use crate::fuse::fuse;
use crate::ir::graph::*;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::verify;
use crate::ir::plan::{ALIGNMENT, Location, Region};
use crate::plan::plan;
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
                TensorKind::Temporary => vec![f32::NAN.to_bits(); t.elements],
            }
        })
        .collect();
    for call in &schedule.calls {
        let kernel = &schedule.kernels[call.kernel];
        if let Err(violation) = verify(kernel) {
            panic!("{violation}\n{kernel}");
        }
        let binding: Vec<usize> = call.tensors.iter().map(|t| t.0 as usize).collect();
        interpret(kernel, &mut memory, &binding);
    }
    let read = |id: &TensorId| {
        let storage = schedule.tensors[id.0 as usize].storage;
        memory[id.0 as usize].iter().map(|w| number(storage, *w)).collect()
    };
    schedule.outputs.iter().map(|(_, id)| read(id)).collect()
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
    let plan = plan(schedule, graph, None);
    let blocks = plan.transient_bytes / ALIGNMENT;
    let mut owners: Vec<Option<TensorId>> = vec![None; blocks];
    let span = |location: Location, elements: usize| {
        assert!(location.offset.is_multiple_of(ALIGNMENT));
        location.offset / ALIGNMENT..(location.offset + 4 * elements).div_ceil(ALIGNMENT)
    };
    for (number, tensor) in schedule.tensors.iter().enumerate() {
        if let TensorKind::Input(id) = tensor.kind {
            let slot = &plan.inputs[id.0 as usize];
            owners[span(slot.location, tensor.elements)].fill(Some(TensorId(number as u32)));
        }
    }
    let outside = |t: &Tensor| !matches!(t.kind, TensorKind::Temporary | TensorKind::Input(_));
    for (launch, call) in plan.launches.iter().zip(&schedule.calls) {
        let buffers = &plan.kernels[launch.call.kernel].buffers;
        let places: Vec<_> = launch.locations.iter().zip(buffers).zip(&call.tensors).collect();
        for ((location, buffer), tensor) in places.iter().filter(|p| !outside(&schedule.tensors[p.1.0 as usize])) {
            let range = span(**location, buffer.elements);
            if buffer.written {
                assert!(
                    owners[range.clone()]
                        .iter()
                        .all(|o| !call.tensors.iter().any(|t| t != *tensor && *o == Some(*t)))
                );
                owners[range].fill(Some(**tensor));
            } else {
                assert!(
                    owners[range].iter().all(|o| *o == Some(**tensor)),
                    "{tensor} was overwritten"
                );
            }
        }
    }
    for (kind, tensor) in &schedule.outputs {
        if let Some(slot) = plan.outputs.iter().find(|s| s.kind == *kind)
            && slot.location.region == Region::Transient
        {
            let range = span(slot.location, schedule.tensors[tensor.0 as usize].elements);
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
