use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cores::context::{self, CoreState};
use crate::ring::Wait;
use crate::yield_now;

/// How long an idle core under a stopped clock gives the kernel before it goes on to the next timer by itself.
const GRACE: Duration = Duration::from_millis(1);
/// How often [`TestClock::advance`] lets tasks run that wake each other, or themselves, without an end.
const PATIENCE: usize = 1_000;

/// What time it is on a core.
#[derive(Default)]
pub(crate) struct Clock {
    /// The time at which a test has stopped it.
    stopped: Cell<Option<Instant>>,
    automatic: Cell<bool>,
    /// Whether the present idleness has had its grace.
    waited: Cell<bool>,
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.stopped.get().unwrap_or_else(Instant::now)
    }

    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// How a core under a stopped clock waits when it is `busy` or has nothing to do: timers do not come due by
    /// waiting.
    pub(crate) fn plan_wait(&self, core: &CoreState, busy: bool, end: Option<Instant>) -> Wait {
        if busy {
            self.waited.set(false);
            return Wait::No;
        }
        let next = core.wheel.borrow().next_due();
        if next.is_some_and(|due| due <= core.clock.now()) {
            return Wait::No;
        }
        if let Some(due) = next.filter(|_| self.automatic.get()) {
            if !self.waited.replace(true) {
                return Wait::AtMost(GRACE);
            }
            self.waited.set(false);
            set(core, due);
            return Wait::No;
        }
        // The end of a shutdown is a matter between threads and keeps to the real time.
        match end.map(|end| end.saturating_duration_since(Instant::now())) {
            None => Wait::Forever,
            Some(left) if left.is_zero() => Wait::No,
            Some(left) => Wait::AtMost(left),
        }
    }
}

/// Moves a stopped clock to a time, never back.
fn set(core: &CoreState, to: Instant) {
    let to = core.clock.now().max(to);
    core.clock.stopped.set(Some(to));
    core.now.set(to);
}

/// A core's clock in the hands of a test: it stands still until it is told to go on.
///
/// [`TestClock::stop`] stops the clock of this core, and of no other. From then on [`time::now`](super::now) and
/// everything that waits (sleeps, timeouts, intervals, deadlines) follow [`TestClock::advance`], so that a test of an
/// hour takes a millisecond and gives the same result every time. `#[covet_runtime::test(clock = "test")]` begins a
/// test with the clock stopped.
///
/// What is not ours does not follow: `std::time::Instant::now`, other threads, the kernel, and the deadline of a
/// shutdown.
///
/// ```
/// use std::time::Duration;
/// use covet_runtime::{block_on, spawn, time::{self, TestClock}};
///
/// block_on(async {
///     let clock = TestClock::stop();
///     let started = time::now();
///     let task = spawn(async { time::sleep(Duration::from_secs(3600)).await });
///     clock.advance(Duration::from_secs(3599)).await;
///     assert!(!task.is_finished());
///     clock.advance(Duration::from_secs(1)).await;
///     assert!(task.is_finished());
///     assert_eq!(time::now() - started, Duration::from_secs(3600));
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
///
/// A core whose clock runs pays one comparison for each reading of it.
#[derive(Clone)]
pub struct TestClock {
    core: Rc<CoreState>,
}

impl TestClock {
    /// Stops the clock of this core at the present time; a clock that stands already stays as it is.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn stop() -> TestClock {
        let core = context::expect_current("a TestClock");
        set(&core, core.clock.now());
        TestClock { core }
    }

    /// The clock of this core, if it was stopped.
    pub fn current() -> Option<TestClock> {
        context::current().filter(|core| core.clock.is_stopped()).map(|core| TestClock { core })
    }

    /// The time at which it stands.
    pub fn now(&self) -> Instant {
        self.core.clock.now()
    }

    /// Goes on by a length of time, from timer to timer: at each one, whatever it wakes runs at exactly that time,
    /// until every task waits again, before the clock goes on to the next.
    ///
    /// It does not wait for the kernel or for other threads. Tasks that keep waking themselves are given 1,000 turns
    /// at each stop.
    ///
    /// # Cancellation
    /// Dropped half way, the clock stands at the timer that it has come to.
    pub async fn advance(&self, by: Duration) {
        // What was started just now has not set its timers yet.
        self.settle().await;
        let end = self.now() + by;
        let mut standing = 0;
        loop {
            let next = self.core.wheel.borrow().next_due();
            let Some(due) = next.filter(|&due| due <= end) else { break };
            standing = if due > self.now() { 0 } else { standing + 1 };
            if standing == PATIENCE {
                break;
            }
            set(&self.core, due);
            self.settle().await;
        }
        set(&self.core, end);
        self.settle().await;
    }

    /// Whether an idle core goes on to its next timer by itself; off at first.
    ///
    /// Idle means that no task is ready and the kernel has been silent for a millisecond. Work on other threads, such
    /// as `spawn_blocking`, does not count: the clock would run ahead of it.
    pub fn set_auto_advance(&self, on: bool) {
        self.core.clock.automatic.set(on);
    }

    /// Lets the clock run again. It jumps to the real time, which is behind if the test went ahead of it.
    pub fn resume(&self) {
        self.core.clock.stopped.set(None);
        self.core.clock.automatic.set(false);
        self.core.now.set(Instant::now());
    }

    /// Lets tasks run until all wait.
    async fn settle(&self) {
        // A timer that is due fires in the turn that follows a yield, and its task comes behind this one.
        yield_now().await;
        for _ in 0..PATIENCE {
            yield_now().await;
            if !self.core.executor.has_ready() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for TestClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestClock").field("stopped", &self.core.clock.is_stopped()).finish()
    }
}
