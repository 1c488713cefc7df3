//! One piece of work and the handle that waits for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::pool::{Pool, Work};
use crate::JoinError;
use crate::task::drop_payload;

/// The queue of the blocking pool is full; the closure comes back in it.
///
/// Try again later, use [`spawn_blocking`](crate::spawn_blocking), which waits, or raise
/// [`Builder::blocking_queue`](crate::Builder::blocking_queue) or
/// [`Builder::blocking_threads`](crate::Builder::blocking_threads).
#[derive(thiserror::Error)]
#[error("the queue of the blocking pool is full: wait, or raise `blocking_queue` or `blocking_threads`")]
pub struct QueueFull<F>(pub F);

impl<F> std::fmt::Debug for QueueFull<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueueFull(..)")
    }
}

/// Waits for the result of [`spawn_blocking`](crate::spawn_blocking).
///
/// It fails with [`JoinError::Panicked`] if the closure panicked, with [`JoinError::Cancelled`] if it was dropped
/// before it began (by [`BlockingHandle::cancel`] or at the end of the runtime), and with [`JoinError::Refused`] if no
/// thread could be started for it. It may be sent to and awaited on any thread.
///
/// # Cancellation
/// Awaiting is cancel-safe. Dropping the handle lets work that is queued or running go on, and its result is dropped
/// where it ends; work that still waits for room in the queue is dropped with its handle.
///
/// # Panics
/// Awaiting again after it has returned `Ready` panics, as with any future.
#[must_use = "a dropped handle disowns its work: say so with `.detach()`"]
pub struct BlockingHandle<T> {
    slot: Arc<Slot<T>>,
    pool: Arc<Pool>,
    ticket: u64,
}

struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Pending(Option<Waker>),
    Done(Result<T, JoinError>),
    /// The result was taken, or nobody will take it.
    Over,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change is one assignment: there is no half-done state for a panic to leave behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the result, unless nobody wants it. What is dropped and woken is other people's code, so its panics end
    /// here.
    fn complete(&self, result: Result<T, JoinError>, at: &'static Location<'static>) {
        let mut state = self.lock();
        let (waker, unwanted) = match &mut *state {
            State::Pending(waker) => {
                let waker = waker.take();
                *state = State::Done(result);
                (waker, None)
            }
            State::Done(_) | State::Over => (None, Some(result)),
        };
        drop(state);
        contain(at, || {
            drop(unwanted);
            if let Some(waker) = waker {
                waker.wake();
            }
        });
    }
}

/// Runs code of which we know nothing, and logs its panic.
pub(super) fn contain(at: &'static Location<'static>, foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        let message = JoinError::panic_text(&*payload);
        tracing::error!(%message, place = %at, "blocking work panicked; its thread goes on");
        drop_payload(payload);
    }
}

struct Job<F, T> {
    work: Option<F>,
    slot: Arc<Slot<T>>,
    at: &'static Location<'static>,
}

/// A closure made ready for the pool, and its handle.
pub(super) fn job<F, T>(
    work: F,
    pool: Arc<Pool>,
    at: &'static Location<'static>,
) -> (impl Work, BlockingHandle<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let slot = Arc::new(Slot(Mutex::new(State::Pending(None))));
    let job = Job { work: Some(work), slot: slot.clone(), at };
    let ticket = pool.ticket();
    (job, BlockingHandle { slot, pool, ticket })
}

impl<F, T> Work for Job<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(mut self: Box<Self>) {
        let Some(work) = self.work.take() else { return };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => self.slot.complete(Ok(value), self.at),
            Err(payload) => {
                self.slot.complete(Err(JoinError::Panicked(JoinError::panic_text(&*payload))), self.at);
                contain(self.at, || std::panic::resume_unwind(payload));
            }
        }
    }

    fn drop_unrun(mut self: Box<Self>, why: JoinError) {
        let work = self.work.take();
        self.slot.complete(Err(why), self.at);
        contain(self.at, || drop(work));
    }
}

impl<T> BlockingHandle<T> {
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Drops the closure if it has not begun, and says whether it was so; the handle then returns
    /// [`JoinError::Cancelled`]. What runs already goes on.
    pub fn cancel(&self) -> bool {
        match self.pool.withdraw(self.ticket) {
            Some(work) => {
                work.drop_unrun(JoinError::Cancelled);
                true
            }
            None => false,
        }
    }

    /// Lets the work run on its own, also if it still waits for room in the queue. Nothing bounds how much can be
    /// left behind like this: where that matters, await the handle, or use
    /// [`try_spawn_blocking`](crate::try_spawn_blocking).
    pub fn detach(self) {
        let old = std::mem::replace(&mut *self.slot.lock(), State::Over);
        drop(old);
    }

    /// Whether the work has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.slot.lock(), State::Pending(_))
    }
}

impl<T> Future for BlockingHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Pending(Some(waker)) = &*self.slot.lock()
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        // Cloned and dropped outside the lock: a waker may be anything.
        let waker = cx.waker().clone();
        let mut state = self.slot.lock();
        let old = match &mut *state {
            State::Pending(slot) => slot.replace(waker),
            State::Done(_) => match std::mem::replace(&mut *state, State::Over) {
                State::Done(result) => return Poll::Ready(result),
                State::Pending(_) | State::Over => unreachable!("the state was looked at under this lock"),
            },
            State::Over => panic!("a blocking handle is not polled again after it was ready"),
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T> Drop for BlockingHandle<T> {
    fn drop(&mut self) {
        let old = std::mem::replace(&mut *self.slot.lock(), State::Over);
        if let State::Pending(_) = old
            && let Some(work) = self.pool.withdraw_waiting(self.ticket)
        {
            work.drop_unrun(JoinError::Cancelled);
        }
    }
}

impl<T> std::fmt::Debug for BlockingHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingHandle").field("finished", &self.is_finished()).finish()
    }
}
