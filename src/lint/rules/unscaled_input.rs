//! Large numbers of a table that a layer takes as they are: its first steps go astray.

use super::super::{Rule, Subject};
use super::unreachable_target::rounded;
use crate::ir::graph::{NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::UnscaledInput,
    check,
};

/// Weights start so that inputs of about 1 give results of about 1.
const LARGE: f64 = 30.0;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    if subject.data.normalise || subject.run.is_none() {
        return;
    }
    let graph = subject.graph;
    let takes = |&&user: &&NodeId| match graph.node(user).op {
        Op::Contract { .. } => graph.node(user).operands.iter().any(|&o| !subject.fact(o).fed),
        _ => false,
    };
    for id in subject.needed() {
        let Op::Input(input) = graph.node(id).op else { continue };
        let name = &graph.inputs[input.0 as usize].name;
        let Some((_, (low, high))) = subject.schema.ranges.iter().find(|(n, _)| n == name) else {
            continue;
        };
        if low.abs().max(high.abs()) < LARGE {
            continue;
        }
        if let Some(&user) = subject.users_behind_views(id).iter().find(takes) {
            let (low, high) = (rounded(*low), rounded(*high));
            let message = format!("`{name}` is from {low} to {high}, and a layer takes it as it is");
            let help = "add `normalise standard` to `data`";
            said.push(Diagnostic::new(RULE.code, subject.place(user), message).help(help));
        }
    }
}
