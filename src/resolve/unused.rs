//! Names in the user's own files that nothing mentions: definitions, their parameters, and what their bodies and the
//! blocks of a model name. Often a typing slip.

use crate::ir::ast::{
    Block, Definition, DefinitionKind, Expr, ExprKind, File, Index, Item, Name, Parameter, ParameterKind, Section,
    Statement, StatementKind,
};
use crate::text::{Code, Diagnostic, Diagnostics};
use std::collections::HashSet;

/// Warns of definitions in a file that nothing calls, and of their parameters and sizes that nothing reads.
pub fn warn(file: &File, others: &[&File], diagnostics: &mut Diagnostics) {
    let mut called = Mentions::default();
    let items = file.items.iter().chain(others.iter().flat_map(|f| &f.items));
    for item in items {
        match item {
            Item::Model(model) => called.block(&model.body),
            Item::Section(section) => called.section(section),
            Item::Definition(definition) => called.definition(definition),
            Item::Import { .. } => {}
        }
    }
    for item in &file.items {
        let Item::Definition(definition) = item else { continue };
        let name = &definition.name;
        if !called.0.contains(name.text.as_str()) {
            let message = format!("nothing uses `{}`", name.text);
            let help = "a definition is checked where it is used: use it, or remove it";
            diagnostics.push(Diagnostic::new(Code::Unused, name.span, message).help(help));
        }
        parameters(definition, diagnostics);
        let mut read = Mentions::default();
        read.definition(definition);
        names(&definition.body, &read, diagnostics);
    }
    // The names of the model's own level are told when it is resolved; here follow those of its blocks.
    for item in &file.items {
        if let Item::Model(model) = item {
            let inner = model.body.statements.iter().flat_map(|s| blocks(s));
            inner.for_each(|block| names(block, &called, diagnostics));
        }
    }
}

/// Warns of values, parameters and states that a block defines and nothing mentions; the last line is its value.
fn names(block: &Block, read: &Mentions<'_>, diagnostics: &mut Diagnostics) {
    let mut unused = |name: &Name| {
        if !read.0.contains(name.text.as_str()) {
            let message = format!("`{}` is never used", name.text);
            diagnostics.push(Diagnostic::new(Code::Unused, name.span, message).help("remove it, or use it"));
        }
    };
    for (at, statement) in block.statements.iter().enumerate() {
        match &statement.kind {
            StatementKind::Equation { name, .. } if at + 1 < block.statements.len() => unused(name),
            StatementKind::Param(list) => list.iter().for_each(|p| unused(&p.name)),
            StatementKind::State(list) | StatementKind::Carry(list) => list.iter().for_each(|s| unused(&s.name)),
            _ => {}
        }
    }
    for statement in &block.statements {
        blocks(statement)
            .into_iter()
            .for_each(|inner| names(inner, read, diagnostics));
    }
}

/// The blocks right inside of a statement.
fn blocks(statement: &Statement) -> Vec<&Block> {
    let mut found = vec![];
    match &statement.kind {
        StatementKind::Value(e) | StatementKind::Penalty(e) | StatementKind::Yield(e) => blocks_in(e, &mut found),
        StatementKind::Equation { value, .. } | StatementKind::Update { value, .. } => blocks_in(value, &mut found),
        _ => {}
    }
    found
}

fn blocks_in<'a>(expr: &'a Expr, found: &mut Vec<&'a Block>) {
    match &*expr.kind {
        ExprKind::Block(block) => found.push(block),
        ExprKind::Repeat { body, .. } | ExprKind::Scan { body, .. } => found.push(body),
        ExprKind::If { then, otherwise, .. } => found.extend([then].into_iter().chain(otherwise)),
        ExprKind::Flow { value, layer } => {
            blocks_in(value, found);
            blocks_in(layer, found);
        }
        ExprKind::Named { layer, .. } => blocks_in(layer, found),
        ExprKind::Unary { operand, .. } => blocks_in(operand, found),
        ExprKind::Binary { left, right, .. } => {
            blocks_in(left, found);
            blocks_in(right, found);
        }
        ExprKind::Call { callee, arguments } => {
            blocks_in(callee, found);
            arguments.iter().for_each(|a| blocks_in(&a.value, found));
        }
        _ => {}
    }
}

fn parameters(definition: &Definition, diagnostics: &mut Diagnostics) {
    let mut read = Mentions::default();
    read.block(&definition.body);
    for parameter in &definition.parameters {
        read.parameter(parameter);
    }
    let mut unused = |name: &str, what: &str, span| {
        let message = format!("the {what} `{name}` is never used");
        diagnostics.push(Diagnostic::new(Code::Unused, span, message).help("remove it, or use it"));
    };
    for (at, parameter) in definition.parameters.iter().enumerate() {
        // An initialiser's head names the parameter that it starts, for its fans.
        let headed = at == 0 && definition.kind == DefinitionKind::Initialiser;
        // What a phase of a schedule lasts is known by this name.
        let lasting = definition.kind == DefinitionKind::Schedule && parameter.name.text == "length";
        if !headed && !lasting && !read.0.contains(parameter.name.text.as_str()) {
            unused(&parameter.name.text, "parameter", parameter.name.span);
        }
        let ParameterKind::Tensor(indices) = &parameter.kind else {
            continue;
        };
        for bound in indices.iter().filter_map(bound_of) {
            if let ExprKind::Name(size) = &*bound.kind
                && !read.0.contains(size.as_str())
                && !definition.parameters.iter().any(|p| p.name.text == *size)
            {
                unused(size, "size", bound.span);
            }
        }
    }
}

fn bound_of(index: &Index) -> Option<&Expr> {
    match index {
        Index::Named { bound, .. } => bound.as_ref(),
        _ => None,
    }
}

/// Every name that a text mentions.
#[derive(Default)]
struct Mentions<'a>(HashSet<&'a str>);

impl<'a> Mentions<'a> {
    fn definition(&mut self, definition: &'a Definition) {
        definition.parameters.iter().for_each(|p| self.parameter(p));
        self.block(&definition.body);
    }

    /// What a parameter reads; the sizes that its own bracket names are not read by that.
    fn parameter(&mut self, parameter: &'a Parameter) {
        parameter.default.iter().for_each(|e| self.expr(e));
        if let ParameterKind::Tensor(indices) = &parameter.kind {
            for bound in indices.iter().filter_map(bound_of) {
                if !matches!(&*bound.kind, ExprKind::Name(_)) {
                    self.expr(bound);
                }
            }
        }
    }

    fn section(&mut self, section: &'a Section) {
        for setting in &section.settings {
            let groups = setting.groups.iter().flatten();
            groups.chain(&setting.on).for_each(|e| self.expr(e));
        }
    }

    fn block(&mut self, block: &'a Block) {
        block.statements.iter().for_each(|s| self.statement(s));
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Value(e) | StatementKind::Penalty(e) | StatementKind::Yield(e) => self.expr(e),
            StatementKind::Equation { indices, value, .. } => {
                indices.iter().flatten().for_each(|i| self.index(i));
                self.expr(value);
            }
            StatementKind::Update { name, indices, value } => {
                self.0.insert(&name.text);
                indices.iter().flatten().for_each(|i| self.index(i));
                self.expr(value);
            }
            StatementKind::Require { condition, .. } => self.expr(condition),
            StatementKind::Param(list) => list.iter().for_each(|p| {
                p.indices.iter().for_each(|i| self.index(i));
                self.expr(&p.initialiser);
            }),
            StatementKind::State(list) | StatementKind::Carry(list) => list.iter().for_each(|s| {
                s.indices.iter().flatten().for_each(|i| self.index(i));
                self.expr(&s.value);
            }),
        }
    }

    fn index(&mut self, index: &'a Index) {
        match index {
            Index::Rest(_) => {}
            Index::Named { name, bound } => {
                self.0.insert(&name.text);
                bound.iter().for_each(|e| self.expr(e));
            }
            Index::Joined { parts, .. } => parts.iter().for_each(|p| self.index(p)),
            Index::Computed(expr) => self.expr(expr),
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &*expr.kind {
            ExprKind::Name(name) => {
                self.0.insert(name);
            }
            ExprKind::Number { .. } | ExprKind::Text(_) | ExprKind::Wrong => {}
            ExprKind::Each(name) => {
                self.0.insert(&name.text);
            }
            ExprKind::List(list) => list.iter().for_each(|e| self.expr(e)),
            ExprKind::Element { base, indices } => {
                self.expr(base);
                indices.iter().for_each(|i| self.index(i));
            }
            ExprKind::Member { base, .. } => self.expr(base),
            ExprKind::Call { callee, arguments } => {
                self.expr(callee);
                arguments.iter().for_each(|a| self.expr(&a.value));
            }
            ExprKind::Unary { operand, .. } => self.expr(operand),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Reduce {
                indices,
                condition,
                operand,
                ..
            } => {
                indices.iter().for_each(|i| self.index(i));
                condition.iter().chain(operand).for_each(|e| self.expr(e));
            }
            ExprKind::Otherwise { value, otherwise } => {
                self.expr(value);
                self.expr(otherwise);
            }
            ExprKind::Flow { value, layer } => {
                self.expr(value);
                self.expr(layer);
            }
            ExprKind::Named { layer, .. } => self.expr(layer),
            ExprKind::Block(b) => self.block(b),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.block(then);
                otherwise.iter().for_each(|b| self.block(b));
            }
            ExprKind::Repeat { count, body, .. } => {
                self.expr(count);
                self.block(body);
            }
            ExprKind::Scan { body, .. } => self.block(body),
        }
    }
}
