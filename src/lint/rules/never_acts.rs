//! A setting that this run is too short for.

use super::super::{Rule, Run, Subject};
use crate::ir::experiment::Interval;
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::NeverActs,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
    let in_steps = |interval: Interval| steps(interval, run, subject.schema.tokens());
    let Some(every) = run.settings.evaluate_every.map(in_steps) else {
        return;
    };
    if every > run.steps {
        let message = format!(
            "there is no evaluation before step {every}, but the run has {} steps",
            run.steps
        );
        let help = "what is not evaluated while it trains is evaluated at its end";
        said.push(Diagnostic::new(RULE.code, run.place("evaluate"), message).help(help));
        return;
    }
    let Some(stop) = &run.settings.early_stop else { return };
    let evaluations = run.steps / every.max(1);
    if u64::from(stop.patience) >= evaluations {
        let message = format!(
            "this run has {evaluations} evaluations, so a patience of {} never runs out",
            stop.patience
        );
        let help = "evaluate more often, be less patient, or train longer";
        said.push(Diagnostic::new(RULE.code, run.place("early_stop"), message).help(help));
    }
}

fn steps(interval: Interval, run: &Run<'_>, tokens: usize) -> u64 {
    match interval {
        Interval::Steps(steps) => steps,
        Interval::Epochs(epochs) => (epochs * run.steps_per_epoch.unwrap_or(1) as f64).round() as u64,
        Interval::Tokens(count) => count.div_ceil((run.settings.batch * tokens).max(1) as u64),
    }
}
