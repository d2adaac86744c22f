//! All definitions that a spec sees: its own, those of its imports, and the standard library.

use crate::ir::ast::{
    Definition, DefinitionKind, Expr, ExprKind, File, Index, Item, ParameterKind, Statement, StatementKind,
};
use crate::text::{Code, Diagnostic, Diagnostics, Span};
use std::collections::HashMap;

/// Definitions by kind and name. The spec's own hide imported ones, and these the library's.
#[derive(Debug, Default)]
pub struct Library<'a> {
    definitions: HashMap<(DefinitionKind, &'a str), &'a Definition>,
    recursive: Vec<&'a Definition>,
}

impl<'a> Library<'a> {
    /// Collects the definitions of files, the nearest first.
    pub fn new(files: &[&'a File], diagnostics: &mut Diagnostics) -> Library<'a> {
        let mut library = Library::default();
        for file in files {
            let mut here: HashMap<(DefinitionKind, &str), &Definition> = HashMap::new();
            for item in &file.items {
                let Item::Definition(definition) = item else { continue };
                let key = (definition.kind, definition.name.text.as_str());
                if let Some(earlier) = here.get(&key) {
                    diagnostics.push(
                        Diagnostic::new(
                            Code::DuplicateName,
                            definition.name.span,
                            format!("`{}` is defined twice", key.1),
                        )
                        .note(earlier.name.span, "first defined here"),
                    );
                    continue;
                }
                here.insert(key, definition);
                library.definitions.entry(key).or_insert(definition);
            }
        }
        library.refuse_recursion(diagnostics);
        library
    }

    /// The definition of a name, by the kinds that fit the place, in this order.
    pub fn find(&self, name: &str, kinds: &[DefinitionKind]) -> Option<&'a Definition> {
        kinds
            .iter()
            .find_map(|kind| self.definitions.get(&(*kind, name)).copied())
    }

    /// Whether a name is an index in the head of the definition that a place is in.
    pub fn is_index_of_head(&self, name: &str, place: Span) -> bool {
        let around = |d: &&&Definition| d.span.file == place.file && (d.span.start..d.span.end).contains(&place.start);
        let heads = self.definitions.values().filter(around).flat_map(|d| &d.parameters);
        let mut indices = heads.flat_map(|p| match &p.kind {
            ParameterKind::Tensor(indices) => &indices[..],
            _ => &[],
        });
        indices.any(|index| matches!(index, Index::Named { name: known, .. } if known.text == name))
    }

    /// What kind of definition a name has, for messages.
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        let kinds = [
            (DefinitionKind::Layer, "a layer"),
            (DefinitionKind::Loss, "a loss"),
            (DefinitionKind::Metric, "a metric"),
            (DefinitionKind::Optimizer, "an optimizer"),
            (DefinitionKind::Schedule, "a schedule"),
            (DefinitionKind::Initialiser, "an initialiser"),
        ];
        kinds
            .iter()
            .find(|k| self.definitions.contains_key(&(k.0, name)))
            .map(|k| k.1)
    }

    /// Whether a definition was reported to lead back to itself, so that it can't be expanded.
    pub fn is_recursive(&self, definition: &Definition) -> bool {
        self.recursive.iter().any(|r| std::ptr::eq(*r, definition))
    }

    /// Names of these kinds, sorted.
    pub fn names(&self, kinds: &[DefinitionKind]) -> Vec<String> {
        let mut names: Vec<String> = self
            .definitions
            .keys()
            .filter(|(k, _)| kinds.contains(k))
            .map(|(_, n)| n.to_string())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Reports every definition that leads back to itself.
    fn refuse_recursion(&mut self, diagnostics: &mut Diagnostics) {
        let mut order: Vec<&Definition> = self.definitions.values().copied().collect();
        order.sort_by_key(|d| d.span);
        let mut state: HashMap<*const Definition, bool> = HashMap::new();
        let mut recursive: Vec<&Definition> = vec![];
        for &start in &order {
            // An explicit stack: the chain of definitions may be longer than the machine's.
            let mut stack = vec![(start, self.called(start), 0)];
            if state.contains_key(&(start as *const _)) {
                continue;
            }
            state.insert(start, false);
            while let Some((definition, called, at)) = stack.last_mut() {
                let Some(&next) = called.get(*at) else {
                    state.insert(*definition as *const _, true);
                    stack.pop();
                    continue;
                };
                *at += 1;
                match state.get(&(next as *const _)) {
                    None => {
                        state.insert(next, false);
                        let called = self.called(next);
                        stack.push((next, called, 0));
                    }
                    Some(false) => recursive.push(next),
                    Some(true) => {}
                }
            }
        }
        for definition in &recursive {
            let name = &definition.name;
            diagnostics.push(
                Diagnostic::new(
                    Code::Recursion,
                    name.span,
                    format!("`{}` leads back to itself", name.text),
                )
                .help("definitions can't be recursive: compile time is total; use `repeat`"),
            );
        }
        self.recursive = recursive;
    }

    fn called(&self, definition: &'a Definition) -> Vec<&'a Definition> {
        let mut names = vec![];
        for parameter in &definition.parameters {
            parameter.default.iter().for_each(|e| names_in(e, &mut names));
        }
        definition
            .body
            .statements
            .iter()
            .for_each(|s| names_in_statement(s, &mut names));
        let parameters: Vec<&str> = definition.parameters.iter().map(|p| p.name.text.as_str()).collect();
        let kinds = callable_from(definition.kind);
        // In a schedule `step` is the number, also where a schedule of that name exists.
        let number = |n: &&str| definition.kind == DefinitionKind::Schedule && *n == "step";
        let mut called: Vec<&Definition> = names
            .into_iter()
            .filter(|n| !parameters.contains(n) && !number(n))
            .filter_map(|n| self.find(n, kinds))
            .collect();
        called.sort_by_key(|d| d.span);
        called.dedup_by_key(|d| d.span);
        called
    }
}

/// The kinds of definitions that a body of a kind may call, the nearest first.
pub fn callable_from(kind: DefinitionKind) -> &'static [DefinitionKind] {
    use DefinitionKind::*;
    match kind {
        Layer | Optimizer => &[Layer],
        Loss => &[Layer, Loss],
        Metric => &[Layer, Loss, Metric],
        Schedule => &[Schedule],
        Initialiser => &[Initialiser],
    }
}

fn names_in_statement<'a>(statement: &'a Statement, names: &mut Vec<&'a str>) {
    match &statement.kind {
        StatementKind::Value(e) | StatementKind::Penalty(e) | StatementKind::Yield(e) => names_in(e, names),
        StatementKind::Equation { value, .. } | StatementKind::Update { value, .. } => names_in(value, names),
        StatementKind::Require { condition, .. } => names_in(condition, names),
        StatementKind::Param(list) => list.iter().for_each(|p| names_in(&p.initialiser, names)),
        StatementKind::State(list) | StatementKind::Carry(list) => list.iter().for_each(|s| names_in(&s.value, names)),
    }
}

/// Every name that an expression mentions.
pub fn names_in<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    let block = |b: &'a crate::ir::ast::Block, names: &mut Vec<&'a str>| {
        b.statements.iter().for_each(|s| names_in_statement(s, names));
    };
    match &*expr.kind {
        ExprKind::Name(name) => names.push(name),
        ExprKind::Number { .. } | ExprKind::Text(_) | ExprKind::Each(_) | ExprKind::Wrong => {}
        ExprKind::List(list) => list.iter().for_each(|e| names_in(e, names)),
        ExprKind::Element { base, .. } | ExprKind::Member { base, .. } => names_in(base, names),
        ExprKind::Call { callee, arguments } => {
            names_in(callee, names);
            arguments.iter().for_each(|a| names_in(&a.value, names));
        }
        ExprKind::Unary { operand, .. } => names_in(operand, names),
        ExprKind::Binary { left, right, .. } => {
            names_in(left, names);
            names_in(right, names);
        }
        ExprKind::Reduce { condition, operand, .. } => {
            condition.iter().chain(operand).for_each(|e| names_in(e, names));
        }
        ExprKind::Otherwise { value, otherwise } => {
            names_in(value, names);
            names_in(otherwise, names);
        }
        ExprKind::Flow { value, layer } => {
            names_in(value, names);
            names_in(layer, names);
        }
        ExprKind::Named { layer, .. } => names_in(layer, names),
        ExprKind::Block(b) => block(b, names),
        ExprKind::If {
            condition,
            then,
            otherwise,
        } => {
            names_in(condition, names);
            block(then, names);
            otherwise.iter().for_each(|b| block(b, names));
        }
        ExprKind::Repeat { count, body, .. } => {
            names_in(count, names);
            block(body, names);
        }
        ExprKind::Scan { body, .. } => block(body, names),
    }
}
