//! The tensors of a file in, columns of reals, conditions or ids by the model's names out.

use crate::ir::experiment::StatedTensor;
use crate::ir::graph::Element;
use crate::text::Span;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

/// One tensor of the model, all samples one behind the other.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) sample_elements: usize,
    pub(super) values: Elements,
}

pub(super) enum Elements {
    Real(Vec<f32>),
    Condition(Vec<u8>),
    Id {
        values: Vec<i64>,
        bound: usize,
        /// Where the bound is stated.
        stated: Span,
    },
    /// Which elements of an id column are not ignored.
    Counted {
        column: usize,
    },
}

/// A tensor of the file with the number of its batch, if it has one.
pub(super) type Piece<'a> = (Option<usize>, safetensors::tensor::TensorView<'a>);

/// Tensors by the model's name for them: one piece each, or one for each batch, in order.
pub(super) fn group<'a>(file: &'a SafeTensors) -> Result<BTreeMap<String, Vec<Piece<'a>>>, String> {
    let mut groups: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    for (name, view) in file.tensors() {
        let numbered = name
            .rsplit_once('.')
            .and_then(|(stem, n)| Some((stem.to_string(), n.parse().ok()?)));
        let (stem, number) = match numbered {
            Some((stem, n)) => (stem, Some(n)),
            None => (name, None),
        };
        groups.entry(stem).or_default().push((number, view));
    }
    let mut batches = None;
    for (name, pieces) in &mut groups {
        pieces.sort_by_key(|p| p.0);
        let numbered = pieces[0].0.is_some();
        let count = numbered.then_some(pieces.len());
        if numbered && pieces.iter().enumerate().any(|(i, p)| p.0 != Some(i)) || !numbered && pieces.len() > 1 {
            return Err(format!(
                "the batches of `{name}` are not numbered 0, 1, 2, … without a gap"
            ));
        }
        if *batches.get_or_insert(count) != count {
            return Err(format!(
                "`{name}` has another number of batches than the tensors before it"
            ));
        }
    }
    match groups.is_empty() {
        true => Err("there are no tensors".into()),
        false => Ok(groups),
    }
}

pub(super) type ColumnError = (String, Option<String>);

/// Converts a tensor's pieces, which must have one shape, and gives that shape.
pub(super) fn column(
    name: &str,
    pieces: &[Piece],
    stated: Option<&StatedTensor>,
) -> Result<(Column, Vec<usize>), ColumnError> {
    let (shape, dtype) = (pieces[0].1.shape().to_vec(), pieces[0].1.dtype());
    if shape.is_empty() {
        return Err((format!("`{name}` is one number: it has no axis for the samples"), None));
    }
    for (number, view) in pieces {
        if view.shape() != shape || view.dtype() != dtype {
            return Err((
                format!(
                    "`{name}.{}` is {:?} of {:?}, but `{name}.0` is {dtype:?} of {shape:?}",
                    number.unwrap_or(0),
                    view.dtype(),
                    view.shape()
                ),
                Some("all batches have one shape".into()),
            ));
        }
    }
    let holds = match dtype {
        Dtype::F32 | Dtype::F64 => Some(("real numbers", "real")),
        Dtype::BOOL => Some(("conditions", "condition")),
        Dtype::I32 | Dtype::I64 | Dtype::U8 => Some(("whole numbers", "ids")),
        _ => None,
    };
    let said = stated.map(|stated| match stated.element {
        Element::Real => "real",
        Element::Condition => "condition",
        Element::Id { .. } => "ids",
    });
    if let (Some((holds, word)), Some(said)) = (holds, said)
        && word != said
    {
        return Err((
            format!("`{name}` holds {holds} ({dtype:?}), the spec says `{said}`"),
            Some(format!("write `{word} {name}`, or store it in another form")),
        ));
    }
    let bound = stated.and_then(|stated| match stated.element {
        Element::Id { bound } => Some((bound, stated.span)),
        _ => None,
    });
    let data = pieces.iter().map(|p| p.1.data());
    let values = match (dtype, bound) {
        (Dtype::F32, None) => Elements::Real(data.flat_map(|d| words::<4>(d).map(f32::from_le_bytes)).collect()),
        (Dtype::F64, None) => {
            let numbers = || data.clone().flat_map(|d| words::<8>(d).map(f64::from_le_bytes));
            if let Some(beyond) = numbers().find(|n| n.is_finite() && (*n as f32).is_infinite()) {
                return Err((
                    format!("`{name}` has {beyond:e}, more than is computed with: float32 goes to about 3.4e38"),
                    None,
                ));
            }
            Elements::Real(numbers().map(|n| n as f32).collect())
        }
        (Dtype::BOOL, None) => Elements::Condition(data.flatten().copied().collect()),
        (Dtype::I32, Some((bound, stated))) => Elements::Id {
            values: data
                .flat_map(|d| words::<4>(d).map(|w| i64::from(i32::from_le_bytes(w))))
                .collect(),
            bound,
            stated,
        },
        (Dtype::I64, Some((bound, stated))) => Elements::Id {
            values: data.flat_map(|d| words::<8>(d).map(i64::from_le_bytes)).collect(),
            bound,
            stated,
        },
        (Dtype::U8, Some((bound, stated))) => Elements::Id {
            values: data.flatten().map(|&b| i64::from(b)).collect(),
            bound,
            stated,
        },
        (Dtype::I32 | Dtype::I64 | Dtype::U8, None) => {
            let greatest = pieces.iter().filter_map(|p| greatest(&p.1)).max().unwrap_or(0);
            return Err((
                format!("`{name}` holds whole numbers, and nothing says how far they go"),
                Some(format!(
                    "say it: `ids {name} < {}`, one beyond the greatest id",
                    i128::from(greatest) + 1
                )),
            ));
        }
        (other, _) => {
            return Err((
                format!("`{name}` holds {other:?}, which is not read"),
                Some("store f32, f64, i32, i64, u8 or bool".into()),
            ));
        }
    };
    let sample_elements = shape[1..].iter().product();
    Ok((
        Column {
            name: name.into(),
            sample_elements,
            values,
        },
        shape,
    ))
}

/// The greatest of a tensor's whole numbers.
fn greatest(view: &safetensors::tensor::TensorView) -> Option<i64> {
    let data = view.data();
    match view.dtype() {
        Dtype::I32 => words::<4>(data).map(|w| i64::from(i32::from_le_bytes(w))).max(),
        Dtype::I64 => words::<8>(data).map(i64::from_le_bytes).max(),
        _ => data.iter().map(|&b| i64::from(b)).max(),
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|c| c.try_into().expect("chunks of N bytes"))
}
