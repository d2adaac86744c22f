//! `resized_crop(least, most, ratio)`: a part of the picture, enlarged to its size.

use super::{Action, Affine, Augmentation, Measure, Parameter, Shape};

/// How often a rectangle is drawn before the whole picture is taken.
const TRIES: usize = 10;

/// See [`Augmentation::summary`].
pub struct ResizedCrop;

impl Augmentation for ResizedCrop {
    fn name(&self) -> &'static str {
        "resized_crop"
    }

    fn summary(&self) -> &'static str {
        "cuts out a rectangle with a share of the picture's area between two and sides up to `ratio` to 1, and brings \
         it to the picture's size (Szegedy et al. 2014)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::needed("least", Measure::Share, 0.01, 1.0),
                Parameter::optional("most", Measure::Share, 0.01, 1.0, 1.0),
                Parameter::optional("ratio", Measure::Number, 1.0, 10.0, 4.0 / 3.0),
            ]
        }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let Shape { rows, columns, .. } = sample.shape();
            let (rows, columns) = (rows as f64, columns as f64);
            let log_ratio = libm::log(values[2]);
            for _ in 0..TRIES {
                let area = draw.between(values[0], values[1]) * rows * columns;
                let ratio = libm::exp(draw.between(-log_ratio, log_ratio));
                let (height, width) = ((area / ratio).sqrt(), (area * ratio).sqrt());
                let (down, across) = (draw.uniform(), draw.uniform());
                if height <= rows && width <= columns {
                    // The rectangle's centre, seen from the picture's.
                    let (row, column) = ((down - 0.5) * (rows - height), (across - 0.5) * (columns - width));
                    sample.place(Affine {
                        row: [height / rows, 0.0, row],
                        column: [0.0, width / columns, column],
                    });
                    return;
                }
            }
        })
    }
}
