//! Statistics of a batch that are other than they seem: of each part of it, of very few samples, or of whatever samples
//! are evaluated together.

use super::super::{Rule, Subject, structure};
use crate::ir::graph::OutputKind;
use crate::ir::model::{Definition, Equation, Expr, IndexId, Place, Program, TensorId};
use crate::text::{Code, Diagnostic, Diagnostics, Span};

pub const RULE: Rule = Rule {
    code: Code::BatchStatistics,
    check,
};

/// Fewer samples tell little of a mean and a variance.
const FEW: usize = 4;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    outside_of_training(subject, said);
    let Some(run) = &subject.run else { return };
    let (parts, samples) = (run.settings.parts, run.settings.part());
    if parts == 1 && samples >= FEW {
        return;
    }
    let norms = norms(subject);
    let Some(first) = norms.first() else { return };
    let (message, help) = match parts {
        1 => (
            format!("a batch norm over {samples} samples: their mean and variance say little"),
            "make the batch larger, or take a norm within each sample, as `group_norm` or `layer_norm`",
        ),
        _ => (
            format!("a batch norm sees each of the {parts} parts alone: statistics are of {samples} samples"),
            "a batch in parts is then not the same as a whole one; take `group_norm`, or know it and `allow` it",
        ),
    };
    let mut diagnostic = Diagnostic::new(RULE.code, *first, message).note(run.place("batch"), "the batch");
    if norms.len() > 1 {
        diagnostic = diagnostic.help(format!("there are {} such norms", norms.len()));
    }
    said.push(diagnostic.help(help));
}

/// The places of means over the batch from which a running mean is kept.
fn norms(subject: &Subject<'_>) -> Vec<Span> {
    let mut places: Vec<Span> = vec![];
    for id in subject.needed().filter(|&id| !subject.in_loss(id)) {
        if structure::summed(subject.graph, id).is_some() && subject.fact(id).fed && subject.keeps(id) {
            let place = subject.place(id);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// A model whose evaluation reduces over the batch: what it says of a sample depends on its neighbours.
fn outside_of_training(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(program) = subject.evaluation else { return };
    let needed = needed(program);
    for at in (0..program.loss_from.min(program.tensors.len())).filter(|&at| needed[at]) {
        let Definition::Equation(equation) = &program.tensors[at].definition else {
            continue;
        };
        let batch: Vec<IndexId> = batch_indices(program, equation);
        if reduces(&equation.body, &batch) {
            let message = "outside of training this still mixes the samples of a batch: what is said of one depends on the others";
            let help = "keep running statistics in a `state` and take these if not `training`, as `batch_norm` does";
            said.push(Diagnostic::new(RULE.code, program.callers[at], message).help(help));
            return;
        }
    }
}

fn needed(program: &Program) -> Vec<bool> {
    let mut needed = vec![false; program.tensors.len()];
    for output in program.outputs.iter().filter(|o| o.kind == OutputKind::Loss) {
        needed[output.tensor.0 as usize] = true;
    }
    for at in (0..program.tensors.len()).rev() {
        if needed[at] {
            program.reads(TensorId(at as u32), &mut |id| needed[id.0 as usize] = true);
        }
    }
    needed
}

/// The indices of an equation that run over the batch.
fn batch_indices(program: &Program, equation: &Equation) -> Vec<IndexId> {
    let mut found = vec![];
    batch_indices_in(program, &equation.body, &mut found);
    found
}

fn batch_indices_in(program: &Program, expr: &Expr, found: &mut Vec<IndexId>) {
    match expr {
        Expr::Read { tensor, places, .. } => {
            for (axis, place) in program.tensor(*tensor).axes.iter().zip(places) {
                if let (true, Place::At { position, .. }) = (axis.is_batch(), place) {
                    found.extend(position.as_axis());
                }
            }
        }
        Expr::Apply(_, list) => list.iter().for_each(|e| batch_indices_in(program, e, found)),
        Expr::Reduce(_, _, body) | Expr::Stop(body) => batch_indices_in(program, body, found),
        _ => {}
    }
}

fn reduces(expr: &Expr, batch: &[IndexId]) -> bool {
    match expr {
        Expr::Reduce(_, over, body) => over.iter().any(|i| batch.contains(i)) || reduces(body, batch),
        Expr::Apply(_, list) => list.iter().any(|e| reduces(e, batch)),
        Expr::Stop(body) => reduces(body, batch),
        _ => false,
    }
}
