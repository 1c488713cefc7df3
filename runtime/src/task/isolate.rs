//! The border that the panics of other people's code do not cross.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use super::raw::{JOINED, TaskRef};
use super::{JoinError, is_home_waker};

/// Does `what` with each item. Wakers and destructors are other people's code: a panic in one must neither end the core
/// nor keep the rest from their turn.
pub(crate) fn isolate_each<T>(place: &str, items: impl IntoIterator<Item = T>, mut what: impl FnMut(T)) {
    let mut items = items.into_iter();
    // One border for all of them, and a new one after each panic.
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| items.by_ref().for_each(&mut what))) {
        report_panic(payload, place);
    }
}

/// Wakes each. Our own wakers do not panic, and go without the border.
#[inline]
pub(crate) fn wake_isolated(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        if is_home_waker(&waker) {
            waker.wake();
        } else {
            isolate_each("a waker", [waker], Waker::wake);
        }
    }
}

/// Drops an output that nobody wants, or wakes who wants it. Destructors and wakers are other people's code: a panic in
/// one must neither end the core nor stop `cancel_all` on its way through futures that may borrow from a stack that is
/// about to go.
///
/// # Safety
/// The task is alive and `COMPLETE`; home thread.
#[inline(never)]
pub(super) unsafe fn hand_on_isolated(task: TaskRef, joiner: Option<Waker>) {
    // SAFETY: forwarded.
    unsafe {
        let handed_on = catch_unwind(AssertUnwindSafe(|| {
            if task.header().flags.get() & JOINED == 0 {
                task.drop_output();
            }
            if let Some(joiner) = joiner {
                joiner.wake();
            }
        }));
        if let Err(payload) = handed_on {
            report_panic(payload, &task.header().origin);
        }
    }
}

/// Logs a panic that was stopped at the border of its task.
pub(crate) fn report_panic(payload: Box<dyn Any + Send>, place: impl std::fmt::Display) {
    let message = JoinError::panic_text(&*payload);
    tracing::error!(%message, %place, "a task panicked; the core goes on");
    drop_payload(payload);
}

/// Drops what a task panicked with. It may be anything, even something whose destructor panics in its turn, with
/// something like it: after a few of those the next one is given up.
pub(crate) fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..4 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    std::mem::forget(payload);
}
