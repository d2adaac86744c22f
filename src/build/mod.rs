//! Resolved program → tensor graph: each indexed equation becomes primitives with static shapes.
//! Knows nothing of the language's text; every mistake was found before.

mod evaluation;
mod lower;

pub use evaluation::evaluation;

use crate::ir::graph::{Graph, NodeId};
use crate::ir::model::{Definition, Expr, Place, Program, TensorId};
use crate::ops::construct::GraphBuilder;

/// Builds the graph of a program: what its outputs need, and all its declarations.
pub fn build(program: &Program) -> Graph {
    let Program {
        inputs,
        params,
        states,
        numbers,
        ..
    } = program.clone();
    let graph = Graph::declaring(inputs, params, states, numbers);
    let mut builder = GraphBuilder::new(graph);
    let needed = needed(program);
    let mut nodes: Vec<Option<NodeId>> = vec![None; program.tensors.len()];
    for (at, tensor) in program.tensors.iter().enumerate().filter(|(at, _)| needed[*at]) {
        builder.span = tensor.span;
        nodes[at] = Some(match &tensor.definition {
            Definition::Input(id) => builder.input(*id),
            Definition::Param(id) => builder.param(*id),
            Definition::State(id) => builder.state(*id),
            Definition::Gradient(id) => builder.gradient(*id),
            Definition::Equation(equation) => lower::equation(equation, &nodes, &mut builder),
        });
    }
    for output in &program.outputs {
        let node = nodes[output.tensor.0 as usize].expect("an output's tensor is needed");
        builder.output(output.kind.clone(), node);
    }
    builder.finish()
}

/// Which tensors the outputs depend on.
fn needed(program: &Program) -> Vec<bool> {
    let mut needed = vec![false; program.tensors.len()];
    program.outputs.iter().for_each(|o| needed[o.tensor.0 as usize] = true);
    for at in (0..program.tensors.len()).rev() {
        if needed[at]
            && let Definition::Equation(equation) = &program.tensors[at].definition
        {
            reads(&equation.body, &mut |id| needed[id.0 as usize] = true);
        }
    }
    needed
}

/// Calls `f` for every tensor that an expression reads.
fn reads(expr: &Expr, f: &mut dyn FnMut(TensorId)) {
    match expr {
        Expr::Constant(_) | Expr::Number(_) | Expr::Index(_) | Expr::Position(_) | Expr::Random(_) => {}
        Expr::Read {
            tensor,
            places,
            otherwise,
        } => {
            f(*tensor);
            for place in places {
                if let Place::Id(id) = place {
                    reads(id, f);
                }
            }
            if let Some(otherwise) = otherwise {
                reads(otherwise, f);
            }
        }
        Expr::Apply(_, list) => list.iter().for_each(|e| reads(e, f)),
        Expr::Reduce(_, _, body) | Expr::Stop(body) => reads(body, f),
    }
}
