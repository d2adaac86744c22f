//! What a section states of a table's tensors in, what a sample has out, without the table.

use crate::ir::experiment::{ColumnName, Schema, SchemaTensor, StatedTensor};
use crate::ir::graph::Element;

/// What the columns of numbers together are called.
const FEATURES: &str = "features";

/// The schema that [`super::columns::Columns::schema`] gives of a table that agrees with what is stated.
pub(in super::super) fn schema(
    stated: &[StatedTensor],
    target: &ColumnName,
    normalise: bool,
    axes: &[(String, usize)],
    of_target: &[(String, usize)],
) -> Schema {
    let tensor = |name: &str, axes: &[(String, usize)], element, bound_name| SchemaTensor {
        name: name.into(),
        axes: axes.to_vec(),
        element,
        bound_name,
        category: false,
    };
    let mut schema = Schema {
        sizes: axes.to_vec(),
        ..Schema::default()
    };
    let features = stated.iter().find(|s| s.name == FEATURES);
    if let Some(&columns) = features.and_then(|f| f.sizes.as_ref()?.last()) {
        let columns = ("columns".to_string(), columns);
        let axes = [axes, std::slice::from_ref(&columns)].concat();
        schema.tensors.push(tensor(FEATURES, &axes, Element::Real, None));
        schema.sizes.push(columns);
    }
    for category in stated.iter().filter(|s| s.name != target.name) {
        if let Element::Id { bound } = category.element {
            let count = format!("{}_count", category.name);
            schema.tensors.push(SchemaTensor {
                category: true,
                ..tensor(&category.name, axes, category.element, Some(count.clone()))
            });
            schema.sizes.push((count, bound));
        }
    }
    match stated.iter().find(|s| s.name == target.name).map(|s| s.element) {
        Some(element @ Element::Id { bound }) => {
            schema
                .tensors
                .push(tensor(&target.name, of_target, element, Some("classes".into())));
            schema.sizes.push(("classes".into(), bound));
            schema.balanced = vec![1.0; bound];
        }
        _ => {
            schema
                .tensors
                .push(tensor(&target.name, of_target, Element::Real, None));
            schema.units.extend(normalise.then(|| (target.name.clone(), 1.0)));
        }
    }
    schema
}
