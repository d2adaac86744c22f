//! When things happen, in steps, and what the numbers of a step are computed from.

use super::super::TrainError;
use super::super::checkpoint::Bits;
use crate::data::Dataset;
use crate::ir::experiment::{Interval, TrainSettings};
use crate::ir::number::{KeptNumber, StepVariable};

/// When things happen, in steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The last step.
    pub steps: u64,
    evaluate_every: Option<u64>,
    save_every: Option<u64>,
    pub(super) validates: bool,
}

impl Schedule {
    /// Brings epochs to steps.
    pub fn new(dataset: &Dataset, settings: &TrainSettings, validates: bool) -> Result<Schedule, TrainError> {
        if settings.early_stop.is_some() && !validates {
            let message = "`early_stop` watches the validation part, and this data has none";
            let error = crate::data::DataError::new(settings.span, message);
            return Err(error
                .help("give it a share in `split`, as `split train 80%, validation 20%`")
                .into());
        }
        let per_epoch = dataset.steps_per_epoch(settings.batch);
        let steps = |interval: Interval| match (interval, per_epoch) {
            (Interval::Steps(n), _) => Ok(n.max(1)),
            (Interval::Tokens(n), _) => {
                let tokens = settings.batch * dataset.schema().tokens();
                Ok(n.div_ceil(tokens as u64).max(1))
            }
            (Interval::Epochs(e), Some(n)) => Ok(((e * n as f64).round() as u64).max(1)),
            (Interval::Epochs(_), None) => Err(TrainError::from(
                crate::data::DataError::new(settings.span, "this data has no epochs: windows are drawn at random")
                    .help("say the duration in steps, as `steps 2000`"),
            )),
        };
        Ok(Schedule {
            steps: steps(settings.duration)?,
            evaluate_every: settings.evaluate_every.map(steps).transpose()?,
            save_every: settings.checkpoint_every.map(steps).transpose()?,
            validates,
        })
    }

    pub(super) fn evaluates(&self, step: u64) -> bool {
        self.validates && (step == self.steps || self.evaluate_every.is_some_and(|n| step.is_multiple_of(n)))
    }

    pub(super) fn saves(&self, step: u64) -> bool {
        self.save_every.is_some_and(|n| step.is_multiple_of(n))
    }
}

/// What a step's numbers are computed from.
pub fn step_variables(step: u64, steps_per_epoch: f64, kept: &[Bits]) -> impl Fn(StepVariable) -> f64 {
    move |variable| match variable {
        StepVariable::Step => step as f64,
        StepVariable::StepsPerEpoch => steps_per_epoch,
        StepVariable::Kept(at) => kept[at as usize].value(),
        StepVariable::Watched | StepVariable::Part => f64::NAN,
        StepVariable::LossScale => 1.0,
    }
}

/// What schedules keep behind an evaluation that gave `watched`, of which less is better.
pub(super) fn kept_behind(kept: &[KeptNumber], before: &[Bits], watched: f64) -> Vec<Bits> {
    let variable = |variable| match variable {
        StepVariable::Kept(at) => before[at as usize].value(),
        StepVariable::Watched => watched,
        StepVariable::Step | StepVariable::StepsPerEpoch | StepVariable::Part | StepVariable::LossScale => f64::NAN,
    };
    kept.iter().map(|k| Bits::of(k.update.at(&variable))).collect()
}
