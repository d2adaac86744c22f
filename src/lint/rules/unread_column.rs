//! A category column that the data name and the model does not read.

use super::super::{Rule, Subject};
use crate::ir::experiment::Source;
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::UnreadColumn,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Source::Csv { categories, .. } = &subject.data.source else {
        return;
    };
    let read = |name: &str| subject.program.inputs.iter().any(|i| i.name == name);
    let columns = subject.schema.tensors.iter().filter(|t| t.category);
    // All columns of words together are another name.
    let together = subject
        .schema
        .tensors
        .iter()
        .filter(|t| !t.category && t.bound_name.is_some());
    if together.into_iter().any(|t| t.axes.len() == 1 && read(&t.name)) {
        return;
    }
    for column in columns.filter(|c| !read(&c.name)) {
        let named = categories.iter().find(|c| c.name == column.name);
        let place = named.map_or(subject.data.span, |c| c.span);
        let message = format!("the model does not read the column `{}`", column.name);
        let help = format!(
            "use it, as `{0} -> embedding({0}_count, 8)`, or write `ignore {0}`",
            column.name
        );
        said.push(Diagnostic::new(RULE.code, place, message).help(help));
    }
}
