//! `brightness(strength)`: all pixels are multiplied.

use super::{Action, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Brightness;

impl Augmentation for Brightness {
    fn name(&self) -> &'static str {
        "brightness"
    }

    fn summary(&self) -> &'static str {
        "multiplies all pixels by a factor of up to the strength above or below 1; what is beyond white stays white"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("strength", Measure::Share, 0.0, 1.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let factor = draw.between(1.0 - values[0], 1.0 + values[0]) as f32;
            for pixel in sample.image() {
                *pixel = (*pixel * factor).clamp(0.0, 1.0);
            }
        })
    }
}
