//! A learning rate far beyond what its optimizer takes. Optimizers are tried out: those that divide by the gradient's size
//! move a parameter by the rate itself, the others by the rate times the gradient.

use super::super::update::{Trial, tried_step};
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
/// The greatest factor of a gradient.
const FACTOR_MAX: f64 = 5.0;
/// Gradients that are tried: small, so that clipping leaves them alone.
const SMALL: f64 = 1e-6;
const LARGER: f64 = 1e-5;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
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
    let pull = trial.settled(0.0, 0.0, step)?.abs();
    let small = (trial.settled(0.0, SMALL, step)?.abs() - pull).abs();
    let larger = (trial.settled(0.0, LARGER, step)?.abs() - pull).abs();
    let growth = larger / small;
    if growth < 2.0 && larger > MOVE_MAX {
        return Some(format!(
            "each update moves a parameter by about {}, whatever the size of its gradient",
            rounded(larger)
        ));
    }
    let factor = (trial.first(0.0, LARGER, step)? / LARGER).abs();
    let proportional = (5.0..20.0).contains(&growth);
    (proportional && factor > FACTOR_MAX).then(|| {
        format!(
            "each update moves a parameter by {} times its gradient",
            rounded(factor)
        )
    })
}
