//! The standard library's definitions → what people read about them: a list, one definition, the whole page in Markdown.
//! Everything is taken from the definitions themselves. It checks nothing and knows no definition by name.

use crate::ir::ast::{
    BinaryOperator, Definition, DefinitionKind, Expr, ExprKind, Item, Parameter, ParameterKind, StatementKind,
};
use crate::resolve::library::names_in;
use crate::standard;
use crate::text::{FileId, Span};
use std::fmt::Write;

/// The page, from the repository's root.
pub const PAGE: &str = "src/std/REFERENCE.md";
/// The command that writes it anew.
pub const REFRESH: &str = "cargo run --quiet -- std --reference > src/std/REFERENCE.md";

/// A file of the library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chapter {
    /// `std/losses.ms`.
    pub file: &'static str,
    /// The comment at its head.
    pub introduction: String,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// What there is to read about a definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its keyword: `def`, `loss`, …
    pub keyword: &'static str,
    /// Its name.
    pub name: String,
    /// Name and parameters, on one line.
    pub signature: String,
    /// The comment above it.
    pub documentation: String,
    /// All but the tensors that it is applied to.
    pub parameters: Vec<ParameterEntry>,
    /// The definition's own lines, without its requirements: the formula.
    pub lines: String,
}

/// What there is to read about a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParameterEntry {
    /// Its name.
    pub name: String,
    /// `number`, `layer`, `tensor [.., t]` or the words that it may be.
    pub takes: String,
    /// As written; `None` where a value must be given.
    pub default: Option<String>,
    /// What must hold of it, in the words of the `require` lines.
    pub bounds: Vec<String>,
}

/// The library, file by file.
pub fn chapters() -> Vec<Chapter> {
    let mut chapters = vec![];
    for ((file, text), tree) in standard::FILES.iter().zip(standard::trees(FileId(0)).iter()) {
        let definitions = tree.items.iter().filter_map(|item| match item {
            Item::Definition(definition) => Some(entry(definition, text)),
            _ => None,
        });
        let head = text.lines().take_while(|line| line.starts_with('#'));
        let head: Vec<&str> = head.map(|line| line.trim_start_matches('#').trim()).collect();
        chapters.push(Chapter {
            file,
            introduction: head.join(" "),
            entries: definitions.collect(),
        });
    }
    chapters
}

/// What a definition is introduced by.
pub fn keyword(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Layer => "def",
        DefinitionKind::Loss => "loss",
        DefinitionKind::Metric => "metric",
        DefinitionKind::Optimizer => "optimizer",
        DefinitionKind::Schedule => "schedule",
        DefinitionKind::Initialiser => "init",
    }
}

fn entry(definition: &Definition, text: &str) -> Entry {
    let slice = |start: u32, end: u32| &text[start as usize..end as usize];
    let head = slice(definition.name.span.start, definition.body.span.start).trim_end();
    let head = head.trim_end_matches(['=', '{']);
    let bounds = bounds(definition, text);
    let parameters = definition.parameters.iter().enumerate();
    let given = parameters.filter(|(at, p)| p.default.is_some() || !leading(definition, *at));
    Entry {
        keyword: keyword(definition.kind),
        name: definition.name.text.clone(),
        signature: on_one_line(head),
        documentation: definition.documentation.join(" "),
        parameters: given.map(|(_, p)| parameter(p, &bounds, text)).collect(),
        lines: lines(definition, text),
    }
}

/// Whether a parameter is one of the tensors that a definition is applied to.
fn leading(definition: &Definition, at: usize) -> bool {
    let tensor = |p: &Parameter| matches!(p.kind, ParameterKind::Tensor(_)) && p.default.is_none();
    definition.parameters[..=at].iter().all(tensor)
}

fn parameter(parameter: &Parameter, bounds: &[(String, String)], text: &str) -> ParameterEntry {
    let written = |span: Span| on_one_line(&text[span.start as usize..span.end as usize]);
    let name = &parameter.name.text;
    let takes = match &parameter.kind {
        ParameterKind::Tensor(_) => {
            let declared = written(parameter.span);
            let end = declared.find(']').map_or(declared.len(), |at| at + 1);
            format!("tensor {}", &declared[name.len()..end])
        }
        ParameterKind::Layer => "layer".into(),
        ParameterKind::Words(words) => {
            let words: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
            words.join(", ")
        }
        ParameterKind::Steps => "steps or epochs".into(),
        ParameterKind::Number => match &parameter.default {
            Some(Expr { kind, .. }) if matches!(&**kind, ExprKind::Name(n) if n == "true" || n == "false") => {
                "true, false".into()
            }
            _ => "number".into(),
        },
    };
    ParameterEntry {
        name: name.clone(),
        takes,
        default: parameter.default.as_ref().map(|e| written(e.span)),
        bounds: bounds.iter().filter(|b| b.0 == *name).map(|b| b.1.clone()).collect(),
    }
}

/// Each condition of the `require` lines, under every parameter that it names.
fn bounds(definition: &Definition, text: &str) -> Vec<(String, String)> {
    let mut bounds = vec![];
    for statement in &definition.body.statements {
        let StatementKind::Require { condition, .. } = &statement.kind else {
            continue;
        };
        let mut parts = vec![];
        conditions(condition, &mut parts);
        for part in parts {
            let mut names = vec![];
            names_in(part, &mut names);
            let written = on_one_line(&text[part.span.start as usize..part.span.end as usize]);
            let named = definition.parameters.iter().map(|p| &p.name.text);
            bounds.extend(
                named
                    .filter(|p| names.contains(&p.as_str()))
                    .map(|p| (p.clone(), written.clone())),
            );
        }
    }
    bounds
}

fn conditions<'a>(condition: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match &*condition.kind {
        ExprKind::Binary {
            operator: BinaryOperator::And,
            left,
            right,
            ..
        } => {
            conditions(left, parts);
            conditions(right, parts);
        }
        _ => parts.push(condition),
    }
}

/// The text of a definition without the lines of its requirements.
fn lines(definition: &Definition, text: &str) -> String {
    let required = |offset: usize| {
        definition.body.statements.iter().any(|s| {
            matches!(s.kind, StatementKind::Require { .. })
                && (s.span.start as usize..s.span.end as usize).contains(&offset)
        })
    };
    let mut offset = definition.span.start as usize;
    let mut kept = String::new();
    for line in text[offset..definition.span.end as usize].split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if !required(offset + indent) {
            kept += line;
        }
        offset += line.len();
    }
    kept.trim_end().to_string()
}

fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

/// Every definition with the first sentence about it, by files.
pub fn list() -> String {
    let chapters = chapters();
    let names = || chapters.iter().flat_map(|c| &c.entries).map(|e| e.name.len());
    let width = names().max().unwrap_or(0);
    let mut text = String::new();
    for chapter in &chapters {
        let _ = writeln!(text, "{}", chapter.file);
        for entry in &chapter.entries {
            let _ = writeln!(
                text,
                "  {:<9} {:<width$}  {}",
                entry.keyword,
                entry.name,
                entry.first_sentence()
            );
        }
        text.push('\n');
    }
    text + "`mspec std NAME` tells all about one\n"
}

/// The whole library as a page in Markdown.
pub fn page() -> String {
    let mut text = String::from(
        "# The standard library\n\nMade from the definitions in this folder by `mspec std --reference`; `mspec std NAME` \
         shows one of them. Tensors that a\ndefinition is applied to stand first in its brackets; after an arrow the first \
         of them is what flows.\n\n",
    );
    let chapters = chapters();
    for chapter in &chapters {
        let file = chapter.file.trim_start_matches("std/");
        let names: Vec<String> = chapter.entries.iter().map(|e| format!("`{}`", e.name)).collect();
        let _ = writeln!(text, "- [{file}](#{}): {}", file.replace('.', ""), names.join(" "));
    }
    for chapter in &chapters {
        let file = chapter.file.trim_start_matches("std/");
        let _ = write!(text, "\n## {file}\n\n{}\n", chapter.introduction);
        for entry in &chapter.entries {
            text += &entry.markdown();
        }
    }
    text
}

impl Entry {
    /// The first sentence of its documentation.
    pub fn first_sentence(&self) -> &str {
        let text = &self.documentation;
        let end = text.match_indices(". ").map(|(at, _)| at + 1);
        // "et al. 2017" is no end of a sentence.
        let end = end.filter(|at| !text[..*at].ends_with("al.")).min();
        &text[..end.unwrap_or(text.len())]
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "\n### {}\n\n`{} {}`\n\n{}\n\n",
            self.name, self.keyword, self.signature, self.documentation
        );
        if !self.parameters.is_empty() {
            text += "| parameter | takes | default | must hold |\n| --- | --- | --- | --- |\n";
        }
        for p in &self.parameters {
            let code = |text: &str| format!("`{text}`");
            let bounds: Vec<String> = p.bounds.iter().map(|b| code(b)).collect();
            let default = p.default.as_deref().map_or("needed".into(), code);
            let cells = [code(&p.name), p.takes.clone(), default, bounds.join(", ")];
            let _ = writeln!(text, "| {} |", cells.join(" | ").trim_end());
        }
        if !self.parameters.is_empty() {
            text.push('\n');
        }
        let _ = write!(text, "```\n{}\n```\n", self.lines);
        text
    }

    /// All about it, for a terminal.
    pub fn text(&self, file: &str) -> String {
        let mut text = format!("{} {}\n{file}\n\n", self.keyword, self.signature);
        for line in wrapped(&self.documentation, 100) {
            let _ = writeln!(text, "{line}");
        }
        let width = self.parameters.iter().map(|p| p.name.len()).max().unwrap_or(0);
        if !self.parameters.is_empty() {
            text.push('\n');
        }
        for p in &self.parameters {
            let default = p.default.as_deref().map_or("needed".into(), |d| format!("default {d}"));
            let mut about = vec![p.takes.clone(), default];
            about.extend(p.bounds.iter().cloned());
            let _ = writeln!(text, "  {:<width$}  {}", p.name, about.join("; "));
        }
        text.push('\n');
        for line in self.lines.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text
    }
}

/// A text in lines of at most so many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_string());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}
