//! How a training goes, on standard error: a bar on a terminal, plain lines otherwise.

use super::streams;
use crate::train::evaluate::Scores;
use crate::train::run::{StepReport, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Without a bar, how often a step is told.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Tells about steps, evaluations and checkpoints.
pub struct Progress {
    bar: Option<ProgressBar>,
    told: Option<Instant>,
    units: &'static str,
    quiet: bool,
    /// Whether this is one of many trainings, of which only the bar and, rarely, a step is told.
    brief: bool,
}

impl Progress {
    /// For a training of so many steps that starts behind `done`; `units` are what speed counts.
    pub fn new(steps: u64, done: u64, units: &'static str, quiet: bool) -> Progress {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let bar = (std::io::stderr().is_terminal() && !dumb && !quiet).then(|| {
            let bar = ProgressBar::new(steps).with_position(done).with_elapsed(Duration::ZERO);
            let style = "{bar:24} {pos}/{len}  loss {msg}  {eta} left";
            bar.set_style(ProgressStyle::with_template(style).expect("the template is a constant"));
            bar
        });
        Progress {
            bar,
            told: None,
            units,
            quiet,
            brief: false,
        }
    }

    /// For one of many trainings.
    pub fn of_many(steps: u64, done: u64, units: &'static str, quiet: bool) -> Progress {
        Progress {
            brief: true,
            told: Some(Instant::now()),
            ..Progress::new(steps, done, units, quiet)
        }
    }

    /// Says something without disturbing the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.quiet => {}
            None => streams::say(line),
        }
    }

    /// Ends the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `loss 1.9041 · perplexity 6.71`.
pub fn scores_text(scores: &Scores) -> String {
    let metrics = scores
        .metrics
        .iter()
        .map(|(name, value)| format!(" · {name} {value:.4}"));
    format!("loss {:.4}{}", scores.loss, metrics.collect::<String>())
}

impl Watch for Progress {
    fn stepped(&mut self, report: &StepReport) {
        if let Some(bar) = &self.bar {
            bar.set_position(report.step);
            // The message is formed as often as the bar is drawn, not each step.
            if self.told.is_none_or(|t| t.elapsed() > Duration::from_millis(100)) {
                self.told = Some(Instant::now());
                bar.set_message(format!("{:.4}  {:.0} {}/s", report.loss, report.speed, self.units));
            }
            return;
        }
        let last = report.step == report.steps && !self.brief;
        let due = self.told.is_none_or(|t| t.elapsed() >= TOLD_EVERY) || last;
        if due && !self.quiet {
            self.told = Some(Instant::now());
            streams::say(format_args!(
                "step {}/{}  loss {:.4}  {:.0} {}/s",
                report.step, report.steps, report.loss, report.speed, self.units
            ));
        }
    }

    fn evaluated(&mut self, step: u64, scores: &Scores) {
        if !self.brief {
            self.say(&format!("step {step}: validation {}", scores_text(scores)));
        }
    }

    fn saved(&mut self, _: u64, _: &Path) {}
}
