use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::raw::{CANCELLED, COMPLETE, JOINED, TaskRef};

/// Waits for a task's output.
///
/// Dropping the handle detaches the task, which goes on running; [`JoinHandle::cancel`] ends it. Awaiting is
/// cancel-safe. The handle stays on the core of its task.
///
/// # Panics
/// Awaiting again after it has returned `Ready` panics, as with any future.
#[must_use = "a dropped handle detaches its task: say so with `.detach()`"]
pub struct JoinHandle<T> {
    task: TaskRef,
    output: PhantomData<*mut T>,
}

/// Why a task has no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It was cancelled, by its handle or because its core shut down.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked, with this message.
    #[error("the task panicked: {0}")]
    Panicked(String),
    /// It was sent to a core that has ended, and never ran.
    #[error("the task was not run: its core has ended")]
    CoreGone,
    /// Blocking work found no thread to run on, for this reason.
    #[error("the work was not begun: {0}")]
    Refused(String),
}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> std::io::Error {
        std::io::Error::other(error)
    }
}

impl JoinError {
    /// The words of a panic, from the payload that catches of unwinding and of threads give.
    ///
    /// ```
    /// use covet_runtime::JoinError;
    ///
    /// let payload = std::panic::catch_unwind(|| panic!("{} too many", 1)).unwrap_err();
    /// assert_eq!(JoinError::panic_text(&*payload), "1 too many");
    /// ```
    pub fn panic_text(payload: &(dyn Any + Send)) -> String {
        if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "(a payload that is not text)".to_owned()
        }
    }
}

impl<T> JoinHandle<T> {
    /// # Safety
    /// The caller passes on one reference to a task whose output is a `T`.
    pub(super) unsafe fn new(task: TaskRef) -> JoinHandle<T> {
        JoinHandle { task, output: PhantomData }
    }

    /// Lets the task run on its own; the same as dropping the handle, but said aloud.
    pub fn detach(self) {}

    /// Asks for the end of the task: its future is dropped at its next turn, and the handle returns
    /// [`JoinError::Cancelled`]. A task that has finished is left as it is.
    pub fn cancel(&self) {
        // SAFETY: the handle holds a reference, and being !Send it is on the home thread.
        unsafe {
            let flags = &self.task.header().flags;
            if flags.get() & COMPLETE == 0 {
                flags.set(flags.get() | CANCELLED);
                // A handle may be held by the loop that our core is a guest of: then only a wake reaches the core.
                self.task.wake();
            }
        }
    }

    /// The outcome, if the task has ended.
    pub(crate) fn outcome(self) -> Option<Result<T, JoinError>> {
        self.is_finished().then(|| self.take()).flatten()
    }

    /// The outcome of a task that has ended, once.
    #[inline]
    fn take(&self) -> Option<Result<T, JoinError>> {
        let mut slot = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: as in `cancel`; the task is `COMPLETE`, and the slot has the type that `new` vouched for. It is
        // written to if the answer says so.
        unsafe { self.task.take_output(slot.as_mut_ptr().cast()).then(|| slot.assume_init()) }
    }

    /// Whether the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        // SAFETY: as in `cancel`.
        unsafe { self.task.header() }.flags.get() & COMPLETE != 0
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_finished() {
            return Poll::Ready(self.take().expect("a join handle is not polled again after it was ready"));
        }
        // SAFETY: as in `cancel`.
        unsafe { self.task.set_join_waker(Some(cx.waker().clone())) };
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // SAFETY: as in `cancel`; the handle's reference is given up last.
        unsafe {
            let flags = &self.task.header().flags;
            flags.set(flags.get() & !JOINED);
            if flags.get() & COMPLETE != 0 {
                // The waker went when the task ended.
                self.task.drop_output();
            } else {
                self.task.set_join_waker(None);
            }
            self.task.release_handle();
        }
    }
}

impl<T> std::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}
