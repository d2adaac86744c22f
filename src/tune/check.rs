//! Trials → every mistake that one of them would make of the spec, before anything is trained: told at the value inside
//! the `tune` section where that is the cause.

use super::plan::{Plan, first_fold};
use super::trials::Trial;
use crate::ir::tune::Folds;
use crate::overrides::Value;
use crate::pipeline::{Failure, Spec};
use crate::text::{Diagnostic, Diagnostics, Severity};

/// The spec as a trial's first training has it.
fn with_fold(spec: &Spec, trial: &Trial, folds: Option<&Folds>) -> Result<Spec, Failure> {
    let fold = folds.map(first_fold);
    let values = trial.values.iter().map(|v| (v.path.as_str(), &v.value));
    let changes: Vec<(&str, &Value)> = values.chain(fold.as_ref().map(|f| ("data.fold", f))).collect();
    spec.changed(changes)
}

/// Looks at every trial, as `examine` does at its spec; all mistakes are collected. What is wrong with files, and not with
/// the spec, ends it at once.
pub fn check<E: From<Failure>>(
    spec: &Spec,
    plan: &Plan,
    examine: &mut dyn FnMut(&Trial, Spec) -> Result<Result<(), Failure>, E>,
) -> Result<(), E> {
    let mut said = Diagnostics::default();
    let mut sources = spec.sources.clone();
    let same =
        |a: &Diagnostic, b: &Diagnostic| (a.code, a.primary.span, &a.message) == (b.code, b.primary.span, &b.message);
    for trial in &plan.trials {
        let changed = match with_fold(spec, trial, plan.folds.as_ref()) {
            Ok(changed) => examine(trial, changed)?,
            Err(failure) => Err(failure),
        };
        let Err(failure) = changed else { continue };
        let errors = failure.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        for diagnostic in errors {
            if said.iter().any(|earlier| same(earlier, diagnostic)) {
                continue;
            }
            let words = trial.words();
            let help = format!("`tune` tries it, as trial {} with {words}", trial.number);
            said.push(match words.is_empty() {
                true => diagnostic.clone(),
                false => diagnostic.clone().help(help),
            });
        }
        // A fold's own text is the last one, if there is one.
        sources = failure.sources;
    }
    match said.is_empty() {
        true => Ok(()),
        false => Err(E::from(Failure {
            sources,
            diagnostics: said,
        })),
    }
}
