//! The loop: batches through the compiled step, with evaluation, checkpoints and a log around it.
//! It decides when something happens; what a step computes was decided by the compiler. A step allocates nothing.

mod best;
mod schedule;
mod task;

pub use schedule::{Schedule, step_variables};
pub use task::{Outcome, Places, StepReport, Summary, Task, Watch};

use super::ahead::Batches;
use super::checkpoint::{self, Bits, Progress, Scale};
use super::evaluate::{Scores, evaluate};
use super::metrics_log::MetricsLog;
use super::update::{Moment, Updated, Updater};
use super::{Machine, Stop, TrainError};
use crate::data::Batch;
use crate::data::random::Stream;
use crate::ir::experiment::LossScale;
use crate::ir::graph::OutputKind;
use crate::ir::number::StepVariable;
use crate::ir::plan::OutputSlot;
use std::time::{Duration, Instant};

/// Skipped steps in a row after which there is no hope.
const SKIPPED_MOST: u32 = 40;

/// Trains from where `progress` stands; the machine's memory holds the values of that moment.
pub fn run(
    task: &Task,
    machine: &mut dyn Machine,
    places: &Places,
    progress: Progress,
    stop: &Stop,
    watch: &mut dyn Watch,
) -> Result<Outcome, TrainError> {
    let log = MetricsLog::open(&places.metrics, progress.metrics_bytes)?;
    let mut training = Training::new(task, machine, places, progress, log)?;
    if checkpoint::list(&places.checkpoints).is_empty() {
        training.save(watch)?;
    }
    let sampler = task.dataset.sampler(task.settings.seed, task.settings.batch)?;
    std::thread::scope(|scope| {
        let steps = (training.progress.step + 1, training.schedule.steps);
        let batches = Batches::new(scope, task.dataset, sampler, task.settings.batch, steps);
        training.run(batches, stop, watch)
    })
}

/// Exchanges parameters and their running means.
fn exchange(machine: &mut dyn Machine, averages: &[(usize, usize)]) {
    for &(param, mean) in averages {
        let values = machine.persistent(param).to_vec();
        let means = machine.persistent(mean).to_vec();
        machine.persistent_mut(param).copy_from_slice(&means);
        machine.persistent_mut(mean).copy_from_slice(&values);
    }
}

/// Where an output lies and the tag it is logged under.
struct Logged {
    output: usize,
    tag: String,
}

struct Training<'a> {
    task: &'a Task<'a>,
    machine: &'a mut dyn Machine,
    places: &'a Places,
    progress: Progress,
    log: MetricsLog,
    schedule: Schedule,
    keys: Stream,
    steps_per_epoch: f64,
    /// Slots of parameters and their running means.
    averages: Vec<(usize, usize)>,
    metrics: Vec<Logged>,
    /// Tokens or samples in a step, and the tag of their speed.
    units: (usize, &'static str),
    last_loss: Option<f32>,
    last_scores: Option<Scores>,
    /// Steps done by this process, and the time they took.
    done: u64,
    spent: Duration,
}

impl<'a> Training<'a> {
    fn new(
        task: &'a Task<'a>,
        machine: &'a mut dyn Machine,
        places: &'a Places,
        mut progress: Progress,
        log: MetricsLog,
    ) -> Result<Training<'a>, TrainError> {
        if progress.step == 0 {
            progress.scale.factor = match task.settings.loss_scale {
                LossScale::Static(factor) => factor,
                LossScale::Dynamic => Scale::DYNAMIC_START,
            };
        }
        if progress.kept.is_empty() {
            progress.kept = task.kept.iter().map(|k| Bits::of(k.initial)).collect();
        }
        let outputs = machine.outputs(task.main.program);
        let metric = |(output, slot): (usize, &OutputSlot)| match &slot.kind {
            OutputKind::Metric(name) => Some(Logged {
                output,
                tag: format!("train/{name}"),
            }),
            _ => None,
        };
        let schema = task.dataset.schema();
        let time = schema.sizes.iter().find(|(name, _)| name == "time").map(|(_, n)| *n);
        Ok(Training {
            metrics: outputs.iter().enumerate().filter_map(metric).collect(),
            units: match time {
                Some(time) => (time * task.settings.batch, "tokens_per_s"),
                None => (task.settings.batch, "samples_per_s"),
            },
            schedule: Schedule::new(task.dataset, task.settings, task.validation.is_some())?,
            keys: Stream::new(task.settings.seed, "step"),
            averages: checkpoint::averages(machine),
            steps_per_epoch: task.dataset.steps_per_epoch(task.settings.batch).unwrap_or(0) as f64,
            task,
            machine,
            places,
            progress,
            log,
            last_loss: None,
            last_scores: None,
            done: 0,
            spent: Duration::ZERO,
        })
    }

    /// All steps that are left.
    fn run(mut self, mut batches: Batches, stop: &Stop, watch: &mut dyn Watch) -> Result<Outcome, TrainError> {
        let mut batch = Batch::new(self.task.dataset.schema(), self.task.settings.batch);
        let mut updater = Updater::new(self.machine, self.task.main, self.task.parted, &batch);
        let steps = self.schedule.steps;
        let last = self.task.budget.map_or(steps, |budget| budget.min(steps));
        while self.progress.step < last && !self.out_of_patience() && !self.out_of_time() {
            let step = self.progress.step + 1;
            let begin = Instant::now();
            batches.fill(step, &mut batch)?;
            self.step(step, begin, (&mut updater, &batch), watch)?;
            let schedule = self.schedule;
            let evaluates = schedule.evaluates(step) || schedule.validates && self.out_of_time();
            let improved = evaluates && self.evaluate(watch)?;
            let signal = stop.requested();
            let ended = step == last || self.out_of_patience() || self.out_of_time();
            if improved || schedule.saves(step) || ended || signal.is_some() {
                self.save(watch)?;
            }
            if let (Some(signal), false) = (signal, ended) {
                return Ok(Outcome::Interrupted { signal, step });
            }
        }
        let step = self.progress.step;
        if step < steps && !self.out_of_patience() && !self.out_of_time() {
            let scores = self.final_scores(step)?;
            return Ok(Outcome::Rested { step, scores });
        }
        let restored = self.restore_best()?;
        let scores = match self.task.budget {
            Some(_) => self.final_scores(restored.unwrap_or(step))?,
            None => None,
        };
        Ok(Outcome::Finished(self.summary(restored, scores)))
    }

    fn out_of_time(&self) -> bool {
        let minutes = self.task.settings.minutes;
        minutes.is_some_and(|minutes| self.progress.seconds >= minutes * 60.0)
    }

    /// One update and its line in the log.
    fn step(
        &mut self,
        step: u64,
        begin: Instant,
        (updater, batch): (&mut Updater, &Batch),
        watch: &mut dyn Watch,
    ) -> Result<(), TrainError> {
        let (rate, updated) = {
            // A step that was skipped is none for optimizers and schedules.
            let scale = self.progress.scale;
            let updates = step_variables(step - scale.skipped, self.steps_per_epoch, &self.progress.kept);
            let variable = |variable| match variable {
                StepVariable::LossScale => scale.factor,
                other => updates(other),
            };
            let moment = Moment::new(step, &variable, &self.keys);
            let updated = updater.run(self.machine, batch, &moment);
            (self.task.rate.map(|rate| rate.at(&variable)), updated)
        };
        let Updated { loss, skipped } = updated;
        let elapsed = begin.elapsed();
        self.spent += elapsed;
        self.progress.seconds += elapsed.as_secs_f64();
        self.done += 1;
        let speed = self.units.0 as f64 / elapsed.as_secs_f64();
        let gradient_norm = updater.gradient_norm(self.machine).filter(|_| !skipped);
        self.log.begin(step).single("train/loss", loss);
        for metric in &self.metrics {
            self.log.single(
                &metric.tag,
                self.machine.output(self.task.main.program, metric.output)[0],
            );
        }
        if let Some(rate) = rate {
            self.log.double("lr", rate);
        }
        if let Some(norm) = gradient_norm {
            self.log.single("grad_norm", norm);
        }
        if self.task.settings.skips() {
            let Scale { factor, skipped, .. } = self.progress.scale;
            self.log.double("loss_scale", factor).double("skipped", skipped as f64);
        }
        self.log.double(self.units.1, speed.round()).end()?;
        for (name, value) in [("loss", Some(loss)), ("norm of the gradient", gradient_norm)] {
            if let Some(value) = value
                && !value.is_finite()
            {
                return Err(self.diverged(step, format!("the {name} is {value}")));
            }
        }
        let dynamic = self.task.settings.loss_scale == LossScale::Dynamic;
        self.progress.scale.stepped(skipped, dynamic);
        if self.progress.scale.in_a_row == SKIPPED_MOST {
            let what = format!("the gradient was not finite in {SKIPPED_MOST} steps in a row");
            return Err(self.diverged(step, what));
        }
        self.progress.step = step;
        self.last_loss = Some(loss);
        watch.stepped(&StepReport {
            step,
            steps: self.schedule.steps,
            loss,
            speed: self.done as f64 * self.units.0 as f64 / self.spent.as_secs_f64(),
        });
        Ok(())
    }

    /// The validation part's scores with the weights in memory, which are those of a step.
    fn scores(&mut self, step: u64) -> Result<Option<Scores>, TrainError> {
        let Some(validation) = &self.task.validation else {
            return Ok(None);
        };
        let variable = step_variables(step, self.steps_per_epoch, &self.progress.kept);
        let mut scores = evaluate(validation, self.task.dataset, self.machine, &variable)?;
        if !self.averages.is_empty() {
            exchange(self.machine, &self.averages);
            let averaged = evaluate(validation, self.task.dataset, self.machine, &variable);
            exchange(self.machine, &self.averages);
            let averaged = averaged?;
            scores.metrics.push(("ema_loss".into(), averaged.loss));
            let named = averaged
                .metrics
                .into_iter()
                .map(|(name, value)| (format!("ema_{name}"), value));
            scores.metrics.extend(named);
        }
        Ok(Some(scores))
    }

    /// What a search compares: the scores of the weights that are left.
    fn final_scores(&mut self, step: u64) -> Result<Option<Scores>, TrainError> {
        let scores = self.scores(step)?;
        match scores.as_ref().filter(|s| !s.loss.is_finite()) {
            Some(Scores { loss, .. }) => Err(self.diverged(step, format!("the validation loss is {loss}"))),
            None => Ok(scores),
        }
    }

    /// Evaluates the validation part; tells whether it is the best so far.
    fn evaluate(&mut self, watch: &mut dyn Watch) -> Result<bool, TrainError> {
        let (step, begin) = (self.progress.step, Instant::now());
        let Some(scores) = self.scores(step)? else {
            return Ok(false);
        };
        self.progress.seconds += begin.elapsed().as_secs_f64();
        self.log.begin(step).double("val/loss", scores.loss);
        for (name, value) in &scores.metrics {
            self.log.double(&format!("val/{name}"), *value);
        }
        self.log.end()?;
        if !scores.loss.is_finite() {
            return Err(self.diverged(step, format!("the validation loss is {}", scores.loss)));
        }
        watch.evaluated(step, &scores);
        let improved = self.rate_evaluation(&scores);
        self.last_scores = Some(scores);
        Ok(improved)
    }

    /// Writes a checkpoint, unless a value in memory is no number.
    fn save(&mut self, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let memory = &self.task.memory;
        for &slot in memory.model.iter().chain(&memory.optimizer) {
            if let Some(value) = self.machine.persistent(slot).iter().find(|v| !v.is_finite()) {
                let what = format!(
                    "`{}` has an element that is {value}",
                    self.machine.layout().slots[slot].name
                );
                return Err(self.diverged(self.progress.step, what));
            }
        }
        self.progress.metrics_bytes = self.log.sync()?;
        let folder = &self.places.checkpoints;
        let path = checkpoint::save(folder, &self.progress, self.machine, memory)?;
        let best = self.progress.best.as_ref().map(|b| b.step);
        checkpoint::prune(folder, self.task.settings.keep.max(1), best)?;
        watch.saved(self.progress.step, &path);
        Ok(())
    }

    fn diverged(&mut self, step: u64, what: String) -> TrainError {
        // The log's last line shows what happened; if it can't be written, the divergence is still the news.
        let _ = self.log.sync();
        let last_good = checkpoint::list(&self.places.checkpoints).pop();
        TrainError::Diverged {
            what,
            step,
            last_good: last_good.map_or_else(|| self.places.checkpoints.clone(), |c| c.1),
        }
    }

    fn summary(self, restored: Option<u64>, scores: Option<Scores>) -> Summary {
        Summary {
            restored,
            scores,
            skipped: self.progress.scale.skipped,
            out_of_patience: self.out_of_patience(),
            step: self.progress.step,
            train_loss: self.last_loss,
            validation: self.last_scores,
            early: self.progress.step < self.schedule.steps,
            best: self.progress.best,
            seconds: self.spent.as_secs_f64(),
        }
    }
}
