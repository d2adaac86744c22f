//! What goes wrong: exit codes, messages, and that nothing is lost.

use super::*;

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
    std::fs::write(at.join("line.csv"), format!("{table}1,1,less\n")).unwrap();
    expect(
        &mspec(at, &["train", "--resume", "run"]),
        5,
        "line.csv has changed since the run began",
    );
    // An evaluation goes on with other data, unless the weights would mean something else by them.
    let evaluate = ["eval", "run", "--split", "validation"];
    let validation_alone = table.trim_end().to_string() + " \n";
    std::fs::write(at.join("line.csv"), validation_alone).unwrap();
    expect(&mspec(at, &evaluate), 0, "line.csv has changed since the run began");
    std::fs::write(at.join("line.csv"), table.replace("more", "above")).unwrap();
    expect(&mspec(at, &evaluate), 5, "with it the means or classes that are fitted");
}

#[test]
fn a_run_without_its_copy_of_the_spec_says_so() {
    let folder = folder();
    let at = folder.path();
    expect(&mspec(at, &["train", "tiny.ms", "--run", "run"]), 0, "");
    std::fs::remove_file(at.join("run/spec.ms")).unwrap();
    expect(
        &mspec(at, &["eval", "run", "--split", "validation"]),
        3,
        "can't read run/spec.ms",
    );
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
    assert_eq!(
        ended(command(at, &["std", "--reference"]).stdout(closed())),
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
fn check_finds_a_batch_that_the_data_can_not_fill() {
    let folder = folder();
    let checked = mspec(folder.path(), &["check", "tiny.ms", "--set", "train.batch=1000"]);
    expect(&checked, 3, "fewer than a batch of 1000");
}
