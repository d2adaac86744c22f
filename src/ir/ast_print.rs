//! The syntax tree as text, for `mspec compile --emit ast` and for comparing trees: one line for each item, setting
//! and statement, with every operator in parentheses. Two trees print alike if they differ in nothing but places.

use super::ast::*;
use std::fmt::{self, Display, Formatter};

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.items.iter().try_for_each(|item| write!(f, "{item}"))
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Item::Import { path, .. } => writeln!(f, "import {path:?}"),
            Item::Definition(definition) => self::definition(f, definition),
            Item::Model(model) => self::model(f, model),
            Item::Section(section) => {
                writeln!(f, "{}", section.name.text)?;
                settings(f, &section.settings, 1)
            }
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        expression(f, self, 0)
    }
}

fn indent(f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
    write!(f, "{:1$}", "", 4 * depth)
}

fn definition(f: &mut Formatter<'_>, definition: &Definition) -> fmt::Result {
    let word = match definition.kind {
        DefinitionKind::Layer => "def",
        DefinitionKind::Loss => "loss",
        DefinitionKind::Metric => "metric",
        DefinitionKind::Optimizer => "optimizer",
        DefinitionKind::Schedule => "schedule",
        DefinitionKind::Initialiser => "init",
    };
    write!(f, "{word} {}", definition.name.text)?;
    f.write_str(if definition.short { " =" } else { "" })?;
    for line in &definition.documentation {
        write!(f, "\n    # {line}")?;
    }
    for parameter in &definition.parameters {
        write!(f, "\n    takes {}", parameter.name.text)?;
        match &parameter.kind {
            ParameterKind::Tensor(axes) => indices(f, axes, 1)?,
            ParameterKind::Layer => f.write_str(": layer")?,
            ParameterKind::Words(words) => {
                let words: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
                write!(f, ": {}", words.join(" | "))?;
            }
            ParameterKind::Steps => f.write_str(": steps")?,
            ParameterKind::Number => {}
        }
        after(f, " < ", &parameter.below, 1)?;
        after(f, " = ", &parameter.default, 1)?;
    }
    writeln!(f)?;
    statements(f, &definition.body, 1)
}

fn model(f: &mut Formatter<'_>, model: &Model) -> fmt::Result {
    writeln!(f, "model {}", model.name.text)?;
    if let Some(inputs) = &model.inputs {
        writeln!(f, "    takes {} inputs", inputs.len())?;
        for input in inputs {
            let element = match input.element {
                ElementType::Ids => "ids",
                ElementType::Real => "real",
                ElementType::Condition => "condition",
            };
            write!(f, "    takes {}: {element}", input.name.text)?;
            list(f, "[", &input.axes, "]", 1)?;
            after(f, " < ", &input.below, 1)?;
            writeln!(f)?;
        }
    }
    for output in &model.outputs {
        write!(f, "    gives {}", output.name.text)?;
        list(f, "[", &output.axes, "]", 1)?;
        writeln!(f)?;
    }
    statements(f, &model.body, 1)
}

fn settings(f: &mut Formatter<'_>, settings: &[Setting], depth: usize) -> fmt::Result {
    for setting in settings {
        indent(f, depth)?;
        let key: Vec<&str> = setting.key.iter().map(|k| k.text.as_str()).collect();
        f.write_str(&key.join("."))?;
        f.write_str(if setting.assigned { " =" } else { "" })?;
        for (i, group) in setting.groups.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            for item in group {
                f.write_str(" ")?;
                expression(f, item, depth)?;
            }
        }
        if !setting.on.is_empty() {
            list(f, " on ", &setting.on, "", depth)?;
        }
        writeln!(f)?;
        if let Some(block) = &setting.block {
            indent(f, depth)?;
            writeln!(f, "  with {}", block.len())?;
            self::settings(f, block, depth + 1)?;
        }
    }
    Ok(())
}

fn statements(f: &mut Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    for statement in &block.statements {
        indent(f, depth)?;
        self::statement(f, &statement.kind, depth)?;
        writeln!(f)?;
    }
    Ok(())
}

fn statement(f: &mut Formatter<'_>, kind: &StatementKind, depth: usize) -> fmt::Result {
    match kind {
        StatementKind::Value(value) => expression(f, value, depth),
        StatementKind::Equation { name, indices, value } => defined(f, name, indices, " = ", value, depth),
        StatementKind::Update { name, indices, value } => defined(f, name, indices, " <- ", value, depth),
        StatementKind::Param(declarations) => {
            f.write_str("param")?;
            declarations.iter().enumerate().try_for_each(|(i, d)| {
                f.write_str(if i > 0 { ", " } else { " " })?;
                f.write_str(&d.name.text)?;
                indices(f, &d.indices, depth)?;
                f.write_str(" ~ ")?;
                expression(f, &d.initialiser, depth)
            })
        }
        StatementKind::State(declarations) => states(f, "state", declarations, depth),
        StatementKind::Carry(declarations) => states(f, "carry", declarations, depth),
        StatementKind::Require { condition, message } => {
            f.write_str("require ")?;
            expression(f, condition, depth)?;
            write!(f, ", {message:?}")
        }
        StatementKind::Penalty(value) => {
            f.write_str("penalty ")?;
            expression(f, value, depth)
        }
        StatementKind::Yield(value) => {
            f.write_str("yield ")?;
            expression(f, value, depth)
        }
    }
}

fn states(f: &mut Formatter<'_>, word: &str, declarations: &[StateDeclaration], depth: usize) -> fmt::Result {
    f.write_str(word)?;
    declarations.iter().enumerate().try_for_each(|(i, d)| {
        f.write_str(if i > 0 { ", " } else { " " })?;
        defined(f, &d.name, &d.indices, " = ", &d.value, depth)
    })
}

fn defined(
    f: &mut Formatter<'_>,
    name: &Name,
    bracket: &Option<Vec<Index>>,
    sign: &str,
    value: &Expr,
    depth: usize,
) -> fmt::Result {
    f.write_str(&name.text)?;
    if let Some(bracket) = bracket {
        indices(f, bracket, depth)?;
    }
    f.write_str(sign)?;
    expression(f, value, depth)
}

fn after(f: &mut Formatter<'_>, sign: &str, value: &Option<Expr>, depth: usize) -> fmt::Result {
    match value {
        Some(value) => {
            f.write_str(sign)?;
            expression(f, value, depth)
        }
        None => Ok(()),
    }
}

fn list(f: &mut Formatter<'_>, open: &str, values: &[Expr], close: &str, depth: usize) -> fmt::Result {
    f.write_str(open)?;
    for (i, value) in values.iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { "" })?;
        expression(f, value, depth)?;
    }
    f.write_str(close)
}

fn indices(f: &mut Formatter<'_>, bracket: &[Index], depth: usize) -> fmt::Result {
    f.write_str("[")?;
    index_list(f, bracket, depth)?;
    f.write_str("]")
}

fn index_list(f: &mut Formatter<'_>, bracket: &[Index], depth: usize) -> fmt::Result {
    for (i, index) in bracket.iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { "" })?;
        match index {
            Index::Rest(_) => f.write_str("..")?,
            Index::Named { name, bound } => {
                f.write_str(&name.text)?;
                after(f, " < ", bound, depth)?;
            }
            Index::Joined { parts, .. } => {
                f.write_str("join(")?;
                index_list(f, parts, depth)?;
                f.write_str(")")?;
            }
            Index::Computed(value) => expression(f, value, depth)?,
        }
    }
    Ok(())
}

/// A block within an expression: its lines are further in, and its brace comes back to where the line began.
fn block(f: &mut Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    f.write_str("{\n")?;
    statements(f, block, depth + 1)?;
    indent(f, depth)?;
    f.write_str("}")
}

fn expression(f: &mut Formatter<'_>, value: &Expr, depth: usize) -> fmt::Result {
    match &*value.kind {
        ExprKind::Number { text, unit } => match unit {
            Some(unit) => write!(f, "{text} {}", unit_word(*unit)),
            None => f.write_str(text),
        },
        ExprKind::Text(text) => write!(f, "{text:?}"),
        ExprKind::Name(name) => f.write_str(name),
        ExprKind::List(items) => list(f, "list[", items, "]", depth),
        ExprKind::Element { base, indices } => {
            expression(f, base, depth)?;
            self::indices(f, indices, depth)
        }
        ExprKind::Member { base, name } => {
            expression(f, base, depth)?;
            write!(f, ".{}", name.text)
        }
        ExprKind::Call { callee, arguments } => call(f, callee, arguments, depth),
        ExprKind::Unary { operator, operand } => {
            f.write_str(match operator {
                UnaryOperator::Negate => "(-",
                UnaryOperator::Not => "(not ",
            })?;
            expression(f, operand, depth)?;
            f.write_str(")")
        }
        ExprKind::Binary {
            operator, left, right, ..
        } => pair(f, left, operator_sign(*operator), right, depth),
        ExprKind::Otherwise { value, otherwise } => pair(f, value, "else", otherwise, depth),
        ExprKind::Flow { value, layer } => pair(f, value, "->", layer, depth),
        ExprKind::Reduce {
            operator,
            indices,
            condition,
            operand,
        } => reduction(f, *operator, indices, condition, operand, depth),
        ExprKind::Named { layer, name } => {
            f.write_str("(")?;
            expression(f, layer, depth)?;
            write!(f, " as {})", name.text)
        }
        ExprKind::Block(body) => block(f, body, depth),
        ExprKind::If { .. } | ExprKind::Repeat { .. } | ExprKind::Scan { .. } => controlled(f, &value.kind, depth),
        ExprKind::Each(name) => write!(f, "each {}", name.text),
        ExprKind::Wrong => f.write_str("?"),
    }
}

fn pair(f: &mut Formatter<'_>, left: &Expr, sign: &str, right: &Expr, depth: usize) -> fmt::Result {
    f.write_str("(")?;
    expression(f, left, depth)?;
    write!(f, " {sign} ")?;
    expression(f, right, depth)?;
    f.write_str(")")
}

fn call(f: &mut Formatter<'_>, callee: &Expr, arguments: &[Argument], depth: usize) -> fmt::Result {
    expression(f, callee, depth)?;
    f.write_str("(")?;
    for (i, argument) in arguments.iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { "" })?;
        if let Some(name) = &argument.name {
            write!(f, "{} = ", name.text)?;
        }
        expression(f, &argument.value, depth)?;
    }
    f.write_str(")")
}

fn reduction(
    f: &mut Formatter<'_>,
    operator: ReductionOperator,
    indices: &[Index],
    condition: &Option<Expr>,
    operand: &Option<Expr>,
    depth: usize,
) -> fmt::Result {
    let word = match operator {
        ReductionOperator::Sum => "sum",
        ReductionOperator::Mean => "mean",
        ReductionOperator::Max => "max",
        ReductionOperator::Min => "min",
        ReductionOperator::Product => "prod",
        ReductionOperator::ArgMax => "argmax",
        ReductionOperator::ArgSort => "argsort",
        ReductionOperator::Count => "count",
    };
    write!(f, "({word}[")?;
    index_list(f, indices, depth)?;
    after(f, " where ", condition, depth)?;
    f.write_str("]")?;
    after(f, " ", operand, depth)?;
    f.write_str(")")
}

fn controlled(f: &mut Formatter<'_>, kind: &ExprKind, depth: usize) -> fmt::Result {
    match kind {
        ExprKind::If {
            condition,
            then,
            otherwise,
        } => {
            f.write_str("if ")?;
            expression(f, condition, depth)?;
            f.write_str(" ")?;
            block(f, then, depth)?;
            if let Some(otherwise) = otherwise {
                f.write_str(" else ")?;
                block(f, otherwise, depth)?;
            }
            Ok(())
        }
        ExprKind::Repeat { index, count, body } => {
            f.write_str("repeat ")?;
            if let Some(index) = index {
                write!(f, "{} < ", index.text)?;
            }
            expression(f, count, depth)?;
            f.write_str(" ")?;
            block(f, body, depth)
        }
        ExprKind::Scan { index, backwards, body } => {
            write!(f, "scan {}", index.text)?;
            after(f, " backwards = ", backwards, depth)?;
            f.write_str(" ")?;
            block(f, body, depth)
        }
        other => unreachable!("{other:?} has no body"),
    }
}

fn operator_sign(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "or",
        BinaryOperator::And => "and",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::WholeDivide => "div",
        BinaryOperator::Modulo => "mod",
        BinaryOperator::Power => "^",
    }
}

fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Percent => "%",
        Unit::Degrees => "deg",
        Unit::Steps => "steps",
        Unit::Epochs => "epochs",
        Unit::Tokens => "tokens",
        Unit::Samples => "samples",
        Unit::Seconds => "seconds",
        Unit::Minutes => "minutes",
        Unit::Hours => "hours",
    }
}
