//! The schedule → addresses: parameters and states in the persistent region, everything else in one transient region
//! whose places are used again as soon as nothing reads them; of what lives inside one band, the part of one band lies in
//! a room that each thread has. It changes no kernel and no order.

mod lifetime;
mod reuse;

use crate::ir::graph::{Graph, OutputKind};
use crate::ir::kernel::{Passing, Schedule, Slice, Storage, TensorId, TensorKind};
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
    let places = Places::of(schedule, sharing_from);
    let by_path: HashMap<&str, Location> = persistent.slots.iter().map(|s| (s.name.as_str(), s.location)).collect();
    let location = |id: TensorId| match schedule.tensors[id.0 as usize].kind {
        TensorKind::Param(p) => by_path[graph.params[p.0 as usize].path.as_str()],
        TensorKind::State(s) => by_path[graph.states[s.0 as usize].path.as_str()],
        _ => places.locations[id.0 as usize],
    };
    let launches = schedule.calls.iter().enumerate().map(|(number, call)| {
        let part = |(buffer, &tensor): (usize, &TensorId)| {
            let Location { region, offset } = location(tensor);
            let first = call.slice(buffer).first as usize * schedule.tensors[tensor.0 as usize].storage.stride();
            let offset = offset + first;
            Location { region, offset }
        };
        let step = |(slice, tensor): (&Slice, &TensorId)| {
            slice.step * schedule.tensors[tensor.0 as usize].storage.stride() as i64
        };
        let mut steps: Vec<i64> = call.slices.iter().zip(&call.tensors).map(step).collect();
        if let Some(band) = schedule.bands.iter().find(|b| b.calls.contains(&number)) {
            let back = |tensor: &TensorId| {
                let passing = band.passing.iter().find(|p| p.tensor == *tensor);
                let storage = schedule.tensors[tensor.0 as usize].storage;
                passing.map_or(0, |p| -((p.stride * storage.stride()) as i64))
            };
            steps = call.tensors.iter().map(back).collect();
        }
        Launch {
            call: call.clone(),
            locations: call.tensors.iter().enumerate().map(part).collect(),
            steps,
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
        transient_bytes: places.transient_bytes,
        band_bytes: places.band_bytes,
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

/// Where everything lies but parameters and states.
struct Places {
    /// Of each tensor.
    locations: Vec<Location>,
    transient_bytes: usize,
    band_bytes: usize,
}

impl Places {
    fn of(schedule: &Schedule, sharing_from: usize) -> Places {
        let passing = schedule.passing();
        let mut intervals = intervals(schedule, &passing);
        // A tensor that takes over the place of another one lives in its interval.
        let first = first_in_place(schedule, sharing_from);
        for tensor in 0..intervals.len() {
            if first[tensor] != tensor
                && let Some(later) = intervals[tensor].take()
                && let Some(interval) = &mut intervals[first[tensor]]
            {
                interval.last = interval.last.max(later.last);
            }
        }
        let (mut whole, mut of_bands) = (intervals.clone(), intervals);
        for tensor in 0..passing.len() {
            match passing[tensor] {
                Some(_) => whole[tensor] = None,
                None => of_bands[tensor] = None,
            }
        }
        let (whole, transient_bytes) = offsets(&whole);
        let (of_bands, band_bytes) = offsets(&of_bands);
        let location = |tensor: &usize| match passing[*tensor] {
            Some(_) => Location {
                region: Region::Band,
                offset: of_bands[*tensor],
            },
            None => Location {
                region: Region::Transient,
                offset: whole[*tensor],
            },
        };
        Places {
            locations: first.iter().map(location).collect(),
            transient_bytes,
            band_bytes,
        }
    }
}

/// When each tensor is needed, and the room that it takes: inputs, numbers and the key from before the first call, outputs
/// to behind the last one, and what passes within a band only from call to call.
fn intervals(schedule: &Schedule, passing: &[Option<(usize, Passing)>]) -> Vec<Option<Interval>> {
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
        for tensor in &call.tensors {
            let described = &schedule.tensors[tensor.0 as usize];
            if described.kind == TensorKind::Temporary {
                let (calls, elements) = match passing[tensor.0 as usize] {
                    Some((_, passing)) => (time..time + 1, passing.stride),
                    None => (together.clone(), described.elements),
                };
                let interval = intervals[tensor.0 as usize].get_or_insert(Interval {
                    first: calls.start,
                    last: calls.end - 1,
                    bytes: bytes(described.storage, elements),
                });
                interval.last = interval.last.max(calls.end - 1);
            }
        }
    }
    for (_, tensor) in &schedule.outputs {
        if let Some(interval) = &mut intervals[tensor.0 as usize] {
            interval.last = end;
        }
    }
    intervals
}

/// For each tensor the first one in whose place it lies: itself, or one that it takes over from.
fn first_in_place(schedule: &Schedule, sharing_from: usize) -> Vec<usize> {
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
