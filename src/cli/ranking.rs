//! How the settings of a search stand, as a table, as JSON, and the best of them as a command to paste.

use crate::ir::model::Better;
use crate::tune::{Plan, Standing, Trial};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;

/// Rows of the table; `result.json` has all.
const ROWS: usize = 40;

/// What the words of a search are made of.
pub struct Ranking<'a> {
    /// What is tried.
    pub plan: &'a Plan,
    /// The spec's path as given.
    pub spec: &'a Path,
    /// What all trials were asked for.
    pub overrides: &'a [(String, String)],
}

impl Ranking<'_> {
    /// `6 settings on 5 folds, best by accuracy`.
    pub fn intent(&self) -> String {
        let plan = self.plan;
        let mut text = match plan.trials.len() {
            1 => "1 setting".to_string(),
            n => format!("{n} settings"),
        };
        if let Some(folds) = &plan.folds {
            text += &format!(" on {} folds", folds.count);
        }
        if !plan.seeds.is_empty() {
            text += &format!(" with {} seeds", plan.seeds.len());
        }
        if plan.rounds.len() > 1 {
            let rounds = plan.rounds.iter().enumerate();
            let rounds: Vec<String> = rounds
                .map(|(round, share)| format!("{} for {:.0}%", plan.trials_of(round), 100.0 * share))
                .collect();
            text += &format!(" in rounds ({})", rounds.join(", "));
        }
        let better = match plan.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        text + &format!(", by {} ({better} is better)", plan.best)
    }

    fn trial(&self, number: usize) -> &Trial {
        &self.plan.trials[number - 1]
    }

    /// The command that trains with a trial's values.
    pub fn command(&self, number: usize) -> String {
        let mut command = format!("mspec train {}", quoted(&self.spec.display().to_string()));
        for (path, value) in self.overrides.iter().cloned().chain(self.trial(number).overrides()) {
            // What only the search knows is of no use for a training.
            if !path.starts_with("tune.") {
                write!(command, " --set {}", quoted(&format!("{path}={value}"))).expect("a String takes everything");
            }
        }
        command
    }

    /// Everything that the table says, and each training's value.
    pub fn as_json(&self, standings: &[Standing]) -> Value {
        let row = |standing: &Standing| {
            let values = &self.trial(standing.trial).values;
            let values: Map<String, Value> = values.iter().map(|v| (v.path.clone(), json!(v.text))).collect();
            json!({
                "trial": standing.trial,
                "values": values,
                "step": standing.step,
                "mean": standing.mean,
                "deviation": standing.deviation,
                "of_each": standing.values,
                "loss": standing.loss,
                "diverged": standing.diverged,
            })
        };
        let best = best(standings).map(|best| json!({ "trial": best.trial, "command": self.command(best.trial) }));
        json!({
            "metric": self.plan.best,
            "better": match self.plan.better {
                Better::Higher => "higher",
                Better::Lower => "lower",
            },
            "settings": standings.iter().map(row).collect::<Vec<_>>(),
            "best": best,
        })
    }

    /// The table, the best first.
    pub fn as_text(&self, standings: &[Standing], folder: &Path) -> String {
        let plan = self.plan;
        let mut head = vec!["rank".to_string(), "trial".into()];
        head.extend(
            plan.trials
                .iter()
                .take(1)
                .flat_map(|t| t.values.iter().map(|v| v.path.clone())),
        );
        let values = head.len() - 2;
        let rounds = plan.rounds.len() > 1;
        if rounds {
            head.push("steps".into());
        }
        head.push(plan.best.clone());
        let loss = plan.best != "loss";
        if loss {
            head.push("loss".into());
        }
        let row = |(rank, standing): (usize, &Standing)| {
            let mut row = vec![(rank + 1).to_string(), standing.trial.to_string()];
            row.extend(self.trial(standing.trial).values.iter().map(|v| v.text.clone()));
            if rounds {
                row.push(standing.step.to_string());
            }
            let deviation = standing.deviation.map(|d| format!(" ± {}", number(Some(d))));
            let deviation = deviation.unwrap_or_default();
            row.push(match standing.diverged {
                Some(_) => "diverged".into(),
                None => number(standing.mean) + &deviation,
            });
            if loss {
                row.push(match standing.diverged {
                    Some(_) => String::new(),
                    None => number(standing.loss),
                });
            }
            row
        };
        let mut rows = vec![head];
        rows.extend(standings.iter().enumerate().take(ROWS).map(row));
        // What was set stands to the left of its column, numbers to the right.
        let mut text = format!("search  {}\ntried   {}\n\n", folder.display(), self.intent());
        text += &columns(&rows, 2..2 + values);
        if standings.len() > ROWS {
            writeln!(
                text,
                "and {} more, in {}",
                standings.len() - ROWS,
                folder.join("result.json").display()
            )
            .expect("a String takes everything");
        }
        if let Some(best) = best(standings) {
            write!(text, "\nbest    {}\n", self.command(best.trial)).expect("a String takes everything");
        }
        text
    }
}

/// The first, unless nothing is known of it.
fn best(standings: &[Standing]) -> Option<&Standing> {
    standings.first().filter(|s| s.mean.is_some())
}

/// Cells below each other, those of some columns to the left.
fn columns(rows: &[Vec<String>], left: std::ops::Range<usize>) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match left.contains(&column) {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    text
}

/// Four decimals, or four digits where these say nothing.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "undefined".into(),
        Some(v) if v != 0.0 && !(1e-3..1e6).contains(&v.abs()) => format!("{v:.3e}"),
        Some(v) => format!("{v:.4}"),
    }
}

/// An argument as a shell reads it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,%@".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
