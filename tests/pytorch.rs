//! Tiny models against PyTorch's float64 curves, from the same weights and batches (`tests/pytorch/make.py`).

use mspec::data::{Batch, open};
use mspec::ir::graph::{Graph, OutputKind};
use mspec::ir::plan::Plan;
use mspec::machine::{Machine, Program, ProgramId, Values, ValuesMut};
use mspec::pipeline;
use mspec::train::name_map::NameMap;
use mspec::train::weights::{WeightTensor, Weights, read_safetensors};
use std::collections::BTreeMap;
use std::path::Path;

const PROGRAM: ProgramId = ProgramId(0);

/// What a run is compared by, under PyTorch's names.
#[derive(serde::Deserialize)]
struct Curve {
    losses: Vec<f64>,
    grad_norms: BTreeMap<String, f64>,
    param_norms: BTreeMap<String, f64>,
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch");
    let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let read = |path: &Path| std::fs::read(path).map_err(|e| e.to_string());
    let spec = pipeline::load(&file("ms"), &[], &read).expect("the spec parses");
    let data = open(&spec.data().expect("the data section is right"), &folder).expect("the batches can be read");
    let mut experiment = spec.resolve(data.schema().clone()).expect("the spec is right");
    experiment.probe = true;
    let graph = experiment.training_graph().expect("the model can be trained");
    let plan = pipeline::compile(&graph, None).plan;
    let mut machine = Machine::new(vec![Program::compile(&plan, 2).unwrap()], 2).unwrap();
    let map = NameMap::read(&file("map")).unwrap();
    let wanted: Vec<(&str, &[usize])> = graph
        .params
        .iter()
        .map(|p| (p.path.as_str(), p.shape.as_slice()))
        .collect();
    let ours = map
        .import(&read_safetensors(&file("weights.safetensors")).unwrap(), &wanted)
        .unwrap();
    for (path, weight) in &ours {
        write(
            machine.persistent_mut(slot(&plan, path)),
            &mspec::data::Values::Real(weight.values.clone()),
        );
    }
    let want: Curve = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
    let batch_size = experiment.train.as_ref().unwrap().batch;
    let mut sampler = data.sampler(1, batch_size).unwrap();
    let mut batch = Batch::new(data.schema(), batch_size);
    for (at, want_loss) in want.losses.iter().enumerate() {
        sampler.fill(at as u64 + 1, &mut batch).unwrap();
        step(&mut machine, &graph, &batch, at as u64 + 1);
        let loss = output(&machine, &plan, &OutputKind::Loss);
        close(loss, *want_loss, 1e-5, &format!("loss of step {}", at + 1));
        if at == 0 {
            gradients(&machine, &plan, &graph, &map, &want);
        }
    }
    let after: Weights = graph
        .params
        .iter()
        .map(|p| (p.path.clone(), weight(&machine, &plan, &p.path, &p.shape)))
        .collect();
    for (name, tensor) in map.export(&after).unwrap() {
        let norm = tensor.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        close(norm, want.param_norms[&name], 1e-4, &name);
    }
}

/// Gradient norms under PyTorch's names; the map adds up the norms of what it joins.
fn gradients(machine: &Machine, plan: &Plan, graph: &Graph, map: &NameMap, want: &Curve) {
    let norm = |id: u32| output(machine, plan, &OutputKind::ParamGradient(mspec::ir::graph::ParamId(id)));
    let ours: BTreeMap<String, f64> = graph
        .params
        .iter()
        .zip(0..)
        .map(|(p, id)| (p.path.clone(), norm(id)))
        .collect();
    for (name, norm) in map.export_norms(&ours).unwrap() {
        close(norm, want.grad_norms[&name], 1e-4, &format!("gradient of {name}"));
    }
}

fn step(machine: &mut Machine, graph: &Graph, batch: &Batch, step: u64) {
    for input in 0..machine.inputs(PROGRAM).len() {
        let name = machine.inputs(PROGRAM)[input].name.clone();
        write(machine.input_mut(PROGRAM, input), &batch.tensor(&name).unwrap().values);
    }
    let numbers: Vec<f32> = graph.numbers.iter().map(|n| n.at(&|_| step as f64) as f32).collect();
    if !numbers.is_empty() {
        machine.numbers_mut(PROGRAM).copy_from_slice(&numbers);
    }
    machine.run(PROGRAM);
}

fn write(into: ValuesMut<'_>, values: &mspec::data::Values) {
    match (into, values) {
        (ValuesMut::F32(into), mspec::data::Values::Real(values)) => into.copy_from_slice(values),
        (ValuesMut::I32(into), mspec::data::Values::Id(values)) => into.copy_from_slice(values),
        (into, values) => panic!("{values:?} do not fit {into:?}"),
    }
}

fn slot(plan: &Plan, path: &str) -> usize {
    plan.persistent.slots.iter().position(|s| s.name == path).unwrap()
}

fn weight(machine: &Machine, plan: &Plan, path: &str, shape: &[usize]) -> WeightTensor {
    let Values::F32(values) = machine.persistent(slot(plan, path)) else {
        panic!("{path} is stored as f32")
    };
    WeightTensor {
        shape: shape.to_vec(),
        values: values.to_vec(),
    }
}

fn output(machine: &Machine, plan: &Plan, kind: &OutputKind) -> f64 {
    let at = plan.outputs.iter().position(|o| o.kind == *kind).unwrap();
    let Values::F32(values) = machine.output(PROGRAM, at) else {
        panic!("{kind:?} is stored as f32")
    };
    f64::from(values[0])
}

/// Relative to the expected value, or to 0.01 where that is smaller, as PyTorch's own f32 would be measured.
fn close(got: f64, want: f64, tolerance: f64, what: &str) {
    let error = (got - want).abs() / want.abs().max(1e-2);
    assert!(
        error <= tolerance,
        "{what}: {got} instead of {want}, relative error {error:.1e}"
    );
}

#[test]
fn a_tiny_gpt_follows_pytorch() {
    check("gpt");
}

#[test]
fn a_tiny_perceptron_follows_pytorch() {
    check("mlp");
}
