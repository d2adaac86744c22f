//! Named tensors to and from safetensors files. The bytes depend on names, shapes and values alone: tensors are
//! sorted by name and there is nothing about time, machine or version in the file.

use super::TrainError;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// The header is padded so that the data behind it is aligned to this many bytes.
const HEADER_ALIGNMENT: usize = 64;
const CHUNK: usize = 1 << 14;

/// A tensor of 32-bit floats in row-major order.
#[derive(Clone, PartialEq, Debug)]
pub struct WeightTensor {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type Weights = BTreeMap<String, WeightTensor>;

/// Writes tensors in the safetensors format; they must be sorted by name.
pub fn write_safetensors(out: &mut dyn Write, tensors: &[(&str, &[usize], &[f32])]) -> io::Result<()> {
    debug_assert!(tensors.is_sorted_by(|a, b| a.0 < b.0), "sorted, no name twice");
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ "format": "mspec" }));
    let mut offset = 0;
    for (name, shape, values) in tensors {
        let end = offset + 4 * values.len();
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [offset, end] });
        header.insert((*name).into(), entry);
        offset = end;
    }
    let mut header = serde_json::to_vec(&header).expect("strings and numbers are always JSON");
    header.resize((header.len() + 8).next_multiple_of(HEADER_ALIGNMENT) - 8, b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for (_, _, values) in tensors {
        for chunk in values.chunks(CHUNK) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// Reads a safetensors file; halves and doubles become 32-bit floats.
pub fn read_safetensors(path: &Path) -> Result<Weights, TrainError> {
    let bytes = std::fs::read(path).map_err(|e| TrainError::file("read", path, &e))?;
    parse_safetensors(&bytes).map_err(|reason| TrainError::File {
        action: "read",
        path: path.to_path_buf(),
        reason,
        help: vec![],
    })
}

/// The same for bytes that are already in memory; an error is the reason in words.
pub fn parse_safetensors(bytes: &[u8]) -> Result<Weights, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a whole safetensors file ({e})"))?;
    let mut weights = Weights::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => words::<4>(data).map(f32::from_le_bytes).collect(),
            Dtype::F64 => words::<8>(data).map(|w| f64::from_le_bytes(w) as f32).collect(),
            Dtype::BF16 => words::<2>(data)
                .map(|w| f32::from_bits(u32::from(u16::from_le_bytes(w)) << 16))
                .collect(),
            Dtype::F16 => words::<2>(data).map(|w| half(u16::from_le_bytes(w))).collect(),
            other => return Err(format!("`{name}` holds {other:?}, expected floats")),
        };
        let shape = view.shape().to_vec();
        weights.insert(name, WeightTensor { shape, values });
    }
    Ok(weights)
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|c| c.try_into().expect("chunks of N bytes"))
}

/// binary16 to binary32, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = vec![];
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..6).map(|i| i as f32 / 3.0).collect(), vec![f32::MIN_POSITIVE]);
        write_safetensors(&mut bytes, &[("a.w", &[2, 3], &a), ("b", &[], &b)]).unwrap();
        let read = parse_safetensors(&bytes).unwrap();
        assert_eq!(
            read["a.w"],
            WeightTensor {
                shape: vec![2, 3],
                values: a
            }
        );
        assert_eq!(
            read["b"],
            WeightTensor {
                shape: vec![],
                values: b
            }
        );
        assert!(
            parse_safetensors(&bytes[..bytes.len() - 1])
                .unwrap_err()
                .starts_with("not a whole")
        );
    }

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }
}
