//! Independent pieces of the compiler's own work, on several threads. What is made does not depend on their number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// Stack of a thread: stages walk deep expressions by recursion. Only what is used of it takes memory.
const STACK_BYTES: usize = 256 << 20;

/// Threads that the compiler takes for itself where nobody says how many: with more it would wait for its longest piece.
pub fn threads() -> usize {
    available_parallelism().map_or(1, usize::from).min(8)
}

/// `f(0)`, `f(1)` … of `count` pieces of work, in their order, made on up to `threads` threads. Each thread begins with
/// a state of its own and hands it to every piece that it does. Pieces start in their order: long ones belong in front.
pub fn map_with<S, T: Send>(
    count: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut state = state();
        let mut done = vec![];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push((number, f(&mut state, number)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        // Where no thread can be had, those that there are do its work.
        let spawn = |_| {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, work).ok()
        };
        let others: Vec<_> = (1..threads.min(count)).filter_map(spawn).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, made)| made).collect()
}

/// As [`map_with`], without a state.
pub fn map<T: Send>(count: usize, threads: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    map_with(count, threads, || (), |(), number| f(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_on_any_number_of_threads() {
        let squares: Vec<usize> = (0..100).map(|n| n * n).collect();
        for threads in [0, 1, 2, 7, 200] {
            assert_eq!(map(100, threads, |n| n * n), squares);
        }
        assert_eq!(map(0, 4, |n| n), [0; 0]);
    }

    #[test]
    fn a_thread_hands_its_state_on() {
        let counts = map_with(10, 1, || 0, |seen, _| std::mem::replace(seen, *seen + 1));
        assert_eq!(counts, (0..10).collect::<Vec<i32>>());
    }
}
