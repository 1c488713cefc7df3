//! Where other threads leave tasks for a core: those that they woke, and those that they start there.

use std::ptr;
use std::sync::atomic::AtomicU64;

use super::raw::{Header, TaskRef};
use super::waker::RemoteTask;
use crate::sync_types::{AtomicPtr, AtomicUsize, Ordering};

/// Wakes the core out of its sleep; called from any thread, at most once per sleep.
pub(crate) type Notify = Box<dyn Fn() + Send + Sync>;

/// Homes are told apart by a number that is never used twice, so that a waker which outlives its core can't take a
/// later one for its own.
static NEXT_HOME: AtomicU64 = AtomicU64::new(1);

/// The core runs, and will look into its inbox before it sleeps.
const AWAKE: usize = 0;
/// The core sleeps in the kernel, or is about to: whoever has something for it must ring.
const ASLEEP: usize = 1;
/// There is something to look at. A core that finds this does not go to sleep.
const RUNG: usize = 2;

/// The mailbox of one executor.
///
/// Tasks are linked through their own headers into a stack that the core takes as a whole, so that sending allocates
/// nothing, and a sender that is suspended halfway holds nobody up. One word says whether the core sleeps: the system
/// call that wakes it is made only then, and by one sender. A busy core is never interrupted; it looks once in every
/// turn of its loop, which costs it one load.
pub(crate) struct Inbox {
    home: u64,
    state: AtomicUsize,
    newest: AtomicPtr<Header>,
    notify: Notify,
}

/// In place of the newest task once nothing more is let in.
fn closed() -> *mut Header {
    ptr::without_provenance_mut(1)
}

impl Inbox {
    pub(crate) fn new(notify: Notify) -> Inbox {
        Inbox {
            home: NEXT_HOME.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            state: AtomicUsize::new(AWAKE),
            newest: AtomicPtr::new(ptr::null_mut()),
            notify,
        }
    }

    /// The identity of the executor that this belongs to.
    pub(super) fn home(&self) -> u64 {
        self.home
    }

    /// Delivers a task and sees to it that the core looks.
    ///
    /// # Errors
    /// After [`Inbox::close`] the task comes back, as nobody is left to run it.
    pub(super) fn push(&self, task: RemoteTask) -> Result<(), RemoteTask> {
        let header = task.task().as_ptr();
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            if newest == closed() {
                return Err(task);
            }
            task.set_older(newest);
            // Release: the core sees the link, and what a new task is made of.
            match self.newest.compare_exchange_weak(newest, header, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(actual) => newest = actual,
            }
        }
        // Its reference has gone into the list.
        std::mem::forget(task);
        self.notify();
        Ok(())
    }

    /// Makes the core look into its inbox and at the runtime's state soon.
    pub(crate) fn notify(&self) {
        // Every change of this word is an exchange, so each sees all that came before it: a core that takes the ring
        // away sees what was left before the ring, and one that goes to sleep first is rung for.
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            (self.notify)();
        }
    }

    /// Says that the core is about to sleep; `false` if it must look first. Home thread only.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Says that the core is awake; `true` if there is something to look at. Home thread only.
    #[inline]
    pub(crate) fn wake_up(&self) -> bool {
        // A ring that this load misses is found in the next turn, as the core cannot fall asleep over it.
        self.state.load(Ordering::Relaxed) != AWAKE && self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Takes all that has arrived, oldest first. Home thread only.
    pub(super) fn take(&self) -> Arrivals {
        if self.newest.load(Ordering::Relaxed) == closed() {
            return Arrivals { oldest: ptr::null_mut() };
        }
        Arrivals::reversed(self.newest.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Lets nothing more in, and drops what is there. Home thread, or any if the home thread has ended or was never
    /// started.
    pub(crate) fn close(&self) {
        let newest = self.newest.swap(closed(), Ordering::AcqRel);
        if newest != closed() {
            for task in Arrivals::reversed(newest) {
                // SAFETY: the task was in the list, and the caller stands for the home thread.
                unsafe { task.refuse() };
            }
        }
    }
}

/// Tasks taken from an inbox, in the order of their arrival.
pub(super) struct Arrivals {
    oldest: *mut Header,
}

impl Arrivals {
    fn reversed(mut newest: *mut Header) -> Arrivals {
        let mut oldest = ptr::null_mut();
        while let Some(task) = TaskRef::from_ptr(newest) {
            // SAFETY: a linked task is kept alive by the reference that its sender put into the list.
            newest = unsafe { task.swap_link(oldest) };
            oldest = task.as_ptr();
        }
        Arrivals { oldest }
    }
}

impl Iterator for Arrivals {
    type Item = RemoteTask;

    fn next(&mut self) -> Option<RemoteTask> {
        let task = TaskRef::from_ptr(self.oldest)?;
        // SAFETY: as in `reversed`; the reference is handed on. The link is read before anybody may push the task
        // anew, which is only after `clear_remote_woken`.
        unsafe {
            self.oldest = task.swap_link(ptr::null_mut());
            Some(RemoteTask::new(task))
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
