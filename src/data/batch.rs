//! Buffers that a batch is formed in: made once, written again each step.

use crate::ir::experiment::{Schema, SchemaTensor};
use crate::ir::graph::Element;

/// The elements of a tensor. Conditions are f32 0 and 1, as in kernels.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// Reals and conditions.
    Real(Vec<f32>),
    /// Ids.
    Id(Vec<i32>),
}

/// A sample's place in a tensor's buffer, to be filled.
#[derive(PartialEq, Debug)]
pub enum Row<'a> {
    /// Reals and conditions.
    Real(&'a mut [f32]),
    /// Ids.
    Id(&'a mut [i32]),
}

/// One tensor of a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct BatchTensor {
    /// What the model calls it.
    pub name: String,
    /// Elements that a sample has.
    pub sample_elements: usize,
    /// All samples, one behind the other.
    pub values: Values,
}

/// A batch: a buffer for each tensor of the schema, in its order.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// How many samples there is room for.
    pub capacity: usize,
    /// In the order of the schema.
    pub tensors: Vec<BatchTensor>,
}

impl Batch {
    /// Room for this many samples.
    pub fn new(schema: &Schema, capacity: usize) -> Batch {
        let tensor = |t: &SchemaTensor| {
            let sample_elements = t.axes.iter().map(|a| a.1).product();
            let values = match t.element {
                Element::Id { .. } => Values::Id(vec![0; capacity * sample_elements]),
                Element::Real | Element::Condition => Values::Real(vec![0.0; capacity * sample_elements]),
            };
            BatchTensor {
                name: t.name.clone(),
                sample_elements,
                values,
            }
        };
        Batch {
            capacity,
            tensors: schema.tensors.iter().map(tensor).collect(),
        }
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&BatchTensor> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

impl BatchTensor {
    /// The place of one sample.
    pub fn row(&mut self, sample: usize) -> Row<'_> {
        let range = sample * self.sample_elements..(sample + 1) * self.sample_elements;
        match &mut self.values {
            Values::Real(values) => Row::Real(&mut values[range]),
            Values::Id(values) => Row::Id(&mut values[range]),
        }
    }
}

impl Row<'_> {
    /// Copies ids. The schema decides what a buffer holds, so anything else is a mistake of the source.
    pub fn set_ids(self, ids: impl ExactSizeIterator<Item = i32>) {
        let Row::Id(row) = self else {
            panic!("a source gave ids for a real tensor")
        };
        assert_eq!(row.len(), ids.len(), "a sample has its schema's size");
        row.iter_mut().zip(ids).for_each(|(slot, id)| *slot = id);
    }

    /// Copies reals.
    pub fn set_reals(self, reals: impl ExactSizeIterator<Item = f32>) {
        let Row::Real(row) = self else {
            panic!("a source gave reals for an id tensor")
        };
        assert_eq!(row.len(), reals.len(), "a sample has its schema's size");
        row.iter_mut().zip(reals).for_each(|(slot, real)| *slot = real);
    }
}
