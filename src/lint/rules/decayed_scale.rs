//! Weight decay on the scales of norms: it pulls them towards 0, away from the 1 that they start at.

use super::super::update::{Rates, Trial, tried_step};
use super::super::{Rule, Subject, structure};
use crate::ir::graph::{Initialiser, MapFunction, NodeId, Op, OutputKind, ParamId};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::DecayedScale,
    check,
};

/// How far a scale without a gradient may shrink over the run.
const SHRINKS: f64 = 0.05;

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = &subject.run else { return };
    // With a batch norm, decay of all parameters is usual: it scales what the next layer undoes.
    if subject.needed().any(|id| keeps_statistics(subject, id)) {
        return;
    }
    let scales = scales(subject);
    let Some(&first) = scales.first() else { return };
    let Some(trial) = Trial::of(subject, run, first) else {
        return;
    };
    let step = tried_step(subject, run);
    let Some(change) = trial.first(1.0, 0.0, step) else {
        return;
    };
    let mean = match &subject.program.rate {
        Some(rate) => Rates::of(rate, run).mean_share(),
        None => 1.0,
    };
    let left = (1.0 + change).max(0.0).powf(run.steps as f64 * mean);
    if left > 1.0 - SHRINKS {
        return;
    }
    let update = subject.graph.output(&OutputKind::ParamUpdate(first));
    let place = update.map_or(run.section.name.span, |id| run.update_place(subject.place(id)));
    let path = &subject.program.params[first.0 as usize].path;
    let message = format!(
        "weight decay takes the scales of norms towards 0, by {:.0} % over the run if nothing holds them: `{path}`{}",
        100.0 * (1.0 - left),
        match scales.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        }
    );
    let diagnostic = Diagnostic::new(RULE.code, place, message);
    let diagnostic = diagnostic.note(subject.place_of_param(first), "a norm with a scale");
    said.push(diagnostic.help("decay matrices alone: add the line `weight_decay = 0 on vectors`"));
}

fn keeps_statistics(subject: &Subject<'_>, id: NodeId) -> bool {
    structure::summed(subject.graph, id).is_some() && subject.keeps(id)
}

/// Trained vectors that start at 1 and multiply what comes from the data.
fn scales(subject: &Subject<'_>) -> Vec<ParamId> {
    let graph = subject.graph;
    let scale = |id: NodeId| {
        let Op::Param(param) = graph.node(id).op else {
            return None;
        };
        let declared = &subject.program.params[param.0 as usize];
        let multiplies = |&user: &NodeId| {
            let operands = structure::operands_of(graph, user, MapFunction::Multiply);
            operands.is_some_and(|o| o.iter().any(|&o| subject.fact(o).fed))
        };
        let is_scale = !declared.frozen
            && declared.shape.len() == 1
            && declared.initialiser == Initialiser::Constant(1.0)
            && subject.users_behind_views(id).iter().any(multiplies);
        is_scale.then_some(param)
    };
    subject.needed().filter_map(scale).collect()
}
