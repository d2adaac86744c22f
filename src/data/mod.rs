//! The `data` section in, batches out: a catalog of sources, one file each, and what they have in common
//! (parts, order, buffers). Everything is a function of the files and the seed; nothing here knows the model.

pub mod augment;
mod batch;
mod csv;
mod drawn;
mod error;
pub mod file;
mod images;
mod json;
mod order;
mod pairs;
pub mod random;
mod rows;
mod series;
mod split;
mod stated;
mod table;
mod tensors;
#[cfg(test)]
mod tests;
mod text;

pub use batch::{Batch, BatchTensor, Row, Values};
pub use drawn::drawn;
pub use error::DataError;
pub use file::{Fingerprint, sha256};
#[cfg(test)]
pub(crate) use images::open_decoding;
pub use order::{Order, Sampler, Selection};
pub use stated::{missing, stated};
pub use text::{Tokenizer, Vocabulary};

use crate::ir::experiment::{DataSettings, Schema, Source as Settings};
use std::fmt;
use std::path::Path;

/// A part of the samples.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Part {
    /// What is learned from.
    Train,
    /// What decides when to stop and which checkpoint is best.
    Validation,
    /// What is read once, at the end.
    Test,
}

impl Part {
    /// All parts, in the order in which `split` names them.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Train => "training",
            Part::Validation => "validation",
            Part::Test => "test",
        })
    }
}

/// An opened file or folder: records that are read by number.
pub trait Source: Send + Sync {
    /// What kind of source it is, as the spec names it.
    fn name(&self) -> &'static str;
    /// Writes one tensor (by its index in the schema) of one record into its place in a batch.
    /// Ids are checked against their bound here, whatever was checked before.
    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError>;
    /// What makes training samples, where they change from epoch to epoch; `None` where they are read as they are.
    fn training_samples(&self, _seed: u64) -> Option<Box<dyn TrainingSamples + '_>> {
        None
    }
    /// Whether a batch takes so long to form that a thread of its own should do it.
    fn takes_long(&self) -> bool {
        false
    }
    /// What was fitted on the training part (vocabulary, class names, normalisation), for the run's folder.
    fn fitted(&self) -> serde_json::Value;
}

/// Forms training samples that change from epoch to epoch, in buffers of its own.
pub trait TrainingSamples: Send {
    /// Writes all tensors of one record, as they are in one epoch (from 0), into their places in a batch.
    fn fill(&mut self, epoch: u64, record: usize, slot: usize, into: &mut Batch) -> Result<(), DataError>;
}

/// A source, divided.
pub struct Dataset {
    source: Box<dyn Source>,
    schema: Schema,
    /// Which records training draws from.
    training: Selection,
    /// Which records each part is evaluated on.
    evaluation: [Selection; 3],
    order: Order,
    fingerprints: Vec<Fingerprint>,
    settings: DataSettings,
}

/// Opens the data that a spec asks for; its paths are relative to `base`.
pub fn open(settings: &DataSettings, base: &Path) -> Result<Dataset, DataError> {
    match &settings.source {
        Settings::Text {
            path,
            tokens,
            vocab,
            window,
            masked,
        } => {
            let asked = text::Asked {
                path,
                tokens,
                vocab: *vocab,
                window: *window,
                masked: *masked,
            };
            text::open(settings, base, &asked)
        }
        Settings::Pairs(pairs) => pairs::open(settings, base, pairs),
        Settings::Images(images) => images::open(settings, base, images),
        Settings::Csv { .. } => csv::open(settings, base),
        Settings::Rows(rows) => rows::open(settings, base, rows),
        Settings::Series(series) => series::open(settings, base, series),
        Settings::Tensors { path, stated, ignore } => tensors::open(settings, base, path, stated, *ignore),
    }
}

impl Dataset {
    /// Names and sizes, for the compiler.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the spec says.
    pub fn settings(&self) -> &DataSettings {
        &self.settings
    }

    /// What was fitted on the training part.
    pub fn fitted(&self) -> serde_json::Value {
        self.source.fitted()
    }

    /// The files that were read, with their contents' checksums.
    pub fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }

    /// How many samples an evaluation of a part has.
    pub fn samples(&self, part: Part) -> usize {
        self.evaluation[part as usize].len()
    }

    /// Steps that an epoch has, `None` where windows are drawn at random.
    pub fn steps_per_epoch(&self, batch: usize) -> Option<u64> {
        self.schema.epoch_samples.map(|n| (n / batch) as u64)
    }

    /// Whether batches are better formed by a thread of their own, while the step before runs.
    pub fn takes_long(&self) -> bool {
        self.source.takes_long()
    }

    /// Training batches of this size in the order of this seed.
    pub fn sampler(&self, seed: u64, batch: usize) -> Result<Sampler<'_>, DataError> {
        Sampler::new(self, seed, batch)
    }

    /// Reads `count` samples of a part, from its `first` on, in file order.
    pub fn read(&self, part: Part, first: usize, count: usize, into: &mut Batch) -> Result<(), DataError> {
        assert!(count <= into.capacity, "the batch has room for the samples asked for");
        for slot in 0..count {
            self.read_record(self.evaluation[part as usize].get(first + slot), slot, into)?;
        }
        Ok(())
    }

    fn read_record(&self, record: usize, slot: usize, into: &mut Batch) -> Result<(), DataError> {
        for (index, tensor) in into.tensors.iter_mut().enumerate() {
            self.source.read(index, record, tensor.row(slot))?;
        }
        Ok(())
    }
}
