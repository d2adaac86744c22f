//! `--set path=value`, and the values that `tune` tries: changes of the syntax tree before anything is resolved, so that
//! a changed spec means exactly what the same text would. A mistake in a value is told where it was written: an argument
//! of the command line is a text of its own under its own name, a value of the spec keeps its place.

use crate::ir::ast::{Argument, Expr, ExprKind, File, Item, Model, Name, Setting, Statement, StatementKind};
use crate::parse;
use crate::text::{Code, Diagnostic, Diagnostics, Sources, Span, suggest};

/// The sections that a path may begin with.
const SECTIONS: [&str; 3] = ["data", "train", "tune"];

/// What names the spec's model, whatever it is called.
const MODEL: &str = "model";

/// What a path is set to.
#[derive(Clone, Debug)]
pub enum Value {
    /// An argument of the command line.
    Text(String),
    /// Items that stand side by side in the spec, with the place of the path that they are for.
    Items(Vec<Expr>, Span),
}

/// Why a change is not made.
enum Refusal {
    /// Its value does not parse, which was said.
    Told,
    /// Its path leads nowhere, or its value is of another kind.
    Wrong(String, Option<String>),
}

type Applied = Result<(), Refusal>;

fn wrong<T>(message: impl Into<String>, help: Option<String>) -> Result<T, Refusal> {
    Err(Refusal::Wrong(message.into(), help))
}

/// Applies changes such as `train.steps=10`, `train.optimizer.lr=1e-4`, `model.width=64`.
pub fn apply<'v>(
    file: &mut File,
    changes: impl IntoIterator<Item = (&'v str, &'v Value)>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) {
    for (path, value) in changes {
        let parts: Vec<&str> = path.split('.').map(str::trim).collect();
        let mut given = Given {
            path,
            value,
            sources,
            diagnostics,
        };
        let applied = match parts[..] {
            [section, key] if SECTIONS.contains(&section) => setting(file, section, key, &mut given),
            [section, key, parameter] if SECTIONS.contains(&section) => {
                argument(file, (section, key, parameter), &mut given)
            }
            [model, name] => number(file, model, name, &mut given),
            _ => wrong(
                format!("`{path}` is no path"),
                Some("say `train.steps`, `train.optimizer.lr`, `data.window` or `model.width`".into()),
            ),
        };
        if let Err(Refusal::Wrong(message, help)) = applied {
            let (place, message) = match value {
                Value::Text(text) => (Span::NOWHERE, format!("{}: {message}", argument_name(path, text))),
                Value::Items(_, place) => (*place, message),
            };
            let mut diagnostic = Diagnostic::new(Code::UnknownSetting, place, message);
            diagnostic.help.extend(help);
            diagnostics.push(diagnostic);
        }
    }
}

/// How an argument was written.
fn argument_name(path: &str, value: &str) -> String {
    format!("--set {path}={value}")
}

/// One change.
struct Given<'g> {
    path: &'g str,
    value: &'g Value,
    sources: &'g mut Sources,
    diagnostics: &'g mut Diagnostics,
}

impl Given<'_> {
    /// Parses a piece of an argument as a file of its own, with one item.
    fn item(&mut self, value: &str, text: &str) -> Result<Item, Refusal> {
        let id = self.sources.add(argument_name(self.path, value), text, false);
        let before = self.diagnostics.len();
        let mut file = parse::parse(id, text, self.diagnostics);
        if self.diagnostics.len() > before {
            return Err(Refusal::Told);
        }
        match file.items.len() {
            1 => Ok(file.items.remove(0)),
            _ => self.not_one_value(),
        }
    }

    /// A line of a section; `bare` if a text may stand without quotes.
    fn line(&mut self, section: &str, key: &str, bare: bool) -> Result<Setting, Refusal> {
        match self.value {
            Value::Text(value) => {
                let quote = match bare && !value.is_empty() && !value.contains(['"', '\\', '\n']) {
                    true => "\"",
                    false => "",
                };
                self.parsed_line(section, value, &format!("{key} {quote}{value}{quote}"))
            }
            Value::Items(items, place) => Ok(Setting {
                key: vec![name(key, *place)],
                assigned: false,
                groups: vec![items.clone()],
                on: vec![],
                block: None,
                span: items.iter().fold(*place, |span, item| span.to(item.span)),
            }),
        }
    }

    fn parsed_line(&mut self, section: &str, value: &str, line: &str) -> Result<Setting, Refusal> {
        match self.item(value, &format!("{section} {{\n    {line}\n}}\n"))? {
            Item::Section(mut parsed) if parsed.settings.len() == 1 => Ok(parsed.settings.remove(0)),
            _ => self.not_one_value(),
        }
    }

    /// An argument of a line's call.
    fn argument(&mut self, section: &str, parameter: &str) -> Result<(Name, Expr), Refusal> {
        match self.value {
            Value::Text(value) => {
                let line = self.parsed_line(section, value, &format!("{parameter} = {value}"))?;
                match (line.key.first(), line.groups.first().map(Vec::as_slice)) {
                    (Some(name), Some([expr])) => Ok((name.clone(), expr.clone())),
                    _ => self.not_one_value(),
                }
            }
            Value::Items(items, place) => Ok((name(parameter, *place), self.only(items)?)),
        }
    }

    /// `name = value` of a model.
    fn statement(&mut self, name_text: &str) -> Result<Statement, Refusal> {
        match self.value {
            Value::Text(value) => {
                let Item::Model(mut parsed) =
                    self.item(value, &format!("model m {{\n    {name_text} = {value}\n}}\n"))?
                else {
                    return self.not_one_value();
                };
                match parsed.body.statements.len() {
                    1 => Ok(parsed.body.statements.remove(0)),
                    _ => self.not_one_value(),
                }
            }
            Value::Items(items, place) => {
                let value = self.only(items)?;
                Ok(Statement {
                    span: place.to(value.span),
                    kind: StatementKind::Equation {
                        name: name(name_text, *place),
                        indices: None,
                        value,
                    },
                })
            }
        }
    }

    fn only(&self, items: &[Expr]) -> Result<Expr, Refusal> {
        match items {
            [item] => Ok(item.clone()),
            _ => self.not_one_value(),
        }
    }

    fn not_one_value<T>(&self) -> Result<T, Refusal> {
        let value = match self.value {
            Value::Text(value) => value.clone(),
            Value::Items(items, _) => items
                .iter()
                .map(|i| self.sources.text(i.span))
                .collect::<Vec<_>>()
                .join(" "),
        };
        wrong(format!("`{value}` is not one value"), None)
    }
}

fn name(text: &str, span: Span) -> Name {
    Name {
        text: text.into(),
        span,
    }
}

fn settings_of<'f>(file: &'f mut File, section: &str) -> Result<&'f mut Vec<Setting>, Refusal> {
    let found = file.items.iter_mut().find_map(|item| match item {
        Item::Section(found) if found.name.text == section => Some(&mut found.settings),
        _ => None,
    });
    match found {
        Some(settings) => Ok(settings),
        None => wrong(format!("the spec has no `{section}` section"), None),
    }
}

/// `train.steps=10`: a line of a section.
fn setting(file: &mut File, section: &str, key: &str, given: &mut Given) -> Applied {
    let bare = is_text(file, section, key);
    let new = given.line(section, key, bare)?;
    let settings = settings_of(file, section)?;
    // A run lasts steps or epochs: setting one replaces the other.
    let same = |k: &str| k == key || matches!((k, key), ("steps", "epochs") | ("epochs", "steps"));
    match settings.iter_mut().find(|s| s.key.len() == 1 && same(&s.key[0].text)) {
        Some(old) => *old = new,
        None => settings.push(new),
    }
    Ok(())
}

/// Whether a line holds one text and nothing else: its value may come without quotes, as shells leave it.
fn is_text(file: &mut File, section: &str, key: &str) -> bool {
    let Ok(settings) = settings_of(file, section) else {
        return false;
    };
    let line = settings.iter().find(|s| s.key.len() == 1 && s.key[0].text == key);
    line.is_some_and(|line| match &line.groups[..] {
        [group] => matches!(&group[..], [expr] if matches!(*expr.kind, ExprKind::Text(_))),
        _ => false,
    })
}

/// `train.optimizer.lr=1e-4`: an argument of a line's call.
fn argument(file: &mut File, (section, key, parameter): (&str, &str, &str), given: &mut Given) -> Applied {
    let (name, expr) = given.argument(section, parameter)?;
    let settings = settings_of(file, section)?;
    let known: Vec<String> = settings
        .iter()
        .flat_map(|s| s.key.first())
        .map(|k| k.text.clone())
        .collect();
    let Some(line) = settings.iter_mut().find(|s| s.key.len() == 1 && s.key[0].text == key) else {
        let help = suggest::did_you_mean(key, known.iter().map(String::as_str))
            .unwrap_or_else(|| format!("it has {}", known.join(", ")));
        return wrong(format!("the `{section}` section has no line `{key}`"), Some(help));
    };
    let Some(target) = line.groups.first_mut().and_then(|g| g.first_mut()) else {
        return wrong(format!("`{key}` has no arguments"), None);
    };
    let named = |a: &&mut Argument| a.name.as_ref().is_some_and(|n| n.text == parameter);
    match &mut *target.kind {
        ExprKind::Call { arguments, .. } => match arguments.iter_mut().find(named) {
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
        _ => return wrong(format!("`{key}` takes no arguments"), None),
    }
    Ok(())
}

/// `model.width=64`: a number that the model defines.
fn number(file: &mut File, model: &str, name: &str, given: &mut Given) -> Applied {
    let Some(found) = model_of(file, model) else {
        let models = file.items.iter().filter_map(|item| match item {
            Item::Model(found) => Some(found.name.text.as_str()),
            _ => None,
        });
        let known: Vec<&str> = SECTIONS.into_iter().chain([MODEL]).chain(models).collect();
        let quoted: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
        let help = suggest::did_you_mean(model, known.iter().copied())
            .unwrap_or_else(|| format!("a path begins with one of {}", quoted.join(", ")));
        return wrong(format!("the spec has no section or model `{model}`"), Some(help));
    };
    let new = given.statement(name)?;
    let defines = |kind: &StatementKind| match kind {
        StatementKind::Equation {
            name, indices: None, ..
        } => Some(name.text.clone()),
        _ => None,
    };
    let statements = &mut found.body.statements;
    let known: Vec<String> = statements.iter().filter_map(|s| defines(&s.kind)).collect();
    if let Some(old) = statements
        .iter_mut()
        .find(|s| defines(&s.kind).is_some_and(|n| n == name))
    {
        *old = new;
        return Ok(());
    }
    let help = suggest::did_you_mean(name, known.iter().map(String::as_str))
        .or_else(|| (!known.is_empty()).then(|| format!("it defines {}", known.join(", "))));
    wrong(format!("the model defines no `{name}`"), help)
}

fn model_of<'f>(file: &'f mut File, name: &str) -> Option<&'f mut Model> {
    file.items.iter_mut().find_map(|item| match item {
        Item::Model(found) if name == MODEL || found.name.text == name => Some(found),
        _ => None,
    })
}
