//! What this machine reaches at most with the code that mspec makes: fused multiply-adds in registers, and copying
//! memory. Measured with kernels like any other, on the threads that a step runs on; decides nothing.

use super::{Machine, MachineError, Program, ProgramId};
use crate::ir::affine::Position;
use crate::ir::kernel::*;
use crate::ir::plan::{ALIGNMENT, Launch, Location, Plan, Region};
use crate::text::Span;
use std::time::Instant;

/// The ceilings of a number of threads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ceilings {
    /// Additions and multiplications, 10⁹ a second.
    pub gflops: f64,
    /// Bytes read and written, 10⁹ a second.
    pub copy_gb_per_s: f64,
}

/// Elements of the registers that the multiply-adds work on.
const FMA_ELEMENTS: usize = 128;
/// Multiply-adds of each chain.
const FMA_LENGTH: usize = 96;
/// Rows of the kernel, for the threads to share.
const FMA_ROWS: usize = 1 << 12;
/// Chains that do not wait for each other; which number is best depends on how a register is as wide.
const FMA_CHAINS: &[usize] = &[1, 2, 3, 4, 8, 12];
/// Elements that are copied: beyond every cache.
const COPIED: usize = 1 << 25;
/// The best of this many runs counts.
const RUNS: usize = 12;

/// Measures for about a second.
pub fn ceilings(threads: usize) -> Result<Ceilings, MachineError> {
    let mut gflops: f64 = 0.0;
    for &chains in FMA_CHAINS {
        let seconds = best(multiply_adds(chains), threads)?;
        let operations = 2 * chains * FMA_LENGTH * FMA_ELEMENTS * FMA_ROWS;
        gflops = gflops.max(operations as f64 / seconds / 1e9);
    }
    let seconds = best(copy(), threads)?;
    Ok(Ceilings {
        gflops,
        copy_gb_per_s: 8.0 * COPIED as f64 / seconds / 1e9,
    })
}

/// The shortest time of one run, in seconds.
fn best(kernel: Kernel, threads: usize) -> Result<f64, MachineError> {
    let mut plan = Plan::default();
    let locations = kernel.buffers.iter().map(|buffer| {
        let offset = plan.transient_bytes;
        plan.transient_bytes += buffer.storage.bytes(buffer.elements).next_multiple_of(ALIGNMENT);
        Location {
            region: Region::Transient,
            offset,
        }
    });
    let launch = Launch {
        locations: locations.collect(),
        steps: vec![],
        call: Call {
            kernel: 0,
            tensors: vec![],
            slices: vec![],
            nodes: vec![],
            span: Span::NOWHERE,
            caller: Span::NOWHERE,
            name: "ceiling".into(),
        },
    };
    plan.launches.push(launch);
    plan.kernels.push(kernel);
    let mut machine = Machine::new(vec![Program::compile(&plan, threads)?], threads)?;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begin = Instant::now();
        machine.run(ProgramId(0));
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// `chains` sums of products in registers, stored once at the end.
fn multiply_adds(chains: usize) -> Kernel {
    let mut body: Body = vec![];
    let mut define = |instruction| {
        let value = ValueId(body.len() as u32);
        body.push(Define { value, instruction });
        value
    };
    let at = Position::axis(VECTOR_AXIS);
    let x = define(Instruction::Load {
        buffer: BufferId(0),
        at: at.clone(),
        guards: vec![],
        fill: 0.0,
    });
    let constants: Vec<ValueId> = (0..chains)
        .map(|n| define(Instruction::Constant(0.5 + n as f32 / 64.0)))
        .collect();
    let mut sums: Vec<ValueId> = constants
        .iter()
        .map(|&c| define(Instruction::Arithmetic(Arithmetic::Add, vec![x, c])))
        .collect();
    for _ in 0..FMA_LENGTH {
        for sum in &mut sums {
            *sum = define(Instruction::MultiplyAdd(*sum, x, x));
        }
    }
    let mut total = sums[0];
    for &sum in &sums[1..] {
        total = define(Instruction::Arithmetic(Arithmetic::Add, vec![total, sum]));
    }
    let rows = crate::ir::affine::Affine::axis(1).times(FMA_ELEMENTS as i64);
    define(Instruction::Store {
        buffer: BufferId(1),
        at: at.plus(&rows.into()),
        value: total,
    });
    let buffer = |elements, written| Buffer {
        storage: Storage::F32,
        elements,
        written,
    };
    Kernel {
        buffers: vec![buffer(FMA_ELEMENTS, false), buffer(FMA_ELEMENTS * FMA_ROWS, true)],
        body: KernelBody::Loop(LoopKernel::straight(vec![FMA_ROWS], FMA_ELEMENTS, body, 64)),
    }
}

/// One large tensor to another.
fn copy() -> Kernel {
    let buffer = |written| Buffer {
        storage: Storage::F32,
        elements: COPIED,
        written,
    };
    Kernel {
        buffers: vec![buffer(false), buffer(true)],
        body: LoopKernel::copy(COPIED),
    }
}
