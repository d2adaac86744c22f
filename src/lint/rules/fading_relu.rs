//! Many dense layers with relu whose weights don't make up for what relu takes away (He et al. 2015).

use super::super::{Rule, Subject, structure};
use super::linear_twice::{linear, without_bias};
use crate::ir::graph::{Initialiser, MapFunction, NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};
use std::collections::HashMap;

pub const RULE: Rule = Rule {
    code: Code::FadingRelu,
    check,
};

/// How many times smaller or larger values may become from the first of the layers to the last.
const FADES: f64 = 50.0;

/// Layers that follow each other, up to one of them.
#[derive(Clone, Copy)]
struct Chain {
    layers: usize,
    /// By what the mean square of values is multiplied.
    square: f64,
    first: NodeId,
    last: NodeId,
}

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let mut chains: HashMap<NodeId, Chain> = HashMap::new();
    let mut worst: Option<Chain> = None;
    for id in subject.needed().filter(|&id| !subject.in_loss(id)) {
        let Some(product) = cut_at_zero(subject, id).map(|of| without_bias(subject, of)) else {
            continue;
        };
        let Some(layer) = linear(subject, product) else {
            continue;
        };
        let Some(variance) = variance(subject, layer.weight, layer.sizes) else {
            continue;
        };
        let square = layer.sizes.0 as f64 * variance / 2.0;
        let chain = match chains.get(&layer.input) {
            Some(before) => Chain {
                layers: before.layers + 1,
                square: before.square * square,
                last: product,
                ..*before
            },
            None => Chain {
                layers: 1,
                square,
                first: product,
                last: product,
            },
        };
        chains.insert(id, chain);
        if worst.is_none_or(|worst| chain.square.ln().abs() > worst.square.ln().abs()) {
            worst = Some(chain);
        }
    }
    let Some(chain) = worst.filter(|chain| chain.layers > 1) else {
        return;
    };
    let change = chain.square.sqrt();
    let message = match change {
        change if change < 1.0 / FADES => format!("fade to 1/{:.0} of their size", 1.0 / change),
        change if change > FADES => format!("grow to {change:.0} times their size"),
        _ => return,
    };
    let layers = chain.layers;
    let message = format!("values {message} through {layers} layers with relu, as their weights start");
    let diagnostic = Diagnostic::new(RULE.code, subject.place(chain.last), message).label("the last of the layers");
    let diagnostic = match subject.place(chain.first) {
        first if first == subject.place(chain.last) => diagnostic,
        first => diagnostic.note(first, "the first"),
    };
    said.push(diagnostic.help("add the line `init he_normal on matrices` to `train`, or norms between the layers"));
}

/// What relu is taken of.
fn cut_at_zero(subject: &Subject<'_>, id: NodeId) -> Option<NodeId> {
    let graph = subject.graph;
    let is_zero = |id: NodeId| structure::constant(graph, structure::behind_views(graph, id)) == Some(0.0);
    if let Some(&[a, b]) = structure::operands_of(graph, id, MapFunction::Maximum) {
        return match (is_zero(a), is_zero(b)) {
            (true, false) => Some(b),
            (false, true) => Some(a),
            _ => None,
        };
    }
    let &[condition, then, otherwise] = structure::operands_of(graph, id, MapFunction::Where)? else {
        return None;
    };
    let of = match (is_zero(then), is_zero(otherwise)) {
        (true, false) => otherwise,
        (false, true) => then,
        _ => return None,
    };
    let compares = [MapFunction::Less, MapFunction::LessEqual].into_iter().any(|function| {
        let operands = structure::operands_of(graph, condition, function);
        operands.is_some_and(|o| o.contains(&of) && o.iter().any(|&o| is_zero(o)))
    });
    compares.then_some(of)
}

/// The variance that a weight's elements start with.
fn variance(subject: &Subject<'_>, weight: NodeId, sizes: (usize, usize)) -> Option<f64> {
    /// Of a Gaussian of deviation 1 that is drawn again beyond 2.
    const TRUNCATED: f64 = 0.7737;
    let Op::Param(param) = subject.graph.node(weight).op else {
        return None;
    };
    match subject.program.params[param.0 as usize].initialiser {
        Initialiser::Constant(_) => None,
        Initialiser::Normal(deviation) => Some(deviation.powi(2)),
        Initialiser::TruncatedNormal(deviation) => Some(TRUNCATED * deviation.powi(2)),
        Initialiser::Uniform(bound) => Some(bound.powi(2) / 3.0),
        Initialiser::Orthogonal(gain) => Some(gain.powi(2) / sizes.0.max(sizes.1) as f64),
    }
    .filter(|variance| *variance > 0.0)
}
