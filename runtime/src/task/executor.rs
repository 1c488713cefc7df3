//! The run queue of one core.

use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::{Context, Waker};
use std::time::Instant;

use super::groups::{Groups, SERVING};
use super::inbox::Inbox;
use super::isolate::hand_on_isolated;
use super::notes::Notes;
use super::origin::Origin;
use super::raw::{self, CANCELLED, COMPLETE, GROUPED, Header, JOINED, ON_ITS_WAY, QUEUED, TaskRef};
use super::run_queue::RunQueue;
use super::waker::RemoteTask;
use super::{JoinError, JoinHandle, turn};
use crate::probes::probe;
use crate::sync_types::Arc;

thread_local! {
    static CURRENT: Cell<(u64, *const Executor)> = const { Cell::new((0, std::ptr::null())) };
}

/// Runs the tasks of one thread, first in, first out.
pub(crate) struct Executor {
    id: u64,
    pub(super) queue: RunQueue,
    pub(super) first: Cell<Option<TaskRef>>,
    live: Cell<usize>,
    pub(super) groups: Groups,
    /// Polls before the first look at the clock in a turn.
    pub(super) untimed: Cell<usize>,
    /// A task of this turn was ready again as soon as it had been polled: it wants the ring to be looked at first.
    pub(super) yielded: Cell<bool>,
    pub(super) made: Instant,
    /// The age of this executor at the start of the turn.
    pub(super) seconds: Cell<u32>,
    /// The task that is being polled, for a signal handler to see: hence atomic, though no other thread looks.
    pub(super) running: AtomicPtr<Header>,
    inbox: Arc<Inbox>,
}

/// While it lives, wakes on this thread go straight to the executor's queue.
pub(crate) struct Entered {
    before: (u64, *const Executor),
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Queues the task if this thread is its home. The flag check makes a second wake free.
#[inline]
pub(super) fn schedule_if_home(home: u64, task: TaskRef) -> bool {
    let (id, executor) = CURRENT.get();
    if id != home {
        return false;
    }
    // SAFETY: `Entered` keeps CURRENT pointing to a live executor on this very thread, and ids are unique, so
    // this is the task's home. The caller holds a reference to the task.
    unsafe { (*executor).schedule(task) };
    true
}

/// Shows where the task that this thread polls comes from. To be called in a signal handler: it only reads.
pub(crate) fn with_running<T>(look: impl FnOnce(&Origin) -> T) -> Option<T> {
    let (_, executor) = CURRENT.get();
    if executor.is_null() {
        return None;
    }
    // SAFETY: `Entered` keeps CURRENT pointing to a live executor of this thread, which is interrupted: what it has
    // noted as running is being polled or was, and has not been released.
    unsafe {
        TaskRef::from_ptr((*executor).running.load(Ordering::Relaxed)).map(|task| look(&task.header().origin))
    }
}

/// Whether this thread runs the executor with this identity.
#[inline]
pub(super) fn is_home(home: u64) -> bool {
    CURRENT.get().0 == home
}

impl Executor {
    /// Gives back room for more ready tasks than there are.
    pub(crate) fn release(&self) {
        self.queue.shrink();
    }

    pub(crate) fn new(inbox: Arc<Inbox>) -> Executor {
        Executor {
            id: inbox.home(),
            queue: RunQueue::with_capacity(256),
            first: Cell::new(None),
            live: Cell::new(0),
            groups: Groups::new(),
            untimed: Cell::new(turn::UNTIMED_POLLS),
            yielded: Cell::new(false),
            made: Instant::now(),
            seconds: Cell::new(0),
            running: AtomicPtr::new(ptr::null_mut()),
            inbox,
        }
    }

    /// Makes this the executor of the thread until the guard is dropped.
    ///
    /// # Safety
    /// The executor stays at its address until the guard is dropped, and the guard is dropped on this thread.
    pub(crate) unsafe fn enter(&self) -> Entered {
        Entered { before: CURRENT.replace((self.id, self)) }
    }

    pub(crate) fn spawn<F>(&self, future: F, at: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_in(future, at.into(), self.groups.current())
    }

    /// Starts a task in a group of this executor.
    pub(super) fn spawn_in<F>(&self, future: F, origin: Origin, group: u16) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = raw::allocate(future, &self.inbox, origin, Notes::new(self.seconds.get()));
        // SAFETY: freshly allocated: both references are ours to hand on.
        unsafe {
            self.link(task);
            if group != SERVING {
                let header = task.header();
                header.flags.set(header.flags.get() | GROUPED);
                header.group.set(group);
                self.groups.task_spawned(group);
            }
            self.schedule(task);
            JoinHandle::new(task)
        }
    }

    /// Makes the core look at its tasks soon, also when this thread is its own but not in a turn of it.
    #[cfg(feature = "tokio-rt")]
    pub(crate) fn nudge(&self) {
        self.inbox.notify();
    }

    /// Tasks that are spawned and not yet finished.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.ready() > 0
    }

    /// Tasks that wait to be polled.
    pub(crate) fn ready(&self) -> usize {
        self.queue.len() + self.groups.ready()
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// # Safety
    /// The task is alive and this thread is its home.
    #[inline]
    pub(super) unsafe fn schedule(&self, task: TaskRef) {
        // SAFETY: forwarded.
        let flags = unsafe { &task.header().flags };
        // One test for all that is not the usual case: whoever uses no groups pays nothing for them.
        if flags.get() & (QUEUED | COMPLETE | GROUPED) == 0 {
            flags.set(flags.get() | QUEUED);
            self.queue.push(task);
        } else if flags.get() & (QUEUED | COMPLETE) == 0 {
            // SAFETY: forwarded.
            unsafe { self.schedule_in_group(task) };
        }
    }

    /// # Safety
    /// As for `schedule`; the task is in a group and not queued.
    #[cold]
    unsafe fn schedule_in_group(&self, task: TaskRef) {
        // SAFETY: forwarded.
        let header = unsafe { task.header() };
        header.flags.set(header.flags.get() | QUEUED);
        self.groups.push(header.group.get(), task);
    }

    /// Moves what other threads woke, and what they sent, into the run queue.
    pub(crate) fn collect_arrivals(&self) {
        for arrival in self.inbox.take() {
            let task = arrival.task();
            // SAFETY: `arrival` holds a reference; this is the home thread, as the inbox belongs to it. A task that
            // was sent came with a second reference, for us.
            unsafe {
                let flags = &task.header().flags;
                if flags.get() & ON_ITS_WAY != 0 {
                    flags.set(flags.get() & !ON_ITS_WAY);
                    task.header().notes.born.set(self.seconds.get());
                    self.link(task);
                }
                task.clear_remote_woken();
                self.schedule(task);
            }
        }
    }

    /// Starts a task on the core that the inbox belongs to, from any thread. `false` if that core has ended: then the
    /// future was dropped.
    ///
    /// # Safety
    /// What the future holds until its first poll is Send, and so is its output.
    pub(crate) unsafe fn send_task<F>(inbox: &Arc<Inbox>, future: F, at: &'static Location<'static>) -> bool
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        // SAFETY: forwarded. A task that comes back never was in the inbox.
        unsafe {
            match inbox.push(RemoteTask::sent(future, inbox, at)) {
                Ok(()) => true,
                Err(task) => {
                    task.refuse();
                    false
                }
            }
        }
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// # Safety
    /// The task came from the queue of this executor.
    pub(super) unsafe fn poll(&self, task: TaskRef) {
        // SAFETY: the executor's reference keeps the task until `retire`.
        unsafe {
            let flags = &task.header().flags;
            flags.set(flags.get() & !QUEUED);
            if flags.get() & COMPLETE != 0 {
                // It was woken during its last poll and stayed in the queue: only now can it go.
                task.release_by_executor();
                return;
            }
            if flags.get() & CANCELLED == 0 {
                self.running.store(task.as_ptr(), Ordering::Relaxed);
                task.header().notes.polled();
                probe!(poll_begins, task.as_ptr(), task.header().origin.at().line());
                // The waker borrows the executor's reference: no count is touched for a poll.
                let waker = ManuallyDrop::new(Waker::from_raw(task.raw_waker()));
                let finished = task.poll(&mut Context::from_waker(&waker));
                probe!(poll_ends, task.as_ptr());
                if !finished {
                    if flags.get() & CANCELLED == 0 {
                        if flags.get() & QUEUED != 0 {
                            self.yielded.set(true);
                        }
                        return;
                    }
                    task.finish(JoinError::Cancelled);
                }
            } else {
                task.finish(JoinError::Cancelled);
            }
            self.retire(task);
        }
    }

    /// Ends a task whose future is gone: hands its output on and gives the executor's reference up.
    ///
    /// # Safety
    /// The task is live and its outcome is stored.
    unsafe fn retire(&self, task: TaskRef) {
        // SAFETY: the executor's reference keeps the task.
        unsafe {
            let flags = &task.header().flags;
            flags.set(flags.get() | COMPLETE);
            self.unlink(task);
            if flags.get() & GROUPED != 0 {
                self.groups.task_ended(task.header().group.get());
            }
            match task.take_join_waker() {
                joiner if flags.get() & JOINED == 0 => hand_on_isolated(task, joiner),
                None => {}
                Some(joiner) => match self.own_task(&joiner) {
                    Some(joining) => {
                        self.schedule(joining);
                        drop(joiner);
                    }
                    None => hand_on_isolated(task, Some(joiner)),
                },
            }
            // Before the memory may go. The release of the reference keeps this store before it.
            self.running.store(ptr::null_mut(), Ordering::Relaxed);
            if flags.get() & QUEUED == 0 {
                task.release_by_executor();
            }
        }
    }

    /// The task of a waker, if it is one of this executor's.
    #[inline]
    fn own_task(&self, waker: &Waker) -> Option<TaskRef> {
        let task = TaskRef::from_waker(waker)?;
        // SAFETY: the waker holds a reference.
        (unsafe { task.header() }.home == self.id).then_some(task)
    }

    /// Drops every future, in the order of spawning backwards, and all that they own.
    ///
    /// Tasks spawned by destructors on the way are dropped as well.
    pub(crate) fn cancel_all(&self) {
        while let Some(task) = self.first.get() {
            // SAFETY: linked tasks are live, and none is being polled: the loop that polls has ended.
            unsafe {
                let flags = &task.header().flags;
                flags.set(flags.get() | CANCELLED);
                task.finish(JoinError::Cancelled);
                self.retire(task);
            }
        }
        while let Some(task) = self.queue.pop().or_else(|| self.groups.pop_any()) {
            // SAFETY: only finished tasks are left, each kept by the reference that `retire` left behind.
            unsafe {
                let flags = &task.header().flags;
                flags.set(flags.get() & !QUEUED);
                task.release_by_executor();
            }
        }
        self.inbox.close();
    }

    /// # Safety
    /// The task is alive and not linked.
    unsafe fn link(&self, task: TaskRef) {
        // SAFETY: forwarded; every linked task is alive.
        unsafe {
            task.header().next.set(self.first.get());
            if let Some(next) = self.first.get() {
                next.header().prev.set(Some(task));
            }
        }
        self.first.set(Some(task));
        self.live.set(self.live.get() + 1);
    }

    /// # Safety
    /// The task is alive and linked into this executor's list.
    unsafe fn unlink(&self, task: TaskRef) {
        // SAFETY: forwarded; every linked task is alive.
        unsafe {
            let (prev, next) = (task.header().prev.take(), task.header().next.take());
            match prev {
                Some(prev) => prev.header().next.set(next),
                None => self.first.set(next),
            }
            if let Some(next) = next {
                next.header().prev.set(prev);
            }
        }
        self.live.set(self.live.get() - 1);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.cancel_all();
    }
}
