//! What an optimizer does with a parameter, tried out on one number: the update's part of the graph, with all elements of
//! every parameter and gradient alike. Whatever optimizer a spec defines, this tells its rate and its decay.

use super::range::{Range, range};
use super::subject::{Run, Subject};
use crate::ir::graph::{Graph, Node, NodeId, Op, OutputKind, ParamId};
use crate::ir::number::{Number, StepVariable};
use std::collections::HashSet;

/// Updates that bring an optimizer's states to where they stay.
const SETTLED: u64 = 3000;

/// The factor of each step's rate, where the spec gives a rate: its greatest value, and what it is at steps of the run.
pub struct Rates {
    /// Steps, ascending, and the rate at each.
    pub samples: Vec<(u64, f64)>,
    /// The greatest of them.
    pub peak: f64,
}

impl Rates {
    /// The rate at up to 512 steps of a run, the first and the last among them.
    pub fn of(rate: &Number, run: &Run<'_>) -> Rates {
        let count = run.steps.clamp(1, 512);
        let at = |i: u64| 1 + (run.steps.max(1) - 1) * i / (count - 1).max(1);
        let variable = |step: u64| move |v: StepVariable| variable_at(v, step, run);
        let samples: Vec<(u64, f64)> = (0..count).map(|i| (at(i), rate.at(&variable(at(i))))).collect();
        let peak = samples.iter().map(|s| s.1).fold(0.0, f64::max);
        Rates { samples, peak }
    }

    /// The last step at which the rate is near its greatest.
    pub fn last_peak(&self) -> u64 {
        let near = self.samples.iter().rev().find(|s| s.1 >= 0.9 * self.peak);
        near.map_or(1, |s| s.0)
    }

    /// The mean over the run, as a share of the greatest.
    pub fn mean_share(&self) -> f64 {
        let sum: f64 = self.samples.iter().map(|s| s.1).sum();
        if self.peak > 0.0 {
            sum / self.samples.len() as f64 / self.peak
        } else {
            0.0
        }
    }
}

fn variable_at(variable: StepVariable, step: u64, run: &Run<'_>) -> f64 {
    match variable {
        StepVariable::Step => step as f64,
        StepVariable::StepsPerEpoch => run.steps_per_epoch.unwrap_or(0) as f64,
        StepVariable::Part | StepVariable::LossScale | StepVariable::Kept(_) => 1.0,
        StepVariable::Watched => f64::INFINITY,
    }
}

/// The step at which an optimizer is tried: the last one with a rate near the greatest.
pub fn tried_step(subject: &Subject<'_>, run: &Run<'_>) -> u64 {
    match &subject.program.rate {
        Some(rate) => Rates::of(rate, run).last_peak(),
        None => run.steps.max(1),
    }
}

/// A parameter whose update is tried out.
pub struct Trial<'a> {
    graph: &'a Graph,
    run: Run<'a>,
    numbers: &'a [Number],
    /// Where the new parameter is.
    update: NodeId,
    /// Nodes that lead to the update, ascending, and whether they depend on a state.
    nodes: Vec<(NodeId, bool)>,
    /// New values of the states among them.
    states: Vec<(usize, NodeId)>,
    initial: Vec<f64>,
}

impl<'a> Trial<'a> {
    /// The update of a parameter, if it has one.
    pub fn of(subject: &Subject<'a>, run: &Run<'a>, param: ParamId) -> Option<Trial<'a>> {
        let graph = subject.graph;
        let update = graph.output(&OutputKind::ParamUpdate(param))?;
        let mut wanted = vec![false; graph.len()];
        wanted[update.0 as usize] = true;
        let mut states = vec![];
        // A state's new value may depend on states that were not met yet.
        loop {
            let before = states.len();
            for id in graph.ids().rev() {
                if wanted[id.0 as usize] {
                    graph.node(id).operands.iter().for_each(|o| wanted[o.0 as usize] = true);
                }
            }
            let read = |id: NodeId| match graph.node(id).op {
                Op::State(state) if wanted[id.0 as usize] => Some(state.0 as usize),
                _ => None,
            };
            let read: HashSet<usize> = graph.ids().filter_map(read).collect();
            for output in &graph.outputs {
                if let OutputKind::StateUpdate(state) = output.kind
                    && read.contains(&(state.0 as usize))
                    && !states.contains(&(state.0 as usize, output.node))
                {
                    states.push((state.0 as usize, output.node));
                    wanted[output.node.0 as usize] = true;
                }
            }
            if states.len() == before {
                break;
            }
        }
        let mut kept = vec![false; graph.len()];
        for id in graph.ids() {
            let node = graph.node(id);
            kept[id.0 as usize] =
                matches!(node.op, Op::State(_) | Op::StepNumber(_)) || node.operands.iter().any(|o| kept[o.0 as usize]);
        }
        let nodes = graph.ids().filter(|id| wanted[id.0 as usize]);
        Some(Trial {
            graph,
            run: *run,
            numbers: &subject.program.numbers,
            update,
            nodes: nodes.map(|id| (id, kept[id.0 as usize])).collect(),
            states,
            initial: subject.program.states.iter().map(|s| s.initial).collect(),
        })
    }

    /// By how much the parameter changes at a step, from its states as they begin; `None` where that is not one number.
    pub fn first(&self, value: f64, gradient: f64, step: u64) -> Option<f64> {
        self.moves(value, gradient, step, 1)
    }

    /// By how much the parameter changes at a step, after many with the same gradient.
    pub fn settled(&self, value: f64, gradient: f64, step: u64) -> Option<f64> {
        self.moves(value, gradient, step, step.clamp(1, SETTLED))
    }

    fn moves(&self, value: f64, gradient: f64, last: u64, updates: u64) -> Option<f64> {
        let mut states: Vec<f64> = self.initial.clone();
        let mut known = vec![Range::ALL; self.graph.len()];
        for at in 0..updates {
            let step = last + 1 + at - updates;
            let variable = |v: StepVariable| variable_at(v, step, &self.run);
            let leaf = |node: &Node| match node.op {
                Op::Param(_) => Range::point(value),
                Op::Gradient(_) => Range::point(gradient),
                Op::State(id) => Range::point(states[id.0 as usize]),
                Op::StepNumber(id) => Range::point(self.numbers[id.0 as usize].at(&variable)),
                _ => Range::ALL,
            };
            for &(id, kept) in self.nodes.iter().filter(|n| n.1 || at == 0) {
                debug_assert!(kept || at == 0);
                known[id.0 as usize] = range(self.graph, id, &known, &leaf);
            }
            let mut next = states.clone();
            for &(state, node) in &self.states {
                next[state] = known[node.0 as usize].as_point()?;
            }
            states = next;
        }
        Some(known[self.update.0 as usize].as_point()? - value)
    }
}
