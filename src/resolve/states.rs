//! Optimizer states that nothing reads vanish: the momentum of an optimizer whose momentum is 0 costs no memory.

use crate::ir::experiment::EMA;
use crate::ir::graph::{OutputKind, StateId};
use crate::ir::model::{Definition, Equation, Expr, Program, TensorId};

/// Removes the optimizer states whose old value reaches neither a parameter, nor a result, nor a state that does.
pub fn drop_unread(program: &mut Program) {
    let live = live(program);
    if live.iter().all(|l| *l) {
        return;
    }
    let mut new = vec![None; live.len()];
    for (id, at) in (0..).zip((0..live.len()).filter(|&at| live[at])) {
        new[at] = Some(StateId(id));
    }
    for tensor in &mut program.tensors {
        let Definition::State(id) = tensor.definition else {
            continue;
        };
        tensor.definition = match new[id.0 as usize] {
            Some(id) => Definition::State(id),
            // Nothing that is needed reads it.
            None => Definition::Equation(Equation {
                indices: tensor.axes.iter().map(|a| (a.label.clone(), a.size)).collect(),
                left: (0..tensor.axes.len()).map(|i| vec![i]).collect(),
                walked: None,
                body: Expr::Constant(program.states[id.0 as usize].initial),
            }),
        };
    }
    let mut at = 0;
    program.states.retain(|_| {
        at += 1;
        live[at - 1]
    });
    program.outputs.retain_mut(|output| match &mut output.kind {
        OutputKind::StateUpdate(id) => match new[id.0 as usize] {
            Some(new) => {
                *id = new;
                true
            }
            None => false,
        },
        _ => true,
    });
}

/// Which states are read. The model's and the running means of weights always count: others than this program read them.
fn live(program: &Program) -> Vec<bool> {
    let mut live: Vec<bool> = program
        .states
        .iter()
        .map(|s| !s.optimizer || s.path.ends_with(EMA))
        .collect();
    loop {
        let mut needed = vec![false; program.tensors.len()];
        for output in &program.outputs {
            needed[output.tensor.0 as usize] |= match output.kind {
                OutputKind::StateUpdate(id) => live[id.0 as usize],
                _ => true,
            };
        }
        let mut found = false;
        for at in (0..program.tensors.len())
            .rev()
            .filter(|&at| needed[at])
            .collect::<Vec<_>>()
        {
            mark(program, at, &mut needed);
        }
        for (at, tensor) in program.tensors.iter().enumerate() {
            if let (true, Definition::State(id)) = (needed[at], &tensor.definition) {
                found |= !std::mem::replace(&mut live[id.0 as usize], true);
            }
        }
        if !found {
            return live;
        }
    }
}

/// Marks what a tensor is computed from.
fn mark(program: &Program, at: usize, needed: &mut [bool]) {
    let mut waiting = vec![at];
    while let Some(at) = waiting.pop() {
        program.reads(TensorId(at as u32), &mut |id| {
            if !std::mem::replace(&mut needed[id.0 as usize], true) {
                waiting.push(id.0 as usize);
            }
        });
    }
}
