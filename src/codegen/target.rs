//! What code is made for: an instruction set and a register width. It finds out what the CPU can do; it makes no code.

use super::dot_speed::dot_products_are_faster;
use super::tiles::have_tiles;
use super::wide::encode_vector::Width;
use crate::ir::kernel::{Kernel, KernelBody};
use crate::ir::kernel_verify::Violation;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

/// Why no code was made.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The bits need fused multiply-add, and it would be a slow library call.
    #[error("this CPU has no fused multiply-add (FMA3), which mspec needs")]
    NoFusedMultiplyAdd,
    /// Cranelift does not know the machine.
    #[error("no code can be made for this machine: {0}")]
    Machine(String),
    /// A mistake of ours.
    #[error("kernel {number}: {violation}")]
    Kernel {
        /// Which.
        number: usize,
        /// What.
        violation: Violation,
    },
    /// A mistake of ours, or no memory.
    #[error("Cranelift refused {unit}: {message}")]
    Cranelift {
        /// Which function.
        unit: String,
        /// What it says.
        message: String,
    },
}

/// How products by pairs are multiplied; all give the same bits, but that the last lets subnormal numbers be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pairs {
    /// With the instruction VDPBF16PS, at 512 bits.
    Dot,
    /// With multiply-adds, while x86's control register tells them to flush subnormal numbers.
    Flushed,
    /// With multiply-adds.
    Plain,
}

/// The vector registers that code works with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Simd {
    /// Their bits: above 128, the wide emitter writes the inner loops.
    pub width: Width,
    /// What is done with products by pairs.
    pub pairs: Pairs,
    /// Whether those that [fit](crate::ir::kernel::MatrixProduct::fits_tiles) are multiplied in tiles instead, at 512 bits.
    pub tiles: bool,
}

impl Simd {
    /// The same machine at 128 bits.
    pub fn narrow(self) -> Simd {
        let pairs = match self.pairs {
            Pairs::Dot => Pairs::Flushed,
            pairs => pairs,
        };
        Simd {
            width: Width::W128,
            pairs,
            tiles: false,
        }
    }
}

/// What code is made for.
#[derive(Clone)]
pub struct Target {
    pub(super) isa: OwnedTargetIsa,
    pub(super) simd: Simd,
}

impl Target {
    /// This machine, with registers as wide as it has, or as `MSPEC_SIMD` says (128, 256 or 512). Where it has dot products
    /// of bfloat16 numbers and the kernels could use them, it does if they are faster, or if 512 bits are asked for. Where
    /// it has tiles and the kernels could use them, it does unless a number of bits is asked for: then the bits of all
    /// sums are those of machines that have none.
    pub fn native(kernels: &[Kernel]) -> Result<Target, CodegenError> {
        let widest = *Target::widths().last().expect("128 bits are always there");
        let Ok(wanted) = std::env::var("MSPEC_SIMD") else {
            let mut target = Target::native_with(widest)?;
            let products = kernels.iter().filter_map(|kernel| match &kernel.body {
                KernelBody::Product(k) if k.by_pairs => Some(k.fits_tiles(&kernel.buffers)),
                _ => None,
            });
            let fits: Vec<bool> = products.collect();
            if fits.contains(&true) {
                target = target.with_tiles();
            }
            // Only who uses dot products measures them.
            let asked = target.simd.pairs == Pairs::Dot && fits.iter().any(|fits| !(target.simd.tiles && *fits));
            return Ok(match asked && !dot_products_are_faster() {
                true => target.without_dot_products(),
                false => target,
            });
        };
        match wanted.parse() {
            Ok(bits @ (128 | 256 | 512)) => Target::native_with(bits),
            _ => Err(CodegenError::Machine(format!(
                "MSPEC_SIMD is `{wanted}`, not 128, 256 or 512"
            ))),
        }
    }

    /// This machine with registers of some bits, which it must have.
    pub fn native_with(bits: usize) -> Result<Target, CodegenError> {
        if !Target::widths().contains(&bits) {
            return Err(CodegenError::Machine(format!(
                "this CPU has no registers of {bits} bits that mspec can use"
            )));
        }
        let builder = cranelift_native::builder().map_err(|m| CodegenError::Machine(m.into()))?;
        let width = match bits {
            128 => Width::W128,
            256 => Width::W256,
            _ => Width::W512,
        };
        let target = Target::of(builder)?;
        let pairs = match width {
            Width::W512 if has_bf16_dot_products() => Pairs::Dot,
            _ => target.simd.pairs,
        };
        let tiles = false;
        let simd = Simd { width, pairs, tiles };
        Ok(Target { simd, ..target })
    }

    /// The same, but a CPU that has no dot products of bfloat16 numbers.
    pub fn without_dot_products(mut self) -> Target {
        self.simd.pairs = self.simd.narrow().pairs;
        self
    }

    /// The same, with tiles where the machine has them and registers of 512 bits.
    pub fn with_tiles(mut self) -> Target {
        self.simd.tiles = self.simd.width == Width::W512 && have_tiles();
        self
    }

    /// Register widths that this machine has, in bits, ascending: what the CPU says it can do, whoever made it.
    pub fn widths() -> Vec<usize> {
        #[allow(unused_mut, reason = "only some machines have more")]
        let mut widths = vec![128];
        #[cfg(all(target_arch = "x86_64", unix))]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                widths.push(256);
                if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
                    widths.push(512);
                }
            }
        }
        widths
    }

    /// Whether products that [fit](crate::ir::kernel::MatrixProduct::fits_tiles) are multiplied in tiles.
    pub fn has_tiles(&self) -> bool {
        self.simd.tiles
    }

    /// Bits of the vector registers.
    pub fn bits(&self) -> usize {
        self.simd.width.bytes() * 8
    }

    /// A machine by the name of its instruction set, for printing: `x86-64` (with AVX2 and FMA) or `aarch64`.
    pub fn named(name: &str) -> Result<Target, CodegenError> {
        let (triple, features): (&str, &[&str]) = match name {
            "x86-64" => {
                let features = &[
                    "has_sse3",
                    "has_ssse3",
                    "has_sse41",
                    "has_sse42",
                    "has_popcnt",
                    "has_avx",
                    "has_avx2",
                    "has_bmi1",
                    "has_bmi2",
                    "has_lzcnt",
                    "has_fma",
                ];
                ("x86_64-unknown-linux-gnu", features)
            }
            "aarch64" => ("aarch64-unknown-linux-gnu", &[]),
            _ => return Err(CodegenError::Machine(format!("`{name}` is neither x86-64 nor aarch64"))),
        };
        let machine = |e: &dyn std::fmt::Display| CodegenError::Machine(format!("{name}: {e}"));
        let mut builder = isa::lookup_by_name(triple).map_err(|e| machine(&e))?;
        for feature in features {
            builder.enable(feature).map_err(|e| machine(&e))?;
        }
        Target::of(builder)
    }

    fn of(builder: isa::Builder) -> Result<Target, CodegenError> {
        let mut flags = settings::builder();
        let wanted = [
            // Instructions come in the order in which they run best; the optimizer would take it apart.
            ("opt_level", "none"),
            ("enable_verifier", "true"),
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
            ("unwind_info", "false"),
            ("enable_probestack", "false"),
        ];
        for (name, value) in wanted {
            flags
                .set(name, value)
                .map_err(|e| CodegenError::Machine(e.to_string()))?;
        }
        let flags = settings::Flags::new(flags);
        let isa = builder
            .finish(flags)
            .map_err(|e| CodegenError::Machine(e.to_string()))?;
        let lacks = |flag: &str| {
            isa.isa_flags()
                .iter()
                .any(|f| f.name == flag && f.as_bool() == Some(false))
        };
        if lacks("has_fma") || lacks("has_avx") {
            return Err(CodegenError::NoFusedMultiplyAdd);
        }
        let simd = Simd {
            width: Width::W128,
            pairs: match isa.name() {
                "x64" => Pairs::Flushed,
                _ => Pairs::Plain,
            },
            tiles: false,
        };
        Ok(Target { isa, simd })
    }
}

/// Whether the CPU has AVX512_BF16.
fn has_bf16_dot_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
