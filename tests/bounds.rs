//! Every bound of every parameter of the library's optimizers, schedules, penalties and constraints: a value just beyond it
//! is refused, with a note at the value. The bounds are read off the definitions' own `require` lines.

use mspec::data;
use mspec::ir::ast::{
    BinaryOperator, Definition, DefinitionKind, Expr, ExprKind, Item, ParameterKind, StatementKind, UnaryOperator,
};
use mspec::pipeline;
use mspec::standard;
use mspec::text::{Code, Diagnostics, FileId};
use std::path::Path;

/// A value that its definition must refuse.
struct Beyond {
    definition: String,
    parameter: String,
    value: f64,
    spec: String,
}

fn definitions() -> Vec<Definition> {
    let mut diagnostics = Diagnostics::default();
    let mut found = vec![];
    for (number, (name, text)) in standard::FILES.iter().enumerate() {
        let file = mspec::parse::parse(FileId(number as u32), text, &mut diagnostics);
        let regularization = *name == "std/regularization.ms";
        found.extend(file.items.into_iter().filter_map(|item| match item {
            Item::Definition(d) if regularization => Some(d),
            Item::Definition(d) if matches!(d.kind, DefinitionKind::Optimizer | DefinitionKind::Schedule) => Some(d),
            _ => None,
        }));
    }
    found
}

/// The comparisons of a condition that is made of them by `and`.
fn comparisons<'a>(condition: &'a Expr, found: &mut Vec<(&'a str, BinaryOperator, f64)>) {
    if let ExprKind::Binary {
        operator, left, right, ..
    } = &*condition.kind
    {
        match (operator, &*left.kind, number(right)) {
            (BinaryOperator::And, _, _) => {
                comparisons(left, found);
                comparisons(right, found);
            }
            (operator, ExprKind::Name(name), Some(bound)) => found.push((name, *operator, bound)),
            _ => {}
        }
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match &*expr.kind {
        ExprKind::Number { text, .. } => text.parse().ok(),
        ExprKind::Unary {
            operator: UnaryOperator::Negate,
            operand,
        } => number(operand).map(|n| -n),
        _ => None,
    }
}

/// The line that gives a parameter a value, and the others that need one something harmless.
fn line(definition: &Definition, parameter: &str, value: f64) -> String {
    let mut arguments = vec![format!("{parameter} = {value}")];
    for other in &definition.parameters {
        if other.default.is_some() || other.name.text == parameter || matches!(other.kind, ParameterKind::Tensor(_)) {
            continue;
        }
        let given = match other.kind {
            ParameterKind::Layer => "adam(lr = 0.1)",
            _ => match other.name.text.as_str() {
                "at" => "[3, 5]",
                "length" | "every" | "first" => "10",
                _ => "0.5",
            },
        };
        arguments.push(format!("{} = {given}", other.name.text));
    }
    let call = format!("{}({})", definition.name.text, arguments.join(", "));
    match definition.kind {
        DefinitionKind::Optimizer => format!("optimizer {call} on matrices ; optimizer sgd(lr = 0.1)"),
        DefinitionKind::Schedule => format!("optimizer sgd(lr = 0.1) ; schedule {call}"),
        _ if definition.name.text == "max_norm" => format!("optimizer sgd(lr = 0.1) ; constrain {call} on matrices"),
        _ => format!("optimizer sgd(lr = 0.1) ; penalty {call} on matrices"),
    }
}

fn beyond() -> Vec<Beyond> {
    let mut list = vec![];
    for definition in definitions() {
        let mut bounds = vec![];
        for statement in &definition.body.statements {
            if let StatementKind::Require { condition, .. } = &statement.kind {
                let before = bounds.len();
                comparisons(condition, &mut bounds);
                assert!(
                    bounds.len() > before,
                    "{}: a bound is not understood",
                    definition.name.text
                );
            }
        }
        for (parameter, operator, bound) in bounds {
            let value = match operator {
                BinaryOperator::GreaterEqual => bound - 0.001,
                BinaryOperator::LessEqual => bound + 0.001,
                BinaryOperator::Greater | BinaryOperator::Less => bound,
                other => panic!("{other:?} is no bound"),
            };
            let train = line(&definition, parameter, value);
            list.push(Beyond {
                definition: definition.name.text.clone(),
                parameter: parameter.to_string(),
                value,
                spec: format!(
                    "data {{ text \"text.txt\" ; window 8 }}\nmodel net {{ tokens -> embedding(vocab, 8) -> linear(vocab) }}\n\
                     train {{ loss cross_entropy(next) ; steps 20 ; {train} }}\n"
                ),
            });
        }
    }
    list
}

#[test]
fn a_value_beyond_its_bound_is_refused_at_the_value() {
    let list = beyond();
    for name in [
        "sgd",
        "adamw",
        "muon",
        "lookahead",
        "one_cycle",
        "plateau",
        "l1",
        "max_norm",
    ] {
        assert!(list.iter().any(|b| b.definition == name), "{name} has bounds");
    }
    assert!(list.len() > 80, "{} bounds", list.len());
    for Beyond {
        definition,
        parameter,
        value,
        spec: text,
    } in list
    {
        let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
        let data = data::open(&spec.data().unwrap(), Path::new("tests/data")).unwrap();
        let what = format!("{definition}({parameter} = {value})");
        let failure = match spec.resolve(data.schema().clone()) {
            Ok(_) => panic!("{what} is accepted:\n{text}"),
            Err(failure) => failure,
        };
        let said = mspec::text::render::text(&failure.diagnostics, &failure.sources, false);
        let refused = failure.diagnostics.iter().find(|d| d.code == Code::Requirement);
        let refused = refused.unwrap_or_else(|| panic!("{what}:\n{said}"));
        assert_eq!(
            failure.diagnostics.iter().count(),
            1,
            "{what}: one cause, one error:\n{said}"
        );
        let at_value = refused
            .secondary
            .iter()
            .any(|label| failure.sources.text(label.span) == value.to_string());
        assert!(at_value, "{what}: no note at the value:\n{said}");
    }
}
