use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

use super::waker_cell::WakerCell;
use crate::cores::context;
use crate::task::{Primitive, waits_on};
use crate::{JoinError, JoinHandle, spawn};

/// Tasks that belong together: they are awaited as they finish, and none outlives the set.
///
/// Dropping the set cancels its tasks; each future is dropped at its task's next turn. A task that panics is reported
/// by [`TaskSet::join_next`] like any other outcome and leaves the rest alone.
///
/// ```
/// use covet_runtime::sync::TaskSet;
///
/// covet_runtime::block_on(async {
///     let mut squares = TaskSet::new();
///     for n in 1..=3 {
///         squares.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = squares.join_next().await {
///         sum += square?;
///     }
///     assert_eq!(sum, 14);
///     Ok::<(), covet_runtime::JoinError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TaskSet<T> {
    tasks: Slab<JoinHandle<T>>,
    ended: Rc<Ended>,
}

/// Which tasks have dropped their futures, in that order.
#[derive(Default)]
struct Ended {
    queue: RefCell<VecDeque<usize>>,
    joiner: WakerCell,
}

/// Lies in a task beside its future and so ends with it, be it ready, cancelled or in panic.
struct Membership {
    ended: Rc<Ended>,
    key: usize,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.ended.queue.borrow_mut().push_back(self.key);
        self.ended.joiner.wake();
    }
}

impl<T: 'static> TaskSet<T> {
    /// A set without tasks.
    pub fn new() -> TaskSet<T> {
        TaskSet { tasks: Slab::new(), ended: Rc::default() }
    }

    /// Starts a task on this core, in this set.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F)
    where
        F: Future<Output = T> + 'static,
    {
        // Ahead of the membership, which would report the end of a task that never was.
        context::expect_current("TaskSet::spawn");
        let entry = self.tasks.vacant_entry();
        let membership = Membership { ended: self.ended.clone(), key: entry.key() };
        entry.insert(spawn(async move {
            let _membership = membership;
            future.await
        }));
    }

    /// Waits for the next task to end and takes it out of the set; `None` if the set is empty.
    ///
    /// # Errors
    /// The inner result tells how a task ended without an output.
    ///
    /// # Cancellation
    /// Dropping the future loses no outcome.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`TaskSet::join_next`], for one poll.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if self.tasks.is_empty() {
            return Poll::Ready(None);
        }
        if self.first_ended().is_none() {
            self.ended.joiner.register(cx.waker());
            waits_on(cx.waker(), Primitive::Tasks, None);
        }
        let Some(key) = self.first_ended() else { return Poll::Pending };
        // A future is dropped a moment before its task is over; a poll in between waits with the handle.
        match Pin::new(&mut self.tasks[key]).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(outcome) => {
                self.ended.queue.borrow_mut().pop_front();
                drop(self.tasks.remove(key));
                Poll::Ready(Some(outcome))
            }
        }
    }

    fn first_ended(&self) -> Option<usize> {
        self.ended.queue.borrow().front().copied()
    }

    /// Cancels the tasks, which stay in the set until they are joined.
    pub fn cancel_all(&mut self) {
        for (_, task) in &self.tasks {
            task.cancel();
        }
    }

    /// Cancels the tasks and waits until the last future is dropped.
    ///
    /// # Cancellation
    /// The tasks stay cancelled if the future is dropped.
    pub async fn shutdown(&mut self) {
        self.cancel_all();
        while self.join_next().await.is_some() {}
    }

    /// Lets the tasks run on their own and empties the set.
    pub fn detach_all(&mut self) {
        // Those that still run keep the old list, so their keys don't reach the tasks that come next.
        self.ended = Rc::default();
        drop(std::mem::take(&mut self.tasks));
    }
}

impl<T> TaskSet<T> {
    /// How many tasks are in the set, ended ones that were not joined included.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task is in the set.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl<T> Drop for TaskSet<T> {
    fn drop(&mut self) {
        self.ended.joiner.clear();
        for (_, task) in &self.tasks {
            task.cancel();
        }
    }
}

impl<T: 'static> Default for TaskSet<T> {
    fn default() -> TaskSet<T> {
        TaskSet::new()
    }
}

impl<T> std::fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskSet").field("len", &self.len()).finish()
    }
}
