//! Hostile specs: each ends in a clear error, within a moment and without using much memory.

use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::pipeline;
use mspec::text::{Code, Diagnostics};
use std::path::Path;
use std::time::{Duration, Instant};

/// Far more than any of these takes in a release build, and enough for a debug build on a busy machine.
const MOST_TIME: Duration = Duration::from_secs(20);
/// Bytes that the process may use at most, this file's own texts included.
const MOST_MEMORY: u64 = 2 << 30;

fn schema() -> Schema {
    let tensor = |name: &str| SchemaTensor {
        name: name.into(),
        axes: vec![("time".into(), 8)],
        element: Element::Id { bound: 11 },
        bound_name: Some("vocab".into()),
        category: false,
    };
    Schema {
        tensors: vec![tensor("tokens"), tensor("next")],
        sizes: vec![("vocab".into(), 11), ("time".into(), 8)],
        epoch_samples: None,
        ..Schema::default()
    }
}

/// What is said about a spec.
fn said(spec: &[u8]) -> Diagnostics {
    let read = |_: &Path| Ok(spec.to_vec());
    let loaded = match pipeline::load(Path::new("hostile.ms"), &[], &read) {
        Ok(loaded) => loaded,
        Err(failure) => return failure.diagnostics,
    };
    match loaded.resolve(schema()) {
        Ok(experiment) => experiment.warnings,
        Err(failure) => failure.diagnostics,
    }
}

/// Demands that a spec ends in an error of a code, soon and without using much memory.
fn refused(spec: impl AsRef<[u8]>, code: Code) {
    let start = Instant::now();
    let said = said(spec.as_ref());
    let took = start.elapsed();
    let codes: Vec<String> = said.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    assert!(
        said.iter().any(|d| d.code == code),
        "expected {code}, found {:#?}",
        &codes[..codes.len().min(5)]
    );
    assert!(said.len() <= 60, "{} errors for one cause", said.len());
    assert!(took < MOST_TIME, "took {took:?}");
    assert!(peak_memory() < MOST_MEMORY, "used {} bytes", peak_memory());
}

/// The most memory that this process has used, as Linux counts it; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10)
}

/// A whole spec around a model's body and definitions.
fn spec(definitions: &str, body: &str) -> String {
    format!(
        "{definitions}\ndata {{\n    text \"t.txt\"\n    window 8\n}}\nmodel net {{\n    tokens -> embedding(vocab, 16)\n{body}\n    linear(vocab)\n}}\n\
         train {{\n    loss cross_entropy(next)\n    optimizer adamw(lr = 1e-3)\n    batch 4\n    steps 10\n}}\n"
    )
}

#[test]
fn enormous_sizes() {
    refused(spec("", "    linear(1000000000000000000)"), Code::SizeTooLarge);
    refused(spec("", "    linear(1e300)"), Code::SizeTooLarge);
    refused(spec("", "    linear(2000M) -> linear(2000M)"), Code::SizeTooLarge);
    // All of a parameter lies in memory, as does what a step keeps for its gradient.
    refused(spec("", "    linear(60000) -> linear(60000)"), Code::SizeTooLarge);
    let wide = spec("", "    linear(70M)");
    let read = |_: &Path| Ok(wide.clone().into_bytes());
    let loaded = pipeline::load(Path::new("hostile.ms"), &[], &read).expect("its text is right");
    let experiment = loaded.resolve(schema()).expect("its sizes are right");
    let graph = experiment.training_graph().expect("it can be trained");
    let refused = experiment.spec.storable(&pipeline::compile(&graph, None));
    let told = refused.expect_err("its activations are too large").diagnostics;
    let codes: Vec<Code> = told.iter().map(|d| d.code).collect();
    assert_eq!(codes, [Code::SizeTooLarge]);
    let power = "    width = 9^9^9\n    linear(width)";
    let codes: Vec<Code> = said(spec("", power).as_bytes()).iter().map(|d| d.code).collect();
    assert!(
        codes
            .iter()
            .any(|c| matches!(c, Code::SizeTooLarge | Code::SizeNotWhole)),
        "{codes:?}"
    );
}

#[test]
fn enormous_repeats() {
    refused(spec("", "    repeat 1000000000 { relu }"), Code::RepeatCount);
    refused(spec("", "    repeat 1e300 { relu }"), Code::RepeatCount);
    refused(spec("", "    repeat 4096 { repeat 4096 { relu } }"), Code::TooMuchWork);
    refused(
        spec("", "    repeat 4096 { repeat 4096 { repeat 4096 { linear(16) } } }"),
        Code::TooMuchWork,
    );
    refused(
        spec("", "    repeat 4096 { repeat 4096 { repeat 0 { relu } } }"),
        Code::TooMuchWork,
    );
}

#[test]
fn as_many_layers_as_are_allowed() {
    // Each has parameters, initialisers and optimizer states: none of them may be searched for among all others.
    refused(spec("", "    repeat 4096 { linear(16) }"), Code::TooMuchWork);
}

#[test]
fn mistakes_everywhere() {
    let mut unused = String::new();
    for i in 0..10_000 {
        unused += &format!("def q{i}(x[..]) = x -> nothing{i}\n");
    }
    for (text, count) in [
        (spec("", &"    relux\n".repeat(30_000)), 30_000),
        (spec(&unused, "    relux"), 10_001),
    ] {
        let start = Instant::now();
        let said = said(text.as_bytes());
        assert_eq!(said.len(), count);
        assert!(said.iter().count() <= 200, "{} are told", said.iter().count());
        let mut sources = mspec::text::Sources::default();
        sources.add("hostile.ms", text, false);
        let shown = mspec::text::render::text(&said, &sources, false);
        assert!(
            shown.ends_with(" are shown\n") || shown.contains(" are shown, "),
            "{}",
            &shown[shown.len() - 200..]
        );
        assert!(start.elapsed() < MOST_TIME, "took {:?}", start.elapsed());
    }
}

#[test]
fn one_line_of_most_of_a_file() {
    let line = |piece: &str| piece.repeat(60_000);
    refused(
        spec("", &format!("    n = {}", line(&format!("f(){}", " ".repeat(110))))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}{}", " ".repeat(4 << 20), line("f()"))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}{}", "f() ".repeat(60_000), " ".repeat(4 << 20))),
        Code::NestingTooDeep,
    );
}

#[test]
fn definitions_that_double() {
    let mut definitions = "def d0(x[..]) = x + 1\n".to_string();
    for i in 1..=60 {
        definitions += &format!("def d{i}(x[..]) = x -> d{} -> d{}\n", i - 1, i - 1);
    }
    refused(spec(&definitions, "    d60"), Code::TooMuchWork);
}

#[test]
fn arguments_that_double() {
    let mut definitions = "def d0(x[..]) = x + 1\n".to_string();
    for i in 1..=60 {
        definitions += &format!("def d{i}(x[..]) = d{}(x) + d{}(x)\n", i - 1, i - 1);
    }
    refused(spec(&definitions, "    d60"), Code::TooMuchWork);
}

#[test]
fn recursion() {
    refused(spec("def again(x[..]) = x -> again\n", "    again"), Code::Recursion);
    refused(
        spec(
            "def a(x[..]) = x -> b\ndef b(x[..]) = x -> c\ndef c(x[..]) = x -> a\n",
            "    b",
        ),
        Code::Recursion,
    );
    refused(
        spec(
            "init ever(w[..]) = ever\ndef odd(x[.., i]) {\n    param w[i] ~ ever\n    y[.., i] = x[.., i] * w[i]\n}\n",
            "    odd",
        ),
        Code::Recursion,
    );
    // A layer may be an argument: recursion by handing a definition to itself.
    let handed = "def twice(x[..], body: layer) = x -> body -> body\n";
    let call = (0..60).fold("relu".to_string(), |inner, _| format!("twice({inner})"));
    refused(spec(handed, &format!("    {call}")), Code::TooMuchWork);
}

#[test]
fn a_long_chain_of_definitions() {
    let mut definitions = "def d0(x[..]) = x + 1\n".to_string();
    for i in 1..=1000 {
        definitions += &format!("def d{i}(x[..]) = x -> d{}\n", i - 1);
    }
    refused(spec(&definitions, "    d1000"), Code::TooMuchWork);
}

#[test]
fn a_hundred_thousand_of_everything() {
    let many = 100_000;
    refused(spec("", &"{ ".repeat(many)), Code::NestingTooDeep);
    refused(
        spec("", &format!("    n = {}1{}", "(".repeat(99_000), ")".repeat(99_000))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}1", "(".repeat(many))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}1", "[".repeat(many))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}1", "-".repeat(many))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}1", "- ".repeat(many))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}true", "not ".repeat(many))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    relu{}", " -> relu".repeat(99_000))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = 1{}", " + 1".repeat(90_000))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = 1{}", "^1".repeat(90_000))),
        Code::NestingTooDeep,
    );
    refused(
        spec("", &format!("    n = {}1", "if true { ".repeat(60_000))),
        Code::NestingTooDeep,
    );
    refused(spec("", &"    relu\n".repeat(300_000)), Code::TextTooLong);
    refused(spec("", &"    relu relu\n".repeat(60_000)), Code::Syntax);
}

#[test]
fn the_deepest_that_is_allowed_is_resolved() {
    let deep = format!("    n = {}16{}\n    linear(n)", "(".repeat(100), ")".repeat(100));
    assert!(!said(spec("", &deep).as_bytes()).has_errors());
    let long = format!("    n = 1{}\n    linear(n)", " + 1".repeat(200));
    assert!(!said(spec("", &long).as_bytes()).has_errors());
    // Both at once, in the deepest chain of calls.
    let mut definitions = format!("def d0(x[..]) = x{}\n", " + 1".repeat(200));
    for i in 1..=80 {
        definitions += &format!(
            "def d{i}(x[..]) = {}x -> d{}{}\n",
            "(".repeat(100),
            i - 1,
            ")".repeat(100)
        );
    }
    let diagnostics = said(spec(&definitions, "    d80").as_bytes());
    let first: Vec<_> = diagnostics.iter().take(3).map(|d| d.message.clone()).collect();
    assert!(!diagnostics.has_errors(), "{first:?}");
}

#[test]
fn files_that_are_no_spec() {
    refused(vec![b'a'; 100 << 20], Code::TextTooLong);
    refused(vec![0xff; 100 << 20], Code::TextTooLong);
    refused(b"model net {\n    # gr\xf6\xdfe\n}\n", Code::InvalidText);
    refused(vec![0xff; 1 << 20], Code::InvalidText);
    refused(vec![0; 1 << 17], Code::Syntax);
    refused("ü".repeat(1 << 17), Code::Syntax);
    refused(b"", Code::MissingSection);
    refused("\"".repeat(100_000), Code::Syntax);
    refused("# a comment without an end ".repeat(200_000), Code::MissingSection);
}
