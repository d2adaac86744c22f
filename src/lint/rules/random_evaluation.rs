//! Random numbers outside of training: a dropout that never stops, whose predictions differ from run to run.

use super::super::{Rule, Subject};
use crate::ir::graph::OutputKind;
use crate::ir::model::{Definition, Expr, Program, TensorId};
use crate::text::{Code, Diagnostic, Diagnostics};

pub const RULE: Rule = Rule {
    code: Code::RandomEvaluation,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(program) = subject.evaluation else { return };
    for (at, tensor) in program.tensors.iter().enumerate() {
        let Definition::Equation(equation) = &tensor.definition else {
            continue;
        };
        if draws(&equation.body) && matters(program, TensorId(at as u32)) {
            let message = "this draws random numbers outside of training as well, so evaluations are not exact";
            let help = "write `if training { … } else { x }`, as `dropout` does";
            said.push(Diagnostic::new(RULE.code, program.callers[at], message).help(help));
        }
    }
}

fn draws(expr: &Expr) -> bool {
    match expr {
        Expr::Random(_) => true,
        Expr::Apply(_, list) => list.iter().any(draws),
        Expr::Reduce(_, _, body) | Expr::Stop(body) => draws(body),
        Expr::Read { otherwise, .. } => otherwise.as_deref().is_some_and(draws),
        _ => false,
    }
}

/// Whether a report depends on a tensor.
fn matters(program: &Program, id: TensorId) -> bool {
    let mut needed = vec![false; program.tensors.len()];
    for output in &program.outputs {
        needed[output.tensor.0 as usize] |= matches!(output.kind, OutputKind::Loss | OutputKind::Metric(_));
    }
    for at in (id.0 as usize..program.tensors.len()).rev() {
        if needed[at] {
            program.reads(TensorId(at as u32), &mut |read| needed[read.0 as usize] = true);
        }
    }
    needed[id.0 as usize]
}
