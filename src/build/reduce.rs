//! What an equation reduces → reductions; a sum of a product → a contraction, where it is one of two matrices.

use super::lower::{Lowering, Term};
use crate::ir::graph::{MapFunction, ReduceFunction, elements};
use crate::ir::model::{Expr, IndexId};

impl Lowering<'_> {
    /// A reduction of an expression.
    pub fn reduce(&mut self, function: ReduceFunction, over: &[IndexId], body: &Expr) -> Term {
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
        let absent: Vec<IndexId> = over.iter().copied().filter(|i| !term.indices.contains(i)).collect();
        let repeats = elements(&self.shape(&absent));
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
