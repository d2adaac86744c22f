//! Whether this process may use tiles (x86-64's AMX, with products of bfloat16 numbers): the CPU has them, and the system
//! makes room for what is in them when it switches threads, which it does if it is asked.

/// Asks once for the process. From then on all of its threads may use tiles, those that begin later too.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn have_tiles() -> bool {
    use std::sync::OnceLock;
    static HAVE: OnceLock<bool> = OnceLock::new();
    *HAVE.get_or_init(|| cpu_has_tiles() && system_keeps_tiles())
}

/// AMX-TILE and AMX-BF16: bits 24 and 22 of EDX of leaf 7.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn cpu_has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
    const FEATURES: u32 = 7;
    let wanted = 1 << 24 | 1 << 22;
    __get_cpuid_max(0).0 >= FEATURES && __cpuid_count(FEATURES, 0).edx & wanted == wanted
}

/// Linux refuses where it or the machine that it runs in does not know tiles, or where a thread's stack for signals has no
/// room for them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn system_keeps_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: this request takes two numbers, and changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

/// No other machine or system is known to have them.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn have_tiles() -> bool {
    false
}
