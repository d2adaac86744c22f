//! `cutout(side)`: a black square.

use super::{Action, Augmentation, Measure, Parameter, Shape};

/// See [`Augmentation::summary`].
pub struct Cutout;

impl Augmentation for Cutout {
    fn name(&self) -> &'static str {
        "cutout"
    }

    fn summary(&self) -> &'static str {
        "makes a square of this side black; its centre is any pixel, so a part may lie outside (DeVries and Taylor 2017)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const { &[Parameter::needed("side", Measure::Pixels, 1.0, 1024.0)] }
    }

    fn action(&self) -> Action {
        Action::Change(|values, draw, sample| {
            let Shape {
                rows,
                columns,
                channels,
            } = sample.shape();
            let side = values[0] as i64;
            let start = |centre: i64| centre - side / 2;
            let row = start(draw.whole(0, rows as i64 - 1));
            let column = start(draw.whole(0, columns as i64 - 1));
            let within = |from: i64, size: usize| from.max(0) as usize..(from + side).clamp(0, size as i64) as usize;
            let image = sample.image();
            for r in within(row, rows) {
                let across = within(column, columns);
                image[(r * columns + across.start) * channels..(r * columns + across.end) * channels].fill(0.0);
            }
        })
    }
}
