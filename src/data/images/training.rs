//! Training samples that are changed in each epoch anew: a picture with its mask, through the augmentations of the spec.

use super::{Content, Images};
use crate::data::augment::{Action, Draw, Sample};
use crate::data::random::Stream;
use crate::data::{Batch, DataError, TrainingSamples};

/// Changes samples in buffers of its own.
pub(super) struct Changed<'a> {
    images: &'a Images,
    stream: Stream,
    sample: Sample,
    /// What is mixed into it, if anything is.
    second: Option<Sample>,
}

impl<'a> Changed<'a> {
    /// Buffers for the pictures of a source.
    pub(super) fn new(images: &'a Images, seed: u64) -> Changed<'a> {
        let outside = images.store.has_masks().then(|| images.ignore.unwrap_or(0));
        let sample = || Sample::new(images.store.shape(), outside);
        let mixes = images
            .changes
            .iter()
            .any(|(action, _)| matches!(action, Action::Mix(_)));
        Changed {
            images,
            stream: Stream::new(seed, "data/augment"),
            sample: sample(),
            second: mixes.then(sample),
        }
    }
}

/// Reads a record and changes it, but for what mixes.
fn load(images: &Images, record: usize, draw: &mut Draw, sample: &mut Sample) -> Result<(), DataError> {
    let bytes = images.store.image(record)?;
    for (slot, byte) in sample.image().iter_mut().zip(&*bytes) {
        *slot = f32::from(*byte) / 255.0;
    }
    if images.store.has_masks() {
        sample.mask().copy_from_slice(&images.store.mask(record)?);
    }
    for (action, values) in &images.changes {
        if let Action::Change(change) = action {
            change(values, draw, sample);
        }
    }
    sample.settle();
    Ok(())
}

impl TrainingSamples for Changed<'_> {
    fn fill(&mut self, epoch: u64, record: usize, slot: usize, into: &mut Batch) -> Result<(), DataError> {
        let images = self.images;
        let mut draw = Draw::new(self.stream.of(epoch << 32 | record as u64));
        load(images, record, &mut draw, &mut self.sample)?;
        let (mut second_record, mut share) = (record, 1.0);
        if let Some(second) = &mut self.second {
            second_record = images
                .training
                .get(draw.whole(0, images.training.len() as i64 - 1) as usize);
            load(images, second_record, &mut draw, second)?;
            for (action, values) in &images.changes {
                if let Action::Mix(mix) = action {
                    share = mix(values, &mut draw, &mut self.sample, second);
                }
            }
        }
        for (tensor, &content) in into.tensors.iter_mut().zip(&images.contents) {
            let row = tensor.row(slot);
            match content {
                Content::Image => images.write_image(self.sample.image().iter().copied(), row),
                Content::Share => row.set_reals([share as f32].into_iter()),
                Content::SecondLabel => row.set_ids([images.label(second_record)].into_iter()),
                Content::Label if !images.store.has_masks() => row.set_ids([images.label(record)].into_iter()),
                content => images.write_mask(self.sample.mask(), content, row),
            }
        }
        Ok(())
    }
}
