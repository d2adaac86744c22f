//! A parameter that the objective does not depend on, or only through what has no gradient: it stays as it started.

use super::super::{Rule, Subject};
use crate::ir::graph::{GatherPosition, MapFunction, NodeId, Op, OutputKind, ParamId};
use crate::text::{Code, Diagnostic, Diagnostics, Span};

pub const RULE: Rule = Rule {
    code: Code::NoGradient,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    if subject.run.is_none() {
        return;
    }
    let reached = reached(subject);
    let mut places: Vec<(Span, Vec<&str>, bool)> = vec![];
    for (at, param) in subject.program.params.iter().enumerate() {
        if param.frozen || reached[at] {
            continue;
        }
        let place = subject.place_of_param(ParamId(at as u32));
        let own = |id: &NodeId| subject.graph.node(*id).op == Op::Param(ParamId(at as u32));
        let cut = subject.needed().any(|id| own(&id));
        match places.iter_mut().find(|p| p.0 == place) {
            Some(known) => known.1.push(&param.path),
            None => places.push((place, vec![&param.path], cut)),
        }
    }
    for (place, paths, cut) in places {
        let message = match paths.len() {
            1 => format!("`{}` gets no gradient, so it stays as it starts", paths[0]),
            n => format!(
                "{n} parameters get no gradient, so they stay as they start: `{}`, …",
                paths[0]
            ),
        };
        let help = match cut {
            true => "every way from the loss to it is cut off, by `stop`, a condition, ids or a rounding",
            false => "the loss does not depend on it: use what it makes, remove it, or `freeze` it",
        };
        said.push(Diagnostic::new(RULE.code, place, message).help(help));
    }
}

/// Which parameters the objective's gradient reaches.
fn reached(subject: &Subject<'_>) -> Vec<bool> {
    let graph = subject.graph;
    let mut reached = vec![false; graph.params.len()];
    let mut seen = vec![false; graph.len()];
    let mut waiting: Vec<NodeId> = graph.output(&OutputKind::Objective).into_iter().collect();
    while let Some(id) = waiting.pop() {
        if std::mem::replace(&mut seen[id.0 as usize], true) {
            continue;
        }
        let node = graph.node(id);
        match &node.op {
            Op::Param(param) => reached[param.0 as usize] = true,
            Op::Stop | Op::Sort { .. } => {}
            Op::Map(MapFunction::Floor | MapFunction::Less | MapFunction::LessEqual | MapFunction::Equal) => {}
            Op::Map(MapFunction::And | MapFunction::Or | MapFunction::Not) => {}
            Op::Map(MapFunction::Where) => waiting.extend(&node.operands[1..]),
            Op::Gather { positions } => {
                debug_assert!(positions.iter().any(|p| matches!(p, GatherPosition::Ids { .. })));
                waiting.push(node.operands[0]);
            }
            _ => waiting.extend(&node.operands),
        }
    }
    reached
}
