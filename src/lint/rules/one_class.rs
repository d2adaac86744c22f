//! A softmax over a single class: it is always 1, so the loss is always 0.

use super::super::{Rule, Subject, structure};
use super::normalised_twice::softmaxes;
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::OneClass,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    for softmax in softmaxes(subject) {
        let shape = &subject.graph.node(softmax.logits).shape;
        if softmax.axes.iter().all(|&a| shape[a] == 1) && subject.fact(softmax.logits).trained {
            let made = structure::behind_views(subject.graph, softmax.logits);
            let message = "the loss takes the softmax of one number, which is always 1";
            let diagnostic = Diagnostic::new(RULE.code, subject.place(made), message).label("one output");
            let of_data = ["classes", "vocab"].map(|name| (name.to_string(), 1));
            let help = match of_data.iter().find(|size| subject.schema.sizes.contains(size)) {
                Some((name, _)) => {
                    format!("the data have one value alone (`{name}` is 1): look at the target in the file")
                }
                None => "two classes need two outputs with `cross_entropy`, or one with `binary_cross_entropy`".into(),
            };
            said.push(diagnostic.note(subject.place(softmax.at), "the loss").help(help));
        }
    }
}
