//! A bias whose mean a norm takes off again: `linear -> batch_norm` learns nothing by it.

use super::super::{Rule, Subject, structure};
use crate::ir::graph::{MapFunction, NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::CancelledBias,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let graph = subject.graph;
    for sum in subject.needed() {
        let Some((shifted, axes)) = structure::summed(graph, sum) else {
            continue;
        };
        let Some(&[a, b]) = structure::operands_of(graph, shifted, MapFunction::Add) else {
            continue;
        };
        for bias in [b, a] {
            let Some(param) = learned(subject, bias) else { continue };
            if structure::is_same_along(graph, bias, &axes) && only_centred(subject, shifted, sum) {
                let path = &graph.params[param].path;
                let message = format!("the norm takes `{path}` off again with the mean: it changes nothing");
                let place = subject.place_of_param(crate::ir::graph::ParamId(param as u32));
                let diagnostic = Diagnostic::new(RULE.code, place, message).label("adds a bias");
                let help = "leave it out: `bias = false`";
                said.push(diagnostic.note(subject.place(sum), "takes the mean off").help(help));
            }
        }
    }
}

/// The parameter that a value repeats.
fn learned(subject: &Subject<'_>, id: NodeId) -> Option<usize> {
    match subject.graph.node(structure::behind_views(subject.graph, id)).op {
        Op::Param(param) => Some(param.0 as usize),
        _ => None,
    }
}

/// Whether everything that is made of a value is made of its distance from the mean over these axes.
fn only_centred(subject: &Subject<'_>, shifted: NodeId, sum: NodeId) -> bool {
    let graph = subject.graph;
    let users = subject.users_behind_views(shifted);
    let centred = |&user: &NodeId| {
        let Some([whole, off]) = structure::operands_of(graph, user, MapFunction::Subtract) else {
            return false;
        };
        let mean = graph.node(structure::behind_views(graph, *off));
        structure::behind_views(graph, *whole) == shifted
            && matches!(mean.op, Op::Map(MapFunction::Divide | MapFunction::Multiply))
            && mean.operands.contains(&sum)
    };
    users.iter().any(centred) && users.iter().all(|u| *u == sum || centred(u))
}
