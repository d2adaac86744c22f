//! The `tune` section → [`TuneSettings`], by what it says alone: a training does without it. Whether it fits the other
//! sections is checked where it is asked for, and what its values make of the spec by elaborating each combination.

mod fit;
mod range;

pub use fit::{Others, fit, share};

use super::data::FOLDS_MOST;
use super::settings::{Reader, literal};
use crate::ir::ast::{Section, Setting, Unit};
use crate::ir::experiment::Interval;
use crate::ir::tune::{Budget, Folds, Halving, Range, Search, TuneSettings, Values, Watched};
use crate::text::{Code, Diagnostic, Diagnostics, Span};
use range::ranges;

const ONCE: &[&str] = &["grid", "random", "trials", "halving", "folds", "seeds", "best"];
/// Settings that a search may try.
pub const TRIALS_MOST: usize = 10_000;
/// How often each may be trained, with other seeds.
const SEEDS_MOST: u64 = 1000;
/// By how much runs become longer, if nothing is said (Li et al. 2018).
const FACTOR: f64 = 3.0;
/// The most by which they may.
const FACTOR_MOST: f64 = 1000.0;

/// Checks the section.
pub fn tune_settings(section: &Section, diagnostics: &mut Diagnostics) -> Option<TuneSettings> {
    let mut reader = Reader::new(section, ONCE, &[], diagnostics);
    let folds = folds(&mut reader);
    let seeds = match reader.find("seeds") {
        Some(line) => reader.whole(line, 2, SEEDS_MOST),
        None => Some(1),
    };
    let best = match reader.find("best") {
        Some(line) => {
            let what = "`loss` or the name of a metric, as `best accuracy`";
            let item = reader.single(line, what);
            item.and_then(|item| match reader.word(item) {
                Some(name) => Some(Watched {
                    name: name.into(),
                    span: item.span,
                }),
                None => reader.expected(what, item.span),
            })
        }
        None => Some(Watched {
            name: "loss".into(),
            span: section.name.span,
        }),
    };
    let halving = halving(&mut reader);
    let search = search(&mut reader, section);
    let (search, halving, folds, seeds) = (search?, halving?, folds?, seeds?);
    if let (Some(line), Some(range)) = (
        reader.find("seeds"),
        search.ranges().iter().find(|r| r.path == "train.seed"),
    ) {
        let message = "`seeds` trains each setting with several seeds, so the seed is no setting to try";
        let diagnostic = Diagnostic::new(Code::DuplicateSetting, range.span, message);
        reader
            .diagnostics
            .push(diagnostic.note(line.span, "seeds are asked for here"));
        return None;
    }
    if search.ranges().is_empty() && folds.is_none() && seeds == 1 && !ONCE.iter().any(|key| reader.slipped(key)) {
        let message = "`tune` names nothing to try";
        let help = "add `grid { train.optimizer.lr = [1e-4, 1e-3] }`, or `folds 5` to cross-validate the spec as it is";
        let diagnostic = Diagnostic::new(Code::MissingSetting, section.name.span, message);
        reader.diagnostics.push(diagnostic.help(help));
        return None;
    }
    Some(TuneSettings {
        search,
        halving,
        folds,
        seeds,
        best: best?,
        span: section.name.span,
    })
}

/// `folds 5 stratified`.
fn folds(reader: &mut Reader<'_, '_>) -> Option<Option<Folds>> {
    let Some(line) = reader.find("folds") else {
        return Some(None);
    };
    let what = "`folds NUMBER`, or with `stratified` behind it";
    let (number, stratified) = match &line.groups[..] {
        [group] => match &group[..] {
            [number] => (number, false),
            [number, word] => (number, reader.choice(word, &[("stratified", true)])?),
            _ => return reader.expected(what, line.span),
        },
        _ => return reader.expected(what, line.span),
    };
    let count = literal(number).filter(|(_, unit)| unit.is_none());
    let count = count.and_then(|(value, _)| usize::try_from(value.as_whole()?).ok());
    let Some(count) = count.filter(|n| (2..=FOLDS_MOST).contains(n)) else {
        return reader.expected(&format!("a whole number of folds from 2 to {FOLDS_MOST}"), number.span);
    };
    Some(Some(Folds {
        count,
        stratified,
        span: line.span,
    }))
}

/// `halving from 10% factor 3`.
fn halving(reader: &mut Reader<'_, '_>) -> Option<Option<Halving>> {
    let Some(line) = reader.find("halving") else {
        return Some(None);
    };
    let what = "`halving from SHARE`, as `halving from 10%`, or with `factor 3` behind it";
    let [group] = &line.groups[..] else {
        return reader.expected(what, line.span);
    };
    let (from, factor) = match &group[..] {
        [word, from] if reader.word(word) == Some("from") => (from, None),
        [word, from, second, factor] if reader.word(word) == Some("from") && reader.word(second) == Some("factor") => {
            (from, Some(factor))
        }
        _ => return reader.expected(what, line.span),
    };
    let factor = match factor {
        None => FACTOR,
        Some(item) => match literal(item) {
            Some((value, None)) if (1.5..=FACTOR_MOST).contains(&value.real()) => value.real(),
            _ => return reader.expected(&format!("a factor from 1.5 to {FACTOR_MOST}"), item.span),
        },
    };
    let what = "a share of the run, as `10%`, or a number of steps, epochs or tokens";
    let from_budget = match literal(from).map(|(value, unit)| (value.real(), unit)) {
        Some((value, Some(Unit::Percent))) if value > 0.0 && value < 100.0 => Budget::Share(value / 100.0),
        Some((value, Some(Unit::Tokens))) if value >= 1.0 && value.fract() == 0.0 => {
            Budget::Length(Interval::Tokens(value as u64))
        }
        Some((_, Some(Unit::Steps | Unit::Epochs))) => Budget::Length(reader.interval(from, None)?),
        _ => return reader.expected(what, from.span),
    };
    Some(Some(Halving {
        from: from_budget,
        factor,
        span: from.span,
    }))
}

/// `grid { … }`, `random { … }` with `trials`, or none of them.
fn search(reader: &mut Reader<'_, '_>, section: &Section) -> Option<Search> {
    let (grid, random, trials) = (reader.find("grid"), reader.find("random"), reader.find("trials"));
    if let (Some(grid), Some(random)) = (grid, random) {
        let (first, second) = match grid.span.start < random.span.start {
            true => (grid, random),
            false => (random, grid),
        };
        let message = "a search has a `grid` or is `random`, not both";
        let diagnostic = Diagnostic::new(Code::DuplicateSetting, second.key[0].span, message);
        reader
            .diagnostics
            .push(diagnostic.note(first.key[0].span, "the other one"));
        return None;
    }
    let Some(random) = random else {
        if let Some(line) = trials {
            let message = "`trials` is for `random`: a grid tries every combination";
            let diagnostic = Diagnostic::new(Code::WrongSetting, line.span, message);
            reader
                .diagnostics
                .push(diagnostic.help("remove it, or draw values by `random { … }`"));
            return None;
        }
        let ranges = match grid {
            Some(line) => ranges(reader, line, false)?,
            None => vec![],
        };
        return counted(reader, grid, ranges);
    };
    let ranges = ranges(reader, random, true)?;
    let Some(line) = trials else {
        if !reader.slipped("trials") {
            let message = "nothing says how many settings are drawn";
            let diagnostic = Diagnostic::new(Code::MissingSetting, section.name.span, message);
            reader.diagnostics.push(diagnostic.help("add `trials 20`"));
        }
        return None;
    };
    let trials = reader.whole(line, 1, TRIALS_MOST as u64)? as usize;
    let mut lists = ranges.iter().map(|range| match &range.values {
        Values::List(list) => Some(list.len()),
        Values::Interval { .. } => None,
    });
    let combinations = lists.try_fold(1usize, |all, list| all.checked_mul(list?));
    if let Some(combinations) = combinations.filter(|c| *c < trials) {
        let message = format!("these lists have {combinations} combinations, fewer than {trials} settings to draw");
        let diagnostic = Diagnostic::new(Code::WrongSetting, line.span, message);
        reader
            .diagnostics
            .push(diagnostic.help("write `grid` for `random` and leave `trials` out, to try all of them"));
        return None;
    }
    Some(Search::Random { ranges, trials })
}

/// A grid that is not too large.
fn counted(reader: &mut Reader<'_, '_>, grid: Option<&Setting>, ranges: Vec<Range>) -> Option<Search> {
    let size = |range: &Range| match &range.values {
        Values::List(list) => list.len(),
        Values::Interval { .. } => 1,
    };
    let count = ranges.iter().map(size).try_fold(1usize, usize::checked_mul);
    if count.is_none_or(|n| n > TRIALS_MOST) {
        let message = match count {
            Some(n) => format!("this grid has {n} combinations, more than {TRIALS_MOST}"),
            None => format!("this grid has more than {TRIALS_MOST} combinations"),
        };
        let place = grid.map_or(Span::NOWHERE, |line| line.key[0].span);
        let diagnostic = Diagnostic::new(Code::TooMuchWork, place, message);
        reader
            .diagnostics
            .push(diagnostic.help("draw some of them: `random { … }` with `trials 100`"));
        return None;
    }
    Some(Search::Grid(ranges))
}
