//! Trials → every mistake that one of them would make of the spec, before anything is trained: told at the value inside
//! the `tune` section where that is the cause.

use super::plan::{Plan, first_fold};
use super::trials::Trial;
use crate::ir::tune::Folds;
use crate::overrides::Value;
use crate::pipeline::{Failure, Spec};
use crate::text::{Diagnostic, Diagnostics, Severity, Span};

/// The spec as a trial's first training has it.
fn with_fold(spec: &Spec, trial: &Trial, folds: Option<&Folds>) -> Result<Spec, Failure> {
    let fold = folds.map(first_fold);
    let values = trial.values.iter().map(|v| (v.path.as_str(), &v.value));
    let changes: Vec<(&str, &Value)> = values.chain(fold.as_ref().map(|f| ("data.fold", f))).collect();
    spec.changed(changes)
}

/// Mistakes of a trial's spec, or what is wrong with its files.
pub type Examined<E> = Result<Result<(), Failure>, E>;

/// Looks at every trial, as `examine` does at its spec; all mistakes are collected. What is wrong with files, and not with
/// the spec, ends it at once.
pub fn check<E: From<Failure>>(
    spec: &Spec,
    plan: &Plan,
    examine: &mut dyn FnMut(&Trial, Spec) -> Examined<E>,
) -> Result<(), E> {
    let mut said = Diagnostics::default();
    // What is wrong with one drawn number is wrong with many: its place tells mistakes apart, not the number.
    let places = |d: &Diagnostic| {
        let labels: Vec<Span> = d.secondary.iter().map(|label| label.span).collect();
        (d.code, d.primary.span, labels)
    };
    for trial in &plan.trials {
        let (changed, help) = match with_fold(spec, trial, plan.folds.as_ref()) {
            Ok(changed) => (examine(trial, changed)?, trial.help()),
            // A path that leads nowhere does so whatever the values are.
            Err(failure) => (Err(failure), None),
        };
        let Err(failure) = changed else { continue };
        let errors = failure.diagnostics.iter();
        for diagnostic in errors.filter(|d| d.severity == Severity::Error) {
            if !said.iter().any(|earlier| places(earlier) == places(diagnostic)) {
                let mut diagnostic = diagnostic.clone();
                diagnostic.help.extend(help.clone());
                said.push(diagnostic);
            }
        }
    }
    match said.is_empty() {
        true => Ok(()),
        false => Err(E::from(Failure {
            sources: spec.sources.clone(),
            diagnostics: said,
        })),
    }
}
