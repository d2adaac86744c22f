//! Every optimizer against float64: 50 updates from the same gradients (`tests/optimizers/make.py`), by compiled kernels.

use mspec::data::{Batch, Values as Given, open};
use mspec::machine::{Machine, Program, ProgramId, Values, ValuesMut};
use mspec::pipeline;
use mspec::train::weights::{Weights, read_safetensors};
use std::path::Path;

const PROGRAM: ProgramId = ProgramId(0);
const TOLERANCE: f64 = 1e-5;

/// The loss is the sum of gradient times parameter: its gradient is what the batch brings.
const SPEC: &str = "
def pull_matrix(g[.., i, o]) { param w[i, o] ~ 0 ; y[..] = sum[i, o] g[.., i, o] * w[i, o] }
def pull_kernel(g[.., r, s, i, o]) { param w[r, s, i, o] ~ 0 ; y[..] = sum[r, s, i, o] g[.., r, s, i, o] * w[r, s, i, o] }
def pull_vector(g[.., i]) { param w[i] ~ 0 ; y[..] = sum[i] g[.., i] * w[i] }
loss total(y[..]) = mean[..] y[..]
data { tensors \"gradients.safetensors\" }
model net {
    a = matrix -> pull_matrix as matrix
    b = wide -> pull_matrix as wide
    c = kernel -> pull_kernel as kernel
    d = vector -> pull_vector as vector
    a + b + c + d
}
";

#[derive(serde::Deserialize)]
struct Golden {
    steps: Vec<u64>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    line: String,
    params: Vec<String>,
}

/// A compiled optimizer over the parameters of the spec.
struct Run {
    machine: Machine,
    numbers: Vec<mspec::ir::number::Number>,
    /// Bytes of parameters and states.
    persistent: usize,
}

fn compile(train: &str, folder: &Path) -> Run {
    let text = format!("{SPEC}train {{ loss total ; {train} ; steps 50 }}\n");
    let spec = pipeline::load(Path::new("optimizers.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
    let data = open(&spec.data().unwrap(), folder).unwrap();
    let sources = spec.sources.clone();
    let experiment = spec.resolve(data.schema().clone()).unwrap_or_else(|failure| {
        panic!("{}", mspec::text::render::text(&failure.diagnostics, &sources, false));
    });
    let graph = experiment.training_graph().unwrap();
    let plan = pipeline::compile(&graph, None).plan;
    let mut machine = Machine::new(vec![Program::compile(&plan, 1).unwrap()], 1).unwrap();
    for state in &graph.states {
        let slot = plan.persistent.slots.iter().position(|s| s.name == state.path).unwrap();
        if let ValuesMut::F32(values) = machine.persistent_mut(slot) {
            values.fill(state.initial as f32);
        }
    }
    Run {
        persistent: plan.persistent.bytes,
        machine,
        numbers: graph.numbers,
    }
}

impl Run {
    fn slot(&self, name: &str) -> usize {
        let slots = &self.machine.layout().slots;
        slots.iter().position(|s| s.name == format!("net.{name}.w")).unwrap()
    }

    fn start(&mut self, first: &Weights) {
        for (name, weight) in first {
            let slot = self.slot(name);
            let ValuesMut::F32(values) = self.machine.persistent_mut(slot) else {
                panic!("parameters are reals")
            };
            values.copy_from_slice(&weight.values);
        }
    }

    fn step(&mut self, step: u64, batch: &Batch) {
        for input in 0..self.machine.inputs(PROGRAM).len() {
            let name = self.machine.inputs(PROGRAM)[input].name.clone();
            match (
                self.machine.input_mut(PROGRAM, input),
                &batch.tensor(&name).unwrap().values,
            ) {
                (ValuesMut::F32(into), Given::Real(values)) => into.copy_from_slice(values),
                _ => panic!("gradients are reals"),
            }
        }
        let numbers: Vec<f32> = self.numbers.iter().map(|n| n.at(&|_| step as f64) as f32).collect();
        self.machine.numbers_mut(PROGRAM).copy_from_slice(&numbers);
        self.machine.run(PROGRAM);
    }

    fn param(&self, name: &str) -> Vec<f32> {
        match self.machine.persistent(self.slot(name)) {
            Values::F32(values) => values.to_vec(),
            Values::I32(_) => panic!("parameters are reals"),
        }
    }
}

#[test]
fn optimizers_agree_with_float64() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optimizers");
    let golden: Golden = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let first = read_safetensors(&folder.join("first.safetensors")).unwrap();
    let after = read_safetensors(&folder.join("after.safetensors")).unwrap();
    let mut failures = vec![];
    let mut worst = 0f64;
    for (at, case) in golden.cases.iter().enumerate() {
        // What an optimizer can't serve is served by another one.
        let others = match case.params.len() == first.len() {
            true => String::new(),
            false => " on matrices ; optimizer sgd(lr = 0)".into(),
        };
        let mut run = compile(&format!("optimizer {}{others}", case.line), &folder);
        run.start(&first);
        let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(SPEC.as_bytes().to_vec())).unwrap();
        let data = open(&spec.data().unwrap(), &folder).unwrap();
        let mut sampler = data.sampler(1, 1).unwrap();
        let mut batch = Batch::new(data.schema(), 1);
        for step in 1..=*golden.steps.last().unwrap() {
            sampler.fill(step, &mut batch).unwrap();
            run.step(step, &batch);
            for name in case.params.iter().filter(|_| golden.steps.contains(&step)) {
                let want = &after[&format!("{at}.{step}.{name}")].values;
                let got = run.param(name);
                let most = want.iter().fold(0f64, |m, w| m.max(f64::from(w.abs())));
                let error = got.iter().zip(want).map(|(g, w)| f64::from((g - w).abs()));
                let error = error.fold(0f64, |m, e| if e.is_nan() { f64::NAN } else { m.max(e) }) / most;
                worst = worst.max(error);
                if error.is_nan() || error > TOLERANCE {
                    failures.push(format!("{}: {name} after step {step}: {error:.1e}", case.line));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(worst > 0.0, "something was compared");
}

/// The text of a definition of the library, under another name.
fn renamed(name: &str, new: &str) -> String {
    let text = mspec::standard::FILES
        .iter()
        .find(|f| f.0 == "std/optimizers.ms")
        .unwrap()
        .1;
    let start = text.find(&format!("optimizer {name}(")).unwrap();
    let body = &text[start..];
    let end = body.find("\n}\n").unwrap() + 3;
    body[..end].replacen(name, new, 1)
}

#[test]
fn a_users_own_optimizer_compiles_to_the_librarys_kernels() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optimizers");
    for (name, arguments) in [
        ("adamw", "lr = 1e-2"),
        ("nadam", "lr = 1e-2"),
        ("lamb", "lr = 1e-2, beta1 = 0.8"),
    ] {
        let plan = |items: &str, name: &str| {
            let train = format!("train {{ loss total ; optimizer {name}({arguments}) ; steps 50 }}");
            let text = format!("{items}\n{SPEC}{train}\n");
            let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
            let data = open(&spec.data().unwrap(), &folder).unwrap();
            let experiment = spec.resolve(data.schema().clone()).unwrap();
            pipeline::compile(&experiment.training_graph().unwrap(), None).plan
        };
        let (library, own) = (plan("", name), plan(&renamed(name, "mine"), "mine"));
        assert!(library.kernels.len() > 1);
        assert_eq!(library.kernels, own.kernels, "{name}");
    }
}

#[test]
fn states_that_nothing_reads_cost_no_memory() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optimizers");
    let bytes = |train: &str| compile(train, &folder).persistent;
    let params = bytes("optimizer sgd(lr = 0.1)");
    assert_eq!(bytes("optimizer sgd(lr = 0.1, momentum = 0.9)"), 2 * params);
    assert_eq!(bytes("optimizer rmsprop(lr = 0.1)"), 2 * params);
    assert_eq!(bytes("optimizer rmsprop(lr = 0.1, momentum = 0.1)"), 3 * params);
    // A schedule of the momentum needs it.
    let scheduled = "optimizer sgd(lr = 0.1, momentum = 0.9) ; schedule momentum decay(to = 0.5)";
    assert_eq!(bytes(scheduled), 2 * params);
}
