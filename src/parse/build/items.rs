//! Matched items of the top level → [`Item`]: imports, definitions, models and sections.

use super::Builder;
use super::expressions::{arguments, expression, only_expression, text};
use super::statements::{block, declared};
use crate::ir::ast::{
    Block, Definition, DefinitionKind, ElementType, Expr, ExprKind, Item, Model, Name, Parameter, ParameterKind,
    Section, Setting, SignatureInput, SignatureOutput, Statement, StatementKind,
};
use crate::parse::grammar::{Pair, Rule, part, parts};

/// An item, its documentation still empty.
pub fn item(b: &mut Builder, pair: &Pair) -> Item {
    match pair.as_rule() {
        Rule::import => {
            let path = text(b, &part(pair, Rule::text).expect("an import has a path"));
            Item::Import {
                path,
                span: b.span(pair),
            }
        }
        Rule::definition => Item::Definition(definition(b, pair)),
        Rule::model => Item::Model(model(b, pair)),
        _ => Item::Section(section(b, pair)),
    }
}

fn definition(b: &mut Builder, pair: &Pair) -> Definition {
    let kind = match part(pair, Rule::definition_word)
        .expect("starts with its word")
        .as_str()
    {
        "loss" => DefinitionKind::Loss,
        "metric" => DefinitionKind::Metric,
        "optimizer" => DefinitionKind::Optimizer,
        "schedule" => DefinitionKind::Schedule,
        "init" => DefinitionKind::Initialiser,
        _ => DefinitionKind::Layer,
    };
    let name = b.name(&part(pair, Rule::name).expect("a definition has a name"));
    let parameters = part(pair, Rule::parameters).expect("a definition has parentheses");
    let parameters = parts(&parameters).map(|p| parameter(b, &p)).collect();
    let (body, short) = match part(pair, Rule::block) {
        Some(body) => (block(b, &body), false),
        None => {
            let value = only_expression(b, pair);
            let span = value.span;
            (
                Block {
                    statements: vec![Statement {
                        kind: StatementKind::Value(value),
                        span,
                    }],
                    span,
                },
                true,
            )
        }
    };
    Definition {
        kind,
        name,
        parameters,
        body,
        short,
        span: b.span(pair),
        documentation: vec![],
    }
}

/// What a parameter's kind is called that takes steps and epochs.
const STEPS: &str = "steps";

fn parameter(b: &mut Builder, pair: &Pair) -> Parameter {
    let (name, indices) = declared(b, &part(pair, Rule::declared).expect("a parameter has a name"));
    let kind = match (indices, part(pair, Rule::words)) {
        (Some(_), Some(words)) => {
            b.refuse(
                b.span(&words),
                "a tensor takes no words",
                "leave out the bracket, or what follows the `:`",
            );
            ParameterKind::Number
        }
        (Some(indices), None) if part(pair, Rule::layer_type).is_none() => ParameterKind::Tensor(indices),
        (Some(_), None) => {
            b.refuse(
                b.span(pair),
                "a layer has no axes",
                "leave out the bracket, or `: layer`",
            );
            ParameterKind::Layer
        }
        (None, Some(words)) if words.as_str().trim() == STEPS => ParameterKind::Steps,
        (None, Some(words)) if parts(&words).count() == 1 => {
            let message = format!("`{}` is no kind of parameter", words.as_str().trim());
            b.refuse(
                b.span(&words),
                message,
                "a tensor has a bracket, `x[..]`, a number nothing; the others are `: layer`, `: steps` and words, `: one | other`",
            );
            ParameterKind::Number
        }
        (None, Some(words)) => ParameterKind::Words(parts(&words).map(|w| b.name(&w)).collect()),
        (None, None) if part(pair, Rule::layer_type).is_some() => ParameterKind::Layer,
        (None, None) => ParameterKind::Number,
    };
    let below = part(pair, Rule::below).map(|below| only_expression(b, &below));
    let default = part(pair, Rule::default).map(|default| only_expression(b, &default));
    Parameter {
        name,
        kind,
        below,
        default,
        span: b.span(pair),
    }
}

fn model(b: &mut Builder, pair: &Pair) -> Model {
    let name = b.name(&part(pair, Rule::name).expect("a model has a name"));
    let inputs = part(pair, Rule::inputs).map(|inputs| parts(&inputs).map(|i| input(b, &i)).collect());
    let outputs = part(pair, Rule::outputs).map(|outputs| {
        let outputs = parts(&outputs).filter(|o| o.as_rule() == Rule::output);
        outputs.map(|o| output(b, &o)).collect()
    });
    let body = block(b, &part(pair, Rule::block).expect("a model has a body"));
    Model {
        name,
        inputs,
        outputs: outputs.unwrap_or_default(),
        body,
        span: b.span(pair),
    }
}

fn input(b: &mut Builder, pair: &Pair) -> SignatureInput {
    let element = match part(pair, Rule::element_type).expect("an input has a type").as_str() {
        "ids" => ElementType::Ids,
        "condition" => ElementType::Condition,
        _ => ElementType::Real,
    };
    SignatureInput {
        name: b.name(&part(pair, Rule::name).expect("an input has a name")),
        element,
        axes: axes(b, pair),
        below: part(pair, Rule::below).map(|below| only_expression(b, &below)),
        span: b.span(pair),
    }
}

fn output(b: &mut Builder, pair: &Pair) -> SignatureOutput {
    let name = b.name(&part(pair, Rule::name).expect("an output has a name"));
    SignatureOutput {
        name,
        axes: axes(b, pair),
        span: b.span(pair),
    }
}

fn axes(b: &mut Builder, pair: &Pair) -> Vec<Expr> {
    let axes = part(pair, Rule::axes);
    axes.map(|axes| parts(&axes).map(|axis| expression(b, &axis)).collect())
        .unwrap_or_default()
}

fn section(b: &mut Builder, pair: &Pair) -> Section {
    let name = b.name(&part(pair, Rule::section_word).expect("a section has a name"));
    let settings = settings(b, &part(pair, Rule::settings).expect("a section has braces"));
    Section {
        name,
        settings,
        span: b.span(pair),
    }
}

fn settings(b: &mut Builder, pair: &Pair) -> Vec<Setting> {
    parts(pair).filter_map(|p| setting(b, &p)).collect()
}

/// `None` for one that was already reported.
fn setting(b: &mut Builder, pair: &Pair) -> Option<Setting> {
    if part(pair, Rule::wrong).is_some() {
        return None;
    }
    let mut groups: Vec<Vec<Expr>> = part(pair, Rule::groups)
        .map(|groups| {
            parts(&groups)
                .map(|g| parts(&g).map(|item| expression(b, &item)).collect())
                .collect()
        })
        .unwrap_or_default();
    let key = match part(pair, Rule::called_key) {
        Some(called) => {
            let (name, call) = called_key(b, &called);
            match groups.first_mut() {
                Some(first) => first.insert(0, call),
                None => groups.push(vec![call]),
            }
            vec![name]
        }
        None => {
            let key = part(pair, Rule::key).expect("a setting has a key");
            parts(&key).map(|word| b.name(&word)).collect()
        }
    };
    let on = part(pair, Rule::on_patterns).map(|on| parts(&on).map(|p| expression(b, &p)).collect());
    let block = part(pair, Rule::settings).map(|block| settings(b, &block));
    let assigned = part(pair, Rule::assign).is_some();
    Some(Setting {
        key,
        assigned,
        groups,
        on: on.unwrap_or_default(),
        block,
        span: b.span(pair),
    })
}

/// `shift(2)` has the key `shift`, and its first item is the whole call.
fn called_key(b: &mut Builder, pair: &Pair) -> (Name, Expr) {
    let name = b.name(&part(pair, Rule::word).expect("a key is a word"));
    let arguments = arguments(b, &part(pair, Rule::call).expect("the key is called"));
    let callee = Expr {
        kind: Box::new(ExprKind::Name(name.text.clone())),
        span: name.span,
    };
    let call = Expr {
        kind: Box::new(ExprKind::Call { callee, arguments }),
        span: b.span(pair),
    };
    (name, call)
}
