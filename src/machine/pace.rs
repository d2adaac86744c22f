//! Whether a step is better done by one thread than by the team: beside other busy programs a thread of the team loses
//! its core again and again, and all others wait for it at every barrier. The bits are the same either way.

/// Steps that must be slow one after the other before one thread tries.
const SLOW_STEPS: u32 = 3;
/// Steps that one thread tries.
const TRIED: u32 = 2;
/// Steps of one thread until the team tries again; and slow ones of the team until one thread that was no faster does,
/// twice as many each time.
const ALONE: u32 = 32;
/// At most.
const PATIENCE_MOST: u32 = 1 << 12;
/// The share of a perfect speed-up that a team must keep, or one thread might be faster.
const KEPT: f64 = 0.8;
/// The share of its threads' time that a team must have a core.
const RUNNING: f64 = 0.7;

/// Who does the next step of a program, by what the last ones took.
#[derive(Debug)]
pub struct Pace {
    threads: usize,
    /// Seconds of the team's fastest step.
    best: f64,
    /// Its slow steps that followed each other.
    slow: u32,
    /// How many of them until one thread tries.
    patience: u32,
    /// Seconds of one thread's fastest step when it last did some, unless the team was fast since.
    alone: Option<f64>,
    /// Steps that one thread still does.
    left: u32,
}

impl Pace {
    /// For a team.
    pub fn new(threads: usize) -> Pace {
        Pace {
            threads,
            best: f64::INFINITY,
            slow: 0,
            patience: SLOW_STEPS,
            alone: None,
            left: 0,
        }
    }

    /// Whether one thread does the next step.
    pub fn alone(&self) -> bool {
        self.left > 0
    }

    /// Tells what the step took: seconds, and those that the process ran on cores.
    pub fn took(&mut self, seconds: f64, running: f64) {
        if self.left > 0 {
            self.left -= 1;
            self.alone = Some(self.alone.map_or(seconds, |before| before.min(seconds)));
            return;
        }
        self.best = self.best.min(seconds);
        let threads = self.threads as f64;
        // One thread needs at most so much longer than the team at its best.
        if seconds <= KEPT * threads * self.best && running >= RUNNING * threads * seconds {
            self.slow = 0;
            self.patience = SLOW_STEPS;
            self.alone = None;
            return;
        }
        self.slow += 1;
        let faster = self.alone.is_some_and(|alone| alone < seconds);
        if faster {
            (self.left, self.patience) = (ALONE, SLOW_STEPS);
        } else if self.slow >= self.patience {
            self.left = TRIED;
            self.patience = (2 * self.patience).clamp(ALONE, PATIENCE_MOST);
        } else {
            return;
        }
        self.slow = 0;
        self.alone = None;
    }
}

/// Seconds that the threads of this process have run on cores so far.
pub fn running_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes a timespec to where one is, and keeps nothing. If there is no such clock it stays zero, and
    // the team is thought to wait: one thread tries, seldom.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many steps one thread does of those that take the team and one thread so long, where the threads of a team
    /// run for a share of the time.
    fn alone(pace: &mut Pace, count: usize, [together, alone]: [f64; 2], share: f64) -> usize {
        let mut by_one = 0;
        for _ in 0..count {
            by_one += usize::from(pace.alone());
            match pace.alone() {
                true => pace.took(alone, alone),
                false => pace.took(together, together * share * pace.threads as f64),
            }
        }
        by_one
    }

    #[test]
    fn a_team_that_is_as_fast_as_ever_goes_on() {
        let mut pace = Pace::new(2);
        // The first step touches fresh memory.
        assert_eq!(alone(&mut pace, 1, [9.0, 1.9], 1.0), 0);
        assert_eq!(alone(&mut pace, 100, [1.0, 1.9], 1.0), 0);
        assert_eq!(alone(&mut pace, 2, [5.0, 1.9], 0.5), 0);
        assert_eq!(alone(&mut pace, 100, [1.5, 1.9], 0.9), 0);
    }

    #[test]
    fn one_thread_does_the_steps_while_that_is_faster() {
        let mut pace = Pace::new(2);
        alone(&mut pace, 10, [1.0, 1.9], 1.0);
        let by_one = alone(&mut pace, 1000, [8.0, 2.5], 0.4);
        assert!((950..990).contains(&by_one), "{by_one}");
        // The others have gone: the team tries, and stays.
        assert!(alone(&mut pace, 100, [1.0, 1.9], 1.0) <= ALONE as usize);
        assert!(!pace.alone());
    }

    #[test]
    fn a_team_that_never_was_fast_is_found_out_by_its_waiting() {
        let mut pace = Pace::new(2);
        let by_one = alone(&mut pace, 1000, [8.0, 2.5], 0.4);
        assert!((950..990).contains(&by_one), "{by_one}");
    }

    #[test]
    fn one_thread_that_is_slower_is_tried_ever_less_often() {
        let mut pace = Pace::new(8);
        let by_one = alone(&mut pace, 10_000, [7.0, 30.0], 0.5);
        assert!((TRIED as usize..30).contains(&by_one), "{by_one}");
    }
}
