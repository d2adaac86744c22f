//! A team of threads that runs one job at a time on all of its members, with a barrier inside. Who waits spins for a
//! while and then sleeps. Running a job allocates nothing and takes no lock.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};

/// The most threads of a team.
pub const MOST_THREADS: usize = 64;

type Job = dyn Fn(Member) + Sync;

/// What the members share.
struct Shared {
    threads: usize,
    /// How long to spin before sleeping.
    spins: u32,
    /// Counts jobs; a change starts one.
    jobs: AtomicUsize,
    /// The job; written before `jobs` changes, read behind that.
    job: UnsafeCell<Option<*const Job>>,
    /// Workers that have not finished the job.
    running: AtomicUsize,
    stop: AtomicBool,
    /// Members that have reached the barrier, and how often all have.
    arrived: AtomicUsize,
    passed: AtomicUsize,
    sleepers: Vec<Sleeper>,
}

/// A worker that may have to be woken.
#[derive(Default)]
struct Sleeper {
    /// It sleeps or is about to.
    asleep: AtomicBool,
    /// Set by the worker before it first sleeps.
    thread: OnceLock<Thread>,
}

// SAFETY: `job` is the one field that is not thread-safe by itself. `Team::run` writes it while no worker runs a job (it
// holds the team exclusively, and the run before waited for `running` to become 0), then publishes it with `jobs`.
unsafe impl Sync for Shared {}
// SAFETY: the job pointer is only followed while `Team::run` keeps its target alive.
unsafe impl Send for Shared {}

/// Threads that wait for jobs. The calling thread is member 0.
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// One thread's part in a job.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// From 0 below `threads`.
    pub index: usize,
    /// How many run the job.
    pub threads: usize,
    shared: &'a Shared,
}

impl Member<'_> {
    /// Waits until every member is here.
    pub fn barrier(&self) {
        let shared = self.shared;
        if self.threads == 1 {
            return;
        }
        let passed = shared.passed.load(Ordering::SeqCst);
        if shared.arrived.fetch_add(1, Ordering::AcqRel) + 1 == shared.threads {
            shared.arrived.store(0, Ordering::Relaxed);
            shared.passed.store(passed.wrapping_add(1), Ordering::SeqCst);
            shared.wake();
        } else {
            shared.wait(self.index, || shared.passed.load(Ordering::SeqCst) != passed);
        }
    }

    /// The member's share of `tasks` tasks: each task is in exactly one share, shares differ by at most one.
    pub fn share(&self, tasks: usize) -> std::ops::Range<usize> {
        tasks * self.index / self.threads..tasks * (self.index + 1) / self.threads
    }
}

impl Shared {
    /// Spins, then sleeps, until `done`.
    fn wait(&self, index: usize, done: impl Fn() -> bool) {
        for _ in 0..self.spins {
            if done() {
                return;
            }
            std::hint::spin_loop();
        }
        let sleeper = &self.sleepers[index];
        let known = sleeper.thread.get_or_init(std::thread::current);
        // Another thread than before may run the team; it is not woken, and asks again and again.
        let sleeps = index > 0 || known.id() == std::thread::current().id();
        while !done() {
            if !sleeps {
                std::thread::yield_now();
                continue;
            }
            // Whoever makes `done` true looks at `asleep` afterwards, both in sequential consistency: either it sees
            // that we sleep, or we see that it is done.
            sleeper.asleep.store(true, Ordering::SeqCst);
            if !done() {
                std::thread::park();
            }
            sleeper.asleep.store(false, Ordering::SeqCst);
        }
    }

    /// Wakes all workers that sleep.
    fn wake(&self) {
        for sleeper in &self.sleepers {
            if sleeper.asleep.load(Ordering::SeqCst)
                && let Some(thread) = sleeper.thread.get()
            {
                thread.unpark();
            }
        }
    }

    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.wait(index, || self.jobs.load(Ordering::SeqCst) != seen);
            seen = self.jobs.load(Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: `run` wrote the pointer before it changed `jobs`, and neither changes it nor lets its target go
            // before `running` is 0 again.
            let job = unsafe { (*self.job.get()).and_then(|job| job.as_ref()) };
            let leaves = Leaves(self);
            if let Some(job) = job {
                job(self.member(index));
            }
            drop(leaves);
        }
    }

    fn member(&self, index: usize) -> Member<'_> {
        Member {
            index,
            threads: self.threads,
            shared: self,
        }
    }
}

/// Counts a worker out of the job. A job that panics cannot be waited for by the others at a barrier: that is our bug,
/// and the process must not hang.
struct Leaves<'a>(&'a Shared);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.wake();
        }
    }
}

impl Team {
    /// Starts a team of 1 to [`MOST_THREADS`] threads.
    pub fn new(threads: usize) -> std::io::Result<Team> {
        let threads = threads.clamp(1, MOST_THREADS);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            threads,
            // About a millisecond, unless somebody else needs the core.
            spins: if threads <= cores { 20_000 } else { 50 },
            jobs: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            arrived: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
            sleepers: (0..threads).map(|_| Sleeper::default()).collect(),
        });
        let mut team = Team {
            shared: shared.clone(),
            workers: vec![],
        };
        for index in 1..threads {
            let shared = shared.clone();
            let worker = std::thread::Builder::new().name(format!("mspec-{index}"));
            team.workers.push(worker.spawn(move || shared.work(index))?);
        }
        Ok(team)
    }

    /// How many threads run a job.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// Runs a job on the calling thread alone, as a team of one.
    pub fn run_alone(&mut self, job: &dyn Fn(Member)) {
        job(Member {
            index: 0,
            threads: 1,
            shared: &self.shared,
        });
    }

    /// Runs a job once on every member and waits for all.
    pub fn run<'job>(&mut self, job: &'job (dyn Fn(Member) + Sync + 'job)) {
        let shared = &*self.shared;
        if self.workers.is_empty() {
            job(shared.member(0));
            return;
        }
        let pointer: *const (dyn Fn(Member) + Sync + 'job) = job;
        // SAFETY: only the lifetime changes. No worker follows the pointer after this function has returned: it waits
        // for all of them, also if the caller's own part panics.
        let pointer = unsafe { std::mem::transmute::<*const (dyn Fn(Member) + Sync + 'job), *const Job>(pointer) };
        // SAFETY: no worker reads the job now: the last run waited until `running` was 0, and `self` is held exclusively.
        unsafe { *shared.job.get() = Some(pointer) };
        shared.running.store(self.workers.len(), Ordering::SeqCst);
        shared.jobs.fetch_add(1, Ordering::SeqCst);
        shared.wake();
        let waits = WaitsForAll(shared);
        job(shared.member(0));
        drop(waits);
    }
}

/// Waits for the workers on the way out; a caller's panic in the middle of a job cannot be waited through.
struct WaitsForAll<'a>(&'a Shared);

impl Drop for WaitsForAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
        self.0.wait(0, || self.0.running.load(Ordering::SeqCst) == 0);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.jobs.fetch_add(1, Ordering::SeqCst);
        self.shared.wake();
        for worker in self.workers.drain(..) {
            // A worker cannot have panicked: that aborts.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_does_its_share_and_barriers_hold() {
        for threads in [1, 2, 3, 5] {
            let mut team = Team::new(threads).unwrap();
            assert_eq!(team.threads(), threads);
            let counts: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            for round in 1..=20 {
                team.run(&|member| {
                    for task in member.share(counts.len()) {
                        counts[task].fetch_add(1, Ordering::Relaxed);
                    }
                    member.barrier();
                    // Everything before the barrier is seen behind it, whoever did it.
                    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 2 * round - 1));
                    member.barrier();
                    for task in member.share(counts.len()) {
                        counts[task].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 2 * round));
            }
        }
    }

    #[test]
    fn a_team_that_slept_wakes_up() {
        let mut team = Team::new(2).unwrap();
        let count = AtomicUsize::new(0);
        for _ in 0..3 {
            team.run(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(count.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_team_may_be_run_by_one_thread_after_the_other() {
        let mut team = Team::new(2).unwrap();
        let count = AtomicUsize::new(0);
        // The worker keeps whoever runs the team waiting for longer than it spins.
        let mut run = || {
            team.run(&|member| {
                std::thread::sleep(std::time::Duration::from_millis(20 * member.index as u64));
                count.fetch_add(1, Ordering::Relaxed);
            });
        };
        run();
        std::thread::scope(|scope| scope.spawn(&mut run).join()).unwrap();
        run();
        assert_eq!(count.load(Ordering::Relaxed), 6);
    }
}
