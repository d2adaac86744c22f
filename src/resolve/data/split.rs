//! `split train 80%, validation 10%, test 10% stratified` → [`Split`].

use crate::ir::experiment::Split;
use crate::resolve::settings::Reader;
use crate::text::{Code, Diagnostic, Span};

/// Reads how samples are divided; what a source does without being told.
pub(super) fn split(reader: &mut Reader<'_, '_>, kind: &str, section: Span) -> Option<Split> {
    let Some(line) = reader.find("split") else {
        let (train, validation) = if kind == "tensors" { (1.0, 0.0) } else { (0.9, 0.1) };
        return Some(Split {
            train,
            validation,
            test: 0.0,
            stratified: false,
            span: section,
        });
    };
    let mut split = Split {
        train: 0.0,
        validation: 0.0,
        test: 0.0,
        stratified: false,
        span: line.span,
    };
    let mut failed = false;
    for group in &line.groups {
        let what = "parts such as `train 80%, validation 10%, test 10%`, and `stratified` at the end";
        let (part, share, rest) = match &group[..] {
            [part, share, rest @ ..] => (part, share, rest),
            _ => return reader.expected(what, line.span),
        };
        let share = reader.share(share)?;
        match reader.choice(part, &[("train", 0), ("validation", 1), ("test", 2)])? {
            0 => split.train = share,
            1 => split.validation = share,
            _ => split.test = share,
        }
        for word in rest {
            match reader.choice(word, &[("stratified", ())]) {
                Some(()) => split.stratified = true,
                None => failed = true,
            }
        }
    }
    let total = split.train + split.validation + split.test;
    if total > 1.0 + 1e-9 {
        let message = format!("the parts add up to {:.0}%, more than there is", total * 100.0);
        reader
            .diagnostics
            .push(Diagnostic::new(Code::WrongSetting, line.span, message));
        failed = true;
    }
    if split.train <= 0.0 {
        reader.diagnostics.push(
            Diagnostic::new(Code::WrongSetting, line.span, "nothing is left to train on").help("say `train 80%`"),
        );
        failed = true;
    }
    (!failed).then_some(split)
}
