//! Whether this CPU's dot products of bfloat16 numbers are worth using: on some machines one takes as long as four
//! multiply-adds and does the work of two. Both give the same bits, so that it may be measured.

/// Times that an instruction's loop is measured, of which the least counts.
const TRIES: usize = 24;
/// Rounds of a loop: some microseconds.
const ROUNDS: u64 = 1000;

/// Whether products by pairs take less time with VDPBF16PS, which does the work of two multiply-adds, at 512 bits. The CPU
/// has it.
#[cfg(target_arch = "x86_64")]
pub fn dot_products_are_faster() -> bool {
    use std::sync::OnceLock;
    static FASTER: OnceLock<bool> = OnceLock::new();
    *FASTER.get_or_init(|| {
        let least = |run: fn()| {
            let times = (0..TRIES).map(|_| {
                let begin = std::time::Instant::now();
                run();
                begin.elapsed()
            });
            times.min().unwrap_or_default()
        };
        // Once for the registers' power, then to be compared.
        least(multiply_adds);
        // What is left to be won must also pay for joining the pairs.
        least(dot_products) * 2 < least(multiply_adds) * 3
    })
}

/// A loop of twelve independent sums, each with the instruction that is named.
#[cfg(target_arch = "x86_64")]
macro_rules! sums {
    ($name:ident, $instruction:literal) => {
        fn $name() {
            // SAFETY: the caller has seen that the CPU has the instruction. Only vector registers, which are said to
            // change, and the counter are touched: no memory, no stack.
            unsafe {
                std::arch::asm!(
                    "vpxord zmm12, zmm12, zmm12",
                    "2:",
                    ".irp sum, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
                    concat!($instruction, " zmm\\sum, zmm12, zmm12"),
                    ".endr",
                    "dec {rounds}",
                    "jnz 2b",
                    "vzeroupper",
                    rounds = inout(reg) ROUNDS => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack),
                );
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
sums!(multiply_adds, "vfmadd231ps");
#[cfg(target_arch = "x86_64")]
sums!(dot_products, "vdpbf16ps");

/// No other machine's are known here.
#[cfg(not(target_arch = "x86_64"))]
pub fn dot_products_are_faster() -> bool {
    false
}
