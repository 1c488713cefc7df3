//! Time on a core: one wheel of timers, no system call for any of them.
//!
//! Resolution is 1.024 µs and timers never fire early; how late they fire is up to the kernel's wake-up (some 50
//! µs are usual) and to the tasks that run first.

mod clock;
pub mod deadline;
mod interval;
mod places;
mod sleep;
mod timeout;
mod wheel;

use std::time::Instant;

pub(crate) use clock::Clock;
pub use clock::TestClock;
pub use interval::{Interval, MissedTicks, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
pub(crate) use wheel::{TimerKey, Wheel};

use crate::cores::context;

/// The time at which the core began its present turn; off a core, the time.
///
/// It is read once per turn of the loop, so it costs a few instructions and lags behind the clock by the length of
/// a turn, some microseconds on a healthy core. It follows a [`TestClock`].
pub fn now() -> Instant {
    context::with(|core| core.now.get()).unwrap_or_else(Instant::now)
}
