//! Dropout where it does harm: on what the loss compares, and in front of a batch norm, whose running variance is then
//! another than outside of training (Li et al. 2019).

use super::super::{Rule, Subject, structure};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::MisplacedDropout,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let graph = subject.graph;
    let model = subject.needed().filter(|&id| !subject.in_loss(id));
    for dropout in model.filter(|&id| structure::is_dropout(graph, id) && subject.fact(id).fed) {
        let users = subject.users_behind_views(dropout);
        if let Some(&user) = users.iter().find(|&&u| subject.in_loss(u)) {
            let message = "dropout sets the model's own results to 0 before the loss sees them";
            let help = "put it in front of the last layer, or leave it out";
            let diagnostic = Diagnostic::new(RULE.code, subject.place(dropout), message);
            said.push(diagnostic.note(subject.place(user), "the loss").help(help));
        }
        let statistic = |&&u: &&_| structure::summed(graph, u).is_some() && subject.keeps(u);
        if let Some(&user) = users.iter().find(statistic) {
            let message = "dropout in front of a batch norm: the variance that it keeps is not that of an evaluation";
            let help = "put the dropout behind the norms, in front of the last layer";
            let diagnostic = Diagnostic::new(RULE.code, subject.place(dropout), message);
            said.push(diagnostic.note(subject.place(user), "the norm").help(help));
        }
    }
}
