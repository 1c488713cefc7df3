//! Ready tasks, first in, first out.

use std::cell::UnsafeCell;
use std::collections::VecDeque;

use super::raw::TaskRef;

/// The queue of one thread's tasks. It is pushed to and popped from for every poll, so it does without the flag of a
/// `RefCell`.
pub(super) struct RunQueue(UnsafeCell<VecDeque<TaskRef>>);

impl RunQueue {
    pub(super) fn with_capacity(tasks: usize) -> RunQueue {
        RunQueue(UnsafeCell::new(VecDeque::with_capacity(tasks)))
    }

    /// # Safety
    /// `f` does not reach this queue, and what it returns does not borrow from it.
    #[inline(always)]
    unsafe fn with<R>(&self, f: impl FnOnce(&mut VecDeque<TaskRef>) -> R) -> R {
        // SAFETY: the type is not Sync, so this thread alone is here, and not twice, as the caller promises.
        f(unsafe { &mut *self.0.get() })
    }

    #[inline]
    pub(super) fn push(&self, task: TaskRef) {
        // SAFETY: a `TaskRef` is a plain pointer: moving it runs nobody's code.
        unsafe { self.with(|queue| queue.push_back(task)) }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<TaskRef> {
        // SAFETY: as in `push`.
        unsafe { self.with(VecDeque::pop_front) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        // SAFETY: as in `push`.
        unsafe { self.with(|queue| queue.len()) }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back room for more tasks than there are.
    pub(super) fn shrink(&self) {
        // SAFETY: as in `push`.
        unsafe { self.with(VecDeque::shrink_to_fit) }
    }
}
