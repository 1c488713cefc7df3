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

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, RawWaker, Waker};

use super::inbox::Inbox;
use super::notes::{Notes, Wait};
use super::origin::Origin;
use super::refs::Refs;
use super::waker::{WAKER, task_of, wake_by_ref};
use super::{JoinError, executor, isolate};
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
    pub(super) inbox: Arc<Inbox>,
    vtable: &'static Vtable,
    pub(super) prev: Cell<Option<TaskRef>>,
    pub(super) next: Cell<Option<TaskRef>>,
    join_waker: Cell<Option<Waker>>,
    pub(super) origin: Origin,
    pub(super) notes: Notes,
    pub(super) wait: Cell<Wait>,
}

/// Whether the future is finished, or what it panicked with.
pub(super) type Polled = Result<bool, Box<dyn Any + Send>>;

struct Vtable {
    poll: unsafe fn(TaskRef, &mut Context<'_>) -> Polled,
    finish: unsafe fn(TaskRef, JoinError),
    take_output: unsafe fn(TaskRef, *mut ()),
    drop_output: unsafe fn(TaskRef),
    dealloc: unsafe fn(TaskRef),
}

enum Stage<F: Future> {
    Future(F),
    Output(Result<F::Output, JoinError>),
    Empty,
}

#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// A pointer to a task, with no claim on its reference count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskRef(NonNull<Header>);

/// Allocates a task with two references: the executor's and the join handle's.
pub(super) fn allocate<F>(future: F, inbox: Arc<Inbox>, origin: Origin, notes: Notes) -> TaskRef
where
    F: Future + 'static,
    F::Output: 'static,
{
    let cell = Box::new(TaskCell {
        header: Header {
            refs: Refs::new(),
            remote_woken: AtomicBool::new(false),
            flags: Cell::new(JOINED),
            group: Cell::new(0),
            link: AtomicPtr::new(ptr::null_mut()),
            home: inbox.home(),
            inbox,
            vtable: &const {
                Vtable {
                    poll: poll::<F>,
                    finish: finish::<F>,
                    take_output: take_output::<F>,
                    drop_output: drop_output::<F>,
                    dealloc: dealloc::<F>,
                }
            },
            prev: Cell::new(None),
            next: Cell::new(None),
            join_waker: Cell::new(None),
            origin,
            notes,
            wait: Cell::default(),
        },
        stage: UnsafeCell::new(Stage::Future(future)),
    });
    TaskRef(NonNull::from(Box::leak(cell)).cast())
}

impl TaskRef {
    /// # Safety
    /// The task's memory must be alive: the caller holds a reference, or knows of one that outlives the use.
    pub(super) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller vouches for the memory; a header is only ever handed out shared.
        unsafe { self.0.as_ref() }
    }

    /// Polls the future once. `Ok(true)` when it finished, `Err` with the payload when it panicked; in both
    /// cases the future has been dropped.
    ///
    /// # Safety
    /// Home thread; the task is live (not `COMPLETE`) and not being polled further up the stack.
    pub(super) unsafe fn poll(self, cx: &mut Context<'_>) -> Polled {
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

    /// Moves the outcome into `*slot`, which must be an `Option<Result<T, JoinError>>` of the task's type.
    ///
    /// # Safety
    /// Home thread, the task is `COMPLETE`, and `slot` has the type that the task was spawned with.
    pub(super) unsafe fn take_output(self, slot: *mut ()) {
        // SAFETY: forwarded to the caller.
        unsafe { (self.header().vtable.take_output)(self, slot) }
    }

    /// Drops the outcome, if it is still there.
    ///
    /// # Safety
    /// Home thread, and the task is `COMPLETE`.
    pub(super) unsafe fn drop_output(self) {
        // SAFETY: forwarded to the caller.
        unsafe { (self.header().vtable.drop_output)(self) }
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
            if header.refs.release_by_executor(header.flags.get() & JOINED != 0) {
                self.free();
            }
        }
    }

    /// # Safety
    /// No reference is left, so that nobody can reach the task any more. The stage is empty: the executor held a
    /// reference until the future was dropped, the join handle until the output was.
    unsafe fn free(self) {
        // SAFETY: the memory is still there, and nobody else uses it.
        unsafe { (self.header().vtable.dealloc)(self) }
    }

    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
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

    /// # Safety
    /// As for [`TaskRef::header`]; home thread.
    pub(super) unsafe fn wake_joiner(self) {
        // SAFETY: forwarded.
        if let Some(waker) = unsafe { self.header() }.join_waker.take() {
            waker.wake();
        }
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

/// # Safety
/// See [`TaskRef::poll`]; `F` is the type the task was allocated with.
unsafe fn poll<F: Future>(task: TaskRef, cx: &mut Context<'_>) -> Polled {
    // SAFETY: `TaskCell` is repr(C) with the header first, and the vtable was made for this F. Only the home
    // thread reaches the stage, and the executor does not poll a task inside its own poll.
    let stage = unsafe { &mut *task.0.cast::<TaskCell<F>>().as_ref().stage.get() };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let Stage::Future(future) = stage else { unreachable!("a finished task is not polled") };
        // SAFETY: the cell is on the heap and its future never moves: it is dropped in place when replaced.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }));
    match outcome {
        Ok(Poll::Pending) => Ok(false),
        Ok(Poll::Ready(value)) => replace(stage, Ok(value)).map(|()| true),
        Err(payload) => {
            let text = JoinError::panic_text(&*payload);
            if let Err(second) = replace(stage, Err(JoinError::Panicked(text))) {
                isolate::drop_payload(second);
            }
            Err(payload)
        }
    }
}

/// Drops what is in the stage, then stores the outcome. A panicking destructor is caught, so that the stage is
/// never left half dropped.
fn replace<F: Future>(
    stage: &mut Stage<F>,
    outcome: Result<F::Output, JoinError>,
) -> Result<(), Box<dyn Any + Send>> {
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| {
        // The future must be dropped where it is: moving it out first would break its pin.
        if let Stage::Future(future) = stage {
            let future: *mut F = future;
            let guard = Emptied(stage);
            // SAFETY: the pointer is to the future inside the stage, which is overwritten with `Empty` by the
            // guard without dropping it a second time, even if this destructor panics.
            unsafe { future.drop_in_place() };
            drop(guard);
        }
    }));
    *stage = Stage::Output(outcome);
    dropped
}

struct Emptied<F: Future>(*mut Stage<F>);

impl<F: Future> Drop for Emptied<F> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the `&mut Stage` in `replace`, which outlives this guard; `write`
        // does not drop the old content, which was dropped in place.
        unsafe { self.0.write(Stage::Empty) }
    }
}

/// # Safety
/// See [`TaskRef::finish`].
unsafe fn finish<F: Future>(task: TaskRef, why: JoinError) {
    // SAFETY: as in `poll`.
    let stage = unsafe { &mut *task.0.cast::<TaskCell<F>>().as_ref().stage.get() };
    if let Err(payload) = replace(stage, Err(why)) {
        // A destructor that panics while its task is cancelled must not take the core down.
        isolate::report_panic(payload, "a cancelled task's destructor");
    }
}

/// # Safety
/// See [`TaskRef::take_output`].
unsafe fn take_output<F: Future>(task: TaskRef, slot: *mut ()) {
    // SAFETY: as in `poll`; the caller vouches for the type of the slot.
    unsafe {
        let stage = &mut *task.0.cast::<TaskCell<F>>().as_ref().stage.get();
        if let Stage::Output(outcome) = mem::replace(stage, Stage::Empty) {
            *slot.cast::<Option<Result<F::Output, JoinError>>>() = Some(outcome);
        }
    }
}

/// # Safety
/// See [`TaskRef::drop_output`].
unsafe fn drop_output<F: Future>(task: TaskRef) {
    // SAFETY: as in `poll`. The stage is emptied before the old content is dropped, so a destructor that comes
    // back here finds nothing to drop twice.
    let old = unsafe { mem::replace(&mut *task.0.cast::<TaskCell<F>>().as_ref().stage.get(), Stage::Empty) };
    drop(old);
}

/// # Safety
/// No reference is left.
unsafe fn dealloc<F: Future>(task: TaskRef) {
    // SAFETY: the pointer came from a leaked Box of exactly this type, and nobody else holds it.
    drop(unsafe { Box::from_raw(task.0.cast::<TaskCell<F>>().as_ptr()) });
}
