//! A task that was sent to another core, and the handle that waits for it here.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::peers::{Mark, Peers};
use super::waker_slot::WakerSlot;
use crate::sync_types::{Arc, AtomicBool, Ordering, UnsafeCell};
use crate::task::{Executor, JoinError};

/// Sends a task to the core in this place.
pub(crate) fn send<F, Fut>(
    peers: &Arc<Peers>,
    index: usize,
    start: F,
    at: &'static Location<'static>,
) -> RemoteHandle<Fut::Output>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + 'static,
    Fut::Output: Send + 'static,
{
    let shared = Arc::new(Shared::new());
    let handle = RemoteHandle { shared: shared.clone() };
    let delivery = Delivery { shared, started: false };
    if let Some(mark) = Mark::new(peers) {
        let task = Remote { stage: Stage::Start(start), delivery, mark: Some(mark) };
        // SAFETY: until its first poll the future holds the closure, the delivery of a Send output, and a mark: all
        // Send. If the core has ended, dropping the future delivers that.
        unsafe { Executor::send_task(peers.inbox(index), task, at) };
    }
    handle
}

/// What the task and its handle share.
struct Shared<T> {
    done: AtomicBool,
    outcome: UnsafeCell<Option<Result<T, JoinError>>>,
    joiner: WakerSlot,
    cancelled: AtomicBool,
    canceller: WakerSlot,
}

// SAFETY: the outcome is written once, before `done` is set, and taken after it was seen, by the one handle; a T
// crosses threads on the way.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new() -> Shared<T> {
        Shared {
            done: AtomicBool::new(false),
            outcome: UnsafeCell::new(None),
            joiner: WakerSlot::new(),
            cancelled: AtomicBool::new(false),
            canceller: WakerSlot::new(),
        }
    }
}

/// The task's end of it. Whatever becomes of the task, an outcome is delivered.
struct Delivery<T> {
    shared: Arc<Shared<T>>,
    started: bool,
}

impl<T> Delivery<T> {
    fn deliver(&mut self, outcome: Result<T, JoinError>) {
        let shared = &*self.shared;
        if shared.done.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the handle does not look before `done` is set, and this is the one delivery.
        shared.outcome.with_mut(|slot| unsafe { *slot = Some(outcome) });
        // Release: the handle sees the outcome.
        shared.done.store(true, Ordering::Release);
        shared.joiner.wake();
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        self.deliver(Err(if self.started { JoinError::Cancelled } else { JoinError::CoreGone }));
        if self.started {
            // The waker is the task's own: left here it would keep the task's memory for as long as the handle lives.
            // SAFETY: the task is the waiting side.
            unsafe { self.shared.canceller.clear() };
        }
    }
}

/// The future of the task: a closure on its way, then what the closure made.
struct Remote<F, Fut: Future> {
    stage: Stage<F, Fut>,
    delivery: Delivery<Fut::Output>,
    mark: Option<Mark>,
}

enum Stage<F, Fut> {
    Start(F),
    Running(Fut),
    Done,
}

impl<F, Fut> Stage<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        if let Stage::Start(_) = self
            && let Stage::Start(start) = std::mem::replace(self, Stage::Done)
        {
            *self = Stage::Running(start());
        }
        let Stage::Running(future) = self else {
            unreachable!("a task is not polled again after it has ended")
        };
        // SAFETY: the stage is part of a pinned `Remote`; a running future is dropped in place and never moved.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }
}

impl<F, Fut> Future for Remote<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of `this` but a closure that has not become a future yet.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.delivery.started {
            this.delivery.started = true;
            // From now on the core counts for itself.
            this.mark = None;
            // SAFETY: the task is the waiting side. A task is always polled with the same waker.
            unsafe { this.delivery.shared.canceller.register(cx.waker()) };
        }
        if this.delivery.shared.cancelled.load(Ordering::Acquire) {
            this.stage = Stage::Done;
            this.delivery.deliver(Err(JoinError::Cancelled));
            return Poll::Ready(());
        }
        match catch_unwind(AssertUnwindSafe(|| this.stage.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                // What the future held is gone before anybody hears of its end.
                this.stage = Stage::Done;
                this.delivery.deliver(Ok(output));
                Poll::Ready(())
            }
            Err(payload) => this.fail(payload),
        }
    }
}

impl<F, Fut: Future> Remote<F, Fut> {
    /// Delivers the panic's text; the panic itself goes on to the executor, which reports it.
    fn fail(&mut self, payload: Box<dyn Any + Send>) -> ! {
        let text = JoinError::panic_text(&*payload);
        let dropped = catch_unwind(AssertUnwindSafe(|| self.stage = Stage::Done));
        self.delivery.deliver(Err(JoinError::Panicked(text)));
        if let Err(second) = dropped {
            crate::task::drop_payload(second);
        }
        resume_unwind(payload)
    }
}

/// Waits for a task on another core.
///
/// Dropping the handle detaches the task, which goes on running; [`RemoteHandle::cancel`] ends it. The handle may be
/// sent to, and awaited on, any core or thread and with any executor. It always gets an answer: when the task was
/// dropped because its core ended, [`JoinError::Cancelled`], and when it never got there, [`JoinError::CoreGone`].
///
/// # Cancellation
/// Awaiting by reference is cancel-safe.
///
/// # Panics
/// Awaiting again after it has returned `Ready` panics, as with any future.
#[must_use = "a dropped handle detaches its task: say so with `.detach()`"]
pub struct RemoteHandle<T> {
    shared: Arc<Shared<T>>,
}

impl<T> RemoteHandle<T> {
    /// Lets the task run on its own; the same as dropping the handle, but said aloud.
    pub fn detach(self) {}

    /// Asks for the end of the task: its future is dropped by its core, which is when the handle returns
    /// [`JoinError::Cancelled`]. A task that has finished is left as it is.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        self.shared.canceller.wake();
    }

    /// Whether the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.shared.done.load(Ordering::Acquire)
    }

    fn take(&self) -> Option<Result<T, JoinError>> {
        // Acquire: pairs with the delivery.
        self.shared.done.load(Ordering::Acquire).then(|| {
            // SAFETY: the outcome is there, and of the two sides only this one takes it; `&mut self` in `poll` keeps
            // two threads from it.
            let outcome = self.shared.outcome.with_mut(|slot| unsafe { &mut *slot }.take());
            outcome.expect("a remote handle is not polled again after it was ready")
        })
    }
}

impl<T> Future for RemoteHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.take() {
            return Poll::Ready(outcome);
        }
        // SAFETY: `&mut self`: this is the waiting side, and alone.
        unsafe { self.shared.joiner.register(cx.waker()) };
        self.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for RemoteHandle<T> {
    fn drop(&mut self) {
        // SAFETY: as in `poll`.
        unsafe { self.shared.joiner.clear() };
    }
}

impl<T> std::fmt::Debug for RemoteHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteHandle").field("finished", &self.is_finished()).finish()
    }
}
