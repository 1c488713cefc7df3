//! The standard `Waker` of a task: cheap at home, valid everywhere.

use std::panic::Location;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::inbox::Inbox;
use super::notes::Notes;
use super::raw::{COMPLETE, Header, ON_ITS_WAY, TaskRef, allocate};
use super::{JoinError, executor};
use crate::sync_types::{Arc, Ordering};

pub(super) static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: a waker's data is a task that the waker holds a reference to.
    unsafe {
        let task = TaskRef::from_data(data);
        let header = task.header();
        if executor::is_home(header.home) {
            header.refs.acquire_at_home();
        } else {
            header.refs.acquire_away();
        }
        task.raw_waker()
    }
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as above; `wake` consumes the waker, so its reference is released here.
    unsafe {
        wake_by_ref(data);
        drop_waker(data);
    }
}

pub(super) unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as above.
    let (task, header) = unsafe {
        let task = TaskRef::from_data(data);
        (task, task.header())
    };
    if executor::schedule_if_home(header.home, task) {
        return;
    }
    // AcqRel: what this thread wrote before waking is seen by the poll that follows, also when an earlier wake
    // has already put the task into the inbox.
    if !header.remote_woken.swap(true, Ordering::AcqRel) {
        header.refs.acquire_away();
        // SAFETY: the reference just taken goes into the inbox with the task, or is given up if nobody is left there.
        drop(unsafe { header.inbox().push(RemoteTask::new(task)) });
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker's own reference is given up.
    unsafe { TaskRef::from_data(data).release() }
}

/// A task on its way home from another thread; owns one reference.
pub(super) struct RemoteTask(TaskRef);

// SAFETY: off the home thread a RemoteTask is only moved, or dropped, which touches the atomic count and, at the
// last reference, memory in which nothing is left to drop. One that was made off its home holds what is Send.
unsafe impl Send for RemoteTask {}

impl RemoteTask {
    /// # Safety
    /// The caller passes on one reference that it owns.
    pub(super) unsafe fn new(task: TaskRef) -> RemoteTask {
        RemoteTask(task)
    }

    /// A task made on any thread, to be polled at its home. Besides the reference that goes with it there is one for
    /// the executor, and no join handle.
    ///
    /// # Safety
    /// What the future holds until its first poll is Send, and so is its output.
    pub(super) unsafe fn sent<F>(future: F, inbox: &Arc<Inbox>, at: &'static Location<'static>) -> RemoteTask
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = allocate(future, inbox, at.into(), Notes::default());
        // SAFETY: freshly allocated, and known to nobody else.
        let header = unsafe { task.header() };
        header.flags.set(ON_ITS_WAY);
        // As if woken: a waker that is made early can't link it a second time.
        header.remote_woken.store(true, Ordering::Relaxed);
        RemoteTask(task)
    }

    pub(super) fn task(&self) -> TaskRef {
        self.0
    }

    pub(super) fn set_older(&self, older: *mut Header) {
        // SAFETY: our reference keeps the task.
        unsafe { self.0.swap_link(older) };
    }

    /// Drops a task that will not be run: one that was sent takes its future with it.
    ///
    /// # Safety
    /// The task was never in an inbox, or was taken out of it by the home thread or in its stead.
    pub(super) unsafe fn refuse(self) {
        // SAFETY: our reference keeps the task. Its flags belong to whoever made it until it is pushed, then to the
        // home thread. A task on its way was never polled, is in no queue, and has a second reference that nobody
        // else will give up.
        unsafe {
            let flags = &self.0.header().flags;
            if flags.get() & ON_ITS_WAY != 0 {
                flags.set(COMPLETE);
                self.0.finish(JoinError::Cancelled);
                self.0.drop_output();
                self.0.release_by_executor();
            }
        }
    }
}

impl Drop for RemoteTask {
    fn drop(&mut self) {
        // SAFETY: `new` received the reference that is given up here.
        unsafe { self.0.release() }
    }
}

/// Whether a waker is one of ours on its home thread, where waking and dropping it runs no foreign code.
#[inline]
pub(crate) fn is_home_waker(waker: &Waker) -> bool {
    home_header(waker).is_some()
}

/// The header of the task that a waker belongs to, if it is one of ours on its home thread.
#[inline]
pub(super) fn home_header(waker: &Waker) -> Option<&Header> {
    let task = TaskRef::from_waker(waker)?;
    // SAFETY: the waker keeps the task alive while it is borrowed.
    let header = unsafe { task.header() };
    executor::is_home(header.home).then_some(header)
}

/// The address by which a waker names its task, if it is one of ours.
pub(crate) fn task_of(waker: &Waker) -> Option<*const ()> {
    TaskRef::from_waker(waker).map(|task| task.as_ptr().cast_const().cast())
}
