//! What is trained and how: loss, penalties, gradients, clipping and the optimizer of each parameter.

use super::elaborator::{Checked, Elaborator, Wrong};
use super::evaluate::Position;
use super::scope::Scope;
use super::settings::slipped;
use super::value::Value;
use crate::ir::ast::{Expr, Section, Setting};
use crate::ir::graph::ParamId;
use crate::ir::model::TensorId;
use crate::text::{Code, Diagnostic};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// The train section's lines of a key.
    pub fn lines(section: &'a Section, key: &'a str) -> impl Iterator<Item = &'a Setting> {
        section
            .settings
            .iter()
            .filter(move |s| s.key.len() == 1 && s.key[0].text == key && (!s.assigned || s.on.is_empty()))
    }

    /// The reported loss.
    pub fn loss(&mut self, section: &'a Section, value: &Value<'a>, scope: &Rc<Scope<'a>>) -> Checked<TensorId> {
        let Some(line) = Self::lines(section, "loss").next() else {
            if slipped(section, "loss") {
                return Err(Wrong);
            }
            let diagnostic = Diagnostic::new(Code::MissingSetting, section.name.span, "nothing says what to minimise");
            return self.wrong(diagnostic.help("add a loss, as `loss cross_entropy(label)` or `loss mse(target)`"));
        };
        let [group] = &line.groups[..] else {
            return self.error(Code::WrongSetting, line.span, "expected one loss; add terms with `+`");
        };
        let [expr] = &group[..] else {
            return self.error(Code::WrongSetting, line.span, "expected one loss; add terms with `+`");
        };
        self.reported(expr, value, scope, "a loss", 0)
    }

    /// Adds the train section's penalties.
    pub fn section_penalties(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>) -> Checked<()> {
        for line in Self::lines(section, "penalty") {
            let [group] = &line.groups[..] else {
                return self.error(Code::WrongSetting, line.span, "expected one penalty");
            };
            let [expr] = &group[..] else {
                return self.error(Code::WrongSetting, line.span, "expected one penalty");
            };
            let chosen = self.matching(&line.on)?;
            let paths: Vec<String> = self
                .program
                .params
                .iter()
                .zip(chosen)
                .filter(|(_, c)| *c)
                .map(|(p, _)| p.path.clone())
                .collect();
            for path in paths {
                let id = self.params[&path];
                let Value::Layer(layer) = self.evaluate(expr, scope, Position::Layer)? else {
                    return self.error(
                        Code::WrongKind,
                        expr.span,
                        "expected a penalty of a parameter, as `l2(1e-4)`",
                    );
                };
                let value = self.apply(&Value::Layer(layer), Value::Tensor(id), expr.span)?;
                self.penalty(value, expr.span)?;
                if !self.program.penalised.contains(&path) {
                    self.program.penalised.push(path);
                }
            }
        }
        Ok(())
    }

    /// Marks frozen parameters and applies `init` lines.
    pub fn parameter_lines(&mut self, section: &'a Section, scope: &Rc<Scope<'a>>) -> Checked<()> {
        let mut settled = vec![false; self.program.params.len()];
        for line in Self::lines(section, "init") {
            let [group] = &line.groups[..] else {
                return self.error(Code::WrongSetting, line.span, "expected one initialiser");
            };
            let [expr] = &group[..] else {
                return self.error(
                    Code::WrongSetting,
                    line.span,
                    "expected one initialiser, then `on` and a pattern",
                );
            };
            let chosen = self.matching(&line.on)?;
            let chosen = self.not_yet(chosen, &mut settled, line)?;
            for at in (0..chosen.len()).filter(|&at| chosen[at]) {
                let initialiser = self.initialiser(expr, scope, ParamId(at as u32))?;
                self.program.params[at].initialiser = initialiser;
            }
        }
        for line in Self::lines(section, "freeze") {
            let written: &[Expr] = line.groups.first().map_or(&[], |g| g);
            let patterns = if line.on.is_empty() { written } else { &line.on };
            if patterns.is_empty() {
                return self.error(
                    Code::WrongSetting,
                    line.span,
                    "say what is frozen, as `freeze \"gpt.wte.*\"`",
                );
            }
            let chosen = self.matching(patterns)?;
            self.program
                .params
                .iter_mut()
                .zip(chosen)
                .for_each(|(p, c)| p.frozen |= c);
        }
        Ok(())
    }
}
