//! The `train` section's plain settings → [`TrainSettings`]. What is compiled (loss, optimizer, schedule) is in `objective`.

use super::settings::Reader;
use crate::ir::ast::{Section, Unit};
use crate::ir::experiment::{EarlyStop, Interval, LossScale, Precision, TrainSettings};
use crate::text::{Code, Diagnostic, Diagnostics, Severity};

/// Settings that stand once.
pub const ONCE: &[&str] = &[
    "loss",
    "clip_norm",
    "clip_value",
    "ema",
    "batch",
    "steps",
    "epochs",
    "tokens",
    "minutes",
    "sam",
    "precision",
    "loss_scale",
    "evaluate",
    "checkpoint",
    "keep",
    "seed",
    "early_stop",
    "allow",
];
/// Settings that may repeat.
pub const REPEATED: &[&str] = &[
    "metric",
    "optimizer",
    "schedule",
    "init",
    "penalty",
    "constrain",
    "freeze",
];

/// Checks the section's plain settings.
pub fn train_settings(section: &Section, diagnostics: &mut Diagnostics) -> Option<TrainSettings> {
    let mut reader = Reader::new(section, ONCE, REPEATED, diagnostics);
    let (batch, parts) = batch(&mut reader)?;
    let duration = duration(section, &mut reader)?;
    let mut every = |key: &str| -> Option<Option<Interval>> {
        match reader.find(key) {
            Some(line) => reader.every(line).map(Some),
            None => Some(None),
        }
    };
    let evaluate_every = every("evaluate")?;
    let checkpoint_every = every("checkpoint")?;
    let keep = match reader.find("keep") {
        Some(line) => reader.whole(line, 1, 1_000_000)? as usize,
        None => 3,
    };
    let seed = match reader.find("seed") {
        Some(line) => reader.whole(line, 0, u64::MAX / 2)?,
        None => 1,
    };
    let early_stop = early_stop(&mut reader)?;
    if early_stop.is_some() && evaluate_every.is_none() && !reader.slipped("evaluate") {
        let span = reader.find("early_stop").map_or(section.span, |line| line.span);
        let message = "`early_stop` counts evaluations, but nothing says when there is one";
        let diagnostic = Diagnostic::new(Code::MissingSetting, span, message);
        reader
            .diagnostics
            .push(diagnostic.help("add `evaluate every 100 steps`"));
    }
    let minutes = match reader.find("minutes") {
        Some(line) => Some(reader.above_zero(line, "a number of minutes above 0")?),
        None => None,
    };
    let sharpness = match reader.find("sam") {
        Some(line) => Some(reader.above_zero(line, "a radius above 0, as `sam 0.05`")?),
        None => None,
    };
    let precision = match reader.find("precision") {
        Some(line) => {
            let item = reader.single(line, "`bf16`, `f16` or `f32`")?;
            let choices = [
                ("bf16", Some(Precision::Bf16)),
                ("f16", Some(Precision::F16)),
                ("f32", None),
            ];
            reader.choice(item, &choices)?
        }
        None => None,
    };
    let loss_scale = loss_scale(&mut reader, precision)?;
    let allowed = allowed(&mut reader)?;
    Some(TrainSettings {
        batch,
        batch_span: reader.find("batch").map(|line| line.span),
        parts,
        precision,
        loss_scale,
        sharpness,
        minutes,
        duration,
        evaluate_every,
        checkpoint_every,
        keep,
        seed,
        early_stop,
        allowed,
        span: section.span,
    })
}

/// `loss_scale dynamic` or a number; without it binary16 has a dynamic one, and bfloat16, whose range is binary32's, none.
fn loss_scale(reader: &mut Reader<'_, '_>, precision: Option<Precision>) -> Option<LossScale> {
    let Some(line) = reader.find("loss_scale") else {
        return Some(match precision {
            Some(Precision::F16) => LossScale::Dynamic,
            _ => LossScale::Static(1.0),
        });
    };
    if precision.is_none() {
        let message = "a loss scale is for a `precision` of 16 bits";
        let diagnostic = Diagnostic::new(Code::WrongSetting, line.span, message);
        reader
            .diagnostics
            .push(diagnostic.help("add `precision f16`, or remove it"));
        return None;
    }
    let what = "`dynamic` or a number above 0, as `loss_scale 1024`";
    let item = reader.single(line, what)?;
    match (reader.word(item), super::settings::literal(item)) {
        (Some("dynamic"), _) => Some(LossScale::Dynamic),
        (_, Some((value, None))) if value.real() > 0.0 && value.real() <= 1e30 => Some(LossScale::Static(value.real())),
        _ => reader.expected(what, item.span),
    }
}

/// `allow W0904, W0910`: warnings that the user knows of.
fn allowed(reader: &mut Reader<'_, '_>) -> Option<Vec<Code>> {
    let Some(line) = reader.find("allow") else {
        return Some(vec![]);
    };
    let mut allowed = vec![];
    for group in &line.groups {
        let what = "the code of a warning, as `allow W0904`; several are separated by commas";
        let [item] = &group[..] else {
            return reader.expected(what, line.span);
        };
        let code = reader.word(item).filter(|w| w.starts_with('W')).and_then(Code::find);
        match code.filter(|c| c.severity() == Severity::Warning) {
            Some(code) => allowed.push(code),
            None => return reader.expected(what, item.span),
        }
    }
    match allowed.is_empty() {
        true => reader.expected("the code of a warning, as `allow W0904`", line.span),
        false => Some(allowed),
    }
}

/// `batch 480 in 40`: samples and parts.
fn batch(reader: &mut Reader<'_, '_>) -> Option<(usize, usize)> {
    const MOST: i128 = 1 << 20;
    let Some(line) = reader.find("batch") else {
        return Some((32, 1));
    };
    let [group] = &line.groups[..] else {
        return reader.whole(line, 1, MOST as u64).map(|batch| (batch as usize, 1));
    };
    let [samples, word, parts] = &group[..] else {
        return reader.whole(line, 1, MOST as u64).map(|batch| (batch as usize, 1));
    };
    if reader.word(word) != Some("in") {
        return reader.expected("`batch SAMPLES in PARTS`", word.span);
    }
    let whole = |item| {
        let (value, unit) = super::settings::literal(item)?;
        value.as_whole().filter(|v| (1..=MOST).contains(v) && unit.is_none())
    };
    let Some(number) = whole(samples) else {
        return reader.expected("a whole number of samples", samples.span);
    };
    match whole(parts) {
        Some(count) if number % count == 0 => Some((number as usize, count as usize)),
        Some(count) => {
            let message = format!("a batch of {number} can't be computed in {count} equal parts");
            let diagnostic = Diagnostic::new(Code::WrongValue, parts.span, message);
            reader
                .diagnostics
                .push(diagnostic.note(samples.span, format!("{number} samples")));
            None
        }
        None => reader.expected("a whole number of parts", parts.span),
    }
}

/// `steps`, `epochs` or `tokens`.
fn duration(section: &Section, reader: &mut Reader<'_, '_>) -> Option<Interval> {
    let lines = ["steps", "epochs", "tokens"].map(|key| reader.find(key).map(|line| (key, line)));
    let given: Vec<_> = lines.into_iter().flatten().collect();
    if let [(first, earlier), (second, line), ..] = &given[..] {
        let message = format!("a run lasts `{first}` or `{second}`, not both");
        let diagnostic = Diagnostic::new(Code::DuplicateSetting, line.span, message);
        reader
            .diagnostics
            .push(diagnostic.note(earlier.span, format!("{first} are given here")));
        return None;
    }
    let Some((key, line)) = given.first() else {
        if !["steps", "epochs", "tokens"].iter().any(|key| reader.slipped(key)) {
            let message = "nothing says how long to train";
            let diagnostic = Diagnostic::new(Code::MissingSetting, section.name.span, message);
            reader
                .diagnostics
                .push(diagnostic.help("add `steps 1000` or `epochs 10`"));
        }
        return None;
    };
    let item = reader.single(line, &format!("a number of {key}"))?;
    match *key {
        "steps" => reader.interval(item, Some(Unit::Steps)),
        "epochs" => reader.interval(item, Some(Unit::Epochs)),
        _ => reader.whole(line, 1, 1_000_000_000_000_000).map(Interval::Tokens),
    }
}

fn early_stop(reader: &mut Reader<'_, '_>) -> Option<Option<EarlyStop>> {
    let Some(line) = reader.find("early_stop") else {
        return Some(None);
    };
    let what = "`early_stop METRIC patience N`, or with `change X` behind it";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let (first, change) = match &group[..] {
        [_, _, _] => (&group[..], None),
        [_, _, _, word, change] if reader.word(word) == Some("change") => (&group[..3], Some(change)),
        _ => return reader.expected(what, line.span),
    };
    let [metric, word, patience_item] = first else {
        return reader.expected(what, line.span);
    };
    let minimum_change = match change {
        None => 0.0,
        Some(item) => match super::settings::literal(item) {
            Some((value, None)) if value.real() >= 0.0 => value.real(),
            _ => return reader.expected("a change of at least 0", item.span),
        },
    };
    let Some(metric) = reader.word(metric) else {
        return reader.expected(what, line.span);
    };
    if reader.word(word) != Some("patience") {
        return reader.expected(what, word.span);
    }
    let patience = super::settings::literal(patience_item)
        .filter(|(_, unit)| unit.is_none())
        .and_then(|(v, _)| v.as_whole())
        .filter(|p| (1..=1_000_000).contains(p));
    let Some(patience) = patience else {
        return reader.expected(
            "a number of evaluations of at least 1, as `patience 5`",
            patience_item.span,
        );
    };
    Some(Some(EarlyStop {
        metric: metric.to_string(),
        patience: patience as u32,
        minimum_change,
    }))
}
