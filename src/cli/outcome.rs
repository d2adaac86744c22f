//! How a training ended: the final weights, `result.json`, and the words of the report.

use super::failure::Failure;
use super::progress::scores_text;
use super::{report, streams};
use crate::ir::experiment::TrainSettings;
use crate::train::checkpoint::{self, Best, Memory};
use crate::train::fit::{self, Point, Verdict};
use crate::train::run::Summary;
use crate::train::run_folder::{RESULT, RunFolder, RunResult};
use crate::train::{Machine, TrainError};
use serde_json::json;
use std::fmt::Write;

/// What is reported at the end of a run.
pub struct Ending<'a> {
    /// The last numbers.
    pub summary: &'a Summary,
    /// The `train` section.
    pub settings: &'a TrainSettings,
    /// The last step that the spec asks for.
    pub steps: u64,
    /// Training and validation at each evaluation.
    pub points: Vec<Point>,
    /// What they say.
    pub verdict: Verdict,
    /// What penalties on weights have reached, if there are any.
    pub sparsity: Option<Sparsity>,
}

/// Keeps the weights of the run, which the training left in memory, and how it ended.
pub fn keep_weights(
    machine: &mut dyn Machine,
    memory: &Memory,
    folder: &RunFolder,
    summary: &Summary,
) -> Result<(), TrainError> {
    checkpoint::write_slots(&folder.model(), machine, &memory.model)?;
    if !checkpoint::averages(machine).is_empty() {
        checkpoint::write_averaged(&folder.averaged(), machine, &memory.model)?;
    }
    let result = RunResult {
        steps: summary.step,
        stopped_early: summary.early,
        best: summary.best.clone(),
        weights_step: summary.restored.unwrap_or(summary.step),
    };
    folder.write_json(RESULT, &result)
}

/// Tells the result on standard output.
pub fn tell(ending: &Ending, folder: &RunFolder, json: bool) -> Result<(), Failure> {
    match json {
        true => streams::result_line(as_json(ending, folder)),
        false => streams::result(as_text(ending, folder)),
    }
}

fn as_json(ending: &Ending, folder: &RunFolder) -> serde_json::Value {
    let summary = ending.summary;
    json!({
        "run": folder.path(),
        "step": summary.step,
        "seconds": summary.seconds,
        "train_loss": summary.train_loss,
        "validation_loss": summary.validation.as_ref().map(|s| s.loss),
        "validation": summary.validation.as_ref().map(report::metrics),
        "best": summary.best,
        "stopped_early": summary.early,
        "restored": summary.restored,
        "skipped": summary.skipped,
        "sparsity": ending.sparsity,
        "curves": ending.points,
        "fit": ending.verdict,
    })
}

fn as_text(ending: &Ending, folder: &RunFolder) -> String {
    let summary = ending.summary;
    let mut text = String::new();
    let mut line = |name: &str, content: String| {
        writeln!(text, "{name:11} {content}").expect("a String takes everything");
    };
    line("run", folder.path().display().to_string());
    line("steps", format!("{} in {:.1} s", summary.step, summary.seconds));
    if let Some(reason) = stopped(ending) {
        line("stopped", reason);
    }
    if summary.skipped > 0 {
        let skipped = format!("{} steps, whose gradient was not finite in 16 bits", summary.skipped);
        line("skipped", skipped);
    }
    if let Some(loss) = summary.train_loss {
        line("training", format!("loss {loss:.4} (last batch)"));
    }
    if let Some(scores) = &summary.validation {
        line("validation", scores_text(scores));
    }
    if let Some(Best { metric, value, step }) = &summary.best {
        let path = checkpoint::path(&folder.checkpoints(), *step);
        line(
            "best",
            format!("{metric} {value:.4} at step {step}, {}", path.display()),
        );
    }
    if let Some(Sparsity { weights, small }) = &ending.sparsity {
        let share = 100.0 * *small as f64 / *weights as f64;
        line(
            "sparsity",
            format!("{share:.1}% of {weights} penalised weights are at most {SMALL_WEIGHT} from 0"),
        );
    }
    let best = summary.restored.map(|step| format!(" (of step {step}, the best)"));
    line(
        "weights",
        format!("{}{}", folder.model().display(), best.unwrap_or_default()),
    );
    line("fit", ending.verdict.text.clone());
    if ending.points.len() > 1 {
        text += "\n";
        text += &fit::table(&ending.points);
    }
    text
}

/// Why a run stopped before its last step.
fn stopped(ending: &Ending) -> Option<String> {
    let summary = ending.summary;
    if !summary.early {
        return None;
    }
    if !summary.out_of_patience {
        let minutes = ending.settings.minutes.unwrap_or_default();
        return Some(format!(
            "at step {} of {}: the time, {minutes} minutes, was used up",
            summary.step, ending.steps
        ));
    }
    let (early_stop, best) = (ending.settings.early_stop.as_ref()?, summary.best.as_ref()?);
    let change = match early_stop.minimum_change {
        0.0 => String::new(),
        change => format!(" by more than {change}"),
    };
    let since = match early_stop.patience {
        1 => "the evaluation since then".to_string(),
        n => format!("{n} evaluations since then"),
    };
    Some(format!(
        "early at step {} of {}: {} was best at step {} ({:.4}), and {since} did not improve it{change}",
        summary.step, ending.steps, best.metric, best.step, best.value
    ))
}

/// What penalties on weights have reached.
#[derive(serde::Serialize)]
pub struct Sparsity {
    /// Weights that a `penalty` line names.
    weights: usize,
    /// Those that are next to nothing.
    small: usize,
}

/// The greatest absolute value of a weight that counts as next to nothing.
const SMALL_WEIGHT: f32 = 1e-3;

impl Sparsity {
    /// Counts the weights of some parameters; none if there are none.
    pub fn of(machine: &dyn Machine, penalised: &[String]) -> Option<Sparsity> {
        let slots = machine.layout().slots.iter().enumerate();
        let of_penalised = slots.filter(|(_, s)| penalised.contains(&s.name));
        let counts = of_penalised.map(|(slot, _)| {
            let values = machine.persistent(slot);
            let small = values.iter().filter(|v| v.abs() <= SMALL_WEIGHT).count();
            (values.len(), small)
        });
        let (weights, small) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (weights > 0).then_some(Sparsity { weights, small })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::experiment::{EarlyStop, Interval, LossScale};
    use crate::text::Span;
    use crate::train::evaluate::Scores;

    #[test]
    fn an_early_stop_is_told_with_its_reason() {
        let settings = TrainSettings {
            batch: 8,
            batch_span: None,
            parts: 1,
            sharpness: None,
            precision: None,
            loss_scale: LossScale::Static(1.0),
            minutes: None,
            duration: Interval::Steps(1000),
            evaluate_every: Some(Interval::Steps(100)),
            checkpoint_every: None,
            keep: 3,
            seed: 1,
            early_stop: Some(EarlyStop {
                metric: "loss".into(),
                patience: 2,
                minimum_change: 0.01,
            }),
            allowed: vec![],
            span: Span::NOWHERE,
        };
        let points = [(100, 1.0, 1.1), (200, 0.8, 0.9), (300, 0.6, 1.0), (400, 0.4, 1.2)];
        let points = points.map(|(step, train, validation)| Point {
            step,
            train,
            validation,
        });
        let summary = Summary {
            step: 400,
            train_loss: Some(0.4),
            validation: Some(Scores {
                loss: 1.2,
                ..Scores::default()
            }),
            scores: None,
            best: Some(Best {
                metric: "loss".into(),
                value: 0.9,
                step: 200,
            }),
            early: true,
            out_of_patience: true,
            restored: Some(200),
            skipped: 0,
            seconds: 2.0,
        };
        let ending = Ending {
            summary: &summary,
            settings: &settings,
            steps: 1000,
            verdict: fit::verdict(&points),
            points: points.to_vec(),
            sparsity: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let text = as_text(&ending, &RunFolder::create(&path).unwrap());
        insta::assert_snapshot!(text.replace(&path.display().to_string(), "RUN"), @r"
        run         RUN
        steps       400 in 2.0 s
        stopped     early at step 400 of 1000: loss was best at step 200 (0.9000), and 2 evaluations since then did not improve it by more than 0.01
        training    loss 0.4000 (last batch)
        validation  loss 1.2000
        best        loss 0.9000 at step 200, RUN/ckpt/step-000200
        weights     RUN/model.safetensors (of step 200, the best)
        fit         the validation loss was lowest at step 200 (0.9000) and has risen to 1.2000 while the training loss fell from 0.8000 to 0.4000: overfitting; stop earlier (`early_stop loss patience 3`), or add data, dropout or weight decay

            step    training  validation
             100      1.0000      1.1000
             200      0.8000      0.9000  lowest
             300      0.6000      1.0000
             400      0.4000      1.2000
        ");
    }
}
