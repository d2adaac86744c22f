//! What lint says: a spec of `tests/lint` for each thing, its snapshot, and the same spec mended in `tests/lint/right`,
//! of which it says nothing.

use mspec::text::{Code, Severity, render};
use mspec::{data, lint, pipeline};
use std::path::Path;

/// All warnings about a spec that has no errors.
fn warnings(path: &Path) -> String {
    let read = |at: &Path| std::fs::read(at).map_err(|e| e.to_string());
    let said = |failure: pipeline::Failure| render::text(&failure.diagnostics, &failure.sources, false);
    let name = path.file_name().unwrap();
    let folder = path.parent().unwrap();
    let spec = pipeline::load(Path::new(name), &[], &|at| read(&folder.join(at)));
    let spec = spec.map_err(said).unwrap();
    let dataset = data::open(&spec.data().map_err(said).unwrap(), folder).unwrap();
    let experiment = spec.resolve(dataset.schema().clone());
    let experiment = experiment
        .map_err(said)
        .unwrap_or_else(|text| panic!("{}:\n{text}", path.display()));
    let warnings = experiment.lint().map_err(said).unwrap();
    assert!(!warnings.has_errors());
    render::text(&warnings, &experiment.spec.sources, false)
}

#[test]
fn each_warning_is_told() {
    insta::glob!("lint/*.ms", |path| {
        let spec = std::fs::read(path).unwrap();
        let said = warnings(path);
        assert!(!said.is_empty(), "lint says nothing of {}", path.display());
        insta::with_settings!({
            description => String::from_utf8_lossy(&spec),
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!(said) });
        let right = path.parent().unwrap().join("right").join(path.file_name().unwrap());
        assert_eq!(warnings(&right), "", "{} is right", right.display());
    });
}

#[test]
fn every_rule_has_its_own_warning() {
    let mut codes: Vec<Code> = lint::CATALOG.iter().map(|rule| rule.code).collect();
    assert!(codes.iter().all(|code| code.severity() == Severity::Warning));
    assert!(codes.is_sorted(), "{codes:?}");
    codes.dedup();
    assert_eq!(codes.len(), lint::CATALOG.len());
}

/// Rates that are usual for each optimizer, and rates that no one means; optimizers are told apart by trying them out.
const RATES: &[(&str, &[&str], &[&str])] = &[
    ("sgd(lr = #)", &["0.01", "1"], &["10", "100"]),
    ("sgd(lr = #, momentum = 0.9, nesterov = true)", &["0.1", "3.2"], &["10"]),
    ("adam(lr = #, weight_decay = 1e-4)", &["1e-3"], &["0.5"]),
    ("adam(lr = #)", &["1e-5", "1e-3", "0.1"], &["0.5", "10"]),
    ("adamw(lr = #, weight_decay = 0.1)", &["6e-4", "3e-3"], &["0.5"]),
    ("amsgrad(lr = #)", &["1e-3"], &["1"]),
    ("nadam(lr = #)", &["2e-3"], &["1"]),
    ("radam(lr = #)", &["1e-3"], &["1"]),
    ("adamax(lr = #)", &["2e-3"], &["1"]),
    ("rmsprop(lr = #)", &["1e-3", "1e-2"], &["1"]),
    ("adagrad(lr = #)", &["1e-2", "1"], &["100"]),
    ("adadelta(lr = #)", &["1", "0.1"], &[]),
    ("lamb(lr = #)", &["1e-3", "1e-2"], &["1"]),
    ("lars(lr = #)", &["0.1", "10"], &["1000"]),
    ("lion(lr = #)", &["1e-4"], &["0.5"]),
    ("sophia(lr = #)", &["1e-4", "1e-3"], &["0.5"]),
    ("adafactor(lr = #)", &["1e-2", "1e-3"], &[]),
    ("lookahead(adam(lr = #))", &["1e-3"], &["1"]),
];

#[test]
fn rates_are_judged_by_what_an_optimizer_makes_of_them() {
    let mut wrong = String::new();
    for (optimizer, usual, unusual) in RATES {
        let cases = usual
            .iter()
            .map(|r| (r, false))
            .chain(unusual.iter().map(|r| (r, true)));
        for (rate, expected) in cases {
            for extra in ["", "clip_norm 1.0 ; schedule warmup(50) -> cosine ;"] {
                let told = warns_of_rate(&optimizer.replace('#', rate), extra);
                if told != expected {
                    wrong += &format!("{} {extra} told: {told}\n", optimizer.replace('#', rate));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn warns_of_rate(optimizer: &str, extra: &str) -> bool {
    let text = format!(
        "data {{ text \"text.txt\" ; window 8 }}\n\
         model net {{ tokens -> embedding(vocab, 8) -> linear(8) -> relu -> linear(vocab) }}\n\
         train {{ loss cross_entropy(next) ; steps 1000 ; batch 4 ; {extra} optimizer {optimizer} }}\n"
    );
    let said = |failure: pipeline::Failure| render::text(&failure.diagnostics, &failure.sources, false);
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).map_err(said);
    let spec = spec.unwrap();
    let dataset = data::open(&spec.data().map_err(said).unwrap(), Path::new("tests/data")).unwrap();
    let experiment = spec.resolve(dataset.schema().clone()).map_err(said).unwrap();
    let warnings = experiment.lint().map_err(said).unwrap();
    warnings.iter().any(|d| d.code == Code::LearningRate)
}

/// Whether lint tells of an uncounted mask in a spec whose data are stated.
fn warns_of_mask(data: &str, model: &str, loss: &str) -> bool {
    let text = format!(
        "data {{ {data} }}\n\
         loss own(x[.., t, k], y[.., t], real_step[.., t] = true) = \
         mean[.. where real_step[..]] (sum[k] where(k == y[..], 1, 0) * x[.., k])\n\
         model net {{ {model} }}\n\
         train {{ loss {loss} ; steps 1000 ; optimizer adam(lr = 1e-3) ; evaluate every 10 steps }}\n"
    );
    let said = |failure: pipeline::Failure| render::text(&failure.diagnostics, &failure.sources, false);
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).map_err(said);
    let spec = spec.unwrap();
    let schema = data::stated(&spec.data().map_err(said).unwrap()).unwrap();
    let experiment = spec
        .resolve(schema)
        .map_err(said)
        .unwrap_or_else(|said| panic!("{said}"));
    let warnings = experiment.lint().map_err(said).unwrap();
    warnings.iter().any(|d| d.code == Code::UncountedMask)
}

#[test]
fn a_mask_that_matters_is_read_by_the_loss() {
    let file =
        "tensors \"none\" ; ids inputs[8] < 11, targets[8] < 11, kind < 3 ; condition mask[8], other[8], short[4]";
    let plain = "inputs -> embedding(11, 8) -> linear(11)";
    let attends = "inputs -> embedding(11, 8) -> attention(2, mask = mask) -> layer_norm -> linear(11)";
    // What a condition of a file means is not known, unless the model takes it as a mask.
    assert!(!warns_of_mask(file, plain, "cross_entropy(targets)"));
    assert!(warns_of_mask(file, attends, "cross_entropy(targets)"));
    assert!(!warns_of_mask(file, attends, "cross_entropy(targets, counted = mask)"));
    // A loss may read it by any name, and in what the model makes of it.
    assert!(!warns_of_mask(file, attends, "own(targets, real_step = mask)"));
    let made =
        "keep = mask and other ; inputs -> embedding(11, 8) -> attention(2, mask = keep) -> layer_norm -> linear(11)";
    assert!(!warns_of_mask(file, made, "own(targets, keep)"));
    assert!(warns_of_mask(file, made, "own(targets)"));
    // A target without the mask's axes has nothing that is filled in.
    let pooled = "inputs -> embedding(11, 8) -> mean_over_time(mask) -> linear(3)";
    assert!(!warns_of_mask(file, pooled, "cross_entropy(kind)"));
    let ignored = "tensors \"none\" ; ids inputs[8] < 11, targets[8] < 11 ; ignore -100";
    assert!(warns_of_mask(ignored, plain, "cross_entropy(targets)"));
    assert!(!warns_of_mask(
        ignored,
        plain,
        "cross_entropy(targets, counted = targets_counted)"
    ));
}

#[test]
fn padded_rows_count_where_each_step_has_a_target() {
    let rows = "rows \"none\" ; target tag ; window 8 ; ids word[8] < 20, tag[8] < 5";
    let model = "word -> embedding(word_count, 8) -> linear(classes)";
    assert!(warns_of_mask(rows, model, "cross_entropy(tag)"));
    assert!(!warns_of_mask(rows, model, "cross_entropy(tag, counted = mask)"));
    let whole = "rows \"none\" ; target tag per sequence ; window 8 ; ids word[8] < 20, tag < 5";
    let model = "word -> embedding(word_count, 8) -> mean_over_time(mask) -> linear(classes)";
    assert!(!warns_of_mask(whole, model, "cross_entropy(tag)"));
}
