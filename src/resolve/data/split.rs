//! `split train 80%, validation 10%, test 10% stratified` and `fold 2 of 5` → [`Split`].

use crate::ir::experiment::{Fold, Split};
use crate::resolve::settings::{Reader, literal};
use crate::text::{Code, Diagnostic, Span};

/// Folds that there may be.
pub const FOLDS_MOST: usize = 1000;

/// Reads how samples are divided; what a source does without being told.
pub(super) fn split(reader: &mut Reader<'_, '_>, kind: &str, section: Span) -> Option<Split> {
    let split = shares(reader, kind, section);
    let fold = fold(reader);
    Some(Split { fold: fold?, ..split? })
}

/// `fold 2 of 5 stratified`.
fn fold(reader: &mut Reader<'_, '_>) -> Option<Option<Fold>> {
    let Some(line) = reader.find("fold") else {
        return Some(None);
    };
    let what = "`fold NUMBER of FOLDS`, or with `stratified` behind it";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let [number, of, folds, rest @ ..] = &group[..] else {
        return reader.expected(what, line.span);
    };
    if reader.word(of) != Some("of") || rest.len() > 1 {
        return reader.expected(what, line.span);
    }
    let whole = |item| {
        let (value, unit) = literal(item)?;
        let value = value.as_whole().filter(|_| unit.is_none())?;
        usize::try_from(value).ok()
    };
    let Some(count) = whole(folds).filter(|n| (2..=FOLDS_MOST).contains(n)) else {
        return reader.expected(&format!("a whole number of folds from 2 to {FOLDS_MOST}"), folds.span);
    };
    let Some(number) = whole(number).filter(|n| (1..=count).contains(n)) else {
        return reader.expected(&format!("a whole number from 1 to {count}"), number.span);
    };
    let stratified = match rest {
        [word] => reader.choice(word, &[("stratified", true)])?,
        _ => false,
    };
    Some(Some(Fold {
        number,
        of: count,
        stratified,
        span: line.span,
    }))
}

/// `split train 80%, validation 20%`.
fn shares(reader: &mut Reader<'_, '_>, kind: &str, section: Span) -> Option<Split> {
    let Some(line) = reader.find("split") else {
        let (train, validation) = if kind == "tensors" { (1.0, 0.0) } else { (0.9, 0.1) };
        return Some(Split {
            train,
            validation,
            test: 0.0,
            stratified: false,
            fold: None,
            span: section,
        });
    };
    let mut split = Split {
        train: 0.0,
        validation: 0.0,
        test: 0.0,
        stratified: false,
        fold: None,
        span: line.span,
    };
    let what = "parts such as `train 80%, validation 10%, test 10%`, and `stratified` at the end";
    if line.groups.is_empty() {
        return reader.expected(what, line.span);
    }
    let mut failed = false;
    let mut seen: Vec<(&str, Span)> = vec![];
    for group in &line.groups {
        let (part, share, rest) = match &group[..] {
            [part, share, rest @ ..] => (part, share, rest),
            _ => return reader.expected(what, line.span),
        };
        let share = reader.share(share)?;
        let word = reader.word(part).unwrap_or_default();
        if let Some((_, first)) = seen.iter().find(|s| s.0 == word) {
            let message = format!("`{word}` is given twice");
            let diagnostic = Diagnostic::new(Code::DuplicateSetting, part.span, message);
            reader.diagnostics.push(diagnostic.note(*first, "first given here"));
            failed = true;
        }
        seen.push((word, part.span));
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
