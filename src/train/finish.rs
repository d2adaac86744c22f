//! What the batches of a split gave in, its loss and metrics out, in float64.

use crate::ir::experiment::{Computed, Evaluation};
use crate::ir::graph::{InputDeclaration, OutputKind};
use crate::ir::number::StepVariable;
use crate::metrics;
use crate::ops::interpret::interpret_outputs;
use crate::ops::tensor64::{Environment, Tensor64};

/// What an evaluation program gave for all batches of a split.
#[derive(Clone, PartialEq, Debug)]
pub struct Gathered {
    /// The values of each accumulator, in their order.
    pub totals: Vec<Vec<f64>>,
    /// The values of all samples, for each of [`Evaluation::samples`].
    pub samples: Vec<Vec<f64>>,
}

/// The report of a split.
pub fn finish(
    evaluation: &Evaluation,
    gathered: &Gathered,
    variable: &dyn Fn(StepVariable) -> f64,
) -> Vec<(OutputKind, Tensor64)> {
    let graph = &evaluation.finish;
    let input = |declaration: &InputDeclaration| {
        let computed = evaluation.computed.iter().find(|c| c.name == declaration.name);
        let values = match computed {
            Some(computed) => compute(computed, &gathered.samples),
            None => {
                let at = evaluation.accumulators.iter().position(|a| a.name == declaration.name);
                gathered.totals[at.expect("every other input of the finish graph is accumulated")].clone()
            }
        };
        Tensor64::new(&declaration.shape, values)
    };
    let environment = Environment {
        inputs: graph.inputs.iter().map(input).collect(),
        numbers: graph.numbers.iter().map(|n| n.at(variable)).collect(),
        ..Environment::default()
    };
    let kinds = graph.outputs.iter().map(|o| o.kind.clone());
    kinds.zip(interpret_outputs(graph, &environment)).collect()
}

fn compute(computed: &Computed, samples: &[Vec<f64>]) -> Vec<f64> {
    let function = metrics::find(computed.function).expect("a program names functions of the catalog");
    let operands: Vec<&[f64]> = computed.operands.iter().map(|&o| samples[o].as_slice()).collect();
    metrics::apply(function, &operands, computed.kept, computed.points)
}
