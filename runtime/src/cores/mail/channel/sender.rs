use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::Channel;
use super::credits::Refused;
use crate::cores::context;
use crate::sync::mpsc::{SendError, TrySendError};
use crate::sync_types::Arc;

/// Sends values to the core that has bound the mailbox, from any core or thread.
///
/// Clones share the channel and its room. Values of one sender arrive in the order of sending.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Sender<T> {
        Sender { channel }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn observe(&self) -> std::sync::Weak<Channel<T>> {
        Arc::downgrade(&self.channel)
    }

    /// Waits for room, then sends; first come, first served.
    ///
    /// # Errors
    /// When the receiver is closed or gone, before or meanwhile; the value comes back. A value that was sent can
    /// still be dropped unseen, if the receiver goes before it takes it.
    ///
    /// # Cancellation
    /// Dropping the future drops the value unsent and gives up the place in the queue. To keep the value, wait for
    /// room with [`Sender::reserve`].
    pub fn send(&self, value: T) -> Send<'_, T> {
        Send { reserve: self.reserve(), value: Some(value) }
    }

    /// Sends if there is room now.
    ///
    /// # Errors
    /// When the channel is full or others wait for room, and when the receiver is closed or gone.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.channel.credits.try_take() {
            Ok(()) => {
                self.channel.deliver(value);
                Ok(())
            }
            Err(Refused::None) => Err(TrySendError::Full(value)),
            Err(Refused::Closed) => Err(TrySendError::Closed(value)),
        }
    }

    /// Waits for room and keeps it.
    ///
    /// # Errors
    /// When the receiver is closed or gone, before or meanwhile.
    ///
    /// # Cancellation
    /// Dropping the future gives up the place in the queue, and room that was given already goes to the next.
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve { sender: self, key: None }
    }

    /// As [`Sender::send`], for threads that are no core: the thread sleeps until there is room.
    ///
    /// # Errors
    /// As [`Sender::send`].
    ///
    /// # Panics
    /// On a core, whose other tasks would stand still: await there.
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        assert!(context::with(|_| ()).is_none(), "send_blocking would stop this core: await `send` instead");
        let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
        let mut sending = pin!(self.send(value));
        loop {
            match sending.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Whether the receiver is closed or gone.
    pub fn is_closed(&self) -> bool {
        self.channel.credits.is_closed()
    }

    /// For how many values there is room now.
    pub fn capacity(&self) -> usize {
        self.channel.credits.free()
    }

    /// For how many values there is room when the channel is empty.
    pub fn max_capacity(&self) -> usize {
        self.channel.capacity
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Unpark>) {
        self.0.unpark();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.channel.add_sender();
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve<'a, T> {
    sender: &'a Sender<T>,
    key: Option<usize>,
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = &self.sender.channel;
        channel.credits.poll_take(&mut self.key, cx).map(|taken| match taken {
            Ok(()) => {
                let permit = Permit { channel };
                // Closed since the credit was given: dropping the permit gives it back.
                if channel.credits.is_closed() { Err(SendError(())) } else { Ok(permit) }
            }
            Err(_) => Err(SendError(())),
        })
    }
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        let channel = &self.sender.channel;
        if channel.credits.leave(&mut self.key) {
            channel.give_back();
        }
    }
}

/// The future of [`Sender::send`].
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, T> {
    reserve: Reserve<'a, T>,
    value: Option<T>,
}

// The value is moved out when there is room for it; nothing ever points to it.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Send { reserve, value } = &mut *self;
        Pin::new(reserve).poll(cx).map(|permit| {
            let value = value.take().expect("a send is not polled again after it was ready");
            match permit {
                Ok(permit) => {
                    permit.send(value);
                    Ok(())
                }
                Err(_) => Err(SendError(value)),
            }
        })
    }
}

/// Room for one value, kept until it is sent or this is dropped.
///
/// The receiver of a closed channel still waits for what is sent into it.
#[must_use = "room that is dropped is free for others at once"]
pub struct Permit<'a, T> {
    channel: &'a Channel<T>,
}

impl<T> Permit<'_, T> {
    /// Sends the value without waiting; it is dropped if the receiver is gone.
    pub fn send(self, value: T) {
        let channel = self.channel;
        std::mem::forget(self);
        channel.deliver(value);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.channel.give_back();
    }
}

impl<T> std::fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Permit")
    }
}
