use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::TryRecvError;
use super::channel::Channel;
use crate::task::{Primitive, waits_on};

/// Receives what the senders of a channel send, in order.
pub struct Receiver<T> {
    pub(super) channel: Rc<Channel<T>>,
}

impl<T> Receiver<T> {
    /// Waits for the next value; `None` at the end of the channel.
    ///
    /// # Cancellation
    /// Dropping the future loses no value.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// The next value, as a stream has it: `None` at the end; pending while the channel is empty, with this task woken
    /// at the next value.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut outcome = self.channel.try_pop();
        if let Err(TryRecvError::Empty) = outcome {
            self.channel.receiver.register(cx.waker());
            waits_on(cx.waker(), Primitive::Channel, None);
            outcome = self.channel.try_pop();
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
        self.channel.try_pop()
    }

    /// Lets nothing more in: senders fail, also those that wait, but for slots that are reserved. What was sent can
    /// still be received.
    pub fn close(&mut self) {
        self.channel.close();
    }

    /// The number of values that wait to be received.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether no value waits to be received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.receiver_goes();
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
