//! Softmax or sigmoid in front of a loss that applies its own: cross-entropies take logits.

use super::super::{Rule, Subject, structure};
use crate::ir::graph::{MapFunction, NodeId};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::NormalisedTwice,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    for softmax in softmaxes(subject) {
        let logits = subject.fact(softmax.logits);
        let normalised = logits.normalised.as_ref().filter(|n| n.axes == softmax.axes);
        let (message, help) = match normalised {
            Some(n) if n.logarithms => (
                "these are logarithms of probabilities already: the loss's own softmax changes nothing",
                "give the loss what comes before, or take a loss of log-probabilities, as `nll`",
            ),
            Some(_) => (
                "these are probabilities already, but the loss takes their softmax again",
                "leave the softmax out at the model's end: the loss has its own",
            ),
            None if logits.trained && subject.fact(softmax.scaled).range.is_within(-1.0, 1.0) => (
                "these stay within -1 and 1, but the loss takes them as logits, which may be of any size",
                "let the model end with a linear layer: the loss applies its own softmax",
            ),
            None => continue,
        };
        tell(subject, said, softmax.logits, softmax.at, message, help);
    }
    for at in subject.needed().filter(|&id| subject.in_loss(id)) {
        let Some(argument) = structure::logistic(subject.graph, at) else {
            continue;
        };
        let logit = structure::unsigned(subject.graph, argument, &|id| !subject.in_loss(id));
        let fact = subject.fact(logit);
        if fact.trained && fact.range.is_within(-1.0, 1.0) {
            let message = "these stay within -1 and 1, but the loss takes them as logits, which may be of any size";
            let help = "let the model end with a linear layer: the loss applies its own sigmoid";
            tell(subject, said, logit, at, message, help);
        }
    }
}

fn tell(subject: &Subject<'_>, said: &mut Diagnostics, logits: NodeId, at: NodeId, message: &str, help: &str) {
    let made = structure::behind_views(subject.graph, logits);
    let diagnostic = Diagnostic::new(RULE.code, subject.place(made), message).label("made here");
    said.push(diagnostic.note(subject.place(at), "the loss").help(help));
}

/// A softmax that a loss takes.
pub struct Softmax {
    /// Of these, but for a temperature.
    pub logits: NodeId,
    /// With the temperature.
    pub scaled: NodeId,
    /// Along these axes.
    pub axes: Vec<usize>,
    /// Where.
    pub at: NodeId,
}

/// Every softmax, or logarithm of one, in the loss: sums of exponentials that are divided by, or whose logarithm is taken.
pub fn softmaxes(subject: &Subject<'_>) -> Vec<Softmax> {
    let graph = subject.graph;
    let mut found: Vec<Softmax> = vec![];
    for sum in subject.needed().filter(|&id| subject.in_loss(id)) {
        let Some((of, axes)) = structure::summed(graph, sum) else {
            continue;
        };
        let Some([argument]) = structure::operands_of(graph, of, MapFunction::Exponential) else {
            continue;
        };
        let divides = |&id: &NodeId| structure::operands_of(graph, id, MapFunction::Divide).is_some_and(|o| o[0] == of);
        let logarithm = |&id: &NodeId| structure::operands_of(graph, id, MapFunction::Logarithm).is_some();
        let mut users = subject.users_behind_views(sum);
        // `max(sum, 1e-30)` stands between.
        let guards: Vec<NodeId> = users.iter().flat_map(|&u| subject.users_behind_views(u)).collect();
        users.extend(guards);
        if users.iter().any(divides) || users.iter().any(logarithm) {
            let ends = |id: NodeId| !subject.in_loss(id) || subject.fact(id).normalised.is_some();
            let scaled = structure::unshifted(graph, *argument, &axes, &ends);
            let logits = structure::unscaled(graph, scaled, &axes, &ends);
            found.push(Softmax {
                logits,
                scaled,
                axes,
                at: sum,
            });
        }
    }
    found
}
