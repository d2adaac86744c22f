//! What `data` says of an `images` source → [`ImageSettings`]: sizes, masks, and the augmentations of the catalog with
//! every value checked. It reads no picture.

use crate::data::augment::{Action, Augmentation, CATALOG, Measure, Parameter, find};
use crate::ir::ast::{Argument, Expr, ExprKind, Setting, Unit};
use crate::ir::experiment::{Augment, DataPath, ImageSettings, Source};
use crate::resolve::settings::{Reader, literal};
use crate::text::{Code, Diagnostic, suggest};

/// The greatest side of a picture.
const SIDE_MAX: u64 = 1 << 14;
/// The most classes.
const CLASSES_MAX: u64 = 1 << 24;

/// Reads the settings that belong to `images`.
pub(super) fn images(reader: &mut Reader<'_, '_>, path: DataPath) -> Option<Source> {
    let size = match reader.find("size") {
        Some(line) => Some(reader.whole(line, 1, SIDE_MAX)? as usize),
        None => None,
    };
    let channels = match reader.find("channels") {
        Some(line) => match reader.whole(line, 1, 3)? {
            2 => return reader.expected("1 (grey) or 3 (colours)", line.span),
            channels => Some(channels as usize),
        },
        None => None,
    };
    let classes = match reader.find("classes") {
        Some(line) => Some(reader.bound(line, CLASSES_MAX)?),
        None => None,
    };
    let masks = match reader.find("masks") {
        Some(line) => Some(reader.path(line)?),
        None => None,
    };
    let ignore = match reader.find("ignore") {
        Some(line) if masks.is_none() => {
            return reader.expected(
                "`masks` beside it: it is a value of theirs that does not count",
                line.span,
            );
        }
        Some(line) => Some(reader.whole(line, 0, 255)? as u8),
        None => None,
    };
    let augment = match reader.find("augment") {
        Some(line) => augmentations(reader, line, masks.is_some())?,
        None => vec![],
    };
    Some(Source::Images(ImageSettings {
        path,
        size,
        channels,
        classes,
        masks,
        ignore,
        augment,
    }))
}

fn augmentations(reader: &mut Reader<'_, '_>, setting: &Setting, masks: bool) -> Option<Vec<Augment>> {
    let Some(block) = setting.block.as_ref().filter(|_| setting.groups.is_empty()) else {
        return reader.expected("braces, as `augment { shift(2); flip }`", setting.span);
    };
    let mut augment = vec![];
    for (at, line) in block.iter().enumerate() {
        let key = line.key.first()?;
        let Some(found) = find(&key.text).filter(|_| line.key.len() == 1) else {
            reader.diagnostics.push(unknown(line));
            continue;
        };
        let values = values(reader, line, found);
        if matches!(found.action(), Action::Mix(_)) {
            if masks {
                reader.expected::<()>("no mixed pictures beside `masks`: they have no one mask", line.span);
            } else if at + 1 < block.len() {
                let message = format!("`{}` at the end: it mixes what the others made", found.name());
                reader.expected::<()>(&message, line.span);
            }
        }
        augment.extend(values.map(|values| Augment {
            name: found.name(),
            values,
            span: line.span,
        }));
    }
    (augment.len() == block.len()).then_some(augment)
}

fn unknown(line: &Setting) -> Diagnostic {
    let key = &line.key[0];
    let message = format!("there is no augmentation `{}`", key.text);
    let diagnostic = Diagnostic::new(Code::UnknownSetting, key.span, message);
    let names = || CATALOG.iter().map(|a| a.name());
    match suggest::nearest(&key.text, names())[..] {
        [near, ..] => diagnostic.help(format!("did you mean `{near}`?")).fix(key.span, near),
        [] => diagnostic.help(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

/// The values of an augmentation's parameters, in its order.
fn values(reader: &mut Reader<'_, '_>, line: &Setting, found: &dyn Augmentation) -> Option<Vec<f64>> {
    let parameters = found.parameters();
    let arguments = arguments(line, found.name());
    let Some(arguments) = arguments.filter(|_| line.on.is_empty() && line.block.is_none() && !line.assigned) else {
        return reader.expected(&format!("`{}`", call(found)), line.span);
    };
    let mut values: Vec<Option<f64>> = vec![None; parameters.len()];
    let mut complete = true;
    for (position, argument) in arguments.iter().enumerate() {
        let index = match &argument.name {
            Some(name) => parameters.iter().position(|p| p.name == name.text),
            None => Some(position).filter(|&p| p < parameters.len()),
        };
        let Some(index) = index else {
            reader.diagnostics.push(no_parameter(found, argument));
            complete = false;
            continue;
        };
        if values[index].is_some() {
            let message = format!("`{}` is given twice", parameters[index].name);
            reader
                .diagnostics
                .push(Diagnostic::new(Code::WrongArguments, argument.value.span, message));
            complete = false;
        }
        values[index] = value(reader, &parameters[index], &argument.value);
        complete &= values[index].is_some();
    }
    if !complete {
        return None;
    }
    for (value, parameter) in values.iter_mut().zip(parameters) {
        *value = value.or(parameter.default);
        if value.is_none() {
            let message = format!(
                "`{}` needs `{}`: {}",
                found.name(),
                parameter.name,
                parameter.expected()
            );
            reader
                .diagnostics
                .push(Diagnostic::new(Code::WrongArguments, line.span, message));
            return None;
        }
    }
    let values: Vec<f64> = values.into_iter().flatten().collect();
    let of = |name: &str| parameters.iter().position(|p| p.name == name).map(|at| values[at]);
    if let (Some(least), Some(most)) = (of("least"), of("most"))
        && least > most
    {
        return reader.expected("`least` to be no more than `most`", line.span);
    }
    Some(values)
}

/// The arguments of a line: none for a bare word, `None` where it is no call.
fn arguments<'s>(line: &'s Setting, name: &str) -> Option<&'s [Argument]> {
    match &line.groups[..] {
        [] => Some(&[]),
        [group] => match &group[..] {
            [item] => match &*item.kind {
                ExprKind::Call { callee, arguments } if matches!(&*callee.kind, ExprKind::Name(n) if n == name) => {
                    Some(arguments)
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn no_parameter(found: &dyn Augmentation, argument: &Argument) -> Diagnostic {
    let names = || found.parameters().iter().map(|p| p.name);
    match &argument.name {
        Some(name) => {
            let message = format!("`{}` has no parameter `{}`", found.name(), name.text);
            let help = suggest::did_you_mean(&name.text, names())
                .unwrap_or_else(|| format!("it has {}", names().collect::<Vec<_>>().join(", ")));
            Diagnostic::new(Code::UnknownParameter, name.span, message).help(help)
        }
        None => {
            let message = format!(
                "`{}` takes {} arguments at most",
                found.name(),
                found.parameters().len()
            );
            Diagnostic::new(Code::WrongArguments, argument.value.span, message).help(format!("`{}`", call(found)))
        }
    }
}

/// How an augmentation is called, with its parameters' names.
fn call(found: &dyn Augmentation) -> String {
    let names: Vec<&str> = found.parameters().iter().map(|p| p.name).collect();
    format!("{}({})", found.name(), names.join(", "))
}

fn value(reader: &mut Reader<'_, '_>, parameter: &Parameter, item: &Expr) -> Option<f64> {
    let value = match (literal(item), parameter.unit) {
        (Some((v, Some(Unit::Percent))), Measure::Share) => Some(v.real() / 100.0),
        (Some((v, Some(Unit::Degrees))), Measure::Degrees) => Some(v.real()),
        (Some((v, None)), Measure::Share | Measure::Number) => Some(v.real()),
        (Some((v, None)), Measure::Pixels) => v.as_whole().map(|w| w as f64),
        _ => None,
    };
    match value.filter(|v| (parameter.least..=parameter.most).contains(v)) {
        Some(value) => Some(value),
        None => reader.expected(&parameter.expected(), item.span),
    }
}
