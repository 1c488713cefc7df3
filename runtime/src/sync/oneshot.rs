//! One value from one task to another.
//!
//! ```
//! use covet_runtime::{spawn, sync::oneshot};
//!
//! covet_runtime::block_on(async {
//!     let (answer, question) = oneshot::channel();
//!     spawn(async move { answer.send(42) }).detach();
//!     assert_eq!(question.await, Ok(42));
//! })?;
//! # Ok::<(), covet_runtime::StartError>(())
//! ```

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::waker_cell::WakerCell;
use crate::task::{Primitive, waits_on};

/// Makes a channel for one value; one allocation.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        sender_gone: Cell::new(false),
        closed: Cell::new(false),
        receiver: WakerCell::new(),
        sender: WakerCell::new(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    value: Cell<Option<T>>,
    sender_gone: Cell<bool>,
    closed: Cell<bool>,
    receiver: WakerCell,
    sender: WakerCell,
}

impl<T> Shared<T> {
    fn try_take(&self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.sender_gone.get() || self.closed.get() => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    fn close(&self) {
        if !self.closed.replace(true) {
            self.sender.wake();
        }
    }
}

/// The sender went away without a value, or the value has been received already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender of the oneshot channel is gone")]
pub struct RecvError(());

/// Why there is no value at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The sender has not sent yet.
    #[error("the oneshot channel is empty")]
    Empty,
    /// No value will come.
    #[error("the sender of the oneshot channel is gone")]
    Closed,
}

/// Sends the value of a oneshot channel; dropping it tells the receiver that none will come.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the value, without waiting.
    ///
    /// # Errors
    /// Gives the value back if the receiver is closed or gone.
    pub fn send(self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        // Dropping the sender wakes the receiver.
        self.shared.value.set(Some(value));
        Ok(())
    }

    /// Whether the receiver is closed or gone, so that sending is in vain.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.get()
    }

    /// Waits until the receiver is closed or gone.
    ///
    /// # Cancellation
    /// Dropping the future gives up nothing.
    pub async fn closed(&mut self) {
        std::future::poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Whether the receiver is closed or gone; if not, the task is woken when it is.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_closed() {
            self.shared.sender.register(cx.waker());
            waits_on(cx.waker(), Primitive::Channel, None);
        }
        if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender_gone.set(true);
        self.shared.sender.clear();
        self.shared.receiver.wake();
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

/// Receives the value of a oneshot channel, as a future.
///
/// It fails with [`RecvError`] if the sender goes away first. It may be polled by reference, in a `select`, and loses
/// nothing; once the value was received it only fails.
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The value, if it has been sent.
    ///
    /// # Errors
    /// When it has not been sent yet, or never will.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.try_take()
    }

    /// Lets no value in from now on; one that was sent before can still be received.
    pub fn close(&mut self) {
        self.shared.close();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.shared.try_take();
        if let Err(TryRecvError::Empty) = outcome {
            self.shared.receiver.register(cx.waker());
            waits_on(cx.waker(), Primitive::Channel, None);
            outcome = self.shared.try_take();
        }
        match outcome {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError(()))),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.receiver.clear();
        drop(self.shared.value.take());
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("closed", &self.shared.closed.get()).finish()
    }
}
