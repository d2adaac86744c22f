//! A head over the vocabulary beside an embedding of it, which together are most of the model (Press and Wolf 2016).

use super::super::{Rule, Subject, structure};
use super::linear_twice::linear;
use crate::ir::graph::{NodeId, Op, ParamId, elements};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::UntiedHead,
    check,
};

/// The share of all parameters that is not needed if both are one table; at most it is half of them.
const SAVED: f64 = 0.4;
/// Words of a vocabulary whose table is worth a thought.
const WORDS: usize = 1000;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let size = |param: ParamId| elements(&subject.program.params[param.0 as usize].shape);
    let all: usize = subject.program.params.iter().map(|p| elements(&p.shape)).sum();
    let tables: Vec<(NodeId, ParamId)> = subject
        .needed()
        .filter(|&id| matches!(subject.graph.node(id).op, Op::Gather { .. }))
        .filter_map(|id| Some((id, param(subject, subject.graph.node(id).operands[0])?)))
        .collect();
    for id in subject.needed().filter(|&id| !subject.in_loss(id)) {
        let Some(head) = linear(subject, id) else { continue };
        let Some(weight) = param(subject, head.weight) else {
            continue;
        };
        let (width, vocabulary) = head.sizes;
        let same = |table: &&(NodeId, ParamId)| {
            table.1 != weight && subject.program.params[table.1.0 as usize].shape == [vocabulary, width]
        };
        let saved = size(weight) as f64 / all as f64;
        let Some(&(gather, _)) = tables
            .iter()
            .find(same)
            .filter(|_| saved >= SAVED && vocabulary >= WORDS)
        else {
            continue;
        };
        let message = format!(
            "this head and the embedding are each {:.0} % of all parameters, and both hold a vector for each of {vocabulary} words",
            100.0 * saved
        );
        let diagnostic = Diagnostic::new(RULE.code, subject.place(id), message);
        let diagnostic = diagnostic.note(subject.place(gather), "the embedding");
        said.push(diagnostic.help(
            "let them share one table: name the embedding, `wte = embedding(…)`, and end with `project(wte.table)`; if two are meant, `allow W0921`",
        ));
    }
}

fn param(subject: &Subject<'_>, id: NodeId) -> Option<ParamId> {
    match subject.graph.node(structure::behind_views(subject.graph, id)).op {
        Op::Param(param) => Some(param),
        _ => None,
    }
}
