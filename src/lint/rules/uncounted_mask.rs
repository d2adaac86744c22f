//! A mask of the data that the loss does not read, though it reads a target along the mask's axes: padding, holes or what
//! is not asked for count as everything else does.

use super::super::{Rule, Subject};
use crate::ir::experiment::{SchemaTensor, Source};
use crate::ir::graph::{Element, OutputKind};
use crate::ir::model::{Definition, Program, TensorId};
use crate::text::{Code, Diagnostic, Diagnostics};
use std::collections::BTreeSet;

pub const RULE: Rule = Rule {
    code: Code::UncountedMask,
    check,
};

fn check(subject: &Subject<'_>, said: &mut Diagnostics) {
    let Some(run) = subject.run else { return };
    let read = read_by_loss(subject.program);
    let reads = |tensor: &SchemaTensor| read.contains(tensor.name.as_str());
    let (conditions, others): (Vec<_>, Vec<_>) = subject
        .schema
        .tensors
        .iter()
        .partition(|t| t.element == Element::Condition);
    for target in others.into_iter().filter(|t| reads(t)) {
        let masks: Vec<_> = conditions
            .iter()
            .filter(|mask| is_mask(subject, mask, target))
            .collect();
        let [mask, ..] = masks[..] else { continue };
        if masks.iter().any(|mask| reads(mask)) {
            continue;
        }
        let loss = match target.element {
            Element::Id { .. } => "cross_entropy",
            _ => "mse",
        };
        let (mask, target) = (&mask.name, &target.name);
        let message = format!("the loss counts all of `{target}`, and the data tell by `{mask}` what should count");
        let help = format!("losses take it as `counted = {mask}`, as in `{loss}({target}, counted = {mask})`");
        said.push(Diagnostic::new(RULE.code, run.place("loss"), message).help(help));
    }
}

/// Whether a condition tells which elements of a target count. A file of tensors may have conditions of any meaning: there
/// one is a mask if it comes with the target, or if the model reads it.
fn is_mask(subject: &Subject<'_>, mask: &SchemaTensor, target: &SchemaTensor) -> bool {
    let axes = |t: &SchemaTensor, of_file: bool| -> Vec<(String, usize)> {
        let axis = |(label, size): &(String, usize)| (if of_file { String::new() } else { label.clone() }, *size);
        t.axes.iter().map(axis).collect()
    };
    let of_file = matches!(subject.data.source, Source::Tensors { .. });
    let along = !mask.axes.is_empty() && axes(target, of_file).starts_with(&axes(mask, of_file));
    let of_model = || subject.program.inputs.iter().any(|i| i.name == mask.name);
    along && (!of_file || mask.name == format!("{}_counted", target.name) || of_model())
}

/// The data that the loss reads: as they are, or in what is made of data alone.
fn read_by_loss(program: &Program) -> BTreeSet<&str> {
    let mut needed = vec![false; program.tensors.len()];
    for output in program.outputs.iter().filter(|o| o.kind == OutputKind::Loss) {
        needed[output.tensor.0 as usize] = true;
    }
    let mut read = BTreeSet::new();
    for at in (0..program.tensors.len()).rev().filter(|&at| at >= program.loss_from) {
        if needed[at] {
            program.reads(TensorId(at as u32), &mut |id| needed[id.0 as usize] = true);
        }
    }
    let made_of = made_of(program);
    for (at, inputs) in made_of.into_iter().enumerate() {
        let ends_there = at < program.loss_from || matches!(program.tensors[at].definition, Definition::Input(_));
        if needed[at] && ends_there {
            read.extend(
                inputs
                    .into_iter()
                    .flatten()
                    .map(|input| program.inputs[input].name.as_str()),
            );
        }
    }
    read
}

/// For each tensor, the inputs that it is made of; `None` where parameters or states are in it.
fn made_of(program: &Program) -> Vec<Option<BTreeSet<usize>>> {
    let mut all: Vec<Option<BTreeSet<usize>>> = vec![];
    for (at, tensor) in program.tensors.iter().enumerate() {
        let mut made = match tensor.definition {
            Definition::Input(id) => Some(BTreeSet::from([id.0 as usize])),
            Definition::Equation(_) => Some(BTreeSet::new()),
            _ => None,
        };
        program.reads(TensorId(at as u32), &mut |id| match (&mut made, &all[id.0 as usize]) {
            (Some(made), Some(more)) => made.extend(more),
            _ => made = None,
        });
        all.push(made);
    }
    all
}
