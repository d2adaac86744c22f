//! A scan → calls in a loop: its body is fused like a graph of its own, then its tensors become parts of the scan's
//! operands and of its result that move on with each round. Carried values never move: each step writes its own slot
//! and the next one reads it there, so nothing is overwritten that a gradient needs.

use super::schedule::copy_body;
use super::tidy::Kernels;
use crate::ir::graph::{NodeId, elements};
use crate::ir::kernel::*;
use crate::ir::scan::Scan;
use crate::text::Span;

/// Where a scan's values lie.
pub struct Place<'a> {
    /// The scan.
    pub scan: &'a Scan,
    /// Its node in the given graph.
    pub node: NodeId,
    /// Its place in the spec.
    pub span: Span,
    /// Its result.
    pub result: TensorId,
    /// Its operands.
    pub operands: Vec<TensorId>,
}

/// Calls that still have kernels of their own.
#[derive(Default)]
pub struct Embedded {
    before: Vec<(Kernel, Call)>,
    inside: Vec<(Kernel, Call)>,
    rounds: usize,
}

/// Makes the calls; `temporary` gives tensors that live in a round.
pub fn embedded(place: &Place, temporary: &mut dyn FnMut(Storage, usize) -> TensorId) -> Embedded {
    let scan = place.scan;
    let inside = super::fuse(&scan.body);
    let stacks = scan.stacks().0;
    let in_order = |offset: usize, size: usize| Slice {
        first: (offset + scan.place(0) * size) as i64,
        step: if scan.backwards { -(size as i64) } else { size as i64 },
    };
    let written = |output: usize| match output < scan.carries {
        true => Slice {
            first: (stacks[output].offset + stacks[output].stride) as i64,
            step: stacks[output].stride as i64,
        },
        false => in_order(stacks[output].offset, stacks[output].stride),
    };
    let mut parts: Vec<Option<(TensorId, Slice)>> = inside
        .tensors
        .iter()
        .map(|tensor| match tensor.kind {
            TensorKind::Input(id) => {
                let n = id.0 as usize;
                Some(match n {
                    n if n < scan.carries => {
                        let (first, step) = (stacks[n].offset as i64, stacks[n].stride as i64);
                        (place.result, Slice { first, step })
                    }
                    n if n < scan.carries + scan.slices => (place.operands[n], in_order(0, tensor.elements)),
                    n => (place.operands[n], Slice::default()),
                })
            }
            _ => None,
        })
        .collect();
    let mut made = Embedded {
        rounds: scan.steps,
        ..Embedded::default()
    };
    let mut copies = vec![];
    for (output, (_, tensor)) in inside.outputs.iter().enumerate() {
        let to = (place.result, written(output));
        let at = tensor.0 as usize;
        match parts[at] {
            None => parts[at] = Some(to),
            Some(from) => copies.push(place.copy(inside.tensors[at].elements, from, to)),
        }
    }
    for (tensor, part) in inside.tensors.iter().zip(&mut parts) {
        part.get_or_insert_with(|| (temporary(tensor.storage, tensor.elements), Slice::default()));
    }
    for call in &inside.calls {
        let moved = call
            .tensors
            .iter()
            .map(|t| parts[t.0 as usize].expect("every tensor has a place"));
        let (tensors, slices) = moved.unzip();
        let kernel = inside.kernels[call.kernel].clone();
        let call = place.call(&format!("scan: {}", call.name), tensors, slices, call.span);
        made.inside.push((kernel, call));
    }
    made.inside.extend(copies);
    for n in 0..scan.carries {
        let first = stacks[n].offset as i64;
        let to = (place.result, Slice { first, step: 0 });
        let size = elements(&stacks[n].shape);
        made.before
            .push(place.copy(size, (place.operands[n], Slice::default()), to));
    }
    made
}

impl Place<'_> {
    fn call(&self, name: &str, tensors: Vec<TensorId>, slices: Vec<Slice>, span: Span) -> Call {
        Call {
            kernel: 0,
            tensors,
            slices,
            nodes: vec![self.node],
            span,
            name: name.to_string(),
        }
    }

    fn copy(&self, size: usize, from: (TensorId, Slice), to: (TensorId, Slice)) -> (Kernel, Call) {
        let buffer = |written| Buffer {
            storage: Storage::F32,
            elements: size,
            written,
        };
        let kernel = Kernel {
            buffers: vec![buffer(false), buffer(true)],
            body: copy_body(size),
        };
        let (tensors, slices) = [from, to].into_iter().unzip();
        (kernel, self.call("scan: copy", tensors, slices, self.span))
    }
}

impl Embedded {
    /// Appends the calls to a schedule.
    pub fn put(self, kernels: &mut Kernels, calls: &mut Vec<Call>, loops: &mut Vec<Loop>) {
        let mut push = |(kernel, call): (Kernel, Call)| {
            let kernel = kernels.number(kernel);
            calls.push(Call { kernel, ..call });
        };
        self.before.into_iter().for_each(&mut push);
        let count = self.inside.len();
        self.inside.into_iter().for_each(&mut push);
        loops.push(Loop {
            calls: calls.len() - count..calls.len(),
            rounds: self.rounds,
        });
    }
}
