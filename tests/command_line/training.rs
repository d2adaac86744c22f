//! `train`: its folder, its end, what survives an interruption.

use super::*;

#[test]
fn train_then_eval_and_export() {
    let folder = folder();
    let at = folder.path();
    let trained = mspec(at, &["train", "tiny.ms", "--run", "run", "--json"]);
    expect(&trained, 0, "");
    let result: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!(result["step"], 30);
    assert!(result["validation"]["accuracy"].as_f64().unwrap() > 0.5);
    let names = [
        "spec.ms",
        "resolved.json",
        "env.json",
        "data.json",
        "metrics.jsonl",
        "model.safetensors",
    ];
    for name in names {
        assert!(at.join("run").join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(at.join("run/spec.ms")).unwrap(), SPEC);
    let first: serde_json::Value = serde_json::from_str(&metrics(&folder, "run")[0]).unwrap();
    assert_eq!(first["lr"], 0.01);
    assert!(first["grad_norm"].as_f64().unwrap() > 0.0);
    let evaluated = mspec(at, &["eval", "run", "--split", "validation", "--json"]);
    let scores: serde_json::Value = serde_json::from_str(&stdout(&evaluated)).unwrap();
    assert_eq!(scores["loss"], result["validation_loss"]);
    expect(
        &mspec(at, &["eval", "run", "--split", "test"]),
        3,
        "the data has no test part",
    );
    std::fs::write(
        at.join("theirs.names"),
        "net.{0,2}.weight -> tiny.{linear,linear_2}.w transpose\nnet.{0,2}.bias -> tiny.{linear,linear_2}.b\n",
    )
    .unwrap();
    expect(
        &mspec(
            at,
            &[
                "export",
                "run",
                "--names",
                "theirs.names",
                "--out",
                "theirs.safetensors",
            ],
        ),
        0,
        "",
    );
    // Back again, and without a step nothing has changed.
    let init = ["--init", "theirs.safetensors", "--name-map", "theirs.names"];
    let again = [
        "train",
        "tiny.ms",
        "--run",
        "again",
        "--set",
        "train.steps=1",
        "--set",
        "train.optimizer.lr=0",
    ];
    expect(&mspec(at, &[&again[..], &init[..]].concat()), 0, "1 steps");
    assert_eq!(weights(&folder, "again"), weights(&folder, "run"));
}

#[test]
fn threads_change_nothing() {
    let folder = folder();
    for threads in ["1", "2", "3"] {
        let output = mspec(
            folder.path(),
            &["train", "tiny.ms", "--run", threads, "--threads", threads],
        );
        expect(&output, 0, &format!("{threads} threads"));
    }
    assert_eq!(weights(&folder, "1"), weights(&folder, "2"));
    assert_eq!(weights(&folder, "1"), weights(&folder, "3"));
    assert_eq!(metrics(&folder, "1"), metrics(&folder, "2"));
}

#[test]
fn signals_save_and_resuming_gives_the_same_bits() {
    let folder = folder();
    edit(&folder, "every 10 steps", "every 500 steps");
    let at = folder.path();
    expect(&mspec(at, &[&LONG[..], &["--run", "whole"]].concat()), 0, "");
    for (signal, run, code) in [
        ("-INT", "int", Some(130)),
        ("-TERM", "term", Some(143)),
        ("-KILL", "kill", None),
    ] {
        let mut child = started(&folder, run);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), code, "{signal}");
        assert!(
            !at.join(run).join("model.safetensors").exists(),
            "it ended before {signal} came"
        );
        expect(
            &mspec(at, &["train", "--resume", run, "--threads", "1"]),
            0,
            "continuing",
        );
        assert_eq!(weights(&folder, run), weights(&folder, "whole"), "{signal}");
        assert_eq!(metrics(&folder, run), metrics(&folder, "whole"), "{signal}");
    }
}

#[test]
fn all_that_training_keeps_survives_a_kill() {
    let folder = folder();
    let lines = "optimizer lookahead(nadam(lr = 1e-2))
    batch     8 in 2
    sam       0.01
    ema       0.99
    constrain max_norm(2) on \"*.w\"
    penalty   elastic_net(1e-3) on matrices
    clip_value 1
    schedule  warmup(50) -> plateau(factor = 0.9, patience = 0, change = 0.9)";
    let changed = SPEC
        .replace("optimizer adam(lr = 1e-2)", lines)
        .replace("    batch     8\n", "")
        .replace("every 10 steps", "every 160 steps");
    std::fs::write(folder.path().join("tiny.ms"), changed).unwrap();
    let at = folder.path();
    let long = ["train", "tiny.ms", "--set", "train.steps=1600"];
    let whole = mspec(at, &[&long[..], &["--run", "whole", "--threads", "2"]].concat());
    expect(&whole, 0, "1600 steps of 8 in 2");
    assert!(stdout(&whole).contains("of 16 penalised weights"), "{}", stdout(&whole));
    let rates: Vec<String> = metrics(&folder, "whole");
    let rate = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["lr"].as_f64();
    let last = rates.iter().rev().find_map(rate).unwrap();
    assert!(last < 0.0091, "a plateau was seen, the rate is {last}");
    let mut child = command(at, &[&long[..], &["--run", "killed", "--threads", "1"]].concat())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    while !at.join("killed/ckpt/step-000320").exists() {
        assert!(begin.elapsed().as_secs() < 60, "the training does not begin");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    send(&child, "-KILL");
    child.wait().unwrap();
    assert!(
        !at.join("killed/model.safetensors").exists(),
        "it ended before the kill"
    );
    expect(&mspec(at, &["train", "--resume", "killed"]), 0, "continuing");
    assert_eq!(weights(&folder, "killed"), weights(&folder, "whole"));
    assert_eq!(metrics(&folder, "killed"), metrics(&folder, "whole"));
    let averaged = |run: &str| std::fs::read(at.join(run).join("model_ema.safetensors")).unwrap();
    assert_eq!(averaged("killed"), averaged("whole"));
    assert_ne!(averaged("whole"), weights(&folder, "whole"));
    // The mean is what was evaluated beside the weights.
    let scores = |arguments: &[&str]| {
        let eval = mspec(
            at,
            &[&["eval", "whole", "--split", "validation", "--json"], arguments].concat(),
        );
        serde_json::from_str::<serde_json::Value>(&stdout(&eval)).unwrap()["loss"].as_f64()
    };
    let line = metrics(&folder, "whole").pop().unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(scores(&[]), line["val/loss"].as_f64());
    assert_eq!(scores(&["--ema"]), line["val/ema_loss"].as_f64());
}

#[test]
fn a_dynamic_loss_scale_skips_what_overflows_and_survives_a_kill() {
    let folder = folder();
    let changed = SPEC
        .replace(
            "loss      cross_entropy(kind)",
            "loss      500 * cross_entropy(kind)\n    precision f16",
        )
        .replace("every 10 steps", "every 200 steps");
    std::fs::write(folder.path().join("tiny.ms"), changed).unwrap();
    let at = folder.path();
    let long = ["train", "tiny.ms", "--set", "train.steps=2400"];
    let whole = mspec(at, &[&long[..], &["--run", "whole", "--json"]].concat());
    expect(&whole, 0, "");
    let result: serde_json::Value = serde_json::from_str(&stdout(&whole)).unwrap();
    let skipped = result["skipped"].as_u64().unwrap();
    assert!(skipped > 0, "65536 is too much for this loss");
    assert!(result["validation"]["accuracy"].as_f64().unwrap() > 0.9);
    let lines: Vec<serde_json::Value> = metrics(&folder, "whole")
        .iter()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["loss_scale"], 65536.0);
    let last = lines.iter().rev().find(|l| l.get("skipped").is_some()).unwrap();
    assert_eq!(last["skipped"].as_f64(), Some(skipped as f64));
    assert_ne!(last["loss_scale"], 65536.0);
    let mut child = command(at, &[&long[..], &["--run", "killed"]].concat())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    while !at.join("killed/ckpt/step-000400").exists() {
        assert!(begin.elapsed().as_secs() < 60, "the training does not begin");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    send(&child, "-KILL");
    child.wait().unwrap();
    assert!(
        !at.join("killed/model.safetensors").exists(),
        "it ended before the kill"
    );
    let resumed = mspec(at, &["train", "--resume", "killed"]);
    expect(&resumed, 0, "continuing");
    assert!(
        stdout(&resumed).contains(&format!("skipped     {skipped} steps")),
        "{}",
        stdout(&resumed)
    );
    assert_eq!(weights(&folder, "killed"), weights(&folder, "whole"));
    assert_eq!(metrics(&folder, "killed"), metrics(&folder, "whole"));
    // A static one that is too large skips until there is no hope.
    let never = ["--set", "train.loss_scale=1000000000", "--run", "never"];
    let never = mspec(at, &[&long[..], &never[..]].concat());
    expect(&never, 4, "the gradient was not finite in 40 steps in a row");
}

#[test]
fn early_stopping_takes_the_best_weights_back() {
    let folder = folder();
    edit(
        &folder,
        "adam(lr = 1e-2)",
        "adam(lr = 0.5)\n    early_stop loss patience 3 change 0.001",
    );
    let at = folder.path();
    let set = ["--set", "train.steps=5000", "--json", "--run", "run"];
    let output = mspec(at, &[&["train", "tiny.ms"], &set[..]].concat());
    expect(&output, 0, "");
    let result: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["stopped_early"], true);
    let best = result["best"]["step"].as_u64().unwrap();
    assert_eq!(result["restored"].as_u64(), Some(best));
    assert_eq!(
        result["step"].as_u64(),
        Some(best + 30),
        "three evaluations, ten steps apart"
    );
    let kept = std::fs::read(at.join(format!("run/ckpt/step-{best:06}/model.safetensors"))).unwrap();
    assert_eq!(weights(&folder, "run"), kept);
    let evaluated = mspec(at, &["eval", "run", "--split", "validation", "--json"]);
    let scores: serde_json::Value = serde_json::from_str(&stdout(&evaluated)).unwrap();
    assert_eq!(scores["loss"], result["best"]["value"]);
    expect(
        &mspec(at, &["eval", "run", "--split", "validation", "--ema"]),
        5,
        "this run keeps no running means of its weights",
    );
}

#[test]
fn a_budget_of_time_ends_a_run_with_an_evaluation() {
    let folder = folder();
    edit(&folder, "seed      3", "seed      3\n    minutes   0.005");
    let at = folder.path();
    let set = ["--set", "train.steps=100M", "--json", "--run", "run"];
    let output = mspec(at, &[&["train", "tiny.ms"], &set[..]].concat());
    expect(&output, 0, "");
    let result: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["stopped_early"], true);
    let last: serde_json::Value = serde_json::from_str(&metrics(&folder, "run").pop().unwrap()).unwrap();
    assert_eq!(last["step"], result["step"]);
    assert_eq!(last["val/loss"], result["validation_loss"]);
    // What is used up stays used up.
    expect(&mspec(at, &["train", "--resume", "run"]), 0, "continuing");
    assert_eq!(metrics(&folder, "run").len(), {
        let steps = result["step"].as_u64().unwrap();
        (steps + steps / 10 + u64::from(!steps.is_multiple_of(10))) as usize
    });
}

#[test]
fn a_bare_resume_takes_the_newest_run() {
    let folder = folder();
    let at = folder.path();
    expect(
        &mspec(at, &["train", "--resume"]),
        5,
        "there is no run to continue in ./runs",
    );
    expect(&mspec(at, &["train", "tiny.ms"]), 0, "");
    expect(&mspec(at, &["train", "--resume"]), 0, "behind step 30");
}

#[test]
fn early_stopping_says_why_and_keeps_the_best_weights() {
    let folder = folder();
    let at = folder.path();
    // No later evaluation is better by half than the first, so the second one after it ends the run.
    edit(
        &folder,
        "steps     30\n",
        "steps     300\n    early_stop accuracy patience 2 change 0.5\n",
    );
    let trained = mspec(at, &["train", "tiny.ms", "--run", "run"]);
    expect(&trained, 0, "");
    let text = stdout(&trained);
    assert!(
        text.contains("early at step 30 of 300: accuracy was best at step 10"),
        "{text}"
    );
    assert!(
        text.contains("2 evaluations since then did not improve it by more than 0.5"),
        "{text}"
    );
    assert!(text.contains("(of step 10, the best)"), "{text}");
    assert!(text.contains("training  validation"), "{text}");
    assert_eq!(weights(&folder, "run"), weights(&folder, "run/ckpt/step-000010"));
    assert_ne!(weights(&folder, "run"), weights(&folder, "run/ckpt/step-000030"));
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(at.join("run/result.json")).unwrap()).unwrap();
    assert_eq!(result["weights_step"], 10);
    assert_eq!(result["stopped_early"], true);
    // A run that has ended is continued by nothing, and ends the same.
    let again = mspec(at, &["train", "--resume", "run"]);
    expect(&again, 0, "continuing run behind step 30");
    assert!(stdout(&again).contains("early at step 30 of 300"));
    assert_eq!(weights(&folder, "run"), weights(&folder, "run/ckpt/step-000010"));
}

#[test]
fn early_stopping_needs_a_validation_part() {
    let folder = folder();
    let text = SPEC
        .replace("train 80%, validation 20%", "train 100%")
        .replace("seed      3", "early_stop loss patience 2");
    std::fs::write(folder.path().join("tiny.ms"), text).unwrap();
    let trained = mspec(folder.path(), &["train", "tiny.ms", "--run", "run"]);
    expect(
        &trained,
        3,
        "`early_stop` watches the validation part, and this data has none",
    );
}

#[test]
fn a_run_has_a_folder_of_its_own() {
    let folder = folder();
    let at = folder.path();
    let train = |run: &str| mspec(at, &["train", "tiny.ms", "--run", run]);
    // The folder of the spec is no place for a run: its `spec.ms` could be the user's.
    expect(&train("."), 5, ". is not empty, and no run");
    expect(
        &train("line.csv"),
        3,
        "can't make line.csv/ckpt: a part of the path is a file, not a folder",
    );
    // A run that died before its first checkpoint can't be continued, and is started again.
    expect(&train("run"), 0, "");
    let first = weights(&folder, "run");
    std::fs::remove_dir_all(at.join("run/ckpt")).unwrap();
    std::fs::create_dir(at.join("run/ckpt")).unwrap();
    let resumed = mspec(at, &["train", "--resume", "run"]);
    expect(&resumed, 5, "there is no checkpoint in run/ckpt");
    expect(&resumed, 5, "start it again");
    expect(&train("run"), 0, "");
    assert_eq!(weights(&folder, "run"), first);
    // The folder of runs leads to its newest.
    expect(&mspec(at, &["train", "tiny.ms"]), 0, "");
    for parent in ["runs", "runs/tiny"] {
        expect(&mspec(at, &["eval", parent]), 5, "the newest run in it is runs/tiny/2");
    }
    expect(
        &mspec(at, &["eval", "run"]),
        3,
        "say `--split validation` or `--split train`",
    );
}

#[test]
fn one_process_trains_in_a_run() {
    let folder = folder();
    let mut child = started(&folder, "run");
    let second = mspec(folder.path(), &["train", "--resume", "run"]);
    expect(&second, 5, "another process is training in run");
    send(&child, "-INT");
    assert_eq!(
        child.wait().unwrap().code(),
        Some(130),
        "the first one was not disturbed"
    );
}
