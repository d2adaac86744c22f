//! Every schedule against PyTorch's schedulers, at every step of a run (`tests/schedules/make.py`).

use mspec::data;
use mspec::ir::number::{KeptNumber, Number, StepVariable};
use mspec::pipeline::{self, Declarations, Experiment};
use mspec::resolve::Mode;
use std::path::Path;

const STEPS: u64 = 100;

#[derive(serde::Deserialize)]
struct Golden {
    watched: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    line: String,
    factors: Vec<f64>,
}

fn declarations(model: &str, train: &str) -> Declarations {
    experiment(model, train).declarations().unwrap()
}

/// A run of 100 steps, an epoch of which has 5.
fn experiment(model: &str, train: &str) -> Experiment {
    let text = format!(
        "data {{ csv \"fruit.csv\" ; target kind ; missing fill ; split train 80%, validation 20% }}\n\
         model net {{ {model} }}\n\
         train {{ loss cross_entropy(kind) ; batch 2 ; evaluate every epoch ; steps {STEPS} ; {train} }}\n"
    );
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
    let data = data::open(&spec.data().unwrap(), Path::new("tests/data")).unwrap();
    let mut schema = data.schema().clone();
    schema.epoch_samples = Some(10);
    let sources = spec.sources.clone();
    spec.resolve(schema).unwrap_or_else(|failure| {
        panic!("{}", mspec::text::render::text(&failure.diagnostics, &sources, false));
    })
}

/// A number at every step; behind every fifth one an evaluation gives the next of `watched`.
fn run(number: &Number, kept: &[KeptNumber], watched: &[f64]) -> Vec<f64> {
    let mut now: Vec<f64> = kept.iter().map(|k| k.initial).collect();
    let mut result = vec![];
    for step in 1..=STEPS {
        let variable = |now: &[f64], watched: f64, variable| match variable {
            StepVariable::Step => step as f64,
            StepVariable::StepsPerEpoch => 5.0,
            StepVariable::Kept(at) => now[at as usize],
            StepVariable::Watched => watched,
            StepVariable::Part | StepVariable::LossScale => 1.0,
        };
        result.push(number.at(&|v| variable(&now, f64::NAN, v)));
        if step % 5 == 0 {
            let told = watched[step as usize / 5 - 1];
            now = kept.iter().map(|k| k.update.at(&|v| variable(&now, told, v))).collect();
        }
    }
    result
}

#[test]
fn schedules_agree_with_pytorch_at_every_step() {
    let golden: Golden = serde_json::from_slice(&std::fs::read("tests/schedules/factors.json").unwrap()).unwrap();
    for case in &golden.cases {
        let made = declarations(
            "features -> linear(classes)",
            &format!("optimizer sgd(lr = 1) ; schedule {}", case.line),
        );
        let got = run(&made.rate.unwrap(), &made.kept, &golden.watched);
        assert_eq!(got.len(), case.factors.len());
        for (at, (got, want)) in got.iter().zip(&case.factors).enumerate() {
            let error = (got - want).abs();
            assert!(
                error <= 1e-12,
                "{}: step {}: {got} instead of {want}",
                case.line,
                at + 1
            );
        }
    }
}

#[test]
fn other_numbers_than_the_rate_follow_schedules() {
    let graph = |model: &str, train: &str| {
        let program = declarations(model, train);
        (program.states.len(), program.rate.unwrap().as_constant())
    };
    let model = "features -> linear(classes)";
    // A momentum that only a schedule makes greater than 0 has its states.
    let scheduled = "optimizer sgd(lr = 1, momentum = 0.9) ; schedule momentum linear(from = 0, to = 1)";
    assert_eq!(graph(model, scheduled), (2, Some(1.0)));
    assert_eq!(
        graph(model, "optimizer sgd(lr = 1) ; schedule momentum linear"),
        (0, Some(1.0))
    );
    let decay = "optimizer adamw(lr = 1) ; schedule weight_decay cosine ; schedule warmup(10)";
    assert_eq!(graph(model, decay), (4, None));
    // A number that the model defines: a dropout that comes slowly.
    let dropping = "drop = 0.5 ; features -> dropout(drop) -> linear(classes)";
    let program = experiment(dropping, "optimizer sgd(lr = 1) ; schedule drop warmup(50)");
    let program = program.program(Mode::Training, 2).unwrap();
    let at = |step: f64| program.numbers.iter().map(move |n| n.at(&|_| step));
    assert!(at(10.0).any(|n| n == 0.5 * (10.0 / 50.0)), "the rate of step 10");
    assert!(at(80.0).any(|n| n == 0.5), "and at its end");
}

#[test]
fn what_stands_for_steps_is_given_in_steps_epochs_or_shares_of_the_run() {
    let factors = |line: &str| {
        let made = declarations(
            "features -> linear(classes)",
            &format!("optimizer sgd(lr = 1) ; schedule {line}"),
        );
        run(&made.rate.unwrap(), &made.kept, &[f64::NAN; 20])
    };
    for (plain, [epochs, share]) in [
        ("step(25)", ["step(5 epochs)", "step(25%)"]),
        (
            "multi_step([50, 75])",
            ["multi_step([10 epochs, 75 steps])", "multi_step([50%, 75%])"],
        ),
        (
            "restarts(20, floor = 10%)",
            ["restarts(4 epochs, floor = 0.1)", "restarts(20%, floor = 10%)"],
        ),
        (
            "warmup(10) -> cosine",
            ["warmup(2 epochs) -> cosine", "warmup(10%) -> cosine"],
        ),
    ] {
        assert_eq!(factors(epochs), factors(plain), "{epochs}");
        assert_eq!(factors(share), factors(plain), "{share}");
    }
}
