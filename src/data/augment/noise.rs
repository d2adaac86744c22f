//! `noise(deviation)`: Gaussian noise on each pixel.

use super::{Action, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Noise;

impl Augmentation for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn summary(&self) -> &'static str {
        "adds Gaussian noise of this standard deviation to each channel of each pixel, white being 1"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("deviation", Measure::Number, 0.0, 1.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            for pixel in sample.image() {
                *pixel += (values[0] * draw.normal()) as f32;
            }
        })
    }
}
