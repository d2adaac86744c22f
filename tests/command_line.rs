//! The program as a user runs it: what goes to which stream, and every exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const SPEC: &str = "
data {
    csv   \"line.csv\"
    target kind
    split train 80%, validation 20%
}

model tiny {
    features -> linear(4) -> tanh -> linear(classes)
}

train {
    loss      cross_entropy(kind)
    metric    accuracy(kind)
    optimizer adam(lr = 1e-2)
    batch     8
    steps     30
    evaluate  every 10 steps
    checkpoint every 10 steps
    seed      3
}
";

/// A folder with a spec and its table.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.ms"), SPEC).unwrap();
    let mut table = String::from("a,b,kind\n");
    for i in 0..60 {
        let (a, b) = (i % 7, i % 11);
        table += &format!("{a},{b},{}\n", if a > b { "more" } else { "less" });
    }
    std::fs::write(folder.path().join("line.csv"), table).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mspec"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    command
}

fn mspec(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, in_stderr: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(in_stderr), "expected `{in_stderr}` in:\n{stderr}");
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Changes the spec's text.
fn edit(folder: &TempDir, from: &str, to: &str) {
    assert!(SPEC.contains(from));
    std::fs::write(folder.path().join("tiny.ms"), SPEC.replace(from, to)).unwrap();
}

fn weights(folder: &TempDir, run: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(run).join("model.safetensors")).unwrap()
}

/// `metrics.jsonl` without what depends on time.
fn metrics(folder: &TempDir, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).unwrap();
    let line = |l: &str| {
        let mut value: serde_json::Value = serde_json::from_str(l).unwrap();
        value.as_object_mut().unwrap().shift_remove("samples_per_s");
        value.to_string()
    };
    text.lines().map(line).collect()
}

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

/// Long enough to be interrupted.
const LONG: [&str; 6] = ["train", "tiny.ms", "--set", "train.steps=20000", "--threads", "1"];

/// Starts a long training and waits for its log to have some lines.
fn started(folder: &TempDir, run: &str) -> std::process::Child {
    let child = command(folder.path(), &[&LONG[..], &["--run", run]].concat())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.path().join(run).join("metrics.jsonl");
    let begin = std::time::Instant::now();
    while std::fs::metadata(&log).map_or(0, |m| m.len()) < 2000 {
        assert!(begin.elapsed().as_secs() < 60, "the training does not begin");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child
}

fn send(child: &std::process::Child, signal: &str) {
    let kill = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
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
fn mistakes_of_the_spec_exit_with_1() {
    let folder = folder();
    edit(&folder, "linear(classes)", "linaer(classes)");
    expect(&mspec(folder.path(), &["train", "tiny.ms"]), 1, "linaer");
    let checked = mspec(folder.path(), &["check", "tiny.ms", "--json"]);
    expect(&checked, 1, "");
    let list: serde_json::Value = serde_json::from_str(&stdout(&checked)).unwrap();
    assert_eq!(list[0]["line"], 9);
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = folder();
    expect(&mspec(folder.path(), &["train"]), 2, "<FILE>");
    expect(
        &mspec(folder.path(), &["train", "tiny.ms", "--set", "steps"]),
        2,
        "PATH=VALUE",
    );
    expect(
        &mspec(folder.path(), &["train", "tiny.ms", "--resume"]),
        2,
        "leave FILE out",
    );
    expect(
        &mspec(folder.path(), &["explain", "E9999"]),
        2,
        "there is no code `E9999`",
    );
}

#[test]
fn missing_and_bad_files_exit_with_3() {
    let folder = folder();
    let at = folder.path();
    expect(
        &mspec(at, &["train", "none.ms"]),
        3,
        "can't read none.ms: there is no such file or folder",
    );
    std::fs::write(at.join("line.csv"), "a,b,kind\n1,2,more\n1,x,less\n3,3,less\n").unwrap();
    expect(
        &mspec(at, &["train", "tiny.ms"]),
        3,
        "line.csv, line 3: `b` is `x`, expected a number",
    );
    std::fs::remove_file(at.join("line.csv")).unwrap();
    let missing = mspec(at, &["train", "tiny.ms"]);
    expect(&missing, 3, "can't read line.csv: there is no such file");
    expect(&missing, 3, " --> tiny.ms:3:");
}

#[test]
fn a_model_is_looked_at_without_its_data_where_the_spec_states_all_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let spec = SPEC.replace(
        "csv   \"line.csv\"\n    target kind",
        "text \"none.txt\"\n    window 8\n    vocab 50",
    );
    let spec = spec.replace("features ->", "tokens -> embedding(vocab, 3) ->");
    let spec = spec
        .replace("linear(classes)", "linear(vocab)")
        .replace("(kind)", "(next)");
    std::fs::write(at.join("text.ms"), &spec).unwrap();
    let checked = mspec(at, &["check", "text.ms"]);
    expect(&checked, 0, "none.txt is not there: sizes are as the spec states them");
    let parameters = 50 * 3 + (3 * 4 + 4) + (4 * 50 + 50);
    expect(&checked, 0, &format!("text.ms: no mistakes, {parameters} parameters"));
    let compiled = mspec(at, &["compile", "text.ms"]);
    expect(&compiled, 0, "none.txt is not there");
    assert!(stdout(&compiled).contains(&format!("tiny: {parameters} parameters")));
    expect(&mspec(at, &["train", "text.ms"]), 3, "can't read none.txt");
    std::fs::write(at.join("open.ms"), spec.replace("vocab 50\n", "\n")).unwrap();
    expect(&mspec(at, &["check", "open.ms"]), 3, "can't read none.txt");
}

#[test]
fn a_full_disk_exits_with_3_and_leaves_the_last_checkpoint() {
    let folder = folder();
    let at = folder.path();
    // A limit on the size of files: the log grows until it is reached, behind the first checkpoints.
    let script = "ulimit -f 16; exec \"$0\" train tiny.ms --run run --set train.steps=40000 --threads 1";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_mspec")])
        .current_dir(at)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    expect(&output, 3, "metrics.jsonl: the file would be larger than is allowed");
    expect(&output, 3, "mspec train --resume");
    // With room again it goes on; the log is cut back to the checkpoint.
    let mut child = command(at, &["train", "--resume", "run", "--threads", "1"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    if child.try_wait().unwrap().is_none() {
        send(&child, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
    } else {
        assert!(at.join("run/model.safetensors").exists());
    }
}

#[test]
fn a_training_that_diverges_exits_with_4() {
    let folder = folder();
    edit(&folder, "adam(lr = 1e-2)", "sgd(lr = 1e38)");
    let output = mspec(folder.path(), &["train", "tiny.ms", "--run", "run"]);
    expect(&output, 4, "training diverged: ");
    expect(&output, 4, "the last good checkpoint is run/ckpt/step-000000");
}

#[test]
fn what_does_not_fit_exits_with_5() {
    let folder = folder();
    let at = folder.path();
    expect(&mspec(at, &["eval", "nowhere"]), 5, "nowhere is not a run");
    expect(&mspec(at, &["train", "tiny.ms", "--run", "run"]), 0, "");
    expect(
        &mspec(at, &["train", "tiny.ms", "--run", "run"]),
        5,
        "run already holds a run",
    );
    let wider = std::fs::read_to_string(at.join("run/spec.ms"))
        .unwrap()
        .replace("linear(4)", "linear(5)");
    std::fs::write(at.join("run/spec.ms"), wider).unwrap();
    expect(
        &mspec(at, &["train", "--resume", "run"]),
        5,
        "`tiny.linear.b` is [4] in run/ckpt/step-000030, but [5] in the spec",
    );
    std::fs::write(at.join("run/spec.ms"), SPEC).unwrap();
    let table = std::fs::read_to_string(at.join("line.csv")).unwrap();
    std::fs::write(at.join("line.csv"), table + "1,1,less\n").unwrap();
    expect(
        &mspec(at, &["train", "--resume", "run"]),
        5,
        "line.csv has changed since the run began",
    );
}

#[test]
fn a_language_model_continues_a_text_without_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let spec = "
data { text \"abc.txt\" ; tokens char ; window 8 ; split train 100% }
model lm { tokens -> embedding(vocab, 16) -> linear(vocab) }
train { loss cross_entropy(next) ; optimizer adam(lr = 0.1) ; batch 8 ; tokens 2560 }
";
    std::fs::write(at.join("lm.ms"), spec).unwrap();
    std::fs::write(at.join("abc.txt"), "abc".repeat(100)).unwrap();
    expect(&mspec(at, &["train", "lm.ms", "--run", "run"]), 0, "40 steps of 8");
    std::fs::remove_file(at.join("abc.txt")).unwrap();
    let text = |arguments: &[&str]| {
        mspec(
            at,
            &[&["generate", "run", "--prompt", "a", "--tokens", "11"], arguments].concat(),
        )
    };
    assert_eq!(stdout(&text(&["--temperature", "0"])), "abcabcabcabc\n");
    assert_eq!(stdout(&text(&["--seed", "5"])), stdout(&text(&["--seed", "5"])));
    expect(
        &mspec(at, &["generate", "run", "--prompt", "xyz"]),
        2,
        "the prompt has `x`, which is not in the vocabulary that the run has learned: abc",
    );
}

#[test]
fn compile_prints_stages_and_a_summary() {
    let folder = folder();
    let at = folder.path();
    let summary = mspec(at, &["compile", "tiny.ms", "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&stdout(&summary)).unwrap();
    assert_eq!(summary["parameters"], 2 * 4 + 4 + 4 * 2 + 2);
    for stage in [
        "ast", "model", "params", "graph", "grad", "simple", "kernels", "plan", "clif", "asm", "dot",
    ] {
        let output = mspec(at, &["compile", "tiny.ms", "--emit", stage]);
        expect(&output, 0, "");
        assert!(output.stdout.len() > 100, "{stage}");
    }
}

#[test]
fn profile_tells_every_kernel() {
    let folder = folder();
    let at = folder.path();
    let output = mspec(
        at,
        &["profile", "tiny.ms", "--steps", "2", "--json", "--trace", "trace.json"],
    );
    expect(&output, 0, "");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kernels = report["kernels"].as_array().unwrap();
    assert!(kernels.iter().all(|k| k["ms"].as_f64().unwrap() > 0.0));
    assert!(report["ceiling_gflops"].as_f64().unwrap() > 0.0);
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(at.join("trace.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().len() >= kernels.len());
    expect(&mspec(at, &["bench"]), 2, "FILE");
}

#[test]
fn bench_measures_and_records() {
    let folder = folder();
    let at = folder.path();
    let output = mspec(at, &["bench", "tiny.ms", "--seconds", "0.1", "--json"]);
    expect(&output, 0, "");
    let line: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    for key in [
        "step_ms_min",
        "step_ms_median",
        "gflops",
        "compile_s",
        "tokens_or_samples_per_s",
    ] {
        assert!(line[key].as_f64().unwrap() > 0.0, "{key}");
    }
    expect(
        &mspec(at, &["bench", "tiny.ms", "--steps", "3", "--record", "out.json"]),
        0,
        "",
    );
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(at.join("out.json")).unwrap()).unwrap();
    assert_eq!(record["losses"].as_array().unwrap().len(), 3);
    assert!(record["grad_norms"]["tiny.linear.w"].as_f64().unwrap() > 0.0);
    assert!(record["param_norms"]["tiny.linear.w"].as_f64().unwrap() > 0.0);
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
fn eval_reports_classes_and_tables() {
    let folder = folder();
    let at = folder.path();
    edit(
        &folder,
        "accuracy(kind)",
        "accuracy(kind), auc(kind), recall(kind, average = none), support(kind), confusion(kind)",
    );
    expect(&mspec(at, &["train", "tiny.ms", "--run", "run"]), 0, "");
    let text = stdout(&mspec(at, &["eval", "run", "--split", "validation"]));
    assert!(
        text.starts_with("validation part, 12 samples, run/model.safetensors\nloss"),
        "{text}"
    );
    for row in ["class  recall  support", "target  less  more", "\nauc       "] {
        assert!(text.contains(row), "{text}");
    }
    let output = mspec(at, &["eval", "run", "--split", "validation", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let confusion = value["metrics"]["confusion"].as_array().unwrap();
    let sums: Vec<f64> = confusion
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum())
        .collect();
    assert_eq!(value["metrics"]["support"], serde_json::json!(sums), "rows are targets");
    assert_eq!(sums.iter().sum::<f64>(), 12.0);
    // What training saw at its last evaluation is what `eval` sees.
    let last = metrics(&folder, "run").pop().unwrap();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["val/auc"].as_f64(), value["metrics"]["auc"].as_f64());
    assert_eq!(last["val/loss"].as_f64(), value["loss"].as_f64());
    assert!(last.get("val/confusion").is_none(), "the log holds numbers");
}

#[test]
fn errors_of_a_regression_are_in_the_unit_of_the_data() {
    let folder = folder();
    let at = folder.path();
    let mut table = String::from("a,b,price\n");
    for i in 0..60 {
        table += &format!("{},{},{}\n", i % 7, i % 11, 5000 + 100 * (i % 7) + 30 * (i % 11));
    }
    std::fs::write(at.join("line.csv"), table).unwrap();
    let spec = |normalise: &str| {
        SPEC.replace("target kind", &format!("target price real\n    normalise {normalise}"))
            .replace("classes", "1) -> of_one(1")
            .replace("cross_entropy(kind)", "mse(price)")
            .replace("accuracy(kind)", "mae(price), rmse(price), r2(price)")
            + "def of_one(x[.., k], width) {\n    require width == 1, \"one output\"\n    y[..] = x[.., 0]\n}\n"
    };
    std::fs::write(at.join("tiny.ms"), spec("standard")).unwrap();
    let trained = mspec(at, &["train", "tiny.ms", "--run", "run", "--json"]);
    expect(&trained, 0, "");
    let value: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    let number = |name: &str| value["validation"][name].as_f64().unwrap();
    // The deviation of the prices is about 220: the loss is of normalised prices, the metrics are of prices.
    let ratio = number("rmse") / value["validation_loss"].as_f64().unwrap().sqrt();
    assert!((150.0..300.0).contains(&ratio), "{value}");
    assert!(number("mae") > 1.0 && number("mae") <= number("rmse"), "{value}");
    assert!(number("r2") < 1.0, "{value}");
}

/// What a program with these streams did.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn who_stops_reading_does_no_harm() {
    let folder = folder();
    let at = folder.path();
    assert_eq!(
        ended(command(at, &["explain"]).stdout(closed())),
        (Some(0), String::new())
    );
    // A training goes on, and its result is kept.
    let train = ["train", "tiny.ms", "--run", "run"];
    let status = command(at, &train).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(at.join("run/model.safetensors").exists());
    // A result that can't be written is a failure.
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    for arguments in [
        &["explain"][..],
        &["eval", "run", "--split", "validation"],
        &["compile", "tiny.ms"],
    ] {
        let (code, said) = ended(command(at, arguments).stdout(full()));
        assert_eq!(
            (code, said.as_str()),
            (Some(3), "error: can't write standard output: the disk is full\n"),
            "{arguments:?}"
        );
    }
}

#[test]
fn files_without_an_end_are_not_read_to_it() {
    let folder = folder();
    let at = folder.path();
    let endless = |spec: &str| {
        std::fs::write(at.join("tiny.ms"), spec).unwrap();
        mspec(at, &["check", "tiny.ms"])
    };
    expect(
        &endless(&format!("import \"/dev/zero\"\n{SPEC}")),
        1,
        "the file has more than 8 MB",
    );
    let data = endless(&SPEC.replace("line.csv", "/dev/zero"));
    expect(&data, 3, "/dev/zero is a device or a pipe, expected a file");
    expect(&data, 3, " --> tiny.ms:3:");
    expect(&mspec(at, &["check", "/dev/zero"]), 1, "the file has more than 8 MB");
    expect(&mspec(at, &["check", "."]), 3, "can't read .: it is a folder");
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

#[test]
fn fmt_keeps_links_and_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    let at = folder.path();
    let file = at.join("tiny.ms");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("tiny.ms", at.join("link.ms")).unwrap();
    expect(&mspec(at, &["fmt", "link.ms"]), 0, "");
    assert_ne!(
        std::fs::read_to_string(&file).unwrap(),
        SPEC,
        "its layout was not the canonical one"
    );
    assert!(std::fs::symlink_metadata(at.join("link.ms")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    expect(&mspec(at, &["fmt", "--check", "tiny.ms"]), 0, "");
}

#[test]
fn numbers_of_generate_are_checked() {
    let folder = folder();
    let generate = |arguments: &[&str]| mspec(folder.path(), &[&["generate", "run"], arguments].concat());
    expect(&generate(&["--top-k", "0"]), 2, "0 is not in 1..");
    expect(
        &generate(&["--temperature", "-1"]),
        2,
        "--temperature is a number of at least 0",
    );
    expect(
        &generate(&["--temperature", "nan"]),
        2,
        "--temperature is a number of at least 0",
    );
}

#[test]
fn std_tells_about_definitions() {
    let folder = folder();
    let list = stdout(&mspec(folder.path(), &["std"]));
    assert!(
        list.contains("std/losses.ms") && list.contains("cross_entropy"),
        "{list}"
    );
    let linear = stdout(&mspec(folder.path(), &["std", "linear"]));
    assert!(
        linear.contains("def linear(x[.., i < in], out") && linear.contains("schedule linear("),
        "{linear}"
    );
    expect(
        &mspec(folder.path(), &["std", "crossentropy"]),
        2,
        "did you mean `cross_entropy`?",
    );
}

#[test]
fn warnings_are_told_by_check_and_train_and_stop_neither() {
    let folder = folder();
    let at = folder.path();
    edit(&folder, "linear(classes)", "linear(classes) -> softmax");
    expect(
        &mspec(at, &["check", "tiny.ms"]),
        0,
        "warning[W0903]: these are probabilities already",
    );
    let checked = mspec(at, &["check", "tiny.ms", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&stdout(&checked)).unwrap();
    assert_eq!(
        (&list[0]["code"], &list[0]["severity"]),
        (&"W0903".into(), &"warning".into())
    );
    assert_eq!(list[0]["line"], 9);
    expect(&mspec(at, &["compile", "tiny.ms"]), 0, "warning[W0903]");
    let steps = ["train", "tiny.ms", "--set", "train.steps=2", "--run", "r"];
    expect(&mspec(at, &steps), 0, "warning[W0903]");
    expect(&mspec(at, &["explain", "W0903"]), 0, "");
    let allowed = mspec(at, &["check", "tiny.ms", "--set", "train.allow=W0903"]);
    expect(&allowed, 0, "no mistakes");
    assert!(!String::from_utf8_lossy(&allowed.stderr).contains("W0903"));
}

#[test]
fn check_finds_a_batch_that_the_data_can_not_fill() {
    let folder = folder();
    let checked = mspec(folder.path(), &["check", "tiny.ms", "--set", "train.batch=1000"]);
    expect(&checked, 3, "fewer than a batch of 1000");
}

#[test]
fn a_path_is_set_without_quotes() {
    let folder = folder();
    let at = folder.path();
    std::fs::rename(at.join("line.csv"), at.join("other line.csv")).unwrap();
    let check = |value: &str| mspec(at, &["check", "tiny.ms", "--set", &format!("data.csv={value}")]);
    expect(&check("other line.csv"), 0, "no mistakes");
    expect(&check("\"other line.csv\""), 0, "no mistakes");
    expect(&check("line.csv"), 3, "line.csv");
}
