//! What the gradient computes again: a transformer keeps neither activations nor attention's weights for it.

use super::{given, run};
use crate::fuse::fused;
use crate::ir::experiment::Schema;
use crate::ir::graph::{Element, Graph};
use crate::pipeline;
use crate::plan::planned;
use std::path::Path;

/// The training step of a small causal transformer.
pub fn transformer(depth: usize, time: usize, heads: usize, groups: usize, optimizer: &str) -> Graph {
    let text = format!(
        "data {{
            tensors \"batches.safetensors\"
            ids     inputs[{time}] < 17, targets[{time}] < 17
        }}
        model gpt {{
            inputs -> embedding(17, {width})
            repeat {depth} {{
                residual {{ layer_norm -> attention({heads}, groups = {groups}, causal = true, drop = 0.1) }}
                residual {{ layer_norm -> linear(64) -> gelu_tanh -> linear({width}) }}
            }}
            layer_norm -> linear(17)
        }}
        train {{
            loss      cross_entropy(targets)
            optimizer {optimizer}
            clip_norm 1
            batch     2
            steps     1
        }}",
        width = 8 * heads
    );
    let tensor = |name: &str| crate::ir::experiment::SchemaTensor {
        name: name.into(),
        axes: vec![("time".into(), time)],
        element: Element::Id { bound: 17 },
        bound_name: None,
        category: false,
    };
    let schema = Schema {
        tensors: vec![tensor("inputs"), tensor("targets")],
        batch: Some(2),
        ..Schema::default()
    };
    let read = |_: &Path| Ok(text.as_bytes().to_vec());
    let spec = pipeline::load(Path::new("gpt.ms"), &[], &read);
    let graph = spec
        .and_then(|spec| spec.resolve(schema))
        .and_then(|experiment| experiment.training_graph());
    graph.unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics))
}

fn graph() -> Graph {
    transformer(2, 32, 2, 2, "adamw(lr = 1e-3)")
}

#[test]
fn a_transformer_keeps_less_and_computes_the_same_bits() {
    let graph = transformer(3, 32, 2, 2, "adamw(lr = 1e-3)");
    let [kept, again] = [usize::MAX, 0].map(|kept_min| fused(&graph, true, kept_min));
    let bytes = [&kept, &again].map(|schedule| planned(schedule, &graph, None, 1).transient_bytes);
    assert!(bytes[1] * 5 <= bytes[0] * 3, "{bytes:?}");
    let given = given(&graph);
    let [wanted, found] = [&kept, &again].map(|schedule| run(schedule, &given, [1, 2]));
    let bits = |values: &[Vec<f64>]| values.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&wanted));
}

#[test]
fn little_is_kept_as_it_is() {
    let graph = graph();
    let [plain, small] = [usize::MAX, super::super::again::KEPT_MIN].map(|kept_min| fused(&graph, true, kept_min));
    assert_eq!(plain.to_string(), small.to_string());
}

#[test]
fn an_activation_that_is_computed_again_goes_with_its_derivative() {
    use crate::ir::kernel::{Instruction, KernelBody};
    let schedule = fused(&graph(), true, 0);
    let is_gelu = |instruction: &Instruction| matches!(instruction, Instruction::Constant(c) if *c == 0.044_715);
    let mut products = 0;
    for call in &schedule.calls {
        match &schedule.kernels[call.kernel].body {
            KernelBody::Product(k) => products += usize::from(k.epilogue.iter().any(|d| is_gelu(&d.instruction))),
            KernelBody::Loop(k) => {
                let mut bodies = k.passes.iter().flat_map(|pass| pass.body.iter().chain(&pass.finish));
                assert!(!bodies.any(|d| is_gelu(&d.instruction)), "{}", call.name);
            }
            KernelBody::Scatter(_) => {}
        }
    }
    // In each of two layers the activation, and its derivative with the activation.
    assert_eq!(products, 4);
}
