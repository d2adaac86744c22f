//! What the other commands print and write.

use super::*;

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
fn a_spec_that_states_a_table_needs_no_file_to_be_looked_at() {
    let folder = folder();
    let at = folder.path();
    let states = SPEC
        .replace("line.csv", "none.csv")
        .replace("target kind", "target kind\n    real features[3]\n    ids kind < 7");
    std::fs::write(at.join("table.ms"), &states).unwrap();
    let parameters = (3 * 4 + 4) + (4 * 7 + 7);
    let checked = mspec(at, &["check", "table.ms"]);
    expect(&checked, 0, "none.csv is not there: sizes are as the spec states them");
    expect(&checked, 0, &format!("table.ms: no mistakes, {parameters} parameters"));
    let compiled = mspec(at, &["compile", "table.ms"]);
    assert!(stdout(&compiled).contains(&format!("tiny: {parameters} parameters")));
    expect(&mspec(at, &["train", "table.ms"]), 3, "can't read none.csv");
    // With a file, it is what is stated that is wrong, and where.
    let wrong = states.replace("none.csv", "line.csv");
    std::fs::write(at.join("table.ms"), &wrong).unwrap();
    let line = wrong.lines().position(|l| l.contains("features[3]")).unwrap() + 1;
    let checked = mspec(at, &["check", "table.ms"]);
    expect(&checked, 3, "a sample of `features` is [2], the spec says [3]");
    expect(&checked, 3, &format!("table.ms:{line}:"));
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

/// A spec that states its sizes is timed without its data.
#[test]
fn bench_draws_samples_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let spec = "
        data {
            tensors \"not/there.safetensors\"
            real    x[5]
            ids     kind < 3
        }
        model net { x -> linear(8) -> relu -> linear(3) }
        train { loss cross_entropy(kind) ; optimizer sgd(lr = 0.1) ; batch 4 ; steps 10 }
    ";
    std::fs::write(at.join("net.ms"), spec).unwrap();
    let output = mspec(at, &["bench", "net.ms", "--seconds", "0", "--json"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("there.safetensors is not there: samples are drawn"),
        "{error}"
    );
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(line["losses"][0].as_f64().unwrap().is_finite());
    // Sizes that are not stated can't be drawn, and training needs real samples.
    std::fs::write(
        at.join("bare.ms"),
        spec.replace("real    x[5]", "").replace("ids     kind < 3", ""),
    )
    .unwrap();
    for arguments in [&["bench", "bare.ms"][..], &["train", "net.ms"]] {
        let output = mspec(at, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
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
    let lines = report["lines"].as_array().unwrap();
    let own = |l: &serde_json::Value| l["line"].as_str().unwrap().starts_with("tiny.ms:");
    assert!(
        lines.iter().all(own),
        "every kernel has its line of the spec: {lines:?}"
    );
    let linear = |l: &serde_json::Value| l["text"] == "linear(4)" && l["ms"].as_f64().unwrap() > 0.0;
    assert!(lines.iter().any(linear), "{lines:?}");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(at.join("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<_> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert!(complete.len() >= kernels.len());
    assert!(
        complete
            .iter()
            .all(|e| e["ts"].is_f64() && e["dur"].is_f64() && e["pid"] == 1 && e["tid"] == 1)
    );
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
        "codegen_s",
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

#[test]
fn errors_of_several_targets_are_in_the_unit_of_each() {
    let folder = folder();
    let at = folder.path();
    let (heat, rain) = (|i: usize| (i % 5) as f64, |i: usize| 1000.0 + 300.0 * (i % 3) as f64);
    let row = |i: usize| format!("{},{}\n", heat(i), rain(i));
    let table: String = (0..60).map(row).collect();
    std::fs::write(at.join("weather.csv"), format!("heat,rain mm\n{table}")).unwrap();
    // It tells the mean of the training rows, whatever it sees.
    let spec = "data {
    series    \"weather.csv\"
    target    heat, \"rain mm\" as rain
    past      1
    future    2
    normalise standard
    split     train 50%, validation 50%
}

def nothing(x[.., t, c]) {
    param w ~ 0
    y[.., h < 2, k < 2] = w * x[.., 0, k + 0]
}

model mean {
    past -> nothing
}

train {
    loss      mse(future)
    metric    mae(future), rmse(future), r2(future)
    optimizer sgd(lr = 0)
    batch     8
    steps     1
}
";
    std::fs::write(at.join("weather.ms"), spec).unwrap();
    let trained = mspec(at, &["train", "weather.ms", "--run", "run", "--json"]);
    expect(&trained, 0, "");
    let value: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    let number = |name: &str| {
        value["validation"][name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {value}"))
    };
    let mean = |of: &dyn Fn(usize) -> f64| (0..30).map(of).sum::<f64>() / 30.0;
    // Each of the windows from row 30 to row 59 tells two rows.
    let told = || (30..59).flat_map(|first| [first, first + 1]);
    let of = |of: &dyn Fn(usize) -> f64| {
        let errors: Vec<f64> = told().map(|row| of(row) - mean(of)).collect();
        let n = errors.len() as f64;
        let absolute = errors.iter().map(|e| e.abs()).sum::<f64>() / n;
        (absolute, (errors.iter().map(|e| e * e).sum::<f64>() / n).sqrt())
    };
    for (name, (mae, rmse)) in [("heat", of(&heat)), ("rain", of(&rain))] {
        for (metric, expected) in [("mae", mae), ("rmse", rmse)] {
            let got = number(&format!("{metric}_{name}"));
            assert!(
                (got / expected - 1.0).abs() < 1e-5,
                "{metric}_{name}: {got} instead of {expected}"
            );
        }
    }
    // What has no unit is of all targets together.
    number("r2");
    let evaluated = stdout(&mspec(at, &["eval", "run", "--split", "validation"]));
    assert!(evaluated.contains("rmse_rain"), "{evaluated}");
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
fn fmt_turns_line_ends_of_old_macs_into_newlines() {
    let folder = folder();
    let at = folder.path();
    let file = at.join("tiny.ms");
    expect(&mspec(at, &["fmt", "tiny.ms"]), 0, "");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace('\n', "\r")).unwrap();
    expect(&mspec(at, &["check", "tiny.ms"]), 0, "");
    expect(&mspec(at, &["fmt", "--check", "tiny.ms"]), 1, "");
    expect(&mspec(at, &["fmt", "tiny.ms"]), 0, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
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
fn a_path_is_set_without_quotes() {
    let folder = folder();
    let at = folder.path();
    std::fs::rename(at.join("line.csv"), at.join("other line.csv")).unwrap();
    let check = |value: &str| mspec(at, &["check", "tiny.ms", "--set", &format!("data.csv={value}")]);
    expect(&check("other line.csv"), 0, "no mistakes");
    expect(&check("\"other line.csv\""), 0, "no mistakes");
    expect(&check("line.csv"), 3, "line.csv");
}
