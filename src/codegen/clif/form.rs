//! How the routines of a product multiply and add, and what follows for its sums: a step along `k` is a product, or two of
//! them where pairs are added.

use crate::codegen::target::{Pairs, Simd};
use crate::codegen::wide::multiply::Products;
use crate::ir::kernel::*;
use crate::ir::product::TILE_PRODUCTS;

/// What multiplies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Vector registers.
    Vectors(Products),
    /// Tiles.
    Tiles,
}

impl Form {
    /// Of a product on a machine.
    pub fn of(buffers: &[Buffer], k: &MatrixProduct, simd: Simd) -> Form {
        let stored_in_16_bits = |m: &Matrix| buffers[m.buffer.0 as usize].storage == Storage::Bf16;
        match simd.pairs {
            _ if simd.tiles && k.fits_tiles(buffers) => Form::Tiles,
            _ if !k.by_pairs => Form::Vectors(Products::One),
            Pairs::Dot if [&k.a, &k.b].into_iter().all(stored_in_16_bits) => Form::Vectors(Products::Pair),
            _ => Form::Vectors(Products::OneOfPair),
        }
    }

    /// Products along `k` of a step.
    pub fn step(self) -> usize {
        match self {
            Form::Vectors(Products::One | Products::OneOfPair) => 1,
            Form::Vectors(Products::Pair) | Form::Tiles => 2,
        }
    }

    /// Products that are multiplied at once, or not at all: a chunk is filled up to a multiple of it.
    pub fn unit(self) -> usize {
        match self {
            Form::Vectors(_) => self.step(),
            Form::Tiles => TILE_PRODUCTS,
        }
    }

    /// The steps of so many products that follow each other.
    pub fn steps(self, products: usize) -> usize {
        products.next_multiple_of(self.unit()) / self.step()
    }
}
