//! Which evaluation was the best, when patience ends, and the best one's weights taken back.

use super::super::TrainError;
use super::super::checkpoint::{self, Best};
use super::super::evaluate::Scores;
use super::Training;
use super::schedule::kept_behind;
use crate::ir::model::Better;

impl Training<'_> {
    /// With early stopping, the weights at the end are the best evaluation's.
    pub(super) fn restore_best(&mut self) -> Result<Option<u64>, TrainError> {
        let best = self.progress.best.as_ref().map(|b| b.step);
        let (Some(step), Some(_)) = (best, &self.task.settings.early_stop) else {
            return Ok(None);
        };
        if step == self.progress.step {
            return Ok(None);
        }
        let weights = checkpoint::of_step(&self.places.checkpoints, step)?;
        let averages = self.averages.iter().map(|a| a.1);
        let slots: Vec<usize> = self.task.memory.model.iter().copied().chain(averages).collect();
        checkpoint::restore(
            &weights,
            self.machine,
            &slots,
            &format!("the checkpoint of step {step}"),
        )?;
        Ok(Some(step))
    }

    pub(super) fn rate_evaluation(&mut self, scores: &Scores) -> bool {
        let early_stop = self.task.settings.early_stop.as_ref();
        let metric = early_stop.map_or("loss", |e| e.metric.as_str());
        let change = early_stop.map_or(0.0, |e| e.minimum_change);
        let value = scores.get(metric).unwrap_or(scores.loss);
        // The running means of the weights have the direction of the metric itself.
        let plain = metric.strip_prefix("ema_").unwrap_or(metric);
        let declared = self.task.metrics.iter().find(|m| m.name == plain);
        // What stops a training is checked to have a direction; without `early_stop` it is the loss.
        let sign = match declared.and_then(|m| m.better) {
            Some(Better::Higher) => -1.0,
            Some(Better::Lower) | None => 1.0,
        };
        self.progress.kept = kept_behind(self.task.kept, &self.progress.kept, sign * value);
        let improved = match &self.progress.best {
            // A metric that nothing defines, as an area without positives, is never an improvement.
            _ if value.is_nan() => false,
            Some(best) => sign * value < sign * best.value - change,
            None => true,
        };
        if improved {
            self.progress.stale = 0;
            self.progress.best = Some(Best {
                metric: metric.to_string(),
                value,
                step: self.progress.step,
            });
        } else {
            self.progress.stale += 1;
        }
        improved
    }

    pub(super) fn out_of_patience(&self) -> bool {
        let early_stop = self.task.settings.early_stop.as_ref();
        early_stop.is_some_and(|e| self.progress.stale >= e.patience.max(1))
    }
}
