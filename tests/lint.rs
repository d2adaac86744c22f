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
