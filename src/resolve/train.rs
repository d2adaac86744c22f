//! The `train` section's plain settings → [`TrainSettings`]. What is compiled (loss, optimizer, schedule) is in `objective`.

use super::settings::Reader;
use crate::ir::ast::{Section, Unit};
use crate::ir::experiment::{EarlyStop, Interval, TrainSettings};
use crate::text::{Code, Diagnostic, Diagnostics};

/// Settings that stand once.
pub const ONCE: &[&str] = &[
    "loss",
    "clip_norm",
    "clip_value",
    "ema",
    "batch",
    "steps",
    "epochs",
    "evaluate",
    "checkpoint",
    "keep",
    "seed",
    "early_stop",
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
    let batch = match reader.find("batch") {
        Some(line) => {
            if let [group] = &line.groups[..]
                && group.len() == 3
            {
                let message = "accumulation (`batch N in M`) is not compiled yet";
                reader
                    .diagnostics
                    .push(Diagnostic::new(Code::NotSupported, line.span, message));
                return None;
            }
            reader.whole(line, 1, 1 << 20)? as usize
        }
        None => 32,
    };
    let duration = match (reader.find("steps"), reader.find("epochs")) {
        (Some(steps), Some(epochs)) => {
            let diagnostic = Diagnostic::new(
                Code::DuplicateSetting,
                epochs.span,
                "a run lasts `steps` or `epochs`, not both",
            );
            reader
                .diagnostics
                .push(diagnostic.note(steps.span, "steps are given here"));
            return None;
        }
        (Some(line), None) => {
            let item = reader.single(line, "a number of steps")?;
            reader.interval(item, Some(Unit::Steps))?
        }
        (None, Some(line)) => {
            let item = reader.single(line, "a number of epochs")?;
            reader.interval(item, Some(Unit::Epochs))?
        }
        (None, None) if reader.slipped("steps") || reader.slipped("epochs") => return None,
        (None, None) => {
            let message = "nothing says how long to train";
            reader.diagnostics.push(
                Diagnostic::new(Code::MissingSetting, section.name.span, message)
                    .help("add `steps 1000` or `epochs 10`"),
            );
            return None;
        }
    };
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
    Some(TrainSettings {
        batch,
        duration,
        evaluate_every,
        checkpoint_every,
        keep,
        seed,
        early_stop,
        span: section.span,
    })
}

fn early_stop(reader: &mut Reader<'_, '_>) -> Option<Option<EarlyStop>> {
    let Some(line) = reader.find("early_stop") else {
        return Some(None);
    };
    let what = "`early_stop METRIC patience N`";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let [metric, word, patience] = &group[..] else {
        return reader.expected(what, line.span);
    };
    let Some(metric) = reader.word(metric) else {
        return reader.expected(what, line.span);
    };
    if reader.word(word) != Some("patience") {
        return reader.expected(what, word.span);
    }
    let patience = super::settings::literal(patience)
        .and_then(|(v, _)| v.as_whole())
        .filter(|p| (1..=1_000_000).contains(p));
    let Some(patience) = patience else {
        return reader.expected("a patience of at least 1 evaluation", line.span);
    };
    Some(Some(EarlyStop {
        metric: metric.to_string(),
        patience: patience as u32,
        minimum_change: 0.0,
    }))
}
