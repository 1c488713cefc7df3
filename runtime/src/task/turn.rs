//! How a core's tasks take turns, and when a turn ends.

use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::executor::Executor;
use super::groups::SERVING;

/// A turn ends after this time, for the sake of what has completed meanwhile.
const SLICE: Duration = Duration::from_micros(500);
/// The same while several groups want the CPU: a look at the ring may bring work for one that goes first.
const SHARED_SLICE: Duration = Duration::from_micros(200);
/// Polls before the first look at the clock, unless polls have proved to be long.
pub(super) const UNTIMED_POLLS: usize = 32;
/// Polls in a turn of tasks that only this turn's polls made ready. A task and one that it waits for then talk without a
/// turn for each word, and two that never stop talking hold up the ring for no longer than this.
const FOLLOW_UPS: usize = 64;

impl Executor {
    /// Polls at most `budget` tasks: those that were ready at the start, then a few of those that became so, unless a
    /// task has woken itself, which comes after the ring. Stops early when `SLICE` has passed since the turn `began`.
    ///
    /// The clock is read after the 32nd poll and whenever their number has doubled, so that a turn of short polls reads
    /// it hardly ever, and one of longer polls overstays by no more than it took.
    pub(crate) fn turn(&self, budget: usize, began: Instant) -> usize {
        self.seconds.set(began.saturating_duration_since(self.made).as_secs() as u32);
        let polled = if self.groups.ready() > 0 {
            self.run_by_shares(budget, began)
        } else {
            self.groups.rest();
            self.run_first(budget, began)
        };
        self.running.store(ptr::null_mut(), Ordering::Relaxed);
        polled
    }

    /// As `turn`, when only the first group has ready tasks.
    #[inline]
    fn run_first(&self, budget: usize, began: Instant) -> usize {
        self.yielded.set(false);
        let mut end = self.queue.len().min(budget);
        let limit = budget.min(end + FOLLOW_UPS);
        let mut look = self.untimed.get();
        let mut polled = 0;
        loop {
            while polled < end.min(look) {
                let Some(task) = self.queue.pop() else { return polled };
                // SAFETY: a queued task is kept by the executor's reference (see `retire`), and this is its home.
                unsafe { self.poll(task) };
                polled += 1;
            }
            if polled == end {
                let woken = self.queue.len().min(limit - end);
                if woken == 0 || self.yielded.get() || self.groups.ready() > 0 {
                    return polled;
                }
                end += woken;
            }
            if polled >= look {
                if began.elapsed() >= SLICE {
                    return polled;
                }
                look = 2 * polled;
            }
        }
    }

    /// As `turn`, when other groups than the first have ready tasks: the clock is read after every poll.
    #[cold]
    fn run_by_shares(&self, budget: usize, began: Instant) -> usize {
        self.groups.begin(self.queue.len());
        let mut last = None;
        let mut before = Instant::now();
        let mut polled = 0;
        while polled < budget
            && let Some((group, task)) = self.groups.next(last, &self.queue)
        {
            self.groups.set_current(group);
            // SAFETY: as in `turn`.
            unsafe { self.poll(task) };
            self.groups.set_current(SERVING);
            let now = Instant::now();
            self.groups.charge(group, now - before);
            (before, last) = (now, Some(group));
            polled += 1;
            if now - began >= SHARED_SLICE {
                break;
            }
        }
        polled
    }

    #[cfg(test)]
    pub(crate) fn run(&self, budget: usize) -> usize {
        self.turn(budget, Instant::now())
    }

    /// Learns from a turn how many polls fit into a slice.
    #[inline]
    pub(crate) fn note_turn(&self, took: Duration, polled: usize) {
        if took <= SLICE {
            self.untimed.set(UNTIMED_POLLS);
        } else {
            let fits = polled as u128 * SLICE.as_nanos() / took.as_nanos();
            self.untimed.set((fits as usize).clamp(1, UNTIMED_POLLS));
        }
    }
}
