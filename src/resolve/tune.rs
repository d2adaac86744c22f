//! The `tune` section → [`TuneSettings`], by what it says alone: a training does without it. Whether it fits the other
//! sections is checked where it is asked for, and what its values make of the spec by elaborating each combination.

use super::data::{FOLDED, FOLDS_MOST};
use super::library::Library;
use super::settings::{Reader, literal};
use super::unwatchable;
use crate::ir::ast::{Argument, Expr, ExprKind, Section, Setting, Unit};
use crate::ir::experiment::{DataSettings, Interval, Source, TrainSettings};
use crate::ir::model::MetricDeclaration;
use crate::ir::tune::{Budget, Folds, Halving, Range, Search, TuneSettings, Values, Watched};
use crate::text::{Code, Diagnostic, Diagnostics, Span, suggest};

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

/// The lines of `grid` or `random`.
fn ranges(reader: &mut Reader<'_, '_>, line: &Setting, drawn: bool) -> Option<Vec<Range>> {
    let word = &line.key[0].text;
    let Some(block) = line
        .block
        .as_ref()
        .filter(|block| line.groups.is_empty() && !block.is_empty())
    else {
        let example = match drawn {
            true => "random { train.optimizer.lr = log_uniform(1e-4, 1e-1) }",
            false => "grid { train.optimizer.lr = [1e-4, 1e-3] }",
        };
        return reader.expected(&format!("`{word} {{ … }}`, as `{example}`"), line.span);
    };
    let mut ranges: Vec<Range> = vec![];
    let mut failed = false;
    for line in block {
        let Some(range) = range(reader, line, drawn) else {
            failed = true;
            continue;
        };
        if let Some((earlier, message)) = ranges.iter().find_map(|r| Some((r, replaces(&range.path, &r.path)?))) {
            let diagnostic = Diagnostic::new(Code::DuplicateSetting, range.span, message);
            reader.diagnostics.push(diagnostic.note(earlier.span, "given here"));
            failed = true;
        }
        ranges.push(range);
    }
    (!failed).then_some(ranges)
}

/// Whether a path leaves nothing of what an earlier one has set: values are set in order.
fn replaces(path: &str, earlier: &str) -> Option<String> {
    const LENGTHS: [&str; 2] = ["train.steps", "train.epochs"];
    if path == earlier {
        return Some(format!("`{path}` is given twice"));
    }
    if LENGTHS.contains(&path) && LENGTHS.contains(&earlier) {
        return Some(format!(
            "a run lasts steps or epochs: `{path}` takes the place of `{earlier}`"
        ));
    }
    let inside = earlier.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    inside.then(|| format!("`{path}` takes the place of the line that `{earlier}` changes: it must come first"))
}

/// `train.optimizer.lr = [1e-4, 1e-3]`.
fn range(reader: &mut Reader<'_, '_>, line: &Setting, drawn: bool) -> Option<Range> {
    let what = match drawn {
        true => "`PATH = [VALUES]` or `PATH = uniform(LOW, HIGH)`, as `train.optimizer.lr = log_uniform(1e-4, 1e-1)`",
        false => "`PATH = [VALUES]`, as `train.optimizer.lr = [1e-4, 1e-3]`",
    };
    let span = match (line.key.first(), line.key.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => return reader.expected(what, line.span),
    };
    let path: Vec<&str> = line.key.iter().map(|k| k.text.as_str()).collect();
    if path.first() == Some(&"tune") {
        return reader.expected("a path of the spec that is tried, not of `tune` itself", span);
    }
    let value = match &line.groups[..] {
        [group] if line.assigned && group.len() == 1 && line.on.is_empty() && line.block.is_none() => &group[0],
        _ => return reader.expected(what, line.span),
    };
    let values = match &*value.kind {
        ExprKind::List(list) if list.is_empty() => return reader.expected("at least one value", value.span),
        ExprKind::List(list) => Values::List(list.clone()),
        ExprKind::Call { callee, arguments } if drawn => interval(reader, callee, arguments, value.span)?,
        ExprKind::Call { .. } => {
            let message = "a grid has a list of values; what is drawn stands in `random { … }`";
            let diagnostic = Diagnostic::new(Code::WrongSetting, value.span, message);
            reader
                .diagnostics
                .push(diagnostic.help("write `[…]`, or `random` for `grid` and `trials 20` below"));
            return None;
        }
        _ => return reader.expected("a list of values, as `[1e-4, 1e-3]`", value.span),
    };
    Some(Range {
        path: path.join("."),
        span,
        values,
    })
}

/// Whether equal factors are equally likely, and whether only whole numbers are drawn.
const DISTRIBUTIONS: &[(&str, (bool, bool))] = &[
    ("uniform", (false, false)),
    ("log_uniform", (true, false)),
    ("whole", (false, true)),
    ("log_whole", (true, true)),
];

/// `log_uniform(1e-4, 1e-1)`.
fn interval(reader: &mut Reader<'_, '_>, callee: &Expr, arguments: &[Argument], span: Span) -> Option<Values> {
    let name = match &*callee.kind {
        ExprKind::Name(name) => name.as_str(),
        _ => "",
    };
    let Some((_, (logarithmic, whole))) = DISTRIBUTIONS.iter().find(|d| d.0 == name) else {
        let names: Vec<&str> = DISTRIBUTIONS.iter().map(|d| d.0).collect();
        let message = format!("`{name}` draws no numbers");
        let help = suggest::did_you_mean(name, names.iter().copied()).unwrap_or_else(|| {
            format!(
                "numbers are drawn by {}; values to choose from stand in `[…]`",
                names.join(", ")
            )
        });
        reader
            .diagnostics
            .push(Diagnostic::new(Code::UnknownName, callee.span, message).help(help));
        return None;
    };
    let [
        Argument { name: None, value: low },
        Argument {
            name: None,
            value: high,
        },
    ] = arguments
    else {
        return reader.expected(&format!("the least and the greatest value, as `{name}(1, 10)`"), span);
    };
    let mut number = |item: &Expr| -> Option<f64> {
        let value = match literal(item) {
            Some((value, None)) => Some(value.real()),
            Some((value, Some(Unit::Percent))) => Some(value.real() / 100.0),
            _ => None,
        };
        let what = match (whole, logarithmic) {
            (true, true) => "a whole number above 0",
            (true, false) => "a whole number",
            (false, true) => "a number above 0",
            (false, false) => "a number",
        };
        let fits = |v: &f64| v.abs() <= 1e15 && (!whole || v.fract() == 0.0) && (!logarithmic || *v > 0.0);
        match value.filter(fits) {
            Some(value) => Some(value),
            None => reader.expected(what, item.span),
        }
    };
    let (low_value, high_value) = (number(low)?, number(high)?);
    if low_value >= high_value {
        let message = "the least value comes first, and the greatest is above it";
        let diagnostic = Diagnostic::new(Code::WrongSetting, low.span.to(high.span), message);
        reader.diagnostics.push(diagnostic);
        return None;
    }
    Some(Values::Interval {
        low: low_value,
        high: high_value,
        logarithmic: *logarithmic,
        whole: *whole,
        span,
    })
}

/// What the other sections say, as far as it concerns `tune`.
pub struct Others<'a> {
    /// The data section.
    pub data: &'a DataSettings,
    /// The train section.
    pub train: &'a TrainSettings,
    /// What a run reports.
    pub metrics: &'a [MetricDeclaration],
    /// Whether it also reports what running means of its weights give.
    pub averaged: bool,
    /// All definitions.
    pub library: &'a Library<'a>,
}

/// Reports what does not fit the other sections.
pub fn fit(tune: &TuneSettings, others: &Others<'_>, diagnostics: &mut Diagnostics) {
    let watched = unwatchable(
        &tune.best,
        others.metrics,
        others.averaged,
        others.library,
        "tell which setting is best",
    );
    watched.into_iter().for_each(|diagnostic| diagnostics.push(diagnostic));
    if let Some(halving) = &tune.halving
        && share(halving, others.train).is_none()
    {
        let message = match others.train.duration {
            Interval::Steps(steps) => format!("expected a share of the run, as `10%`, or fewer than its {steps} steps"),
            Interval::Epochs(epochs) => {
                format!("expected a share of the run, as `10%`, or fewer than its {epochs} epochs")
            }
            Interval::Tokens(tokens) => {
                format!("expected a share of the run, as `10%`, or fewer than its {tokens} tokens")
            }
        };
        diagnostics.push(Diagnostic::new(Code::WrongSetting, halving.span, message));
    }
    let Some(folds) = &tune.folds else {
        if others.data.split.validation == 0.0 && others.data.split.fold.is_none() && !may_have_own(others.data) {
            let message = "there is no validation part to compare settings by";
            let help = "give it a share in `split`, as `split train 80%, validation 20%`, or write `folds 5` in `tune`";
            diagnostics.push(Diagnostic::new(Code::MissingSetting, tune.span, message).help(help));
        }
        return;
    };
    let ordered = match &others.data.source {
        Source::Text { .. } => "text",
        Source::Series(_) => "series",
        _ => "",
    };
    if !ordered.is_empty() {
        let message = format!("a {ordered} has no folds: what is trained on would overlap what is evaluated");
        let help = format!(
            "leave `folds` out, and the validation part behind the training part decides; folds are for `{}`",
            FOLDED.join("`, `")
        );
        diagnostics.push(Diagnostic::new(Code::WrongSetting, folds.span, message).help(help));
    } else if let Some(fold) = &others.data.split.fold {
        let message = "the data are one fold already, so `tune` can't go through all of them";
        let diagnostic = Diagnostic::new(Code::DuplicateSetting, folds.span, message);
        diagnostics.push(diagnostic.note(fold.span, "this fold").help("remove one of the two"));
    }
}

/// Folders of pictures may have a validation part of their own.
fn may_have_own(data: &DataSettings) -> bool {
    matches!(data.source, Source::Images(_))
}

/// The least share of a run that decides; none if that is not less than the whole, or in another unit.
pub fn share(halving: &Halving, train: &TrainSettings) -> Option<f64> {
    let share = match (halving.from, train.duration) {
        (Budget::Share(share), _) => share,
        (Budget::Length(Interval::Steps(from)), Interval::Steps(all))
        | (Budget::Length(Interval::Tokens(from)), Interval::Tokens(all)) => from as f64 / all as f64,
        (Budget::Length(Interval::Epochs(from)), Interval::Epochs(all)) => from / all,
        _ => return None,
    };
    (share < 1.0).then_some(share)
}
