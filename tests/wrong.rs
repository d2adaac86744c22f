//! Wrong specs in, what the user reads out: one spec for each mistake, one snapshot for each spec.

use mspec::data;
use mspec::pipeline::{self, Experiment, Failure};
use mspec::text::{Code, render};
use mspec::tune::{self, Plan};
use std::path::Path;

/// Codes that no file of a reasonable size causes; `hostile.rs` makes one.
const ELSEWHERE: &[Code] = &[Code::TextTooLong];

#[test]
fn each_wrong_spec_is_explained() {
    insta::glob!("wrong/*.ms", |path| {
        let spec = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = check(name);
        insta::with_settings!({
            description => String::from_utf8_lossy(&spec),
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!(said) });
    });
}

#[test]
fn every_code_has_a_wrong_spec() {
    let mut said = String::new();
    for entry in std::fs::read_dir("tests/snapshots").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // What is not wrong but suspicious stands in `tests/lint`.
        if name.starts_with("each_wrong_spec_is_explained@") || name.starts_with("each_warning_is_told@") {
            said += &std::fs::read_to_string(path).unwrap();
        }
    }
    let missing: Vec<String> = Code::ALL
        .iter()
        .filter(|code| !ELSEWHERE.contains(code) && !said.contains(&format!("[{code}]")))
        .map(|code| format!("{code} {}", code.title()))
        .collect();
    assert!(
        missing.is_empty(),
        "no spec in tests/wrong or tests/lint causes {missing:#?}"
    );
}

/// What the lines `# --set PATH=VALUE` of a spec ask for.
fn overrides(spec: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(spec);
    let given = text
        .lines()
        .filter_map(|line| line.strip_prefix("# --set ")?.split_once('='));
    given.map(|(path, value)| (path.into(), value.into())).collect()
}

/// Everything that is said about a spec of `tests/wrong`, from its text to its training graph.
fn check(name: &str) -> String {
    let directory = Path::new("tests/wrong");
    let set = overrides(&std::fs::read(directory.join(name)).unwrap());
    let read = |path: &Path| std::fs::read(directory.join(path)).map_err(|_| "there is no such file".to_string());
    let spec = match pipeline::load(Path::new(name), &set, &read) {
        Ok(spec) => spec,
        Err(failure) => return told(&failure),
    };
    let settings = match spec.data() {
        Ok(settings) => settings,
        Err(failure) => return told(&failure),
    };
    let sources = spec.sources.clone();
    let dataset = match data::open(&settings, directory) {
        Ok(dataset) => dataset,
        // What the data lack has no code: the file is to blame, not the spec.
        Err(error) => {
            return format!(
                "error: {error}\n --> {}\n{}",
                sources.place(error.span),
                error.help.join("\n")
            );
        }
    };
    let tried = spec.resolve(dataset.schema().clone()).and_then(|experiment| {
        try_settings(&experiment, directory)?;
        Ok(experiment)
    });
    match tried {
        Ok(experiment) => told(&Failure {
            sources,
            diagnostics: experiment.warnings,
        }),
        Err(failure) => told(&failure),
    }
}

/// Looks at what `tune` tries, if the spec has it.
fn try_settings(experiment: &Experiment, directory: &Path) -> Result<(), Failure> {
    let Some(plan) = Plan::of(experiment)? else {
        return Ok(());
    };
    tune::check(&experiment.spec, &plan, &mut |_, changed| {
        let settings = match changed.data() {
            Ok(settings) => settings,
            Err(failure) => return Ok::<_, Failure>(Err(failure)),
        };
        let schema = data::open(&settings, directory).unwrap().schema().clone();
        Ok(changed.resolve(schema).map(|_| ()))
    })
}

fn told(failure: &Failure) -> String {
    without_library_lines(&render::text(&failure.diagnostics, &failure.sources, false))
}

/// The text with the digits of the library's line numbers as `L`, so that a definition may move in its file.
fn without_library_lines(text: &str) -> String {
    let mut in_library = false;
    let hide = |s: &str| s.replace(|c: char| c.is_ascii_digit(), "L");
    let lines = text.lines().map(|line| {
        if line.contains("--> ") || line.contains("::: ") {
            in_library = line.contains("> std/") || line.contains(": std/");
        }
        match (in_library, line.split_once(".ms:"), line.split_once('|')) {
            (true, Some((file, place)), _) => format!("{file}.ms:{}", hide(place)),
            (true, None, Some((gutter, source))) => format!("{}|{source}", hide(gutter)),
            _ => line.to_string(),
        }
    });
    lines.map(|line| line + "\n").collect()
}
