//! `flip(chance, vertical)`: a mirror image.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Flip;

impl Augmentation for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn summary(&self) -> &'static str {
        "exchanges left and right with one chance, top and bottom with another"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::optional("chance", Measure::Share, 0.0, 1.0, 0.5),
                Parameter::optional("vertical", Measure::Share, 0.0, 1.0, 0.0),
            ]
        }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let side = |mirrored: bool| if mirrored { -1.0 } else { 1.0 };
            let columns = side(draw.chance(values[0]));
            let rows = side(draw.chance(values[1]));
            sample.place(Affine::scaling(rows, columns));
        })
    }
}
