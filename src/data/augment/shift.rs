//! `shift(pixels)`: the picture moves by whole pixels.

use super::{Action, Affine, Augmentation, Measure, Parameter};

/// See [`Augmentation::summary`].
pub struct Shift;

impl Augmentation for Shift {
    fn name(&self) -> &'static str {
        "shift"
    }

    fn summary(&self) -> &'static str {
        "moves the picture by up to so many whole pixels in both directions; black follows"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("pixels", Measure::Pixels, 1.0, 1024.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let most = values[0] as i64;
            let (rows, columns) = (draw.whole(-most, most), draw.whole(-most, most));
            sample.place(Affine::translation(rows as f64, columns as f64));
        })
    }
}
