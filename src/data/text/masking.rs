//! Masked language modelling (Devlin et al. 2018): of a window, a share of the tokens is chosen; of these 80% become
//! the mask, 10% any token, 10% stay. What is chosen is a function of (seed, epoch, window), in an evaluation of the
//! window alone.

use super::{DataError, Encoding, Row, Vocabulary};
use crate::data::random::Stream;
use crate::text::Span;

/// How a text is masked.
pub(super) struct Masking {
    share: f64,
    mask: u32,
    /// Ids of tokens that are no special ones: what a token may be replaced by. Special ones are never chosen.
    ordinary: Vec<u32>,
    is_ordinary: Vec<bool>,
    /// One beyond the greatest id, with the mask.
    pub(super) bound: usize,
}

impl Masking {
    /// The mask of a tokenizer, or a new id behind those of characters or bytes.
    pub(super) fn new(share: f64, encoding: &Encoding, span: Span) -> Result<Masking, DataError> {
        let mask = match encoding.piece(&["[MASK]", "<mask>"]) {
            Some(mask) => mask,
            None if encoding.has_pieces() => {
                let message = "the tokenizer has no token `[MASK]` or `<mask>`, which `masked` needs";
                return Err(
                    DataError::new(span, message).help("add it to the tokenizer, or use one that was made for it")
                );
            }
            None => encoding.bound as u32,
        };
        let mut is_ordinary = vec![true; encoding.bound];
        if let Vocabulary::Tokenizer(tokenizer) = &encoding.vocabulary {
            tokenizer.special().for_each(|id| is_ordinary[id as usize] = false);
        }
        let ordinary = (0..encoding.bound as u32)
            .filter(|&id| is_ordinary[id as usize])
            .collect();
        Ok(Masking {
            share,
            mask,
            ordinary,
            is_ordinary,
            bound: encoding.bound.max(mask as usize + 1),
        })
    }

    /// The window of an evaluation, the same in each one.
    pub(super) fn evaluation(&self, record: usize) -> Window<'_> {
        Window {
            masking: self,
            stream: Stream::new(0, "data/masked/evaluation").of(record as u64),
        }
    }

    /// Windows of a training run.
    pub(super) fn training(&self, seed: u64) -> Remade<'_> {
        Remade {
            masking: self,
            stream: Stream::new(seed, "data/masked"),
        }
    }

    /// What the model sees of a token, and whether it is to be found again.
    fn masked(&self, stream: &Stream, position: usize, id: u32) -> (u32, bool) {
        let (choice, fate) = stream.uniform_pair(2 * position as u64);
        if choice >= self.share || !self.is_ordinary[id as usize] {
            return (id, false);
        }
        let seen = match fate {
            f if f < 0.8 => self.mask,
            f if f < 0.9 => self.ordinary[stream.below(2 * position as u64 + 1, self.ordinary.len())],
            _ => id,
        };
        (seen, true)
    }
}

/// Masks windows of a run.
pub(super) struct Remade<'a> {
    masking: &'a Masking,
    stream: Stream,
}

impl Remade<'_> {
    /// A window as it is in an epoch.
    pub(super) fn window(&self, epoch: u64, record: usize) -> Window<'_> {
        Window {
            masking: self.masking,
            stream: self.stream.of(epoch).of(record as u64),
        }
    }
}

/// One masked window.
pub(super) struct Window<'a> {
    masking: &'a Masking,
    stream: Stream,
}

impl Window<'_> {
    /// Writes `tokens`, `original` or `chosen`, by its number.
    pub(super) fn write(&self, tensor: usize, ids: &[u32], row: Row) {
        let masked = |(position, &id): (usize, &u32)| self.masking.masked(&self.stream, position, id);
        match tensor {
            0 => row.set_ids(ids.iter().enumerate().map(|i| masked(i).0 as i32)),
            1 => row.set_ids(ids.iter().map(|&id| id as i32)),
            _ => row.set_reals(ids.iter().enumerate().map(|i| if masked(i).1 { 1.0 } else { 0.0 })),
        }
    }
}
