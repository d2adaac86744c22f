//! The lines of `grid` and `random`: paths, and what they may be.

use crate::ir::ast::{Argument, Expr, ExprKind, Setting, Unit};
use crate::ir::tune::{Range, Values};
use crate::resolve::settings::{Reader, literal};
use crate::text::{Code, Diagnostic, Span, suggest};

/// The lines of `grid` or `random`.
pub(super) fn ranges(reader: &mut Reader<'_, '_>, line: &Setting, drawn: bool) -> Option<Vec<Range>> {
    let word = &line.key[0].text;
    let Some(block) = line
        .block
        .as_ref()
        .filter(|block| line.groups.is_empty() && !block.is_empty())
    else {
        let example = match drawn {
            true => "random { train.optimizer.lr = log_uniform(1e-4, 1e-1) }",
            false => "grid { train.optimizer.lr = [1e-4, 1e-3] }",
        };
        return reader.expected(&format!("`{word} {{ … }}`, as `{example}`"), line.span);
    };
    let mut ranges: Vec<Range> = vec![];
    let mut failed = false;
    for line in block {
        let Some(range) = range(reader, line, drawn) else {
            failed = true;
            continue;
        };
        if let Some((earlier, message)) = ranges.iter().find_map(|r| Some((r, replaces(&range.path, &r.path)?))) {
            let diagnostic = Diagnostic::new(Code::DuplicateSetting, range.span, message);
            reader.diagnostics.push(diagnostic.note(earlier.span, "given here"));
            failed = true;
        }
        ranges.push(range);
    }
    (!failed).then_some(ranges)
}

/// Whether a path leaves nothing of what an earlier one has set: values are set in order.
fn replaces(path: &str, earlier: &str) -> Option<String> {
    const LENGTHS: [&str; 2] = ["train.steps", "train.epochs"];
    if path == earlier {
        return Some(format!("`{path}` is given twice"));
    }
    if LENGTHS.contains(&path) && LENGTHS.contains(&earlier) {
        return Some(format!(
            "a run lasts steps or epochs: `{path}` takes the place of `{earlier}`"
        ));
    }
    let inside = earlier.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    inside.then(|| format!("`{path}` takes the place of the line that `{earlier}` changes: it must come first"))
}

/// `train.optimizer.lr = [1e-4, 1e-3]`.
fn range(reader: &mut Reader<'_, '_>, line: &Setting, drawn: bool) -> Option<Range> {
    let what = match drawn {
        true => "`PATH = [VALUES]` or `PATH = uniform(LOW, HIGH)`, as `train.optimizer.lr = log_uniform(1e-4, 1e-1)`",
        false => "`PATH = [VALUES]`, as `train.optimizer.lr = [1e-4, 1e-3]`",
    };
    let span = match (line.key.first(), line.key.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => return reader.expected(what, line.span),
    };
    let path: Vec<&str> = line.key.iter().map(|k| k.text.as_str()).collect();
    if path.first() == Some(&"tune") {
        return reader.expected("a path of the spec that is tried, not of `tune` itself", span);
    }
    let value = match &line.groups[..] {
        [group] if line.assigned && group.len() == 1 && line.on.is_empty() && line.block.is_none() => &group[0],
        _ => return reader.expected(what, line.span),
    };
    let values = match &*value.kind {
        ExprKind::List(list) if list.is_empty() => return reader.expected("at least one value", value.span),
        ExprKind::List(list) => {
            let twice = |(at, item): (usize, &Expr)| {
                let first = list[..at].iter().find(|other| other.to_string() == item.to_string())?;
                Some((first.span, item.span))
            };
            if let Some((first, second)) = list.iter().enumerate().find_map(twice) {
                let diagnostic = Diagnostic::new(Code::DuplicateSetting, second, "this value is given twice");
                reader.diagnostics.push(diagnostic.note(first, "first given here"));
                return None;
            }
            Values::List(list.clone())
        }
        ExprKind::Call { callee, arguments } if drawn => interval(reader, callee, arguments, value.span)?,
        ExprKind::Call { .. } => {
            let message = "a grid has a list of values; what is drawn stands in `random { … }`";
            let diagnostic = Diagnostic::new(Code::WrongSetting, value.span, message);
            reader
                .diagnostics
                .push(diagnostic.help("write `[…]`, or `random` for `grid` and `trials 20` below"));
            return None;
        }
        _ => return reader.expected("a list of values, as `[1e-4, 1e-3]`", value.span),
    };
    Some(Range {
        path: path.join("."),
        span,
        values,
    })
}

/// Whether equal factors are equally likely, and whether only whole numbers are drawn.
const DISTRIBUTIONS: &[(&str, (bool, bool))] = &[
    ("uniform", (false, false)),
    ("log_uniform", (true, false)),
    ("whole", (false, true)),
    ("log_whole", (true, true)),
];

/// `log_uniform(1e-4, 1e-1)`.
fn interval(reader: &mut Reader<'_, '_>, callee: &Expr, arguments: &[Argument], span: Span) -> Option<Values> {
    let name = match &*callee.kind {
        ExprKind::Name(name) => name.as_str(),
        _ => "",
    };
    let Some((_, (logarithmic, whole))) = DISTRIBUTIONS.iter().find(|d| d.0 == name) else {
        let names: Vec<&str> = DISTRIBUTIONS.iter().map(|d| d.0).collect();
        let message = format!("`{name}` draws no numbers");
        let help = suggest::did_you_mean(name, names.iter().copied()).unwrap_or_else(|| {
            format!(
                "numbers are drawn by {}; values to choose from stand in `[…]`",
                names.join(", ")
            )
        });
        reader
            .diagnostics
            .push(Diagnostic::new(Code::UnknownName, callee.span, message).help(help));
        return None;
    };
    let [
        Argument { name: None, value: low },
        Argument {
            name: None,
            value: high,
        },
    ] = arguments
    else {
        return reader.expected(&format!("the least and the greatest value, as `{name}(1, 10)`"), span);
    };
    let mut number = |item: &Expr| -> Option<f64> {
        let value = match literal(item) {
            Some((value, None)) => Some(value.real()),
            Some((value, Some(Unit::Percent))) => Some(value.real() / 100.0),
            _ => None,
        };
        let what = match (whole, logarithmic) {
            (true, true) => "a whole number above 0",
            (true, false) => "a whole number",
            (false, true) => "a number above 0, to 1e15",
            (false, false) => "a number from -1e15 to 1e15",
        };
        let fits = |v: &f64| v.abs() <= 1e15 && (!whole || v.fract() == 0.0) && (!logarithmic || *v > 0.0);
        match value.filter(fits) {
            Some(value) => Some(value),
            None => reader.expected(what, item.span),
        }
    };
    let (low_value, high_value) = (number(low)?, number(high)?);
    if low_value >= high_value {
        let message = "the least value comes first, and the greatest is above it";
        let diagnostic = Diagnostic::new(Code::WrongSetting, low.span.to(high.span), message);
        reader.diagnostics.push(diagnostic);
        return None;
    }
    Some(Values::Interval {
        low: low_value,
        high: high_value,
        logarithmic: *logarithmic,
        whole: *whole,
        span,
    })
}
