//! Float64 tensors and what a step starts from: the values of the oracle. Shares nothing with kernels.

use super::view::advance;
use crate::ir::graph::elements;

/// A row-major tensor. Conditions are 0 and 1, ids their numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor64 {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// As many as the product of the sizes.
    pub data: Vec<f64>,
}

impl Tensor64 {
    /// A tensor of given elements.
    pub fn new(shape: &[usize], data: Vec<f64>) -> Tensor64 {
        assert_eq!(elements(shape), data.len(), "as many elements as shape {shape:?} has");
        Tensor64 {
            shape: shape.to_vec(),
            data,
        }
    }

    /// A tensor whose elements are a function of their index, made in row-major order.
    pub fn from_index(shape: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Tensor64 {
        let mut index = vec![0; shape.len()];
        let mut data = Vec::with_capacity(elements(shape));
        for _ in 0..elements(shape) {
            data.push(value(&index));
            advance(&mut index, shape);
        }
        Tensor64::new(shape, data)
    }

    /// The place of an index in `data`.
    pub fn offset(&self, index: &[usize]) -> usize {
        self.shape
            .iter()
            .zip(index)
            .fold(0, |offset, (size, i)| offset * size + i)
    }

    /// The element at an index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }
}

/// What a step starts from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Environment {
    /// In the order of the graph's declarations.
    pub inputs: Vec<Tensor64>,
    /// In the order of the graph's declarations.
    pub params: Vec<Tensor64>,
    /// In the order of the graph's declarations.
    pub states: Vec<Tensor64>,
    /// In the order of the graph's declarations.
    pub numbers: Vec<f64>,
    /// The key of the step's random draws.
    pub key: [u32; 2],
}
