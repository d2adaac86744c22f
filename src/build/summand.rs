//! A loss over one part of a batch → a summand: the parts' losses add up to the large batch's. Sums over the batch that
//! depend on parameters stay as they are; what they are divided by becomes the whole batch's. Never looks into the model.

use crate::ir::experiment::{Accumulator, TOTAL};
use crate::ir::graph::{Element, InputDeclaration, InputId, MapFunction, OutputKind, ReduceFunction};
use crate::ir::model::{Axis, Definition, Equation, Expr, IndexId, Output, Place, Program, Tensor, TensorId};
use crate::text::Span;

/// A training program whose loss is a summand.
pub(super) struct Summed {
    /// With the totals as inputs.
    pub program: Program,
    /// Finds the totals of one part.
    pub counts: Program,
    /// Its outputs.
    pub totals: Vec<Accumulator>,
}

/// Makes the loss a summand. Errors say what keeps it from being one.
pub(super) fn summed(program: &Program, parts: usize) -> Result<Summed, String> {
    let mut split = Split::new(program, parts);
    split.loss()?;
    Ok(Summed {
        program: split.program,
        counts: split.counts,
        totals: split.totals,
    })
}

/// What a number of the loss is over the parts of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The same for each part, as far as the loss is concerned: no sum over the batch.
    Plain,
    /// Of the whole batch, and known before the parameters are used.
    Total,
    /// A summand: the parts' values add up to the whole batch's.
    Summand,
}

/// The loss on its way to a summand.
struct Split {
    program: Program,
    /// Finds the totals of one part.
    counts: Program,
    totals: Vec<Accumulator>,
    /// The totals as inputs, to be inserted in front of the loss.
    inserted: Vec<Tensor>,
    parts: f64,
    /// Of each tensor of the loss that has no batch axis.
    kinds: Vec<Option<Kind>>,
    facts: Vec<Facts>,
}

/// What a tensor is made of.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// The batch.
    data: bool,
    /// Parameters, states or draws.
    varies: bool,
    /// A summand.
    summand: bool,
    /// A total that is found part by part.
    total: bool,
}

impl Facts {
    fn and(self, other: Facts) -> Facts {
        Facts {
            data: self.data || other.data,
            varies: self.varies || other.varies,
            summand: self.summand || other.summand,
            total: self.total || other.total,
        }
    }
}

impl Split {
    fn new(program: &Program, parts: usize) -> Split {
        let mut counts = program.clone();
        counts.outputs.clear();
        Split {
            program: program.clone(),
            counts,
            totals: vec![],
            inserted: vec![],
            parts: parts as f64,
            kinds: vec![None; program.tensors.len()],
            facts: vec![],
        }
    }

    /// Makes the loss a summand, in place: penalties read it.
    fn loss(&mut self) -> Result<(), String> {
        let loss = self.program.outputs.iter().find(|o| o.kind == OutputKind::Loss);
        let loss = loss.expect("a training program has a loss").tensor;
        let mut needed = vec![false; self.program.tensors.len()];
        needed[loss.0 as usize] = true;
        for at in (0..needed.len()).rev().filter(|&at| at >= self.program.loss_from) {
            if needed[at] {
                self.program
                    .reads(TensorId(at as u32), &mut |id| needed[id.0 as usize] = true);
            }
        }
        for (at, needed) in needed.into_iter().enumerate() {
            let facts = self.facts_of(at);
            self.facts.push(facts);
            let tensor = &self.program.tensors[at];
            let whole = !tensor.axes.iter().any(Axis::is_batch);
            if at < self.program.loss_from || !needed || !whole {
                continue;
            }
            let Definition::Equation(equation) = &tensor.definition else {
                continue;
            };
            let equation = equation.clone();
            let (mut body, mut kind) = self.rewrite(&equation.body, &equation)?;
            if TensorId(at as u32) == loss && kind != Kind::Summand {
                (body, kind) = (self.shared(body), Kind::Summand);
            }
            self.kinds[at] = Some(kind);
            self.facts[at].summand |= kind == Kind::Summand;
            self.facts[at].total |= kind == Kind::Total && facts.data;
            self.program.tensors[at].definition = Definition::Equation(Equation { body, ..equation });
        }
        let (at, inserted) = (self.program.loss_from, std::mem::take(&mut self.inserted));
        self.program.insert(at, inserted);
        Ok(())
    }

    fn facts_of(&self, at: usize) -> Facts {
        let mut facts = Facts::default();
        match &self.program.tensors[at].definition {
            Definition::Input(_) => facts.data = true,
            Definition::Param(_) | Definition::State(_) | Definition::Gradient(_) | Definition::Carry { .. } => {
                facts.varies = true;
            }
            Definition::Equation(equation) => facts.varies = draws(&equation.body),
            Definition::Sorted { .. } | Definition::Walked { .. } | Definition::WholeSplit(_) => {}
        }
        self.program.reads(TensorId(at as u32), &mut |id| {
            facts = facts.and(self.facts.get(id.0 as usize).copied().unwrap_or_default());
        });
        facts
    }

    fn facts_of_expr(&self, expr: &Expr) -> Facts {
        let mut facts = Facts {
            varies: draws(expr),
            ..Facts::default()
        };
        expr.reads(&mut |id| facts = facts.and(self.facts[id.0 as usize]));
        facts
    }

    /// A number that every part has alike, as a summand.
    fn shared(&self, body: Expr) -> Expr {
        match body {
            Expr::Constant(0.0) => Expr::Constant(0.0),
            body => Expr::Apply(MapFunction::Divide, vec![body, Expr::Constant(self.parts)]),
        }
    }

    fn rewrite(&mut self, expr: &Expr, equation: &Equation) -> Result<(Expr, Kind), String> {
        Ok(match expr {
            Expr::Reduce(function, over, body) if over.iter().any(|&i| equation.indices[i].0 == "batch") => {
                self.over_batch(*function, over, body, equation)?
            }
            Expr::Reduce(function, over, body) => {
                let (body, kind) = self.rewrite(body, equation)?;
                if kind == Kind::Summand && *function != ReduceFunction::Sum {
                    return Err("it takes a maximum, minimum or product of sums over the batch".into());
                }
                (Expr::Reduce(*function, over.clone(), Box::new(body)), kind)
            }
            Expr::Apply(function, list) => {
                let list: Result<Vec<_>, String> = list.iter().map(|e| self.rewrite(e, equation)).collect();
                self.apply(*function, list?)?
            }
            Expr::Stop(body) => {
                let (body, kind) = self.rewrite(body, equation)?;
                (Expr::Stop(Box::new(body)), kind)
            }
            Expr::Read { tensor, .. } => {
                // What the model makes is of the part.
                let kind = self.kinds[tensor.0 as usize].unwrap_or(Kind::Plain);
                (expr.clone(), kind)
            }
            other => (other.clone(), Kind::Plain),
        })
    }

    /// A function of numbers: summands may be added, and scaled by what is none.
    fn apply(&mut self, function: MapFunction, list: Vec<(Expr, Kind)>) -> Result<(Expr, Kind), String> {
        use MapFunction::*;
        let summands = list.iter().filter(|l| l.1 == Kind::Summand).count();
        if summands == 0 {
            let total = list.iter().any(|l| l.1 == Kind::Total);
            let kind = if total { Kind::Total } else { Kind::Plain };
            return Ok((Expr::Apply(function, list.into_iter().map(|l| l.0).collect()), kind));
        }
        let summand = |split: &Split, (body, kind): (Expr, Kind)| match kind {
            Kind::Summand => body,
            _ => split.shared(body),
        };
        let arguments: Vec<Expr> = match function {
            Add | Subtract | Negate => list.into_iter().map(|l| summand(self, l)).collect(),
            Multiply if summands == 1 => list.into_iter().map(|l| l.0).collect(),
            Divide if list[1].1 != Kind::Summand => list.into_iter().map(|l| l.0).collect(),
            Where if list[0].1 != Kind::Summand => {
                let mut list = list.into_iter();
                let condition = list.next().map(|l| l.0);
                condition.into_iter().chain(list.map(|l| summand(self, l))).collect()
            }
            _ => {
                return Err(
                    "it is no sum of sums over the batch, each scaled by what the parameters do not change".into(),
                );
            }
        };
        Ok((Expr::Apply(function, arguments), Kind::Summand))
    }

    fn over_batch(
        &mut self,
        function: ReduceFunction,
        over: &[IndexId],
        body: &Expr,
        equation: &Equation,
    ) -> Result<(Expr, Kind), String> {
        let facts = self.facts_of_expr(body);
        let whole = Expr::Reduce(function, over.to_vec(), Box::new(body.clone()));
        if facts.summand || facts.total && !facts.varies {
            return Err("it looks at single samples behind a sum over the whole batch".into());
        }
        match (facts.varies, function) {
            (true, ReduceFunction::Sum) => Ok((whole, Kind::Summand)),
            (true, _) => Err("it takes a maximum, minimum or product over the batch".into()),
            (false, _) if facts.data => self.total(function, over, body, equation),
            (false, ReduceFunction::Sum) => {
                let scaled = vec![Expr::Constant(self.parts), whole];
                Ok((Expr::Apply(MapFunction::Multiply, scaled), Kind::Total))
            }
            (false, ReduceFunction::Product) => Err("it takes a product over the batch".into()),
            (false, _) => Ok((whole, Kind::Total)),
        }
    }

    /// Makes a reduction of the data a result of the counting program and an input of the others.
    fn total(
        &mut self,
        function: ReduceFunction,
        over: &[IndexId],
        body: &Expr,
        equation: &Equation,
    ) -> Result<(Expr, Kind), String> {
        if function == ReduceFunction::Product {
            return Err("it takes a product over the batch".into());
        }
        let free: Vec<IndexId> = (0..equation.indices.len())
            .filter(|i| !over.contains(i) && super::evaluation::uses(body, *i))
            .collect();
        let axis = |&i: &IndexId| Axis {
            size: equation.indices[i].1,
            label: equation.indices[i].0.clone(),
            origin: Span::NOWHERE,
        };
        let name = format!("{TOTAL}{}", self.totals.len());
        let tensor = Tensor {
            name: name.clone(),
            axes: free.iter().map(axis).collect(),
            element: Element::Real,
            definition: Definition::Equation(Equation {
                indices: equation.indices.clone(),
                left: free.iter().map(|&i| vec![i]).collect(),
                body: Expr::Reduce(function, over.to_vec(), Box::new(body.clone())),
                walked: None,
            }),
            span: Span::NOWHERE,
        };
        let shape: Vec<usize> = tensor.axes.iter().map(|a| a.size).collect();
        let kind = OutputKind::Value(name.clone());
        let counted = self.counts.add(tensor.clone());
        self.counts.outputs.push(Output { kind, tensor: counted });
        self.program.inputs.push(InputDeclaration {
            name: name.clone(),
            shape: shape.clone(),
            element: Element::Real,
        });
        let definition = Definition::Input(InputId(self.program.inputs.len() as u32 - 1));
        self.inserted.push(Tensor { definition, ..tensor });
        self.totals.push(Accumulator { name, shape, function });
        let at = |index: &IndexId| Place::At {
            position: crate::ir::affine::Position::axis(*index),
            exact: None,
        };
        let total = Expr::Read {
            tensor: TensorId(Program::INSERTED + self.inserted.len() as u32 - 1),
            places: free.iter().map(at).collect(),
            otherwise: None,
        };
        Ok((total, Kind::Total))
    }
}

/// Whether an expression draws at random.
fn draws(expr: &Expr) -> bool {
    match expr {
        Expr::Random(_) => true,
        Expr::Constant(_) | Expr::Number(_) | Expr::Index(_) | Expr::Position(_) => false,
        Expr::Read { places, otherwise, .. } => {
            places.iter().any(|p| matches!(p, Place::Id(id) if draws(id))) || otherwise.as_deref().is_some_and(draws)
        }
        Expr::Apply(_, list) => list.iter().any(draws),
        Expr::Reduce(_, _, body) | Expr::Stop(body) => draws(body),
    }
}
