//! What a search tries and who goes on, with trainings that are functions of their numbers; stopping anywhere changes
//! nothing.

use super::trials::{one_line, written};
use super::*;
use crate::data::random::Stream;
use crate::ir::model::Better;
use crate::ir::tune::Folds;
use crate::pipeline;
use crate::text::Span;
use std::path::Path;

/// The trials of a `tune` section.
fn trials_of(section: &str) -> Vec<String> {
    let text = format!(
        "data {{ csv \"x.csv\" ; target y }}\nmodel m {{ width = 8 ; features -> linear(width) }}\n\
         train {{ loss cross_entropy(y) ; optimizer sgd(lr = 0.1) ; steps 9 }}\ntune {{ {section} }}\n"
    );
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
    let section = spec.file.items.iter().find_map(|item| match item {
        crate::ir::ast::Item::Section(section) if section.name.text == "tune" => Some(section),
        _ => None,
    });
    let mut diagnostics = Default::default();
    let settings = crate::resolve::tune::tune_settings(section.unwrap(), &mut diagnostics).unwrap();
    let trials = trials(&settings.search, 1, &spec.sources);
    assert!((1..).zip(&trials).all(|(number, trial)| trial.number == number));
    trials.iter().map(Trial::words).collect()
}

#[test]
fn a_grid_is_every_combination() {
    let grid = trials_of("grid { train.optimizer.lr = [1e-3, 0.01] ; model.width = [8, 2 * 8, # twice\n 32] }");
    insta::assert_snapshot!(grid.join("\n"), @r"
    train.optimizer.lr=1e-3, model.width=8
    train.optimizer.lr=1e-3, model.width=2 * 8
    train.optimizer.lr=1e-3, model.width=32
    train.optimizer.lr=0.01, model.width=8
    train.optimizer.lr=0.01, model.width=2 * 8
    train.optimizer.lr=0.01, model.width=32
    ");
    assert_eq!(trials_of("folds 5"), [""], "the spec as it is");
}

#[test]
fn drawn_values_keep_to_their_ranges_and_differ() {
    let lines = "train.optimizer.lr = log_uniform(1e-4, 1) ; model.width = whole(3, 5) ; train.batch = log_whole(1, 64)
        train.optimizer.momentum = uniform(-0.5, 50%)";
    let drawn = trials_of(&format!("random {{ {lines} }} ; trials 400"));
    assert_eq!(drawn.len(), 400);
    let column = |at: usize| -> Vec<f64> {
        let value = |trial: &String| trial.split(", ").nth(at).unwrap().split_once('=').unwrap().1.parse();
        drawn.iter().map(value).collect::<Result<_, _>>().unwrap()
    };
    let share = |values: &[f64], holds: &dyn Fn(f64) -> bool| {
        values.iter().filter(|v| holds(**v)).count() as f64 / values.len() as f64
    };
    let [rate, width, batch, momentum] = [0, 1, 2, 3].map(column);
    assert!(rate.iter().all(|v| (1e-4..=1.0).contains(v)));
    // Equal factors are equally likely: a standard deviation of a share is 0.025 at most.
    assert!((share(&rate, &|v| v < 1e-2) - 0.5).abs() < 0.1);
    for width_asked in [3.0, 4.0, 5.0] {
        assert!((share(&width, &|v| v == width_asked) - 1.0 / 3.0).abs() < 0.1);
    }
    assert!(batch.iter().all(|v| (1.0..=64.0).contains(v) && v.fract() == 0.0));
    assert!((share(&batch, &|v| v < 6.5) - (13f64).ln() / (129f64).ln()).abs() < 0.1);
    assert!(momentum.iter().all(|v| (-0.5..=0.5).contains(v)));
    assert!((share(&momentum, &|v| v < 0.0) - 0.5).abs() < 0.1);
    // The same spec draws the same, and more trials begin with the same ones.
    assert_eq!(trials_of(&format!("random {{ {lines} }} ; trials 7")), drawn[..7]);
    let few = trials_of("random { model.width = whole(1, 3) } ; trials 50");
    assert_eq!(few.len(), 3, "there are no others");
}

#[test]
fn values_are_written_as_the_language_reads_them() {
    let numbers = [0.0316227766, 1.23456e-7, -0.5, 123456.7, 2.5e9, 1.0].map(|v| written(v, false));
    assert_eq!(numbers, ["0.03162", "1.235e-7", "-0.5", "123500", "2.5e9", "1"]);
    assert_eq!(written(4096.0, true), "4096");
    assert_eq!(
        one_line("warmup(10) # a \"comment\"\n    -> cosine"),
        "warmup(10) -> cosine"
    );
    assert_eq!(one_line(r##""a # b\" #  c""##), r##""a # b\" #  c""##);
}

/// A plan of as many trials.
fn plan(trials: usize, rounds: Vec<f64>, factor: f64) -> Plan {
    let trial = |number| Trial { number, values: vec![] };
    Plan {
        trials: (1..=trials).map(trial).collect(),
        rounds,
        factor,
        folds: None,
        seeds: vec![],
        best: "loss".into(),
        better: Better::Lower,
    }
}

/// What a unit's training gives: trial 3 diverges, and less is better the nearer the trial is to 5.
fn trained(unit: &Unit) -> Record {
    let trial = unit.trial.number;
    let diverges = trial == 3 && unit.fold.unwrap_or(1) == 1;
    let loss = (trial as f64 - 5.0).abs() / (unit.round + 1) as f64 + unit.fold.unwrap_or(0) as f64 / 100.0;
    Record {
        trial,
        fold: unit.fold,
        seed: unit.seed,
        round: unit.round,
        step: 10 * (unit.round as u64 + 1),
        loss: (!diverges).then_some(loss),
        metrics: [("accuracy".to_string(), (trial != 4).then_some(-loss))].into(),
        diverged: diverges.then(|| "the loss is NaN".into()),
    }
}

/// Searches until `most` units were trained; the names of these.
fn run(plan: &Plan, records: &mut Vec<Record>, most: usize) -> Vec<String> {
    let mut names = vec![];
    let mut train = |unit: &Unit| {
        if names.len() == most {
            return Err(());
        }
        names.push(format!("{} round {}", unit.name(), unit.round));
        Ok(trained(unit))
    };
    let _ = search(plan, records, &mut train, &mut |_| Ok(()));
    names
}

#[test]
fn halving_has_the_brackets_of_hyperband() {
    // R = 81 and eta = 3 (Li et al. 2018, table 1, s = 4): 81, 27, 9, 3 and 1 trials for 1, 3, 9, 27 and 81 units.
    let rounds = Plan::rounds(1.0 / 81.0, 3.0);
    let units: Vec<f64> = rounds.iter().map(|share| (81.0 * share).round()).collect();
    assert_eq!(units, [1.0, 3.0, 9.0, 27.0, 81.0]);
    assert_eq!(rounds.last(), Some(&1.0));
    let plan = plan(81, rounds, 3.0);
    let trials: Vec<usize> = (0..5).map(|round| plan.trials_of(round)).collect();
    assert_eq!(trials, [81, 27, 9, 3, 1]);
    // s = 3: 34 trials for 3 units, then 11, 3 and 1; a least share between two powers is the next one above.
    let rounds = Plan::rounds(2.9 / 81.0, 3.0);
    assert_eq!(
        rounds.iter().map(|s| (81.0 * s).round()).collect::<Vec<_>>(),
        [3.0, 9.0, 27.0, 81.0]
    );
    let plan = super::tests::plan(34, rounds, 3.0);
    assert_eq!(
        (0..4).map(|round| plan.trials_of(round)).collect::<Vec<_>>(),
        [34, 11, 3, 1]
    );
    assert_eq!(Plan::rounds(0.6, 2.0), [1.0], "half of it is less than the least");
}

#[test]
fn the_best_go_on_and_what_diverges_does_not() {
    let plan = plan(9, Plan::rounds(0.1, 3.0), 3.0);
    let mut records = vec![];
    let names = run(&plan, &mut records, usize::MAX);
    insta::assert_snapshot!(names.join("\n"), @r"
    trial-001 round 0
    trial-002 round 0
    trial-003 round 0
    trial-004 round 0
    trial-005 round 0
    trial-006 round 0
    trial-007 round 0
    trial-008 round 0
    trial-009 round 0
    trial-004 round 1
    trial-005 round 1
    trial-006 round 1
    trial-005 round 2
    ");
    let order: Vec<(usize, u64)> = standings(&plan, &records).iter().map(|s| (s.trial, s.step)).collect();
    assert_eq!(
        order,
        [
            (5, 30),
            (4, 20),
            (6, 20),
            (7, 10),
            (2, 10),
            (8, 10),
            (1, 10),
            (9, 10),
            (3, 10)
        ]
    );
}

#[test]
fn a_search_that_stops_anywhere_ends_the_same() {
    let folds = Folds {
        count: 2,
        stratified: false,
        span: Span::NOWHERE,
    };
    let plan = Plan {
        folds: Some(folds),
        seeds: vec![7, 8],
        ..plan(6, Plan::rounds(0.3, 2.0), 2.0)
    };
    let mut whole = vec![];
    let names = run(&plan, &mut whole, usize::MAX);
    assert_eq!(
        names[..2],
        ["trial-001-fold-1-seed-7 round 0", "trial-001-fold-1-seed-8 round 0"]
    );
    assert!(
        !names.iter().any(|n| n.starts_with("trial-003-fold-1-seed-8")),
        "its first training diverged"
    );
    for stopped in 0..names.len() {
        let mut records = vec![];
        let mut again = run(&plan, &mut records, stopped);
        again.extend(run(&plan, &mut records, usize::MAX));
        assert_eq!(again, names);
        assert_eq!(records, whole);
    }
}

#[test]
fn trials_stand_by_mean_and_deviation() {
    let folds = Folds {
        count: 3,
        stratified: true,
        span: Span::NOWHERE,
    };
    let mut plan = Plan {
        folds: Some(folds),
        best: "accuracy".into(),
        better: Better::Higher,
        ..plan(5, vec![1.0], 1.0)
    };
    let mut records = vec![];
    run(&plan, &mut records, usize::MAX);
    let stand = standings(&plan, &records);
    let order: Vec<usize> = stand.iter().map(|s| s.trial).collect();
    assert_eq!(
        order,
        [5, 2, 1, 4, 3],
        "undefined is behind what is known, diverged at the end"
    );
    let best = &stand[0];
    // Of -0.01, -0.02 and -0.03.
    assert!((best.mean.unwrap() + 0.02).abs() < 1e-12 && (best.deviation.unwrap() - 0.01).abs() < 1e-12);
    assert_eq!((stand[3].mean, stand[3].deviation), (None, None));
    assert_eq!(stand[4].diverged.as_deref(), Some("the loss is NaN in step 10"));
    plan.best = "loss".into();
    plan.better = Better::Lower;
    assert_eq!(standings(&plan, &records)[1].trial, 4);
    let unit = Unit {
        trial: &plan.trials[0],
        fold: Some(2),
        seed: Some(9),
        round: 0,
    };
    let set = [("data.fold", "2 of 3 stratified"), ("train.seed", "9")].map(|(p, v)| (p.to_string(), v.to_string()));
    assert_eq!(unit.overrides(plan.folds.as_ref()), set);
}

#[test]
fn records_survive_a_line_that_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let trial = Trial {
        number: 4,
        values: vec![],
    };
    let record = |round| {
        let unit = Unit {
            trial: &trial,
            fold: Some(1),
            seed: None,
            round,
        };
        let mut record = trained(&unit);
        // Many digits: a parser that is not exact reads some as their neighbours.
        let numbers = (0..500).map(|i| (i.to_string(), Some(Stream::new(round as u64, "t").uniform_pair(i).0)));
        record.metrics.extend(numbers);
        record
    };
    let (mut file, none) = Records::open(&path).unwrap();
    assert!(none.is_empty());
    file.add(&record(0)).unwrap();
    file.add(&record(1)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 7]).unwrap();
    let (mut file, read) = Records::open(&path).unwrap();
    assert_eq!(read, [record(0)]);
    file.add(&record(1)).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(Records::open(&path).unwrap().1, [record(0), record(1)]);
    std::fs::write(&path, "{\"trial\":\n").unwrap();
    let error = Records::open(&path).unwrap_err();
    assert!(error.to_string().contains("line 1 is damaged"), "{error}");
}
