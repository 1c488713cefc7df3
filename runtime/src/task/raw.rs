//! The task cell: one allocation that holds a future, then its output.
//!
//! Who may touch what is decided by the thread:
//! - the **home thread** (the one whose executor spawned the task) polls the future, moves the output, and
//!   reads and writes every plain `Cell` of the header;
//! - **any thread** may hold a reference (a `Waker`), so the reference count and the `remote_woken` flag are
//!   atomic, and the inbox is shared;
//! - a task may be **made on any thread** and sent home through the inbox, if what it holds until then is Send.
//!
//! A task is *live* from spawn until its future has been dropped; the executor owns one reference for that
//! time. The memory goes when the last reference goes, by which time nothing is left in it to drop.

use std::cell::Cell;
use std::future::Future;
use std::ptr::{self, NonNull};
use std::task::{Context, RawWaker, Waker};

use super::inbox::Inbox;
use super::notes::{Notes, Wait};
use super::origin::Origin;
use super::refs::Refs;
use super::stage;
use super::waker::{WAKER, task_of, wake_by_ref};
use super::{JoinError, executor};
use crate::sync_types::{Arc, AtomicBool, AtomicPtr, Ordering};

/// In the run queue: a second wake adds nothing.
pub(super) const QUEUED: u8 = 1;
/// The future is gone; the output is ready, taken or dropped.
pub(super) const COMPLETE: u8 = 1 << 1;
/// Cancellation was asked for; the executor drops the future instead of polling it.
pub(super) const CANCELLED: u8 = 1 << 2;
/// A `JoinHandle` exists and will want the output.
pub(super) const JOINED: u8 = 1 << 3;
/// Made on another thread and not yet arrived: the future has never been polled, and no executor knows of it.
pub(super) const ON_ITS_WAY: u8 = 1 << 4;
/// In a group other than the first, so that its queue is not the executor's own.
pub(super) const GROUPED: u8 = 1 << 5;
/// The output has been handed to the join handle.
const TAKEN: u8 = 1 << 6;
/// The task has outlived its executor's interest and keeps the inbox itself.
const KEEPS_INBOX: u8 = 1 << 7;

/// The part of a task that does not depend on the type of its future.
pub(super) struct Header {
    pub(super) refs: Refs,
    pub(super) remote_woken: AtomicBool,
    pub(super) flags: Cell<u8>,
    /// Whose shares it is polled by. Means something only if `GROUPED` is set.
    pub(super) group: Cell<u16>,
    /// The next in the inbox's list. Only who set `remote_woken`, and then the home thread, touches it.
    link: AtomicPtr<Header>,
    /// Identity of the home executor, never reused within a process.
    pub(super) home: u64,
    /// The home executor's; see [`Header::inbox`] for how long.
    inbox: *const Inbox,
    vtable: &'static Vtable,
    pub(super) prev: Cell<Option<TaskRef>>,
    pub(super) next: Cell<Option<TaskRef>>,
    join_waker: Cell<Option<Waker>>,
    pub(super) origin: Origin,
    pub(super) notes: Notes,
    pub(super) wait: Cell<Wait>,
}

/// What depends on the type of the future.
pub(super) struct Vtable {
    pub(super) poll: unsafe fn(TaskRef, &mut Context<'_>) -> bool,
    pub(super) finish: unsafe fn(TaskRef, JoinError),
    pub(super) take_output: unsafe fn(TaskRef, *mut ()) -> bool,
    pub(super) drop_output: unsafe fn(TaskRef),
    pub(super) dealloc: unsafe fn(TaskRef),
}

impl Header {
    /// The inbox of the task's home.
    ///
    /// While the executor holds its reference to the task, it is there to hold the inbox as well: so the usual task
    /// costs no atomic counting of inboxes. A task that others still refer to when the executor lets go of it becomes
    /// a holder in its own right, see [`TaskRef::release_by_executor`].
    ///
    /// # Safety
    /// The caller holds a reference to the task that is not the join handle's alone; or, for one that was not sent
    /// yet, the inbox itself.
    pub(super) unsafe fn inbox(&self) -> &Inbox {
        // SAFETY: as said above; the caller vouches for the reference.
        unsafe { &*self.inbox }
    }
}

/// A pointer to a task, with no claim on its reference count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskRef(NonNull<Header>);

/// Allocates a task with two references: the executor's and the join handle's. Whoever makes it holds the inbox.
#[inline]
pub(super) fn allocate<F>(future: F, inbox: &Arc<Inbox>, origin: Origin, notes: Notes) -> TaskRef
where
    F: Future + 'static,
    F::Output: 'static,
{
    let header = |vtable| Header {
        refs: Refs::new(),
        remote_woken: AtomicBool::new(false),
        flags: Cell::new(JOINED),
        group: Cell::new(0),
        link: AtomicPtr::new(ptr::null_mut()),
        home: inbox.home(),
        inbox: Arc::as_ptr(inbox),
        vtable,
        prev: Cell::new(None),
        next: Cell::new(None),
        join_waker: Cell::new(None),
        origin,
        notes,
        wait: Cell::default(),
    };
    #[cfg(loom)]
    ALLOCATED.set(ALLOCATED.get() + 1);
    TaskRef(stage::allocate(future, header))
}

#[cfg(loom)]
thread_local! {
    /// Tasks whose memory has not been freed. Loom runs a model in one thread.
    pub(super) static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

impl TaskRef {
    /// # Safety
    /// The task's memory must be alive: the caller holds a reference, or knows of one that outlives the use.
    pub(super) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller vouches for the memory; a header is only ever handed out shared.
        unsafe { self.0.as_ref() }
    }

    /// Polls the future once; `true` when it finished or panicked, which was reported: then it has been dropped.
    ///
    /// # Safety
    /// Home thread; the task is live (not `COMPLETE`) and not being polled further up the stack.
    pub(super) unsafe fn poll(self, cx: &mut Context<'_>) -> bool {
        // SAFETY: forwarded to the caller.
        unsafe { (self.header().vtable.poll)(self, cx) }
    }

    /// Drops the future and stores `why` as the outcome.
    ///
    /// # Safety
    /// As for [`TaskRef::poll`].
    pub(super) unsafe fn finish(self, why: JoinError) {
        // SAFETY: forwarded to the caller.
        unsafe { (self.header().vtable.finish)(self, why) }
    }

    /// Moves the outcome into the memory at `slot`, which has room for a `Result<T, JoinError>` of the task's type;
    /// `false` if it has been taken before.
    ///
    /// # Safety
    /// Home thread, the task is `COMPLETE`, and `slot` has the type that the task was spawned with.
    pub(super) unsafe fn take_output(self, slot: *mut ()) -> bool {
        // SAFETY: forwarded to the caller.
        unsafe {
            let header = self.header();
            header.flags.set(header.flags.get() | TAKEN);
            (header.vtable.take_output)(self, slot)
        }
    }

    /// Drops the outcome, if it is still there.
    ///
    /// # Safety
    /// Home thread, and the task is `COMPLETE`.
    pub(super) unsafe fn drop_output(self) {
        // SAFETY: forwarded to the caller.
        unsafe {
            let header = self.header();
            if header.flags.get() & TAKEN == 0 {
                (header.vtable.drop_output)(self)
            }
        }
    }

    /// Gives one reference up, and the memory with the last one.
    ///
    /// # Safety
    /// The caller owns the reference and does not use the task through it afterwards.
    pub(super) unsafe fn release(self) {
        // SAFETY: our reference keeps the header alive for this access.
        let header = unsafe { self.header() };
        let at_home = executor::is_home(header.home);
        let last = if at_home { header.refs.release_at_home() } else { header.refs.release_away() };
        if last {
            // SAFETY: ours was the last reference.
            unsafe { self.free() }
        }
    }

    /// As [`TaskRef::release`], for the join handle, whose thread is the task's home even after its executor's end.
    ///
    /// # Safety
    /// As for [`TaskRef::release`]; home thread.
    pub(super) unsafe fn release_handle(self) {
        // SAFETY: as above.
        unsafe {
            if self.header().refs.release_at_home() {
                self.free();
            }
        }
    }

    /// Gives the executor's reference up.
    ///
    /// # Safety
    /// As for [`TaskRef::release`]; home thread, and the task is `COMPLETE`.
    pub(super) unsafe fn release_by_executor(self) {
        // SAFETY: as above.
        unsafe {
            let header = self.header();
            let others_remain = || {
                // The executor has the inbox, and nobody else can free the task before the counts are shared.
                Arc::increment_strong_count(header.inbox);
                header.flags.set(header.flags.get() | KEEPS_INBOX);
            };
            if header.refs.release_by_executor(header.flags.get() & JOINED != 0, others_remain) {
                self.free();
            }
        }
    }

    /// # Safety
    /// No reference is left, so that nobody can reach the task any more. The stage is empty: the executor held a
    /// reference until the future was dropped, the join handle until the output was.
    unsafe fn free(self) {
        #[cfg(loom)]
        ALLOCATED.set(ALLOCATED.get() - 1);
        // SAFETY: the memory is still there, and nobody else uses it. What the executor counted is given back.
        unsafe {
            let (dealloc, inbox) = (self.header().vtable.dealloc, self.header().inbox);
            let keeps_inbox = self.header().flags.get() & KEEPS_INBOX != 0;
            dealloc(self);
            if keeps_inbox {
                Arc::decrement_strong_count(inbox);
            }
        }
    }

    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// The cell that the header is the beginning of.
    pub(super) fn cast<T>(self) -> NonNull<T> {
        self.0.cast()
    }

    pub(super) fn from_ptr(task: *mut Header) -> Option<TaskRef> {
        NonNull::new(task).map(TaskRef)
    }

    /// Changes the task's place in the inbox's list, and returns the old one.
    ///
    /// # Safety
    /// As for [`TaskRef::header`].
    pub(super) unsafe fn swap_link(self, link: *mut Header) -> *mut Header {
        // SAFETY: forwarded. Relaxed: the list's own head orders what its links say.
        let place = unsafe { &self.header().link };
        let old = place.load(Ordering::Relaxed);
        place.store(link, Ordering::Relaxed);
        old
    }

    pub(super) fn raw_waker(self) -> RawWaker {
        RawWaker::new(self.0.as_ptr().cast_const().cast(), &WAKER)
    }

    /// The task of a waker, if it is one of ours.
    #[inline]
    pub(super) fn from_waker(waker: &Waker) -> Option<TaskRef> {
        // SAFETY: our vtable means that the data came from `raw_waker`.
        std::ptr::eq(waker.vtable(), &raw const WAKER).then(|| unsafe { TaskRef::from_data(waker.data()) })
    }

    /// # Safety
    /// `data` came from [`TaskRef::raw_waker`].
    pub(super) unsafe fn from_data(data: *const ()) -> TaskRef {
        // SAFETY: raw_waker made it from a NonNull.
        TaskRef(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) })
    }

    /// Wakes the task, from any thread.
    ///
    /// # Safety
    /// As for [`TaskRef::header`].
    pub(super) unsafe fn wake(self) {
        // SAFETY: forwarded.
        unsafe { wake_by_ref(self.0.as_ptr().cast_const().cast()) }
    }

    /// # Safety
    /// As for [`TaskRef::header`]; home thread.
    pub(super) unsafe fn set_join_waker(self, waker: Option<Waker>) {
        // SAFETY: forwarded. The old waker is dropped after the cell holds its new value, so a drop that
        // comes back here finds the cell in order.
        drop(unsafe { self.header() }.join_waker.replace(waker));
    }

    /// Takes the waker of whoever waits for the output.
    ///
    /// # Safety
    /// As for [`TaskRef::header`]; home thread.
    pub(super) unsafe fn take_join_waker(self) -> Option<Waker> {
        // SAFETY: forwarded.
        unsafe { self.header() }.join_waker.take()
    }

    /// The address of the task that waits for this one.
    ///
    /// # Safety
    /// As for [`TaskRef::header`]; home thread.
    pub(super) unsafe fn joiner(self) -> Option<*const ()> {
        // SAFETY: forwarded.
        let cell = unsafe { &self.header().join_waker };
        let waker = cell.take();
        let joiner = waker.as_ref().and_then(task_of);
        cell.set(waker);
        joiner
    }

    /// Says that a remote wake has been taken out of the inbox.
    ///
    /// # Safety
    /// As for [`TaskRef::header`].
    pub(super) unsafe fn clear_remote_woken(self) {
        // SAFETY: forwarded. AcqRel pairs with the swap in `wake`: what the waker's thread wrote before waking
        // is seen by the poll that follows.
        unsafe { self.header() }.remote_woken.swap(false, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every task has one.
    #[test]
    fn a_header_is_small() {
        assert!(size_of::<Header>() <= 120, "it has {} bytes", size_of::<Header>());
    }
}
