//! `rotate(angle)`: the picture turns about its centre.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Rotate;

impl Augmentation for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn summary(&self) -> &'static str {
        "turns the picture about its centre by up to this angle either way; the corners become black"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("angle", Measure::Degrees, 0.0, 180.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let angle = draw.between(-values[0], values[0]).to_radians();
            let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
            sample.place(Affine {
                row: [cosine, sine, 0.0],
                column: [-sine, cosine, 0.0],
            });
        })
    }
}
