//! A piece of zeroed memory between two guard pages, so that an access beyond its ends stops the program instead of
//! going anywhere.

use std::io;
use std::ptr::{self, NonNull};

/// Large arenas start at multiples of this and ask for pages of this size.
const HUGE_PAGE: usize = 2 << 20;

/// Memory of a fixed size, zeroed, aligned to a page at least. Freed when dropped.
pub struct Arena {
    mapping: NonNull<libc::c_void>,
    mapped: usize,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: an arena owns its mapping; who reads and writes through its address is up to the holders of that address.
unsafe impl Send for Arena {}
// SAFETY: shared references to an arena only give its address and size.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps memory; pages are only taken from the system when they are touched.
    pub fn new(bytes: usize) -> io::Result<Arena> {
        let page = page_size();
        let alignment = if bytes >= 2 * HUGE_PAGE { HUGE_PAGE } else { page };
        let usable = bytes.max(1).next_multiple_of(page);
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let mapped = usable.checked_add(2 * page + alignment).ok_or_else(too_large)?;
        // SAFETY: a new private mapping at an address of the system's choice touches nothing that exists.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(mapping).ok_or_else(too_large)?;
        let address = mapping.as_ptr() as usize;
        let offset = (address + page).next_multiple_of(alignment) - address;
        // SAFETY: `offset` is at most `page + alignment`, which is less than `mapped`.
        let start = unsafe { mapping.cast::<u8>().add(offset) };
        let arena = Arena {
            mapping,
            mapped,
            start,
            bytes,
        };
        // SAFETY: the range lies inside the mapping, with at least a page left on both sides.
        if unsafe { libc::mprotect(start.as_ptr().cast(), usable, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        #[cfg(target_os = "linux")]
        if alignment == HUGE_PAGE {
            // SAFETY: advice about our own mapping changes no contents. It is a wish: failing does no harm.
            unsafe { libc::madvise(start.as_ptr().cast(), usable, libc::MADV_HUGEPAGE) };
        }
        Ok(arena)
    }

    /// The first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes were asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the last holder of its address is gone with us.
        unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
    }
}

fn page_size() -> usize {
    // SAFETY: sysconf only reads.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .unwrap_or(4096)
        .max(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_writable_to_its_ends() {
        for bytes in [0, 1, 4096, 5000, 5 << 20] {
            let arena = Arena::new(bytes).unwrap();
            assert_eq!(arena.bytes(), bytes);
            assert!((arena.start().as_ptr() as usize).is_multiple_of(4096));
            // SAFETY: the arena is that large, and nobody else has its address.
            let memory = unsafe { std::slice::from_raw_parts_mut(arena.start().as_ptr(), bytes) };
            assert!(memory.iter().all(|byte| *byte == 0));
            memory.fill(7);
        }
    }
}
