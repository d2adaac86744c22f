//! `scale(least, most)`: the picture grows or shrinks about its centre.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Scale;

impl Augmentation for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn summary(&self) -> &'static str {
        "makes the picture larger or smaller by a factor between two, all alike on a logarithmic scale"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::needed("least", Measure::Share, 0.1, 10.0),
                Parameter::needed("most", Measure::Share, 0.1, 10.0),
            ]
        }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let factor = libm::exp(draw.between(libm::log(values[0]), libm::log(values[1])));
            sample.place(Affine::scaling(1.0 / factor, 1.0 / factor));
        })
    }
}
