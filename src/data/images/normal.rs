//! `normalise standard` for pictures: each channel is brought to mean 0 and variance 1 over the training part.

use super::store::Store;
use crate::data::DataError;
use crate::data::order::Selection;

/// More pictures than this are not read to fit two numbers a channel; then every second one is, or every third, …
const FITTED_MAX: usize = 20_000;

/// Mean and standard deviation of each channel, white being 1.
pub(super) struct Normal {
    pub(super) mean: Vec<f32>,
    pub(super) deviation: Vec<f32>,
}

impl Normal {
    /// Fits the training part. Sums are of whole numbers, so their order can't matter.
    pub(super) fn fit(store: &Store, training: &Selection) -> Result<Normal, DataError> {
        let channels = store.shape().channels;
        let (mut sums, mut squares) = (vec![0u64; channels], vec![0u64; channels]);
        let step = training.len().div_ceil(FITTED_MAX);
        let mut pixels = 0;
        for at in (0..training.len()).step_by(step) {
            let image = store.image(training.get(at))?;
            pixels += image.len() / channels;
            for pixel in image.chunks(channels) {
                for (channel, &value) in pixel.iter().enumerate() {
                    sums[channel] += u64::from(value);
                    squares[channel] += u64::from(value) * u64::from(value);
                }
            }
        }
        let moments = sums.iter().zip(&squares).map(|(&sum, &square)| {
            let n = pixels as f64;
            let mean = sum as f64 / n;
            let variance = (square as f64 / n - mean * mean).max(0.0);
            let deviation = if variance > 0.0 { variance.sqrt() } else { 255.0 };
            ((mean / 255.0) as f32, (deviation / 255.0) as f32)
        });
        let (mean, deviation) = moments.unzip();
        Ok(Normal { mean, deviation })
    }

    /// What black becomes at least, and white at most.
    pub(super) fn range(&self) -> (f64, f64) {
        let ends = self.mean.iter().zip(&self.deviation);
        let ends = ends.map(|(&m, &d)| (f64::from(-m / d), f64::from((1.0 - m) / d)));
        ends.fold((0.0, 0.0), |r, end| (f64::min(r.0, end.0), f64::max(r.1, end.1)))
    }

    /// Pixels from 0 to 1 in, normalised ones out.
    pub(super) fn apply<'a>(
        &'a self,
        pixels: impl ExactSizeIterator<Item = f32> + 'a,
    ) -> impl ExactSizeIterator<Item = f32> + 'a {
        let channels = self.mean.len();
        pixels
            .enumerate()
            .map(move |(at, pixel)| (pixel - self.mean[at % channels]) / self.deviation[at % channels])
    }
}
