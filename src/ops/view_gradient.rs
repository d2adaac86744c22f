//! The gradient of a view: again a view, of the result's gradient, with a sum where an element is read several times.
//!
//! Where no transpose can be written, the gradient is scattered: right for every view, and slower.

use super::Backward;
use super::construct::GraphBuilder;
use super::view_transpose::transpose;
use crate::ir::affine::{Guard, Position};
use crate::ir::graph::{GatherPosition, NodeId};

/// The gradient by a view's operand.
pub fn gradient(positions: &[Position], guards: &[Guard], backward: &mut Backward) -> NodeId {
    let b = &mut *backward.builder;
    let operand = b.shape(backward.operands[0]).to_vec();
    let result = b.shape(backward.gradient).to_vec();
    // Axes that only repeat are summed before anything else.
    let used = |axis: &usize| positions.iter().any(|p| p.uses(*axis)) || guards.iter().any(|g| g.uses(*axis));
    let (kept, repeated): (Vec<usize>, Vec<usize>) = (0..result.len()).partition(used);
    let dy = b.sum(backward.gradient, &repeated);
    let renumbered: Vec<Position> = (0..result.len())
        .map(|axis| {
            kept.iter()
                .position(|&k| k == axis)
                .map_or(Position::default(), Position::axis)
        })
        .collect();
    let sizes: Vec<usize> = kept.iter().map(|&axis| result[axis]).collect();
    let rename = |p: &Position| p.substitute(&renumbered, &sizes).expect("renaming axes keeps the form");
    let positions: Vec<Position> = positions.iter().map(rename).collect();
    let rename = |g: &Guard| g.substitute(&renumbered, &sizes).expect("renaming axes keeps the form");
    let guards: Vec<Guard> = guards.iter().map(rename).collect();
    let Some(transposed) = transpose(&positions, &guards, &operand, &sizes) else {
        return scattered(dy, &positions, &guards, &operand, b);
    };
    let view = b.view(dy, &transposed.sizes, transposed.positions, transposed.guards, 0.0);
    b.sum(view, &(operand.len()..transposed.sizes.len()).collect::<Vec<_>>())
}

/// The gradient where no transpose can be written: each element is added where it was read.
fn scattered(dy: NodeId, positions: &[Position], guards: &[Guard], operand: &[usize], b: &mut GraphBuilder) -> NodeId {
    let shape = b.shape(dy).to_vec();
    // What was read outside is not to be added anywhere: it is 0, and its place does not matter.
    let ones = b.constant(operand, 1.0);
    let inside = b.view(ones, &shape, positions.to_vec(), guards.to_vec(), 0.0);
    let dy = b.multiply(dy, inside);
    if operand.is_empty() {
        return b.sum(dy, &(0..shape.len()).collect::<Vec<_>>());
    }
    let ids: Vec<NodeId> = positions
        .iter()
        .zip(operand)
        .map(|(position, &size)| {
            let index = b.index_id(&[size], 0);
            b.view(index, &shape, vec![position.clone()], guards.to_vec(), 0.0)
        })
        .collect();
    let places = (0..operand.len()).map(|axis| GatherPosition::Ids {
        operand: axis + 1,
        axes: (0..shape.len()).collect(),
    });
    b.scatter_add(dy, places.collect(), &ids, operand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::graph::{Element, Graph, InputDeclaration, InputId, Op};
    use crate::ops::CATALOG;
    use crate::ops::interpret::interpret;
    use crate::ops::sample::draw;
    use crate::ops::tensor64::{Environment, Tensor64};

    /// The scattered gradient of every sample is the one that the sample's transpose gives.
    #[test]
    fn scattering_is_right_for_every_view() {
        for sample in CATALOG.iter().flat_map(|samples| samples()) {
            let Op::View { positions, guards, .. } = &sample.op else {
                continue;
            };
            let operand = &sample.operands[0].0.shape;
            let declared = InputDeclaration {
                name: "dy".into(),
                shape: sample.result.shape.clone(),
                element: Element::Real,
            };
            let mut b = GraphBuilder::new(Graph::declaring(vec![declared], vec![], vec![], vec![]));
            let dy = b.input(InputId(0));
            let dx = scattered(dy, positions, guards, operand, &mut b);
            let given = draw(&sample.result, crate::ops::Domain::Between(-1.0, 1.0), 3);
            let mut expected = Tensor64::from_index(operand, |_| 0.0);
            Tensor64::from_index(&sample.result.shape, |o| {
                if guards.iter().all(|g| g.holds(o)) {
                    let at: Vec<usize> = positions.iter().map(|p| p.at(o) as usize).collect();
                    let offset = expected.offset(&at);
                    expected.data[offset] += given.at(o);
                }
                0.0
            });
            let environment = Environment {
                inputs: vec![given],
                ..Environment::default()
            };
            let found = &interpret(b.graph(), &environment)[dx.0 as usize];
            for (found, expected) in found.data.iter().zip(&expected.data) {
                assert!((found - expected).abs() < 1e-12, "{:?}", sample.op);
            }
        }
    }
}
