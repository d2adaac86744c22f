//! Which of its buffers a kernel may write where another one lies that it reads: what [`Buffer::written`] demands.

use super::affine::Position;
use super::kernel::*;

/// Where in a kernel an instruction stands: the pass, whether it is in `finish`, and its number there.
type Place = (usize, bool, usize);
/// An instruction that touches a buffer, and which element.
type Access<'k> = (Place, &'k Position);

impl Kernel {
    /// Whether the memory of a buffer that it reads may become that of one that it writes: every element is read only at
    /// the element that is written, and before.
    pub fn may_overwrite(&self, read: BufferId, written: BufferId) -> bool {
        let (from, to) = (&self.buffers[read.0 as usize], &self.buffers[written.0 as usize]);
        let alike = (from.storage, from.elements) == (to.storage, to.elements);
        if !alike || from.written || !to.written || self.is_operand(read) {
            return false;
        }
        let bodies = self.bodies();
        let defines = bodies
            .iter()
            .flat_map(|&(pass, finish, body)| (0..).zip(body).map(move |(at, d)| ((pass, finish, at), &d.instruction)));
        let (mut loads, mut stores): (Vec<Access>, Vec<Access>) = (vec![], vec![]);
        for (place, instruction) in defines {
            match instruction {
                Instruction::Load { buffer, at, .. } if *buffer == read => loads.push((place, at)),
                Instruction::Store { buffer, at, .. } if *buffer == written => stores.push((place, at)),
                Instruction::Gather { buffer, .. } if *buffer == read => return false,
                _ => {}
            }
        }
        let rows = match &self.body {
            KernelBody::Loop(k) => k.outer.len(),
            KernelBody::Product(k) => k.batch.len() + 1,
            KernelBody::Scatter(_) => return false,
        };
        let of_the_row = |at: &Position| {
            let digits = at.digits.iter().flat_map(|d| &d.of.terms);
            let mut axes = at.affine.terms.iter().chain(digits);
            axes.all(|&(axis, _)| axis <= rows)
        };
        let before = |load: Place, store: Place, at: &Position| {
            let same_iteration = (load.0, load.1) == (store.0, store.1) && load.2 < store.2;
            same_iteration || load.0 < store.0 && of_the_row(at)
        };
        let fits = |&(load, from): &Access| stores.iter().all(|&(store, to)| from == to && before(load, store, to));
        !loads.is_empty() && !stores.is_empty() && loads.iter().all(fits)
    }

    /// Whether a product multiplies it, or a scatter reads it.
    pub fn is_operand(&self, buffer: BufferId) -> bool {
        match &self.body {
            KernelBody::Loop(_) => false,
            KernelBody::Product(k) => k.a.buffer == buffer || k.b.buffer == buffer,
            KernelBody::Scatter(_) => true,
        }
    }

    /// All bodies, with the number of their pass and whether they are its `finish`.
    pub fn bodies(&self) -> Vec<(usize, bool, &Body)> {
        match &self.body {
            KernelBody::Loop(k) => k.passes.iter().enumerate().flat_map(pass_bodies).collect(),
            KernelBody::Product(k) => vec![(0, false, &k.epilogue)],
            KernelBody::Scatter(_) => vec![],
        }
    }
}

fn pass_bodies((number, pass): (usize, &Pass)) -> [(usize, bool, &Body); 2] {
    [(number, false, &pass.body), (number, true, &pass.finish)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(value: u32, buffer: u32, at: Position) -> Define {
        let instruction = Instruction::Load {
            buffer: BufferId(buffer),
            at,
            guards: vec![],
            fill: 0.0,
        };
        Define {
            value: ValueId(value),
            instruction,
        }
    }

    fn store(value: u32, buffer: u32, at: Position, of: u32) -> Define {
        let instruction = Instruction::Store {
            buffer: BufferId(buffer),
            at,
            value: ValueId(of),
        };
        Define {
            value: ValueId(value),
            instruction,
        }
    }

    /// Rows of 32 with these passes; buffer 0 is read, buffer 1 written.
    fn kernel(passes: Vec<Body>) -> Kernel {
        let buffer = |written| Buffer {
            storage: Storage::F32,
            elements: 256,
            written,
        };
        Kernel {
            buffers: vec![buffer(false), buffer(true)],
            body: KernelBody::Loop(LoopKernel {
                outer: vec![8],
                vector: 32,
                rows_kept: 0,
                passes: passes.into_iter().map(Pass::straight).collect(),
                rows_per_task: 1,
                vector_per_task: None,
            }),
        }
    }

    fn may(kernel: &Kernel) -> bool {
        kernel.may_overwrite(BufferId(0), BufferId(1))
    }

    #[test]
    fn an_element_may_be_replaced_where_it_is_read() {
        let own = || Position::axis(1).times(32).plus(&Position::axis(0));
        let other = || Position::axis(0).times(8).plus(&Position::axis(1));
        assert!(may(&kernel(vec![vec![load(0, 0, own()), store(1, 1, own(), 0)]])));
        let twice = vec![vec![load(0, 0, own())], vec![load(1, 0, own()), store(2, 1, own(), 1)]];
        assert!(may(&kernel(twice)), "an earlier pass reads its own row");
        let elsewhere = vec![vec![load(0, 0, other()), store(1, 1, own(), 0)]];
        assert!(!may(&kernel(elsewhere)), "another iteration reads what this one writes");
        let also_elsewhere = vec![vec![load(0, 0, own()), load(1, 0, other()), store(2, 1, own(), 0)]];
        assert!(!may(&kernel(also_elsewhere)));
        let behind = vec![vec![load(0, 0, own()), store(1, 1, own(), 0), load(2, 0, own())]];
        assert!(!may(&kernel(behind)), "it is read again behind the store");
        let later = vec![vec![load(0, 0, own()), store(1, 1, own(), 0)], vec![load(2, 0, own())]];
        assert!(!may(&kernel(later)), "a later pass reads it again");
        let mut smaller = kernel(vec![vec![load(0, 0, own()), store(1, 1, own(), 0)]]);
        smaller.buffers[1].storage = Storage::Bf16;
        assert!(!may(&smaller));
    }
}
