//! Every example of `grammar/REFERENCE.md` is compiled.
//!
//! A block is a list of items if its first word is one of the top level, else the body of a model. Sections that it
//! lacks are those of the first block; where its data are images or a table, small ones that fit.

use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::pipeline;
use mspec::text::render;
use mspec::tune::{self, Plan};
use std::path::Path;

const ITEMS: [&str; 11] = [
    "data",
    "tune",
    "model",
    "train",
    "def",
    "loss",
    "metric",
    "optimizer",
    "schedule",
    "init",
    "import",
];

/// The fenced blocks of a text and the lines that they start at.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = vec![];
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.starts_with("```")) {
            (None, true) => open = Some((number + 2, String::new())),
            (Some(_), true) => blocks.extend(open.take()),
            (Some((_, block)), false) => *block += &format!("{line}\n"),
            (None, false) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn has(block: &str, word: &str) -> bool {
    block.lines().any(|line| line.starts_with(&format!("{word} ")))
}

/// The top-level item of a word in a block, from its line to its closing brace.
fn item<'t>(block: &'t str, word: &str) -> &'t str {
    let start = block.find(&format!("{word} ")).unwrap();
    let end = block[start..].find("\n}\n").unwrap();
    &block[start..start + end + 3]
}

/// A whole spec around a block.
fn whole(block: &str, first: &str) -> String {
    let first_word = block.split_whitespace().next().unwrap();
    if !ITEMS.contains(&first_word) {
        let (data, train) = (item(first, "data"), item(first, "train"));
        return format!("model net {{\n{block}}}\n{data}{train}");
    }
    let mut spec = block.to_string();
    let images = block.lines().any(|line| line.trim_start().starts_with("images "));
    let loss = if images {
        "cross_entropy(label)"
    } else {
        "cross_entropy(next)"
    };
    for word in ["data", "model"] {
        if !has(block, word) {
            spec += item(first, word);
        }
    }
    if !has(block, "train") {
        spec += &item(first, "train").replace("cross_entropy(next)", loss);
    }
    spec
}

/// What the examples' data give.
fn schema(spec: &str) -> Schema {
    let tensor = |name: &str, axes: &[(&str, usize)], element| SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|(label, size)| (label.to_string(), *size)).collect(),
        element,
        bound_name: None,
        category: false,
    };
    let id = |bound| Element::Id { bound };
    let source = |word: &str| spec.lines().any(|line| line.trim_start().starts_with(word));
    let (tensors, sizes): (Vec<_>, &[(&str, usize)]) = if source("images ") {
        let image = [("rows", 8), ("columns", 8), ("channels", 1)];
        (
            vec![
                tensor("image", &image, Element::Real),
                tensor("label", &[], id(10)),
                tensor("second_label", &[], id(10)),
                tensor("share", &[], Element::Real),
            ],
            &[("rows", 8), ("columns", 8), ("channels", 1), ("classes", 10)],
        )
    } else if source("csv ") {
        (
            vec![
                tensor("features", &[("columns", 4)], Element::Real),
                tensor("colour", &[], id(5)),
                tensor("kind", &[], id(3)),
            ],
            &[("columns", 4), ("classes", 3)],
        )
    } else {
        let time = [("time", 64)];
        (
            vec![tensor("tokens", &time, id(65)), tensor("next", &time, id(65))],
            &[("vocab", 65), ("time", 64)],
        )
    };
    let text = source("text ");
    Schema {
        tensors,
        sizes: sizes.iter().map(|(name, size)| (name.to_string(), *size)).collect(),
        epoch_samples: (!text).then_some(100),
        ..Schema::default()
    }
}

/// What is said about a whole spec, from its text to its kernels; nothing if it has no mistake.
fn said(spec: &str) -> String {
    let read = |_: &Path| Ok(spec.as_bytes().to_vec());
    let compiled = pipeline::load(Path::new("example.ms"), &[], &read)
        .and_then(|loaded| loaded.resolve(schema(spec)))
        .and_then(|experiment| {
            let graph = experiment.training_graph()?;
            pipeline::compile(&graph, None);
            if experiment.train.is_some() {
                experiment.evaluation(4)?;
            }
            if let Some(plan) = Plan::of(&experiment)? {
                tune::check(&experiment.spec, &plan, &mut |_, changed| {
                    Ok::<_, pipeline::Failure>(changed.resolve(schema(spec)).map(|_| ()))
                })?;
            }
            Ok((experiment.lint()?, experiment.spec.sources))
        });
    let (said, sources) = match compiled {
        Ok(said) => said,
        Err(failure) => (failure.diagnostics, failure.sources),
    };
    render::text(&said, &sources, false)
}

#[test]
fn every_example_compiles_without_a_word() {
    let reference = std::fs::read_to_string("grammar/REFERENCE.md").unwrap();
    let blocks = blocks(&reference);
    assert!(blocks.len() > 8, "{} examples", blocks.len());
    let mut wrong = String::new();
    for (line, block) in &blocks {
        let said = said(&whole(block, &blocks[0].1));
        if !said.is_empty() {
            wrong += &format!("REFERENCE.md, line {line}:\n{said}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_readme_shows_what_is_there() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let blocks = blocks(&readme);
    let block = |start: &str| &blocks.iter().find(|b| b.1.starts_with(start)).unwrap().1;
    let spec = block("data {");
    assert_eq!(said(spec), "");
    assert_eq!(said(&format!("{}{spec}", block("def layer_norm("))), "");
    let tuned = std::fs::read_to_string("specs/wine-tune.ms").unwrap();
    assert!(
        tuned.ends_with(block("tune {").as_str()),
        "the section of specs/wine-tune.ms"
    );
    // The mistake is the spec's with five heads.
    assert!(spec.contains("heads = 4\n"));
    let mistake = said(&spec.replace("heads = 4\n", "heads = 5\n"));
    assert_eq!(mistake.lines().next(), block("error").lines().next(), "{mistake}");
    // What the first command trains has no mistake, and every command is in the table.
    let command = block("cargo run").lines().next().unwrap();
    let arguments = command.split("-- train ").nth(1).unwrap().split('#').next().unwrap();
    let mspec = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mspec"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    mspec(&[&["check"], &arguments.split_whitespace().collect::<Vec<_>>()[..]].concat());
    let help = mspec(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names.iter().filter(|n| **n != "help") {
        assert!(
            readme.contains(&format!("| `mspec {name}")),
            "the README does not tell of `{name}`"
        );
    }
}

#[test]
fn every_limit_is_the_compilers() {
    use mspec::parse::limits as text;
    use mspec::resolve::limits as sizes;
    let reference = std::fs::read_to_string("grammar/REFERENCE.md").unwrap();
    let limits = reference.split("## Limits").nth(1).unwrap();
    let grouped = |n: usize| {
        let digits = n.to_string();
        if n < 10_000 {
            digits
        } else {
            format!("{} {}", &digits[..digits.len() - 3], &digits[digits.len() - 3..])
        }
    };
    for expected in [
        format!("{} MB", text::FILE_BYTES >> 20),
        format!("{} words", grouped(text::TOKENS)),
        format!("number {} characters", text::WORD_BYTES),
        format!("| {}; an expression's tree {} deep", text::NESTING, text::DEPTH),
        format!("1 to 2^{}", sizes::AXIS.ilog2()),
        format!("2^{} elements", sizes::ELEMENTS.ilog2()),
        format!("0 to {}", sizes::REPEAT),
        format!("| {} |", sizes::CALL_DEPTH),
        grouped(sizes::WORK),
    ] {
        assert!(limits.contains(&expected), "the limits don't say `{expected}`");
    }
}
