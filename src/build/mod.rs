//! Resolved program → tensor graph: each indexed equation becomes primitives with static shapes.
//! Knows nothing of the language's text; every mistake was found before.

mod accumulation;
mod evaluation;
mod lower;
mod read;
mod reduce;
mod scan;
mod summand;

pub use accumulation::accumulation;
pub use evaluation::evaluation;

use crate::ir::graph::{Graph, NodeId};
use crate::ir::model::{Definition, Program, TensorId};
use crate::ops::construct::GraphBuilder;

/// Builds the graph of a program: what its outputs need, and all its declarations.
pub fn build(program: &Program) -> Graph {
    build_traced(program).0
}

/// As [`build`]; also tells for each node the tensor that it was first made for.
pub fn build_traced(program: &Program) -> (Graph, Vec<TensorId>) {
    let Program {
        inputs,
        params,
        states,
        numbers,
        ..
    } = program;
    let graph = Graph::declaring(inputs.clone(), params.clone(), states.clone(), numbers.clone());
    let mut builder = GraphBuilder::new(graph);
    let needed = needed(program);
    let steps = scan::Steps::of(program, &needed);
    let mut nodes: Vec<Option<NodeId>> = vec![None; program.tensors.len()];
    let mut made_for = vec![];
    for (at, tensor) in program.tensors.iter().enumerate() {
        if !needed[at] || steps.inside(at) {
            continue;
        }
        (builder.span, builder.caller) = (tensor.span, program.callers[at]);
        nodes[at] = Some(match &tensor.definition {
            Definition::Input(id) => builder.input(*id),
            Definition::Param(id) => builder.param(*id),
            Definition::State(id) => builder.state(*id),
            Definition::Gradient(id) => builder.gradient(*id),
            Definition::Equation(equation) => lower::equation(equation, &nodes, &mut builder),
            Definition::Sorted { of, axis } => {
                let of = nodes[of.0 as usize].expect("what is sorted is made before");
                builder.sort(of, *axis)
            }
            Definition::Walked { walk, value, axis } => steps.walked(*walk, *value, *axis, &nodes, &mut builder),
            Definition::Carry { .. } => unreachable!("a carry is inside of its scan"),
            Definition::WholeSplit(_) => unreachable!("only metrics see whole splits, and `evaluation` takes them out"),
        });
        made_for.resize(builder.graph().len(), TensorId(at as u32));
    }
    for output in &program.outputs {
        let node = nodes[output.tensor.0 as usize].expect("an output's tensor is needed");
        builder.output(output.kind.clone(), node);
    }
    (builder.finish(), made_for)
}

/// Which tensors the outputs depend on.
pub fn needed(program: &Program) -> Vec<bool> {
    let mut needed = vec![false; program.tensors.len()];
    program.outputs.iter().for_each(|o| needed[o.tensor.0 as usize] = true);
    for at in (0..program.tensors.len()).rev() {
        if needed[at] {
            program.reads(TensorId(at as u32), &mut |id| needed[id.0 as usize] = true);
        }
    }
    needed
}
