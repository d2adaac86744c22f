//! The loop, checkpoints and resumption, on a machine in plain Rust: linear regression with momentum, noise from
//! the step's key and a rate from the step's numbers, so that whatever resumption forgets shows in the bits.

use super::checkpoint::{self, Memory, Progress};
use super::evaluate::{Evaluator, Scores, batch_sizes};
use super::finish::Gathered;
use super::run::{Outcome, Places, StepReport, Task, Watch, run};
use super::update::Stage;
use super::{Stop, TrainError};
use crate::data::{self, Dataset, Part};
use crate::ir::experiment::*;
use crate::ir::graph::{OutputKind, ReduceFunction, StateDeclaration};
use crate::ir::number::{Number, NumberFunction, StepVariable};
use crate::ir::plan::PersistentLayout;
use crate::machine::ProgramId;
use crate::ops::tensor64::Tensor64;
use crate::text::Span;
use regression::{BATCH, Regression};
use std::path::Path;
use tempfile::TempDir;

mod regression;

fn table(folder: &Path) -> Dataset {
    let mut text = String::from("a,b,y\n");
    for i in 0..34 {
        let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i % 5) - 2.0);
        text += &format!("{a},{b},{}\n", 3.0 * a - 2.0 * b);
    }
    std::fs::write(folder.join("line.csv"), text).unwrap();
    let name = |n: &str| ColumnName {
        column: n.into(),
        name: n.into(),
        span: Span::NOWHERE,
    };
    let settings = DataSettings {
        source: Source::Csv {
            path: DataPath {
                path: "line.csv".into(),
                span: Span::NOWHERE,
            },
            target: name("y"),
            regression: true,
            categories: vec![],
            ignored: vec![],
            missing: Missing::Refuse,
            stated: vec![],
        },
        split: Split {
            train: 0.7,
            validation: 0.3,
            test: 0.0,
            stratified: false,
            fold: None,
            span: Span::NOWHERE,
        },
        normalise: false,
        shuffle: true,
        span: Span::NOWHERE,
    };
    data::open(&settings, folder).unwrap()
}

#[derive(Default)]
struct Spy {
    stop: Stop,
    stop_at: Option<u64>,
    log: Vec<String>,
}

impl Watch for Spy {
    fn stepped(&mut self, report: &StepReport) {
        if self.stop_at == Some(report.step) {
            self.stop.request(2);
        }
    }
    fn evaluated(&mut self, step: u64, _: &Scores) {
        self.log.push(format!("evaluated {step}"));
    }
    fn saved(&mut self, step: u64, _: &Path) {
        self.log.push(format!("saved {step}"));
    }
}

struct Setup {
    folder: TempDir,
    settings: TrainSettings,
    poison: Option<u64>,
}

impl Setup {
    fn new(steps: u64) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("ckpt")).unwrap();
        Setup {
            folder,
            settings: TrainSettings {
                batch: BATCH,
                batch_span: None,
                parts: 1,
                sharpness: None,
                minutes: None,
                precision: None,
                loss_scale: LossScale::Static(1.0),
                duration: Interval::Steps(steps),
                evaluate_every: Some(Interval::Steps(6)),
                checkpoint_every: Some(Interval::Epochs(2.0)),
                keep: 2,
                seed: 7,
                early_stop: None,
                allowed: vec![],
                span: Span::NOWHERE,
            },
            poison: None,
        }
    }

    fn checkpoints(&self) -> Vec<u64> {
        let list = checkpoint::list(&self.folder.path().join("ckpt"));
        list.into_iter().map(|c| c.0).collect()
    }

    fn metrics(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("metrics.jsonl")).unwrap()
    }

    /// Trains from the newest checkpoint, if there is one; gives the weights as well.
    fn train(&self, spy: &mut Spy) -> (Result<Outcome, TrainError>, Vec<Vec<f32>>) {
        let dataset = table(self.folder.path());
        let sizes = batch_sizes(dataset.samples(Part::Validation), BATCH);
        let mut machine = Regression::new(&sizes);
        machine.poison = self.poison;
        let states = [StateDeclaration {
            path: "sgd.m/line.w".into(),
            shape: vec![2],
            initial: 0.0,
            optimizer: true,
        }];
        let memory = Memory::of(&machine, &states);
        assert_eq!(
            memory,
            Memory {
                model: vec![0],
                optimizer: vec![1]
            }
        );
        let step = || Number::Variable(StepVariable::Step);
        let numbers = [Number::apply(
            NumberFunction::Divide,
            vec![Number::Constant(0.05), step()],
        )];
        let accumulator = |name: &str| Accumulator {
            name: name.into(),
            shape: vec![],
            function: ReduceFunction::Sum,
        };
        let accumulators = [accumulator("square"), accumulator("count")];
        let finish = |gathered: &Gathered, _: &dyn Fn(StepVariable) -> f64| {
            let sums = &gathered.totals;
            assert_eq!(sums[1][0], 11.0, "each sample counts once");
            vec![(OutputKind::Loss, Tensor64::new(&[], vec![sums[0][0] / sums[1][0]]))]
        };
        let validation = Evaluator {
            part: Part::Validation,
            programs: sizes.iter().zip(1..).map(|(&s, i)| (s, ProgramId(i))).collect(),
            numbers: &[],
            accumulators: &accumulators,
            samples: &[],
            finish: &finish,
        };
        let task = Task {
            dataset: &dataset,
            settings: &self.settings,
            rate: Some(&numbers[0]),
            metrics: &[],
            kept: &[],
            main: &Stage {
                program: ProgramId(0),
                numbers: numbers.to_vec(),
            },
            parted: None,
            memory: memory.clone(),
            validation: Some(validation),
            budget: None,
        };
        let places = Places {
            metrics: self.folder.path().join("metrics.jsonl"),
            checkpoints: self.folder.path().join("ckpt"),
        };
        let mut progress = Progress {
            step: 0,
            seed: 7,
            best: None,
            stale: 0,
            kept: vec![],
            seconds: 0.0,
            scale: Default::default(),
            metrics_bytes: 0,
        };
        if let Ok(loaded) = checkpoint::newest(&places.checkpoints) {
            checkpoint::restore(&loaded.weights, &mut machine, &[0, 1], "the checkpoint").unwrap();
            progress = loaded.progress;
        }
        let stop = spy.stop.clone();
        let result = run(&task, &mut machine, &places, progress, &stop, spy);
        (result, machine.memory)
    }
}

/// The log without what depends on time.
fn timeless(metrics: &str) -> Vec<String> {
    let line = |l: &str| {
        let mut value: serde_json::Value = serde_json::from_str(l).unwrap();
        value.as_object_mut().unwrap().shift_remove("samples_per_s");
        value.to_string()
    };
    metrics.lines().map(line).collect()
}

#[test]
fn the_log_and_the_checkpoints_of_a_training() {
    let setup = Setup::new(20);
    let mut spy = Spy::default();
    let (outcome, weights) = setup.train(&mut spy);
    let Outcome::Finished(summary) = outcome.unwrap() else {
        panic!("not finished")
    };
    assert_eq!(summary.step, 20);
    // 23 training rows make 5 batches of 4 an epoch: a checkpoint every 10 steps, and where validation improves.
    insta::assert_snapshot!(spy.log.join(", "), @"saved 0, evaluated 6, saved 6, saved 10, evaluated 12, saved 12, evaluated 18, saved 18, evaluated 20, saved 20");
    // The first, the best (20), and two others.
    assert_eq!(setup.checkpoints(), [0, 12, 18, 20]);
    assert!(weights[0][0] > 2.0 && weights[0][1] < -1.0, "it learns: {weights:?}");
    let lines = timeless(&setup.metrics());
    assert_eq!(lines.len(), 24);
    let keys = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(&lines[0]), "step train/loss lr grad_norm");
    assert_eq!(keys(&lines[6]), "step val/loss");
}

#[test]
fn interrupted_anywhere_and_resumed_the_bits_are_the_same() {
    let whole = Setup::new(20);
    let (_, expected) = whole.train(&mut Spy::default());
    for stop_at in [1, 5, 6, 11, 19] {
        let setup = Setup::new(20);
        let mut spy = Spy {
            stop_at: Some(stop_at),
            ..Spy::default()
        };
        let (outcome, _) = setup.train(&mut spy);
        assert_eq!(
            outcome.unwrap(),
            Outcome::Interrupted {
                signal: 2,
                step: stop_at
            }
        );
        assert_eq!(setup.checkpoints().last(), Some(&stop_at));
        let (outcome, weights) = setup.train(&mut Spy::default());
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
        assert_eq!(weights, expected, "stopped at {stop_at}");
        assert_eq!(timeless(&setup.metrics()), timeless(&whole.metrics()));
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_whole_checkpoint() {
    let whole = Setup::new(20);
    let (_, expected) = whole.train(&mut Spy::default());
    let setup = Setup::new(20);
    setup
        .train(&mut Spy {
            stop_at: Some(13),
            ..Spy::default()
        })
        .0
        .unwrap();
    // Killed while writing: a folder under its temporary name, a damaged checkpoint, half a line in the log.
    let folder = setup.folder.path();
    std::fs::create_dir(folder.join("ckpt/.step-000014.unfinished")).unwrap();
    let damaged = folder.join("ckpt/step-000013/model.safetensors");
    let mut bytes = std::fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let log = folder.join("metrics.jsonl");
    std::fs::write(&log, setup.metrics() + "{\"step\":14,\"tr").unwrap();
    let (_, weights) = setup.train(&mut Spy::default());
    assert_eq!(weights, expected);
    assert_eq!(timeless(&setup.metrics()), timeless(&whole.metrics()));
}

#[test]
fn a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_checkpoint() {
    let setup = Setup {
        poison: Some(9),
        ..Setup::new(20)
    };
    let error = setup.train(&mut Spy::default()).0.unwrap_err();
    assert_eq!(error.to_string(), "training diverged: the loss is NaN in step 9");
    let TrainError::Diverged { last_good, .. } = error else {
        panic!("{error}")
    };
    assert!(last_good.ends_with("step-000006"));
    assert!(
        setup
            .metrics()
            .lines()
            .last()
            .unwrap()
            .starts_with("{\"step\":9,\"train/loss\":null")
    );
}

#[test]
fn early_stopping_counts_evaluations_without_improvement() {
    let mut setup = Setup::new(600);
    setup.settings.early_stop = Some(EarlyStop {
        metric: "loss".into(),
        patience: 2,
        minimum_change: 1e9,
    });
    let Outcome::Finished(summary) = setup.train(&mut Spy::default()).0.unwrap() else {
        panic!("not finished")
    };
    assert_eq!((summary.step, summary.early), (18, true));
    assert_eq!(setup.checkpoints(), [0, 6, 10, 18]);
}

#[test]
fn a_checkpoint_of_another_model_does_not_fit() {
    let setup = Setup::new(3);
    setup.train(&mut Spy::default()).0.unwrap();
    let loaded = checkpoint::newest(&setup.folder.path().join("ckpt")).unwrap();
    let check = |change: &dyn Fn(&mut PersistentLayout)| {
        let mut machine = Regression::new(&[]);
        change(&mut machine.layout);
        checkpoint::restore(&loaded.weights, &mut machine, &[0, 1], "the checkpoint").unwrap_err()
    };
    let shape = check(&|l| l.slots[0].shape = vec![3]);
    assert_eq!(
        shape.to_string(),
        "`line.w` is [2] in the checkpoint, but [3] in the spec"
    );
    let TrainError::DoesNotFit { message, help } = check(&|l| l.slots[0].name = "line.v".into()) else {
        panic!("another kind of error")
    };
    assert_eq!(message, "the checkpoint has no tensor `line.v`");
    assert_eq!(help, ["did you mean `line.w`?"]);
}
