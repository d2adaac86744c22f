//! A category column that the data name and the model does not read.

use super::super::{Rule, Subject};
use crate::ir::ast::is_name;
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
        let name = &column.name;
        let in_file = match named.map_or(name, |c| &c.column) {
            column if is_name(column) => column.clone(),
            column => format!("\"{column}\""),
        };
        let help = match is_name(name) {
            true => format!("use it, as `{name} -> embedding({name}_count, 8)`, or write `ignore {in_file}`"),
            false => format!("give it a name that the model can use, `category {in_file} as NAME`, or `ignore` it"),
        };
        said.push(Diagnostic::new(RULE.code, place, message).help(help));
    }
}
