//! What a rule does to tensors; each operation has an inverse, so that a map can be read backwards.

use super::super::weights::WeightTensor;
use std::iter::Peekable;

/// One operation, from their tensor towards ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// All axes in reverse order.
    Transpose,
    /// Axis `i` of the result is axis `order[i]`.
    Permute(Vec<usize>),
    /// One tensor becomes several along an axis; equal parts without sizes.
    Split { axis: usize, sizes: Vec<usize> },
    /// The inverse.
    Join { axis: usize, sizes: Vec<usize> },
    /// An axis becomes two, the first of this size.
    Unfold { axis: usize, size: usize },
    /// The inverse.
    Fold { axis: usize, size: usize },
}

impl Operation {
    pub(super) fn parse_all<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Result<Vec<Operation>, String> {
        let mut operations = vec![];
        while let Some(word) = words.next() {
            let mut numbers = vec![];
            while let Some(number) = words.peek().and_then(|w| w.parse::<usize>().ok()) {
                numbers.push(number);
                words.next();
            }
            operations.push(match (word, numbers.as_slice()) {
                ("transpose", []) => Operation::Transpose,
                ("permute", order) if is_permutation(order) => Operation::Permute(numbers),
                ("split", [axis, sizes @ ..]) => Operation::Split {
                    axis: *axis,
                    sizes: sizes.to_vec(),
                },
                ("join", [axis, sizes @ ..]) => Operation::Join {
                    axis: *axis,
                    sizes: sizes.to_vec(),
                },
                ("unfold", [axis, size]) if *size > 0 => Operation::Unfold {
                    axis: *axis,
                    size: *size,
                },
                ("fold", [axis, size]) if *size > 0 => Operation::Fold {
                    axis: *axis,
                    size: *size,
                },
                _ => {
                    let known =
                        "transpose, permute AXES, split AXIS [SIZES], join AXIS [SIZES], unfold AXIS N, fold AXIS N";
                    return Err(format!("`{word} {numbers:?}` is not one of {known}"));
                }
            });
        }
        Ok(operations)
    }

    pub(super) fn is_split(&self) -> bool {
        matches!(self, Operation::Split { .. })
    }

    pub(super) fn is_join(&self) -> bool {
        matches!(self, Operation::Join { .. })
    }

    pub(super) fn inverse(&self) -> Operation {
        match self.clone() {
            Operation::Transpose => Operation::Transpose,
            Operation::Permute(order) => {
                let mut inverse = vec![0; order.len()];
                order.iter().enumerate().for_each(|(i, &o)| inverse[o] = i);
                Operation::Permute(inverse)
            }
            Operation::Split { axis, sizes } => Operation::Join { axis, sizes },
            Operation::Join { axis, sizes } => Operation::Split { axis, sizes },
            Operation::Unfold { axis, size } => Operation::Fold { axis, size },
            Operation::Fold { axis, size } => Operation::Unfold { axis, size },
        }
    }

    /// `results`: how many tensors a split makes.
    pub(super) fn apply(&self, tensors: Vec<WeightTensor>, results: usize) -> Result<Vec<WeightTensor>, String> {
        match self {
            Operation::Split { axis, sizes } => split(&tensors[0], *axis, sizes, results),
            Operation::Join { axis, .. } => Ok(vec![join(&tensors, *axis)?]),
            _ => tensors.into_iter().map(|t| self.apply_to_one(t)).collect(),
        }
    }

    fn apply_to_one(&self, tensor: WeightTensor) -> Result<WeightTensor, String> {
        let rank = tensor.shape.len();
        let mut shape = tensor.shape.clone();
        match self {
            Operation::Transpose => return Ok(permuted(&tensor, &(0..rank).rev().collect::<Vec<_>>())),
            Operation::Permute(order) if order.len() == rank => return Ok(permuted(&tensor, order)),
            Operation::Unfold { axis, size } if *axis < rank && shape[*axis].is_multiple_of(*size) => {
                shape.splice(*axis..=*axis, [*size, shape[*axis] / size]);
            }
            Operation::Fold { axis, size } if axis + 1 < rank && shape[*axis] == *size => {
                shape.splice(*axis..=axis + 1, [shape[*axis] * shape[axis + 1]]);
            }
            _ => return Err(format!("{self:?} can't be done to {shape:?}")),
        }
        Ok(WeightTensor {
            shape,
            values: tensor.values,
        })
    }
}

fn is_permutation(order: &[usize]) -> bool {
    !order.is_empty() && (0..order.len()).all(|axis| order.contains(&axis))
}

fn permuted(tensor: &WeightTensor, order: &[usize]) -> WeightTensor {
    let rank = tensor.shape.len();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * tensor.shape[axis + 1];
    }
    let shape: Vec<usize> = order.iter().map(|&o| tensor.shape[o]).collect();
    let mut values = Vec::with_capacity(tensor.values.len());
    let mut index = vec![0; rank];
    for _ in 0..tensor.values.len() {
        let at: usize = index.iter().zip(order).map(|(i, &o)| i * strides[o]).sum();
        values.push(tensor.values[at]);
        for axis in (0..rank).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    WeightTensor { shape, values }
}

fn split(tensor: &WeightTensor, axis: usize, sizes: &[usize], results: usize) -> Result<Vec<WeightTensor>, String> {
    let Some(&whole) = tensor.shape.get(axis) else {
        return Err(format!("{:?} has no axis {axis}", tensor.shape));
    };
    let sizes = match sizes {
        [] if whole.is_multiple_of(results) => vec![whole / results; results],
        [] => {
            return Err(format!(
                "axis {axis} of {:?} can't be split into {results} equal parts",
                tensor.shape
            ));
        }
        sizes => sizes.to_vec(),
    };
    if sizes.len() != results || sizes.iter().sum::<usize>() != whole {
        return Err(format!(
            "the sizes {sizes:?} do not make axis {axis} of {:?} in {results} parts",
            tensor.shape
        ));
    }
    let outer: usize = tensor.shape[..axis].iter().product();
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let mut start = 0;
    let part = |size: usize| {
        let mut shape = tensor.shape.clone();
        shape[axis] = size;
        let rows = (0..outer).map(|o| (o * whole + start) * inner);
        let values = rows
            .flat_map(|at| &tensor.values[at..at + size * inner])
            .copied()
            .collect();
        start += size;
        WeightTensor { shape, values }
    };
    Ok(sizes.into_iter().map(part).collect())
}

fn join(tensors: &[WeightTensor], axis: usize) -> Result<WeightTensor, String> {
    let mut shape = tensors[0].shape.clone();
    let same = |t: &WeightTensor| {
        t.shape.len() == shape.len() && (0..shape.len()).all(|a| a == axis || t.shape[a] == shape[a])
    };
    if axis >= shape.len() || !tensors.iter().all(same) {
        let shapes: Vec<&Vec<usize>> = tensors.iter().map(|t| &t.shape).collect();
        return Err(format!("{shapes:?} can't be joined along axis {axis}"));
    }
    let outer: usize = shape[..axis].iter().product();
    let mut values = vec![];
    for o in 0..outer {
        for tensor in tensors {
            let run = tensor.values.len() / outer.max(1);
            values.extend(&tensor.values[o * run..(o + 1) * run]);
        }
    }
    shape[axis] = tensors.iter().map(|t| t.shape[axis]).sum();
    Ok(WeightTensor { shape, values })
}
