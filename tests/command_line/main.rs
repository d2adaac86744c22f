//! The program as a user runs it: what goes to which stream, and every exit code.

mod commands;
mod failures;
mod training;
mod tuning;

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
