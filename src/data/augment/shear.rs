//! `shear(angle)`: the picture leans to a side.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Shear;

impl Augmentation for Shear {
    fn name(&self) -> &'static str {
        "shear"
    }

    fn summary(&self) -> &'static str {
        "leans upright lines by up to this angle either way, about the centre"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("angle", Measure::Degrees, 0.0, 80.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let lean = libm::tan(draw.between(-values[0], values[0]).to_radians());
            sample.place(Affine {
                row: [1.0, 0.0, 0.0],
                column: [lean, 1.0, 0.0],
            });
        })
    }
}
