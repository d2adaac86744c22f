//! The example specs, shrunk, through every stage: a snapshot of what each stage prints.

use mspec::build;
use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::pipeline::{self, Experiment};
use mspec::resolve::Mode;
use mspec::text::render;
use std::fmt::Write;
use std::path::Path;

/// Resolves a spec of `specs/` with overrides, for data of a fixed shape: no file but the spec is read.
fn experiment(name: &str, overrides: &[(&str, &str)], schema: Schema) -> Experiment {
    let overrides: Vec<_> = overrides.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let read = |path: &Path| std::fs::read(Path::new("specs").join(path)).map_err(|e| e.to_string());
    let spec = pipeline::load(Path::new(name), &overrides, &read)
        .map_err(messages)
        .unwrap();
    spec.resolve(schema).map_err(messages).unwrap()
}

fn messages(failure: pipeline::Failure) -> String {
    render::text(&failure.diagnostics, &failure.sources, false)
}

fn tensor(name: &str, axes: &[(&str, usize)], element: Element) -> SchemaTensor {
    SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|(label, size)| (label.to_string(), *size)).collect(),
        element,
        bound_name: None,
        category: false,
    }
}

fn schema(tensors: Vec<SchemaTensor>, sizes: &[(&str, usize)], epoch_samples: Option<usize>) -> Schema {
    Schema {
        tensors,
        sizes: sizes.iter().map(|(name, size)| (name.to_string(), *size)).collect(),
        epoch_samples,
        batch: None,
    }
}

/// A snapshot of each stage, named by the spec and the stage.
fn stages(name: &str, experiment: &Experiment) {
    let batch = experiment.train.as_ref().map_or(1, |t| t.batch);
    let program = experiment
        .program(Mode::Training, batch)
        .map_err(|_| "no program")
        .unwrap();
    let graph = build::build(&program);
    let gradients = experiment.training_graph().map_err(|_| "no graph").unwrap();
    let compiled = pipeline::compile(&gradients, None);
    let mut params = String::new();
    for param in &program.params {
        writeln!(params, "{} {:?} {:?}", param.path, param.shape, param.initialiser).unwrap();
    }
    let stages = [
        ("0-ast", experiment.spec.file.to_string()),
        ("1-model", program.to_string()),
        ("2-params", params),
        ("3-graph", graph.listing(None)),
        ("4-grad", gradients.listing(None)),
        ("5-kernels", compiled.schedule.to_string()),
        ("6-plan", compiled.plan.to_string()),
    ];
    for (stage, text) in stages {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("{name}-{stage}"), text);
        });
    }
}

#[test]
fn a_language_model() {
    let ids = Element::Id { bound: 5 };
    let time = [("time", 3)];
    let schema = schema(
        vec![tensor("tokens", &time, ids), tensor("next", &time, ids)],
        &[("vocab", 5), ("time", 3)],
        None,
    );
    let small = [
        ("train.batch", "2"),
        ("model.width", "4"),
        ("model.heads", "2"),
        ("model.depth", "1"),
        ("data.window", "3"),
        ("train.steps", "200"),
    ];
    stages("gpt", &experiment("shakespeare-gpt.ms", &small, schema));
}

#[test]
fn images() {
    let image = [("rows", 2), ("columns", 3), ("channels", 1)];
    let schema = schema(
        vec![
            tensor("image", &image, Element::Real),
            tensor("label", &[], Element::Id { bound: 3 }),
        ],
        &[("rows", 2), ("columns", 3), ("channels", 1), ("classes", 3)],
        Some(8),
    );
    stages("mlp", &experiment("fashion-mlp.ms", &[("train.batch", "2")], schema));
}

#[test]
fn a_table() {
    let schema = schema(
        vec![
            tensor("features", &[("columns", 4)], Element::Real),
            tensor("cultivar", &[], Element::Id { bound: 3 }),
        ],
        &[("columns", 4), ("classes", 3)],
        Some(8),
    );
    let small = [("train.batch", "2"), ("model.width", "5")];
    stages("wine", &experiment("wine.ms", &small, schema));
}

/// What two stages print is the same, however often it is asked: no order comes from a hash map.
#[test]
fn stages_are_deterministic() {
    let print = || {
        let schema = schema(
            vec![
                tensor("features", &[("columns", 4)], Element::Real),
                tensor("cultivar", &[], Element::Id { bound: 3 }),
            ],
            &[("columns", 4), ("classes", 3)],
            Some(8),
        );
        let graph = experiment("wine.ms", &[("train.batch", "2")], schema)
            .training_graph()
            .map_err(|_| "no graph")
            .unwrap();
        let compiled = pipeline::compile(&graph, None);
        format!("{}{}{}", graph.listing(None), compiled.schedule, compiled.plan)
    };
    let first = print();
    for _ in 0..3 {
        assert!(print() == first, "two runs of the compiler print different stages");
    }
}
