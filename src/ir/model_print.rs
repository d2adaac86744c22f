//! The text of resolved programs, as `--emit model` shows it: one line for each tensor, scan and number of the step.
//! It decides nothing.

use super::affine::{Affine, Position};
use super::graph::Element;
use super::model::{Definition, Equation, Expr, IndexId, Place, Program, TensorId, WalkId, shape_text};
use std::fmt::{self, Display, Formatter};

impl Display for TensorId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, tensor) in self.tensors.iter().enumerate() {
            let element = match tensor.element {
                Element::Real => String::new(),
                Element::Id { bound } => format!(" < {bound}"),
                Element::Condition => " condition".into(),
            };
            write!(f, "t{i} {}{}{element} = ", tensor.name, shape_text(&tensor.axes))?;
            match &tensor.definition {
                Definition::Input(id) => writeln!(f, "input {}", self.inputs[id.0 as usize].name)?,
                Definition::Param(id) => writeln!(f, "param {}", self.params[id.0 as usize].path)?,
                Definition::State(id) => writeln!(f, "state {}", self.states[id.0 as usize].path)?,
                Definition::Gradient(id) => writeln!(f, "gradient {}", self.params[id.0 as usize].path)?,
                Definition::Equation(equation) => writeln!(f, "{}", EquationText(equation))?,
                Definition::WholeSplit(whole) => {
                    let operands: Vec<String> = whole.operands.iter().map(TensorId::to_string).collect();
                    writeln!(f, "{}({})", whole.function, operands.join(", "))?
                }
                Definition::Sorted { of, axis } => writeln!(f, "the order of {of} along axis {axis}")?,
                Definition::Carry { walk, number } => {
                    let initial = self.walks[walk.0 as usize].carries[*number].initial;
                    writeln!(f, "carry {number} of {walk}, from {initial}")?;
                }
                Definition::Walked { walk, value, axis } => {
                    writeln!(f, "{value} of every step of {walk}, along axis {axis}")?;
                }
            }
        }
        for (i, walk) in self.walks.iter().enumerate() {
            let backwards = if walk.backwards { " backwards" } else { "" };
            write!(f, "{} = {} steps{backwards}", WalkId(i as u32), walk.steps)?;
            walk.carries
                .iter()
                .try_for_each(|c| write!(f, ", {} <- {}", c.carry, c.next))?;
            writeln!(f)?;
        }
        for (i, number) in self.numbers.iter().enumerate() {
            writeln!(f, "n{i} = {number}")?;
        }
        for (i, kept) in self.kept.iter().enumerate() {
            writeln!(f, "kept{i} = {}, then {}", kept.initial, kept.update)?;
        }
        for output in &self.outputs {
            writeln!(f, "{:?} = {}", output.kind, output.tensor)?;
        }
        Ok(())
    }
}

impl Display for WalkId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "walk {}", self.0)
    }
}

struct EquationText<'a>(&'a Equation);

impl EquationText<'_> {
    fn index(&self, id: IndexId) -> &str {
        &self.0.indices[id].0
    }

    fn affine(&self, affine: &Affine) -> String {
        let mut text = String::new();
        for &(axis, c) in &affine.terms {
            let sign = if c < 0 { " - " } else { " + " };
            let sign = if text.is_empty() {
                sign.trim().trim_start_matches('+')
            } else {
                sign
            };
            let factor = if c.abs() == 1 {
                String::new()
            } else {
                format!("{} * ", c.abs())
            };
            text += &format!("{sign}{factor}{}", self.index(axis));
        }
        match affine.constant {
            0 if !text.is_empty() => text,
            c if text.is_empty() => c.to_string(),
            c if c < 0 => format!("{text} - {}", -c),
            c => format!("{text} + {c}"),
        }
    }

    fn position(&self, position: &Position) -> String {
        let mut parts = vec![];
        if position.digits.is_empty() || position.affine != Affine::default() {
            parts.push(self.affine(&position.affine));
        }
        for digit in &position.digits {
            let mut text = format!("({})", self.affine(&digit.of));
            if digit.divide != 1 {
                text = format!("({text} div {})", digit.divide);
            }
            if let Some(m) = digit.modulo {
                text = format!("({text} mod {m})");
            }
            if digit.coefficient != 1 {
                text = format!("{} * {text}", digit.coefficient);
            }
            parts.push(text);
        }
        parts.join(" + ")
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Constant(c) => format!("{c:?}"),
            Expr::Number(id) => id.to_string(),
            Expr::Index(id) => self.index(*id).to_string(),
            Expr::Position(position) => format!("({})", self.position(position)),
            Expr::Read {
                tensor,
                places,
                otherwise,
            } => {
                let places: Vec<String> = places
                    .iter()
                    .map(|p| match p {
                        Place::At {
                            exact: Some((of, by)), ..
                        } => format!("({}) / {by}", self.affine(of)),
                        Place::At { position, .. } => self.position(position),
                        Place::Id(id) => self.expr(id),
                    })
                    .collect();
                let read = if places.is_empty() {
                    tensor.to_string()
                } else {
                    format!("{tensor}[{}]", places.join(", "))
                };
                match otherwise {
                    Some(otherwise) => format!("({read} else {})", self.expr(otherwise)),
                    None => read,
                }
            }
            Expr::Apply(function, arguments) => {
                let list: Vec<String> = arguments.iter().map(|a| self.expr(a)).collect();
                format!("{}({})", format!("{function:?}").to_lowercase(), list.join(", "))
            }
            Expr::Reduce(function, indices, body) => {
                let names: Vec<&str> = indices.iter().map(|&i| self.index(i)).collect();
                format!(
                    "{}[{}] {}",
                    format!("{function:?}").to_lowercase(),
                    names.join(", "),
                    self.expr(body)
                )
            }
            Expr::Random(stream) => format!("random#{stream}"),
            Expr::Stop(body) => format!("stop({})", self.expr(body)),
        }
    }
}

impl Display for EquationText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let left: Vec<String> = self
            .0
            .left
            .iter()
            .map(|part| {
                let names: Vec<&str> = part.iter().map(|&i| self.index(i)).collect();
                if names.len() == 1 {
                    names[0].to_string()
                } else {
                    format!("({})", names.join(", "))
                }
            })
            .collect();
        write!(f, "[{}] {}", left.join(", "), self.expr(&self.0.body))
    }
}
