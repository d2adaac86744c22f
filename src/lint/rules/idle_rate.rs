//! A rate that is 0 long before the run ends: what follows changes nothing.

use super::super::update::Rates;
use super::super::{Rule, Subject};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::ScheduleLength,
    check,
};

/// Rates below this share of the greatest are as good as 0.
const NOTHING: f64 = 1e-8;
/// The share of the run that may go by with such a rate: decays come close to 0 just before they end.
const SHARE: f64 = 0.05;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let (Some(run), Some(rate)) = (&subject.run, &subject.program.rate) else {
        return;
    };
    let rates = Rates::of(rate, run);
    if rates.peak <= 0.0 {
        let message = "the rate is 0 at every step, so nothing is learned";
        said.push(Diagnostic::new(RULE.code, run.place("optimizer"), message));
        return;
    }
    // Of an infinite one another rule tells.
    if rates.peak.is_infinite() {
        return;
    }
    let last = rates.samples.iter().rev().find(|s| s.1 > NOTHING * rates.peak);
    let last = last.map_or(0, |s| s.0);
    if ((run.steps - last.min(run.steps)) as f64) < (SHARE * run.steps as f64).max(2.0) {
        return;
    }
    let message = format!(
        "the rate is 0 from about step {} on, but the run has {}",
        last + 1,
        run.steps
    );
    let help = "let the schedule last as long as the run, give it a floor, or train shorter";
    said.push(Diagnostic::new(RULE.code, run.place("schedule"), message).help(help));
}
