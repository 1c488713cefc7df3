use std::time::{Duration, Instant};

use super::sleep::{Sleep, sleep_until};

/// What happens to ticks that nobody was there to take.
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
    assert!(!period.is_zero(), "an interval needs a period above zero");
    let next = Instant::now() + period;
    Interval { period, next, missed: MissedTicks::default(), sleep: sleep_until(next) }
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

    /// Waits for the next tick and returns the time it was due at. Cancel-safe: no tick is lost.
    pub async fn tick(&mut self) -> Instant {
        (&mut self.sleep).await;
        let due = self.next;
        let now = Instant::now();
        self.next = match self.missed {
            MissedTicks::Burst => due + self.period,
            MissedTicks::Delay => now.max(due) + self.period,
            MissedTicks::Skip => {
                let late = now.saturating_duration_since(due).as_nanos() / self.period.as_nanos();
                due + self.period * u32::try_from(late + 1).unwrap_or(u32::MAX)
            }
        };
        self.sleep.reset(self.next);
        due
    }
}
