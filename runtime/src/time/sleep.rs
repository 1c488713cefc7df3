use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::TimerKey;
use crate::cores::context::{self, CoreState};

/// Waits for a length of time, counted from the call.
///
/// A length too large to be represented waits for ever (nine years). Cancel-safe: dropping it takes the timer out.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn sleep(length: Duration) -> Sleep {
    let core = context::expect_current("a timer");
    let deadline = after(core.clock.now(), length);
    start(core, deadline)
}

/// Waits until a point in time. One in the past is over at the core's next look at its timers.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    start(context::expect_current("a timer"), deadline)
}

/// A time so long after another; nine years if that can't be represented.
pub(super) fn after(from: Instant, length: Duration) -> Instant {
    from.checked_add(length).unwrap_or(from + Duration::from_secs(9 * 365 * 86_400))
}

fn start(core: Rc<CoreState>, deadline: Instant) -> Sleep {
    let key = core.wheel.borrow_mut().insert(deadline);
    Sleep { core, key, deadline: Cell::new(deadline) }
}

/// The future of [`sleep`] and [`sleep_until`]. It can be set anew as often as one likes.
pub struct Sleep {
    core: Rc<CoreState>,
    key: TimerKey,
    deadline: Cell<Instant>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline.get()
    }

    /// Sets a new end. To move the end further away costs one store, so that a time limit may be renewed for
    /// every request.
    #[inline]
    pub fn reset(&self, deadline: Instant) {
        self.deadline.set(deadline);
        self.core.wheel.borrow_mut().reset(self.key, deadline);
    }

    /// What its core's clock says.
    pub(super) fn clock_now(&self) -> Instant {
        self.core.clock.now()
    }

    #[inline(never)]
    fn poll_or_park(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (fired, old) = self.core.wheel.borrow_mut().poll(self.key, cx.waker());
        drop(old);
        if fired { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when it is over: its poll, for one that is shared, or set anew while somebody waits for it.
    ///
    /// ```
    /// use std::{future::poll_fn, time::Duration};
    /// use covet_runtime::{block_on, time};
    ///
    /// # fn main() -> Result<(), covet_runtime::StartError> {
    /// block_on(async {
    ///     let limit = time::sleep(Duration::from_secs(3600));
    ///     limit.reset(time::now());
    ///     poll_fn(|cx| limit.poll_elapsed(cx)).await;
    /// })
    /// # }
    /// ```
    #[inline(always)]
    pub fn poll_elapsed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.core.wheel.borrow().is_waited_for(self.key, cx.waker()) {
            return Poll::Pending;
        }
        self.poll_or_park(cx)
    }

    /// Whether it is over.
    pub fn is_elapsed(&self) -> bool {
        self.core.wheel.borrow().has_fired(self.key)
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_elapsed(cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.core.wheel.borrow_mut().remove(self.key);
        drop(waker);
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).finish()
    }
}
