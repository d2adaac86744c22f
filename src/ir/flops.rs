//! How much work a graph is.

use super::graph::{Graph, Op};

/// A multiplication and an addition for each product of each contraction.
pub fn of_products(graph: &Graph) -> u64 {
    let flops = |id| {
        let node = graph.node(id);
        if let Op::Scan(scan) = &node.op {
            return scan.steps as u64 * of_products(&scan.body);
        }
        let Op::Contract { a, b, out } = &node.op else { return 0 };
        let mut sizes: Vec<(u8, usize)> = vec![];
        for (labels, operand) in [(a, 0), (b, 1)] {
            let shape = &graph.node(node.operands[operand]).shape;
            sizes.extend(labels.iter().copied().zip(shape.iter().copied()));
        }
        debug_assert!(out.iter().all(|l| sizes.iter().any(|s| s.0 == *l)));
        sizes.sort_unstable();
        sizes.dedup();
        2 * sizes.iter().map(|s| s.1 as u64).product::<u64>()
    };
    graph.ids().map(flops).sum()
}
