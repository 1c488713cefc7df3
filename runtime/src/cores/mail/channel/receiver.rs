use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Channel;
use crate::sync::mpsc::TryRecvError;
use crate::sync_types::Arc;

/// The receiving end of a channel on its way to the core that will read it.
///
/// Values may be sent already. Dropping it closes the channel and drops them.
#[must_use = "dropping a mailbox closes its channel: bind it where it is to be read"]
pub struct Mailbox<T> {
    end: End<T>,
}

/// Closes the channel when it goes.
struct End<T>(Arc<Channel<T>>);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        // SAFETY: the receiving end is in one hand only.
        unsafe { self.0.receiver.clear() };
        self.0.receiver_goes();
    }
}

impl<T> Mailbox<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Mailbox<T> {
        Mailbox { end: End(channel) }
    }

    /// Makes this thread, as a rule a core, the one that reads. The receiver stays on it.
    pub fn bind(self) -> Receiver<T> {
        Receiver { end: self.end, one_thread: PhantomData }
    }
}

impl<T> std::fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("len", &self.end.0.slots.len()).finish()
    }
}

/// Receives on one core what senders anywhere send.
///
/// Dropping it closes the channel and drops what was not received.
pub struct Receiver<T> {
    end: End<T>,
    one_thread: PhantomData<*const ()>,
}

impl<T> Receiver<T> {
    /// Waits for the next value; `None` when nothing more will come: no sender is left or the channel was closed, and
    /// all that was sent has been received.
    ///
    /// # Cancellation
    /// Dropping the future loses no value.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// The next value, as a stream has it: `None` at the end; pending while the channel is empty, with this task woken
    /// at the next value.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let channel = &*self.end.0;
        // SAFETY: this is the receiver, and stays on one thread.
        let mut outcome = unsafe { channel.try_pop() };
        if let Err(TryRecvError::Empty) = outcome {
            // SAFETY: as above.
            outcome = unsafe {
                channel.receiver.register(cx.waker());
                channel.try_pop()
            };
            if !matches!(outcome, Err(TryRecvError::Empty)) {
                // SAFETY: as above. If a sender takes the waker just now, the task is woken once for nothing.
                unsafe { channel.receiver.withdraw() };
            }
        }
        match outcome {
            Ok(value) => Poll::Ready(Some(value)),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// The next value, if there is one.
    ///
    /// # Errors
    /// When the channel is empty for now, or at its end.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // SAFETY: this is the receiver.
        unsafe { self.end.0.try_pop() }
    }

    /// Lets nothing more in: senders fail, also those that wait, but for room that was reserved. What was sent can
    /// still be received.
    pub fn close(&mut self) {
        self.end.0.credits.close();
    }

    /// The number of values that wait to be received; others may be on their way.
    pub fn len(&self) -> usize {
        self.end.0.slots.len()
    }

    /// Whether no value waits to be received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish()
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(cx)
    }
}
