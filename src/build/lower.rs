//! One equation → nodes. Every intermediate value is labelled by the indices that it depends on; an operation
//! brings its operands to the union of their indices. Indices are ordered as on the left, reduced ones behind,
//! so that rows stay rows and reductions run along the last axis.

use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::graph::{GatherPosition, MapFunction, NodeId, ReduceFunction, elements};
use crate::ir::model::{Equation, Expr, IndexId, Place, TensorId};
use crate::ops::construct::GraphBuilder;

/// A value and the index of each of its axes.
#[derive(Clone)]
struct Term {
    node: NodeId,
    indices: Vec<IndexId>,
}

struct Lowering<'a> {
    equation: &'a Equation,
    nodes: &'a [Option<NodeId>],
    builder: &'a mut GraphBuilder,
    /// The place of each index in the order of axes.
    rank: Vec<usize>,
    /// The indices over which the expression at hand runs: each draws its own random number.
    around: Vec<IndexId>,
    /// In a step of a scan, what lies around it.
    outside: Option<&'a mut dyn Outside>,
}

/// Lowers an equation; the result has the left's axes.
pub fn equation(equation: &Equation, nodes: &[Option<NodeId>], builder: &mut GraphBuilder) -> NodeId {
    let mut lowering = Lowering {
        equation,
        nodes,
        builder,
        rank: ranks(equation, None),
        around: equation.left.iter().flatten().copied().collect(),
        outside: None,
    };
    lowering.whole()
}

/// Lowers an equation of a scan's step: what does not depend on the step's own values is lowered around the scan, once
/// or for all steps at once, and taken into the step.
pub fn step_equation(
    equation: &Equation,
    nodes: &[Option<NodeId>],
    builder: &mut GraphBuilder,
    outside: &mut dyn Outside,
) -> NodeId {
    let mut lowering = Lowering {
        equation,
        nodes,
        builder,
        rank: ranks(equation, None),
        around: equation.left.iter().flatten().copied().collect(),
        outside: Some(outside),
    };
    lowering.whole()
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

impl Lowering<'_> {
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

    fn shape(&self, indices: &[IndexId]) -> Vec<usize> {
        indices.iter().map(|&i| self.size(i)).collect()
    }

    fn sorted(&self, mut indices: Vec<IndexId>) -> Vec<IndexId> {
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

    fn expr(&mut self, expr: &Expr) -> Term {
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

    fn apply(&mut self, function: MapFunction, terms: &[Term]) -> Term {
        let indices = self.sorted(terms.iter().flat_map(|t| t.indices.clone()).collect());
        let operands: Vec<NodeId> = terms.iter().map(|t| self.spread(t, &indices)).collect();
        Term {
            node: self.builder.map(function, &operands),
            indices,
        }
    }

    /// A position as a number: a view of the numbers from its least to its greatest value.
    fn position(&mut self, position: &Position) -> Term {
        let all: Vec<usize> = self.equation.indices.iter().map(|i| i.1).collect();
        let (low, high) = position.range(&all);
        let used: Vec<IndexId> = (0..all.len()).filter(|&i| position.uses(i)).collect();
        let indices = self.sorted(used);
        let numbers = self.builder.index(&[(high - low + 1) as usize], 0);
        let shifted = position.plus(&Affine::constant(-low).into());
        let positions = vec![self.on_axes(&shifted, &indices)];
        let shape = self.shape(&indices);
        let node = self.builder.view(numbers, &shape, positions, vec![], 0.0);
        let node = if low == 0 {
            node
        } else {
            self.builder.map_constant(MapFunction::Add, node, low as f64)
        };
        Term { node, indices }
    }

    /// A position over index ids as one over the axes of a result with these indices.
    fn on_axes(&self, position: &Position, indices: &[IndexId]) -> Position {
        let affine = |a: &Affine| self.affine_on_axes(a, indices);
        let digits = position
            .digits
            .iter()
            .map(|d| crate::ir::affine::Digit {
                of: affine(&d.of),
                ..d.clone()
            })
            .collect();
        Position {
            affine: affine(&position.affine),
            digits,
        }
    }

    fn affine_on_axes(&self, affine: &Affine, indices: &[IndexId]) -> Affine {
        affine
            .terms
            .iter()
            .fold(Affine::constant(affine.constant), |sum, &(index, c)| {
                let axis = indices
                    .iter()
                    .position(|&i| i == index)
                    .expect("a position's index is among the result's");
                sum.plus(&Affine::axis(axis).times(c))
            })
    }

    fn read(&mut self, tensor: TensorId, places: &[Place], otherwise: Option<&Expr>) -> Term {
        let node = match (self.nodes[tensor.0 as usize], self.outside.as_mut()) {
            (Some(node), _) => node,
            (None, Some(outside)) => outside.take_whole(tensor, self.builder),
            (None, None) => unreachable!("an equation reads tensors above it"),
        };
        if places.iter().any(|p| matches!(p, Place::Id(_))) {
            return self.gather(node, places);
        }
        let sizes = self.builder.shape(node).to_vec();
        let all: Vec<usize> = self.equation.indices.iter().map(|i| i.1).collect();
        let mut used: Vec<IndexId> = vec![];
        for place in places {
            if let Place::At { position, exact } = place {
                used.extend((0..all.len()).filter(|&i| position.uses(i)));
                used.extend(exact.iter().flat_map(|(of, _)| of.terms.iter().map(|t| t.0)));
            }
        }
        used.sort_unstable();
        let indices = self.sorted(used);
        let (mut positions, mut guards) = (vec![], vec![]);
        for (place, &size) in places.iter().zip(&sizes) {
            let Place::At { position, exact } = place else { continue };
            let (low, high) = position.range(&all);
            let on_axes = self.on_axes(position, &indices);
            if otherwise.is_some() && (low < 0 || high >= size as i64) {
                guards.push(Guard::Within {
                    of: on_axes.clone(),
                    low: 0,
                    high: size as i64,
                });
            }
            if let Some((of, by)) = exact {
                guards.push(Guard::Divisible {
                    of: self.affine_on_axes(of, &indices),
                    by: *by,
                });
            }
            positions.push(on_axes);
        }
        let shape = self.shape(&indices);
        match otherwise {
            Some(Expr::Constant(fill)) => Term {
                node: self.builder.view(node, &shape, positions, guards, *fill),
                indices,
            },
            Some(expr) if !guards.is_empty() => {
                let value = self.builder.view(node, &shape, positions.clone(), guards.clone(), 0.0);
                let ones = self.builder.constant(&sizes, 1.0);
                let inside = self.builder.view(ones, &shape, positions, guards, 0.0);
                let half = self.builder.constant_like(inside, 0.5);
                let inside = Term {
                    node: self.builder.map(MapFunction::Less, &[half, inside]),
                    indices: indices.clone(),
                };
                let outside = self.expr(expr);
                self.apply(MapFunction::Where, &[inside, Term { node: value, indices }, outside])
            }
            _ => Term {
                node: self.builder.view(node, &shape, positions, vec![], 0.0),
                indices,
            },
        }
    }

    /// A read at ids. Places that are no plain index are first viewed, the axes read at ids kept whole.
    fn gather(&mut self, table: NodeId, places: &[Place]) -> Term {
        let sizes = self.builder.shape(table).to_vec();
        let mut used: Vec<IndexId> = vec![];
        for place in places {
            if let Place::At { position, .. } = place {
                used.extend((0..self.equation.indices.len()).filter(|&i| position.uses(i)));
            }
        }
        used.sort_unstable();
        let plain = self.sorted(used);
        // The viewed table's axes: the plain indices, then the axes that ids read.
        let mut shape = self.shape(&plain);
        let mut positions = vec![];
        let mut ids = vec![];
        for (place, &size) in places.iter().zip(&sizes) {
            match place {
                Place::At { position, .. } => positions.push(self.on_axes(position, &plain)),
                Place::Id(id) => {
                    positions.push(Position::axis(shape.len()));
                    shape.push(size);
                    ids.push(id);
                }
            }
        }
        let natural: Vec<usize> = positions.iter().filter_map(Position::as_axis).collect();
        let mut seen = natural.clone();
        seen.sort_unstable();
        seen.dedup();
        let permutes = natural.len() == positions.len() && seen.len() == natural.len() && natural.len() == shape.len();
        let (table, order) = match permutes {
            true => (table, natural),
            false => (
                self.builder.view(table, &shape, positions, vec![], 0.0),
                (0..shape.len()).collect(),
            ),
        };
        let terms: Vec<Term> = ids.iter().map(|id| self.expr(id)).collect();
        let all = plain
            .iter()
            .chain(terms.iter().flat_map(|t| &t.indices))
            .copied()
            .collect();
        let indices = self.sorted(all);
        let axis_of = |index: &IndexId| indices.iter().position(|i| i == index).expect("an index of the gather");
        let gather_positions = order
            .iter()
            .map(|&axis| match plain.get(axis) {
                Some(index) => GatherPosition::Axis(axis_of(index)),
                None => {
                    let at = axis - plain.len();
                    GatherPosition::Ids {
                        operand: at + 1,
                        axes: terms[at].indices.iter().map(axis_of).collect(),
                    }
                }
            })
            .collect();
        let operands: Vec<NodeId> = terms.iter().map(|t| t.node).collect();
        let shape = self.shape(&indices);
        Term {
            node: self.builder.gather(table, gather_positions, &operands, &shape),
            indices,
        }
    }

    fn reduce(&mut self, function: ReduceFunction, over: &[IndexId], body: &Expr) -> Term {
        let before = self.around.len();
        self.around.extend(over);
        let term = match function {
            ReduceFunction::Sum => self.sum(over, body),
            _ => {
                let term = self.expr(body);
                self.reduce_term(function, over, &term)
            }
        };
        self.around.truncate(before);
        term
    }

    /// Reduces the axes of a term; an index that it does not depend on repeats the same value.
    fn reduce_term(&mut self, function: ReduceFunction, over: &[IndexId], term: &Term) -> Term {
        let axes: Vec<usize> = (0..term.indices.len())
            .filter(|&a| over.contains(&term.indices[a]))
            .collect();
        let repeats = elements(
            &self.shape(
                &over
                    .iter()
                    .copied()
                    .filter(|i| !term.indices.contains(i))
                    .collect::<Vec<_>>(),
            ),
        );
        let node = self.builder.reduce(function, term.node, &axes);
        let indices: Vec<IndexId> = term.indices.iter().copied().filter(|i| !over.contains(i)).collect();
        let node = match function {
            _ if repeats == 1 => node,
            ReduceFunction::Sum => self.builder.map_constant(MapFunction::Multiply, node, repeats as f64),
            ReduceFunction::Product => self.builder.map_constant(MapFunction::Power, node, repeats as f64),
            ReduceFunction::Maximum | ReduceFunction::Minimum => node,
        };
        Term { node, indices }
    }

    /// A sum of a product: factors that the sum does not touch go outside; two matrices become a contraction.
    fn sum(&mut self, over: &[IndexId], body: &Expr) -> Term {
        let (mut above, mut below) = (vec![], vec![]);
        factors(body, &mut above, &mut below);
        let above: Vec<Term> = above.into_iter().map(|e| self.expr(e)).collect();
        let below: Vec<Term> = below.into_iter().map(|e| self.expr(e)).collect();
        let touched = |t: &Term| t.indices.iter().any(|i| over.contains(i));
        if below.iter().any(touched) || above.len() < 2 && below.is_empty() {
            let term = self.expr(body);
            return self.reduce_term(ReduceFunction::Sum, over, &term);
        }
        let (inside, outside): (Vec<Term>, Vec<Term>) = above.into_iter().partition(touched);
        let mut result = match &inside[..] {
            [] => {
                let one = Term {
                    node: self.builder.constant(&[], 1.0),
                    indices: vec![],
                };
                self.reduce_term(ReduceFunction::Sum, over, &one)
            }
            [a, b] if is_matrix_product(a, b, over) => self.contract(a, b, over),
            [first, rest @ ..] => {
                let product = rest
                    .iter()
                    .fold(first.clone(), |p, f| self.apply(MapFunction::Multiply, &[p, f.clone()]));
                self.reduce_term(ReduceFunction::Sum, over, &product)
            }
        };
        for factor in outside {
            result = self.apply(MapFunction::Multiply, &[result, factor]);
        }
        for divisor in below {
            result = self.apply(MapFunction::Divide, &[result, divisor]);
        }
        result
    }

    fn contract(&mut self, a: &Term, b: &Term, over: &[IndexId]) -> Term {
        let kept = a
            .indices
            .iter()
            .chain(&b.indices)
            .copied()
            .filter(|i| !over.contains(i))
            .collect();
        let mut kept: Vec<IndexId> = kept;
        kept.sort_unstable();
        let indices = self.sorted(kept);
        let label = |list: &[IndexId]| -> Vec<u8> {
            list.iter()
                .map(|&i| u8::try_from(i).expect("an equation has few indices"))
                .collect()
        };
        let node = self
            .builder
            .contract(a.node, &label(&a.indices), b.node, &label(&b.indices), &label(&indices));
        let absent: Vec<IndexId> = over
            .iter()
            .copied()
            .filter(|i| !a.indices.contains(i) && !b.indices.contains(i))
            .collect();
        self.reduce_term(ReduceFunction::Sum, &absent, &Term { node, indices })
    }
}

/// Both factors have an axis of their own that is kept, and share one that is summed.
fn is_matrix_product(a: &Term, b: &Term, over: &[IndexId]) -> bool {
    let own = |x: &Term, y: &Term| x.indices.iter().any(|i| !over.contains(i) && !y.indices.contains(i));
    let shared = a.indices.iter().any(|i| over.contains(i) && b.indices.contains(i));
    own(a, b) && own(b, a) && shared
}

/// Takes a product apart: what is multiplied, and what it is divided by.
fn factors<'e>(expr: &'e Expr, above: &mut Vec<&'e Expr>, below: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Apply(MapFunction::Multiply, list) => list.iter().for_each(|e| factors(e, above, below)),
        Expr::Apply(MapFunction::Divide, list) => {
            factors(&list[0], above, below);
            below.push(&list[1]);
        }
        other => above.push(other),
    }
}
