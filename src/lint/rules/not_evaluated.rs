//! A validation part that the spec asks for and that is looked at once, behind the last step: over-fitting stays unseen.

use super::super::{Rule, Subject};
use crate::ir::experiment::Interval;
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::NotEvaluated,
    check,
};

/// Shorter runs are over before a curve would show anything.
const SHORT: u64 = 100;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
    let asked = subject.data.split.validation > 0.0 && subject.data_line("split").is_some();
    let epochs = matches!(run.settings.duration, Interval::Epochs(epochs) if epochs > 1.0);
    if !asked || run.settings.evaluate_every.is_some() || (run.steps <= SHORT && !epochs) {
        return;
    }
    let message = "the validation part is evaluated only once, behind the last step";
    let help = match run.steps_per_epoch {
        Some(_) => "add `evaluate every epoch` to `train`: then the run tells how it fits".to_string(),
        None => format!(
            "add `evaluate every {} steps` to `train`: then the run tells how it fits",
            (run.steps / 10).max(1)
        ),
    };
    said.push(Diagnostic::new(RULE.code, subject.data.split.span, message).help(help));
}
