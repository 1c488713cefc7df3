use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::waiters::{Waiters, poll_registered, wake_each};
use crate::task::{Primitive, waits_on};

/// Happens once, and whoever waits for it, before or after, goes on.
///
/// ```
/// use covet_runtime::{spawn, sync::Event};
/// use std::rc::Rc;
///
/// covet_runtime::block_on(async {
///     let ready = Rc::new(Event::new());
///     let set = ready.clone();
///     spawn(async move { set.set() }).detach();
///     ready.wait().await;
///     assert!(ready.is_set());
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
pub struct Event {
    state: RefCell<State>,
}

struct State {
    set: bool,
    waiters: Waiters<()>,
}

impl Event {
    /// An event that has not happened.
    pub const fn new() -> Event {
        Event { state: RefCell::new(State { set: false, waiters: Waiters::new() }) }
    }

    /// Lets it happen; true the first time.
    pub fn set(&self) -> bool {
        let first = !self.is_set();
        wake_each(self.set_silently());
        first
    }

    /// Lets it happen and leaves the waking to the caller.
    pub(super) fn set_silently(&self) -> Vec<Waker> {
        let mut state = self.state.borrow_mut();
        state.set = true;
        state.waiters.pop_all(|()| {})
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.state.borrow().set
    }

    /// Waits until it has happened, which may be now.
    ///
    /// # Cancellation
    /// Dropping the future gives up nothing.
    #[track_caller]
    pub fn wait(&self) -> Wait<'_> {
        Wait { event: self, key: None, at: Location::caller() }
    }

    pub(super) fn poll_wait(
        &self,
        key: &mut Option<usize>,
        at: &'static Location<'static>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let happened = poll_registered(&self.state, cx, |state, registration| {
            if state.set {
                state.waiters.leave(key);
                return Poll::Ready(());
            }
            state.waiters.wait(key, registration, || ());
            Poll::Pending
        });
        if happened.is_pending() {
            waits_on(cx.waker(), Primitive::Event, Some(at));
        }
        happened
    }

    pub(super) fn leave(&self, key: &mut Option<usize>) {
        if key.is_some() {
            let left = self.state.borrow_mut().waiters.leave(key);
            drop(left);
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn slots(&self) -> usize {
        self.state.borrow().waiters.slots()
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}

/// The future of [`Event::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<'a> {
    event: &'a Event,
    key: Option<usize>,
    at: &'static Location<'static>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Wait { event, key, at } = &mut *self;
        event.poll_wait(key, at, cx)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.event.leave(&mut self.key);
    }
}
