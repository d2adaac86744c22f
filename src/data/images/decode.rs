//! A PNG or JPEG file in, its pixels as bytes out, brought to a size: the shorter side is scaled to it (with a triangle
//! filter; masks take the nearest pixel), the middle is cut out. Alpha is dropped; grey and colours become what is asked for.

use crate::data::augment::Shape;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageReader, RgbImage};
use std::path::Path;

/// Pixels of a file.
pub(super) struct Decoded {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) bytes: Vec<u8>,
}

/// Rows and columns, from the file's head.
pub(super) fn dimensions(at: &Path) -> Result<(usize, usize), String> {
    let reader = ImageReader::open(at).and_then(ImageReader::with_guessed_format);
    let size = reader.map_err(|e| crate::data::file::plain(&e))?.into_dimensions();
    let (columns, rows) = size.map_err(|e| undecoded(&e))?;
    Ok((rows as usize, columns as usize))
}

/// A picture with 1 or 3 channels, its own size or a square.
pub(super) fn picture(at: &Path, channels: usize, side: Option<usize>) -> Result<Decoded, String> {
    let decoded = decoded(at)?;
    let image = match channels {
        1 => DynamicImage::ImageLuma8(decoded.into_luma8()),
        _ => DynamicImage::ImageRgb8(decoded.into_rgb8()),
    };
    Ok(taken_apart(fitted(image, side, FilterType::Triangle)))
}

/// A mask: grey of 8 bits, a class for each pixel.
pub(super) fn mask(at: &Path, side: Option<usize>) -> Result<Decoded, String> {
    let image = decoded(at)?;
    if !matches!(image, DynamicImage::ImageLuma8(_)) {
        let found = image.color();
        return Err(format!(
            "its pixels are {found:?}, but a mask is grey with 8 bits, the number of a class in each pixel"
        ));
    }
    Ok(taken_apart(fitted(image, side, FilterType::Nearest)))
}

/// A picture in memory, as a square.
pub(super) fn resized(bytes: &[u8], shape: Shape, side: usize) -> Vec<u8> {
    let (columns, rows) = (shape.columns as u32, shape.rows as u32);
    let whole = "a picture has the bytes of its shape";
    let image = match shape.channels {
        1 => DynamicImage::ImageLuma8(GrayImage::from_raw(columns, rows, bytes.to_vec()).expect(whole)),
        _ => DynamicImage::ImageRgb8(RgbImage::from_raw(columns, rows, bytes.to_vec()).expect(whole)),
    };
    fitted(image, Some(side), FilterType::Triangle).into_bytes()
}

fn decoded(at: &Path) -> Result<DynamicImage, String> {
    let reader = ImageReader::open(at).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|e| crate::data::file::plain(&e))?;
    reader.decode().map_err(|e| undecoded(&e))
}

fn undecoded(error: &image::ImageError) -> String {
    format!("it can't be decoded ({error}); replace it, or move it out of the folder")
}

fn fitted(image: DynamicImage, side: Option<usize>, filter: FilterType) -> DynamicImage {
    let Some(side) = side.map(|s| s as u32) else {
        return image;
    };
    let (width, height) = (image.width(), image.height());
    let shorter = width.min(height);
    let scaled =
        |length: u32| ((u64::from(length) * u64::from(side) + u64::from(shorter) / 2) / u64::from(shorter)) as u32;
    let (across, down) = (scaled(width), scaled(height));
    let image = if shorter == side {
        image
    } else {
        image.resize_exact(across, down, filter)
    };
    if across == down {
        return image;
    }
    image.crop_imm((across - side) / 2, (down - side) / 2, side, side)
}

fn taken_apart(image: DynamicImage) -> Decoded {
    Decoded {
        rows: image.height() as usize,
        columns: image.width() as usize,
        bytes: image.into_bytes(),
    }
}
