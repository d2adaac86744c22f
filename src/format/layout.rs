//! Lines of nodes → text: where a line breaks, how far it is indented, which values stand in one column.
//!
//! A statement stays as its author broke it, before `->` and in braces, unless a line of it is too long: then its
//! blocks, its arrows or both, and last its parentheses are broken. A second pass finds what the first one made and
//! keeps it.

use super::WIDTH;
use super::space::{Before, before_group, before_leaf, is_reduction};
use super::tree::{Leaf, Line, Node};

const INDENT: usize = 4;

/// The text of a whole file.
pub fn file(lines: &[Line]) -> String {
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        text.push_str(if line.blank_before && i > 0 { "\n" } else { "" });
        write_line(&mut text, line, 0, Setting::of_item(line));
    }
    text
}

/// Whether a line is a setting, and where its value starts.
#[derive(Clone, Copy)]
enum Setting {
    /// A statement or a definition.
    No,
    /// A section's head: its block holds settings.
    Section,
    /// The value starts at this column behind the indent; right behind the key if 0.
    Value(usize),
    /// A line of a block within a section, whose `=` stands at this column behind the indent.
    Assigned(usize),
}

impl Setting {
    fn of_item(line: &Line) -> Setting {
        match line.nodes.first() {
            Some(Node::Leaf(leaf)) if matches!(leaf.text, "data" | "train" | "tune") => Setting::Section,
            _ => Setting::No,
        }
    }
}

/// How a statement is broken.
#[derive(Clone, Copy)]
struct Choice {
    /// Before every `->` that stands in no bracket.
    arrows: bool,
    /// Every block that stands in no parentheses.
    blocks: bool,
    /// Round brackets of at least this many columns.
    groups: usize,
}

fn write_lines(text: &mut String, lines: &[Line], depth: usize, settings: bool) {
    let columns = if settings { columns(lines, depth) } else { vec![] };
    for (i, line) in lines.iter().enumerate() {
        text.push_str(if line.blank_before && i > 0 { "\n" } else { "" });
        write_line(text, line, depth, columns.get(i).copied().unwrap_or(Setting::No));
    }
}

/// Where the value of each setting starts, or of a line of `grid` and its like the `=`: behind the longest key of the lines
/// that no empty line parts.
fn columns(lines: &[Line], depth: usize) -> Vec<Setting> {
    let mut columns = vec![Setting::Value(0); lines.len()];
    let mut start = 0;
    for end in 1..=lines.len() {
        if end < lines.len() && !lines[end].blank_before {
            continue;
        }
        let keys = lines[start..end].iter().filter_map(key_before_value);
        let widest = keys.map(str::len).max().unwrap_or(0);
        columns[start..end].fill(Setting::Value(widest + 1));
        if depth > 1 {
            let paths = lines[start..end].iter().map(path_before_equals);
            let widest = paths.clone().flatten().max().unwrap_or(0);
            for (column, _) in columns[start..end]
                .iter_mut()
                .zip(paths)
                .filter(|(_, path)| path.is_some())
            {
                *column = Setting::Assigned(widest + 1);
            }
        }
        start = end;
    }
    columns
}

/// The key of a setting that has a value to be aligned: not `key = …`, `a.b = …`, `key(…)` or `key { … }`.
fn key_before_value<'a>(line: &Line<'a>) -> Option<&'a str> {
    let [Node::Leaf(key), value, ..] = line.nodes.as_slice() else {
        return None;
    };
    let aligned = match value {
        Node::Leaf(leaf) => !matches!(leaf.text, "=" | "."),
        Node::Group { open, .. } => !open.attached,
        Node::Block { .. } | Node::Comment { .. } => false,
    };
    aligned.then_some(key.text)
}

/// How long the path in front of an `=` is, as `train.optimizer.lr = …`.
fn path_before_equals(line: &Line) -> Option<usize> {
    let mut length = 0;
    for node in &line.nodes {
        match node {
            Node::Leaf(leaf) if leaf.text == "=" => return (length > 0).then_some(length),
            Node::Leaf(leaf) => length += leaf.text.len(),
            _ => return None,
        }
    }
    None
}

fn write_line(text: &mut String, line: &Line, depth: usize, setting: Setting) {
    if line.nodes.is_empty() {
        text.push_str(&" ".repeat(INDENT * depth));
    } else {
        let choice = choose(&line.nodes, depth, setting);
        let mut writer = Writer::new(depth, choice, false, std::mem::take(text));
        writer.statement(&line.nodes, setting);
        *text = writer.text;
    }
    if let Some(comment) = line.comment {
        text.push_str(if line.nodes.is_empty() { "" } else { "  " });
        text.push_str(comment);
    }
    text.push('\n');
}

/// The first way of breaking that keeps all lines short, else the one with the shortest lines.
fn choose(nodes: &[Node], depth: usize, setting: Setting) -> Choice {
    let whole = usize::MAX;
    let choice = |arrows, blocks, groups| Choice { arrows, blocks, groups };
    let mut choices = vec![
        choice(false, false, whole),
        choice(false, true, whole),
        choice(true, false, whole),
        choice(true, true, whole),
    ];
    let width = |choice: Choice, nodes: &[Node], setting| {
        let mut writer = Writer::new(depth, choice, true, String::new());
        writer.statement(nodes, setting);
        writer.end_line();
        writer.widest
    };
    let mut groups: Vec<usize> = nodes
        .iter()
        .filter(|n| matches!(n, Node::Group { open, .. } if open.text == "("))
        .map(|n| width(choices[0], std::slice::from_ref(n), Setting::No) - INDENT * depth)
        .collect();
    groups.sort_unstable_by(|a, b| b.cmp(a));
    groups.dedup();
    choices.extend(groups.into_iter().take(3).map(|least| choice(true, true, least)));
    let mut best = (usize::MAX, choices[0]);
    for choice in choices {
        let widest = width(choice, nodes, setting);
        if widest < best.0 {
            best = (widest, choice);
        }
        if widest <= WIDTH {
            break;
        }
    }
    best.1
}

/// A statement on its way into text.
struct Writer {
    text: String,
    /// Where the current line starts in the text.
    line_start: usize,
    /// Of the current line, in levels.
    depth: usize,
    /// Of the statement's first line.
    base: usize,
    choice: Choice,
    /// Only the width counts: what stands between the braces of a broken block is left out.
    measuring: bool,
    /// Of the statement's own lines.
    widest: usize,
    before: Before,
}

impl Writer {
    fn new(depth: usize, choice: Choice, measuring: bool, mut text: String) -> Writer {
        let line_start = text.len();
        text.push_str(&" ".repeat(INDENT * depth));
        Writer {
            text,
            line_start,
            depth,
            base: depth,
            choice,
            measuring,
            widest: 0,
            before: Before::Start,
        }
    }

    fn statement(&mut self, nodes: &[Node], setting: Setting) {
        for (i, node) in nodes.iter().enumerate() {
            if i == 1
                && let (Setting::Value(column), Node::Leaf(key)) = (setting, &nodes[0])
                && !matches!(node, Node::Leaf(leaf) if matches!(leaf.text, "=" | "."))
                && !matches!(node, Node::Block { .. })
                && !matches!(node, Node::Group { open, .. } if open.attached)
            {
                self.text
                    .push_str(&" ".repeat(column.saturating_sub(key.text.len()).max(1)));
                self.before = Before::Start;
            }
            if let (Setting::Assigned(column), Node::Leaf(leaf)) = (setting, node)
                && leaf.text == "="
                && !nodes[..i]
                    .iter()
                    .any(|n| matches!(n, Node::Leaf(leaf) if leaf.text == "="))
            {
                let used = self.text.len() - self.line_start - INDENT * self.depth;
                self.text.push_str(&" ".repeat(column.saturating_sub(used)));
                self.before = Before::Start;
            }
            if i == 2 && self.base == 0 && matches!(node, Node::Group { .. }) {
                // Behind the name of a definition or a model, where the grammar allows both.
                self.before = Before::Tight;
            }
            self.top_node(node, i == 0, !matches!(setting, Setting::No));
        }
    }

    /// A node that stands in no bracket of the statement.
    fn top_node(&mut self, node: &Node, first: bool, settings: bool) {
        match node {
            Node::Leaf(leaf) if leaf.text == "->" && !first && (leaf.first || self.choice.arrows) => {
                self.new_line(self.base + 1);
                self.leaf(leaf);
            }
            Node::Comment { text, own_line } => match own_line {
                true => {
                    self.new_line(self.base + 1);
                    self.text.push_str(text);
                }
                false => self.comment(text),
            },
            Node::Block { comment, lines, broken } => {
                self.block(*comment, lines, *broken || self.choice.blocks, settings);
            }
            Node::Group { open, nodes } if open.text == "(" && self.choice.groups < usize::MAX => {
                let from = self.text.len();
                let (before, widest) = (self.before, self.widest);
                self.group(open, nodes, false);
                let wide = self.text[from..].trim_start().chars().count() >= self.choice.groups;
                if wide && !self.text[from..].contains('\n') {
                    self.text.truncate(from);
                    (self.before, self.widest) = (before, widest);
                    self.group(open, nodes, true);
                }
            }
            other => self.inner_node(other),
        }
    }

    fn inner_node(&mut self, node: &Node) {
        match node {
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::Comment { text, .. } => self.comment(text),
            Node::Group { open, nodes } => self.group(open, nodes, false),
            Node::Block { comment, lines, broken } => self.block(*comment, lines, *broken, false),
        }
    }

    fn leaf(&mut self, leaf: &Leaf) {
        let (space, now) = before_leaf(self.before, leaf);
        self.text.push_str(if space { " " } else { "" });
        self.text.push_str(leaf.text);
        self.before = now;
    }

    fn comment(&mut self, text: &str) {
        let at_start = self.text[self.line_start..].trim().is_empty();
        self.text.push_str(if at_start { "" } else { "  " });
        self.text.push_str(text);
    }

    /// Ends the current line where it is measured.
    fn end_line(&mut self) {
        let width = self.text[self.line_start..].chars().count();
        self.widest = self.widest.max(width);
    }

    fn new_line(&mut self, depth: usize) {
        self.end_line();
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
        self.line_start = self.text.len();
        self.depth = depth;
        self.text.push_str(&" ".repeat(INDENT * depth));
        self.before = Before::Start;
    }

    fn group(&mut self, open: &Leaf, nodes: &[Node], broken: bool) {
        let space = before_group(self.before, open);
        let reduction = self.before_is_reduction(open);
        self.text.push_str(if space { " " } else { "" });
        self.text.push_str(open.text);
        self.before = Before::Start;
        let commented = nodes.iter().any(|n| matches!(n, Node::Comment { .. }));
        if (broken || commented) && !nodes.is_empty() {
            let depth = self.depth;
            self.filled(nodes, depth + 1);
            self.new_line(depth);
        } else {
            nodes.iter().for_each(|node| self.inner_node(node));
        }
        self.text.push_str(if open.text == "(" { ")" } else { "]" });
        self.before = if reduction { Before::Reduction } else { Before::Close };
    }

    fn before_is_reduction(&self, open: &Leaf) -> bool {
        let start = self.text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let word = &self.text[start.map_or(0, |at| at + 1)..];
        open.text == "[" && open.attached && is_reduction(word)
    }

    /// What stands between commas, as much in a line as fits.
    fn filled(&mut self, nodes: &[Node], depth: usize) {
        self.new_line(depth);
        let mut must_break = false;
        let is_comma = |node: &Node| matches!(node, Node::Leaf(leaf) if leaf.text == ",");
        for item in nodes.split_inclusive(is_comma) {
            let mut probe = Writer::new(0, self.choice, true, String::new());
            item.iter().for_each(|node| probe.inner_node(node));
            probe.end_line();
            let used = self.text[self.line_start..].chars().count();
            if used > INDENT * depth && used + 1 + probe.widest > WIDTH {
                must_break = true;
            }
            for node in item {
                let own_line = matches!(node, Node::Comment { own_line: true, .. });
                if std::mem::take(&mut must_break) || own_line && self.text.len() > self.line_start + INDENT * depth {
                    self.new_line(depth);
                }
                self.inner_node(node);
                must_break = matches!(node, Node::Comment { .. });
            }
        }
    }

    fn block(&mut self, comment: Option<&str>, lines: &[Line], broken: bool, settings: bool) {
        let space = !matches!(self.before, Before::Start | Before::Tight);
        self.text.push_str(if space { " {" } else { "{" });
        self.before = Before::Start;
        if lines.is_empty() && comment.is_none() {
            self.text.push('}');
        } else if broken || comment.is_some() {
            let depth = self.depth;
            self.end_line();
            if let Some(comment) = comment {
                self.text.push_str("  ");
                self.text.push_str(comment);
            }
            self.text.push('\n');
            if !self.measuring {
                write_lines(&mut self.text, lines, depth + 1, settings);
            }
            self.line_start = self.text.len();
            self.text.push_str(&" ".repeat(INDENT * depth));
            self.text.push('}');
        } else {
            for (i, line) in lines.iter().enumerate() {
                self.text.push_str(if i > 0 { " ; " } else { " " });
                self.before = Before::Start;
                line.nodes.iter().for_each(|node| self.inner_node(node));
            }
            self.text.push_str(" }");
        }
        self.before = Before::Brace;
    }
}
