//! The latest value of something, for many to look at and wait on.
//!
//! A receiver sees the value at the time it looks; values that were replaced in between are never seen.
//!
//! ```
//! use covet_runtime::{spawn, sync::watch};
//!
//! covet_runtime::block_on(async {
//!     let (limit, mut seen) = watch::channel(10);
//!     spawn(async move { limit.send(20) }).detach();
//!     assert_eq!(*seen.get(), 10);
//!     assert!(seen.changed().await.is_ok());
//!     assert_eq!(*seen.get(), 20);
//! })?;
//! # Ok::<(), covet_runtime::StartError>(())
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::waiters::{Waiters, poll_registered, wake_each};

/// Makes a channel that holds this value.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(Rc::new(value)),
        version: Cell::new(0),
        sender_gone: Cell::new(false),
        receivers: Cell::new(1),
        changed: RefCell::new(Waiters::new()),
        unwatched: RefCell::new(Waiters::new()),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    value: RefCell<Rc<T>>,
    version: Cell<u64>,
    sender_gone: Cell<bool>,
    receivers: Cell<usize>,
    changed: RefCell<Waiters<()>>,
    unwatched: RefCell<Waiters<()>>,
}

impl<T> Shared<T> {
    fn replace(&self, value: Rc<T>) -> Rc<T> {
        let old = mem::replace(&mut *self.value.borrow_mut(), value);
        self.version.set(self.version.get() + 1);
        wake_all(&self.changed);
        old
    }
}

fn wake_all(waiters: &RefCell<Waiters<()>>) {
    let wakers = waiters.borrow_mut().pop_all(|()| {});
    wake_each(wakers);
}

/// Polls a wait that ends when `over` says so, however often it is woken.
fn poll_until<R>(
    waiters: &RefCell<Waiters<()>>,
    key: &mut Option<usize>,
    cx: &Context<'_>,
    over: impl Fn() -> Option<R>,
) -> Poll<R> {
    poll_registered(waiters, cx, |waiters, registration| {
        waiters.take_popped(key);
        if let Some(outcome) = over() {
            return Poll::Ready(outcome);
        }
        waiters.wait(key, registration, || ());
        Poll::Pending
    })
}

fn leave(waiters: &RefCell<Waiters<()>>, key: &mut Option<usize>) {
    if key.is_some() {
        let left = waiters.borrow_mut().leave(key);
        drop(left);
    }
}

/// The sender went away: the value will not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender of the watch channel is gone")]
pub struct Closed(());

/// Sets the value of a watch channel; dropping it tells the receivers that it is final.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Replaces the value, and gives back the one before. It works without receivers too.
    pub fn send(&self, value: T) -> Rc<T> {
        self.shared.replace(Rc::new(value))
    }

    /// Replaces the value by a changed clone of it.
    ///
    /// While `change` runs, receivers see the value before. If it sends as well, its own result wins.
    pub fn modify(&self, change: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        let mut value = (*self.get()).clone();
        change(&mut value);
        self.shared.replace(Rc::new(value));
    }

    /// The value at this moment.
    pub fn get(&self) -> Rc<T> {
        self.shared.value.borrow().clone()
    }

    /// One more receiver, which has seen the value of now.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Receiver { shared: self.shared.clone(), seen: self.shared.version.get() }
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }

    /// Waits until no receiver is left.
    ///
    /// # Cancellation
    /// Dropping the future gives up nothing.
    pub fn closed(&self) -> SenderClosed<'_, T> {
        SenderClosed { shared: &self.shared, key: None }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender_gone.set(true);
        wake_all(&self.shared.changed);
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("value", &self.get()).finish()
    }
}

/// The future of [`Sender::closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct SenderClosed<'a, T> {
    shared: &'a Shared<T>,
    key: Option<usize>,
}

impl<T> Future for SenderClosed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let SenderClosed { shared, key } = &mut *self;
        poll_until(&shared.unwatched, key, cx, || (shared.receivers.get() == 0).then_some(()))
    }
}

impl<T> Drop for SenderClosed<'_, T> {
    fn drop(&mut self) {
        leave(&self.shared.unwatched, &mut self.key);
    }
}

/// Looks at the value of a watch channel; clone it for more receivers, which have seen the same.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    seen: u64,
}

impl<T> Receiver<T> {
    /// The value at this moment, which does not count as seen; it may be kept across awaits.
    pub fn get(&self) -> Rc<T> {
        self.shared.value.borrow().clone()
    }

    /// The value at this moment, which counts as seen.
    pub fn get_and_mark(&mut self) -> Rc<T> {
        self.seen = self.shared.version.get();
        self.get()
    }

    /// Whether there is a value that has not been seen.
    pub fn has_changed(&self) -> bool {
        self.seen != self.shared.version.get()
    }

    /// Waits for a value that has not been seen, and counts it as seen.
    ///
    /// # Errors
    /// When the sender is gone and its last value has been seen.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: a change counts as seen only when the future is ready.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed { receiver: self, key: None }
    }

    /// Waits for a value with a property, which may be the one of now, and counts it as seen.
    ///
    /// # Errors
    /// When the sender is gone and its last value has not got it.
    ///
    /// # Cancellation
    /// Values that were looked at count as seen.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Rc<T>, Closed> {
        loop {
            let value = self.get_and_mark();
            if wanted(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        if self.shared.receivers.get() == 0 {
            wake_all(&self.shared.unwatched);
        }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("value", &self.get()).field("changed", &self.has_changed()).finish()
    }
}

/// The future of [`Receiver::changed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    key: Option<usize>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Changed { receiver, key } = &mut *self;
        let (shared, seen) = (&receiver.shared, receiver.seen);
        let outcome = poll_until(&shared.changed, key, cx, || {
            let version = shared.version.get();
            if version != seen {
                Some(Ok(version))
            } else if shared.sender_gone.get() {
                Some(Err(Closed(())))
            } else {
                None
            }
        });
        outcome.map_ok(|version| receiver.seen = version)
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        leave(&self.receiver.shared.changed, &mut self.key);
    }
}
