//! Every bound of every parameter of the augmentations: at the bound a spec is right, just beyond it the value is shown.

use mspec::data::augment::{Augmentation, CATALOG, Measure, Parameter};
use mspec::pipeline;
use mspec::text::Code;
use std::path::Path;

/// A value as a spec writes it.
fn written(parameter: &Parameter, value: f64) -> String {
    match parameter.unit {
        Measure::Pixels | Measure::Number => format!("{value}"),
        Measure::Degrees => format!("{value} deg"),
        Measure::Share => format!("{}%", value * 100.0),
    }
}

/// A spec with one augmentation, all of whose parameters are given; the text of one of them.
fn spec(augmentation: &dyn Augmentation, at: usize, value: f64) -> (String, String) {
    let parameters = augmentation.parameters();
    let other = |p: &Parameter| match p.name {
        "least" => p.least,
        "most" => p.most,
        _ => p.default.unwrap_or(p.least),
    };
    let values = parameters
        .iter()
        .enumerate()
        .map(|(i, p)| written(p, if i == at { value } else { other(p) }));
    let values: Vec<String> = values.collect();
    let call = format!("{}({})", augmentation.name(), values.join(", "));
    let text = format!("data {{\n    images \"a\"\n    augment {{ {call} }}\n}}\nmodel net {{ image -> flatten }}\n");
    (text, values[at].clone())
}

/// What is said about the data section: the code and the text that it points at.
fn said(text: &str) -> Option<(Code, String)> {
    let read = |_: &Path| Ok(text.as_bytes().to_vec());
    let loaded = pipeline::load(Path::new("a.ms"), &[], &read).unwrap();
    let failure = loaded.data().err()?;
    let said: Vec<_> = failure.diagnostics.iter().collect();
    assert_eq!(said.len(), 1, "one error for one cause");
    let span = said[0].primary.span;
    Some((said[0].code, text[span.start as usize..span.end as usize].to_string()))
}

#[test]
fn each_bound_of_each_parameter_is_checked_at_the_value() {
    for augmentation in CATALOG {
        for (at, parameter) in augmentation.parameters().iter().enumerate() {
            for bound in [parameter.least, parameter.most] {
                let (text, _) = spec(*augmentation, at, bound);
                assert_eq!(said(&text), None, "{text}");
            }
            let step = if parameter.unit == Measure::Pixels { 1.0 } else { 1e-3 };
            for beyond in [parameter.least - step, parameter.most + step] {
                let (text, value) = spec(*augmentation, at, beyond);
                assert_eq!(said(&text), Some((Code::WrongSetting, value)), "{text}");
            }
        }
    }
}
