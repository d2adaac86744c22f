//! What a rule looks at: the resolved program, its graph with what is known of each node, and the run's settings.

use super::range::{self, Range};
use super::structure::{self, Normalised};
use crate::ir::ast::{Definition as Defined, DefinitionKind, File, Item, Section, Setting};
use crate::ir::experiment::{DataSettings, Schema, TrainSettings};
use crate::ir::graph::{Graph, NodeId, Op, OutputKind, ParamId, StateId};
use crate::ir::model::{Definition, Program, TensorId};
use crate::text::Span;
use std::collections::HashSet;

/// A spec that compiles, as a rule sees it.
pub struct Subject<'a> {
    /// The spec's own text.
    pub file: &'a File,
    /// All definitions that it sees, the nearest first.
    pub definitions: Vec<&'a Defined>,
    /// What the data section says.
    pub data: &'a DataSettings,
    /// What the data give.
    pub schema: &'a Schema,
    /// The training program; without a `train` section the model alone.
    pub program: &'a Program,
    /// The program of an evaluation, if there is one.
    pub evaluation: Option<&'a Program>,
    /// How the model is trained, if it is.
    pub run: Option<Run<'a>>,
    /// The program's graph, before differentiation.
    pub graph: &'a Graph,
    /// What is known of each node of the graph, by its number.
    pub facts: Vec<Fact>,
    made_for: &'a [TensorId],
    /// New values of the model's states.
    kept: HashSet<NodeId>,
}

/// The training.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Its settings.
    pub settings: &'a TrainSettings,
    /// Its lines.
    pub section: &'a Section,
    /// Updates in all.
    pub steps: u64,
    /// Updates of an epoch, where the data have epochs.
    pub steps_per_epoch: Option<u64>,
}

/// What is known of a node.
pub struct Fact {
    /// Between which numbers its elements are.
    pub range: Range,
    /// Whether its elements add up to 1.
    pub normalised: Option<Normalised>,
    /// Its value depends on a parameter.
    pub trained: bool,
    /// Its value depends on the batch.
    pub fed: bool,
    /// What is differentiated, or without training a value of the model, depends on it.
    pub needed: bool,
    /// The nodes that use it, ascending.
    pub users: Vec<NodeId>,
}

impl<'a> Subject<'a> {
    /// Finds out what is to know of each node. The first file is the spec's own; `made_for` tells for each node the program's tensor that it was made for.
    pub fn new(
        files: &[&'a File],
        data: &'a DataSettings,
        schema: &'a Schema,
        programs: (&'a Program, Option<&'a Program>),
        (graph, made_for): (&'a Graph, &'a [TensorId]),
        run: Option<Run<'a>>,
    ) -> Subject<'a> {
        let items = files.iter().flat_map(|f| &f.items);
        let definitions = items.filter_map(|item| match item {
            Item::Definition(definition) => Some(definition),
            _ => None,
        });
        let of_model = |s: StateId| !programs.0.states[s.0 as usize].optimizer;
        let kept = graph.outputs.iter().filter_map(|o| match o.kind {
            OutputKind::StateUpdate(state) if of_model(state) => Some(o.node),
            _ => None,
        });
        Subject {
            file: files[0],
            kept: kept.collect(),
            definitions: definitions.collect(),
            data,
            schema,
            program: programs.0,
            evaluation: programs.1,
            run,
            facts: facts(graph, schema, run.is_some()),
            graph,
            made_for,
        }
    }

    /// The layer of a name.
    pub fn definition(&self, name: &str) -> Option<&'a Defined> {
        let own = |d: &&&Defined| d.kind == DefinitionKind::Layer && d.name.text == name;
        self.definitions.iter().find(own).copied()
    }

    /// The data section's line of a key.
    pub fn data_line(&self, key: &str) -> Option<&'a Setting> {
        let settings = self.file.items.iter().flat_map(|item| match item {
            Item::Section(section) if section.name.text == "data" => &section.settings[..],
            _ => &[],
        });
        settings.into_iter().find(|s| s.key.len() == 1 && s.key[0].text == key)
    }

    /// What is known of a node.
    pub fn fact(&self, id: NodeId) -> &Fact {
        &self.facts[id.0 as usize]
    }

    /// The place in the user's files that led to a node.
    pub fn place(&self, id: NodeId) -> Span {
        self.place_of(self.made_for[id.0 as usize])
    }

    /// The place in the user's files that led to a tensor of the program.
    pub fn place_of(&self, id: TensorId) -> Span {
        self.program.callers[id.0 as usize]
    }

    /// The place in the user's files that led to a parameter.
    pub fn place_of_param(&self, param: ParamId) -> Span {
        let own = |t: &crate::ir::model::Tensor| t.definition == Definition::Param(param);
        let tensor = self.program.tensors.iter().position(own);
        tensor.map_or(Span::NOWHERE, |at| self.program.callers[at])
    }

    /// Whether a node belongs to the loss and not to the model.
    pub fn in_loss(&self, id: NodeId) -> bool {
        self.run.is_some() && self.made_for[id.0 as usize].0 as usize >= self.program.loss_from
    }

    /// The needed nodes.
    pub fn needed(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.graph.ids().filter(|&id| self.fact(id).needed)
    }

    /// The needed nodes that use a value, views being seen through.
    pub fn users_behind_views(&self, id: NodeId) -> Vec<NodeId> {
        let mut found = vec![];
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop() {
            for &user in self.fact(id).users.iter().filter(|&&u| self.fact(u).needed) {
                match structure::viewed(self.graph, user) {
                    Some(_) => waiting.push(user),
                    None => found.push(user),
                }
            }
        }
        found
    }

    /// Whether a state of the model, such as a running mean, is updated from a node.
    pub fn keeps(&self, id: NodeId) -> bool {
        let mut seen = vec![];
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop().filter(|_| !self.kept.is_empty()) {
            if self.kept.contains(&id) {
                return true;
            }
            // An update follows its statistic closely; the model's further way is not walked.
            let own = |u: &&NodeId| self.graph.node(**u).shape.len() <= 1 && !seen.contains(*u);
            let next: Vec<NodeId> = self.fact(id).users.iter().filter(own).copied().collect();
            seen.extend(&next);
            waiting.extend(next);
        }
        false
    }
}

impl<'a> Run<'a> {
    /// The first line of a key.
    pub fn line(&self, key: &str) -> Option<&'a Setting> {
        let own = |s: &&Setting| s.key.len() == 1 && s.key[0].text == key && (!s.assigned || s.on.is_empty());
        self.section.settings.iter().find(own)
    }

    /// The optimizer's line, if there is only one; else what is known of the place of an update.
    pub fn update_place(&self, known: Span) -> Span {
        let lines = self.section.settings.iter();
        let mut lines = lines.filter(|s| s.key.len() == 1 && s.key[0].text == "optimizer");
        match (lines.next(), lines.next()) {
            (Some(line), None) => line
                .groups
                .first()
                .and_then(|g| g.first())
                .map_or(line.span, |e| e.span),
            _ => known,
        }
    }

    /// The place of a key's first line, or that of the section.
    pub fn place(&self, key: &str) -> Span {
        self.line(key).map_or(self.section.name.span, |line| line.span)
    }
}

fn facts(graph: &Graph, schema: &Schema, trains: bool) -> Vec<Fact> {
    let known = |name: &str| schema.ranges.iter().find(|(n, _)| n == name);
    let leaf = |node: &crate::ir::graph::Node| match node.op {
        Op::Input(id) => match known(&graph.inputs[id.0 as usize].name) {
            Some((_, (low, high))) => Range::new(*low, *high),
            None => range::of_element(node.element),
        },
        _ => Range::ALL,
    };
    let ranges = range::ranges(graph, &leaf);
    let normalised = structure::normalised(graph, &ranges);
    let mut facts: Vec<Fact> = vec![];
    for ((id, range), normalised) in graph.ids().zip(ranges).zip(normalised) {
        let node = graph.node(id);
        let any = |f: &dyn Fn(&Fact) -> bool| node.operands.iter().any(|o| f(&facts[o.0 as usize]));
        let (trained, fed) = (any(&|f| f.trained), any(&|f| f.fed));
        facts.push(Fact {
            range,
            normalised,
            trained: trained || matches!(node.op, Op::Param(_)),
            fed: fed || matches!(node.op, Op::Input(_)),
            needed: false,
            users: vec![],
        });
        let mut operands = node.operands.clone();
        operands.sort_unstable();
        operands.dedup();
        operands.iter().for_each(|o| facts[o.0 as usize].users.push(id));
    }
    for output in &graph.outputs {
        facts[output.node.0 as usize].needed |= match output.kind {
            OutputKind::Objective | OutputKind::Loss => true,
            OutputKind::Value(_) => !trains,
            _ => false,
        };
    }
    for id in graph.ids().rev() {
        if facts[id.0 as usize].needed {
            let operands = &graph.node(id).operands;
            operands.iter().for_each(|o| facts[o.0 as usize].needed = true);
        }
    }
    facts
}
