//! The standard library's definitions against PyTorch's float64 values and gradients (`definitions/make.py`), on the
//! compiled f32 kernels; and against central differences of the float64 oracle.

use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::{Element, Graph, InputId, NodeId, OutputKind, ParamId};
use mspec::machine::{Machine, Program, ProgramId, Values, ValuesMut};
use mspec::ops::construct::GraphBuilder;
use mspec::ops::interpret::interpret_outputs;
use mspec::ops::reverse::differentiate;
use mspec::ops::tensor64::{Environment, Tensor64};
use mspec::pipeline::{self, Experiment};
use mspec::text::render;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Of the greatest element of a tensor.
const TOLERANCE: f64 = 1e-5;

/// A tensor of the golden file.
#[derive(Clone)]
struct Golden {
    element: Element,
    value: Tensor64,
}

struct Case {
    name: String,
    spec: String,
    training: bool,
    inputs: BTreeMap<String, Golden>,
    params: BTreeMap<String, Golden>,
    value: Golden,
    weights: Golden,
    gradients: BTreeMap<String, Golden>,
}

fn golden(value: &Value) -> Golden {
    let list = |key: &str| value[key].as_array().unwrap().iter();
    let shape: Vec<usize> = list("shape").map(|s| s.as_u64().unwrap() as usize).collect();
    let data = list("data").map(|v| v.as_f64().unwrap()).collect();
    let element = match &value["element"] {
        Value::Null => Element::Real,
        Value::String(_) => Element::Condition,
        bound => Element::Id {
            bound: bound.as_u64().unwrap() as usize,
        },
    };
    Golden {
        element,
        value: Tensor64::new(&shape, data),
    }
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string("tests/definitions/goldens.json").unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.iter().map(case).collect()
}

fn case(value: &Value) -> Case {
    let tensors = |key: &str| {
        let list = value[key].as_object().unwrap().iter();
        list.map(|(name, tensor)| (name.clone(), golden(tensor))).collect()
    };
    let flow = value["flow"].as_str().unwrap();
    let is_loss = value["loss"].as_bool().unwrap();
    let mut inputs: BTreeMap<String, Golden> = tensors("inputs");
    let weights = golden(&value["weights"]);
    let (model, loss) = match is_loss {
        true => ("x", flow),
        false => (flow, "probe(probe_weights)"),
    };
    if !is_loss {
        inputs.insert("probe_weights".into(), weights.clone());
    }
    let spec = format!(
        "data {{\n    tensors \"none\"\n}}\n
loss probe(y[..], weights[..]) = sum[..] y[..] * weights[..]\n
model net {{\n    {model}\n}}\n
train {{\n    loss {loss}\n    optimizer sgd(lr = 0.5)\n    steps 1\n}}\n"
    );
    Case {
        name: value["name"].as_str().unwrap().to_string(),
        spec,
        training: value["training"].as_bool().unwrap(),
        inputs,
        params: tensors("params"),
        value: golden(&value["value"]),
        weights,
        gradients: tensors("gradients"),
    }
}

/// The case's spec, resolved for its inputs; the first axis of each is the batch.
fn experiment(name: &str, spec: &str, inputs: &BTreeMap<String, Golden>) -> Experiment {
    let batch = inputs.values().next().unwrap().value.shape[0];
    let tensors = inputs.iter().map(|(name, golden)| SchemaTensor {
        name: name.clone(),
        axes: golden.value.shape[1..]
            .iter()
            .enumerate()
            .map(|(axis, &size)| (format!("{name}_{axis}"), size))
            .collect(),
        element: golden.element,
        bound_name: None,
        category: false,
    });
    let schema = Schema {
        tensors: tensors.collect(),
        sizes: vec![],
        epoch_samples: Some(batch),
        batch: Some(batch),
        ..Schema::default()
    };
    let read = |_: &Path| Ok(spec.as_bytes().to_vec());
    let told = |f: &pipeline::Failure| format!("{name}: {}", render::text(&f.diagnostics, &f.sources, false));
    let resolved = pipeline::load(Path::new("case.ms"), &[], &read).and_then(|spec| spec.resolve(schema));
    resolved.unwrap_or_else(|failure| panic!("{}", told(&failure)))
}

/// The objective and its gradient by every real input and every parameter, under their names.
fn with_gradients(experiment: &Experiment) -> Graph {
    let graph = experiment
        .training_graph()
        .unwrap_or_else(|_| panic!("no training graph"));
    let objective = graph.output(&OutputKind::Objective).unwrap();
    let mut builder = GraphBuilder::new(graph.clone());
    builder.declarations().outputs.clear();
    let mut wanted: Vec<(String, NodeId)> = vec![];
    for (number, input) in graph.inputs.iter().enumerate() {
        if input.element == Element::Real && input.name != "probe_weights" {
            wanted.push((input.name.clone(), builder.input(InputId(number as u32))));
        }
    }
    for (number, param) in graph.params.iter().enumerate() {
        wanted.push((param.path.clone(), builder.param(ParamId(number as u32))));
    }
    let one = builder.constant(&[], 1.0);
    let nodes: Vec<NodeId> = wanted.iter().map(|w| w.1).collect();
    let gradients = differentiate(&mut builder, &[(objective, one)], &nodes);
    builder.output(OutputKind::Objective, objective);
    for ((name, node), gradient) in wanted.iter().zip(gradients) {
        let shape = builder.shape(*node).to_vec();
        let gradient = gradient.unwrap_or_else(|| builder.constant(&shape, 0.0));
        builder.output(OutputKind::Value(name.clone()), gradient);
    }
    builder.finish()
}

/// Runs a graph on compiled kernels; its outputs in their order.
fn run(graph: &Graph, given: &Environment) -> Vec<Vec<f64>> {
    let compiled = pipeline::compile(graph, None);
    let program = Program::compile(&compiled.plan, 1).unwrap();
    let mut machine = Machine::new(vec![program], 1).unwrap();
    let id = ProgramId(0);
    for (number, tensor) in given.inputs.iter().enumerate() {
        match machine.input_mut(id, number) {
            ValuesMut::F32(slot) => slot.iter_mut().zip(&tensor.data).for_each(|(s, v)| *s = *v as f32),
            ValuesMut::I32(slot) => slot.iter_mut().zip(&tensor.data).for_each(|(s, v)| *s = *v as i32),
        }
    }
    let kept = given.params.iter().chain(&given.states);
    for (number, tensor) in kept.enumerate() {
        if let ValuesMut::F32(slot) = machine.persistent_mut(number) {
            slot.iter_mut().zip(&tensor.data).for_each(|(s, v)| *s = *v as f32);
        }
    }
    let numbers: Vec<f32> = given.numbers.iter().map(|&n| n as f32).collect();
    if !numbers.is_empty() {
        machine.numbers_mut(id).copy_from_slice(&numbers);
    }
    machine.set_random_key(id, given.key.map(u32::cast_signed));
    machine.run(id);
    (0..graph.outputs.len())
        .map(|output| match machine.output(id, output) {
            Values::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::I32(values) => values.iter().map(|&v| f64::from(v)).collect(),
        })
        .collect()
}

/// Values for all that a graph declares; parameters that the case does not name have some of their own.
fn environment(graph: &Graph, inputs: &BTreeMap<String, Golden>, params: &BTreeMap<String, Golden>) -> Environment {
    let full = |shape: &[usize], value: f64| Tensor64::from_index(shape, |_| value);
    Environment {
        inputs: graph.inputs.iter().map(|i| inputs[&i.name].value.clone()).collect(),
        params: graph
            .params
            .iter()
            .map(|p| {
                let mut drawn = full(&p.shape, 0.1);
                shake(&mut drawn, p.path.len(), 0.7);
                let found = params.get(&p.path).map_or(drawn, |found| found.value.clone());
                assert_eq!(found.shape, p.shape, "{}", p.path);
                found
            })
            .collect(),
        states: graph.states.iter().map(|s| full(&s.shape, s.initial)).collect(),
        numbers: graph.numbers.iter().map(|n| n.at(&|_| 1.0)).collect(),
        key: [1, 2],
    }
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

/// `whole` is the greatest element of all gradients: what a tensor is held against that must be 0.
fn expect_close(what: &str, found: &[f64], expected: &[f64], whole: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let greatest = greatest(expected);
    let greatest = if greatest < 1e-12 { whole } else { greatest };
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs();
        assert!(
            error <= TOLERANCE * greatest,
            "{what}[{at}]: {a} instead of {b}, {:.1e} of the greatest element",
            error / greatest
        );
    }
}

#[test]
fn definitions_agree_with_pytorch() {
    for case in cases() {
        let experiment = experiment(&case.name, &case.spec, &case.inputs);
        let graph = with_gradients(&experiment);
        let given = environment(&graph, &case.inputs, &case.params);
        let found = run(&graph, &given);
        let objective: f64 = match case.spec.contains("loss probe(probe_weights)\n    opt") {
            true => case
                .value
                .value
                .data
                .iter()
                .zip(&case.weights.value.data)
                .map(|(v, w)| v * w)
                .sum(),
            false => case.value.value.data[0],
        };
        let scale = case.value.value.data.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let error = (found[0][0] - objective).abs();
        assert!(
            error <= 10.0 * TOLERANCE * scale,
            "{}: {} instead of {objective}",
            case.name,
            found[0][0]
        );
        // A loss was differentiated with a weight in PyTorch.
        let factor = if case.value.value.shape.is_empty() {
            case.weights.value.data[0]
        } else {
            1.0
        };
        let whole = case
            .gradients
            .values()
            .map(|g| greatest(&g.value.data))
            .fold(0.0, f64::max);
        for (output, values) in graph.outputs.iter().zip(&found).skip(1) {
            let OutputKind::Value(name) = &output.kind else {
                continue;
            };
            let expected: Vec<f64> = case.gradients[name].value.data.iter().map(|v| v / factor).collect();
            expect_close(&format!("{}: gradient by {name}", case.name), values, &expected, whole);
        }
        if !case.training && !case.value.value.shape.is_empty() {
            let prediction = experiment.prediction(case.value.value.shape[0]);
            let prediction = prediction.unwrap_or_else(|_| panic!("{}: no prediction", case.name));
            let given = environment(&prediction, &case.inputs, &case.params);
            let value = &run(&prediction, &given)[0];
            expect_close(&case.name, value, &case.value.value.data, 0.0);
        }
    }
}

/// ⟨gradient, v⟩ against (f(x + h v) − f(x − h v)) / 2h in float64, for one direction v of each tensor, away from the
/// golden values' even steps, where functions have their kinks; and the kernels against the float64 oracle.
fn check_against_oracle(case: &Case) {
    let experiment = experiment(&case.name, &case.spec, &case.inputs);
    let graph = with_gradients(&experiment);
    let mut given = environment(&graph, &case.inputs, &case.params);
    let real: Vec<bool> = graph.inputs.iter().map(|i| i.element == Element::Real).collect();
    let inputs = given.inputs.iter_mut().enumerate();
    inputs.filter(|(n, _)| real[*n]).for_each(|(n, t)| shake(t, n, 0.003));
    given
        .params
        .iter_mut()
        .enumerate()
        .for_each(|(n, t)| shake(t, 50 + n, 0.003));
    let outputs = interpret_outputs(&graph, &given);
    let whole = outputs[1..].iter().map(|t| greatest(&t.data)).fold(0.0, f64::max);
    for (number, output) in graph.outputs.iter().enumerate().skip(1) {
        let OutputKind::Value(name) = &output.kind else {
            continue;
        };
        let step = 1e-6;
        let moved = |sign: f64| {
            let mut given = given.clone();
            let input = graph.inputs.iter().position(|i| i.name == *name);
            let tensor = match input {
                Some(input) => &mut given.inputs[input],
                None => &mut given.params[graph.params.iter().position(|p| p.path == *name).unwrap()],
            };
            shake(tensor, 7, sign * step);
            interpret_outputs(&graph, &given)[0].data[0]
        };
        let expected = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        let mut direction = Tensor64::from_index(&outputs[number].shape, |_| 0.0);
        shake(&mut direction, 7, 1.0);
        let found: f64 = outputs[number]
            .data
            .iter()
            .zip(&direction.data)
            .map(|(g, v)| g * v)
            .sum();
        let scale: f64 = outputs[number].data.iter().map(|g| g.abs()).sum();
        // The objective is rounded at both ends, and the difference is divided by the step.
        let rounding = 4.0 * f64::EPSILON * (1.0 + outputs[0].data[0].abs()) / step;
        let error = (found - expected).abs();
        assert!(
            error < 1e-6 * scale + rounding,
            "{}: by {name}: {found} is not {expected}",
            case.name
        );
    }
    for ((output, found), expected) in graph.outputs.iter().zip(run(&graph, &given)).zip(&outputs) {
        expect_close(
            &format!("{}: {:?} of the kernels", case.name, output.kind),
            &found,
            &expected.data,
            whole,
        );
    }
}

/// Moves every element by its own part of a step.
fn shake(tensor: &mut Tensor64, seed: usize, by: f64) {
    for (i, v) in tensor.data.iter_mut().enumerate() {
        *v += by * ((i * 37 + seed * 101 + 13) as f64).sin();
    }
}

#[test]
fn goldens_have_the_gradients_of_central_differences() {
    cases().iter().for_each(check_against_oracle);
}

#[test]
fn all_others_have_the_gradients_of_central_differences() {
    own_cases().iter().for_each(check_against_oracle);
}

/// Every layer, loss and metric of the library occurs in a case, here or among those of metrics, or in a definition
/// that does: a new one needs a case.
#[test]
fn every_definition_has_a_case() {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    // What only updates call is held to a run's parameters.
    for (_, text) in mspec::standard::FILES.iter().filter(|f| f.0 != "std/optimizers.ms") {
        let mut current = String::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let kinds = ["def ", "loss ", "metric "];
            let head = kinds.iter().find_map(|kind| line.strip_prefix(kind));
            if let Some(head) = head {
                current = head.split('(').next().unwrap().to_string();
            } else if line.starts_with(|c: char| c.is_ascii_lowercase()) {
                current.clear();
            }
            if !current.is_empty() {
                *bodies.entry(current.clone()).or_default() += line;
            }
        }
    }
    let words = |text: &str| -> Vec<String> {
        let word = |c: char| !c.is_alphanumeric() && c != '_';
        text.split(word)
            .map(str::to_string)
            .filter(|w| bodies.contains_key(w))
            .collect()
    };
    let mut met: Vec<String> = cases()
        .iter()
        .chain(&own_cases())
        .flat_map(|c| words(&c.spec))
        .chain(words(include_str!("metrics.rs")))
        .collect();
    let mut at = 0;
    while at < met.len() {
        for word in words(&bodies[&met[at]]) {
            if !met.contains(&word) {
                met.push(word);
            }
        }
        at += 1;
    }
    let missing: Vec<&String> = bodies.keys().filter(|name| !met.contains(name)).collect();
    assert!(
        missing.is_empty(),
        "no case for {missing:?}: add one to `OWN` or to definitions/make.py"
    );
}

/// A flow or a loss, and the shapes of its inputs.
type OwnCase = (&'static str, &'static [(&'static str, &'static [usize])]);

/// Definitions that PyTorch does not have, or not alone: the flow, and its inputs' shapes. They are held against
/// central differences, and their kernels against the float64 oracle.
const OWN: &[OwnCase] = &[
    ("x -> identity -> shift", &[("x", &[2, 3])]),
    ("x -> flatten -> linear(2)", &[("x", &[2, 3, 2])]),
    ("x -> residual { tanh }", &[("x", &[2, 3])]),
    ("x -> concat(z)", &[("x", &[2, 3, 2]), ("z", &[2, 3, 4])]),
    ("x -> part(first = 1, size = 2)", &[("x", &[2, 4])]),
    ("x -> reverse -> at_end", &[("x", &[2, 3, 4])]),
    ("x -> class_token -> at_start", &[("x", &[2, 3, 4])]),
    ("x -> mean_over_time", &[("x", &[2, 3, 4])]),
    ("x -> positions(4)", &[("x", &[2, 3])]),
    ("x -> learned_positions", &[("x", &[2, 3, 4])]),
    ("x -> patches(2)", &[("x", &[2, 4, 2, 3])]),
    ("x -> as_image(2, 3)", &[("x", &[2, 12])]),
    ("x -> squeeze_excitation(ratio = 2)", &[("x", &[2, 3, 2, 4])]),
    ("x -> swiglu(6)", &[("x", &[2, 3, 4])]),
    ("x -> geglu(6)", &[("x", &[2, 3, 4])]),
    ("x -> mixture_of_experts(4, 3)", &[("x", &[2, 3, 4])]),
    (
        "x -> attention(2, position = relative_bias(buckets = 8, longest = 16))",
        &[("x", &[2, 12, 4])],
    ),
    (
        "x -> attention(2, causal = true, position = relative_bias(buckets = 8, causal = true))",
        &[("x", &[2, 9, 4])],
    ),
    ("x -> encoder_block(2, 8)", &[("x", &[2, 3, 4])]),
    ("x -> post_norm_block(2, 8)", &[("x", &[2, 3, 4])]),
    (
        "x -> decoder_block(2, 8, memory = z)",
        &[("x", &[2, 3, 4]), ("z", &[2, 5, 6])],
    ),
    ("x -> bidirectional_rnn(3)", &[("x", &[2, 4, 3])]),
    ("x -> bidirectional_lstm(3)", &[("x", &[2, 4, 3])]),
    ("x -> bidirectional_gru(3)", &[("x", &[2, 4, 3])]),
    (
        "x -> stochastic_depth(0.3) -> dropout(0.4) -> gaussian_noise(0.2)",
        &[("x", &[3, 5])],
    ),
    ("w = linear(4) ; x -> w -> project(w.w)", &[("x", &[2, 3])]),
    ("x -> linear(4, weight = max_norm(1))", &[("x", &[2, 3])]),
    ("x -> unit", &[("x", &[2, 3])]),
    ("x -> two_classes", &[("x", &[2, 3])]),
    ("x -> log_odds", &[("x", &[3, 4])]),
];

/// Penalties, losses and whatever else takes no flow: an objective, and its inputs' shapes.
const OWN_LOSSES: &[OwnCase] = &[
    (
        "mse(z) \n    penalty l1(0.1) \n    penalty elastic_net(0.1, share = 0.3)",
        &[("x", &[2, 3]), ("z", &[2, 4])],
    ),
    ("mse(z) \n    penalty l2(0.1)", &[("x", &[2, 3]), ("z", &[2, 4])]),
    (
        "mixed_cross_entropy(id, id, share)",
        &[("x", &[3, 4]), ("id", &[3]), ("share", &[3])],
    ),
    ("dice(id)", &[("x", &[2, 3, 4]), ("id", &[2, 3])]),
    ("perplexity(id)", &[("x", &[3, 4]), ("id", &[3])]),
    ("log_loss(id)", &[("x", &[3, 4]), ("id", &[3])]),
    ("bits_per_byte(id)", &[("x", &[3, 4]), ("id", &[3])]),
    ("rmse(z)", &[("x", &[2, 3]), ("z", &[2, 4])]),
];

fn own_cases() -> Vec<Case> {
    let golden = |seed: usize, shape: &[usize], is_id: bool| {
        let value = Tensor64::from_index(shape, |index| {
            let place = index.iter().fold(seed * 7919 + 1, |n, i| n * 31 + i);
            if is_id {
                (place % 4) as f64
            } else {
                ((place * 37) as f64).sin()
            }
        });
        let element = if is_id { Element::Id { bound: 4 } } else { Element::Real };
        Golden { element, value }
    };
    let both = OWN
        .iter()
        .map(|own| (own, false))
        .chain(OWN_LOSSES.iter().map(|own| (own, true)));
    both.map(|(&(flow, inputs), is_loss)| {
        let inputs: BTreeMap<String, Golden> = inputs
            .iter()
            .enumerate()
            .map(|(n, (name, shape))| (name.to_string(), golden(n, shape, *name == "id")))
            .collect();
        let (model, loss) = match is_loss {
            true => ("x -> linear(4)", flow),
            false => (flow, "squares"),
        };
        let spec = format!(
            "data {{\n    tensors \"none\"\n}}\n
loss squares(y[batch, ..]) = sum[batch, ..] (0.3 * y[batch, ..]^2 + 0.7 * y[batch, ..])\n
model net {{\n    {model}\n}}\n
train {{\n    loss {loss}\n    optimizer sgd(lr = 0.5)\n    steps 1\n}}\n"
        );
        Case {
            name: flow.to_string(),
            spec,
            training: true,
            value: golden(0, &[], false),
            weights: golden(0, &[], false),
            inputs,
            params: BTreeMap::new(),
            gradients: BTreeMap::new(),
        }
    })
    .collect()
}
