//! A product with rows that are gathered from a small table → the rows of one product with the whole table: what an
//! embedding's 65 rows become in the next layer is computed 65 times, not once for each token. Each element is the same
//! sum in the same order as before; the gradient, which follows from the new form, adds up equal rows before its products.

use super::construct::GraphBuilder;
use crate::ir::graph::{Element, GatherPosition, NodeId, Op};

/// So many times the table's rows must be gathered before its product is worth a gather of the (mostly longer) results.
const WORTH_IT: usize = 2;

/// An operand of a contraction.
pub(super) type Side<'s> = (NodeId, &'s [u8]);

impl GraphBuilder {
    /// The contraction of `side` with `other` as a gather, if `side` is gathered from a table with far fewer rows and
    /// the gathered axes are neither summed nor run together with `other`'s.
    pub(super) fn gathered_product(
        &mut self,
        (side, labels): Side,
        (other, other_labels): Side,
        out: &[u8],
    ) -> Option<NodeId> {
        let node = self.graph().node(side).clone();
        let Op::Gather { positions } = &node.op else {
            return None;
        };
        let (table, ids) = node.operands.split_first()?;
        let described = self.graph().node(*table);
        let fresh: Vec<u8> = (0..=u8::MAX)
            .filter(|label| ![labels, other_labels, out].iter().any(|list| list.contains(label)))
            .collect();
        let mut table_labels = vec![];
        let mut gathered: Vec<usize> = vec![];
        let (mut rows, mut lookups) = (1, 1);
        for (axis, position) in positions.iter().enumerate() {
            table_labels.push(match position {
                GatherPosition::Axis(of) => labels[*of],
                GatherPosition::Ids { axes, .. } => {
                    rows *= described.shape[axis];
                    gathered.extend(axes);
                    *fresh.get(axis)?
                }
            });
        }
        gathered.sort_unstable();
        gathered.dedup();
        gathered.iter().for_each(|&axis| lookups *= node.shape[axis]);
        let free = |&axis: &usize| {
            let label = labels[axis];
            out.contains(&label) && !other_labels.contains(&label) && !table_labels.contains(&label)
        };
        let plain = |label: &u8| labels.contains(label);
        let each_once = (1..table_labels.len()).all(|i| !table_labels[..i].contains(&table_labels[i]));
        let summed = |label: &u8| plain(label) && other_labels.contains(label) && !out.contains(label);
        let worth_it = rows.checked_mul(WORTH_IT).is_some_and(|least| least <= lookups);
        if described.element != Element::Real
            || !each_once
            || !gathered.iter().all(free)
            || !table_labels.iter().any(summed)
            || !worth_it
        {
            return None;
        }
        // The table's product: its rows first, then the result's other axes in their order.
        let of_ids = table_labels.iter().copied().filter(|label| !plain(label));
        let rest = out
            .iter()
            .copied()
            .filter(|label| !gathered.iter().any(|&axis| labels[axis] == *label));
        let product_labels: Vec<u8> = of_ids.chain(rest).collect();
        let (table, ids) = (*table, ids.to_vec());
        let product = self.contract(table, &table_labels, other, other_labels, &product_labels);
        let place = |label: u8| out.iter().position(|&l| l == label).expect("it is kept");
        let ids_of = positions.iter().filter_map(|position| match position {
            GatherPosition::Axis(_) => None,
            GatherPosition::Ids { operand, axes } => Some(GatherPosition::Ids {
                operand: *operand,
                axes: axes.iter().map(|&axis| place(labels[axis])).collect(),
            }),
        });
        let ids_of: Vec<GatherPosition> = ids_of.collect();
        let axes = product_labels[ids_of.len()..]
            .iter()
            .map(|&label| GatherPosition::Axis(place(label)));
        let positions = ids_of.iter().cloned().chain(axes).collect();
        let size = |label: &u8| {
            let at = |list: &[u8]| list.iter().position(|l| l == label);
            match at(labels) {
                Some(axis) => node.shape[axis],
                None => self.shape(other)[at(other_labels).expect("a kept label is an operand's")],
            }
        };
        let shape: Vec<usize> = out.iter().map(size).collect();
        Some(self.gather(product, positions, &ids, &shape))
    }
}
