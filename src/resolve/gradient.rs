//! The gradient of each parameter, its global norm, and what clipping makes of it.

use super::elaborator::{Checked, Elaborator};
use super::fold;
use super::scope::Scope;
use crate::ir::ast::Section;
use crate::ir::graph::{Element, MapFunction, OutputKind, ParamId};
use crate::ir::model::{self, Expr as Element_, Output, TensorId};
use crate::text::{Code, Span};
use std::rc::Rc;

/// PyTorch's guard against a norm of zero in `clip_grad_norm_`.
const CLIP_EPSILON: f64 = 1e-6;

impl<'a> Elaborator<'a> {
    /// The gradient by each trained parameter, its elements clipped if `clip_value` says so.
    pub(super) fn gradients(
        &mut self,
        section: &'a Section,
        trained: &[usize],
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Vec<TensorId>> {
        let span = section.name.span;
        let most = self.bound_above_zero(section, "clip_value", "the greatest element", scope)?;
        let mut gradients = vec![];
        for &at in trained {
            let param = &self.program.params[at];
            let axes = self.axes(self.params[&param.path]).to_vec();
            let name = format!("d {}", param.path);
            let definition = model::Definition::Gradient(ParamId(at as u32));
            let gradient = self.tensor(model::Tensor {
                name,
                axes,
                element: Element::Real,
                definition,
                span,
            })?;
            gradients.push(match most {
                None => gradient,
                Some((most, span)) => self.clamp(gradient, most, span)?,
            });
        }
        Ok(gradients)
    }

    /// The tensor with its elements within -most and most.
    fn clamp(&mut self, id: TensorId, most: f64, span: Span) -> Checked<TensorId> {
        let axes = self.axes(id).to_vec();
        let below = vec![self.read_whole(id), Element_::Constant(most)];
        let below = Element_::Apply(MapFunction::Minimum, below);
        let body = Element_::Apply(MapFunction::Maximum, vec![below, Element_::Constant(-most)]);
        self.elementwise(axes, Element::Real, body, span)
    }

    /// The number of a setting that must be above 0, if the setting is there.
    fn bound_above_zero(
        &mut self,
        section: &'a Section,
        key: &'static str,
        what: &str,
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Option<(f64, Span)>> {
        let Some(line) = Self::lines(section, key).next() else {
            return Ok(None);
        };
        let expr = match &line.groups[..] {
            [group] if group.len() == 1 => &group[0],
            _ => {
                let message = format!("expected one number, as `{key} 1.0`");
                return self.error(Code::WrongSetting, line.span, message);
            }
        };
        let most = self.plain_number(expr, scope)?;
        if most.is_nan() || most <= 0.0 {
            return self.error(
                Code::WrongValue,
                expr.span,
                format!("{what} must be above 0, this is {most}"),
            );
        }
        Ok(Some((most, line.span)))
    }

    /// Adds the gradient's global norm, and gives the factor that `clip_norm` multiplies gradients by.
    pub(super) fn clipping(
        &mut self,
        section: &'a Section,
        trained: &[usize],
        gradients: &[TensorId],
        scope: &Rc<Scope<'a>>,
    ) -> Checked<Option<TensorId>> {
        let span = section.name.span;
        let read = |id| Element_::Read {
            tensor: id,
            places: vec![],
            otherwise: None,
        };
        let mut total: Option<Element_> = None;
        for (&at, &gradient) in trained.iter().zip(gradients) {
            let squares = self.sum_of_squares(gradient, span)?;
            if self.probe {
                let root = Element_::Apply(MapFunction::SquareRoot, vec![read(squares)]);
                let norm = self.scalar("gradient_norm", root, span)?;
                self.program.outputs.push(Output {
                    kind: OutputKind::ParamGradient(ParamId(at as u32)),
                    tensor: norm,
                });
            }
            total = Some(match total {
                None => read(squares),
                Some(sum) => {
                    let sum = self.scalar(
                        "squares",
                        Element_::Apply(MapFunction::Add, vec![sum, read(squares)]),
                        span,
                    )?;
                    read(sum)
                }
            });
        }
        let Some(total) = total else { return Ok(None) };
        let norm = self.scalar(
            "gradient_norm",
            Element_::Apply(MapFunction::SquareRoot, vec![total]),
            span,
        )?;
        self.program.outputs.push(Output {
            kind: OutputKind::GradientNorm,
            tensor: norm,
        });
        let Some((most, span)) = self.bound_above_zero(section, "clip_norm", "the greatest norm", scope)? else {
            return Ok(None);
        };
        let real = |e| (e, Element::Real);
        let guarded = fold::apply(
            MapFunction::Add,
            vec![real(read(norm)), real(Element_::Constant(CLIP_EPSILON))],
        );
        let ratio = fold::apply(MapFunction::Divide, vec![real(Element_::Constant(most)), guarded]);
        let factor = fold::apply(MapFunction::Minimum, vec![ratio, real(Element_::Constant(1.0))]);
        Ok(Some(self.scalar("clip", factor.0, span)?))
    }
}
