//! Diagnostics → what people read in a terminal (rustc's look) and what tools read (JSON).
//! Knows spans and texts only; never a stage's data, never whether the terminal has colours.

use super::{Diagnostic, Diagnostics, FileId, Fix, Label, Severity, Sources, Span};
use crate::text::source::SourceFile;
use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

/// Columns of a rendered text, whatever the terminal has: the same spec gives the same text everywhere.
const WIDTH: usize = 120;

/// A line with more bytes is shown in part.
const LONG_LINE: usize = 1000;

/// Bytes that are shown of a long line, before and behind the start of a label.
const EXCERPT: (usize, usize) = (60, 100);

/// All diagnostics, warnings first so that what stops the compilation stands last, and a line that counts them.
/// Empty if there is nothing to say.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let mut list: Vec<&Diagnostic> = diagnostics.iter().collect();
    list.sort_by_key(|d| d.severity);
    let mut result = String::new();
    for diagnostic in list {
        let rendered = renderer.render(&groups(diagnostic, sources));
        let lines = rendered.lines().filter(|line| !is_empty_path(line));
        lines.for_each(|line| result.extend([line.trim_end(), "\n"]));
        result.push('\n');
    }
    if let Some(summary) = summary(diagnostics) {
        result.push_str(&summary);
        result.push('\n');
    }
    result
}

/// Whether this is the `:::` that leads to a snippet whose place was already told.
fn is_empty_path(line: &str) -> bool {
    let mut escaped = false;
    let visible = line.chars().filter(|c| {
        let shown = !escaped && *c != '\u{1b}';
        escaped = *c == '\u{1b}' || (escaped && *c != 'm');
        shown && *c != ' '
    });
    visible.eq(":::".chars())
}

/// "2 errors, 1 warning"; `None` if there is nothing to say.
pub fn summary(diagnostics: &Diagnostics) -> Option<String> {
    let count = |severity: Severity, word: &str| {
        let (told, more) = (diagnostics.told(severity), diagnostics.more(severity));
        let plural = if told == 1 { "" } else { "s" };
        match (told, more) {
            (0, _) => None,
            (_, 0) => Some(format!("{told} {word}{plural}")),
            _ => Some(format!("{} {word}{plural}, the first {told} are shown", told + more)),
        }
    };
    let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// An array with an object for each diagnostic, in the order found. A place that no text stands behind is `null`.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let one = |d: &Diagnostic| {
        let (primary, library) = places(d, sources);
        let mut value = json!({
            "code": d.code.to_string(),
            "severity": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": d.message,
        });
        merge(&mut value, place(primary.span, sources));
        let secondary = d.secondary.iter().filter(|l| !std::ptr::eq(*l, primary));
        let labels = std::iter::once(primary).chain(library).chain(secondary).map(|label| {
            let mut value = json!({ "text": label.text, "primary": std::ptr::eq(label, primary) });
            merge(&mut value, place(label.span, sources));
            value
        });
        value["labels"] = labels.collect();
        value["help"] = d.help.clone().into();
        value["fix"] = d.fix.as_ref().map_or(Value::Null, |fix| {
            let mut value = json!({ "replacement": fix.replacement });
            merge(&mut value, place(fix.span, sources));
            value
        });
        value
    };
    diagnostics.iter().map(one).collect()
}

fn merge(value: &mut Value, other: Value) {
    if let (Value::Object(value), Value::Object(other)) = (value, other) {
        value.extend(other);
    }
}

fn place(span: Span, sources: &Sources) -> Value {
    let Some(file) = sources.file(span.file) else {
        return json!({ "file": null, "line": null, "column": null, "end_line": null, "end_column": null });
    };
    let (line, column) = sources.position(span);
    let (end_line, end_column) = sources.position(Span {
        start: span.end,
        ..span
    });
    json!({ "file": file.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column })
}

/// The place to show first, and the library's place if the user's own one takes its part.
fn places<'d>(diagnostic: &'d Diagnostic, sources: &Sources) -> (&'d Label, Option<&'d Label>) {
    let own = |label: &&Label| sources.file(label.span.file).is_some_and(|file| !file.library);
    let primary = &diagnostic.primary;
    match diagnostic.secondary.iter().find(own) {
        Some(user) if !own(&primary) => (user, Some(primary)),
        _ => (primary, None),
    }
}

/// The diagnostic as annotate-snippets knows it: the places in the user's files, then remarks without a place, then
/// those in the standard library, then help.
fn groups<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let (primary, moved) = places(diagnostic, sources);
    let in_library = |label: &&Label| sources.file(label.span.file).is_some_and(|file| file.library);
    // A mistake in the library itself is shown there like any other.
    let apart = !in_library(&primary);
    let secondary = diagnostic.secondary.iter().filter(|l| !std::ptr::eq(*l, primary));
    let (library, beside): (Vec<&Label>, Vec<&Label>) =
        moved.into_iter().chain(secondary).partition(|l| apart && in_library(l));
    let mut shown = vec![(primary, AnnotationKind::Primary)];
    shown.extend(beside.into_iter().map(|l| (l, AnnotationKind::Context)));
    let nowhere = shown
        .iter()
        .filter(|(l, _)| sources.file(l.span.file).is_none() && !l.text.is_empty());
    let remarks = nowhere.map(|(l, _)| Level::NOTE.message(plain(&l.text)).into());
    let help = diagnostic
        .help
        .iter()
        .cloned()
        .chain(diagnostic.fix.as_ref().and_then(|f| mend(f, &diagnostic.help, sources)));
    let mut help: Vec<String> = help.map(|line| plain(&line)).collect();
    let mut elements: Vec<Element> = snippets(&shown, true, sources);
    elements.extend(remarks);
    if library.is_empty() {
        elements.extend(help.drain(..).map(|line| Level::HELP.message(line).into()));
    }
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.to_string());
    let mut groups = vec![title.elements(elements)];
    for label in library {
        let text = match label.text.as_str() {
            "" => "it comes from the standard library".to_string(),
            text => plain(text),
        };
        let bare = snippets(&[(label, AnnotationKind::Primary)], false, sources);
        groups.push(Level::NOTE.secondary_title(text).elements(bare));
    }
    groups.extend(
        help.into_iter()
            .map(|line| Group::with_title(Level::HELP.secondary_title(line))),
    );
    groups
}

/// Text without control characters, which could move a terminal's cursor.
fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// A fix as a help line, if it can be told in one and the help so far does not say it.
fn mend(fix: &Fix, help: &[String], sources: &Sources) -> Option<String> {
    let old = sources.text(fix.span).trim();
    let new = fix.replacement.trim();
    let asked = format!("did you mean `{new}`?");
    match () {
        () if help.contains(&asked) => None,
        () if old.contains('\n') || new.contains('\n') || old.len() > 80 => None,
        () if old.is_empty() && new.is_empty() => None,
        () if old.is_empty() => Some(format!("insert `{new}`")),
        () if new.is_empty() => Some(format!("remove `{old}`")),
        () => Some(format!("write `{new}` instead of `{old}`")),
    }
}

/// Pieces of the files with marks: one for each file, in the order of the labels.
fn snippets<'a>(shown: &[(&'a Label, AnnotationKind)], with_text: bool, sources: &'a Sources) -> Vec<Element<'a>> {
    let mut files: Vec<FileId> = vec![];
    for (label, _) in shown {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    let mut elements = vec![];
    for id in files {
        let Some(file) = sources.file(id) else { continue };
        let labels = shown.iter().filter(|(l, _)| l.span.file == id);
        let marks: Vec<Mark> = labels
            .map(|(label, kind)| Mark::new(label, *kind, with_text, file))
            .collect();
        let window = Window::around(&file.text, &marks);
        if window.has_long_line() {
            marks.into_iter().for_each(|mark| elements.extend(excerpt(mark, file)));
            continue;
        }
        let given = file.is_argument();
        let mut snippet = Snippet::source(window.text).line_start(window.line);
        if !given {
            snippet = snippet.path(plain(&file.name));
        } else {
            elements.push(Origin::path(plain(&file.name)).into());
            snippet = snippet.line_numbering(false);
        }
        elements.push(
            snippet
                .annotations(marks.into_iter().map(|m| m.annotation(window.start)))
                .into(),
        );
    }
    elements
}

/// A label's place, corrected to lie in the text between characters.
struct Mark<'a> {
    start: usize,
    end: usize,
    text: &'a str,
    kind: AnnotationKind,
}

impl<'a> Mark<'a> {
    fn new(label: &'a Label, kind: AnnotationKind, with_text: bool, file: &SourceFile) -> Mark<'a> {
        let start = file.text.floor_char_boundary(label.span.start as usize);
        let end = file
            .text
            .ceil_char_boundary((label.span.end as usize).min(file.text.len()));
        // A definition's or section's whole text would hide its neighbours: its first line tells which it is.
        let lines = file.text[start..end.max(start)].matches('\n').count();
        let first_line = || {
            file.text[start..]
                .find('\n')
                .map_or(file.text.len(), |newline| start + newline)
        };
        Mark {
            start,
            end: if lines > 5 { first_line() } else { end.max(start) },
            text: if with_text { &label.text } else { "" },
            kind,
        }
    }

    fn annotation(self, offset: usize) -> Annotation<'a> {
        let label = (!self.text.is_empty()).then(|| plain(self.text));
        self.kind.span(self.start - offset..self.end - offset).label(label)
    }
}

/// The lines that marks lie in.
struct Window<'a> {
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(text: &'a str, marks: &[Mark]) -> Window<'a> {
        let first = marks.iter().map(|m| m.start).min().unwrap_or(0);
        let last = marks.iter().map(|m| m.end).max().unwrap_or(0);
        let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline + 1);
        Window {
            text: &text[start..end],
            start,
            line: text[..start].matches('\n').count() + 1,
        }
    }

    fn has_long_line(&self) -> bool {
        self.text.lines().any(|line| line.len() > LONG_LINE)
    }
}

/// A piece of a long line around the start of a mark.
fn excerpt<'a>(mark: Mark<'a>, file: &'a SourceFile) -> [Element<'a>; 2] {
    let text = &file.text;
    let line_start = text[..mark.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[mark.start..]
        .find('\n')
        .map_or(text.len(), |newline| mark.start + newline);
    let from = text.ceil_char_boundary(line_start.max(mark.start.saturating_sub(EXCERPT.0)));
    let to = text
        .floor_char_boundary(line_end.min(mark.start + EXCERPT.1))
        .max(mark.start);
    let line = text[..line_start].matches('\n').count() + 1;
    let column = text[line_start..mark.start].chars().count() + 1;
    let origin = Origin::path(plain(&file.name)).line(line).char_column(column);
    let mark = Mark {
        end: mark.end.min(to),
        ..mark
    };
    let snippet = Snippet::source(&text[from..to])
        .line_start(line)
        .annotation(mark.annotation(from));
    [origin.into(), snippet.into()]
}

#[cfg(test)]
#[path = "render_test.rs"]
mod tests;
