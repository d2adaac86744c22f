//! Specs in, resolved programs or diagnostics out.

use super::library::Library;
use super::{Context, Mode, parts, resolve};
use crate::ir::experiment::{Schema, SchemaTensor};
use crate::ir::graph::Element;
use crate::text::{Diagnostics, FileId, Sources, Span};
use crate::{parse, standard};

fn schema() -> Schema {
    let tensor = |name: &str, axes: &[(&str, usize)], element| SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|(l, s)| (l.to_string(), *s)).collect(),
        element,
        bound_name: None,
        category: false,
    };
    Schema {
        tensors: vec![
            tensor("tokens", &[("time", 8)], Element::Id { bound: 11 }),
            tensor("next", &[("time", 8)], Element::Id { bound: 11 }),
            tensor("image", &[("rows", 6), ("columns", 6), ("channels", 1)], Element::Real),
            tensor("label", &[], Element::Id { bound: 3 }),
            tensor("features", &[("columns", 5)], Element::Real),
        ],
        sizes: vec![("vocab".into(), 11), ("classes".into(), 3), ("time".into(), 8)],
        epoch_samples: Some(100),
        ..Schema::default()
    }
}

fn run(text: &str, mode: Mode) -> String {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let id = sources.add("model.ms", text, false);
    let file = parse::parse(id, text, &mut diagnostics);
    let mut files = vec![file];
    for (name, text) in standard::FILES {
        let id = sources.add(*name, *text, true);
        files.push(parse::parse(id, text, &mut diagnostics));
    }
    let all: Vec<_> = files.iter().collect();
    let library = Library::new(&all, &mut diagnostics);
    let end = Span {
        file: FileId(0),
        start: 0,
        end: 0,
    };
    let mut out = String::new();
    if let Some(parts) = parts(&files[0], end, &mut diagnostics) {
        let settings = parts
            .train
            .and_then(|t| super::train::train_settings(t, &mut diagnostics));
        let schema = schema();
        let context = Context {
            sources: &sources,
            library: &library,
            schema: &schema,
            settings: settings.as_ref(),
            batch: 4,
            probe: false,
        };
        let (program, said) = resolve(&parts, &context, mode);
        diagnostics.extend(said);
        if let Some(program) = program {
            out = program.to_string();
            if std::env::var("GRAPH").is_ok() {
                let graph = crate::build::build(&program);
                out += &graph.to_string();
            }
        }
    }
    for d in diagnostics.iter() {
        out += &format!(
            "{} {} at {} [{}]\n",
            d.code,
            d.message,
            sources.place(d.primary.span),
            sources.text(d.primary.span)
        );
        for l in &d.secondary {
            out += &format!(
                "   {} at {} [{}]\n",
                l.text,
                sources.place(l.span),
                sources.text(l.span)
            );
        }
        for h in &d.help {
            out += &format!("   help {h}\n");
        }
    }
    out
}

#[test]
fn scratch() {
    let path = std::env::var("SPEC").unwrap_or("specs/shakespeare-gpt.ms".into());
    let text = std::fs::read_to_string(path).unwrap();
    println!("{}", run(&text, Mode::Training));
}
