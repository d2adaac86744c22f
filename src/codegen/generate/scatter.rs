//! Scatters with ids that collide.

use super::{Case, Generator};
use crate::ir::kernel::*;

impl Generator {
    /// A scatter with ids that collide.
    pub fn scatter_case(&mut self) -> Case {
        self.start();
        let (outer, vector) = (self.sizes(2), self.vector_size());
        let mut items = self.sizes(2);
        items.push(self.pick(&[1, 3, 9]));
        let sizes: Vec<usize> = [vector].iter().chain(&outer).chain(&items).copied().collect();
        let usable: Vec<usize> = (0..sizes.len()).collect();
        let (source_at, elements) = self.position(&sizes, &usable);
        let source = self.buffer(Storage::F32, elements, false);
        let (table_at, row) = self.own_position(&sizes, &usable[..1 + outer.len()]);
        let mut ids = vec![];
        let mut size = row;
        for _ in 0..1 + self.below(2) {
            let (at, elements) = self.position(&sizes, &usable[1..]);
            let buffer = self.buffer(Storage::I32, elements, false);
            let bound = 1 + self.below(5);
            self.bounds[buffer.0 as usize] = Some(bound);
            ids.push((buffer, at, size as i64));
            size *= bound;
        }
        let table = self.buffer(Storage::F32, size, true);
        let vector_per_task = if self.chance(2) { LANES } else { vector };
        self.finish(KernelBody::Scatter(Scatter {
            outer,
            items,
            vector,
            source,
            source_at,
            ids,
            table,
            table_at,
            vector_per_task,
        }))
    }
}
