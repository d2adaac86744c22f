//! Two linear layers with nothing between them: together they are one, unless the way between is narrow.

use super::super::{Rule, Subject, structure};
use crate::ir::graph::{MapFunction, NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::LinearTwice,
    check,
};

/// A matrix product of a value with a parameter.
pub struct Linear {
    /// What it is applied to, behind views.
    pub input: NodeId,
    /// What it is multiplied by, behind views.
    pub weight: NodeId,
    /// Sizes of what is summed and of what it makes.
    pub sizes: (usize, usize),
}

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    for second in subject.needed().filter(|&id| !subject.in_loss(id)) {
        let Some(outer) = linear(subject, second) else { continue };
        // A bias between them does not change that they are one affine map.
        let between = without_bias(subject, outer.input);
        let Some(inner) = linear(subject, between) else {
            continue;
        };
        let alone = subject.users_behind_views(outer.input).len() == 1
            && (between == outer.input || subject.users_behind_views(between).len() == 1);
        let narrow = inner.sizes.1 < inner.sizes.0.min(outer.sizes.1);
        if alone && !narrow && inner.sizes.1 == outer.sizes.0 && !feeds_scan(subject, second) {
            let message = "two linear layers with nothing between them are one linear layer";
            let help = "put an activation between them, or leave one out";
            let diagnostic = Diagnostic::new(RULE.code, subject.place(second), message).label("the second");
            said.push(diagnostic.note(subject.place(between), "the first").help(help));
        }
    }
}

/// A node as a product of a value, position by position, with a parameter.
pub fn linear(subject: &Subject<'_>, id: NodeId) -> Option<Linear> {
    let graph = subject.graph;
    let node = graph.node(id);
    let Op::Contract { a, b, out } = &node.op else {
        return None;
    };
    let weight = |id: NodeId| subject.fact(id).trained && !subject.fact(id).fed;
    let (input, weight, labels, of_weight) = match (weight(node.operands[0]), weight(node.operands[1])) {
        (false, true) => (node.operands[0], node.operands[1], a, b),
        (true, false) => (node.operands[1], node.operands[0], b, a),
        _ => return None,
    };
    // A label of both that is kept is no matrix product, and a window reads its input several times.
    if of_weight.iter().any(|l| labels.contains(l) && out.contains(l)) || !reads_once(subject, input) {
        return None;
    }
    let sizes = |summed: bool| -> usize {
        let shape = &graph.node(weight).shape;
        let own = of_weight.iter().zip(shape);
        own.filter(|(l, _)| labels.contains(l) == summed)
            .map(|(_, s)| *s)
            .product()
    };
    Some(Linear {
        input: structure::behind_views(graph, input),
        weight: structure::behind_views(graph, weight),
        sizes: (sizes(true), sizes(false)),
    })
}

/// A value without the bias that was added last, behind views.
pub fn without_bias(subject: &Subject<'_>, id: NodeId) -> NodeId {
    let bias = |id: NodeId| subject.fact(id).trained && !subject.fact(id).fed;
    let id = structure::behind_views(subject.graph, id);
    match structure::operands_of(subject.graph, id, MapFunction::Add) {
        Some(&[a, b]) if !bias(a) && bias(b) => structure::behind_views(subject.graph, a),
        Some(&[a, b]) if bias(a) && !bias(b) => structure::behind_views(subject.graph, b),
        _ => id,
    }
}

/// Whether a value is read as it is or in another order, nothing twice and nothing left out.
fn reads_once(subject: &Subject<'_>, id: NodeId) -> bool {
    let elements = |id: NodeId| crate::ir::graph::elements(&subject.graph.node(id).shape);
    let Op::View { guards, .. } = &subject.graph.node(id).op else {
        return true;
    };
    guards.is_empty() && elements(id) == elements(subject.graph.node(id).operands[0])
}

/// Whether a recurrent layer takes what is made: the product of its input with its weight stands outside of its scan.
fn feeds_scan(subject: &Subject<'_>, id: NodeId) -> bool {
    let mut users = subject.users_behind_views(id);
    let further: Vec<NodeId> = users.iter().flat_map(|&u| subject.users_behind_views(u)).collect();
    users.extend(further);
    users.iter().any(|&u| matches!(subject.graph.node(u).op, Op::Scan(_)))
}
