//! Freed memory, back to the system. An allocator keeps what it gets back for the requests to come; what compiling and
//! reading weights have freed would so lie beside the arenas for a whole training, which asks for nothing any more.

/// Gives the pages that hold no allocation back to the system, where the allocator can be asked to (glibc's can).
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` may be called at any time from any thread: it takes the allocator's own locks, and only pages
    // on which no allocation lies are given away.
    unsafe {
        libc::malloc_trim(0);
    }
}
