//! An evaluation program → a program for one batch, whose sums over the batch are accumulated over a split, and a
//! small program over the accumulated sums. So a loss or metric of a whole split is exact, whatever its batches are.
//! What no sum gives is computed by the host in between, from the values of all samples one behind the other.

use crate::ir::experiment::{Accumulator, Computed, Evaluation};
use crate::ir::graph::{Element, InputDeclaration, InputId, OutputKind, ReduceFunction};
use crate::ir::model::{
    Axis, BATCH, Definition, Equation, Expr, IndexId, Output, Place, Program, Tensor, TensorId, WholeSplit,
};

/// Splits a program behind its reductions over the batch.
///
/// Errors name a metric that needs something else than sums, maxima or minima over the batch.
pub fn evaluation(program: &Program) -> Result<Evaluation, String> {
    let mut split = Split {
        batch: program.clone(),
        finish: Program::default(),
        accumulators: vec![],
        samples: vec![],
        computed: vec![],
        moved: vec![None; program.tensors.len()],
    };
    split.batch.outputs.clear();
    split.finish.numbers = program.numbers.clone();
    let needed = super::needed(program);
    let depends = depends_on_batch(program);
    let steps = super::scan::Steps::of(program, &needed);
    for at in (0..program.tensors.len()).filter(|&at| needed[at]) {
        let tensor = &program.tensors[at];
        let whole_split = depends[at] && !tensor.axes.iter().any(Axis::is_batch) && !steps.inside(at);
        if !whole_split {
            continue;
        }
        let equation = match &tensor.definition {
            Definition::Equation(equation) => equation,
            Definition::WholeSplit(whole) => {
                split.moved[at] = Some(split.compute(whole, tensor));
                continue;
            }
            _ => continue,
        };
        let body = split.rewrite(&equation.body, equation, &depends)?;
        let definition = Definition::Equation(Equation {
            body,
            ..equation.clone()
        });
        split.moved[at] = Some(split.finish.add(Tensor {
            definition,
            ..tensor.clone()
        }));
    }
    let reported = |o: &&Output| !matches!(o.kind, OutputKind::Value(_));
    for output in program.outputs.iter().filter(reported) {
        let tensor = match split.moved[output.tensor.0 as usize] {
            Some(tensor) => tensor,
            None => return Err(format!("{:?} does not depend on the data", output.kind)),
        };
        split.finish.outputs.push(Output {
            kind: output.kind.clone(),
            tensor,
        });
    }
    Ok(Evaluation {
        batch: super::build(&split.batch),
        accumulators: split.accumulators,
        samples: split.samples,
        computed: split.computed,
        finish: super::build(&split.finish),
    })
}

struct Split {
    batch: Program,
    finish: Program,
    accumulators: Vec<Accumulator>,
    samples: Vec<String>,
    computed: Vec<Computed>,
    /// Where the tensors of the finish program went.
    moved: Vec<Option<TensorId>>,
}

impl Split {
    /// An expression of the finish program: reductions over the batch become reads of accumulators.
    fn rewrite(&mut self, expr: &Expr, equation: &Equation, depends: &[bool]) -> Result<Expr, String> {
        Ok(match expr {
            Expr::Reduce(function, over, body) if over.iter().any(|&i| equation.indices[i].0 == BATCH) => {
                self.accumulate(*function, over, body, equation)?
            }
            Expr::Reduce(function, over, body) => Expr::Reduce(
                *function,
                over.clone(),
                Box::new(self.rewrite(body, equation, depends)?),
            ),
            Expr::Apply(function, list) => {
                let list: Result<Vec<Expr>, String> = list.iter().map(|e| self.rewrite(e, equation, depends)).collect();
                Expr::Apply(*function, list?)
            }
            Expr::Stop(body) => Expr::Stop(Box::new(self.rewrite(body, equation, depends)?)),
            Expr::Read {
                tensor,
                places,
                otherwise,
            } => match self.moved[tensor.0 as usize] {
                Some(moved) => Expr::Read {
                    tensor: moved,
                    places: places.clone(),
                    otherwise: otherwise.clone(),
                },
                None if !depends[tensor.0 as usize] => return self.outside(*tensor, places),
                None => return Err("it reads single samples outside of a sum over the batch".into()),
            },
            other => other.clone(),
        })
    }

    /// A parameter or constant tensor that the finish program reads: accumulated as a maximum, it stays what it is.
    fn outside(&mut self, tensor: TensorId, places: &[Place]) -> Result<Expr, String> {
        let axes = self.batch.tensor(tensor).axes.clone();
        let input = self.input(tensor, axes, ReduceFunction::Maximum);
        Ok(Expr::Read {
            tensor: input,
            places: places.to_vec(),
            otherwise: None,
        })
    }

    /// Makes the reduction a result of the batch program and an input of the finish program.
    fn accumulate(
        &mut self,
        function: ReduceFunction,
        over: &[IndexId],
        body: &Expr,
        equation: &Equation,
    ) -> Result<Expr, String> {
        let mut reads_finished = false;
        body.reads(&mut |id| reads_finished |= self.moved[id.0 as usize].is_some());
        if reads_finished {
            return Err("it needs the whole split before it can look at single samples".into());
        }
        let free: Vec<IndexId> = (0..equation.indices.len())
            .filter(|i| !over.contains(i) && uses(body, *i))
            .collect();
        let axes: Vec<Axis> = free
            .iter()
            .map(|&i| Axis {
                size: equation.indices[i].1,
                label: equation.indices[i].0.clone(),
                origin: crate::text::Span::NOWHERE,
            })
            .collect();
        let left = free.iter().map(|&i| vec![i]).collect();
        let body = Expr::Reduce(function, over.to_vec(), Box::new(body.clone()));
        let definition = Definition::Equation(Equation {
            indices: equation.indices.clone(),
            left,
            body,
            walked: None,
        });
        let name = format!("accumulated_{}", self.accumulators.len());
        let tensor = Tensor {
            name,
            axes: axes.clone(),
            element: Element::Real,
            definition,
            span: crate::text::Span::NOWHERE,
        };
        let tensor = self.batch.add(tensor);
        let input = self.input(tensor, axes, function);
        let places = free
            .iter()
            .map(|&i| Place::At {
                position: crate::ir::affine::Position::axis(i),
                exact: None,
            })
            .collect();
        Ok(Expr::Read {
            tensor: input,
            places,
            otherwise: None,
        })
    }

    /// Makes a function of all samples an input of the finish program, and its operands results of the batch program.
    fn compute(&mut self, whole: &WholeSplit, tensor: &Tensor) -> TensorId {
        let mut operands = vec![];
        for &operand in &whole.operands {
            let name = format!("samples_{}", self.samples.len());
            operands.push(self.samples.len());
            self.batch_output(&name, operand);
            self.samples.push(name);
        }
        let name = format!("computed_{}", self.computed.len());
        self.computed.push(Computed {
            name: name.clone(),
            function: whole.function,
            operands,
            kept: tensor.axes[0].size,
            points: whole.points,
        });
        self.finish_input(name, tensor.axes.clone())
    }

    /// Makes a tensor a result of the batch program and an input of the finish program.
    fn input(&mut self, tensor: TensorId, axes: Vec<Axis>, function: ReduceFunction) -> TensorId {
        let name = format!("accumulated_{}", self.accumulators.len());
        self.batch_output(&name, tensor);
        self.accumulators.push(Accumulator {
            name: name.clone(),
            shape: axes.iter().map(|a| a.size).collect(),
            function,
        });
        self.finish_input(name, axes)
    }

    fn batch_output(&mut self, name: &str, tensor: TensorId) {
        self.batch.outputs.push(Output {
            kind: OutputKind::Value(name.into()),
            tensor,
        });
    }

    fn finish_input(&mut self, name: String, axes: Vec<Axis>) -> TensorId {
        self.finish.inputs.push(InputDeclaration {
            name: name.clone(),
            shape: axes.iter().map(|a| a.size).collect(),
            element: Element::Real,
        });
        let definition = Definition::Input(InputId(self.finish.inputs.len() as u32 - 1));
        self.finish.add(Tensor {
            name,
            axes,
            element: Element::Real,
            definition,
            span: crate::text::Span::NOWHERE,
        })
    }
}

/// Which tensors depend on the samples.
fn depends_on_batch(program: &Program) -> Vec<bool> {
    let mut depends = vec![false; program.tensors.len()];
    for at in 0..program.tensors.len() {
        depends[at] = match &program.tensors[at].definition {
            Definition::Input(_) => true,
            Definition::Equation(equation) => {
                // A sum over the samples depends on how many there are, even if it is one of constants.
                let mut found = equation.indices.iter().any(|i| i.0 == BATCH);
                equation.body.reads(&mut |id| found |= depends[id.0 as usize]);
                found
            }
            // What it starts with and what comes back may.
            Definition::Carry { .. } | Definition::WholeSplit(_) => true,
            Definition::Walked { value: of, .. } | Definition::Sorted { of, .. } => depends[of.0 as usize],
            _ => false,
        };
    }
    depends
}

/// Whether an expression depends on an index.
pub(super) fn uses(expr: &Expr, index: IndexId) -> bool {
    match expr {
        Expr::Constant(_) | Expr::Number(_) | Expr::Random(_) => false,
        Expr::Index(i) => *i == index,
        Expr::Position(position) => position.uses(index),
        Expr::Read { places, otherwise, .. } => {
            let place = |p: &Place| match p {
                Place::At { position, .. } => position.uses(index),
                Place::Id(id) => uses(id, index),
            };
            places.iter().any(place) || otherwise.as_ref().is_some_and(|o| uses(o, index))
        }
        Expr::Apply(_, list) => list.iter().any(|e| uses(e, index)),
        Expr::Reduce(_, over, body) => !over.contains(&index) && uses(body, index),
        Expr::Stop(body) => uses(body, index),
    }
}
