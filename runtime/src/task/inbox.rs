//! Where other threads leave tasks that they woke.

use std::mem;

use super::raw::RemoteTask;
use crate::sync_types::{AtomicBool, Mutex, Ordering};

/// Wakes the core out of its wait; called from any thread, at most once until the core has looked.
pub(crate) type Notify = Box<dyn Fn() + Send + Sync>;

/// The mailbox of one executor: wakes from other threads, in order of arrival.
///
/// Wakes across threads are the exception, so a lock held for one push is the right price; the home thread takes
/// the whole list at once.
pub(crate) struct Inbox {
    woken: Mutex<Woken>,
    /// Set by the first sender after the core last looked; spares the others the system call.
    notified: AtomicBool,
    notify: Notify,
}

#[derive(Default)]
struct Woken {
    tasks: Vec<RemoteTask>,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(notify: Notify) -> Inbox {
        Inbox { woken: Mutex::new(Woken::default()), notified: AtomicBool::new(false), notify }
    }

    /// Delivers a task; after [`Inbox::close`] it is dropped, as nobody is left to run it.
    pub(super) fn push(&self, task: RemoteTask) {
        {
            let mut woken = self.lock();
            if woken.closed {
                drop(woken);
                return;
            }
            woken.tasks.push(task);
        }
        self.notify();
    }

    /// Makes the core look into its inbox and at the runtime's state soon.
    pub(crate) fn notify(&self) {
        // AcqRel: pairs with `take`, so that what was pushed before is seen by the look that follows.
        if !self.notified.swap(true, Ordering::AcqRel) {
            (self.notify)();
        }
    }

    /// Takes all tasks; the next sender will notify again.
    pub(super) fn take(&self, into: &mut Vec<RemoteTask>) {
        // Cleared before looking: a sender who comes after this notifies anew, one who came before is seen.
        self.notified.swap(false, Ordering::AcqRel);
        let mut woken = self.lock();
        if into.is_empty() { mem::swap(&mut woken.tasks, into) } else { into.append(&mut woken.tasks) }
    }

    pub(super) fn close(&self) {
        let tasks = {
            let mut woken = self.lock();
            woken.closed = true;
            mem::take(&mut woken.tasks)
        };
        drop(tasks);
    }

    #[cfg(not(loom))]
    fn lock(&self) -> std::sync::MutexGuard<'_, Woken> {
        // The list is whole between any two of its operations, so a holder's panic leaves nothing broken.
        self.woken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn lock(&self) -> loom::sync::MutexGuard<'_, Woken> {
        self.woken.lock().expect("no model panics while it holds the lock")
    }
}
