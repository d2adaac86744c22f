//! A scan → calls in a loop: its body is fused like a graph of its own, then its tensors become parts of the scan's
//! operands and of its result that move on with each round. Carried values never move: each step writes its own slot
//! and the next one reads it there, so nothing is overwritten that a gradient needs.

use super::contract::below_views;
use super::pack::{Packed, packed};
use super::tidy::Kernels;
use crate::ir::graph::{Graph, NodeId, elements};
use crate::ir::kernel::*;
use crate::ir::scan::Scan;
use crate::text::Span;

/// Where a scan's values lie.
pub struct Place<'a> {
    /// The scan.
    pub scan: &'a Scan,
    /// Its node in the given graph.
    pub node: NodeId,
    /// Its place.
    pub span: Span,
    /// Its place in the spec itself.
    pub caller: Span,
    /// Its result.
    pub result: TensorId,
    /// Its operands: where each begins, and for a sequence how far its steps lie apart.
    pub operands: Vec<(TensorId, Lies)>,
}

/// How an operand lies in the memory of a stored tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lies {
    /// The element that it begins with.
    pub first: i64,
    /// Elements from step to step of a sequence, in its own order.
    pub step: i64,
}

/// What an operand of a scan reads, if that is stored side by side: the stored node, and where the operand lies in it.
/// Views without guards fall away where each step's part stays in one piece.
pub fn stored(
    graph: &Graph,
    scan: &Scan,
    number: usize,
    operand: NodeId,
    stop: &dyn Fn(NodeId) -> bool,
) -> (NodeId, Lies) {
    let shape = &graph.node(operand).shape;
    let sequence = (scan.carries..scan.carries + scan.slices).contains(&number);
    let inner = usize::from(sequence);
    let plain = Lies {
        first: 0,
        step: if sequence { elements(&shape[1..]) as i64 } else { 0 },
    };
    let (root, element) = below_views(graph, operand, stop);
    let Some(affine) = element
        .as_affine()
        .filter(|_| number >= scan.carries && root != operand)
    else {
        return (operand, plain);
    };
    let mut stride = 1;
    for axis in (inner..shape.len()).rev() {
        if shape[axis] > 1 && affine.coefficient(axis) != stride {
            return (operand, plain);
        }
        stride *= shape[axis] as i64;
    }
    let step = if sequence { affine.coefficient(0) } else { 0 };
    (
        root,
        Lies {
            first: affine.constant,
            step,
        },
    )
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
                    n => {
                        let (tensor, Lies { first, step }) = place.operands[n];
                        let first = first + scan.place(0) as i64 * step;
                        let step = if scan.backwards { -step } else { step };
                        (tensor, Slice { first, step })
                    }
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
        let (mut tensors, mut slices): (Vec<TensorId>, Vec<Slice>) = moved.unzip();
        let mut kernel = inside.kernels[call.kernel].clone();
        let stays = |buffer: BufferId| match inside.tensors[call.tensors[buffer.0 as usize].0 as usize].kind {
            TensorKind::Input(id) => id.0 as usize >= scan.carries + scan.slices,
            _ => false,
        };
        if let Some(packed) = packed(&kernel).filter(|packed| stays(packed.buffer)) {
            let at = packed.buffer.0 as usize;
            let from = (tensors[at], slices[at]);
            let to = made.panels(&packed, from).unwrap_or_else(|| {
                let to = temporary(Storage::F32, packed.elements);
                let (tensors, slices) = [from, (to, Slice::default())].into_iter().unzip();
                let call = place.call("scan: pack", tensors, slices, (call.span, call.caller));
                made.before.push((packed.pack, call));
                to
            });
            (tensors[at], slices[at]) = (to, Slice::default());
            kernel = packed.product;
        }
        let call = place.call(
            &format!("scan: {}", call.name),
            tensors,
            slices,
            (call.span, call.caller),
        );
        made.inside.push((kernel, call));
    }
    made.inside.extend(copies);
    for (stack, (operand, _)) in stacks.iter().zip(&place.operands).take(scan.carries) {
        let first = stack.offset as i64;
        let to = (place.result, Slice { first, step: 0 });
        let from = (*operand, Slice::default());
        made.before.push(place.copy(elements(&stack.shape), from, to));
    }
    made
}

impl Place<'_> {
    fn call(&self, name: &str, tensors: Vec<TensorId>, slices: Vec<Slice>, (span, caller): (Span, Span)) -> Call {
        Call {
            kernel: 0,
            tensors,
            slices,
            nodes: vec![self.node],
            span,
            caller,
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
            body: LoopKernel::copy(size),
        };
        let (tensors, slices) = [from, to].into_iter().unzip();
        (
            kernel,
            self.call("scan: copy", tensors, slices, (self.span, self.caller)),
        )
    }
}

impl Embedded {
    /// Where the same operand is packed already.
    fn panels(&self, packed: &Packed, (tensor, slice): (TensorId, Slice)) -> Option<TensorId> {
        let same = |(kernel, call): &&(Kernel, Call)| {
            *kernel == packed.pack && call.tensors[0] == tensor && call.slice(0) == slice
        };
        self.before.iter().find(same).map(|(_, call)| call.tensors[1])
    }

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
