//! Diagnostics and other errors on standard error, or as JSON.

use crate::text::{Diagnostic, Diagnostics, Label, Severity, Sources, Span};
use serde_json::{Value, json};

/// Prints all diagnostics, warnings first.
pub fn print(sources: &Sources, diagnostics: &Diagnostics) {
    let mut list: Vec<&Diagnostic> = diagnostics.iter().collect();
    list.sort_by_key(|d| d.severity);
    for diagnostic in list {
        let word = match diagnostic.severity {
            Severity::Error => "\x1b[1;31merror",
            Severity::Warning => "\x1b[1;33mwarning",
        };
        anstream::eprintln!(
            "{word}[{}]\x1b[0m\x1b[1m: {}\x1b[0m",
            diagnostic.code,
            diagnostic.message
        );
        place(sources, &diagnostic.primary, '^');
        for label in &diagnostic.secondary {
            place(sources, label, '-');
        }
        for help in &diagnostic.help {
            anstream::eprintln!("  \x1b[1mhelp\x1b[0m: {help}");
        }
        anstream::eprintln!();
    }
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        let s = if errors == 1 { "" } else { "s" };
        anstream::eprintln!("\x1b[1;31merror\x1b[0m: {errors} mistake{s}; `mspec explain CODE` says more about each");
    }
}

/// Prints an error that is not about a place in a spec, or only knows where it was asked for.
pub fn error(message: &str, help: &[String], place: Option<String>) {
    anstream::eprintln!("\x1b[1;31merror\x1b[0m\x1b[1m: {message}\x1b[0m");
    if let Some(place) = place {
        anstream::eprintln!(" --> {place}");
    }
    for help in help {
        anstream::eprintln!("  \x1b[1mhelp\x1b[0m: {help}");
    }
}

/// For tools: an array with an object for each diagnostic.
pub fn to_json(sources: &Sources, diagnostics: &Diagnostics) -> Value {
    let label = |l: &Label| {
        let mut value = span(sources, l.span);
        value["text"] = l.text.clone().into();
        value
    };
    let one = |d: &Diagnostic| {
        json!({
            "code": d.code.to_string(),
            "severity": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": d.message,
            "primary": label(&d.primary),
            "secondary": d.secondary.iter().map(label).collect::<Vec<_>>(),
            "help": d.help,
            "fix": d.fix.as_ref().map(|f| {
                let mut value = span(sources, f.span);
                value["replacement"] = f.replacement.clone().into();
                value
            }),
        })
    };
    diagnostics.iter().map(one).collect()
}

fn span(sources: &Sources, span: Span) -> Value {
    let (line, column) = sources.position(span);
    json!({
        "file": sources.file(span.file).map(|f| f.name.clone()),
        "start": span.start,
        "end": span.end,
        "line": line,
        "column": column,
    })
}

fn place(sources: &Sources, label: &Label, mark: char) {
    let Some(file) = sources.file(label.span.file) else {
        return;
    };
    let (line, column) = sources.position(label.span);
    let text = file.text.lines().nth(line - 1).unwrap_or("");
    let width = sources
        .text(label.span)
        .lines()
        .next()
        .map_or(1, |t| t.chars().count().max(1));
    let number = line.to_string();
    let gap = " ".repeat(number.len());
    anstream::eprintln!("{gap}--> {}", sources.place(label.span));
    anstream::eprintln!("{gap} |\n{number} | {text}");
    let marks = mark.to_string().repeat(width);
    anstream::eprintln!("{gap} | {}{marks} {}", " ".repeat(column - 1), label.text);
}
