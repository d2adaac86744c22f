//! Samples that are drawn at random, of the names and sizes that the section states: for timing the steps of a model whose
//! data are not at hand. Ids are below their bound, conditions hold or not, numbers are from -1 to 1.

use super::random::Stream;
use super::{DataError, Dataset, Order, Row, Selection, Source};
use crate::ir::experiment::{DataSettings, Schema};
use crate::ir::graph::Element;

/// Samples that take turns.
const SAMPLES: usize = 1 << 12;

struct Drawn {
    /// Of each tensor: what its elements are, how many a sample has, and where they come from.
    tensors: Vec<(Element, usize, Stream)>,
}

/// The data of a section whose files are not there. Its schema is what the section states.
pub fn drawn(settings: &DataSettings, schema: Schema) -> Dataset {
    let tensors = schema.tensors.iter().map(|tensor| {
        let size = tensor.axes.iter().map(|axis| axis.1).product();
        (tensor.element, size, Stream::new(0, &format!("drawn {}", tensor.name)))
    });
    let all = Selection::Every {
        first: 0,
        stride: 1,
        count: SAMPLES,
    };
    Dataset {
        source: Box::new(Drawn {
            tensors: tensors.collect(),
        }),
        schema,
        training: all.clone(),
        evaluation: [all.clone(), all.clone(), all],
        order: Order::InOrder,
        fingerprints: vec![],
        settings: settings.clone(),
    }
}

impl Source for Drawn {
    fn name(&self) -> &'static str {
        "drawn"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let (element, size, stream) = &self.tensors[tensor];
        let word = |at: usize| {
            let at = (record * size + at) as u64;
            stream.words(at / 4)[(at % 4) as usize]
        };
        match *element {
            Element::Id { bound } => {
                row.set_ids((0..*size).map(|at| stream.below((record * size + at) as u64, bound) as i32));
            }
            Element::Condition => row.set_reals((0..*size).map(|at| (word(at) & 1) as f32)),
            Element::Real => row.set_reals((0..*size).map(|at| (word(at) as f32 / (1u64 << 31) as f32) - 1.0)),
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::ir::experiment::SchemaTensor;

    #[test]
    fn samples_differ_and_are_in_range() {
        let tensor = |name: &str, element| SchemaTensor {
            name: name.into(),
            axes: vec![("time".into(), 50)],
            element,
            bound_name: None,
            category: false,
        };
        let schema = Schema {
            tensors: vec![
                tensor("x", Element::Real),
                tensor("id", Element::Id { bound: 3 }),
                tensor("kept", Element::Condition),
            ],
            ..Schema::default()
        };
        let source = Drawn {
            tensors: schema
                .tensors
                .iter()
                .map(|t| (t.element, 50, Stream::new(0, &t.name)))
                .collect(),
        };
        let mut batch = Batch::new(&schema, 2);
        for tensor in 0..3 {
            for sample in 0..2 {
                source.read(tensor, sample, batch.tensors[tensor].row(sample)).unwrap();
            }
        }
        let crate::data::Values::Real(reals) = &batch.tensors[0].values else {
            unreachable!("reals")
        };
        assert!(reals.iter().all(|x| (-1.0..1.0).contains(x)) && reals[..50] != reals[50..]);
        let crate::data::Values::Id(ids) = &batch.tensors[1].values else {
            unreachable!("ids")
        };
        assert!((0..3).all(|id| ids.contains(&id)) && ids.iter().all(|id| (0..3).contains(id)));
        let crate::data::Values::Real(kept) = &batch.tensors[2].values else {
            unreachable!("conditions")
        };
        assert!(kept.contains(&0.0) && kept.contains(&1.0) && kept.iter().all(|k| [0.0, 1.0].contains(k)));
    }
}
