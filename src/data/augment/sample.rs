//! A picture with its mask in buffers that are used again for each sample. Pixels are from 0 to 1, `(rows, columns,
//! channels)`. Movements are collected and carried out at once: pixels are read bilinearly, masks at the nearest
//! position; outside of the picture lie black and, in a mask, pixels of class 0 that don't count.

use super::Affine;

/// Sizes of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Height in pixels.
    pub rows: usize,
    /// Width in pixels.
    pub columns: usize,
    /// 1 for grey, 3 for colours.
    pub channels: usize,
}

impl Shape {
    /// Numbers in a picture.
    pub fn elements(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    /// Pixels in a picture.
    pub fn pixels(&self) -> usize {
        self.rows * self.columns
    }
}

/// A sample on its way through the augmentations.
pub struct Sample {
    shape: Shape,
    image: Vec<f32>,
    moved_image: Vec<f32>,
    /// Empty where there is no mask.
    mask: Vec<u8>,
    moved_mask: Vec<u8>,
    /// What lies outside in a mask.
    outside: u8,
    pending: Affine,
}

impl Sample {
    /// Buffers for pictures of a shape. `outside` is the mask's value outside of the picture, if there are masks.
    pub fn new(shape: Shape, outside: Option<u8>) -> Sample {
        let mask = vec![0; if outside.is_some() { shape.pixels() } else { 0 }];
        Sample {
            shape,
            image: vec![0.0; shape.elements()],
            moved_image: vec![0.0; shape.elements()],
            moved_mask: mask.clone(),
            mask,
            outside: outside.unwrap_or(0),
            pending: Affine::IDENTITY,
        }
    }

    /// The picture's sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Changes where each pixel comes from.
    pub fn place(&mut self, map: Affine) {
        self.pending = map.after(&self.pending);
    }

    /// The pixels after all movements so far.
    pub fn image(&mut self) -> &mut [f32] {
        self.settle();
        &mut self.image
    }

    /// The pixels; all movements have been carried out.
    pub fn settled(&self) -> &[f32] {
        assert!(self.pending == Affine::IDENTITY, "movements are carried out first");
        &self.image
    }

    /// The mask after all movements so far.
    pub fn mask(&mut self) -> &mut [u8] {
        self.settle();
        &mut self.mask
    }

    /// Carries out the movements that were collected.
    pub fn settle(&mut self) {
        if self.pending == Affine::IDENTITY {
            return;
        }
        let Shape {
            rows,
            columns,
            channels,
        } = self.shape;
        let (centre_row, centre_column) = ((rows as f64 - 1.0) / 2.0, (columns as f64 - 1.0) / 2.0);
        for row in 0..rows {
            for column in 0..columns {
                let (r, c) = self.pending.at(row as f64 - centre_row, column as f64 - centre_column);
                let (r, c) = (r + centre_row, c + centre_column);
                let pixel = row * columns + column;
                let into = &mut self.moved_image[pixel * channels..(pixel + 1) * channels];
                bilinear(&self.image, self.shape, r, c, into);
                if !self.mask.is_empty() {
                    let (r, c) = ((r + 0.5).floor(), (c + 0.5).floor());
                    let inside = r >= 0.0 && c >= 0.0 && r < rows as f64 && c < columns as f64;
                    self.moved_mask[pixel] = if inside {
                        self.mask[r as usize * columns + c as usize]
                    } else {
                        self.outside
                    };
                }
            }
        }
        std::mem::swap(&mut self.image, &mut self.moved_image);
        std::mem::swap(&mut self.mask, &mut self.moved_mask);
        self.pending = Affine::IDENTITY;
    }
}

/// The pixel at a position between pixels; what lies outside is black.
fn bilinear(image: &[f32], shape: Shape, row: f64, column: f64, into: &mut [f32]) {
    into.fill(0.0);
    let (top, left) = (row.floor(), column.floor());
    let (down, right) = (row - top, column - left);
    for (r, row_weight) in [(top, 1.0 - down), (top + 1.0, down)] {
        for (c, column_weight) in [(left, 1.0 - right), (left + 1.0, right)] {
            let weight = (row_weight * column_weight) as f32;
            let inside = r >= 0.0 && c >= 0.0 && r < shape.rows as f64 && c < shape.columns as f64;
            if weight == 0.0 || !inside {
                continue;
            }
            let from = (r as usize * shape.columns + c as usize) * shape.channels;
            for (slot, value) in into.iter_mut().zip(&image[from..from + shape.channels]) {
                *slot += weight * value;
            }
        }
    }
}
