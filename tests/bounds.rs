//! Every bound of every parameter of the library: a value just beyond it is refused, with a note at the value, and the
//! value itself is accepted. The bounds are read off the definitions' own `require` lines.

use mspec::ir::ast::{
    BinaryOperator, Definition, DefinitionKind, Expr, ExprKind, Index, Item, Parameter, ParameterKind, StatementKind,
    UnaryOperator,
};
use mspec::ir::experiment::{Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::pipeline::{self, Failure};
use mspec::standard;
use mspec::text::{Code, FileId, Severity, render};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// Conditions that are no bound of one parameter; specs of `tests/wrong` break them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("attention", "(floor(size) == size)"),
    ("averaged", "((average != binary) or (classes == 2))"),
    ("log_odds", "(classes >= 2)"),
    ("squeeze", "(size == 1)"),
];

/// Sizes of the data that definitions are applied to, by the names that their heads give them.
const SIZES: &[(&str, f64)] = &[
    ("time", 8.0),
    ("height", 8.0),
    ("width", 8.0),
    ("channels", 8.0),
    ("classes", 8.0),
    ("size", 8.0),
];

/// Values for parameters that need one.
const VALUES: &[(&str, &str)] = &[
    ("rows", "2"),
    ("columns", "2"),
    ("at", "[3, 5]"),
    ("length", "10"),
    ("every", "10"),
    ("first", "1"),
    ("heads", "2"),
    ("hidden", "8"),
    ("out", "8"),
    ("kernel", "3"),
    ("size", "2"),
    ("groups", "2"),
    ("experts", "4"),
    ("most", "3"),
    ("width", "8"),
];

/// A value that its definition must refuse, and one that it must take.
struct Bound {
    definition: String,
    parameter: String,
    beyond: String,
    refused: String,
    accepted: String,
}

fn definitions() -> Vec<(String, Definition)> {
    let mut found = vec![];
    for ((name, _), file) in standard::FILES.iter().zip(standard::trees(FileId(0)).iter()) {
        found.extend(file.items.iter().filter_map(|item| match item {
            Item::Definition(d) => Some((name.to_string(), d.clone())),
            _ => None,
        }));
    }
    found
}

/// The conditions that `and` joins.
fn conditions<'a>(condition: &'a Expr, found: &mut Vec<&'a Expr>) {
    match &*condition.kind {
        ExprKind::Binary {
            operator: BinaryOperator::And,
            left,
            right,
            ..
        } => {
            conditions(left, found);
            conditions(right, found);
        }
        _ => found.push(condition),
    }
}

/// A number, or what a name stands for: a size of the data, or the value that a parameter has here.
fn number(expr: &Expr, definition: &Definition) -> Option<f64> {
    match &*expr.kind {
        ExprKind::Number { text, .. } => text.parse().ok(),
        ExprKind::Name(name) => {
            let parameter = definition.parameters.iter().find(|p| p.name.text == *name);
            match parameter {
                Some(parameter) => match &parameter.default {
                    Some(default) => number(default, definition),
                    None => value(name).parse().ok(),
                },
                None => SIZES.iter().find(|s| s.0 == name).map(|s| s.1),
            }
        }
        ExprKind::Unary {
            operator: UnaryOperator::Negate,
            operand,
        } => number(operand, definition).map(|n| -n),
        _ => None,
    }
}

fn value(parameter: &str) -> &'static str {
    VALUES.iter().find(|v| v.0 == parameter).map_or("0.5", |v| v.1)
}

/// The parameter that a condition bounds, values just beyond the bound, and one within.
fn bound<'a>(condition: &'a Expr, definition: &'a Definition) -> Option<(&'a str, Vec<f64>, f64)> {
    use BinaryOperator::*;
    let ExprKind::Binary {
        operator, left, right, ..
    } = &*condition.kind
    else {
        return None;
    };
    let is_parameter = |name: &str| definition.parameters.iter().any(|p| p.name.text == name);
    match (operator, &*left.kind) {
        (
            Equal,
            ExprKind::Binary {
                operator: Modulo,
                right: by,
                left: of,
                ..
            },
        ) => match (&*of.kind, &*by.kind) {
            // 3 divides none of the sizes and is no even number.
            (_, ExprKind::Name(name)) if is_parameter(name) => Some((name, vec![3.0], 2.0)),
            (ExprKind::Name(name), _) if is_parameter(name) => Some((name, vec![3.0], 2.0)),
            _ => None,
        },
        (
            LessEqual,
            ExprKind::Binary {
                operator: Add,
                left: first,
                right: size,
                ..
            },
        ) => {
            let ExprKind::Name(name) = &*first.kind else {
                return None;
            };
            let most = number(right, definition)? - number(size, definition)?;
            Some((name, vec![most + 1.0], most))
        }
        (_, ExprKind::Name(name)) if is_parameter(name) => {
            let at = number(right, definition)?;
            let whole = at >= 1.0 && matches!(&*right.kind, ExprKind::Name(_));
            match operator {
                GreaterEqual if at >= 1.0 => Some((name, vec![at - 1.0, at - 0.001], at)),
                GreaterEqual => Some((name, vec![at - 0.001], at)),
                LessEqual if whole => Some((name, vec![at + 1.0], at)),
                LessEqual => Some((name, vec![at + 0.001], at)),
                Greater => Some((name, vec![at], at + 0.001)),
                Less if whole => Some((name, vec![at], at - 1.0)),
                Less if at > 1.0 => Some((name, vec![at], at - 1.0)),
                Less => Some((name, vec![at], at - 0.001)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How many axes a head names besides the batch.
fn named_axes(parameter: &Parameter) -> usize {
    let ParameterKind::Tensor(axes) = &parameter.kind else {
        return 0;
    };
    let named = |i: &&Index| matches!(i, Index::Named { name, .. } if name.text != "batch");
    axes.iter().filter(named).count()
}

/// The data's tensor that a parameter of a loss or metric gets.
fn compared(parameter: &Parameter, definition: &Definition) -> &'static str {
    match (parameter.name.text.as_str(), named_axes(parameter)) {
        ("target", 1) if definition.name.text == "ctc" => "labels",
        ("target" | "first" | "second", 0) => "label",
        (_, 0) => "number",
        (_, 2..) => "sequence",
        _ => "vector",
    }
}

/// A call with one parameter given, and the others that need a value.
fn call(definition: &Definition, parameter: &str, given: &str, tensors: &[&str]) -> String {
    let mut arguments: Vec<String> = tensors.iter().map(|t| t.to_string()).collect();
    arguments.push(format!("{parameter} = {given}"));
    for other in &definition.parameters {
        let name = other.name.text.as_str();
        if other.default.is_some() || name == parameter {
            continue;
        }
        match other.kind {
            ParameterKind::Tensor(_) if name == "memory" => arguments.push("memory = sequence".into()),
            ParameterKind::Tensor(_) => {}
            ParameterKind::Layer => arguments.push(format!("{name} = adam(lr = 0.1)")),
            _ => arguments.push(format!("{name} = {}", value(name))),
        }
    }
    format!("{}({})", definition.name.text, arguments.join(", "))
}

/// A spec in which a definition is called so.
fn spec(file: &str, definition: &Definition, parameter: &str, given: &str) -> String {
    let leading = |p: &&Parameter| matches!(p.kind, ParameterKind::Tensor(_)) && p.default.is_none();
    let compared = |p| compared(p, definition);
    let tensors: Vec<&str> = definition.parameters.iter().filter(leading).map(compared).collect();
    let applied = |tensors: &[&str]| call(definition, parameter, given, tensors);
    let plain = (
        "mse(number)".to_string(),
        String::new(),
        "optimizer sgd(lr = 0.1)".to_string(),
    );
    let (loss, layer, train) = match definition.kind {
        DefinitionKind::Optimizer => (
            plain.0,
            plain.1,
            format!("optimizer {} on matrices ; optimizer sgd(lr = 0.1)", applied(&[])),
        ),
        DefinitionKind::Schedule => (
            plain.0,
            plain.1,
            format!("{} ; evaluate every step ; schedule {}", plain.2, applied(&[])),
        ),
        DefinitionKind::Initialiser => (
            plain.0,
            plain.1,
            format!("{} ; init {} on matrices", plain.2, applied(&[])),
        ),
        DefinitionKind::Loss => {
            let value = format!("({} -> {})", tensors[0], applied(&tensors[1..]));
            (format!("mse(number) + {value}"), plain.1, plain.2)
        }
        DefinitionKind::Metric => (
            plain.0,
            plain.1,
            format!("{} ; metric {} -> {}", plain.2, tensors[0], applied(&tensors[1..])),
        ),
        DefinitionKind::Layer if file == "std/regularization.ms" => {
            let line = if definition.name.text == "max_norm" {
                "constrain"
            } else {
                "penalty"
            };
            (
                plain.0,
                plain.1,
                format!("{} ; {line} {} on matrices", plain.2, applied(&[])),
            )
        }
        DefinitionKind::Layer => {
            let on_images = matches!(file, "std/convolution.ms" | "std/pooling.ms");
            let x = match (definition.parameters.first().map_or(0, named_axes), on_images) {
                (2, true) => "sequence",
                (3.., _) => "image",
                (_, true) => "image",
                _ if definition.name.text == "group_norm" => "image",
                _ => "sequence",
            };
            (plain.0, format!("    made = {x} -> {}\n", applied(&[])), plain.2)
        }
    };
    format!(
        "data {{ text \"none\" ; window 8 }}\n\
         def only(x[.., c]) {{\n    y[..] = x[.., 0]\n}}\n\
         model net {{\n{layer}    vector -> linear(8) -> relu -> linear(1) -> only\n}}\n\
         train {{ loss {loss} ; steps 20 ; {train} }}\n"
    )
}

/// What definitions are applied to: real tensors of one, two and three axes, and targets.
fn schema() -> Schema {
    let tensor = |name: &str, axes: &[&str], element| SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|a| (a.to_string(), 8)).collect(),
        element,
        bound_name: None,
        category: false,
    };
    Schema {
        tensors: vec![
            tensor("number", &[], Element::Real),
            tensor("vector", &["features"], Element::Real),
            tensor("sequence", &["time", "features"], Element::Real),
            tensor("image", &["rows", "columns", "features"], Element::Real),
            tensor("label", &[], Element::Id { bound: 8 }),
            tensor("labels", &["places"], Element::Id { bound: 8 }),
        ],
        epoch_samples: Some(100),
        ..Schema::default()
    }
}

fn bounds() -> Vec<Bound> {
    let mut list = vec![];
    let mut elsewhere = ELSEWHERE.to_vec();
    for (file, definition) in definitions() {
        for statement in &definition.body.statements {
            let StatementKind::Require { condition, .. } = &statement.kind else {
                continue;
            };
            let mut parts = vec![];
            conditions(condition, &mut parts);
            for part in parts {
                let name = definition.name.text.clone();
                let Some((parameter, beyond, within)) = bound(part, &definition) else {
                    let text = part.to_string();
                    let known = elsewhere.iter().position(|e| *e == (name.as_str(), text.as_str()));
                    let known = known.unwrap_or_else(|| panic!("{name}: the condition `{text}` is not understood"));
                    elsewhere.remove(known);
                    continue;
                };
                for value in beyond {
                    list.push(Bound {
                        definition: name.clone(),
                        parameter: parameter.to_string(),
                        beyond: value.to_string(),
                        refused: spec(&file, &definition, parameter, &value.to_string()),
                        accepted: spec(&file, &definition, parameter, &within.to_string()),
                    });
                }
            }
        }
    }
    assert!(elsewhere.is_empty(), "no longer there: {elsewhere:?}");
    list
}

fn resolve(text: &str) -> Result<(), Failure> {
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.to_string().into_bytes()))?;
    spec.resolve(schema()).map(|_| ())
}

fn said(failure: &Failure) -> String {
    render::text(&failure.diagnostics, &failure.sources, false)
}

#[test]
fn a_value_beyond_its_bound_is_refused_at_the_value() {
    let list = bounds();
    for name in [
        "sgd",
        "muon",
        "lookahead",
        "plateau",
        "l1",
        "max_norm",
        "dropout",
        "attention",
        "focal",
        "top",
    ] {
        assert!(list.iter().any(|b| b.definition == name), "{name} has bounds");
    }
    assert!(list.len() > 180, "{} bounds", list.len());
    let accepted: BTreeSet<&str> = list.iter().map(|b| b.accepted.as_str()).collect();
    let within = accepted.into_iter().map(|text| Case { text, bound: None });
    let beyond = list.iter().map(|bound| Case {
        text: &bound.refused,
        bound: Some(bound),
    });
    let waiting = Mutex::new(beyond.chain(within));
    let wrong = Mutex::new(String::new());
    let work = || {
        while let Some(case) = { waiting.lock().unwrap().next() } {
            let complaint = judge(&case);
            wrong.lock().unwrap().push_str(&complaint);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}

/// A spec, and the bound that it breaks; without one it keeps them all.
struct Case<'a> {
    text: &'a str,
    bound: Option<&'a Bound>,
}

/// What is wrong with what is said of a spec; empty if nothing is.
fn judge(case: &Case<'_>) -> String {
    let failure = match (resolve(case.text), case.bound) {
        (Ok(()), None) => return String::new(),
        (Ok(()), Some(_)) => return format!("accepted, but beyond a bound:\n{}\n", case.text),
        (Err(failure), None) => return format!("within its bounds, but refused:\n{}\n", said(&failure)),
        (Err(failure), Some(bound)) => (failure, bound),
    };
    let (failure, bound) = failure;
    let errors = failure.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let at_value = failure.diagnostics.iter().any(|d| {
        let mut labels = std::iter::once(&d.primary).chain(&d.secondary);
        d.code == Code::Requirement && labels.any(|l| failure.sources.text(l.span) == bound.beyond)
    });
    if errors.count() == 1 && at_value {
        return String::new();
    }
    let Bound {
        definition,
        parameter,
        beyond,
        ..
    } = bound;
    format!(
        "{definition}({parameter} = {beyond}): expected one error, at the value:\n{}\n",
        said(&failure)
    )
}
