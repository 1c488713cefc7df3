//! The part of a task that depends on the type of its future: the cell, and what becomes of its content.

use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::raw::{Header, TaskRef, Vtable};
use super::{JoinError, isolate};

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

/// Puts a future and its header into one allocation. Both are written where they are to stay.
#[inline]
pub(super) fn allocate<F>(future: F, header: impl FnOnce(&'static Vtable) -> Header) -> NonNull<Header>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let vtable = &const {
        Vtable {
            poll: poll::<F>,
            finish: finish::<F>,
            take_output: take_output::<F>,
            drop_output: drop_output::<F>,
            dealloc: dealloc::<F>,
        }
    };
    let cell: *mut TaskCell<F> = Box::leak(Box::<TaskCell<F>>::new_uninit()).as_mut_ptr();
    // SAFETY: the memory was allocated for this type, and both fields are written before anybody sees it. Neither
    // expression panics.
    unsafe {
        (&raw mut (*cell).stage).write(UnsafeCell::new(Stage::Future(future)));
        (&raw mut (*cell).header).write(header(vtable));
        NonNull::new_unchecked(cell).cast()
    }
}

/// # Safety
/// The task was allocated with an `F`, only its home thread asks, and what was returned before is no longer used.
#[inline]
unsafe fn stage<'a, F: Future>(task: TaskRef) -> &'a mut Stage<F> {
    // SAFETY: `TaskCell` is repr(C) with the header first; the rest is the caller's word.
    unsafe { &mut *task.cast::<TaskCell<F>>().as_ref().stage.get() }
}

/// # Safety
/// See [`TaskRef::poll`]; `F` is the type the task was allocated with.
unsafe fn poll<F: Future>(task: TaskRef, cx: &mut Context<'_>) -> bool {
    // SAFETY: the vtable was made for this F. Only the home thread reaches the stage, and the executor does not poll a
    // task inside its own poll.
    let stage = unsafe { stage::<F>(task) };
    let mut output = None;
    // One border for the poll and for the destructor of what is ready.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let Stage::Future(future) = stage else { unreachable!("a finished task is not polled") };
        // SAFETY: the cell is on the heap and its future never moves: it is dropped in place.
        if let Poll::Ready(value) = unsafe { Pin::new_unchecked(future) }.poll(cx) {
            output = Some(value);
            empty(stage);
        }
    }));
    let panic = outcome.err();
    let finished = panic.is_some() || output.is_some();
    if let Some(value) = output {
        *stage = Stage::Output(Ok(value));
    }
    if let Some(payload) = panic {
        // SAFETY: the caller holds the task.
        panicked(stage, payload, unsafe { task.header() });
    }
    finished
}

/// Puts a panic in the place of the future that it came from, unless it came after the output; and reports it.
#[cold]
fn panicked<F: Future>(stage: &mut Stage<F>, payload: Box<dyn Any + Send>, header: &Header) {
    if let Stage::Future(_) = stage {
        let text = JoinError::panic_text(&*payload);
        if let Err(second) = replace(stage, Err(JoinError::Panicked(text))) {
            isolate::drop_payload(second);
        }
    }
    isolate::report_panic(payload, &header.origin);
}

/// Drops the future where it is, as moving it out first would break its pin.
#[inline]
fn empty<F: Future>(stage: &mut Stage<F>) {
    if let Stage::Future(future) = stage {
        let future: *mut F = future;
        let guard = Emptied(stage);
        // SAFETY: the pointer is to the future inside the stage, which is overwritten with `Empty` by the guard
        // without dropping it a second time, even if this destructor panics.
        unsafe { future.drop_in_place() };
        drop(guard);
    }
}

struct Emptied<F: Future>(*mut Stage<F>);

impl<F: Future> Drop for Emptied<F> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the `&mut Stage` in `empty`, which outlives this guard; `write` does not drop
        // the old content, which was dropped in place.
        unsafe { self.0.write(Stage::Empty) }
    }
}

/// Drops the future, then stores the outcome. A panicking destructor is caught, so that the stage is never left half
/// dropped.
fn replace<F: Future>(
    stage: &mut Stage<F>,
    outcome: Result<F::Output, JoinError>,
) -> Result<(), Box<dyn Any + Send>> {
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| empty(stage)));
    *stage = Stage::Output(outcome);
    dropped
}

/// # Safety
/// See [`TaskRef::finish`].
unsafe fn finish<F: Future>(task: TaskRef, why: JoinError) {
    // SAFETY: as in `poll`.
    let stage = unsafe { stage::<F>(task) };
    if let Err(payload) = replace(stage, Err(why)) {
        // A destructor that panics while its task is cancelled must not take the core down.
        isolate::report_panic(payload, "a cancelled task's destructor");
    }
}

/// Takes the outcome out. It alone is moved, and not the room that the future had.
#[inline]
fn take<F: Future>(stage: &mut Stage<F>) -> Option<Result<F::Output, JoinError>> {
    let Stage::Output(outcome) = stage else { return None };
    // SAFETY: the stage is overwritten without dropping what was just read, and nothing in between panics.
    unsafe {
        let outcome = ptr::read(outcome);
        ptr::write(stage, Stage::Empty);
        Some(outcome)
    }
}

/// # Safety
/// See [`TaskRef::take_output`].
unsafe fn take_output<F: Future>(task: TaskRef, slot: *mut ()) -> bool {
    // SAFETY: as in `poll`; the caller vouches for the type of the slot.
    unsafe {
        let outcome = take(stage::<F>(task));
        let taken = outcome.is_some();
        if let Some(outcome) = outcome {
            slot.cast::<Result<F::Output, JoinError>>().write(outcome);
        }
        taken
    }
}

/// # Safety
/// See [`TaskRef::drop_output`].
unsafe fn drop_output<F: Future>(task: TaskRef) {
    // SAFETY: as in `poll`. The stage is emptied before the old content is dropped, so a destructor that comes
    // back here finds nothing to drop twice.
    drop(unsafe { take(stage::<F>(task)) });
}

/// # Safety
/// No reference is left.
unsafe fn dealloc<F: Future>(task: TaskRef) {
    // SAFETY: the pointer came from a leaked Box of exactly this type, and nobody else holds it.
    drop(unsafe { Box::from_raw(task.cast::<TaskCell<F>>().as_ptr()) });
}
