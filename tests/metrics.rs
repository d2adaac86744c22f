//! The library's metrics over a whole split, in batches that do not divide it, against scikit-learn's values
//! (`tests/metrics/make.py`), and against the definition where scikit-learn has none.

use mspec::data::{Part, open};
use mspec::machine::{Machine, Program, ProgramId};
use mspec::ops::tensor64::Tensor64;
use mspec::pipeline;
use mspec::text::render;
use mspec::train::evaluate::{Evaluator, Scores, batch_sizes, evaluate};
use mspec::train::finish::finish;
use mspec::train::run::step_variables;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::Value;
use std::path::Path;

const BATCH: usize = 8;

/// A golden file.
fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/metrics/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers of nested lists, and the shape of the lists.
fn numbers(value: &Value) -> (Vec<usize>, Vec<f64>) {
    match value {
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().map(numbers).collect();
            let mut shape = vec![list.len()];
            shape.extend(&parts[0].0);
            (shape, parts.into_iter().flat_map(|p| p.1).collect())
        }
        other => (vec![], vec![other.as_f64().unwrap()]),
    }
}

/// A tensor as the data has it: what is called `target` are ids, `mask` conditions, all others real.
fn bytes(name: &str, values: &[f64], ids: bool) -> (Dtype, Vec<u8>) {
    match name {
        "mask" => (Dtype::BOOL, values.iter().map(|v| *v as u8).collect()),
        "target" if ids => (
            Dtype::I32,
            values.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect(),
        ),
        _ => (
            Dtype::F32,
            values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        ),
    }
}

/// Evaluates metrics of given values: the model adds a bias that is 0.
fn scores(data: &[(&str, &Value)], classes: usize, metrics: &str) -> Scores {
    let folder = tempfile::tempdir().unwrap();
    let ids = classes > 0;
    let tensors: Vec<_> = data
        .iter()
        .map(|(name, value)| {
            let (shape, values) = numbers(value);
            let (dtype, bytes) = bytes(name, &values, ids);
            (*name, dtype, shape, bytes)
        })
        .collect();
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()))
        .collect();
    serialize_to_file(views, None, &folder.path().join("data.safetensors")).unwrap();
    let (model, loss) = match ids {
        true => ("logits -> shift", "cross_entropy(target)"),
        false => ("predicted -> moved", "mse(target)"),
    };
    let bound = if ids {
        format!("ids target < {classes}\n")
    } else {
        String::new()
    };
    let text = format!(
        "data {{ tensors \"data.safetensors\"\n {bound} }}\n\
         def moved(x[..]) {{\n param b ~ 0\n x + b\n }}\n\
         model given {{ {model} }}\n\
         train {{\n loss {loss}\n metric {metrics}\n optimizer sgd(lr = 1)\n batch {BATCH}\n steps 1\n }}\n"
    );
    let said = |failure: pipeline::Failure| render::text(&failure.diagnostics, &failure.sources, false);
    let read = |_: &Path| Ok(text.clone().into_bytes());
    let spec = pipeline::load(Path::new("metrics.ms"), &[], &read)
        .map_err(said)
        .unwrap();
    let dataset = open(&spec.data().unwrap_or_else(|f| panic!("{}", said(f))), folder.path()).unwrap();
    let experiment = spec
        .resolve(dataset.schema().clone())
        .unwrap_or_else(|f| panic!("{}", said(f)));
    let mut programs = vec![];
    let mut layout = None;
    let mut evaluation = None;
    let sizes = batch_sizes(dataset.samples(Part::Train), BATCH);
    assert_eq!(sizes.len(), 2, "the last batch is a short one");
    for &size in &sizes {
        let this = experiment.evaluation(size).unwrap_or_else(|f| panic!("{}", said(f)));
        let compiled = pipeline::compile(&this.batch, layout.as_ref());
        programs.push(Program::compile(&compiled.plan, 1).unwrap());
        layout.get_or_insert(compiled.plan.persistent.clone());
        evaluation.get_or_insert(this);
    }
    let evaluation = evaluation.unwrap();
    let mut machine = Machine::new(programs, 1).unwrap();
    let evaluator = Evaluator {
        part: Part::Train,
        programs: sizes.iter().copied().zip((0..).map(ProgramId)).collect(),
        numbers: &evaluation.batch.numbers,
        accumulators: &evaluation.accumulators,
        samples: &evaluation.samples,
        finish: &|gathered, variable| finish(&evaluation, gathered, variable),
    };
    evaluate(&evaluator, &dataset, &mut machine, &step_variables(1, 0.0, &[])).unwrap()
}

#[track_caller]
fn close(found: f64, wanted: f64, what: &str) {
    assert!(
        (found - wanted).abs() <= 2e-6 * wanted.abs().max(1.0),
        "{what} is {found}, not {wanted}"
    );
}

fn table<'s>(scores: &'s Scores, name: &str) -> &'s Tensor64 {
    &scores.tables.iter().find(|t| t.0 == name).unwrap().1
}

#[track_caller]
fn all_close(found: &Tensor64, wanted: &Value, what: &str) {
    let (shape, wanted) = numbers(wanted);
    assert_eq!(found.shape, shape, "{what}");
    for (f, w) in found.data.iter().zip(&wanted) {
        close(*f, *w, what);
    }
}

#[test]
fn scores_of_classes_are_those_of_scikit_learn() {
    let golden = golden("classes");
    let data = [("logits", &golden["logits"]), ("target", &golden["target"])];
    for name in ["precision", "recall", "f1", "iou"] {
        let metrics = format!(
            "{name}(target, average = micro), {name}(target), {name}(target, average = weighted), \
             {name}(target, average = none) as single"
        );
        let scores = scores(&data, 6, &metrics);
        let averages = ["micro", "macro", "weighted"];
        assert_eq!(scores.metrics.len(), averages.len());
        for (average, (_, value)) in averages.iter().zip(&scores.metrics) {
            close(
                *value,
                golden[name][average].as_f64().unwrap(),
                &format!("{name}, {average}"),
            );
        }
        all_close(table(&scores, "single"), &golden[name]["each"], name);
    }
}

#[test]
fn counts_and_means_are_those_of_scikit_learn() {
    let golden = golden("classes");
    let data = [("logits", &golden["logits"]), ("target", &golden["target"])];
    let scores = scores(
        &data,
        6,
        "accuracy(target), balanced_accuracy(target), log_loss(target), confusion(target), support(target)",
    );
    for name in ["accuracy", "balanced_accuracy", "log_loss"] {
        close(scores.get(name).unwrap(), golden[name].as_f64().unwrap(), name);
    }
    close(scores.loss, golden["log_loss"].as_f64().unwrap(), "the loss");
    all_close(table(&scores, "confusion"), &golden["confusion"], "confusion");
    all_close(table(&scores, "support"), &golden["support"], "support");
}

#[test]
fn rankings_are_those_of_scikit_learn() {
    let golden = golden("classes");
    let data = [("logits", &golden["logits"]), ("target", &golden["target"])];
    let scores = scores(
        &data,
        6,
        "auc(target) as area, auc(target, average = weighted) as areas, average_precision(target) as precise, \
         average_precision(target, average = weighted) as precises, roc(target), precision_recall(target), \
         auc(target, average = none) as single",
    );
    for (name, metric, average) in [
        ("area", "auc", "macro"),
        ("areas", "auc", "weighted"),
        ("precise", "average_precision", "macro"),
        ("precises", "average_precision", "weighted"),
    ] {
        close(
            scores.get(name).unwrap(),
            golden[metric][average].as_f64().unwrap(),
            name,
        );
    }
    all_close(table(&scores, "roc"), &golden["roc"], "roc");
    all_close(
        table(&scores, "precision_recall"),
        &golden["precision_recall"],
        "precision_recall",
    );
    let each = &table(&scores, "single").data;
    assert!(each[..4].iter().all(|a| a.is_finite()));
    assert!(
        each[4].is_nan() && each[5].is_nan(),
        "a class without targets has no area"
    );
}

#[test]
fn binary_scores_are_those_of_scikit_learn() {
    let golden = golden("binary");
    let data = [("logits", &golden["logits"]), ("target", &golden["target"])];
    let scores = scores(
        &data,
        2,
        "precision(target, average = binary), recall(target, average = binary), f1(target, average = binary), \
         auc(target), average_precision(target, average = none) as single",
    );
    for name in ["precision", "recall", "f1", "auc"] {
        close(scores.get(name).unwrap(), golden[name].as_f64().unwrap(), name);
    }
    let precise = table(&scores, "single").data[1];
    close(
        precise,
        golden["average_precision"].as_f64().unwrap(),
        "average precision",
    );
}

#[test]
fn what_does_not_count_is_left_out_of_sequences() {
    let golden = golden("sequence");
    let data = [
        ("logits", &golden["logits"]),
        ("target", &golden["target"]),
        ("mask", &golden["mask"]),
    ];
    let scores = scores(
        &data,
        5,
        "accuracy(target, counted = mask), top(target, 2, counted = mask), f1(target, counted = mask), \
         auc(target, counted = mask)",
    );
    for name in ["accuracy", "top", "f1", "auc"] {
        close(scores.get(name).unwrap(), golden[name].as_f64().unwrap(), name);
    }
}

#[test]
fn of_equal_logits_the_first_counts() {
    let logits = serde_json::json!([
        [1, 1, 0],
        [1, 1, 0],
        [0, 0, 0],
        [2, 3, 3],
        [2, 3, 3],
        [0, 0, 0],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3]
    ]);
    let target = serde_json::json!([0, 1, 2, 1, 2, 0, 0, 1, 2]);
    let scores = scores(
        &[("logits", &logits), ("target", &target)],
        3,
        "accuracy(target), top(target, 1), top(target, 2)",
    );
    close(scores.metrics[0].1, 4.0 / 9.0, "accuracy");
    close(scores.metrics[1].1, 4.0 / 9.0, "top 1 is accuracy");
    close(scores.metrics[2].1, 7.0 / 9.0, "top 2");
}

#[test]
fn regression_scores_are_those_of_scikit_learn() {
    let golden = golden("regression");
    let data = [("predicted", &golden["predicted"]), ("target", &golden["target"])];
    let scores = scores(&data, 0, "mae(target), mse(target), rmse(target), r2(target)");
    for name in ["mae", "mse", "rmse", "r2"] {
        // The values are near 300: what f32 rounds away of them is a millionth of the errors of 5.
        let (found, wanted) = (scores.get(name).unwrap(), golden[name].as_f64().unwrap());
        assert!(
            (found - wanted).abs() <= 1e-5 * wanted.abs(),
            "{name} is {found}, not {wanted}"
        );
    }
}

#[test]
fn bits_are_counted_by_the_bytes_of_tokens() {
    let logits = serde_json::json!(vec![[0.0, 0.0, 0.0, 0.0]; 9]);
    let target = serde_json::json!([0, 1, 2, 3, 0, 1, 2, 3, 0]);
    let data = [("logits", &logits), ("target", &target)];
    let scores = scores(&data, 4, "bits_per_byte(target), perplexity(target)");
    close(scores.metrics[0].1, 2.0, "a choice of four");
    close(scores.metrics[1].1, 4.0, "a choice of four");
}
