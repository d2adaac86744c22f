//! Where `..` of one equation stands for two shapes, the reason often lies in what a definition was given: its head says
//! which tensors belong together. Then the call is to blame, not the equation in which it shows.

use super::elaborator::Elaborator;
use super::ranges::split;
use super::scope::Scope;
use super::value::Value;
use crate::ir::ast::{Definition, Index, Parameter, ParameterKind};
use crate::ir::model::{self, Axis, TensorId};
use crate::text::{Code, Diagnostic, Span};
use std::rc::Rc;

/// A definition's body at work.
pub struct Body<'a> {
    /// Whose.
    pub definition: &'a Definition,
    /// What its parameters are.
    pub scope: Rc<Scope<'a>>,
    /// The call.
    pub call: Span,
}

/// A tensor that was given for a parameter with `..` in its head, and what `..` stands for.
struct Given<'a> {
    parameter: &'a Parameter,
    tensor: TensorId,
    rest: Vec<Axis>,
}

impl<'a> Elaborator<'a> {
    /// `..` of one equation stands for two shapes.
    pub fn rests_disagree(
        &self,
        place: Span,
        (first, before): (Option<TensorId>, &[Axis]),
        (second, now): (TensorId, &[Axis]),
    ) -> Diagnostic {
        if let Some(diagnostic) = self.heads_disagree(place) {
            return diagnostic;
        }
        let (a, b) = (model::shape_text(before), model::shape_text(now));
        let message = format!("`..` stands for {a} and for {b}, which must agree");
        let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, place, message);
        for id in first.into_iter().chain([second]) {
            let tensor = self.program.tensor(id);
            let shape = model::shape_text(&tensor.axes);
            diagnostic = diagnostic.note(tensor.span, format!("`{}` has {shape}", tensor.name));
        }
        diagnostic
    }

    /// The outermost of the bodies at work whose own parameters disagree about `..`, told at its call; `inside` is
    /// where it showed.
    fn heads_disagree(&self, inside: Span) -> Option<Diagnostic> {
        let disagreeing = self
            .bodies
            .iter()
            .rev()
            .map_while(|body| Some((body, self.pair(body)?)));
        let (body, (one, other)) = disagreeing.last()?;
        let (a, b) = (&one.parameter.name.text, &other.parameter.name.text);
        let message = format!(
            "`..` stands for {} in `{a}` and for {} in `{b}` of `{}`, which must agree",
            model::shape_text(&one.rest),
            model::shape_text(&other.rest),
            body.definition.name.text,
        );
        let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, body.call, message)
            .note(inside, "here they meet")
            .help(format!("{}; {}", self.is_what(&one), self.is_what(&other)));
        if let Some(help) = surplus(&one.rest, &other.rest) {
            diagnostic = diagnostic.help(help);
        }
        Some(diagnostic)
    }

    /// The first two parameters whose `..` differ.
    fn pair(&self, body: &Body<'a>) -> Option<(Given<'a>, Given<'a>)> {
        let mut given = body.definition.parameters.iter().filter_map(|p| self.given(p, body));
        let first = given.next()?;
        let other = given.find(|g| !sizes(&g.rest).eq(sizes(&first.rest)))?;
        Some((first, other))
    }

    fn given(&self, parameter: &'a Parameter, body: &Body<'a>) -> Option<Given<'a>> {
        let ParameterKind::Tensor(pattern) = &parameter.kind else {
            return None;
        };
        let at = pattern.iter().position(|i| matches!(i, Index::Rest(_)))?;
        let Value::Tensor(tensor) = body.scope.find(&parameter.name.text)?.value else {
            return None;
        };
        let rest = split(pattern, self.axes(tensor))?[at].to_vec();
        Some(Given {
            parameter,
            tensor,
            rest,
        })
    }

    /// "`target` is `label`, [batch 4]".
    fn is_what(&self, given: &Given) -> String {
        let tensor = self.program.tensor(given.tensor);
        let shape = model::shape_text(&tensor.axes);
        let name = &given.parameter.name.text;
        // A name from inside another definition says nothing to the user.
        let data = matches!(tensor.definition, model::Definition::Input(_));
        match data && tensor.name != *name {
            true => format!("`{name}` is `{}`, {shape}", tensor.name),
            false => format!("`{name}` is {shape}"),
        }
    }
}

fn sizes(axes: &[Axis]) -> impl Iterator<Item = usize> {
    axes.iter().map(|a| a.size)
}

/// What to do where a model's output has axes that its target lacks.
fn surplus(output: &[Axis], target: &[Axis]) -> Option<String> {
    let more = output.len() > target.len() && sizes(output).take(target.len()).eq(sizes(target));
    match (more, &output[target.len().min(output.len())..]) {
        (true, [last]) if last.size == 1 => {
            Some("leave the last axis, which has one element, out by `-> squeeze`".into())
        }
        (true, _) => Some("`flatten` before the last layer makes one axis of all behind the batch".into()),
        _ => None,
    }
}
