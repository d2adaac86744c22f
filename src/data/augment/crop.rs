//! `crop(pad)`: a crop of the picture with a black border, of the picture's own size.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Crop;

impl Augmentation for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn summary(&self) -> &'static str {
        "pads the picture with so many black pixels on each side and cuts its own size out at random (He et al. 2015)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("pad", Measure::Pixels, 1.0, 1024.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let pad = values[0] as i64;
            // The crop's corner in the padded picture, seen from the picture's own corner.
            let (row, column) = (draw.whole(0, 2 * pad) - pad, draw.whole(0, 2 * pad) - pad);
            sample.place(Affine::translation(row as f64, column as f64));
        })
    }
}
