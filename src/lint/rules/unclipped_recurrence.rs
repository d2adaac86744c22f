//! A recurrent net without a limit on its gradient, which grows from step to step (Pascanu et al. 2012).

use super::super::{Rule, Subject};
use crate::ir::graph::{NodeId, Op};
use crate::ir::scan::Scan;
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::UnclippedRecurrence,
    check,
};

/// Over fewer steps a gradient does not grow far.
const LONG: usize = 16;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
    if run.line("clip_norm").is_some() || run.line("clip_value").is_some() {
        return;
    }
    let recurrent = |id: &NodeId| match &subject.graph.node(*id).op {
        Op::Scan(scan) => scan.steps >= LONG && multiplies(scan) && learns(subject, *id, scan.carries + scan.slices),
        _ => false,
    };
    let Some(first) = subject.needed().find(recurrent) else {
        return;
    };
    let Op::Scan(scan) = &subject.graph.node(first).op else {
        return;
    };
    let message = format!(
        "the gradient goes back through {} steps, and nothing limits it",
        scan.steps
    );
    let help = "add `clip_norm 1.0` to `train`";
    said.push(Diagnostic::new(RULE.code, subject.place(first), message).help(help));
}

/// Whether a step multiplies what it carries by a matrix: only that makes a gradient grow.
fn multiplies(scan: &Scan) -> bool {
    let body = &scan.body;
    scan.carries > 0 && body.ids().any(|id| matches!(body.node(id).op, Op::Contract { .. }))
}

/// Whether every step applies the same parameters to what it carries: those that it sees whole.
fn learns(subject: &Subject<'_>, id: NodeId, first_whole: usize) -> bool {
    let operands = &subject.graph.node(id).operands[first_whole..];
    operands
        .iter()
        .any(|&o| subject.fact(o).trained && !subject.fact(o).fed)
}
