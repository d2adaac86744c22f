//! `cutmix(alpha)`: a rectangle of another picture.

use super::{Action, Augmentation, Measure, Parameter, Shape};

/// See [`Augmentation::summary`].
pub struct Cutmix;

impl Augmentation for Cutmix {
    fn name(&self) -> &'static str {
        "cutmix"
    }

    fn summary(&self) -> &'static str {
        "puts a rectangle of a second picture into the first, which keeps a share of its area drawn from \
         Beta(alpha, alpha) (Yun et al. 2019)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("alpha", Measure::Number, 0.01, 100.0)] }
    }

    fn action(&self) -> Action {
        Action::Mix(|values, draw, sample, other| {
            let Shape {
                rows,
                columns,
                channels,
            } = sample.shape();
            let side = (1.0 - draw.beta(values[0])).sqrt();
            let mut span = |size: usize| {
                let half = (side * size as f64 / 2.0) as i64;
                let centre = draw.whole(0, size as i64 - 1);
                (centre - half).max(0) as usize..(centre + half).min(size as i64) as usize
            };
            let (down, across) = (span(rows), span(columns));
            let image = sample.image();
            for r in down.clone() {
                let range = (r * columns + across.start) * channels..(r * columns + across.end) * channels;
                image[range.clone()].copy_from_slice(&other.settled()[range]);
            }
            // What the border cut off of the rectangle counts for the first picture.
            1.0 - (down.len() * across.len()) as f64 / (rows * columns) as f64
        })
    }
}
