//! `contrast(strength)`: pixels move away from their mean, or towards it.

use super::{Action, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Contrast;

impl Augmentation for Contrast {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn summary(&self) -> &'static str {
        "multiplies each pixel's distance from the picture's mean by a factor of up to the strength above or below 1; \
         black and white are the limits"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("strength", Measure::Share, 0.0, 1.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let factor = draw.between(1.0 - values[0], 1.0 + values[0]) as f32;
            let image = sample.image();
            let mean = (image.iter().map(|&p| f64::from(p)).sum::<f64>() / image.len() as f64) as f32;
            for pixel in image {
                *pixel = (mean + factor * (*pixel - mean)).clamp(0.0, 1.0);
            }
        })
    }
}
