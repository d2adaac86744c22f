//! Adds nodes to a graph: types come from the catalog's rules, equal nodes are made once, and what is known from
//! constants alone is computed at once; views have a file of their own. Never changes how anything else is rounded.
//! A misuse is a bug of the stage that builds, so it panics with the rule's words.

use super::{TensorType, map, verify::type_of, with};
use crate::ir::graph::*;
use crate::ir::scan::Scan;
use crate::text::Span;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A graph that is being built.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
    known: HashMap<u64, Vec<NodeId>>,
    /// The place that the next nodes come from.
    pub span: Span,
    /// The place in the spec that led there.
    pub caller: Span,
}

impl GraphBuilder {
    /// Goes on with a graph.
    pub fn new(graph: Graph) -> GraphBuilder {
        let mut builder = GraphBuilder {
            graph,
            known: HashMap::new(),
            span: Span::NOWHERE,
            caller: Span::NOWHERE,
        };
        for id in builder.graph.ids() {
            let hash = structure_hash(builder.graph.node(id));
            builder.known.entry(hash).or_default().push(id);
        }
        builder
    }

    /// The next nodes come from where this one does.
    pub fn follow(&mut self, node: &Node) {
        (self.span, self.caller) = (node.span, node.caller);
    }

    /// What is built so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// For declarations and outputs.
    pub fn declarations(&mut self) -> &mut Graph {
        &mut self.graph
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// Sizes of a value's axes.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.graph.node(id).shape
    }

    /// The constant that a value is everywhere, if it is one.
    pub fn as_constant(&self, id: NodeId) -> Option<f64> {
        match self.graph.node(id).op {
            Op::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Adds a primitive as it is, or finds the equal one. `stated` is the result's type where the primitive leaves it open.
    pub fn push(&mut self, op: Op, operands: &[NodeId], stated: TensorType) -> NodeId {
        let types: Vec<TensorType> = operands.iter().map(|&o| type_of(&self.graph, o)).collect();
        let result = with(&op, |p| p.result(&self.graph, &types, &stated))
            .unwrap_or_else(|error| panic!("{op:?} of {types:?}: {error}"));
        let node = Node {
            op,
            operands: operands.to_vec(),
            shape: result.shape,
            element: result.element,
            span: self.span,
            caller: self.caller,
        };
        let candidates = self.known.entry(structure_hash(&node)).or_default();
        let equal = candidates
            .iter()
            .find(|&&id| same_structure(self.graph.node(id), &node));
        if let Some(&id) = equal {
            return id;
        }
        let id = self.graph.add(node);
        candidates.push(id);
        id
    }

    /// As [`GraphBuilder::push`], for primitives that know their own type.
    fn derived(&mut self, op: Op, operands: &[NodeId]) -> NodeId {
        self.push(op, operands, TensorType::real(&[]))
    }

    /// A tensor of the batch.
    pub fn input(&mut self, id: InputId) -> NodeId {
        self.derived(Op::Input(id), &[])
    }

    /// A parameter before the step's update.
    pub fn param(&mut self, id: ParamId) -> NodeId {
        self.derived(Op::Param(id), &[])
    }

    /// A state before the step's update.
    pub fn state(&mut self, id: StateId) -> NodeId {
        self.derived(Op::State(id), &[])
    }

    /// A number of the step.
    pub fn step_number(&mut self, id: NumberId) -> NodeId {
        self.derived(Op::StepNumber(id), &[])
    }

    /// The placeholder of a parameter's gradient.
    pub fn gradient(&mut self, id: ParamId) -> NodeId {
        self.derived(Op::Gradient(id), &[])
    }

    /// A real number everywhere.
    pub fn constant(&mut self, shape: &[usize], value: f64) -> NodeId {
        self.constant_of(TensorType::real(shape), value)
    }

    /// A number, an id or a condition (0 or 1) everywhere.
    pub fn constant_of(&mut self, result: TensorType, value: f64) -> NodeId {
        self.push(Op::Constant(value), &[], result)
    }

    /// A constant of the shape of another value.
    pub fn constant_like(&mut self, like: NodeId, value: f64) -> NodeId {
        let shape = self.shape(like).to_vec();
        self.constant(&shape, value)
    }

    /// The index along an axis, as a real.
    pub fn index(&mut self, shape: &[usize], axis: usize) -> NodeId {
        self.push(Op::Index { axis }, &[], TensorType::real(shape))
    }

    /// The index along an axis, as an id below the axis's size.
    pub fn index_id(&mut self, shape: &[usize], axis: usize) -> NodeId {
        let stated = TensorType {
            shape: shape.to_vec(),
            element: Element::Id { bound: shape[axis] },
        };
        self.push(Op::Index { axis }, &[], stated)
    }

    /// Uniform draws in [0, 1).
    pub fn random(&mut self, shape: &[usize], stream: u32) -> NodeId {
        self.push(Op::Random { stream }, &[], TensorType::real(shape))
    }

    /// The value without its gradient.
    pub fn stop(&mut self, x: NodeId) -> NodeId {
        self.derived(Op::Stop, &[x])
    }

    /// An element-wise function of operands of one shape.
    pub fn map(&mut self, function: MapFunction, operands: &[NodeId]) -> NodeId {
        let constants: Option<Vec<f64>> = operands.iter().map(|&o| self.as_constant(o)).collect();
        if let Some(values) = constants {
            let types: Vec<TensorType> = operands.iter().map(|&o| type_of(&self.graph, o)).collect();
            let result = with(&Op::Map(function), |p| p.result(&self.graph, &types, &types[0]))
                .unwrap_or_else(|error| panic!("{function:?} of {types:?}: {error}"));
            return self.constant_of(result, map::value(function, &values));
        }
        self.derived(Op::Map(function), operands)
    }

    /// An element-wise function of a value and a constant.
    pub fn map_constant(&mut self, function: MapFunction, x: NodeId, value: f64) -> NodeId {
        let constant = self.constant_like(x, value);
        self.map(function, &[x, constant])
    }

    /// The sum of two values of one shape.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(MapFunction::Add, &[a, b])
    }

    /// The difference of two values of one shape.
    pub fn subtract(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(MapFunction::Subtract, &[a, b])
    }

    /// The product of two values of one shape, element by element.
    pub fn multiply(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(MapFunction::Multiply, &[a, b])
    }

    /// The quotient of two values of one shape.
    pub fn divide(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(MapFunction::Divide, &[a, b])
    }

    /// `then` where the condition holds, else `otherwise`.
    pub fn select(&mut self, condition: NodeId, then: NodeId, otherwise: NodeId) -> NodeId {
        self.map(MapFunction::Where, &[condition, then, otherwise])
    }

    /// Reduces some axes (in any order) away; none leaves the value as it is.
    pub fn reduce(&mut self, function: ReduceFunction, x: NodeId, axes: &[usize]) -> NodeId {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        if axes.is_empty() {
            return x;
        }
        self.derived(Op::Reduce { function, axes }, &[x])
    }

    /// The sum over some axes, in the order in which these lie in what a view reads: all that sum the same are one sum.
    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let (x, axes) = self.in_memory_order(x, axes);
        self.reduce(ReduceFunction::Sum, x, &axes)
    }

    /// A sum of products; axes with the same label run together, labels that are not in `out` are summed. Axes of an
    /// operand that only change places keep theirs, so that its gradient comes out as the operand lies. Rows that are
    /// gathered again and again are multiplied once.
    pub fn contract(&mut self, a: NodeId, a_labels: &[u8], b: NodeId, b_labels: &[u8], out: &[u8]) -> NodeId {
        let (a, a_labels) = self.unpermuted(a, a_labels);
        let (b, b_labels) = self.unpermuted(b, b_labels);
        let sides = [(a, &a_labels[..]), (b, &b_labels[..])];
        for (side, other) in [(sides[0], sides[1]), (sides[1], sides[0])] {
            if let Some(gathered) = self.gathered_product(side, other, out) {
                return gathered;
            }
        }
        let op = Op::Contract {
            a: a_labels,
            b: b_labels,
            out: out.to_vec(),
        };
        self.derived(op, &[a, b])
    }

    /// Reads a table at ids.
    pub fn gather(&mut self, table: NodeId, positions: Vec<GatherPosition>, ids: &[NodeId], shape: &[usize]) -> NodeId {
        let operands = [&[table], ids].concat();
        self.push(Op::Gather { positions }, &operands, TensorType::real(shape))
    }

    /// Adds a source into a table of zeros at ids.
    pub fn scatter_add(
        &mut self,
        source: NodeId,
        positions: Vec<GatherPosition>,
        ids: &[NodeId],
        shape: &[usize],
    ) -> NodeId {
        let operands = [&[source], ids].concat();
        self.push(Op::ScatterAdd { positions }, &operands, TensorType::real(shape))
    }

    /// At each rank along an axis the index of the element that has it.
    pub fn sort(&mut self, x: NodeId, axis: usize) -> NodeId {
        self.derived(Op::Sort { axis }, &[x])
    }

    /// Runs a loop along an axis: one flat tensor with all results, to be read by [`GraphBuilder::scanned`].
    pub fn scan(&mut self, scan: &Arc<Scan>, operands: &[NodeId]) -> NodeId {
        self.derived(Op::Scan(scan.clone()), operands)
    }

    /// Declares a result.
    pub fn output(&mut self, kind: OutputKind, node: NodeId) {
        self.graph.outputs.push(Output { kind, node });
    }
}

/// Equal for nodes that compute the same; spans don't count, and numbers count by their bits.
fn same_structure(a: &Node, b: &Node) -> bool {
    let same_op = match (&a.op, &b.op) {
        (Op::Constant(x), Op::Constant(y)) => x.to_bits() == y.to_bits(),
        (Op::View { fill: x, .. }, Op::View { fill: y, .. }) if x.to_bits() != y.to_bits() => false,
        (x, y) => x == y,
    };
    same_op && a.operands == b.operands && a.shape == b.shape && a.element == b.element
}

fn structure_hash(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(&node.op).hash(&mut hasher);
    match &node.op {
        Op::Constant(value) => value.to_bits().hash(&mut hasher),
        Op::Map(function) => function.hash(&mut hasher),
        Op::Input(InputId(id)) | Op::Param(ParamId(id)) | Op::State(StateId(id)) => id.hash(&mut hasher),
        Op::StepNumber(NumberId(id)) | Op::Gradient(ParamId(id)) | Op::Random { stream: id } => id.hash(&mut hasher),
        Op::Index { axis } | Op::Sort { axis } => axis.hash(&mut hasher),
        Op::Reduce { function, axes } => (function, axes).hash(&mut hasher),
        Op::Contract { a, b, out } => (a, b, out).hash(&mut hasher),
        Op::View { positions, guards, .. } => (positions, guards).hash(&mut hasher),
        Op::Gather { positions } | Op::ScatterAdd { positions } => positions.hash(&mut hasher),
        Op::Scan(scan) => (scan.steps, scan.backwards, scan.carries, scan.body.len()).hash(&mut hasher),
        Op::Stop => {}
    }
    (&node.operands, &node.shape, node.element).hash(&mut hasher);
    hasher.finish()
}
