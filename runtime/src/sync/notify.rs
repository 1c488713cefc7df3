use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::waiters::{Waiters, poll_registered, wake_each};
use crate::task::{Primitive, waits_on};

/// Tells tasks that something happened, without saying what.
///
/// [`Notify::notify_one`] reaches the one who waits longest, or is kept for the next who waits; [`Notify::notify_all`]
/// reaches those who wait now and is not kept.
///
/// ```
/// use covet_runtime::{spawn, sync::Notify};
/// use std::rc::Rc;
///
/// covet_runtime::block_on(async {
///     let work = Rc::new(Notify::new());
///     let told = work.clone();
///     let worker = spawn(async move { told.notified().await });
///     work.notify_one();
///     worker.await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Notify {
    state: RefCell<State>,
}

struct State {
    /// A `notify_one` that found nobody.
    stored: bool,
    /// The number of `notify_all` so far.
    rounds: u64,
    waiters: Waiters<By>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Nobody,
    One,
    All,
}

impl State {
    fn one(&mut self) -> Option<std::task::Waker> {
        let Some((waker, by)) = self.waiters.pop_front() else {
            self.stored = true;
            return None;
        };
        *by = By::One;
        Some(waker)
    }
}

impl Notify {
    /// Nothing has happened yet.
    pub const fn new() -> Notify {
        Notify { state: RefCell::new(State { stored: false, rounds: 0, waiters: Waiters::new() }) }
    }

    /// Ends the wait of the one who waits longest, or of the next who will wait if nobody does.
    ///
    /// Only one is stored: a second call that finds nobody adds nothing.
    pub fn notify_one(&self) {
        let waker = self.state.borrow_mut().one();
        wake_each(waker);
    }

    /// Ends the wait of all who wait now, which includes every future that [`Notify::notified`] has returned, polled
    /// or not.
    pub fn notify_all(&self) {
        let wakers = {
            let mut state = self.state.borrow_mut();
            state.rounds = state.rounds.wrapping_add(1);
            state.waiters.pop_all(|by| *by = By::All)
        };
        wake_each(wakers);
    }

    /// Waits until it is notified.
    ///
    /// The place in the queue is taken at the first poll.
    ///
    /// # Cancellation
    /// If the future was chosen by [`Notify::notify_one`] and is dropped before it is polled again, the next is chosen
    /// in its place, or the notification is stored.
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            since: self.state.borrow().rounds,
            key: None,
            done: false,
            at: Location::caller(),
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn slots(&self) -> usize {
        self.state.borrow().waiters.slots()
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl std::fmt::Debug for Notify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notify").field("stored", &self.state.borrow().stored).finish()
    }
}

/// The future of [`Notify::notified`].
#[must_use = "futures do nothing unless awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    since: u64,
    key: Option<usize>,
    done: bool,
    at: &'static Location<'static>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Notified { notify, since, key, done, at } = &mut *self;
        if *done {
            return Poll::Ready(());
        }
        let outcome = poll_registered(&notify.state, cx, |state, registration| {
            if key.is_none() && state.rounds != *since {
                return Poll::Ready(());
            }
            if key.is_none() && state.stored {
                state.stored = false;
                return Poll::Ready(());
            }
            if state.waiters.take_popped(key).is_some() {
                return Poll::Ready(());
            }
            state.waiters.wait(key, registration, || By::Nobody);
            Poll::Pending
        });
        *done = outcome.is_ready();
        if !*done {
            waits_on(cx.waker(), Primitive::Notify, Some(at));
        }
        outcome
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if self.key.is_none() {
            return;
        }
        let left = self.notify.state.borrow_mut().waiters.leave(&mut self.key);
        if let Some((By::One, _)) = left {
            self.notify.notify_one();
        }
    }
}
