//! `tune`: a search, its table, what survives an interruption, and what is said before it.

use super::*;
use serde_json::Value;

/// A folder with a spec that has a `tune` section.
fn tuned(section: &str) -> TempDir {
    let folder = folder();
    let spec = SPEC.replace(
        "    features -> linear(4)",
        "    width = 4\n    features -> linear(width)",
    );
    assert_ne!(spec, SPEC);
    std::fs::write(folder.path().join("tiny.ms"), spec + section).unwrap();
    folder
}

fn read(folder: &TempDir, path: &str) -> String {
    std::fs::read_to_string(folder.path().join(path)).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn records(folder: &TempDir, search: &str) -> Vec<Value> {
    let text = read(folder, &format!("{search}/results.jsonl"));
    text.lines().map(json).collect()
}

/// The words of the command that a table ends with, without the program.
fn pasted(output: &Output) -> Vec<String> {
    let text = stdout(output);
    let command = text.lines().find_map(|l| l.strip_prefix("best    mspec "));
    let mut words: Vec<String> = vec![];
    // What has a space is quoted.
    for (number, part) in command.expect("there is a best one").split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(String::from)),
            _ => words.push(part.into()),
        }
    }
    words
}

fn run_pasted(folder: &TempDir, searched: &Output, more: &[&str]) -> Output {
    let pasted = pasted(searched);
    let words: Vec<&str> = pasted.iter().map(String::as_str).chain(more.iter().copied()).collect();
    mspec(folder.path(), &words)
}

const CROSS_VALIDATED: &str = "
tune {
    grid {
        train.optimizer.lr = [1e-4, 1e-2]
        model.width = [2, 4]
    }
    folds 3 stratified
    best  accuracy
}
";

#[test]
fn a_search_ends_with_a_table_and_a_command() {
    let folder = tuned(CROSS_VALIDATED);
    let at = folder.path();
    expect(&mspec(at, &["check", "tiny.ms"]), 0, "4 settings to try");
    let searched = mspec(at, &["tune", "tiny.ms", "--out", "out", "--threads", "2"]);
    let last = "trial 4 of 4 (train.optimizer.lr=1e-2, model.width=4), fold 3 of 3: accuracy ";
    expect(&searched, 0, last);
    let text = stdout(&searched);
    assert!(
        text.contains("4 settings on 3 folds, by accuracy (higher is better)"),
        "{text}"
    );
    assert!(text.contains("rank  trial  train.optimizer.lr  model.width"), "{text}");
    let records = records(&folder, "out");
    assert_eq!(records.len(), 12);
    // The rows are sorted by the mean over the folds.
    let result = json(&read(&folder, "out/result.json"));
    let rows = result["settings"].as_array().unwrap();
    let mean = |row: &Value| row["mean"].as_f64().unwrap();
    assert!(rows.windows(2).all(|w| mean(&w[0]) >= mean(&w[1])));
    for row in rows {
        let of_trial = records.iter().filter(|r| r["trial"] == row["trial"]);
        let sum: f64 = of_trial.map(|r| r["metrics"]["accuracy"].as_f64().unwrap()).sum();
        assert!((sum / 3.0 - mean(row)).abs() < 1e-12);
    }
    expect(&run_pasted(&folder, &searched, &["--run", "best"]), 0, "30 steps of 8");
    // Any number of threads gives the same, and what has ended ends the same.
    let again = mspec(at, &["tune", "tiny.ms", "--out", "again", "--threads", "1", "--json"]);
    expect(&again, 0, "");
    assert_eq!(read(&folder, "again/results.jsonl"), read(&folder, "out/results.jsonl"));
    assert_eq!(read(&folder, "again/result.json"), read(&folder, "out/result.json"));
    assert_eq!(json(&stdout(&again))["settings"], result["settings"]);
    let resumed = mspec(at, &["tune", "--resume", "out"]);
    expect(&resumed, 0, "continuing behind 12 trainings");
    assert_eq!(stdout(&resumed), text);
    expect(
        &mspec(at, &["tune", "tiny.ms", "--out", "out"]),
        5,
        "out already holds a search",
    );
    expect(&mspec(at, &["tune", "--resume", "best"]), 5, "best is no search");
}

#[test]
fn a_trial_is_an_ordinary_run() {
    let folder = tuned(CROSS_VALIDATED);
    let at = folder.path();
    expect(&mspec(at, &["tune", "tiny.ms", "--out", "out"]), 0, "");
    let records = records(&folder, "out");
    let record = records.iter().find(|r| r["trial"] == 3 && r["fold"] == 2).unwrap();
    let run = "out/trials/trial-003-fold-2";
    let evaluated = mspec(at, &["eval", run, "--split", "validation", "--json"]);
    let evaluated = json(&stdout(&evaluated));
    assert_eq!(record["loss"], evaluated["loss"]);
    assert_eq!(record["metrics"]["accuracy"], evaluated["metrics"]["accuracy"]);
    assert_eq!(evaluated["samples"], 20);
    let set = [
        "--set",
        "train.optimizer.lr=1e-2",
        "--set",
        "model.width=2",
        "--set",
        "data.fold=2 of 3 stratified",
    ];
    let alone = mspec(at, &[&["train", "tiny.ms", "--run", "alone"], &set[..]].concat());
    expect(&alone, 0, "");
    assert_eq!(weights(&folder, run), weights(&folder, "alone"));
    assert_eq!(metrics(&folder, run), metrics(&folder, "alone"));
    // A training does without the section.
    expect(&mspec(at, &["train", "tiny.ms", "--run", "plain"]), 0, "30 steps of 8");
}

#[test]
fn halving_leaves_out_the_worst_and_goes_on_with_the_others() {
    let section = "
tune {
    random {
        train.optimizer = [adam(lr = 1e-2), sgd(lr = 0.1, momentum = 0.9)]
        model.width = whole(2, 12)
        train.batch = [4, 8]
    }
    trials  6
    halving from 5 steps factor 2
    seeds   2
}
";
    let folder = tuned(section);
    let searched = mspec(folder.path(), &["tune", "tiny.ms", "--out", "out"]);
    let rounds = "in rounds (6 for 25%, 3 for 50%, 1 for 100%), by loss (lower is better)";
    expect(&searched, 0, rounds);
    let records = records(&folder, "out");
    let of_round = |round: u64| records.iter().filter(move |r| r["round"] == round);
    assert_eq!([0, 1, 2].map(|round| of_round(round).count()), [12, 6, 2]);
    assert!(of_round(0).all(|r| r["step"] == 8));
    assert!(of_round(1).all(|r| r["step"] == 15));
    let best = of_round(2).next().unwrap();
    assert_eq!(best["step"], 30);
    // Its rests have left no trace: the best run is what a training in one go is.
    let alone = run_pasted(&folder, &searched, &["--set", "train.seed=4", "--run", "alone"]);
    expect(&alone, 0, "seed 4");
    let run = format!("out/trials/trial-{:03}-seed-4", best["trial"].as_u64().unwrap());
    assert_eq!(weights(&folder, &run), weights(&folder, "alone"));
    assert_eq!(metrics(&folder, &run), metrics(&folder, "alone"));
}

/// Waits for a file of a search that goes on.
fn wait(folder: &TempDir, child: &mut std::process::Child, path: &str) {
    let begin = std::time::Instant::now();
    while !folder.path().join(path).exists() {
        assert!(begin.elapsed().as_secs() < 60, "{path} does not appear");
        assert!(child.try_wait().unwrap().is_none(), "it ended before {path}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_search_survives_a_kill_and_interruptions() {
    let section = "
tune {
    grid { train.optimizer.lr = [1e-3, 1e-2] }
    halving from 30% factor 2
    folds 2
}
";
    let folder = tuned(section);
    let spec = read(&folder, "tiny.ms").replace("every 10 steps", "every 100 steps");
    std::fs::write(folder.path().join("tiny.ms"), spec).unwrap();
    let at = folder.path();
    let long = ["tune", "tiny.ms", "--set", "train.steps=2000"];
    let whole = mspec(at, &[&long[..], &["--out", "whole"]].concat());
    expect(&whole, 0, "");
    let winner = json(&read(&folder, "whole/result.json"))["best"]["trial"]
        .as_u64()
        .unwrap();
    let start = |arguments: &[&str]| {
        let mut command = command(at, arguments);
        command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    // In the middle of the first round, with a line that was not written whole.
    let mut child = start(&[&long[..], &["--out", "cut"]].concat());
    wait(&folder, &mut child, "cut/trials/trial-001-fold-2/ckpt/step-000200");
    let second = mspec(at, &["tune", "--resume", "cut"]);
    expect(&second, 5, "another process is training in cut");
    send(&child, "-KILL");
    child.wait().unwrap();
    assert!(!at.join("cut/result.json").exists());
    let results = at.join("cut/results.jsonl");
    let text = std::fs::read_to_string(&results).unwrap();
    std::fs::write(&results, text + "{\"trial\":1,\"fo").unwrap();
    // In the second round, twice.
    for (fold, signal, code) in [(1, "-INT", 130), (2, "-TERM", 143)] {
        let mut child = start(&["tune", "--resume", "cut", "--threads", "1"]);
        let path = format!("cut/trials/trial-{winner:03}-fold-{fold}/ckpt/step-001200");
        wait(&folder, &mut child, &path);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
    let resumed = mspec(at, &["tune", "--resume", "cut"]);
    expect(&resumed, 0, "continuing behind 5 trainings");
    assert_eq!(stdout(&resumed).replace("cut", "whole"), stdout(&whole));
    for file in ["results.jsonl", "result.json"] {
        assert_eq!(
            read(&folder, &format!("cut/{file}")),
            read(&folder, &format!("whole/{file}"))
        );
    }
    for fold in [1, 2] {
        let run = format!("trials/trial-{winner:03}-fold-{fold}");
        let (cut, whole) = (format!("cut/{run}"), format!("whole/{run}"));
        assert_eq!(weights(&folder, &cut), weights(&folder, &whole));
        assert_eq!(metrics(&folder, &cut), metrics(&folder, &whole));
    }
}

#[test]
fn a_setting_that_diverges_is_told_and_the_search_goes_on() {
    let folder = tuned("\ntune { grid { train.optimizer.lr = [1e-2, 1e38] } ; best accuracy }\n");
    let at = folder.path();
    let sgd = ["--set", "train.optimizer=sgd(lr = 1e-2)"];
    let searched = mspec(at, &[&["tune", "tiny.ms", "--out", "out"], &sgd[..]].concat());
    expect(&searched, 0, "trial 2 of 2 (train.optimizer.lr=1e38): diverged, ");
    let text = stdout(&searched);
    let row = text.lines().find(|l| l.contains("1e38")).unwrap();
    assert!(
        row.trim_start().starts_with("2      2  1e38") && row.ends_with("diverged"),
        "{text}"
    );
    // The command also says what all trials were asked for.
    let command = "best    mspec train tiny.ms --set 'train.optimizer=sgd(lr = 1e-2)' --set train.optimizer.lr=1e-2\n";
    assert!(text.ends_with(command), "{text}");
    let spec = read(&folder, "tiny.ms").replace("[1e-2, 1e38]", "[1e38, 2e38]");
    std::fs::write(at.join("tiny.ms"), spec).unwrap();
    let failed = mspec(at, &[&["tune", "tiny.ms", "--out", "none"], &sgd[..]].concat());
    expect(&failed, 4, "every setting diverged\n");
    assert!(!stdout(&failed).contains("best    "), "{}", stdout(&failed));
}

#[test]
fn mistakes_are_found_before_anything_is_trained() {
    let folder = tuned("\ntune { grid { train.optimizer.lr = [1e-3] ; model.widht = [2] } }\n");
    let at = folder.path();
    for command in ["check", "tune"] {
        expect(&mspec(at, &[command, "tiny.ms"]), 1, "did you mean `width`?");
    }
    assert!(!at.join("runs").exists(), "nothing was begun");
    expect(&mspec(at, &["train", "tiny.ms", "--run", "run"]), 0, "");
    let folder = tuned("\ntune { grid { train.batch = [8, 50] } }\n");
    let at = folder.path();
    for command in ["check", "tune"] {
        let output = mspec(at, &[command, "tiny.ms"]);
        expect(&output, 3, "the training part has 48 samples, fewer than a batch of 50");
        expect(&output, 3, "`tune` tries it, as trial 2 with train.batch=50");
    }
    let set = |set: &str| mspec(at, &["tune", "tiny.ms", "--set", set]);
    let many = set("tune.folds=100");
    expect(&many, 3, "can't be divided into 100 folds");
    expect(&many, 3, "--> --set tune.folds=100");
    expect(&set("tune.flods=3"), 1, "did you mean `folds`?");
    let folder = super::folder();
    let at = folder.path();
    expect(&mspec(at, &["tune", "tiny.ms"]), 1, "the spec has no `tune` section");
    expect(
        &mspec(at, &["tune", "--resume"]),
        5,
        "there is no search to continue in ./runs",
    );
    expect(&mspec(at, &["tune"]), 2, "");
    expect(&mspec(at, &["tune", "tiny.ms", "--resume", "x"]), 2, "leave FILE out");
}
