//! What the lines of a section may hold: keys, words, numbers with units, paths.

use super::fraction::Known;
use crate::ir::ast::{Expr, ExprKind, Section, Setting, UnaryOperator, Unit};
use crate::ir::experiment::{ColumnName, DataPath, Interval, StatedBound};
use crate::text::{Code, Diagnostic, Diagnostics, Span, suggest};

/// Reads the lines of one section and reports what does not belong there.
pub struct Reader<'a, 'd> {
    section: &'a Section,
    /// What has been said.
    pub diagnostics: &'d mut Diagnostics,
}

impl<'a, 'd> Reader<'a, 'd> {
    /// A reader that has checked every key: known, and given once unless it may repeat.
    pub fn new(section: &'a Section, once: &[&str], repeated: &[&str], diagnostics: &'d mut Diagnostics) -> Self {
        let mut seen: Vec<(&str, Span)> = vec![];
        for setting in &section.settings {
            let Some(key) = setting.key.first() else { continue };
            if let Some(second) = setting.key.get(1) {
                let message = format!("a setting of `{}` is one word", section.name.text);
                let help = "arguments stand in the line's call, as `optimizer adamw(lr = 1e-4)`";
                diagnostics.push(Diagnostic::new(Code::UnknownSetting, key.span.to(second.span), message).help(help));
                continue;
            }
            let name = key.text.as_str();
            if repeated.contains(&name) || setting.assigned && !setting.on.is_empty() {
                continue;
            }
            if !once.contains(&name) {
                let message = format!("`{}` has no setting `{name}`", section.name.text);
                let mut diagnostic = Diagnostic::new(Code::UnknownSetting, key.span, message);
                let known = once.iter().chain(repeated).copied();
                diagnostic = match suggest::nearest(name, known.clone())[..] {
                    [near, ..] => diagnostic.help(format!("did you mean `{near}`?")).fix(key.span, near),
                    [] => {
                        let mut list: Vec<&str> = known.collect();
                        list.sort_unstable();
                        diagnostic.help(format!("it has {}", list.join(", ")))
                    }
                };
                diagnostics.push(diagnostic);
                continue;
            }
            match seen.iter().find(|s| s.0 == name) {
                Some((_, earlier)) => diagnostics.push(
                    Diagnostic::new(Code::DuplicateSetting, key.span, format!("`{name}` is given twice"))
                        .note(*earlier, "first given here"),
                ),
                None => seen.push((name, key.span)),
            }
        }
        Reader { section, diagnostics }
    }

    /// The line of a key.
    pub fn find(&self, key: &str) -> Option<&'a Setting> {
        self.section
            .settings
            .iter()
            .find(|s| s.key.len() == 1 && s.key[0].text == key)
    }

    /// Whether a line looks like this key with a typing slip.
    pub fn slipped(&self, key: &str) -> bool {
        slipped(self.section, key)
    }

    /// All lines of a key.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &'a Setting> + use<'a> {
        let key = key.to_string();
        self.section
            .settings
            .iter()
            .filter(move |s| s.key.len() == 1 && s.key[0].text == key)
    }

    /// Reports that a line holds something else than it should.
    pub fn expected<T>(&mut self, what: &str, span: Span) -> Option<T> {
        self.diagnostics
            .push(Diagnostic::new(Code::WrongSetting, span, format!("expected {what}")));
        None
    }

    /// The only item of a line.
    pub fn single(&mut self, setting: &'a Setting, what: &str) -> Option<&'a Expr> {
        match &setting.groups[..] {
            [group] if group.len() == 1 => Some(&group[0]),
            _ => self.expected(what, setting.span),
        }
    }

    /// A path in quotes.
    pub fn path(&mut self, setting: &'a Setting) -> Option<DataPath> {
        let item = self.single(setting, "a path in quotes, as \"data/file.txt\"")?;
        match &*item.kind {
            ExprKind::Text(path) => Some(DataPath {
                path: path.clone(),
                span: item.span,
            }),
            _ => self.expected("a path in quotes, as \"data/file.txt\"", item.span),
        }
    }

    /// A whole number within bounds.
    pub fn whole(&mut self, setting: &'a Setting, low: u64, high: u64) -> Option<u64> {
        let what = format!("a whole number from {low} to {high}");
        let item = self.single(setting, &what)?;
        let value = literal(item)
            .filter(|(_, unit)| unit.is_none())
            .and_then(|(v, _)| v.as_whole());
        match value
            .and_then(|v| u64::try_from(v).ok())
            .filter(|v| (low..=high).contains(v))
        {
            Some(value) => Some(value),
            None => self.expected(&what, item.span),
        }
    }

    /// What ids are below.
    pub fn bound(&mut self, setting: &'a Setting, high: u64) -> Option<StatedBound> {
        let bound = self.whole(setting, 1, high)? as usize;
        let span = setting.groups[0][0].span;
        Some(StatedBound { bound, span })
    }

    /// A number above 0.
    pub fn above_zero(&mut self, setting: &'a Setting, what: &str) -> Option<f64> {
        let item = self.single(setting, what)?;
        match literal(item) {
            Some((value, None)) if value.real() as f32 > 0.0 && (value.real() as f32).is_finite() => Some(value.real()),
            _ => self.expected(what, item.span),
        }
    }

    /// A share such as `90%` or `0.9`.
    pub fn share(&mut self, item: &'a Expr) -> Option<f64> {
        let value = match literal(item) {
            Some((v, Some(Unit::Percent))) => Some(v.real() / 100.0),
            Some((v, None)) => Some(v.real()),
            _ => None,
        };
        match value.filter(|v| (0.0..=1.0).contains(v)) {
            Some(value) => Some(value),
            None => self.expected("a share from 0% to 100%, as `90%`", item.span),
        }
    }

    /// `every 250 steps`, `every 2 epochs`, `every epoch`.
    pub fn every(&mut self, setting: &'a Setting) -> Option<Interval> {
        let what = "`every N steps` or `every N epochs`";
        let [group] = &setting.groups[..] else {
            return self.expected(what, setting.span);
        };
        let [word, number] = &group[..] else {
            return self.expected(what, setting.span);
        };
        if self.word(word) != Some("every") {
            return self.expected(what, word.span);
        }
        match self.word(number) {
            Some("epoch") => Some(Interval::Epochs(1.0)),
            Some("step") => Some(Interval::Steps(1)),
            _ => self.interval(number, None),
        }
    }

    /// A number with a unit of steps or epochs, at least one of them.
    pub fn interval(&mut self, item: &'a Expr, unit: Option<Unit>) -> Option<Interval> {
        let found = literal(item);
        // A setting that has its unit by its name takes no other.
        let found = found.filter(|(_, written)| unit.is_none() || written.is_none_or(|w| Some(w) == unit));
        let interval = match found.map(|(v, u)| (v, u.or(unit))) {
            Some((v, Some(Unit::Steps))) => v
                .as_whole()
                .filter(|v| (1..=1_000_000_000_000).contains(v))
                .map(|v| Interval::Steps(v as u64)),
            Some((v, Some(Unit::Epochs))) => Some(v.real()).filter(|v| *v > 0.0 && *v <= 1e9).map(Interval::Epochs),
            _ => None,
        };
        match interval {
            Some(interval) => Some(interval),
            None => self.expected(
                match unit {
                    Some(Unit::Steps) => "a whole number of steps of at least 1, as `steps 500`",
                    Some(Unit::Epochs) => "a number of epochs above 0, as `epochs 10`",
                    _ => "a whole number of steps (at least 1) or a number of epochs, as `500 steps`",
                },
                item.span,
            ),
        }
    }

    /// A bare word.
    pub fn word(&self, item: &'a Expr) -> Option<&'a str> {
        match &*item.kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }

    /// A word of a list.
    pub fn choice<T: Copy>(&mut self, item: &'a Expr, choices: &[(&str, T)]) -> Option<T> {
        let word = self.word(item);
        if let Some((_, value)) = choices.iter().find(|c| Some(c.0) == word) {
            return Some(*value);
        }
        let list: Vec<String> = choices.iter().map(|c| format!("`{}`", c.0)).collect();
        let mut diagnostic = Diagnostic::new(Code::WrongSetting, item.span, format!("expected {}", list.join(" or ")));
        if let Some(help) = word.and_then(|w| suggest::did_you_mean(w, choices.iter().map(|c| c.0))) {
            diagnostic = diagnostic.help(help);
        }
        self.diagnostics.push(diagnostic);
        None
    }

    /// A column: `state`, `"od 280"`, `"state" as region`.
    pub fn column(&mut self, item: &'a Expr) -> Option<ColumnName> {
        let (inner, name) = match &*item.kind {
            ExprKind::Named { layer, name } => (layer, Some(name.text.clone())),
            _ => (item, None),
        };
        let column = match &*inner.kind {
            ExprKind::Name(text) | ExprKind::Text(text) => text.clone(),
            _ => return self.expected("a column: a name, or a text in quotes", item.span),
        };
        let name = name.unwrap_or_else(|| column.clone());
        Some(ColumnName {
            column,
            name,
            span: item.span,
        })
    }
}

/// Whether a line of a section looks like a key with a typing slip, so that the key need not be reported as missing.
pub fn slipped(section: &Section, key: &str) -> bool {
    let first = section.settings.iter().filter_map(|s| s.key.first());
    first
        .into_iter()
        .any(|name| name.text != key && !suggest::nearest(&name.text, [key]).is_empty())
}

/// A number as written, possibly negative.
pub fn literal(item: &Expr) -> Option<(Known, Option<Unit>)> {
    match &*item.kind {
        ExprKind::Number { text, unit } => Some((Known::parse(text)?, *unit)),
        ExprKind::Unary {
            operator: UnaryOperator::Negate,
            operand,
        } => {
            let (value, unit) = literal(operand)?;
            Some((value.negative(), unit))
        }
        _ => None,
    }
}
