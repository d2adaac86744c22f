//! Ranges of values → trials: every combination of a grid, or drawn ones. A draw depends on (seed, trial, path) alone.

use crate::data::random::Stream;
use crate::ir::ast::{Expr, ExprKind, UnaryOperator};
use crate::ir::tune::{Range, Search, Values};
use crate::overrides::Value;
use crate::text::{Sources, Span};

/// Draws for a trial that is none of the earlier ones; what a few lists hold may be used up.
const DRAWS: u64 = 64;

/// One setting of a search.
#[derive(Clone, Debug)]
pub struct Trial {
    /// From 1.
    pub number: usize,
    /// One for each range, in their order.
    pub values: Vec<TrialValue>,
}

/// What a path is set to.
#[derive(Clone, Debug)]
pub struct TrialValue {
    /// As `--set` takes it.
    pub path: String,
    /// The value, likewise.
    pub text: String,
    /// The same with its place in the spec.
    pub value: Value,
}

impl Trial {
    /// The same as arguments of the command line.
    pub fn overrides(&self) -> impl Iterator<Item = (String, String)> {
        self.values.iter().map(|v| (v.path.clone(), v.text.clone()))
    }

    /// `train.optimizer.lr=1e-3, model.width=64`; nothing if the spec is tried as it is.
    pub fn words(&self) -> String {
        let words: Vec<String> = self.values.iter().map(|v| format!("{}={}", v.path, v.text)).collect();
        words.join(", ")
    }

    /// What is said of a mistake that this trial makes of the spec.
    pub fn help(&self) -> Option<String> {
        let words = self.words();
        (!words.is_empty()).then(|| format!("`tune` tries it, as trial {} with {words}", self.number))
    }
}

/// All trials of a search, in the order in which they are made.
pub fn trials(search: &Search, seed: u64, sources: &Sources) -> Vec<Trial> {
    match search {
        Search::Grid(ranges) => grid(ranges, sources),
        Search::Random { ranges, trials } => drawn(ranges, *trials, seed, sources),
    }
}

/// Every combination; the last range changes fastest.
fn grid(ranges: &[Range], sources: &Sources) -> Vec<Trial> {
    let choices: Vec<&[Expr]> = ranges
        .iter()
        .map(|range| match &range.values {
            Values::List(list) => list.as_slice(),
            Values::Interval { .. } => unreachable!("a grid has lists"),
        })
        .collect();
    let count = choices.iter().map(|list| list.len()).product();
    let trial = |number: usize| {
        let mut rest = number;
        let mut values: Vec<TrialValue> = ranges
            .iter()
            .zip(&choices)
            .rev()
            .map(|(range, list)| {
                let chosen = &list[rest % list.len()];
                rest /= list.len();
                listed(range, chosen, sources)
            })
            .collect();
        values.reverse();
        Trial {
            number: number + 1,
            values,
        }
    };
    (0..count).map(trial).collect()
}

/// So many different ones, or as many as there are.
fn drawn(ranges: &[Range], count: usize, seed: u64, sources: &Sources) -> Vec<Trial> {
    let stream = Stream::new(seed, "tune");
    let mut trials: Vec<Trial> = vec![];
    let mut seen = std::collections::HashSet::new();
    for draw in 0..DRAWS * count as u64 {
        if trials.len() == count {
            break;
        }
        let of_draw = stream.of(draw);
        let value = |(at, range): (u64, &Range)| match &range.values {
            Values::List(list) => listed(range, &list[of_draw.below(at, list.len())], sources),
            Values::Interval {
                low,
                high,
                logarithmic,
                whole,
                span,
            } => {
                let u = of_draw.uniform_pair(at).0;
                let value = between((*low, *high), (*logarithmic, *whole), u);
                number(range, value, *whole, *span)
            }
        };
        let trial = Trial {
            number: trials.len() + 1,
            values: (0..).zip(ranges).map(value).collect(),
        };
        if seen.insert(trial.words()) {
            trials.push(trial);
        }
    }
    trials
}

/// Where `u` in [0, 1) lies between two values.
fn between((low, high): (f64, f64), (logarithmic, whole): (bool, bool), u: f64) -> f64 {
    // Each whole number has the room of one unit, those at the ends as well.
    let (from, to) = match whole {
        true => (low - 0.5, high + 0.5),
        false => (low, high),
    };
    let value = match logarithmic {
        true => libm::exp(libm::log(from) + u * (libm::log(to) - libm::log(from))),
        false => from + u * (to - from),
    };
    let value = if whole { libm::round(value) } else { value };
    value.clamp(low, high)
}

fn listed(range: &Range, value: &Expr, sources: &Sources) -> TrialValue {
    TrialValue {
        path: range.path.clone(),
        text: one_line(sources.text(value.span)),
        value: Value::Items(vec![value.clone()], range.span),
    }
}

/// A drawn number; it is what its text says, so that four digits are all that it has.
fn number(range: &Range, value: f64, whole: bool, span: Span) -> TrialValue {
    let text = written(value, whole);
    let expr = |kind| Expr {
        kind: Box::new(kind),
        span,
    };
    let digits = expr(ExprKind::Number {
        text: text.trim_start_matches('-').into(),
        unit: None,
    });
    let item = match text.starts_with('-') {
        true => expr(ExprKind::Unary {
            operator: UnaryOperator::Negate,
            operand: digits,
        }),
        false => digits,
    };
    TrialValue {
        path: range.path.clone(),
        text,
        value: Value::Items(vec![item], range.span),
    }
}

/// Four significant digits, as the language writes numbers.
pub(super) fn written(value: f64, whole: bool) -> String {
    if whole {
        return format!("{value}");
    }
    let rounded: f64 = format!("{value:.3e}").parse().expect("a number was written");
    match rounded.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e6).contains(&size) => format!("{rounded}"),
        _ => format!("{rounded:e}"),
    }
}

/// A piece of the spec as an argument: without comments, its lines joined.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let (mut quoted, mut escaped, mut comment) = (false, false, false);
    for c in text.chars() {
        match c {
            '\n' => comment = false,
            _ if comment => continue,
            '#' if !quoted => {
                comment = true;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        let space = c.is_whitespace() && !quoted;
        match space {
            true if line.ends_with(' ') || line.is_empty() => {}
            true => line.push(' '),
            false => line.push(c),
        }
    }
    line.trim_end().into()
}
