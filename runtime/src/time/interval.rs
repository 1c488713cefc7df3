use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use std::{future::Future, future::poll_fn, pin::Pin};

use super::sleep::{Sleep, after, sleep_until};
use crate::cores::context;

/// What happens to ticks that nobody was there to take.
///
/// A period of 10 ms, and the task that takes the ticks is held up from 20 to 47:
///
/// | Policy | ticks return at | that is | for |
/// |---|---|---|---|
/// | `Burst` | 10, 20, 47, 47, 50, 60 | every tick comes, late ones one after another | counting: so many ticks an hour |
/// | `Delay` | 10, 20, 47, 57, 67 | a whole period from each late tick to the next | pauses: never twice in quick succession |
/// | `Skip` | 10, 20, 47, 50, 60 | what was missed is left out, the schedule stays | clocks: at each full second |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedTicks {
    /// They come one after another at once, until the schedule is caught up.
    #[default]
    Burst,
    /// They are left out; the next tick is the next one of the schedule.
    Skip,
    /// The schedule starts again from the late tick.
    Delay,
}

/// Ticks at a fixed period, first after one period.
///
/// # Panics
/// Outside a core, and when the period is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    let now = context::expect_current("an interval").clock.now();
    interval_at(after(now, period), period)
}

/// Ticks at a fixed period, first at a point in time.
///
/// # Panics
/// Outside a core, and when the period is zero.
#[track_caller]
pub fn interval_at(first: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period above zero");
    Interval { period, next: first, missed: MissedTicks::default(), sleep: sleep_until(first) }
}

/// A sequence of ticks, made by [`interval`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: Instant,
    missed: MissedTicks,
    sleep: Sleep,
}

impl Interval {
    /// Sets what happens to missed ticks.
    pub fn missed_ticks(mut self, policy: MissedTicks) -> Interval {
        self.missed = policy;
        self
    }

    /// The time from tick to tick.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Begins the schedule anew: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.next = after(self.sleep.clock_now(), self.period);
        self.sleep.reset(self.next);
    }

    /// Waits for the next tick and returns the time it was due at. Cancel-safe: no tick is lost.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The poll form of [`Interval::tick`].
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.next;
        let now = self.sleep.clock_now();
        self.next = match self.missed {
            MissedTicks::Burst => after(due, self.period),
            MissedTicks::Delay => after(now.max(due), self.period),
            MissedTicks::Skip => {
                let late = now.saturating_duration_since(due).as_nanos() / self.period.as_nanos();
                let periods = self.period.saturating_mul(u32::try_from(late + 1).unwrap_or(u32::MAX));
                after(due, periods)
            }
        };
        self.sleep.reset(self.next);
        Poll::Ready(due)
    }
}
