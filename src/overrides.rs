//! `--set path=value`: changes the syntax tree before anything is resolved, so that a changed spec means exactly
//! what the same text would.

use crate::ir::ast::{Argument, ExprKind, File, Item, Setting, StatementKind};
use crate::parse;
use crate::text::{Code, Diagnostic, Diagnostics, Sources, Span, suggest};

/// Applies overrides such as `train.steps=10`, `train.optimizer.lr=1e-4`, `model.width=64`.
pub fn apply(file: &mut File, overrides: &[(String, String)], sources: &mut Sources, diagnostics: &mut Diagnostics) {
    for (path, value) in overrides {
        let parts: Vec<&str> = path.split('.').map(str::trim).collect();
        let done = match parts[..] {
            [section @ ("data" | "train"), key] => setting(file, section, key, value, sources, diagnostics),
            [section @ ("data" | "train"), key, parameter] => {
                argument(file, section, key, parameter, value, sources, diagnostics)
            }
            [model, name] => number(file, model, name, value, sources, diagnostics),
            _ => Some(format!(
                "`{path}` is no path: say `train.steps`, `train.optimizer.lr`, `data.window` or `model.width`"
            )),
        };
        if let Some(message) = done {
            diagnostics.push(Diagnostic::new(
                Code::UnknownSetting,
                Span::NOWHERE,
                format!("--set {path}: {message}"),
            ));
        }
    }
}

/// Parses a piece of text as a file of its own; `None` if it has errors.
fn snippet(text: &str, value: &str, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Option<Item> {
    let id = sources.add(format!("--set {value}"), text, false);
    let before = diagnostics.len();
    let mut file = parse::parse(id, text, diagnostics);
    (diagnostics.len() == before && file.items.len() == 1).then(|| file.items.remove(0))
}

fn settings_of<'f>(file: &'f mut File, section: &str) -> Option<&'f mut Vec<Setting>> {
    file.items.iter_mut().find_map(|item| match item {
        Item::Section(found) if found.name.text == section => Some(&mut found.settings),
        _ => None,
    })
}

fn parsed_setting(
    section: &str,
    key: &str,
    value: &str,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<Setting> {
    match snippet(
        &format!("{section} {{\n    {key} {value}\n}}\n"),
        value,
        sources,
        diagnostics,
    )? {
        Item::Section(mut parsed) if parsed.settings.len() == 1 => Some(parsed.settings.remove(0)),
        _ => None,
    }
}

fn setting(
    file: &mut File,
    section: &str,
    key: &str,
    value: &str,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(new) = parsed_setting(section, key, value, sources, diagnostics) else {
        return Some(format!("`{value}` does not parse"));
    };
    let Some(settings) = settings_of(file, section) else {
        return Some(format!("the spec has no `{section}` section"));
    };
    // A run lasts steps or epochs: setting one replaces the other.
    let same = |k: &str| k == key || matches!((k, key), ("steps", "epochs") | ("epochs", "steps"));
    match settings.iter_mut().find(|s| s.key.len() == 1 && same(&s.key[0].text)) {
        Some(old) => *old = new,
        None => settings.push(new),
    }
    None
}

fn argument(
    file: &mut File,
    section: &str,
    key: &str,
    parameter: &str,
    value: &str,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(new) = parsed_setting(section, parameter, &format!("= {value}"), sources, diagnostics) else {
        return Some(format!("`{value}` does not parse"));
    };
    let Some(expr) = new.groups.into_iter().next().and_then(|g| g.into_iter().next()) else {
        return Some(format!("`{value}` is no value"));
    };
    let Some(settings) = settings_of(file, section) else {
        return Some(format!("the spec has no `{section}` section"));
    };
    let Some(line) = settings.iter_mut().find(|s| s.key.len() == 1 && s.key[0].text == key) else {
        return Some(format!("the `{section}` section has no `{key}`"));
    };
    let Some(target) = line.groups.first_mut().and_then(|g| g.first_mut()) else {
        return Some(format!("`{key}` has no arguments"));
    };
    let name = crate::ir::ast::Name {
        text: parameter.into(),
        span: expr.span,
    };
    match &mut *target.kind {
        ExprKind::Call { arguments, .. } => match arguments
            .iter_mut()
            .find(|a| a.name.as_ref().is_some_and(|n| n.text == parameter))
        {
            Some(old) => old.value = expr,
            None => arguments.push(Argument {
                name: Some(name),
                value: expr,
            }),
        },
        ExprKind::Name(_) => {
            let callee = target.clone();
            *target.kind = ExprKind::Call {
                callee,
                arguments: vec![Argument {
                    name: Some(name),
                    value: expr,
                }],
            };
        }
        _ => return Some(format!("`{key}` takes no arguments")),
    }
    None
}

fn number(
    file: &mut File,
    model: &str,
    name: &str,
    value: &str,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(Item::Model(parsed)) = snippet(
        &format!("model m {{\n    {name} = {value}\n}}\n"),
        value,
        sources,
        diagnostics,
    ) else {
        return Some(format!("`{value}` does not parse"));
    };
    let Some(new) = parsed.body.statements.into_iter().next() else {
        return Some(format!("`{value}` is no value"));
    };
    let found = file.items.iter_mut().find_map(|item| match item {
        Item::Model(found) if model == "model" || found.name.text == model => Some(found),
        _ => None,
    });
    let Some(found) = found else {
        return Some(format!("the spec has no model `{model}`"));
    };
    let mut known: Vec<String> = vec![];
    for statement in &mut found.body.statements {
        if let StatementKind::Equation {
            name: old,
            indices: None,
            ..
        } = &statement.kind
        {
            if old.text == name {
                *statement = new;
                return None;
            }
            known.push(old.text.clone());
        }
    }
    let help = suggest::did_you_mean(name, known.iter().map(String::as_str)).unwrap_or_default();
    Some(format!("the model defines no `{name}`. {help}"))
}
