//! `mixup(alpha)`: the weighted mean of two pictures.

use super::{Action, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Mixup;

impl Augmentation for Mixup {
    fn name(&self) -> &'static str {
        "mixup"
    }

    fn summary(&self) -> &'static str {
        "mixes two pictures pixel by pixel, the share of the first drawn from Beta(alpha, alpha) (Zhang et al. 2017)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("alpha", Measure::Number, 0.01, 100.0)] }
    }

    fn action(&self) -> Action {
        Action::Mix(|values, draw, sample, other| {
            let share = draw.beta(values[0]) as f32;
            for (pixel, second) in sample.image().iter_mut().zip(other.settled()) {
                *pixel = share * *pixel + (1.0 - share) * second;
            }
            f64::from(share)
        })
    }
}
