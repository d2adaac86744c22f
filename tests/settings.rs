//! Every bound of every setting of `data` and `train`, and of every parameter of the augmentations: a value just beyond it
//! is refused at the value, the value itself is accepted.

use mspec::data::augment::{CATALOG, Measure, Parameter};
use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::pipeline::{self, Failure};
use mspec::resolve::train::{ONCE, REPEATED};
use mspec::text::{Severity, render};
use std::path::Path;

/// A line of a section, with `#` where the value stands, what is accepted there, and what is just beyond.
struct Bound {
    section: &'static str,
    line: &'static str,
    within: &'static [&'static str],
    beyond: &'static [&'static str],
}

const fn data(line: &'static str, within: &'static [&'static str], beyond: &'static [&'static str]) -> Bound {
    Bound {
        section: "data",
        line,
        within,
        beyond,
    }
}

const fn train(line: &'static str, within: &'static [&'static str], beyond: &'static [&'static str]) -> Bound {
    Bound {
        section: "train",
        line,
        within,
        beyond,
    }
}

const IMAGES: &str = "images \"i\"";

const BOUNDS: &[Bound] = &[
    data(
        "text \"t\" ; window #",
        &["1", "1048576"],
        &["0", "-1", "1.5", "1048577"],
    ),
    data(
        "text \"t\" ; window 8 ; masked #",
        &["0.1%", "99.9%"],
        &["0%", "100%", "-1%"],
    ),
    data("pairs \"p\" ; window #", &["1", "1048576"], &["0", "1048577"]),
    data("images \"i\" ; size #", &["1"], &["0", "-1", "0.5"]),
    data("images \"i\" ; channels #", &["1", "3"], &["0", "2", "4"]),
    data("images \"i\" ; masks \"m\" ; ignore #", &["0", "255"], &["-1", "256"]),
    data("series \"s\" ; target y ; future 1 ; past #", &["1"], &["0", "-1"]),
    data("series \"s\" ; target y ; past 1 ; future #", &["1"], &["0", "-1"]),
    data("rows \"r\" ; target y ; window #", &["1"], &["0"]),
    data(
        "rows \"r\" ; target y ; minimum_count #",
        &["1", "1048576"],
        &["0", "1048577"],
    ),
    data("tensors \"t\" ; ids a < #", &["1"], &["0", "-1"]),
    data(
        "text \"t\" ; window 8 ; split train #",
        &["100%", "0.1%"],
        &["0%", "100.1%", "-1%", "90"],
    ),
    data(
        "text \"t\" ; window 8 ; split train 80%, validation #",
        &["0%", "20%"],
        &["-0.1%", "20.1%", "101%"],
    ),
    data(
        "text \"t\" ; window 8 ; split train 80%, validation 10%, test #",
        &["0%", "10%"],
        &["-0.1%", "10.1%"],
    ),
    data(
        "csv \"c\" ; target y ; fold # of 5",
        &["1", "5"],
        &["0", "6", "1.5", "-1"],
    ),
    data(
        "csv \"c\" ; target y ; fold 1 of #",
        &["2", "1000"],
        &["1", "1001", "0"],
    ),
    train("steps 5 ; batch #", &["1", "4096"], &["0", "-1", "1.5", "1048577"]),
    train("steps 5 ; batch 8 in #", &["1", "8"], &["0", "9", "-1"]),
    train("steps #", &["1", "1000000000000"], &["0", "-1", "1.5", "1000000000001"]),
    train("epochs #", &["0.001", "1000000000"], &["0", "-1", "1000000001"]),
    train("tokens #", &["1", "1000000000000000"], &["0", "-1", "1000000000000001"]),
    train("steps 5 ; minutes #", &["0.001"], &["0", "-1"]),
    train("steps 5 ; sam #", &["0.001"], &["0", "-0.1"]),
    train("steps 5 ; clip_norm #", &["0.001"], &["0", "-1"]),
    train("steps 5 ; clip_value #", &["0.001"], &["0", "-1"]),
    train("steps 5 ; ema #", &["0", "0.999"], &["1", "-0.001"]),
    train("steps 5 ; keep #", &["1", "1000000"], &["0", "-1", "1000001"]),
    train("steps 5 ; seed #", &["0", "1"], &["-1", "0.5"]),
    train(
        "steps 5 ; evaluate every #",
        &["1 steps", "0.5 epochs"],
        &["0 steps", "1.5 steps", "0 epochs", "-1 epochs"],
    ),
    train(
        "steps 5 ; checkpoint every #",
        &["1 steps", "0.5 epochs"],
        &["0 steps", "0 epochs"],
    ),
    train(
        "steps 5 ; evaluate every 1 steps ; early_stop loss patience #",
        &["1", "1000000"],
        &["0", "1.5", "1000001"],
    ),
    train(
        "steps 5 ; evaluate every 1 steps ; early_stop loss patience 1 change #",
        &["0"],
        &["-0.001"],
    ),
    train(
        "steps 5 ; precision f16 ; loss_scale #",
        &["0.001", "dynamic"],
        &["0", "-1", "static"],
    ),
    train("steps 5 ; precision #", &["f32", "bf16", "f16"], &["f8", "16"]),
    train("steps 5 ; schedule warmup(#)", &["1"], &["0", "-1"]),
    train("steps 5 ; schedule cosine(length = #)", &["5", "100%"], &["0", "0%"]),
    train("steps 5 ; init normal(#) on matrices", &["0"], &["-0.001"]),
    train("steps 5 ; init truncated_normal(#) on matrices", &["0"], &["-0.001"]),
    train("steps 5 ; init uniform(#) on matrices", &["0"], &["-0.001"]),
];

/// A whole spec around a line.
fn spec(section: &str, line: &str) -> String {
    let (data, train) = match section {
        "data" => (line, "steps 5"),
        _ => ("text \"t\" ; window 8", line),
    };
    format!(
        "data {{ {data} }}\nmodel net {{ tokens -> embedding(vocab, 8) -> linear(vocab) }}\n\
         train {{ loss cross_entropy(next) ; optimizer sgd(lr = 0.1) ; {train} }}\n"
    )
}

/// What is said of a spec: of a data section alone where its source gives no tokens.
fn judge(text: &str, whole: bool) -> Result<(), Failure> {
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.to_string().into_bytes()))?;
    spec.data()?;
    if !whole {
        return Ok(());
    }
    let ids = |name: &str| SchemaTensor {
        name: name.into(),
        axes: vec![("time".into(), 8)],
        element: Element::Id { bound: 16 },
        bound_name: Some("vocab".into()),
        category: false,
    };
    let schema = Schema {
        tensors: vec![ids("tokens"), ids("next")],
        sizes: vec![("vocab".into(), 16), ("time".into(), 8)],
        epoch_samples: Some(100_000),
        ..Schema::default()
    };
    spec.resolve(schema).map(|_| ())
}

/// Complains if a value is not judged as it should be.
fn check(section: &str, line: &str, value: &str, refused: bool) -> Option<String> {
    let text = spec(section, &line.replace('#', value));
    let failure = match (judge(&text, section == "train"), refused) {
        (Ok(()), false) => return None,
        (Ok(()), true) => return Some(format!("`{value}` is accepted in `{line}`")),
        (Err(failure), _) => failure,
    };
    let said = render::text(&failure.diagnostics, &failure.sources, false);
    if !refused {
        return Some(format!("`{value}` is refused in `{line}`:\n{said}"));
    }
    let errors = failure.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let shows = failure.diagnostics.iter().any(|d| {
        let mut labels = std::iter::once(&d.primary).chain(&d.secondary);
        labels.any(|l| failure.sources.text(l.span).contains(value))
    });
    (errors.count() != 1 || !shows).then(|| format!("`{value}` in `{line}`: expected one error, at the value:\n{said}"))
}

#[test]
fn settings_refuse_what_is_beyond_their_bounds() {
    let mut wrong = vec![];
    for bound in BOUNDS {
        let values = bound.within.iter().map(|v| (v, false));
        for (value, refused) in values.chain(bound.beyond.iter().map(|v| (v, true))) {
            wrong.extend(check(bound.section, bound.line, value, refused));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Settings whose values are no numbers, or calls of definitions: `bounds.rs` has these.
const OTHERS: &[&str] = &["loss", "metric", "optimizer", "penalty", "constrain", "freeze", "allow"];

#[test]
fn every_setting_of_a_training_has_its_bounds_tested() {
    let tested = |name: &str| {
        let key = |line: &str| line.split(';').any(|part| part.split_whitespace().next() == Some(name));
        BOUNDS.iter().any(|b| b.section == "train" && key(b.line))
    };
    for name in ONCE.iter().chain(REPEATED) {
        assert!(
            tested(name) != OTHERS.contains(name),
            "`{name}`: tested, or another kind of setting?"
        );
    }
}

/// A parameter's value as a spec writes it.
fn written(parameter: &Parameter, value: f64) -> String {
    match parameter.unit {
        Measure::Degrees => format!("{value} deg"),
        Measure::Share | Measure::Pixels | Measure::Number => value.to_string(),
    }
}

#[test]
fn augmentations_refuse_what_is_beyond_their_bounds() {
    let mut wrong = vec![];
    for augmentation in CATALOG {
        let parameters = augmentation.parameters();
        for (at, parameter) in parameters.iter().enumerate() {
            // The greatest of a pair bounds the least, so that the others stand at their own ends.
            let others: Vec<String> = parameters
                .iter()
                .enumerate()
                .filter(|(other, p)| *other != at && p.default.is_none())
                .map(|(_, p)| {
                    format!(
                        ", {} = {}",
                        p.name,
                        written(p, if p.name == "least" { p.least } else { p.most })
                    )
                })
                .collect();
            let call = format!("{}({} = #{})", augmentation.name(), parameter.name, others.concat());
            let line = format!("{IMAGES} ; augment {{ {call} }}");
            let step = match parameter.unit {
                Measure::Pixels => 1.0,
                _ => 0.001 * parameter.most.abs().max(1.0),
            };
            for (value, refused) in [
                (parameter.least, false),
                (parameter.most, false),
                (parameter.least - step, true),
                (parameter.most + step, true),
            ] {
                wrong.extend(check("data", &line, &written(parameter, value), refused));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
