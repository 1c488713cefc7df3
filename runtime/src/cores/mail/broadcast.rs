//! The same task on every core.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::remote::RemoteHandle;
use crate::task::JoinError;

/// Waits for the task that [`Core::broadcast`](crate::Core::broadcast) started on each core; the outcomes come in the
/// order of the cores.
///
/// Dropping it detaches the tasks, which go on running. Awaiting by reference is cancel-safe.
///
/// # Panics
/// Awaiting again after it has returned `Ready` panics, as with any future.
#[must_use = "a dropped broadcast detaches its tasks: say so with `.detach()`"]
pub struct Broadcast<T> {
    tasks: Vec<Slot<T>>,
}

enum Slot<T> {
    Waiting(RemoteHandle<T>),
    Done(Result<T, JoinError>),
}

// Outcomes are moved out when all are there; nothing ever points to one.
impl<T> Unpin for Broadcast<T> {}

impl<T> Broadcast<T> {
    pub(crate) fn new(handles: impl Iterator<Item = RemoteHandle<T>>) -> Broadcast<T> {
        Broadcast { tasks: handles.map(Slot::Waiting).collect() }
    }

    /// Lets the tasks run on their own; the same as dropping this, but said aloud.
    pub fn detach(self) {}

    /// Asks for the end of each task; see [`RemoteHandle::cancel`].
    pub fn cancel(&self) {
        for task in &self.tasks {
            if let Slot::Waiting(handle) = task {
                handle.cancel();
            }
        }
    }
}

impl<T> Future for Broadcast<T> {
    type Output = Vec<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut all = true;
        for task in &mut self.tasks {
            if let Slot::Waiting(handle) = task {
                match Pin::new(handle).poll(cx) {
                    Poll::Ready(outcome) => *task = Slot::Done(outcome),
                    Poll::Pending => all = false,
                }
            }
        }
        if !all {
            return Poll::Pending;
        }
        let outcomes = std::mem::take(&mut self.tasks).into_iter().map(|task| match task {
            Slot::Done(outcome) => outcome,
            Slot::Waiting(_) => unreachable!("all are done"),
        });
        Poll::Ready(outcomes.collect())
    }
}

impl<T> std::fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.tasks.iter().filter(|task| matches!(task, Slot::Waiting(_))).count();
        f.debug_struct("Broadcast").field("waiting", &waiting).finish_non_exhaustive()
    }
}
