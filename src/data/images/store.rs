//! Where pixels lie: all in memory, or in a file each that is decoded whenever it is read. All pictures of a store
//! have one shape; bytes are `(rows, columns, channels)`, a mask's `(rows, columns)`.

use super::decode;
use super::wrong_file;
use crate::data::DataError;
use crate::data::augment::Shape;
use crate::ir::experiment::DataPath;
use std::borrow::Cow;
use std::path::PathBuf;

/// Equal pieces of bytes, by record.
pub(super) enum Pieces {
    /// One behind the other.
    Kept(Vec<u8>),
    /// Decoded when they are asked for.
    Files(Vec<PathBuf>),
}

/// Pictures, and their masks where there are some.
pub(super) struct Store {
    /// Where the spec names the pictures.
    pub(super) path: DataPath,
    pub(super) shape: Shape,
    /// Whether files are brought to the shape, or must have it.
    pub(super) resize: bool,
    pub(super) images: Pieces,
    pub(super) masks: Option<Pieces>,
}

impl Store {
    /// Pictures in memory, without masks.
    pub(super) fn kept(path: &DataPath, shape: Shape, images: Vec<u8>) -> Store {
        Store {
            path: path.clone(),
            shape,
            resize: false,
            images: Pieces::Kept(images),
            masks: None,
        }
    }

    /// The sizes of every picture.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether nothing has to be decoded.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.images, Pieces::Kept(_))
    }

    /// Whether pictures have masks.
    pub(super) fn has_masks(&self) -> bool {
        self.masks.is_some()
    }

    /// `1 channel`, `3 channels`.
    pub(super) fn channels_in_words(&self) -> String {
        match self.shape.channels {
            1 => "1 channel".into(),
            n => format!("{n} channels"),
        }
    }

    /// A picture's bytes.
    pub(super) fn image(&self, record: usize) -> Result<Cow<'_, [u8]>, DataError> {
        self.piece(&self.images, record, self.shape.elements(), |at| {
            decode::picture(at, self.shape.channels, self.wanted())
        })
    }

    /// A mask's classes.
    pub(super) fn mask(&self, record: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let masks = self.masks.as_ref().expect("only asked for where there are masks");
        self.piece(masks, record, self.shape.pixels(), |at| decode::mask(at, self.wanted()))
    }

    fn wanted(&self) -> Option<usize> {
        self.resize.then_some(self.shape.rows)
    }

    fn piece<'p>(
        &self,
        pieces: &'p Pieces,
        record: usize,
        length: usize,
        read: impl Fn(&std::path::Path) -> Result<decode::Decoded, String>,
    ) -> Result<Cow<'p, [u8]>, DataError> {
        match pieces {
            Pieces::Kept(bytes) => Ok(Cow::Borrowed(&bytes[record * length..(record + 1) * length])),
            Pieces::Files(files) => {
                let at = &files[record];
                let decoded = read(at).map_err(|e| wrong_file(&self.path, at, e))?;
                self.fits(decoded.rows, decoded.columns, at)?;
                Ok(Cow::Owned(decoded.bytes))
            }
        }
    }

    /// Whether a file has the store's shape.
    fn fits(&self, rows: usize, columns: usize, at: &std::path::Path) -> Result<(), DataError> {
        if (rows, columns) == (self.shape.rows, self.shape.columns) {
            return Ok(());
        }
        let expected = format!("{}×{} as the first picture", self.shape.rows, self.shape.columns);
        Err(
            wrong_file(&self.path, at, format!("{rows}×{columns}, expected {expected}"))
                .help("write `size 224`, or another, so that all are brought to one size"),
        )
    }

    /// Decodes all files now.
    pub(super) fn keep(self, count: usize) -> Result<Store, DataError> {
        let mut images = Vec::with_capacity(count * self.shape.elements());
        let mut masks = Vec::with_capacity(if self.has_masks() {
            count * self.shape.pixels()
        } else {
            0
        });
        for record in 0..count {
            images.extend_from_slice(&self.image(record)?);
            if self.has_masks() {
                masks.extend_from_slice(&self.mask(record)?);
            }
        }
        let masks = self.has_masks().then_some(Pieces::Kept(masks));
        Ok(Store {
            images: Pieces::Kept(images),
            masks,
            ..self
        })
    }

    /// Pictures in memory, brought to squares of this side.
    pub(super) fn resized(self, side: usize) -> Store {
        let Pieces::Kept(bytes) = &self.images else {
            panic!("files are brought to their size when they are decoded")
        };
        let images = bytes
            .chunks(self.shape.elements())
            .flat_map(|picture| decode::resized(picture, self.shape, side));
        Store {
            images: Pieces::Kept(images.collect()),
            shape: Shape {
                rows: side,
                columns: side,
                ..self.shape
            },
            ..self
        }
    }
}
