//! A step allocates nothing: counted by the process's allocator, over all threads.

use mspec::ir::affine::Position;
use mspec::ir::kernel::*;
use mspec::ir::plan::{Launch, Location, Plan, Region};
use mspec::machine::{Machine, Program, ProgramId};
use mspec::text::Span;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `x[i] = x[i] · x[i]`, over enough elements for all threads.
fn squaring(elements: usize) -> Kernel {
    let load = Instruction::Load {
        buffer: BufferId(0),
        at: Position::axis(0),
        guards: vec![],
        fill: 0.0,
    };
    let square = Instruction::Arithmetic(Arithmetic::Multiply, vec![ValueId(0), ValueId(0)]);
    let store = Instruction::Store {
        buffer: BufferId(0),
        at: Position::axis(0),
        value: ValueId(1),
    };
    let define = |(number, instruction)| Define {
        value: ValueId(number),
        instruction,
    };
    let body = (0..).zip([load, square, store]).map(define).collect();
    Kernel {
        buffers: vec![Buffer {
            storage: Storage::F32,
            elements,
            written: true,
        }],
        body: KernelBody::Loop(LoopKernel {
            outer: vec![],
            vector: elements,
            rows_kept: 0,
            passes: vec![Pass {
                vector: true,
                sequential: vec![],
                body,
                finish: vec![],
                beyond: None,
            }],
            rows_per_task: 1,
            vector_per_task: Some(1024),
        }),
    }
}

#[test]
fn a_step_allocates_nothing() {
    let elements = 1 << 16;
    let call = Call {
        slices: vec![],
        kernel: 0,
        tensors: vec![],
        nodes: vec![],
        span: Span::NOWHERE,
        caller: Span::NOWHERE,
        name: "square".into(),
    };
    let location = Location {
        region: Region::Transient,
        offset: 0,
    };
    let launch = Launch {
        steps: vec![],
        call,
        locations: vec![location],
    };
    let plan = Plan {
        kernels: vec![squaring(elements)],
        launches: vec![launch; 20],
        transient_bytes: 4 * elements,
        ..Plan::default()
    };
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > 0, "the allocator counts");
    for threads in [1, 2, 3] {
        let program = Program::compile(&plan, 1).expect("a correct plan");
        let mut machine = Machine::new(vec![program], threads).expect("memory and threads");
        // Threads have started, and registered themselves, when they have run once.
        machine.run(ProgramId(0));
        // The test harness has a thread that allocates now and then: what a step allocates, it does each time.
        let allocated = |machine: &mut Machine| {
            let before = ALLOCATIONS.load(Ordering::SeqCst);
            for _ in 0..50 {
                machine.run(ProgramId(0));
            }
            // A worker that sleeps or wakes allocates nothing either.
            std::thread::sleep(std::time::Duration::from_millis(30));
            machine.run(ProgramId(0));
            ALLOCATIONS.load(Ordering::SeqCst) - before
        };
        let fewest = (0..5).map(|_| allocated(&mut machine)).min();
        assert_eq!(fewest, Some(0), "{threads} threads");
    }
}
