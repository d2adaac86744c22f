//! The text of a graph: `--emit graph`, `--emit grad` and their snapshots, and `--emit dot`.
//! Stable: no addresses, no paths but the spec's. Nothing is decided here.

use super::graph::{Element, GatherPosition, Graph, MapFunction, Node, NodeId, Op, OutputKind, ReduceFunction};
use crate::text::Sources;
use std::fmt::{self, Write};

impl Graph {
    /// The whole text; with sources each node tells the line it comes from.
    pub fn listing(&self, sources: Option<&Sources>) -> String {
        let mut text = self.declarations_text();
        for id in self.ids() {
            let line = self.line(id);
            let place = sources.and_then(|s| s.file(self.node(id).span.file).map(|_| s.place(self.node(id).span)));
            let _ = match place {
                Some(place) => writeln!(text, "{line:<64}  # {place}"),
                None => writeln!(text, "{line}"),
            };
            if let super::graph::Op::Scan(scan) = &self.node(id).op {
                for line in scan.body.listing(sources).lines() {
                    let _ = writeln!(text, "    | {line}");
                }
            }
        }
        for output in &self.outputs {
            let _ = writeln!(text, "{} = {}", self.output_name(&output.kind), output.node);
        }
        text
    }

    /// One node, as [`Graph::listing`] prints it.
    pub fn line(&self, id: NodeId) -> String {
        let node = self.node(id);
        let mut line = format!("{id} = {}", self.operation(node));
        for operand in &node.operands {
            let _ = write!(line, " {operand}");
        }
        let _ = write!(line, " : {}", type_text(&node.shape, node.element));
        line
    }

    /// For Graphviz: a box for each node, an arrow from operand to user.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph graph {\n    node [shape=box, fontname=\"monospace\"];\n");
        for id in self.ids() {
            let node = self.node(id);
            let label = format!(
                "{} {}\\n{}",
                id,
                self.operation(node),
                type_text(&node.shape, node.element)
            );
            let _ = writeln!(text, "    n{} [label=\"{}\"];", id.0, label.replace('"', "\\\""));
            for operand in &node.operands {
                let _ = writeln!(text, "    n{} -> n{};", operand.0, id.0);
            }
        }
        for (i, output) in self.outputs.iter().enumerate() {
            let name = self.output_name(&output.kind);
            let _ = writeln!(
                text,
                "    out{i} [label=\"{name}\", shape=ellipse];\n    n{} -> out{i};",
                output.node.0
            );
        }
        text.push_str("}\n");
        text
    }

    fn declarations_text(&self) -> String {
        let mut text = String::new();
        for (i, input) in self.inputs.iter().enumerate() {
            let _ = writeln!(
                text,
                "in{i} {} : {}",
                input.name,
                type_text(&input.shape, input.element)
            );
        }
        for (i, param) in self.params.iter().enumerate() {
            let frozen = if param.frozen { " frozen" } else { "" };
            let shape = type_text(&param.shape, Element::Real);
            let _ = writeln!(text, "p{i} {} : {shape} ~ {:?}{frozen}", param.path, param.initialiser);
        }
        for (i, state) in self.states.iter().enumerate() {
            let shape = type_text(&state.shape, Element::Real);
            let _ = writeln!(text, "s{i} {} : {shape} = {}", state.path, state.initial);
        }
        for (i, number) in self.numbers.iter().enumerate() {
            let _ = writeln!(text, "n{i} = {number}");
        }
        text
    }

    fn operation(&self, node: &Node) -> String {
        match &node.op {
            Op::Input(id) => format!("input {id}"),
            Op::Param(id) => format!("param {id}"),
            Op::State(id) => format!("state {id}"),
            Op::StepNumber(id) => format!("number {id}"),
            Op::Constant(value) => format!("constant {value}"),
            Op::Index { axis } => format!("index {axis}"),
            Op::Map(function) => format!("map.{}", map_name(*function)),
            Op::Reduce { function, axes } => format!("reduce.{} {axes:?}", reduce_name(*function)),
            Op::Contract { a, b, out } => format!("contract {},{}->{}", letters(a), letters(b), letters(out)),
            Op::View {
                positions,
                guards,
                fill,
            } => view_text(positions, guards, *fill),
            Op::Gather { positions } => format!("gather {}", gather_text(positions)),
            Op::ScatterAdd { positions } => format!("scatter_add {}", gather_text(positions)),
            Op::Random { stream } => format!("random {stream}"),
            Op::Stop => "stop".into(),
            Op::Sort { axis } => format!("sort {axis}"),
            Op::Scan(scan) => format!(
                "scan {} steps{}, {} carried, {} sequences",
                scan.steps,
                if scan.backwards { " backwards" } else { "" },
                scan.carries,
                scan.slices
            ),
            Op::Gradient(id) => format!("gradient {id}"),
        }
    }

    fn output_name(&self, kind: &OutputKind) -> String {
        let param = |id: u32| self.params.get(id as usize).map_or("?", |p| p.path.as_str());
        match kind {
            OutputKind::Objective => "objective".into(),
            OutputKind::Loss => "loss".into(),
            OutputKind::Metric(name) => format!("metric {name}"),
            OutputKind::GradientNorm => "gradient_norm".into(),
            OutputKind::ParamGradient(id) => format!("gradient {}", param(id.0)),
            OutputKind::Value(name) => format!("value {name}"),
            OutputKind::ParamUpdate(id) => format!("update {}", param(id.0)),
            OutputKind::StateUpdate(id) => {
                let state = self.states.get(id.0 as usize).map_or("?", |s| s.path.as_str());
                format!("update {state}")
            }
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.listing(None))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Real => write!(f, "real"),
            Element::Id { bound } => write!(f, "id < {bound}"),
            Element::Condition => write!(f, "condition"),
        }
    }
}

/// `[12, 64] real`.
pub fn type_text(shape: &[usize], element: Element) -> String {
    format!("{shape:?} {element}")
}

/// As it is printed behind `map.`.
pub fn map_name(function: MapFunction) -> &'static str {
    match function {
        MapFunction::Add => "add",
        MapFunction::Subtract => "subtract",
        MapFunction::Multiply => "multiply",
        MapFunction::Divide => "divide",
        MapFunction::Power => "power",
        MapFunction::Minimum => "minimum",
        MapFunction::Maximum => "maximum",
        MapFunction::Negate => "negate",
        MapFunction::Absolute => "absolute",
        MapFunction::SquareRoot => "square_root",
        MapFunction::Exponential => "exponential",
        MapFunction::Logarithm => "logarithm",
        MapFunction::Sine => "sine",
        MapFunction::Cosine => "cosine",
        MapFunction::HyperbolicTangent => "hyperbolic_tangent",
        MapFunction::Sigmoid => "sigmoid",
        MapFunction::Erf => "erf",
        MapFunction::Floor => "floor",
        MapFunction::RoundBf16 => "round_bf16",
        MapFunction::RoundF16 => "round_f16",
        MapFunction::Less => "less",
        MapFunction::LessEqual => "less_equal",
        MapFunction::Equal => "equal",
        MapFunction::And => "and",
        MapFunction::Or => "or",
        MapFunction::Not => "not",
        MapFunction::Where => "where",
    }
}

/// As it is printed behind `reduce.`.
pub fn reduce_name(function: ReduceFunction) -> &'static str {
    match function {
        ReduceFunction::Sum => "sum",
        ReduceFunction::Maximum => "maximum",
        ReduceFunction::Minimum => "minimum",
        ReduceFunction::Product => "product",
    }
}

/// Labels as letters: `abd`; beyond z as numbers in parentheses.
fn letters(labels: &[u8]) -> String {
    labels
        .iter()
        .map(|&label| match label {
            0..26 => char::from(b'a' + label).to_string(),
            label => format!("({label})"),
        })
        .collect()
}

fn view_text(positions: &[impl fmt::Display], guards: &[impl fmt::Display], fill: f64) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let positions = list(positions.iter().map(ToString::to_string).collect());
    if guards.is_empty() {
        return format!("view [{positions}]");
    }
    let guards = list(guards.iter().map(ToString::to_string).collect());
    format!("view [{positions}] where {guards} else {fill}")
}

fn gather_text(positions: &[GatherPosition]) -> String {
    let one = |position: &GatherPosition| match position {
        GatherPosition::Axis(axis) => format!("i{axis}"),
        GatherPosition::Ids { operand, axes } => {
            let axes: Vec<String> = axes.iter().map(|a| format!("i{a}")).collect();
            format!("ids{operand}[{}]", axes.join(", "))
        }
    };
    format!("[{}]", positions.iter().map(one).collect::<Vec<_>>().join(", "))
}
