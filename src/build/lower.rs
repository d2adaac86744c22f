//! One equation → nodes. Every intermediate value is labelled by the indices that it depends on; an operation
//! brings its operands to the union of their indices. Indices are ordered as on the left, reduced ones behind,
//! so that rows stay rows and reductions run along the last axis. What reads and what reduces has a file of its own.

use crate::ir::graph::{MapFunction, NodeId};
use crate::ir::model::{Equation, Expr, IndexId, Place, TensorId};
use crate::ops::construct::GraphBuilder;

/// A value and the index of each of its axes.
#[derive(Clone)]
pub struct Term {
    /// The value.
    pub node: NodeId,
    /// An index for each axis.
    pub indices: Vec<IndexId>,
}

/// An equation on its way into a graph.
pub struct Lowering<'a> {
    /// The equation.
    pub equation: &'a Equation,
    /// Of each tensor of the program, its value, if it has one here.
    pub nodes: &'a [Option<NodeId>],
    /// The graph.
    pub builder: &'a mut GraphBuilder,
    /// The place of each index in the order of axes.
    rank: Vec<usize>,
    /// The indices over which the expression at hand runs: each draws its own random number.
    pub around: Vec<IndexId>,
    /// In a step of a scan, what lies around it.
    pub outside: Option<&'a mut dyn Outside>,
}

/// Lowers an equation; the result has the left's axes.
pub fn equation(equation: &Equation, nodes: &[Option<NodeId>], builder: &mut GraphBuilder) -> NodeId {
    Lowering::new(equation, nodes, builder).whole()
}

/// Lowers an equation of a scan's step: what does not depend on the step's own values is lowered around the scan, once
/// or for all steps at once, and taken into the step.
pub fn step_equation(
    equation: &Equation,
    nodes: &[Option<NodeId>],
    builder: &mut GraphBuilder,
    outside: &mut dyn Outside,
) -> NodeId {
    let lowering = Lowering::new(equation, nodes, builder);
    Lowering {
        outside: Some(outside),
        ..lowering
    }
    .whole()
}

/// Lowers a part of an equation of a scan's step for all steps: the steps are the first axis, if it depends on them at
/// all; also gives the indices of the other axes.
pub fn all_steps(
    equation: &Equation,
    expr: &Expr,
    around: &[IndexId],
    nodes: &[Option<NodeId>],
    builder: &mut GraphBuilder,
) -> (NodeId, bool, Vec<IndexId>) {
    let walked = equation.walked.map(|(_, index)| index);
    let mut lowering = Lowering {
        equation,
        nodes,
        builder,
        rank: ranks(equation, walked),
        around: walked.iter().chain(around).copied().collect(),
        outside: None,
    };
    let Term { node, mut indices } = lowering.expr(expr);
    let steps = walked.is_some() && indices.first() == walked.as_ref();
    if steps {
        indices.remove(0);
    }
    (node, steps, indices)
}

/// The place of each index in the order of axes: `first`, then the left's, then the reduced ones.
fn ranks(equation: &Equation, first: Option<IndexId>) -> Vec<usize> {
    let left: Vec<IndexId> = first
        .into_iter()
        .chain(equation.left.iter().flatten().copied())
        .collect();
    (0..equation.indices.len())
        .map(|i| left.iter().position(|&l| l == i).unwrap_or(left.len() + i))
        .collect()
}

/// What lies around the step of a scan.
pub trait Outside {
    /// Whether the step makes a tensor itself.
    fn makes(&self, tensor: TensorId) -> bool;
    /// A part of an equation that depends on nothing that the step makes, in the step, and its indices.
    fn take(
        &mut self,
        equation: &Equation,
        expr: &Expr,
        around: &[IndexId],
        step: &mut GraphBuilder,
    ) -> (NodeId, Vec<IndexId>);
    /// A tensor around the step, whole.
    fn take_whole(&mut self, tensor: TensorId, step: &mut GraphBuilder) -> NodeId;
}

impl<'a> Lowering<'a> {
    fn new(equation: &'a Equation, nodes: &'a [Option<NodeId>], builder: &'a mut GraphBuilder) -> Lowering<'a> {
        Lowering {
            equation,
            nodes,
            builder,
            rank: ranks(equation, None),
            around: equation.left.iter().flatten().copied().collect(),
            outside: None,
        }
    }

    /// The whole equation.
    fn whole(&mut self) -> NodeId {
        let equation = self.equation;
        let left: Vec<IndexId> = equation.left.iter().flatten().copied().collect();
        let term = self.expr(&equation.body);
        let whole = self.spread(&term, &left);
        if equation.left.iter().all(|part| part.len() == 1) {
            return whole;
        }
        let sizes = |part: &Vec<IndexId>| part.iter().map(|&i| equation.indices[i].1).product();
        let shape: Vec<usize> = equation.left.iter().map(sizes).collect();
        self.builder.reshape(whole, &shape)
    }

    /// A part that depends on nothing that the step makes comes from around it.
    fn taken(&mut self, expr: &Expr) -> Option<Term> {
        let walked = self.equation.walked.map(|(_, index)| index);
        let outside = self.outside.as_mut()?;
        let plain = match expr {
            Expr::Constant(_) => true,
            Expr::Index(index) => Some(*index) != walked,
            Expr::Position(position) => walked.is_none_or(|w| !position.uses(w)),
            // Where nothing is computed, the step reads the tensor as it lies in memory.
            Expr::Read {
                places,
                otherwise: None,
                ..
            } => places.iter().all(|p| match p {
                Place::At { position, exact: None } => walked.is_none_or(|w| !position.uses(w)),
                _ => false,
            }),
            _ => false,
        };
        let mut own = false;
        expr.reads(&mut |tensor| own |= outside.makes(tensor));
        if plain || own {
            return None;
        }
        let (node, indices) = outside.take(self.equation, expr, &self.around, self.builder);
        Some(Term { node, indices })
    }

    fn size(&self, index: IndexId) -> usize {
        self.equation.indices[index].1
    }

    /// The sizes of some indices.
    pub fn shape(&self, indices: &[IndexId]) -> Vec<usize> {
        indices.iter().map(|&i| self.size(i)).collect()
    }

    /// Each of some indices once, in the order of axes.
    pub fn sorted(&self, mut indices: Vec<IndexId>) -> Vec<IndexId> {
        indices.sort_by_key(|&i| self.rank[i]);
        indices.dedup();
        indices
    }

    /// Repeats and reorders a term so that its axes are these indices.
    fn spread(&mut self, term: &Term, indices: &[IndexId]) -> NodeId {
        if term.indices == indices {
            return term.node;
        }
        let axes: Vec<usize> = term
            .indices
            .iter()
            .map(|i| {
                indices
                    .iter()
                    .position(|j| i == j)
                    .expect("a term's index is among the wanted ones")
            })
            .collect();
        let shape = self.shape(indices);
        self.builder.broadcast(term.node, &shape, &axes)
    }

    /// Lowers an expression.
    pub fn expr(&mut self, expr: &Expr) -> Term {
        if let Some(term) = self.taken(expr) {
            return term;
        }
        match expr {
            Expr::Constant(value) => Term {
                node: self.builder.constant(&[], *value),
                indices: vec![],
            },
            Expr::Number(id) => Term {
                node: self.builder.step_number(*id),
                indices: vec![],
            },
            Expr::Index(index) => {
                let shape = [self.size(*index)];
                Term {
                    node: self.builder.index(&shape, 0),
                    indices: vec![*index],
                }
            }
            Expr::Position(position) => self.position(position),
            Expr::Read {
                tensor,
                places,
                otherwise,
            } => self.read(*tensor, places, otherwise.as_deref()),
            Expr::Apply(function, arguments) => {
                let terms: Vec<Term> = arguments.iter().map(|a| self.expr(a)).collect();
                self.apply(*function, &terms)
            }
            Expr::Reduce(function, over, body) => self.reduce(*function, over, body),
            Expr::Random(stream) => {
                let indices = self.sorted(self.around.clone());
                let shape = self.shape(&indices);
                Term {
                    node: self.builder.random(&shape, *stream),
                    indices,
                }
            }
            Expr::Stop(body) => {
                let term = self.expr(body);
                Term {
                    node: self.builder.stop(term.node),
                    indices: term.indices,
                }
            }
        }
    }

    /// An element-wise function of terms.
    pub fn apply(&mut self, function: MapFunction, terms: &[Term]) -> Term {
        let indices = self.sorted(terms.iter().flat_map(|t| t.indices.clone()).collect());
        let operands: Vec<NodeId> = terms.iter().map(|t| self.spread(t, &indices)).collect();
        Term {
            node: self.builder.map(function, &operands),
            indices,
        }
    }
}
