//! Which memory a member of the team works with: addresses that all share, and what is its own.

use super::step::Step;
use std::ptr::NonNull;

/// The memory with which a member does its part.
pub struct MemberMemory<'m> {
    /// The addresses of [`Steps::locations`](super::step::Steps::locations); of what has none that all share, any.
    pub pointers: &'m [*mut u8],
    /// As many addresses as [`Steps::own_pointers`](super::step::Steps::own_pointers) says, the member's alone.
    pub own: &'m mut [*mut u8],
    /// What the code needs for itself.
    pub scratch: *mut u8,
    /// Room for what lives inside a band.
    pub room: *mut u8,
}

impl MemberMemory<'_> {
    /// The addresses with which a step is called.
    pub(super) fn buffers(&self, step: &Step) -> *const *mut u8 {
        match step.passing.is_empty() {
            true => self.pointers[step.pointers.clone()].as_ptr(),
            false => self.own[step.own..][..step.pointers.len()].as_ptr(),
        }
    }

    /// Lets the part of a band lie in the room.
    pub(super) fn enter(&mut self, step: &Step, band: usize) {
        if step.passing.is_empty() {
            return;
        }
        let own = &mut self.own[step.own..][..step.pointers.len()];
        own.copy_from_slice(&self.pointers[step.pointers.clone()]);
        for passing in &step.passing {
            // Wrapping: the tensor's start is nowhere, only the part of this band is.
            let moved = passing.offset as isize + passing.step as isize * band as isize;
            own[passing.buffer] = self.room.wrapping_offset(moved);
        }
    }
}

/// The memory of all members.
pub struct TeamMemory<'m> {
    pointers: &'m [*mut u8],
    own: NonNull<*mut u8>,
    own_each: usize,
    scratch: NonNull<u8>,
    scratch_each: usize,
    /// Where in a member's scratch memory its room for bands begins.
    room: usize,
}

// SAFETY: every member takes only its own part. Which member writes where in what all share is settled by the kernels'
// tasks: those of one launch write different elements, and launches that touch the same memory have a barrier between them.
unsafe impl Sync for TeamMemory<'_> {}

impl<'m> TeamMemory<'m> {
    /// Every member has `own_each` addresses of `own` for itself, and `scratch_each` bytes behind `scratch`, where its room
    /// for bands begins at `room`.
    pub fn new(
        pointers: &'m [*mut u8],
        own: (&'m mut [*mut u8], usize),
        scratch: (NonNull<u8>, usize),
        room: usize,
    ) -> TeamMemory<'m> {
        TeamMemory {
            pointers,
            own: NonNull::from(own.0).cast(),
            own_each: own.1,
            scratch: scratch.0,
            scratch_each: scratch.1,
            room,
        }
    }

    /// A member's part.
    ///
    /// # Safety
    /// There is memory for so many members, and nobody else has this one's.
    pub unsafe fn of(&self, index: usize) -> MemberMemory<'_> {
        // SAFETY: the caller's promise; parts of different members do not overlap.
        unsafe {
            let own = self.own.add(index * self.own_each);
            let scratch = self.scratch.add(index * self.scratch_each);
            MemberMemory {
                pointers: self.pointers,
                own: std::slice::from_raw_parts_mut(own.as_ptr(), self.own_each),
                scratch: scratch.as_ptr(),
                room: scratch.add(self.room).as_ptr(),
            }
        }
    }
}
