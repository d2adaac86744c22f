//! Which records a part has and in which order training takes them: a function of (seed, step), so that a
//! resumed run goes on with the batch that it would have had.

use super::random::Stream;
use super::{Batch, DataError, Dataset, TrainingSamples};

/// Records of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// `first`, `first + stride`, …: windows of a text.
    Every {
        /// The first record.
        first: usize,
        /// From one to the next.
        stride: usize,
        /// How many.
        count: usize,
    },
    /// These.
    List(Vec<u32>),
}

impl Selection {
    /// How many records.
    pub fn len(&self) -> usize {
        match self {
            Selection::Every { count, .. } => *count,
            Selection::List(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at a position.
    pub fn get(&self, at: usize) -> usize {
        match self {
            Selection::Every { first, stride, count } => {
                assert!(at < *count, "position {at} of {count}");
                first + stride * at
            }
            Selection::List(list) => list[at] as usize,
        }
    }
}

/// How training goes through its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Each one drawn anew by (seed, step): random windows of a text.
    Drawn,
    /// A permutation by (seed, epoch); the short last batch is dropped.
    Permuted,
    /// In file order, again and again; the short last batch is dropped.
    InOrder,
}

/// Forms the training batches of one run.
pub struct Sampler<'a> {
    dataset: &'a Dataset,
    stream: Stream,
    batch: usize,
    /// Positions of the current epoch.
    permutation: Vec<u32>,
    epoch: Option<u64>,
    /// What changes samples from epoch to epoch.
    changed: Option<Box<dyn TrainingSamples + 'a>>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(dataset: &'a Dataset, seed: u64, batch: usize) -> Result<Sampler<'a>, DataError> {
        let samples = dataset.training.len();
        if let Some(size) = dataset.schema.batch
            && size != batch
        {
            return Err(DataError::new(
                dataset.settings.span,
                format!("the file's batches have {size} samples, but `batch` is {batch}"),
            )
            .help(format!("write `batch {size}` in `train`")));
        }
        if samples == 0 || (dataset.order != Order::Drawn && samples < batch) {
            return Err(DataError::new(
                dataset.settings.split.span,
                format!("the training part has {samples} samples, fewer than a batch of {batch}"),
            )
            .help("make `batch` smaller, or give training a larger share of the data"));
        }
        let permutation = match dataset.order {
            Order::Permuted => (0..samples as u32).collect(),
            Order::Drawn | Order::InOrder => vec![],
        };
        Ok(Sampler {
            dataset,
            stream: Stream::new(seed, "data/order"),
            batch,
            permutation,
            epoch: None,
            changed: dataset.source.training_samples(seed),
        })
    }

    /// Forms the batch of a step (from 1). Allocates nothing.
    pub fn fill(&mut self, step: u64, into: &mut Batch) -> Result<(), DataError> {
        assert!(step >= 1 && into.capacity == self.batch, "steps count from 1");
        let samples = self.dataset.training.len();
        let steps_per_epoch = (samples / self.batch).max(1) as u64;
        let (epoch, within) = ((step - 1) / steps_per_epoch, (step - 1) % steps_per_epoch);
        if self.dataset.order == Order::Permuted && self.epoch != Some(epoch) {
            self.permutation.iter_mut().zip(0..).for_each(|(slot, i)| *slot = i);
            self.stream.shuffle(epoch as u32, &mut self.permutation);
            self.epoch = Some(epoch);
        }
        for slot in 0..self.batch {
            let position = match self.dataset.order {
                Order::Drawn => self.stream.below(step << 32 | slot as u64, samples),
                Order::Permuted => self.permutation[within as usize * self.batch + slot] as usize,
                Order::InOrder => within as usize * self.batch + slot,
            };
            let record = self.dataset.training.get(position);
            match &mut self.changed {
                Some(changed) => changed.fill(epoch, record, slot, into)?,
                None => self.dataset.read_record(record, slot, into)?,
            }
        }
        Ok(())
    }
}
