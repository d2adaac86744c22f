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
