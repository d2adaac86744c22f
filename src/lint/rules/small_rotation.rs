//! Rotary positions on heads of so few features that there are hardly any angles (Su et al. 2021).

use super::super::{Rule, Subject, structure};
use crate::ir::graph::{MapFunction, NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::SmallRotation,
    check,
};

/// Features that a turned head has at least.
const FEATURES: usize = 8;
/// How far behind a factor its cosine or sine may stand.
const DEPTH: usize = 6;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    for id in subject.needed().filter(|&id| !subject.in_loss(id)) {
        let Some(&features) = subject.graph.node(id).shape.last() else {
            continue;
        };
        if features < FEATURES && turns(subject, id) {
            let angles = match features / 2 {
                1 => "a single angle".to_string(),
                n => format!("{n} angles"),
            };
            let message = format!("heads of {features} features have {angles} to tell positions by");
            let help = "take fewer heads or a greater width, so that a head has 32 features or more";
            said.push(Diagnostic::new(RULE.code, subject.place(id), message).help(help));
        }
    }
}

/// Whether this is a value times a cosine of the position, plus the same value, its features in another order, times a
/// sine.
fn turns(subject: &Subject<'_>, id: NodeId) -> bool {
    let graph = subject.graph;
    let Some(&[a, b]) = structure::operands_of(graph, id, MapFunction::Add) else {
        return false;
    };
    let (Some(a), Some(b)) = (turned(subject, a), turned(subject, b)) else {
        return false;
    };
    let same = structure::behind_views(graph, a.0) == structure::behind_views(graph, b.0);
    let waves = |factor: NodeId| [MapFunction::Cosine, MapFunction::Sine].map(|f| contains(subject, factor, f, DEPTH));
    same && matches!(
        (waves(a.1), waves(b.1)),
        ([true, _], [_, true]) | ([_, true], [true, _])
    )
}

/// A product of what comes from the data and a factor that does not and is not trained.
fn turned(subject: &Subject<'_>, id: NodeId) -> Option<(NodeId, NodeId)> {
    let &[a, b] = structure::operands_of(subject.graph, id, MapFunction::Multiply)? else {
        return None;
    };
    let is_factor = |id: NodeId| !subject.fact(id).fed && !subject.fact(id).trained;
    match (is_factor(a), is_factor(b)) {
        (false, true) => Some((a, b)),
        (true, false) => Some((b, a)),
        _ => None,
    }
}

/// Whether a value is made by a function of something.
fn contains(subject: &Subject<'_>, id: NodeId, function: MapFunction, depth: usize) -> bool {
    let node = subject.graph.node(id);
    let inside = || node.operands.iter().any(|&o| contains(subject, o, function, depth - 1));
    node.op == Op::Map(function) || depth > 0 && matches!(node.op, Op::Map(_) | Op::View { .. }) && inside()
}
