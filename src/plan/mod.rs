//! The schedule → addresses: parameters and states in the persistent region, everything else in one transient region
//! whose places are used again as soon as nothing reads them. It changes no kernel and no order.

mod lifetime;
mod reuse;

use crate::ir::graph::{Graph, OutputKind};
use crate::ir::kernel::{Schedule, Slice, Storage, TensorId, TensorKind};
use crate::ir::plan::*;
use lifetime::{Interval, offsets};
use std::collections::HashMap;

/// Elements from which on a tensor takes over the place of another one: below, that saves little, and calls that read the
/// old one would have to be waited for.
const WORTH_SHARING: usize = 1 << 14;

/// Gives every tensor a place. Parameters and states lie where `layout` has them, if it is given: the evaluation
/// program of an experiment works on the tensors of its training program.
pub fn plan(schedule: &Schedule, graph: &Graph, layout: Option<&PersistentLayout>) -> Plan {
    planned(schedule, graph, layout, WORTH_SHARING)
}

/// The same; tensors from so many elements on may take over the place of another one.
pub(crate) fn planned(
    schedule: &Schedule,
    graph: &Graph,
    layout: Option<&PersistentLayout>,
    sharing_from: usize,
) -> Plan {
    let persistent = match layout {
        Some(layout) => layout.clone(),
        None => persistent_layout(graph),
    };
    let (transient, transient_bytes) = transient_offsets(schedule, sharing_from);
    let by_path: HashMap<&str, Location> = persistent.slots.iter().map(|s| (s.name.as_str(), s.location)).collect();
    let location = |id: TensorId| match schedule.tensors[id.0 as usize].kind {
        TensorKind::Param(p) => by_path[graph.params[p.0 as usize].path.as_str()],
        TensorKind::State(s) => by_path[graph.states[s.0 as usize].path.as_str()],
        _ => Location {
            region: Region::Transient,
            offset: transient[id.0 as usize],
        },
    };
    let launches = schedule.calls.iter().map(|call| {
        let part = |(buffer, &tensor): (usize, &TensorId)| {
            let Location { region, offset } = location(tensor);
            let first = call.slice(buffer).first as usize * schedule.tensors[tensor.0 as usize].storage.stride();
            let offset = offset + first;
            Location { region, offset }
        };
        let step = |(slice, tensor): (&Slice, &TensorId)| {
            slice.step * schedule.tensors[tensor.0 as usize].storage.stride() as i64
        };
        Launch {
            call: call.clone(),
            locations: call.tensors.iter().enumerate().map(part).collect(),
            steps: call.slices.iter().zip(&call.tensors).map(step).collect(),
        }
    });
    let slot = |kind: TensorKind, name: &str, shape: Vec<usize>| {
        let at = schedule.tensors.iter().position(|t| t.kind == kind)?;
        Some(Slot {
            kind,
            name: name.to_string(),
            shape,
            storage: schedule.tensors[at].storage,
            location: location(TensorId(at as u32)),
        })
    };
    let inputs = (0..graph.inputs.len()).map(|i| {
        let input = &graph.inputs[i];
        let kind = TensorKind::Input(crate::ir::graph::InputId(i as u32));
        slot(kind, &input.name, input.shape.clone()).expect("every input has a tensor")
    });
    let reported = schedule.outputs.iter().filter(|(kind, _)| !is_update(kind));
    let outputs = reported.map(|(kind, tensor)| OutputSlot {
        kind: kind.clone(),
        shape: graph.output(kind).map_or(vec![], |node| graph.node(node).shape.clone()),
        storage: schedule.tensors[tensor.0 as usize].storage,
        location: location(*tensor),
    });
    Plan {
        launches: launches.collect(),
        loops: schedule.loops.clone(),
        bands: schedule.bands.clone(),
        inputs: inputs.collect(),
        numbers: slot(TensorKind::Numbers, "numbers", vec![graph.numbers.len()]),
        random_key: slot(TensorKind::RandomKey, "random key", vec![2]),
        outputs: outputs.collect(),
        kernels: schedule.kernels.clone(),
        persistent,
        transient_bytes,
    }
}

/// Parameters, then the model's states, then the optimizer's, in the order of their declaration.
fn persistent_layout(graph: &Graph) -> PersistentLayout {
    let mut layout = PersistentLayout::default();
    let mut place = |kind: TensorKind, name: &str, shape: &[usize]| {
        layout.slots.push(Slot {
            kind,
            name: name.to_string(),
            shape: shape.to_vec(),
            storage: Storage::F32,
            location: Location {
                region: Region::Persistent,
                offset: layout.bytes,
            },
        });
        layout.bytes += bytes(Storage::F32, shape.iter().product());
    };
    for (i, param) in graph.params.iter().enumerate() {
        place(
            TensorKind::Param(crate::ir::graph::ParamId(i as u32)),
            &param.path,
            &param.shape,
        );
    }
    for optimizer in [false, true] {
        for (i, state) in graph
            .states
            .iter()
            .enumerate()
            .filter(|(_, s)| s.optimizer == optimizer)
        {
            place(
                TensorKind::State(crate::ir::graph::StateId(i as u32)),
                &state.path,
                &state.shape,
            );
        }
    }
    layout
}

/// The room that a tensor takes.
fn bytes(storage: Storage, elements: usize) -> usize {
    storage.bytes(elements).next_multiple_of(ALIGNMENT)
}

fn is_update(kind: &OutputKind) -> bool {
    matches!(kind, OutputKind::ParamUpdate(_) | OutputKind::StateUpdate(_))
}

/// Inputs, numbers and the key live from before the first call, outputs to behind the last one.
fn transient_offsets(schedule: &Schedule, sharing_from: usize) -> (Vec<usize>, usize) {
    let end = schedule.calls.len();
    let mut intervals: Vec<Option<Interval>> = schedule
        .tensors
        .iter()
        .map(|tensor| match tensor.kind {
            TensorKind::Param(_) | TensorKind::State(_) | TensorKind::Temporary => None,
            // The trainer writes them before the step, so they must not share their place with anything before.
            TensorKind::Input(_) | TensorKind::Numbers | TensorKind::RandomKey => Some(Interval {
                first: 0,
                last: end,
                bytes: bytes(tensor.storage, tensor.elements),
            }),
        })
        .collect();
    for (time, call) in schedule.calls.iter().enumerate() {
        // What a loop touches is needed in all of its rounds, and what bands touch in all of them.
        let together = schedule.together(time);
        let (first, last) = (together.start, together.end - 1);
        for tensor in &call.tensors {
            let described = &schedule.tensors[tensor.0 as usize];
            if described.kind == TensorKind::Temporary {
                let interval = intervals[tensor.0 as usize].get_or_insert(Interval {
                    first,
                    last,
                    bytes: bytes(described.storage, described.elements),
                });
                interval.last = interval.last.max(last);
            }
        }
    }
    for (_, tensor) in &schedule.outputs {
        if let Some(interval) = &mut intervals[tensor.0 as usize] {
            interval.last = end;
        }
    }
    // A tensor that takes over the place of another one lives in its interval.
    let place = places(schedule, sharing_from);
    for tensor in 0..intervals.len() {
        if place[tensor] != tensor
            && let Some(later) = intervals[tensor].take()
            && let Some(interval) = &mut intervals[place[tensor]]
        {
            interval.last = interval.last.max(later.last);
        }
    }
    let (offsets, bytes) = offsets(&intervals);
    (place.iter().map(|&first| offsets[first]).collect(), bytes)
}

/// For each tensor the first one in whose place it lies: itself, or one that it takes over from.
fn places(schedule: &Schedule, sharing_from: usize) -> Vec<usize> {
    let predecessor = reuse::taken_over(schedule, sharing_from);
    let first = |tensor: usize| {
        let mut at = tensor;
        while let Some(before) = predecessor[at] {
            at = before.0 as usize;
        }
        at
    };
    (0..schedule.tensors.len()).map(first).collect()
}
