//! Training batches, formed by a thread of their own while the step before runs, where that takes long: a batch is a
//! function of (seed, step), so it can't matter who forms it. Two batches are handed back and forth; nothing is
//! allocated while they are.

use crate::data::{Batch, DataError, Dataset, Sampler};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::Scope;

/// What gives the batch of each step.
pub enum Batches<'a> {
    /// Formed when it is asked for.
    Direct(Box<Sampler<'a>>),
    /// Formed before it is asked for.
    Ahead(Handover),
}

/// Where a batch is handed over.
pub struct Handover(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    batch: Batch,
    /// Whether `batch` waits to be taken, and what happened while it was formed.
    ready: Option<Result<(), DataError>>,
    /// Nobody will take another one.
    finished: bool,
    /// Nobody will form another one.
    ended: bool,
}

impl<'a> Batches<'a> {
    /// Batches of the steps from `first` to `last`, in this order.
    pub fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        dataset: &'a Dataset,
        sampler: Sampler<'a>,
        capacity: usize,
        (first, last): (u64, u64),
    ) -> Batches<'a>
    where
        'a: 'scope,
    {
        if !dataset.takes_long() {
            return Batches::Direct(Box::new(sampler));
        }
        let state = State {
            batch: Batch::new(dataset.schema(), capacity),
            ready: None,
            finished: false,
            ended: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let batch = Batch::new(dataset.schema(), capacity);
        let worker = Arc::clone(&shared);
        scope.spawn(move || form(&worker, sampler, batch, first..=last));
        Batches::Ahead(Handover(shared))
    }

    /// The batch of a step; each step is asked for once, in order.
    pub fn fill(&mut self, step: u64, into: &mut Batch) -> Result<(), DataError> {
        match self {
            Batches::Direct(sampler) => sampler.fill(step, into),
            Batches::Ahead(handover) => handover.take(into),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn wait_while(&self, wait: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.lock(), |state| wait(state))
            .expect("nothing panics while it holds the lock")
    }
}

impl Handover {
    fn take(&self, into: &mut Batch) -> Result<(), DataError> {
        let mut state = self.0.wait_while(|state| state.ready.is_none() && !state.ended);
        let result = state.ready.take();
        std::mem::swap(&mut state.batch, into);
        drop(state);
        self.0.changed.notify_all();
        result.expect("the thread that forms batches ended before the last step")
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.0.lock().finished = true;
        self.0.changed.notify_all();
    }
}

/// Tells that no batch will come, also when forming one panicked.
struct Ending<'s>(&'s Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// The thread's work: forms a batch, waits until the one before was taken, hands it over.
fn form(shared: &Shared, mut sampler: Sampler, mut batch: Batch, steps: std::ops::RangeInclusive<u64>) {
    let _ending = Ending(shared);
    for step in steps {
        let result = sampler.fill(step, &mut batch);
        let failed = result.is_err();
        let mut state = shared.wait_while(|state| state.ready.is_some() && !state.finished);
        if state.finished {
            return;
        }
        std::mem::swap(&mut state.batch, &mut batch);
        state.ready = Some(result);
        drop(state);
        shared.changed.notify_all();
        if failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline;
    use std::path::Path;

    const SPEC: &str =
        "data { images \"images\" ; augment { shift(1) ; rotate(20 deg) ; mixup(0.3) } ; split train 100% }
        model net { image -> flatten -> linear(classes) }";

    fn pictures() -> Dataset {
        let spec = pipeline::load(Path::new("a.ms"), &[], &|_| Ok(SPEC.as_bytes().to_vec())).unwrap();
        crate::data::open(&spec.data().unwrap(), Path::new("tests/data")).unwrap()
    }

    /// The batches of some steps, through a thread of their own.
    fn ahead(dataset: &Dataset, first: u64, taken: u64, last: u64) -> Vec<Batch> {
        std::thread::scope(|scope| {
            let sampler = dataset.sampler(3, 4).unwrap();
            let mut batches = Batches::new(scope, dataset, sampler, 4, (first, last));
            assert!(matches!(batches, Batches::Ahead(_)));
            let mut batch = Batch::new(dataset.schema(), 4);
            let mut take = |step| {
                batches.fill(step, &mut batch).unwrap();
                batch.clone()
            };
            (first..first + taken).map(&mut take).collect()
        })
    }

    #[test]
    fn batches_are_the_same_whoever_forms_them_and_wherever_a_run_begins() {
        let dataset = pictures();
        let mut sampler = dataset.sampler(3, 4).unwrap();
        let direct: Vec<Batch> = (1..=20)
            .map(|step| {
                let mut batch = Batch::new(dataset.schema(), 4);
                sampler.fill(step, &mut batch).unwrap();
                batch
            })
            .collect();
        assert_eq!(ahead(&dataset, 1, 20, 20), direct);
        assert_eq!(ahead(&dataset, 12, 9, 20), direct[11..]);
        // Who stops early leaves nobody waiting.
        assert_eq!(ahead(&dataset, 1, 3, 1_000_000), direct[..3]);
    }

    #[test]
    fn an_error_reaches_the_step_that_it_belongs_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |n: u32| folder.path().join(format!("a/{n}.png"));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for n in 0..2 {
            image::GrayImage::new(2, 2).save(at(n)).unwrap();
        }
        // A folder of pictures too large to be kept: the second is cut off, which its decoding tells.
        let dataset = crate::data::open_decoding(folder.path());
        std::fs::write(at(1), b"").unwrap();
        std::thread::scope(|scope| {
            let sampler = dataset.sampler(1, 1).unwrap();
            let mut batches = Batches::new(scope, &dataset, sampler, 1, (1, 2));
            let mut batch = Batch::new(dataset.schema(), 1);
            assert!(batches.fill(1, &mut batch).is_ok());
            let error = batches.fill(2, &mut batch).unwrap_err();
            assert!(error.message.contains("a/1.png"), "{error}");
        });
    }
}
