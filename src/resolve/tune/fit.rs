//! Whether a `tune` section fits the sections that it varies.

use crate::ir::experiment::{DataSettings, Interval, Source, TrainSettings};
use crate::ir::model::MetricDeclaration;
use crate::ir::tune::{Budget, Halving, TuneSettings};
use crate::resolve::data::FOLDED;
use crate::resolve::library::Library;
use crate::resolve::watch::unwatchable;
use crate::text::{Code, Diagnostic, Diagnostics};

/// What the other sections say, as far as it concerns `tune`.
pub struct Others<'a> {
    /// The data section.
    pub data: &'a DataSettings,
    /// The train section.
    pub train: &'a TrainSettings,
    /// What a run reports.
    pub metrics: &'a [MetricDeclaration],
    /// Whether it also reports what running means of its weights give.
    pub averaged: bool,
    /// All definitions.
    pub library: &'a Library<'a>,
}

/// Reports what does not fit the other sections.
pub fn fit(tune: &TuneSettings, others: &Others<'_>, diagnostics: &mut Diagnostics) {
    let watched = unwatchable(
        &tune.best,
        others.metrics,
        others.averaged,
        others.library,
        "tell which setting is best",
    );
    watched.into_iter().for_each(|diagnostic| diagnostics.push(diagnostic));
    if let Some(halving) = &tune.halving
        && share(halving, others.train).is_none()
    {
        let message = match others.train.duration {
            Interval::Steps(steps) => format!("expected a share of the run, as `10%`, or fewer than its {steps} steps"),
            Interval::Epochs(epochs) => {
                format!("expected a share of the run, as `10%`, or fewer than its {epochs} epochs")
            }
            Interval::Tokens(tokens) => {
                format!("expected a share of the run, as `10%`, or fewer than its {tokens} tokens")
            }
        };
        diagnostics.push(Diagnostic::new(Code::WrongSetting, halving.span, message));
    }
    let Some(folds) = &tune.folds else {
        if others.data.split.validation == 0.0 && others.data.split.fold.is_none() && !may_have_own(others.data) {
            let message = "there is no validation part to compare settings by";
            let help = "give it a share in `split`, as `split train 80%, validation 20%`, or write `folds 5` in `tune`";
            diagnostics.push(Diagnostic::new(Code::MissingSetting, tune.span, message).help(help));
        }
        return;
    };
    if let Source::Text { .. } = &others.data.source {
        let message = "a text has no folds: what is trained on would overlap what is evaluated";
        let help = format!(
            "leave `folds` out, and the validation part behind the training part decides; folds are for `{}`",
            FOLDED.join("`, `")
        );
        diagnostics.push(Diagnostic::new(Code::WrongSetting, folds.span, message).help(help));
    } else if let Some(fold) = &others.data.split.fold {
        let message = "the data are one fold already, so `tune` can't go through all of them";
        let diagnostic = Diagnostic::new(Code::DuplicateSetting, folds.span, message);
        diagnostics.push(diagnostic.note(fold.span, "this fold").help("remove one of the two"));
    }
}

/// Folders of pictures may have a validation part of their own.
fn may_have_own(data: &DataSettings) -> bool {
    matches!(data.source, Source::Images(_))
}

/// The least share of a run that decides; none if that is not less than the whole, or in another unit.
pub fn share(halving: &Halving, train: &TrainSettings) -> Option<f64> {
    let share = match (halving.from, train.duration) {
        (Budget::Share(share), _) => share,
        (Budget::Length(Interval::Steps(from)), Interval::Steps(all))
        | (Budget::Length(Interval::Tokens(from)), Interval::Tokens(all)) => from as f64 / all as f64,
        (Budget::Length(Interval::Epochs(from)), Interval::Epochs(all)) => from / all,
        _ => return None,
    };
    (share < 1.0).then_some(share)
}
