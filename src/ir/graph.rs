//! The tensor graph: about a dozen primitives with static shapes, on petgraph.
//! It knows nothing of layers, files or machine code. Nodes are only ever added behind their operands,
//! so the order of ids is an order of computation.

use super::affine::{Guard, Position};
use super::number::Number;
use super::scan::Scan;
use crate::text::Span;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use std::fmt;
use std::sync::Arc;

/// A node of a [`Graph`]; prints as `%7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}
id!(#[doc = "An entry of [`Graph::inputs`]."] InputId "in");
id!(#[doc = "An entry of [`Graph::params`]."] ParamId "p");
id!(#[doc = "An entry of [`Graph::states`]."] StateId "s");
id!(#[doc = "An entry of [`Graph::numbers`]."] NumberId "n");

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// What a tensor's elements are. In kernels reals are f32, ids i32, conditions f32 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Element {
    /// A number.
    Real,
    /// A whole number from 0 below the bound.
    Id {
        /// One beyond the greatest id.
        bound: usize,
    },
    /// True or false.
    Condition,
}

/// An element-wise function. Arguments are reals unless said otherwise; an id counts as its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum MapFunction {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Minimum,
    Maximum,
    Negate,
    Absolute,
    SquareRoot,
    Exponential,
    Logarithm,
    Sine,
    Cosine,
    HyperbolicTangent,
    /// The logistic function.
    Sigmoid,
    /// The error function.
    Erf,
    Floor,
    /// To the nearest bfloat16 (8 bits of significand, the range of binary32), ties to even.
    RoundBf16,
    /// To the nearest binary16 (11 bits of significand; beyond 65504 an infinity), ties to even.
    RoundF16,
    /// Conditions of two reals.
    Less,
    LessEqual,
    Equal,
    /// Of conditions.
    And,
    Or,
    Not,
    /// Condition, then, else: gives the chosen side, and the gradient to it alone.
    Where,
}

/// An associative function of many elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum ReduceFunction {
    /// 0 of nothing.
    Sum,
    /// −∞ of nothing.
    Maximum,
    /// ∞ of nothing.
    Minimum,
    /// 1 of nothing.
    Product,
}

/// Where one axis of a gathered table is read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum GatherPosition {
    /// At this axis of the result.
    Axis(usize),
    /// At the id that an operand has there.
    Ids {
        /// Which operand (1 or more; 0 is the table).
        operand: usize,
        /// For each axis of the ids, the axis of the result that it follows.
        axes: Vec<usize>,
    },
}

/// A primitive. Operands are in [`Node::operands`].
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// A tensor of the batch.
    Input(InputId),
    /// A trained tensor, as it is before the step's update.
    Param(ParamId),
    /// A kept tensor, as it is before the step's update.
    State(StateId),
    /// A number that the host computes each step.
    StepNumber(NumberId),
    /// The same number everywhere.
    Constant(f64),
    /// The index along one axis, as a number.
    Index {
        /// Which axis of the result.
        axis: usize,
    },
    /// An element-wise function of operands of the result's shape.
    Map(MapFunction),
    /// Reduces some axes away (ascending).
    Reduce {
        /// How.
        function: ReduceFunction,
        /// Which axes of the operand.
        axes: Vec<usize>,
    },
    /// A sum of products of two operands: axes with the same label run together, labels that are not in `out` are summed.
    Contract {
        /// The label of each axis of the first operand.
        a: Vec<u8>,
        /// Of the second.
        b: Vec<u8>,
        /// Of the result; each occurs in `a` or `b`.
        out: Vec<u8>,
    },
    /// Reads its operand elsewhere: permute, broadcast, slice, pad, split, join, window.
    View {
        /// For each axis of the operand, its position as a function of the result's indices.
        positions: Vec<Position>,
        /// What must hold to be inside; empty if every position is.
        guards: Vec<Guard>,
        /// What a position outside reads.
        fill: f64,
    },
    /// Reads a table (operand 0) at ids (the other operands).
    Gather {
        /// For each axis of the table.
        positions: Vec<GatherPosition>,
    },
    /// The transpose of [`Op::Gather`]: adds operand 0 (which has the gather's result shape) into a table of zeros.
    ScatterAdd {
        /// For each axis of the table; axes of operand 0.
        positions: Vec<GatherPosition>,
    },
    /// Independent uniform draws in [0, 1), a function of (seed, step, stream, position).
    Random {
        /// Tells the draws of one step apart.
        stream: u32,
    },
    /// The operand, without its gradient.
    Stop,
    /// At each rank along an axis, smallest first, the index of the element that has it; of equals the first one first.
    Sort {
        /// Which axis.
        axis: usize,
    },
    /// A loop along an axis: all of its results in one flat tensor.
    Scan(Arc<Scan>),
    /// The gradient of the objective by a parameter: a placeholder that the grad stage replaces.
    Gradient(ParamId),
}

/// One node.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The primitive.
    pub op: Op,
    /// Its operands, in order.
    pub operands: Vec<NodeId>,
    /// Sizes of its axes; empty for one number.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub element: Element,
    /// The place that it comes from: in the spec or in a definition that it uses.
    pub span: Span,
    /// The place in the spec itself: where `span` is in the library, the call that led there.
    pub caller: Span,
}

/// A tensor that a batch brings.
#[derive(Clone, PartialEq, Debug)]
pub struct InputDeclaration {
    /// The data's name for it.
    pub name: String,
    /// With the batch in front.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub element: Element,
}

/// How a parameter starts: evaluated in float64 by the trainer, never in a kernel.
#[derive(Clone, PartialEq, Debug)]
pub enum Initialiser {
    /// The same number everywhere.
    Constant(f64),
    /// Gaussian with this standard deviation.
    Normal(f64),
    /// Gaussian with this standard deviation, drawn again beyond two of them.
    TruncatedNormal(f64),
    /// Uniform in [−a, a).
    Uniform(f64),
    /// Orthogonal rows or columns, times the gain (Saxe et al. 2013).
    Orthogonal(f64),
}

/// A trained tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct ParamDeclaration {
    /// The path of names that leads to it, `gpt.2.attention.q.w`.
    pub path: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// How it starts.
    pub initialiser: Initialiser,
    /// Not updated.
    pub frozen: bool,
    /// Its declaration.
    pub span: Span,
}

/// A tensor that is kept from step to step without being trained.
#[derive(Clone, PartialEq, Debug)]
pub struct StateDeclaration {
    /// The path of names that leads to it; an optimizer's is `adamw.m/PARAM`.
    pub path: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// What it starts with.
    pub initial: f64,
    /// Belongs to the optimizer, not to the model: not written to the final weights.
    pub optimizer: bool,
}

/// What becomes of a node's value.
#[derive(Clone, PartialEq, Debug)]
pub enum OutputKind {
    /// What is differentiated: the loss with its penalties (one number).
    Objective,
    /// The loss that is reported (one number).
    Loss,
    /// A number for the report of a step or an evaluation.
    Metric(String),
    /// The global norm of the gradient before clipping.
    GradientNorm,
    /// The L2 norm of one parameter's gradient, for comparisons with other programs.
    ParamGradient(ParamId),
    /// A value of the model for prediction and generation.
    Value(String),
    /// The parameter's value after the step.
    ParamUpdate(ParamId),
    /// The state's value after the step.
    StateUpdate(StateId),
}

/// One result of the graph.
#[derive(Clone, PartialEq, Debug)]
pub struct Output {
    /// What it is for.
    pub kind: OutputKind,
    /// Where it is.
    pub node: NodeId,
}

/// A whole program: training, evaluation or prediction.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: DiGraph<Node, ()>,
    /// What a batch brings.
    pub inputs: Vec<InputDeclaration>,
    /// What is trained.
    pub params: Vec<ParamDeclaration>,
    /// What is kept.
    pub states: Vec<StateDeclaration>,
    /// What the host computes each step.
    pub numbers: Vec<Number>,
    /// What comes out.
    pub outputs: Vec<Output>,
}

/// Equal nodes in the same order, equal declarations and outputs.
impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        self.inputs == other.inputs
            && self.params == other.params
            && self.states == other.states
            && self.numbers == other.numbers
            && self.outputs == other.outputs
            && self.nodes.node_weights().eq(other.nodes.node_weights())
    }
}

impl Graph {
    /// A graph with the declarations of another and no nodes: where a rewriting stage starts.
    pub fn with_declarations_of(other: &Graph) -> Graph {
        Graph {
            nodes: DiGraph::new(),
            inputs: other.inputs.clone(),
            params: other.params.clone(),
            states: other.states.clone(),
            numbers: other.numbers.clone(),
            outputs: vec![],
        }
    }

    /// A graph with these declarations and no nodes.
    pub fn declaring(
        inputs: Vec<InputDeclaration>,
        params: Vec<ParamDeclaration>,
        states: Vec<StateDeclaration>,
        numbers: Vec<Number>,
    ) -> Graph {
        Graph {
            nodes: DiGraph::new(),
            inputs,
            params,
            states,
            numbers,
            outputs: vec![],
        }
    }

    /// Adds a node behind its operands.
    pub fn add(&mut self, node: Node) -> NodeId {
        let operands = node.operands.clone();
        let id = NodeId(self.nodes.add_node(node).index() as u32);
        for operand in operands {
            assert!(operand < id, "an operand must be added before its user");
            self.nodes
                .add_edge(NodeIndex::new(operand.0 as usize), NodeIndex::new(id.0 as usize), ());
        }
        id
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[NodeIndex::new(id.0 as usize)]
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All ids, operands before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.len() as u32).map(NodeId)
    }

    /// The nodes that use a value, ascending, each once.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self
            .nodes
            .neighbors_directed(NodeIndex::new(id.0 as usize), Direction::Outgoing)
            .map(|n| NodeId(n.index() as u32))
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// The petgraph underneath, for its algorithms and its dot output.
    pub fn petgraph(&self) -> &DiGraph<Node, ()> {
        &self.nodes
    }

    /// Which nodes the outputs need.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for output in &self.outputs {
            needed[output.node.0 as usize] = true;
        }
        for id in self.ids().rev() {
            if needed[id.0 as usize] {
                let operands = &self.node(id).operands;
                operands.iter().for_each(|o| needed[o.0 as usize] = true);
            }
        }
        needed
    }

    /// The output of a kind, if there is one.
    pub fn output(&self, kind: &OutputKind) -> Option<NodeId> {
        self.outputs.iter().find(|o| o.kind == *kind).map(|o| o.node)
    }
}

/// The product of a shape.
pub fn elements(shape: &[usize]) -> usize {
    shape.iter().product()
}
