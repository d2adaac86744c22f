//! Patterns of parameter names: `"*.w"`, `matrices`, `vectors`.

use super::elaborator::{Checked, Elaborator};
use crate::ir::ast::{Expr, ExprKind, Setting};
use crate::text::{Code, Diagnostic, suggest};

/// Whether a path matches a pattern in which `*` stands for any text.
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

impl<'a> Elaborator<'a> {
    /// Leaves of the parameters that a line matches those that no earlier line serves, and marks them as served; a line
    /// for which none is left would be without effect.
    pub(super) fn not_yet(&mut self, chosen: Vec<bool>, served: &mut [bool], line: &Setting) -> Checked<Vec<bool>> {
        let left: Vec<bool> = chosen.iter().zip(served.iter()).map(|(c, s)| *c && !s).collect();
        if chosen.contains(&true) && !left.contains(&true) {
            let message = "this line is without effect: earlier ones serve all parameters that it is for";
            let help = "the first line that matches counts: put it in front of them, or remove it";
            return self.wrong(Diagnostic::new(Code::DuplicateSetting, line.span, message).help(help));
        }
        served.iter_mut().zip(&left).for_each(|(s, l)| *s |= l);
        Ok(left)
    }

    /// For each parameter, whether it is named by any of the patterns; no pattern names all.
    pub fn matching(&mut self, patterns: &'a [Expr]) -> Checked<Vec<bool>> {
        let mut chosen = vec![patterns.is_empty(); self.program.params.len()];
        for pattern in patterns {
            let hits: Vec<bool> = match &*pattern.kind {
                ExprKind::Name(word) if word == "matrices" => {
                    self.program.params.iter().map(|p| p.shape.len() >= 2).collect()
                }
                ExprKind::Name(word) if word == "vectors" => {
                    self.program.params.iter().map(|p| p.shape.len() < 2).collect()
                }
                ExprKind::Text(text) => self.program.params.iter().map(|p| matches(text, &p.path)).collect(),
                _ => {
                    let message = "expected `matrices`, `vectors`, or a pattern in quotes such as \"*.w\"";
                    return self.error(Code::WrongSetting, pattern.span, message);
                }
            };
            if let (ExprKind::Text(text), false) = (&*pattern.kind, hits.contains(&true)) {
                let message = format!("no parameter matches \"{text}\"");
                let paths = self.program.params.iter().map(|p| p.path.as_str());
                let mut diagnostic = Diagnostic::new(Code::NoMatch, pattern.span, message);
                diagnostic = match suggest::did_you_mean(text, paths.clone()) {
                    Some(help) => diagnostic.help(help),
                    None => {
                        let some: Vec<&str> = paths.take(4).collect();
                        diagnostic.help(format!(
                            "parameters are called {}, …: see `mspec compile --emit params`",
                            some.join(", ")
                        ))
                    }
                };
                return self.wrong(diagnostic);
            }
            chosen.iter_mut().zip(hits).for_each(|(c, h)| *c |= h);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("*.w", "gpt.0.attention.q.w"));
        assert!(!matches("*.w", "gpt.0.attention.q.b"));
        assert!(matches("gpt.*.q.*", "gpt.0.attention.q.w"));
        assert!(matches("gpt.wte.table", "gpt.wte.table"));
        assert!(!matches("gpt.wte", "gpt.wte.table"));
        assert!(!matches("ab*ba", "aba"));
    }
}
