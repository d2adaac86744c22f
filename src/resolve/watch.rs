//! What decides over a training: when `early_stop` ends it, or which of many `tune` takes for the best.

use super::Context;
use super::elaborator::{Checked, Elaborator};
use super::library::Library;
use crate::ir::ast::Section;
use crate::ir::model::MetricDeclaration;
use crate::ir::tune::Watched;
use crate::text::{Code, Diagnostic, suggest};

/// Early stopping watches the loss or a metric of the run.
pub(super) fn early_stop<'a>(
    e: &mut Elaborator<'a>,
    train: &'a Section,
    context: &Context<'_>,
    metrics: &[MetricDeclaration],
) -> Checked<()> {
    let watched = context.settings.and_then(|s| s.early_stop.as_ref());
    let (Some(early_stop), Some(line)) = (watched, Elaborator::lines(train, "early_stop").next()) else {
        return Ok(());
    };
    let first = line.groups.first().and_then(|g| g.first());
    let watched = Watched {
        name: early_stop.metric.clone(),
        span: first.map_or(line.span, |item| item.span),
    };
    let lines = Elaborator::lines(train, "metric").count();
    // What a wrong line would have declared may be what is watched.
    if lines > metrics.len() && !metrics.iter().any(|m| m.name == watched.name) {
        return Ok(());
    }
    let averaged = Elaborator::lines(train, "ema").next().is_some();
    match unwatchable(&watched, metrics, averaged, e.library, "tell when to stop") {
        Some(diagnostic) => e.wrong(diagnostic),
        None => Ok(()),
    }
}

/// Why a number can't decide: it must be the loss or a metric of the run, one number of which it is known what is better.
pub(super) fn unwatchable(
    watched: &Watched,
    metrics: &[MetricDeclaration],
    averaged: bool,
    library: &Library<'_>,
    aim: &str,
) -> Option<Diagnostic> {
    let place = watched.span;
    let watched = match watched.name.strip_prefix("ema_") {
        Some(plain) if averaged => plain,
        _ => &watched.name,
    };
    match metrics.iter().find(|m| m.name == watched) {
        Some(metric) if !metric.shape.is_empty() => {
            let message = format!("`{watched}` is no single number, so it can't {aim}");
            return Some(Diagnostic::new(Code::WrongSetting, place, message));
        }
        Some(metric) if metric.better.is_none() => {
            let message = format!("nothing tells whether higher or lower values of `{watched}` are better");
            let help = "define it as a `loss` (lower is better) or as a `metric` (higher is better)";
            return Some(Diagnostic::new(Code::WrongSetting, place, message).help(help));
        }
        Some(_) => return None,
        None if watched == "loss" => return None,
        None => {}
    }
    let numbers = metrics.iter().filter(|m| m.shape.is_empty()).map(|m| m.name.as_str());
    let known: Vec<&str> = std::iter::once("loss").chain(numbers).collect();
    let message = format!("this run has no metric `{watched}`");
    let mut diagnostic = Diagnostic::new(Code::UnknownName, place, message);
    diagnostic = match suggest::did_you_mean(watched, known.iter().copied()) {
        Some(help) => diagnostic.help(help),
        None => diagnostic.help(format!("it watches one of {}", known.join(", "))),
    };
    if library.kind(watched).is_some() {
        diagnostic = diagnostic.help(format!("or let the run report it, as `metric {watched}(…)`"));
    }
    Some(diagnostic)
}
