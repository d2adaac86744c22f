//! Values that can't become what they are compared with: a relu in front of targets on both sides of 0, a sigmoid in
//! front of prices.

use super::super::range::Range;
use super::super::{Rule, Subject, structure};
use super::normalised_twice::softmaxes;
use crate::ir::graph::{MapFunction, NodeId, Op};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::UnreachableTarget,
    check,
};

/// The share of the target's range that may be out of reach.
const SLACK: f64 = 0.01;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let graph = subject.graph;
    for at in subject.needed().filter(|&id| subject.in_loss(id)) {
        let Some(&[a, b]) = structure::operands_of(graph, at, MapFunction::Subtract) else {
            continue;
        };
        for (value, target) in [(a, b), (b, a)] {
            if let Some((name, wanted)) = target_of(subject, target)
                && subject.fact(value).trained
            {
                compare(subject, said, at, value, &name, wanted);
            }
        }
    }
    one_sided_logits(subject, said);
}

/// The name and range of what the data bring, if a value is that and nothing else.
fn target_of(subject: &Subject<'_>, id: NodeId) -> Option<(String, Range)> {
    let source = structure::behind_views(subject.graph, id);
    let Op::Input(input) = subject.graph.node(source).op else {
        return None;
    };
    let name = &subject.graph.inputs[input.0 as usize].name;
    let known = subject.schema.ranges.iter().find(|(n, _)| n == name)?;
    Some((name.clone(), Range::new(known.1.0, known.1.1)))
}

fn compare(subject: &Subject<'_>, said: &mut Diagnostics, at: NodeId, value: NodeId, name: &str, wanted: Range) {
    let reach = subject.fact(value).range;
    let slack = SLACK * (wanted.high - wanted.low);
    if reach.low <= wanted.low + slack && reach.high >= wanted.high - slack {
        return;
    }
    let made = structure::behind_views(subject.graph, value);
    let message = format!(
        "these are {}, but `{name}` is from {} to {}",
        bounds(reach),
        rounded(wanted.low),
        rounded(wanted.high)
    );
    let diagnostic = Diagnostic::new(RULE.code, subject.place(made), message).label("made here");
    let help = "let the model end with a linear layer, or bring the target into this range";
    said.push(diagnostic.note(subject.place(at), "the loss").help(help));
}

/// Logits that a relu has cut off below 0.
fn one_sided_logits(subject: &Subject<'_>, said: &mut Diagnostics) {
    for softmax in softmaxes(subject) {
        let made = structure::behind_views(subject.graph, softmax.logits);
        let fact = subject.fact(made);
        let activated = matches!(
            subject.graph.node(made).op,
            Op::Map(MapFunction::Where | MapFunction::Maximum | MapFunction::Add)
        );
        if activated && fact.trained && fact.range.low == 0.0 && fact.range.high == f64::INFINITY {
            let message = "these are at least 0, but the loss takes them as logits, which may be of any size";
            let help = "leave the activation out at the model's end: what it cuts off gets no gradient";
            let diagnostic = Diagnostic::new(RULE.code, subject.place(made), message).label("made here");
            said.push(diagnostic.note(subject.place(softmax.at), "the loss").help(help));
        }
    }
}

fn bounds(range: Range) -> String {
    match (range.low.is_finite(), range.high.is_finite()) {
        (true, true) => format!("from {} to {}", rounded(range.low), rounded(range.high)),
        (true, false) => format!("at least {}", rounded(range.low)),
        (false, _) => format!("at most {}", rounded(range.high)),
    }
}

/// A number in a few digits.
pub fn rounded(value: f64) -> String {
    let digits = (2 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}
