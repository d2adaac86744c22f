//! A learning rate far beyond what its optimizer takes. Optimizers are tried out: those that divide by the gradient's size
//! move a parameter by the rate itself, the others by the rate times the gradient.

use super::super::update::{Rates, Trial, tried_step};
use super::super::{Rule, Subject};
use super::unreachable_target::rounded;
use crate::ir::graph::{OutputKind, ParamId};
use crate::text::{Code, Diagnostic, Diagnostics, Span};

pub const RULE: Rule = Rule {
    code: Code::LearningRate,
    check,
};

/// Parameters are mostly below 1: a step of this size throws them about.
const MOVE_MAX: f64 = 0.15;
/// The greatest factor of a gradient: large batches are trained with rates of 3, and Nesterov's momentum doubles them.
const FACTOR_MAX: f64 = 8.0;
/// Gradients that are tried: small, so that clipping leaves them alone.
const SMALL: f64 = 1e-6;
const LARGER: f64 = 1e-5;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
    let rates = subject.program.rate.as_ref().map(|rate| Rates::of(rate, run));
    if rates.is_some_and(|rates| rates.peak.is_infinite()) {
        let place = run.update_place(run.section.name.span);
        let message = "the rate is infinite: after one update no parameter is a number";
        said.push(Diagnostic::new(RULE.code, place, message).help("say a number, as `lr = 1e-3`"));
        return;
    }
    let step = tried_step(subject, run);
    let mut tried: Vec<Span> = vec![];
    for (at, param) in subject.program.params.iter().enumerate().filter(|(_, p)| !p.frozen) {
        let param_id = ParamId(at as u32);
        let Some(update) = subject.graph.output(&OutputKind::ParamUpdate(param_id)) else {
            continue;
        };
        let place = run.update_place(subject.place(update));
        if tried.contains(&place) || param.shape.is_empty() {
            continue;
        }
        tried.push(place);
        let Some(trial) = Trial::of(subject, run, param_id) else {
            continue;
        };
        if let Some(message) = judge(&trial, step) {
            let help = "adaptive optimizers take rates from 1e-5 to 1e-2, plain gradient descent from 1e-3 to 1";
            said.push(Diagnostic::new(RULE.code, place, message).help(help));
        }
    }
}

fn judge(trial: &Trial<'_>, step: u64) -> Option<String> {
    // A rate that goes by the parameter's size, as that of LARS, is another at 0 than where parameters are.
    match (tried(trial, 0.0, step)?, tried(trial, 1.0, step)) {
        (_, Some(None)) => None,
        (message, _) => message,
    }
}

/// What is wrong with the rate at a value of the parameter; `None` where nothing can be told.
fn tried(trial: &Trial<'_>, value: f64, step: u64) -> Option<Option<String>> {
    let pull = trial.settled(value, 0.0, step)?;
    let small = (trial.settled(value, SMALL, step)? - pull).abs();
    let larger = (trial.settled(value, LARGER, step)? - pull).abs();
    let growth = larger / small;
    // Where decay hides the gradient, what is left is rounding.
    let hidden = larger <= 1e-9 * pull.abs();
    if hidden || growth.is_nan() || (2.0..5.0).contains(&growth) {
        return None;
    }
    if growth < 2.0 {
        let message = || {
            format!(
                "each update moves a parameter by about {}, whatever the size of its gradient",
                rounded(larger)
            )
        };
        return Some((larger > MOVE_MAX).then(message));
    }
    let factor = (trial.first(value, LARGER, step)? - trial.first(value, 0.0, step)?).abs() / LARGER;
    let message = || {
        format!(
            "each update moves a parameter by {} times its gradient",
            rounded(factor)
        )
    };
    Some((factor > FACTOR_MAX).then(message))
}
