//! Training allocates nothing from step to step: batch, numbers, kernels and log line, counted by the allocator. The
//! second spec's batches are formed by a thread of their own, which allocates nothing either.

use mspec::data::{self, Part};
use mspec::ir::graph::Graph;
use mspec::machine::{Machine, Program, ProgramId};
use mspec::pipeline;
use mspec::train::Stop;
use mspec::train::checkpoint::{Memory, Progress};
use mspec::train::evaluate::Scores;
use mspec::train::run::{Places, StepReport, Task, Watch, run};
use mspec::train::update::{Aside, Parted, Stage};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
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

const SPEC: &str = "
data { text \"abc.txt\" ; tokens char ; window 8 ; split train 100% }
model lm {
    tokens -> embedding(vocab, 16) + positions(16)
    residual { layer_norm -> attention(2, causal = true) -> dropout(0.1) }
    linear(vocab)
}
train {
    loss cross_entropy(next)
    metric perplexity(next)
    optimizer adamw(lr = 1e-2)
    schedule warmup(5) -> cosine(floor = 10%)
    clip_norm 1
    batch 4
    steps 40
}
";

const PICTURES: &str = "
data { images \"images\" ; augment { shift(2) ; rotate(10 deg) ; cutout(2) ; mixup(0.2) } ; split train 100% }
model net { image -> flatten -> linear(classes) }
train {
    loss cross_entropy(label)
    optimizer adamw(lr = 1e-2)
    batch 4
    steps 40
}
";

/// A batch that goes part by part, twice, with totals found first.
const PARTS: &str = "
data { csv \"fruit.csv\" ; target kind ; missing fill ; split train 100% }
loss some(x[.., k], t[..]) = mean[.. where t[..] == 1] (x[.., 0] - 0.3)^2
model net { features -> linear(4) -> dropout(0.1) -> linear(classes) }
train {
    loss some(kind)
    optimizer lookahead(adamw(lr = 1e-2))
    schedule warmup(5) -> plateau
    evaluate every 1000 steps
    ema 0.9
    sam 0.05
    precision bf16
    batch 4 in 2
    steps 40
}
";

/// The count behind each step.
struct Counts(Vec<usize>);

impl Watch for Counts {
    fn stepped(&mut self, _: &StepReport) {
        self.0.push(ALLOCATIONS.load(Ordering::Relaxed));
    }
    fn evaluated(&mut self, _: u64, _: &Scores) {}
    fn saved(&mut self, _: u64, _: &Path) {}
}

#[test]
fn a_step_of_the_training_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("abc.txt"), "so much depends upon ".repeat(20)).unwrap();
    train(SPEC, folder.path(), folder.path());
    let folder = tempfile::tempdir().unwrap();
    train(PICTURES, folder.path(), Path::new("tests/data"));
    let folder = tempfile::tempdir().unwrap();
    train(PARTS, folder.path(), Path::new("tests/data"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("abc.txt"), "so much depends upon ".repeat(20)).unwrap();
    train(
        &SPEC.replace("clip_norm 1", "clip_norm 1 ; precision f16"),
        folder.path(),
        folder.path(),
    );
}

/// Trains a spec whose data lie in one folder, in another.
fn train(spec: &str, folder: &Path, base: &Path) {
    let spec = pipeline::load(Path::new("lm.ms"), &[], &|_| Ok(spec.as_bytes().to_vec())).unwrap();
    let dataset = data::open(&spec.data().unwrap(), base).unwrap();
    assert_eq!(dataset.samples(Part::Validation), 0);
    let experiment = spec.resolve(dataset.schema().clone()).unwrap();
    let mut programs: Vec<pipeline::Compiled> = vec![];
    let mut stage = |graph: &Graph| {
        let layout = programs.first().map(|p| p.plan.persistent.clone());
        programs.push(pipeline::compile(graph, layout.as_ref()));
        Stage {
            program: ProgramId(programs.len() - 1),
            numbers: graph.numbers.clone(),
        }
    };
    let main = stage(&experiment.training_graph().unwrap());
    let parted = experiment.accumulation().unwrap().map(|a| Parted {
        parts: a.parts,
        counts: a.counts.as_ref().map(|c| (stage(c), a.totals.clone())),
        aside: a.aside.as_ref().zip(a.again.as_ref()).map(|(there, again)| Aside {
            there: stage(there),
            again: stage(again),
            back: a.back.as_ref().map(&mut stage),
        }),
        update: stage(&a.update),
    });
    if let Some(parted) = parted.as_ref().filter(|p| p.parts > 1) {
        assert!(parted.counts.is_some() && parted.aside.is_some());
    }
    let compiled = programs.iter().map(|p| Program::compile(&p.plan, 2).unwrap());
    let mut machine = Machine::new(compiled.collect(), 2).unwrap();
    let declarations = experiment.declarations().unwrap();
    let task = Task {
        dataset: &dataset,
        settings: experiment.train.as_ref().unwrap(),
        rate: declarations.rate.as_ref(),
        metrics: &declarations.metrics,
        kept: &declarations.kept,
        main: &main,
        parted: parted.as_ref(),
        memory: Memory::of(&machine, &declarations.states),
        validation: None,
        budget: None,
    };
    assert!(task.rate.is_some());
    let places = Places {
        metrics: folder.join("metrics.jsonl"),
        checkpoints: folder.join("ckpt"),
    };
    std::fs::create_dir(&places.checkpoints).unwrap();
    let progress = Progress {
        step: 0,
        seed: 1,
        best: None,
        stale: 0,
        kept: vec![],
        seconds: 0.0,
        scale: Default::default(),
        metrics_bytes: 0,
    };
    let mut counts = Counts(Vec::with_capacity(40));
    run(&task, &mut machine, &places, progress, &Stop::default(), &mut counts).unwrap();
    assert_eq!(counts.0.len(), 40);
    assert!(counts.0[0] > 0, "the allocator counts");
    assert_eq!(counts.0[0], counts.0[39], "steps 2 to 40 allocate nothing");
}
